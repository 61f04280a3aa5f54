// Time for the simulators, passed in so that tests and demos decide when it passes. `systemClock` is the machine's own; a `ManualClock`
// stands still until it is advanced, so a crash loop of minutes takes no real time. The interface has the shape that the rest of the
// project uses; it is repeated here because a simulator imports nothing of ours.

/** A timer started by a Clock; opaque, only good for `clearTimeout` of the same clock. */
export type Timer = object;

export interface Clock {
  /** Wall clock, milliseconds since 1970. */
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

/** Waits `delayMs` on `clock`; resolves early (never rejects) when the signal aborts. Returns whether the time really passed. */
export async function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<boolean> {
  if (signal?.aborted) {
    return false;
  }
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const abort = (): void => resolve(false);
  signal?.addEventListener("abort", abort, { once: true });
  const timer = clock.setTimeout(() => resolve(true), delayMs);
  try {
    return await promise;
  } finally {
    clock.clearTimeout(timer);
    signal?.removeEventListener("abort", abort);
  }
}

interface ManualTimer {
  at: number;
  order: number;
  callback: () => void;
}

/** A clock that moves only when told to. Timers of the same instant run in the order in which they were set. */
export class ManualClock implements Clock {
  #now: number;
  readonly #start: number;
  #order = 0;
  readonly #timers = new Set<ManualTimer>();

  /** @param startMs wall clock at the start, ms since 1970; default 2026-01-01T00:00:00Z */
  constructor(startMs = Date.UTC(2026, 0, 1)) {
    this.#now = startMs;
    this.#start = startMs;
  }

  now(): number {
    return this.#now;
  }

  monotonic(): number {
    return this.#now - this.#start;
  }

  setTimeout(callback: () => void, delayMs: number): Timer {
    const timer: ManualTimer = { at: this.#now + Math.max(0, delayMs), order: this.#order++, callback };
    this.#timers.add(timer);
    return timer;
  }

  clearTimeout(timer: Timer | undefined): void {
    this.#timers.delete(timer as ManualTimer);
  }

  /** How many timers wait. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Milliseconds until the next timer is due; undefined when none waits. */
  get nextMs(): number | undefined {
    const next = this.#next();
    return next && Math.max(0, next.at - this.#now);
  }

  /**
   * Moves the time on by `ms`, running every timer that becomes due, one by one, each followed by `settle` so that what it set off (promises,
   * messages on a real socket) is done before the next.
   * @param settle default: two turns of the event loop
   */
  async advance(ms: number, settle: () => Promise<void> = turns): Promise<void> {
    const end = this.#now + ms;
    await settle();
    for (let next = this.#next(); next && next.at <= end; next = this.#next()) {
      this.#now = Math.max(this.#now, next.at);
      this.#timers.delete(next);
      next.callback();
      await settle();
    }
    this.#now = Math.max(this.#now, end);
  }

  #next(): ManualTimer | undefined {
    let first: ManualTimer | undefined;
    for (const timer of this.#timers) {
      if (!first || timer.at < first.at || (timer.at === first.at && timer.order < first.order)) {
        first = timer;
      }
    }
    return first;
  }
}

async function turns(): Promise<void> {
  for (let turn = 0; turn < 2; turn++) {
    const { promise, resolve } = Promise.withResolvers<void>();
    setImmediate(resolve);
    await promise;
  }
}
