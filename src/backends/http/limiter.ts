/**
 * Limits the requests of one account: a token bucket (`burst` at once, then so many per second), a number of requests under way, and
 * the pause that the vendor asked for (Retry-After), which all of the account's users share. Writes overtake polls.
 */
import type { BackendClock } from "../contract.ts";

export interface LimiterOptions {
  /** On average. */
  requestsPerSecond: number;
  /** At once, after a rest. */
  burst: number;
  /** Under way at the same time. */
  concurrency: number;
}

/** Pressing: what was decided upon a moment ago and is true no longer after some more. Urgent: what a user waits for. Routine: polls. */
export type Urgency = "Pressing" | "Urgent" | "Routine";

const BY_URGENCY: readonly Urgency[] = ["Pressing", "Urgent", "Routine"];

interface Waiter {
  grant(release: () => void): void;
}

export class Limiter {
  readonly #clock: BackendClock;
  readonly #options: LimiterOptions;
  readonly #waiting: Record<Urgency, Set<Waiter>> = {
    Pressing: new Set(),
    Urgent: new Set(),
    Routine: new Set(),
  };
  #tokens: number;
  #filledAt: number;
  #underWay = 0;
  #pausedUntil = 0;
  #timer: unknown;
  #closed = false;

  constructor(clock: BackendClock, options: LimiterOptions) {
    this.#clock = clock;
    this.#options = options;
    this.#tokens = options.burst;
    this.#filledAt = clock.monotonic();
  }

  /**
   * Waits for its turn.
   *
   * @param giveUp ends the wait.
   * @returns what to call when the request is over; undefined when `giveUp` came first or the account is closed.
   */
  turn(urgency: Urgency, giveUp: AbortSignal): Promise<(() => void) | undefined> {
    if (this.#closed || giveUp.aborted) return Promise.resolve(undefined);
    const { promise, resolve } = Promise.withResolvers<(() => void) | undefined>();
    const waiter: Waiter = {
      grant: (release) => {
        giveUp.removeEventListener("abort", onAbort);
        resolve(release);
      },
    };
    const onAbort = (): void => {
      this.#waiting[urgency].delete(waiter);
      resolve(undefined);
    };
    giveUp.addEventListener("abort", onAbort, { once: true });
    this.#waiting[urgency].add(waiter);
    this.#serve();
    return promise;
  }

  /** The vendor asked for patience: nothing is begun for so long. A shorter pause never ends a longer one. */
  pause(ms: number): void {
    this.#pausedUntil = Math.max(this.#pausedUntil, this.#clock.monotonic() + ms);
    this.#serve();
  }

  /** How long the vendor's pause still lasts, ms; 0 if there is none. */
  get pausedMs(): number {
    return Math.max(0, this.#pausedUntil - this.#clock.monotonic());
  }

  /** Nobody gets a turn any more; who waits is left to its own `giveUp`. */
  close(): void {
    this.#closed = true;
    this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #serve(): void {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    while (!this.#closed && this.#underWay < this.#options.concurrency) {
      const urgency = BY_URGENCY.find((each) => this.#waiting[each].size > 0) ?? "Routine";
      const [waiter] = this.#waiting[urgency];
      if (waiter === undefined) return;
      const waitMs = Math.max(this.pausedMs, this.#takeToken());
      if (waitMs > 0) {
        this.#timer = this.#clock.setTimeout(() => this.#serve(), waitMs);
        return;
      }
      this.#waiting[urgency].delete(waiter);
      this.#underWay += 1;
      let over = false;
      waiter.grant(() => {
        if (over) return;
        over = true;
        this.#underWay -= 1;
        this.#serve();
      });
    }
  }

  /** @returns 0 when a token was taken, else the ms until there is one. None is taken during a pause. */
  #takeToken(): number {
    const now = this.#clock.monotonic();
    const { burst, requestsPerSecond } = this.#options;
    this.#tokens = Math.min(burst, this.#tokens + ((now - this.#filledAt) / 1000) * requestsPerSecond);
    this.#filledAt = now;
    if (this.pausedMs > 0) return this.pausedMs;
    if (this.#tokens >= 1) {
      this.#tokens -= 1;
      return 0;
    }
    return Math.max(1, Math.ceil(((1 - this.#tokens) / requestsPerSecond) * 1000));
  }
}

/** A Retry-After header in ms: seconds or an HTTP date (RFC 9110, 10.2.3). Between 1 s and `maxMs`. @returns undefined if it says nothing. */
export function retryAfterMs(header: string | undefined, nowMs: number, maxMs: number): number | undefined {
  if (header === undefined) return undefined;
  const text = header.trim();
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - nowMs;
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 1_000), maxMs);
}
