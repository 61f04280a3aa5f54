/**
 * Has a device report what its containers use, if its EdgeDevice asks for that. The daemon keeps one request for everybody and forgets it
 * at each registration (containerm/things/features_metrics.go), so it is sent again after each, once everything has been registered: that is
 * when a full inventory is complete.
 *
 * It changes no container, but the daemon carries it out in the order of all else. So it waits until nothing of ours is with the daemon: no
 * command, no barrier or probe, no inventory under way. It never takes the command slot, and nothing waits for it.
 */
import type { BackendClock, ContainerUsage, ObservedContainer } from "../contract.ts";
import type { SentRequest } from "./outbox.ts";
import { readUsage, type UsageProblem } from "./usage.ts";

export interface MeteringHost {
  /** This process may observe, the device is there, and nothing of ours is with the daemon or about to be. */
  calm(): boolean;
  /** This process may observe, the device is reached, no command of ours is with the daemon, and few messages wait there. */
  room(): boolean;
  /** Sends the request; a frequency of 0 ends the reports. @returns undefined if nothing left this process. */
  send(frequencySeconds: number): SentRequest | undefined;
  /** Finds out whether the device still answers; what it answers proves what became of earlier messages. */
  probe(): void;
  container(externalId: string): ObservedContainer | undefined;
  containers(): readonly ObservedContainer[];
  dropped(problem: UsageProblem): void;
  /** The daemon refuses to report; for people. */
  refused(status: number): void;
}

/** Reports that may fail to come before figures count as out of date, and before the request is sent again. */
const MISSED_REPORTS = 3;

const NOTHING: ReadonlyMap<string, ContainerUsage> = new Map();

export class Metering {
  readonly #clock: BackendClock;
  readonly #probeTimeoutMs: number;
  readonly #host: MeteringHost;
  /** Seconds between reports; 0: none are wanted. */
  #wanted = 0;
  /** What the daemon has agreed to since its last registration; undefined: perhaps something else. */
  #agreed: number | undefined = 0;
  #open: (SentRequest & { frequency: number }) | undefined;
  /** Refused since the last registration: asking again would not help. */
  #refused = false;
  /** People know that it is. */
  #told = false;
  #askedAtMs = Number.NEGATIVE_INFINITY;
  #report: ReadonlyMap<string, ContainerUsage> = NOTHING;
  #reportedAtMs = Number.NEGATIVE_INFINITY;
  #timer: unknown;

  constructor(clock: BackendClock, probeTimeoutMs: number, host: MeteringHost) {
    this.#clock = clock;
    this.#probeTimeoutMs = probeTimeoutMs;
    this.#host = host;
  }

  /** @param frequencySeconds undefined: no reports are wanted. */
  configure(frequencySeconds: number | undefined): void {
    const wanted = frequencySeconds ?? 0;
    if (wanted === this.#wanted) return;
    this.#wanted = wanted;
    this.#refused = false;
    this.#told = false;
    if (this.#open === undefined) this.#disarm();
    if (wanted === 0) this.#report = NOTHING;
    this.pump();
  }

  /** Figures of the containers that have a process, by external id; none if they are out of date. */
  usage(): ReadonlyMap<string, ContainerUsage> {
    if (this.#report.size === 0) return NOTHING;
    if (this.#clock.monotonic() - this.#reportedAtMs > this.#patienceMs) {
      this.#report = NOTHING;
      return NOTHING;
    }
    return new Map([...this.#report].filter(([externalId]) => lives(this.#host.container(externalId))));
  }

  /** The daemon goes through a registration: it has forgotten. */
  registered(): void {
    this.#agreed = 0;
    this.#open = undefined;
    this.#refused = false;
  }

  /** The broker or the device is gone; a registration follows its return. */
  away(): void {
    this.#open = undefined;
    this.#disarm();
  }

  /** The end of the session. With `farewell` the device leaves: it is told to stop, unless it carries out a command of ours. */
  close(farewell: boolean): void {
    const asked = this.#open !== undefined || this.#agreed !== 0;
    if (farewell && asked && this.#host.room()) this.#host.send(0);
    this.away();
    this.#wanted = 0;
    this.#report = NOTHING;
  }

  /** Something may have become possible: sends what is due. */
  pump(): void {
    if (this.#open !== undefined || this.#refused) return;
    if (this.#agreed === this.#wanted) {
      if (this.#wanted > 0 && this.#timer === undefined) this.#arm(this.#patienceMs);
      return;
    }
    const sent = this.#host.calm() ? this.#host.send(this.#wanted) : undefined;
    if (sent === undefined) {
      // Most often the end of what is under way comes first, and calls here.
      if (this.#timer === undefined) this.#arm(Math.max(this.#probeTimeoutMs, this.#wanted * 1000));
      return;
    }
    this.#open = { ...sent, frequency: this.#wanted };
    this.#arm(this.#probeTimeoutMs);
  }

  /** @returns the number of the request that this answers, if it is ours. */
  answered(requestId: string, status: number): number | undefined {
    const open = this.#open;
    if (open?.requestId !== requestId) return undefined;
    this.#open = undefined;
    this.#disarm();
    if (status >= 200 && status < 300) {
      this.#agreed = open.frequency;
      this.#told = false;
      // The first report is due one frequency from now.
      this.#askedAtMs = this.#clock.monotonic();
    } else {
      this.#refused = true;
      if (!this.#told) this.#host.refused(status);
      this.#told = true;
    }
    return open.seq;
  }

  /** A report of the device; one that nobody asked us for is somebody else's. */
  reported(value: unknown): void {
    if (this.#wanted === 0) return;
    const report = readUsage(value, {
      knows: (externalId) => this.#host.container(externalId) !== undefined,
      dropped: (problem) => this.#host.dropped(problem),
    });
    if (report === undefined) return;
    this.#report = report;
    this.#reportedAtMs = this.#clock.monotonic();
  }

  get #patienceMs(): number {
    return Math.max(MISSED_REPORTS * this.#wanted * 1000, this.#probeTimeoutMs);
  }

  #arm(delayMs: number): void {
    this.#disarm();
    this.#timer = this.#clock.setTimeout(() => {
      this.#timer = undefined;
      this.#expired();
    }, delayMs);
  }

  #disarm(): void {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #expired(): void {
    if (this.#open !== undefined) {
      // No answer: the request or its answer was lost, and a proof of that makes room for the next one.
      this.#open = undefined;
      this.#agreed = undefined;
      this.#host.probe();
    } else if (this.#agreed === this.#wanted && this.#host.containers().some(lives)) {
      const silentMs = this.#clock.monotonic() - Math.max(this.#reportedAtMs, this.#askedAtMs);
      // Somebody else's request has replaced ours, or the daemon has lost it.
      if (silentMs >= this.#patienceMs) this.#agreed = undefined;
    }
    this.pump();
  }
}

/** Whether it has a process: the device reports only on such containers. */
function lives(container: ObservedContainer | undefined): boolean {
  return container?.state === "Running" || container?.state === "Paused";
}
