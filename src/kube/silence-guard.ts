import type { Clock, Timer } from "./clock.ts";
import { TransportError } from "./errors.ts";

/** Ends a watch on which nothing was heard for too long. One timer per watch, not one per chunk. */
export class SilenceGuard {
  readonly #clock: Clock;
  readonly #silenceMs: number;
  readonly #where: string;
  #heardAt = 0;
  #timer: Timer | undefined;

  constructor(clock: Clock, silenceMs: number, where: string) {
    this.#clock = clock;
    this.#silenceMs = silenceMs;
    this.#where = where;
  }

  arm(abort: (reason: Error) => void): void {
    this.disarm();
    if (this.#silenceMs <= 0) {
      return;
    }
    this.heard();
    const check = (): void => {
      const leftMs = this.#heardAt + this.#silenceMs - this.#clock.monotonic();
      if (leftMs <= 0) {
        this.#timer = undefined;
        abort(new TransportError(this.#where, "Silent", "unknown", `no sign of life for ${this.#silenceMs} ms`));
      } else {
        this.#timer = this.#clock.setTimeout(check, leftMs);
      }
    };
    this.#timer = this.#clock.setTimeout(check, this.#silenceMs);
  }

  heard(): void {
    this.#heardAt = this.#clock.monotonic();
  }

  disarm(): void {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
