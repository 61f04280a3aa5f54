/**
 * Lets so many devices of a broker connection be asked for their first inventory at a time. All at once, thousands would answer at once:
 * brokers keep a bounded number of messages for a client that reads more slowly than they come, and drop the rest (mosquitto.conf(5),
 * max_queued_messages: a thousand). It also keeps what this process writes in one turn small.
 *
 * A device that does not answer soon does not hold up the others: it stays admitted, and the next one follows.
 */
import type { BackendClock } from "../contract.ts";

/** Devices that have been asked and have not answered in full; each says five things or so, and one more per container. */
const MOST = 100;
/** How long one of them keeps the next from being admitted, ms. */
const PATIENCE_MS = 1_000;

export class Turnstile {
  readonly #clock: BackendClock;
  readonly #most: number;
  /** First come, first served. */
  readonly #waiting = new Map<string, () => void>();
  /** Timers of those that are being asked. */
  readonly #inside = new Map<string, unknown>();

  constructor(clock: BackendClock, most = MOST) {
    this.#clock = clock;
    this.#most = most;
  }

  /** Calls `admit` once it is this one's turn: now, or later. */
  enter(key: string, admit: () => void): void {
    this.leave(key);
    if (this.#inside.size < this.#most) this.#admit(key, admit);
    else this.#waiting.set(key, admit);
  }

  /** This one is done, or has gone. @returns false if it was waiting: then it was never admitted. */
  leave(key: string): boolean {
    if (this.#waiting.delete(key)) return false;
    if (!this.#inside.has(key)) return true;
    this.#clock.clearTimeout(this.#inside.get(key));
    this.#inside.delete(key);
    this.#next();
    return true;
  }

  close(): void {
    this.#waiting.clear();
    for (const timer of this.#inside.values()) this.#clock.clearTimeout(timer);
    this.#inside.clear();
  }

  #admit(key: string, admit: () => void): void {
    const timer = this.#clock.setTimeout(() => {
      this.#inside.delete(key);
      this.#next();
    }, PATIENCE_MS);
    this.#inside.set(key, timer);
    admit();
  }

  #next(): void {
    if (this.#inside.size >= this.#most) return;
    for (const [key, admit] of this.#waiting) {
      this.#waiting.delete(key);
      this.#admit(key, admit);
      return;
    }
  }
}
