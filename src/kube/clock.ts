/**
 * Time as a value that is passed in, so that tests decide when it passes. Durations use `monotonic()`, which no clock
 * step can move; `now()` is only for what people read.
 */

/** A timer started by a Clock; opaque, only good for `clearTimeout` of the same clock. */
export type Timer = object;

export interface Clock {
  /** Wall clock, milliseconds since 1970. May jump in either direction. */
  now(): number;
  /** Milliseconds since an arbitrary start; never goes back. */
  monotonic(): number;
  /** Runs `callback` once after `delayMs` milliseconds. */
  setTimeout(callback: () => void, delayMs: number): Timer;
  /** Cancels a timer; no effect when it has run, was cancelled, or is undefined. */
  clearTimeout(timer: Timer | undefined): void;
}

/** The machine's own clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  setTimeout: (callback, delayMs) => setTimeout(callback, delayMs),
  clearTimeout: (timer) => clearTimeout(timer as NodeJS.Timeout | undefined),
};

/**
 * Waits `delayMs` or until `signal` aborts, whichever is first. Never rejects.
 * @returns true when the time has passed, false when the signal aborted.
 */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) {
      resolve(false);
      return;
    }
    const onAbort = (): void => {
      clock.clearTimeout(timer);
      resolve(false);
    };
    const timer = clock.setTimeout(() => {
      signal?.removeEventListener("abort", onAbort);
      resolve(true);
    }, delayMs);
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}
