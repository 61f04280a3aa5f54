import type { Clock } from "../kube/clock.ts";

/** Options of {@link OutageDetector}. */
export interface OutageDetectorOptions {
  readonly clock: Clock;
  /** Called when the API server answers again. */
  readonly onBack: () => void;
  /** Shortest time between two calls of `onBack`, in milliseconds. Default 5000. */
  readonly minIntervalMs?: number;
}

/**
 * Notices from the requests that are made anyway (the lease is renewed every 2 s) when an API server that did not answer
 * answers again, so that work which failed meanwhile need not sit out a backoff that has grown with the outage.
 *
 * Only requests without any answer make an outage: a server that refuses one object with a 500 time after time must not
 * have it tried again with each success elsewhere. For the same reason calls are spaced.
 */
export class OutageDetector {
  readonly #clock: Clock;
  readonly #onBack: () => void;
  readonly #minIntervalMs: number;
  #isAway = false;
  #calledAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: OutageDetectorOptions) {
    this.#clock = options.clock;
    this.#onBack = options.onBack;
    this.#minIntervalMs = options.minIntervalMs ?? 5000;
  }

  /** @param code of a request: the HTTP status, or `<error>` for no answer (RequestObservation of kube/requests.ts). */
  observe(code: string): void {
    if (code === "<error>") {
      this.#isAway = true;
      return;
    }
    const status = Number(code);
    // 429 and 5xx come from a server that is just starting, or cannot reach its own store.
    if (!this.#isAway || status === 429 || status >= 500) return;
    const nowMs = this.#clock.monotonic();
    if (nowMs - this.#calledAtMs < this.#minIntervalMs) return;
    this.#isAway = false;
    this.#calledAtMs = nowMs;
    this.#onBack();
  }
}
