// The limit of requests in a window of time. The vendor publishes the headers and the body, not the numbers.

import type { Clock } from "../clock.ts";
import { failure, type Answer } from "./answers.ts";

export class RateLimit {
  readonly #clock: Clock;
  readonly #rule: () => { most: number; windowMs: number };
  #since = 0;
  #used = 0;

  /** @param rule asked at each request, since it may change */
  constructor(clock: Clock, rule: () => { most: number; windowMs: number }) {
    this.#clock = clock;
    this.#rule = rule;
  }

  /** Counts a request. @returns 429 when there have been too many */
  take(): Answer | undefined {
    this.#roll();
    this.#used += 1;
    return this.#used > this.#rule().most ? { ...failure(429), headers: this.headers() } : undefined;
  }

  /** `reset` is in seconds from now. */
  headers(): Readonly<Record<string, string>> {
    this.#roll();
    const { most, windowMs } = this.#rule();
    const resetMs = Math.max(0, this.#since + windowMs - this.#clock.now());
    return {
      "x-ratelimit-limit": String(most),
      "x-ratelimit-remaining": String(Math.max(0, most - this.#used)),
      "x-ratelimit-reset": String(Math.ceil(resetMs / 1000)),
    };
  }

  #roll(): void {
    const now = this.#clock.now();
    if (now < this.#since + this.#rule().windowMs) return;
    this.#since = now;
    this.#used = 0;
  }
}
