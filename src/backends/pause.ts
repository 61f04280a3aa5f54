import type { BackendClock } from "./contract.ts";

/** Resolves after `ms`, or as soon as the signal aborts. */
export function pause(clock: BackendClock, ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  const { promise, resolve } = Promise.withResolvers<void>();
  const done = (): void => {
    clock.clearTimeout(timer);
    signal.removeEventListener("abort", done);
    resolve();
  };
  const timer = clock.setTimeout(done, ms);
  signal.addEventListener("abort", done, { once: true });
  return promise;
}
