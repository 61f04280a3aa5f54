/** How a device stands, for people and for the contract's connection state: put together from presence, slot and connection. */
import type { BackendClock, ConnectionState } from "../contract.ts";
import type { Completeness } from "./completeness.ts";
import type { Presence } from "./presence.ts";
import type { Slot } from "./slot.ts";

/** What cannot be told apart from outside: a device that is off, and one that is called by a wrong name. */
const NEVER_HEARD =
  "the device does not answer, and has not been heard since Drayage listens: is it on and connected, and are its thingId, tenant and topic prefixes right?";

export interface StandingHost {
  /** Subscribed on an open connection. */
  online(): boolean;
  readonly known: Completeness;
  brokerMessage(): string;
  changed(state: ConnectionState): void;
  /** A command has been in flight for another while. */
  stillInFlight(): void;
}

export class Standing {
  readonly #clock: BackendClock;
  readonly #probeTimeoutMs: number;
  readonly #presence: Presence;
  readonly #slot: Slot;
  readonly #host: StandingHost;
  #shown: ConnectionState = "Unknown";
  #timer: unknown;

  constructor(clock: BackendClock, probeTimeoutMs: number, presence: Presence, slot: Slot, host: StandingHost) {
    this.#clock = clock;
    this.#probeTimeoutMs = probeTimeoutMs;
    this.#presence = presence;
    this.#slot = slot;
    this.#host = host;
  }

  connection(): ConnectionState {
    if (!this.#host.online()) return "Unknown";
    const { believed, lastSeenMs } = this.#presence;
    const { flight } = this.#slot;
    if (flight === undefined || believed === "Offline") return believed;
    const silentSinceMs = Math.max(flight.sentAtMs, lastSeenMs ?? 0);
    const silent = this.#clock.now() - silentSinceMs >= this.#probeTimeoutMs;
    return this.#slot.busy && silent ? "Busy" : believed;
  }

  /** Why it is not Connected, or why the inventory is not complete. */
  message(): string | undefined {
    const { flight } = this.#slot;
    const { problem, isStuck, complete } = this.#host.known;
    if (!this.#host.online()) return problem ?? this.#host.brokerMessage();
    const silent = this.#presence.believed === "Offline";
    // A problem of the inventory alone does not explain a silence.
    if (problem !== undefined && !(silent && isStuck)) return problem;
    if (flight?.overdue === true) {
      const since = new Date(flight.sentAtMs).toISOString();
      return `the ${flight.command.kind.toLowerCase()} that was sent at ${since} was not answered in time: the device may still be at it, and nothing else is sent until it answers something or connects anew`;
    }
    if (silent) return this.#presence.lastSeenMs === undefined ? NEVER_HEARD : "the device does not answer";
    if (this.#presence.believed === "Unknown") return "asking whether the device is there";
    return complete ? undefined : "waiting for the device's full inventory";
  }

  /** Tells the state if it differs from what was told last. */
  show(): void {
    const state = this.connection();
    if (state === this.#shown) return;
    this.#shown = state;
    this.#host.changed(state);
  }

  /** A command was sent. Busy begins without a message, so somebody has to look. */
  watchSilence(): void {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = this.#clock.setTimeout(() => {
      this.show();
      if (!this.#slot.busy) return;
      this.#host.stillInFlight();
      this.watchSilence();
    }, this.#probeTimeoutMs);
  }

  close(): void {
    this.#clock.clearTimeout(this.#timer);
  }
}
