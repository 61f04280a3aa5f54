/**
 * A full inventory now and then, although nothing asks for one. Events tell what changes, and every reconnect of either side brings the whole;
 * but an event that the daemon failed to publish, or published crosswise with a registration, would else never be noticed, and a container
 * that somebody removed by hand would be shown as running for ever.
 */
import { createHash } from "node:crypto";
import type { BackendClock } from "../contract.ts";

/** Observe intervals from one full inventory to the next that nothing asked for: an hour with the default of 300 s. */
const INTERVALS = 12;

export interface SafetyNetHost {
  /** This process may ask, the device is there, and nothing of ours is with the daemon or about to be. */
  calm(): boolean;
  /** Asks for a full inventory. */
  resync(): void;
}

export class SafetyNet {
  readonly #clock: BackendClock;
  readonly #observeIntervalMs: number;
  readonly #delayMs: number;
  readonly #host: SafetyNetHost;
  #timer: unknown;

  /** @param targetKey spreads the inventories of a fleet: each device has its own pause, up to a fifth shorter or longer. */
  constructor(clock: BackendClock, observeIntervalMs: number, targetKey: string, host: SafetyNetHost) {
    this.#clock = clock;
    this.#observeIntervalMs = observeIntervalMs;
    const share = createHash("sha256").update(targetKey).digest().readUInt32BE(0) / 2 ** 32;
    this.#delayMs = observeIntervalMs * INTERVALS * (0.8 + 0.4 * share);
    this.#host = host;
  }

  /** A full inventory is complete: the next one is due a while from now. */
  arm(): void {
    this.#arm(this.#delayMs);
  }

  /** There is nothing to ask, until the next full inventory. */
  stop(): void {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #arm(delayMs: number): void {
    this.stop();
    this.#timer = this.#clock.setTimeout(() => {
      // A command under way matters more, and its end brings news as well.
      this.#arm(this.#observeIntervalMs);
      if (this.#host.calm()) this.#host.resync();
    }, delayMs);
  }
}
