/**
 * Whether a device is there. Kanto has no heartbeat and no last will: any message is life. After the observe interval without one, a probe
 * (an operation the daemon does not know, answered 404 at once) asks; two unanswered ones are Offline. While a command of ours runs, the
 * daemon answers nothing else, so silence means nothing then; after the command's timeout a single unanswered probe is enough. An Offline
 * device is knocked at now and then: it may have come back, or hear us again, without a reason of its own to speak.
 */
import type { BackendClock } from "../contract.ts";
import { FACTORY_FEATURE, PROBE_OPERATION } from "./envelope.ts";
import type { Outbox, SentRequest } from "./outbox.ts";

/** What is believed of the device itself, apart from commands and from the connection to the broker. */
export type Believed = "Connected" | "Offline" | "Unknown";

export interface PresenceTimings {
  observeIntervalMs: number;
  probeTimeoutMs: number;
}

export interface PresenceHost {
  /** A command of ours runs within its timeout. */
  busy(): boolean;
  /** A command of ours has passed its timeout. */
  overdue(): boolean;
  /** False on a standby: it follows what the leader's probes bring to light. */
  mayProbe(): boolean;
  /**
   * Makes an Offline device speak if it is there after all. Where its identity can be announced that is done: a daemon that nobody has told
   * its identity takes no commands, so a probe would not do.
   */
  knock(): void;
  changed(from: Believed, to: Believed): void;
}

/** Probes whose answers still count for more than a sign of life; of a device that is away for months the older ones are forgotten. */
const MOST_OPEN = 16;
/** Unanswered probes after which a device is Offline. */
const MISSES = 2;
const PROBE = { feature: FACTORY_FEATURE, operation: PROBE_OPERATION, value: {} };
/** A probe is answered behind whatever the daemon is doing; its answer counts however late it is, ms. */
const PROBE_REPLY_MS = 3_600_000;

export class Presence {
  readonly #clock: BackendClock;
  readonly #outbox: Outbox;
  readonly #timings: PresenceTimings;
  readonly #host: PresenceHost;
  /** Probes that were not answered yet: request id to number. */
  #open = new Map<string, number>();
  #believed: Believed = "Unknown";
  #lastSeenMs: number | undefined;
  /** The same by the monotonic clock. */
  #heardAtMs = Number.NEGATIVE_INFINITY;
  #missed = 0;
  #expecting = false;
  #timer: unknown;

  constructor(clock: BackendClock, outbox: Outbox, timings: PresenceTimings, host: PresenceHost) {
    this.#clock = clock;
    this.#outbox = outbox;
    this.#timings = timings;
    this.#host = host;
  }

  get believed(): Believed {
    return this.#believed;
  }

  /** Wall clock of the last sign of life, ms. */
  get lastSeenMs(): number | undefined {
    return this.#lastSeenMs;
  }

  /** How long nothing was heard, ms. */
  get silentMs(): number {
    return this.#clock.monotonic() - this.#heardAtMs;
  }

  /** A message of the device. */
  heard(): void {
    this.#lastSeenMs = this.#clock.now();
    this.#heardAtMs = this.#clock.monotonic();
    this.#missed = 0;
    this.#expecting = false;
    this.#arm(this.#open.size > 0 ? this.#timings.probeTimeoutMs : this.#timings.observeIntervalMs);
    this.#believe("Connected");
  }

  /**
   * Sends a probe unless one is under way.
   *
   * @param again send even so: an earlier one was probably lost.
   * @param registering the daemon has just published its features. If it is new here, what it was sent before it subscribed to commands is
   *   lost, so it is asked again after the probe's timeout, not after the observe interval.
   * @returns the number of the probe sent now; undefined if none was.
   */
  probe(again = false, registering = false): number | undefined {
    if (this.#open.size > 0 && !again) return undefined;
    if (this.#expecting && !again) {
      // Who asks now has waited for that word in vain.
      this.#expecting = false;
      this.#missed += 1;
    }
    const { observeIntervalMs, probeTimeoutMs } = this.#timings;
    const room = registering ? this.#outbox.hasRoom(probeTimeoutMs) : this.#outbox.hasRoom(observeIntervalMs);
    const sent = room ? this.#outbox.request("probe", PROBE, PROBE_REPLY_MS) : undefined;
    if (sent !== undefined) this.#remember(sent);
    this.#arm(this.#timings.probeTimeoutMs);
    return sent?.seq;
  }

  /** Something else was sent that makes the device speak: silence after it is as silence after a probe. */
  expect(): void {
    this.#expecting = true;
    this.#arm(this.#timings.probeTimeoutMs);
  }

  /** @returns the number of the probe with this request id, if it is one of ours and open. */
  answered(requestId: string): number | undefined {
    const seq = this.#open.get(requestId);
    if (seq === undefined) return undefined;
    // Handled in order: older ones without an answer were lost, or their answers were.
    this.#open = new Map([...this.#open].filter(([, other]) => other > seq));
    return seq;
  }

  /** No answer to this request will come: if it was a probe, another one may be sent. */
  unanswered(requestId: string): void {
    this.#open.delete(requestId);
  }

  /** Somebody who knows says that the device cannot be reached. A command of ours may run on all the same. */
  gone(): void {
    this.#open.clear();
    this.#believe("Offline");
    this.#arm(this.#timings.observeIntervalMs);
  }

  /** The connection to the broker is gone, and with it all knowledge. */
  disconnected(): void {
    this.#open.clear();
    this.#missed = 0;
    this.#expecting = false;
    this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#believed = "Unknown";
  }

  close(): void {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #remember({ requestId, seq }: SentRequest): void {
    this.#open.set(requestId, seq);
    const [oldest] = this.#open.keys();
    if (this.#open.size > MOST_OPEN && oldest !== undefined) this.#open.delete(oldest);
  }

  #arm(delayMs: number): void {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = this.#clock.setTimeout(() => this.#expired(), delayMs);
  }

  #expired(): void {
    const { observeIntervalMs, probeTimeoutMs } = this.#timings;
    if (this.#host.busy()) {
      this.#arm(probeTimeoutMs);
      return;
    }
    if (!this.#host.mayProbe()) {
      this.#arm(observeIntervalMs);
      return;
    }
    if (this.#believed === "Offline") {
      this.#host.knock();
      this.#arm(observeIntervalMs);
      return;
    }
    // Silence after a probe is a miss; so is silence behind so many unanswered messages that no probe may be added.
    if (this.#open.size === 0 && !this.#expecting && this.probe() !== undefined) return;
    this.#expecting = false;
    this.#missed += 1;
    if (this.#missed < MISSES && !this.#host.overdue()) {
      this.probe(true);
      return;
    }
    this.#believe("Offline");
    this.#arm(observeIntervalMs);
  }

  #believe(believed: Believed): void {
    const from = this.#believed;
    if (from === believed) return;
    this.#believed = believed;
    this.#host.changed(from, believed);
  }
}
