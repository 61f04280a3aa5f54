/** Waiting and doing many things, with limits that only guard against a hang. */
import { setTimeout as delay } from "node:timers/promises";

const HANG_MS = 120_000;

/** Asks every 50 ms. @throws Error after two minutes */
export async function until(holds: () => Promise<boolean>, what: () => string): Promise<void> {
  for (const deadline = performance.now() + HANG_MS; performance.now() < deadline; await delay(50)) {
    if (await holds()) return;
  }
  throw new Error(`never came: ${what()}`);
}

/**
 * Gives up on a promise when there was no progress for two minutes.
 * @param left how much is still missing; less is progress
 */
export async function guarded<T>(promise: Promise<T>, left: () => number, what: () => string): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  let least = left();
  let progressMs = performance.now();
  const timer = setInterval(() => {
    if (left() < least) {
      least = left();
      progressMs = performance.now();
    } else if (performance.now() - progressMs > HANG_MS) reject(new Error(`no progress for two minutes: ${what()}`));
  }, 1000);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearInterval(timer);
  }
}

/** Runs `work` over all items, so many at a time. */
export async function inParallel<T>(
  items: readonly T[],
  concurrency: number,
  work: (item: T) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < items.length) {
      const index = next++;
      await work(items[index] as T);
    }
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, items.length) }, worker));
}
