import type { Clock, Timer } from "../clock.ts";

/** A clock whose timers all end with `close`, so that nothing of a stopped simulator goes on. */
export class TimerPool implements Clock {
  readonly #clock: Clock;
  readonly #open = new Set<Timer>();
  #closed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  now(): number {
    return this.#clock.now();
  }

  monotonic(): number {
    return this.#clock.monotonic();
  }

  setTimeout(callback: () => void, delayMs: number): Timer {
    const timer = this.#clock.setTimeout(() => {
      this.#open.delete(timer);
      if (!this.#closed) callback();
    }, delayMs);
    this.#open.add(timer);
    return timer;
  }

  clearTimeout(timer: Timer | undefined): void {
    this.#clock.clearTimeout(timer);
    if (timer !== undefined) this.#open.delete(timer);
  }

  close(): void {
    this.#closed = true;
    for (const timer of this.#open) this.#clock.clearTimeout(timer);
    this.#open.clear();
  }
}
