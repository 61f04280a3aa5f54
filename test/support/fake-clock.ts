/** A Clock whose time passes only when a test says so. */

import type { Clock, Timer } from "../../src/kube/clock.ts";

interface FakeTimer {
  at: number;
  order: number;
  callback: () => void;
}

export class FakeClock implements Clock {
  #elapsedMs = 0;
  #wallMs: number;
  #order = 0;
  readonly #timers = new Set<FakeTimer>();

  /** @param wallMs wall clock at the start; default 2026-01-01T00:00:00Z. */
  constructor(wallMs = Date.UTC(2026, 0, 1)) {
    this.#wallMs = wallMs;
  }

  now(): number {
    return this.#wallMs;
  }

  monotonic(): number {
    return this.#elapsedMs;
  }

  setTimeout(callback: () => void, delayMs: number): Timer {
    this.#order += 1;
    const timer: FakeTimer = { at: this.#elapsedMs + Math.max(0, delayMs), order: this.#order, callback };
    this.#timers.add(timer);
    return timer;
  }

  clearTimeout(timer: Timer | undefined): void {
    if (timer !== undefined) {
      this.#timers.delete(timer as FakeTimer);
    }
  }

  /** Timers that are set. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Milliseconds until the next timer; undefined when none is set. */
  get nextInMs(): number | undefined {
    const next = this.#next(Number.POSITIVE_INFINITY);
    return next === undefined ? undefined : Math.max(0, next.at - this.#elapsedMs);
  }

  /** Steps the wall clock alone, as NTP or a resumed machine does. */
  stepWall(byMs: number): void {
    this.#wallMs += byMs;
  }

  /** Lets `ms` pass in which nothing runs, as for a process that was stopped (SIGSTOP); timers that became due run later. */
  jump(ms: number): void {
    this.#moveTo(this.#elapsedMs + ms);
  }

  /** Lets `ms` pass, running due timers in order, those included that they set. Does not wait for promises. */
  advance(ms: number): void {
    const target = this.#elapsedMs + ms;
    for (let timer = this.#next(target); timer !== undefined; timer = this.#next(target)) {
      this.#moveTo(Math.max(timer.at, this.#elapsedMs));
      this.#timers.delete(timer);
      timer.callback();
    }
    this.#moveTo(target);
  }

  /** As `advance`, but lets promises settle after each timer, so that work they start can set its own timers. */
  async advanceAsync(ms: number): Promise<void> {
    const target = this.#elapsedMs + ms;
    await settle();
    for (let timer = this.#next(target); timer !== undefined; timer = this.#next(target)) {
      this.#moveTo(Math.max(timer.at, this.#elapsedMs));
      this.#timers.delete(timer);
      timer.callback();
      await settle();
    }
    this.#moveTo(target);
    await settle();
  }

  #moveTo(elapsedMs: number): void {
    this.#wallMs += elapsedMs - this.#elapsedMs;
    this.#elapsedMs = elapsedMs;
  }

  #next(limit: number): FakeTimer | undefined {
    let next: FakeTimer | undefined;
    for (const timer of this.#timers) {
      if (
        timer.at <= limit &&
        (next === undefined || timer.at < next.at || (timer.at === next.at && timer.order < next.order))
      ) {
        next = timer;
      }
    }
    return next;
  }
}

/** Lets everything that is ready run: promise reactions, and one round of I/O callbacks. */
function settle(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
