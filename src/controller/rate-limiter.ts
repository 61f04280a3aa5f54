/** Options of {@link FailureRateLimiter}. */
export interface FailureRateLimiterOptions {
  /** Delay after the first failure in a row, in milliseconds. Default 5. */
  readonly initialMs?: number;
  /** Longest delay, in milliseconds. Default 1 000 000 (1000 s). */
  readonly maxMs?: number;
}

/**
 * A safety net for unexpected errors: per key, 5 ms doubling with each failure in a row, at most 1000 s, forgotten on
 * success. The values are client-go's (util/workqueue/default_rate_limiters.go, ItemExponentialFailureRateLimiter).
 *
 * It lives in memory and a restart clears it. A failure that a user should see, and that must survive restarts, keeps
 * its backoff in the object's status instead (backoff.ts).
 */
export class FailureRateLimiter {
  readonly #initialMs: number;
  readonly #maxMs: number;
  readonly #failures = new Map<string, number>();

  constructor(options: FailureRateLimiterOptions = {}) {
    this.#initialMs = options.initialMs ?? 5;
    this.#maxMs = options.maxMs ?? 1_000_000;
  }

  /**
   * Counts one more failure of `key` and returns how long to wait before its next run, in milliseconds.
   *
   * @param longestMs a cap of this failure's own, below the limiter's.
   */
  nextDelayMs(key: string, longestMs = this.#maxMs): number {
    const failures = this.#failures.get(key) ?? 0;
    this.#failures.set(key, failures + 1);
    // 2 ** 1024 is Infinity, which Math.min turns into the cap: no overflow to guard against.
    return Math.min(this.#initialMs * 2 ** failures, this.#maxMs, longestMs);
  }

  /** Failures in a row of `key` since it was last forgotten. */
  failures(key: string): number {
    return this.#failures.get(key) ?? 0;
  }

  /** Starts `key` afresh; called after a success, or once nothing will retry it. */
  forget(key: string): void {
    this.#failures.delete(key);
  }
}
