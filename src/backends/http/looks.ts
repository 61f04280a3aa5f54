/** When something is looked at: after the interval, at no fixed beat, and at once when somebody asks; never twice at a time. */
import type { BackendClock } from "../contract.ts";

export interface LooksHost {
  readonly clock: BackendClock;
  /** Uniform in [0, 1). */
  random(): number;
  /** Reads everything anew. Must not reject. @returns whether it is known now. */
  read(): Promise<boolean>;
  /** How long until the next look, ms, if nobody asks for one; undefined: none for now. */
  delayMs(): number | undefined;
}

export class Looks {
  readonly #host: LooksHost;
  #reading: Promise<boolean> | undefined;
  #next: Promise<boolean> | undefined;
  #timer: unknown;
  #closed = false;

  constructor(host: LooksHost) {
    this.#host = host;
  }

  /** Reads everything anew, beginning after this call; several calls share one. @returns whether it is known now. */
  now(): Promise<boolean> {
    if (this.#reading === undefined) {
      this.#reading = this.#read().finally(() => {
        this.#reading = undefined;
      });
      return this.#reading;
    }
    const before = this.#reading;
    this.#next ??= before.then(() => {
      this.#next = undefined;
      return this.now();
    });
    return this.#next;
  }

  /** Plans the next look anew, since the time until it has changed. */
  schedule(): void {
    const { clock } = this.#host;
    clock.clearTimeout(this.#timer);
    const delayMs = this.#closed ? undefined : this.#host.delayMs();
    if (delayMs === undefined) return;
    this.#timer = clock.setTimeout(() => void this.now(), delayMs * (0.9 + 0.2 * this.#host.random()));
  }

  /** No more looks; one under way ends by itself. */
  close(): void {
    this.#closed = true;
    this.#host.clock.clearTimeout(this.#timer);
  }

  async #read(): Promise<boolean> {
    this.#host.clock.clearTimeout(this.#timer);
    const isKnown = !this.#closed && (await this.#host.read());
    this.schedule();
    return isKnown;
  }
}
