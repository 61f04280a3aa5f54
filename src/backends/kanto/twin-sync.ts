/**
 * The whole inventory of a device whose state is kept in a twin beside it (inventory Fetch). The twin can be read at any time, and always shows
 * something; the question is whether that is so now. It is old while the device's link is down, and for a moment after that, since what the
 * device said meanwhile comes in bulk; and answers to commands travel apart from events. So a twin counts as complete when
 *
 *  - the device has answered something that was sent after what is to be known: its link is up, and, since the daemon handles messages
 *    strictly in order, everything sent before has ended or never arrived;
 *  - no news has come for a moment after that answer, and the twin was read then;
 *  - where the outcome of a command depends on it, a mark has come through: events keep their order on their way, so one that was caused
 *    after the answer proves that all before it are in. The mark is a removal of a container that cannot exist, asked of SoftwareUpdatable,
 *    which tells each operation with its correlation id (containerm/things/features_rollouts_software_updatable_internal.go) and does
 *    nothing else. Without SoftwareUpdatable only a longer quiet is left;
 *  - it shows every container whose creation the device has answered for;
 *  - it shows the ContainerFactory: the device has registered since the twin was made (or emptied by somebody);
 *  - it shows a feature for every container that SoftwareUpdatable lists (the daemon publishes that list as a whole with each registration and
 *    after each creation and removal): no event was lost. A device that lists nothing has SoftwareUpdatable switched off.
 *
 * An event that the daemon itself gave up (it waits 15 s for its broker) is lost for good, and so is the list if the same befalls it; only a
 * registration heals that. No message through Ditto can bring one about.
 */
import type { BackendClock } from "../contract.ts";
import type { InventorySync } from "./inventory-sync.ts";
import type { StoredTwin } from "./stored.ts";

export interface TwinSyncHost {
  /** Begins to read the twin; what it shows is told to `stored`. @returns false if that cannot be done now. */
  fetch(): boolean;
  /** Sends a probe, unless one is under way and `again` is false. @returns the number of the probe sent now, if any. */
  probe(again: boolean): number | undefined;
  /** Highest number of a message that the daemon has answered. */
  proven(): number;
  /** Whether the outcome of a command depends on the next inventory. */
  strict(): boolean;
  /** Has the device put a mark into its twin. @returns the correlation id that it will show; undefined if nothing was sent. */
  mark(): string | undefined;
  knownIds(): Iterable<string>;
  /** Whether this process may ask: not a standby that is in sync. */
  active(): boolean;
  /** @param provenSeq every message with a smaller number has ended, or never arrived, and its effects are in. */
  complete(gone: readonly string[], provenSeq: number): void;
  /** The inventory was complete and is not any more. */
  incomplete(): void;
  /** Why it cannot be complete yet, for people. */
  stuck(message: string): void;
}

/** Quiet after an answer before the events behind it count as arrived, as a part of the probe timeout: 2 s of 10 s. */
const QUIET_PART = 5;
/** The longer quiet, in probe timeouts: 30 s with 10 s. */
const LONG_QUIET = 3;
/** After so many probe timeouts a mark that has not shown was lost, and another one is put. */
const MARK_TIMES = 6;
/** A device that never is quiet, e.g. in a crash loop, is waited for this many times. */
const MAX_STIRS = 5;
/** Delay between passes that nobody needs at once, ms. */
const CALM_MS = 1_000;
/** The pause after a twin that is not complete doubles this often. */
const MAX_DOUBLINGS = 5;

const NEVER_REGISTERED =
  "the thing in Ditto shows no ContainerFactory: the device has published nothing since the thing was made or emptied; check that its twin events reach Ditto, then have everything published again, e.g. systemctl restart container-management";
const LOST =
  "the device lists containers that its thing in Ditto does not show: an event was lost, or the thing is at its size limit (100 kB unless configured); restart container-management on the device to have everything published again";

const LAGS =
  "what the device tells does not reach its thing in Ditto, although it answers: the road of its events is backed up or broken";

type Phase =
  | { kind: "Rest" }
  /** Waits for an answer, or to try again. */
  | { kind: "Ask" }
  /** Answered; `barrier` is what that proves. 0 on a standby, where nothing is asked. */
  | { kind: "Quiet"; barrier: number; stirs: number; mark: Mark | undefined }
  | { kind: "Read"; barrier: number; mark: Mark | undefined };

interface Mark {
  id: string;
  putMs: number;
}

export class TwinSync implements InventorySync {
  /** Nothing is announced: the twin is read. */
  readonly announcedSeq = 0;
  /** The twin counts its changes, and what comes of it comes in that order. */
  readonly collecting = true;
  readonly #clock: BackendClock;
  readonly #probeTimeoutMs: number;
  readonly #host: TwinSyncHost;
  #phase: Phase = { kind: "Rest" };
  /** A pass must tell the outcome of every message up to this number. */
  #wanted: number | undefined;
  /** What was answered before this proves nothing of now. */
  #floor = 0;
  #complete = false;
  #listed: readonly string[] | undefined;
  /** Created, by the device's own word, and not shown yet. */
  readonly #expected = new Set<string>();
  #failures = 0;
  #told: string | undefined;
  #lastCompleteMs = Number.NEGATIVE_INFINITY;
  #timer: unknown;
  #doubt: unknown;

  constructor(clock: BackendClock, probeTimeoutMs: number, host: TwinSyncHost) {
    this.#clock = clock;
    this.#probeTimeoutMs = probeTimeoutMs;
    this.#host = host;
  }

  get pending(): boolean {
    return this.#wanted !== undefined;
  }

  request(afterSeq: number, calm = false): void {
    this.#wanted = Math.max(this.#wanted ?? 0, afterSeq, this.#floor);
    if (this.#phase.kind !== "Rest") return;
    const restMs = this.#lastCompleteMs + CALM_MS - this.#clock.monotonic();
    if (calm && restMs > 0) this.#arm(restMs);
    else this.#advance();
  }

  retry(): void {
    if (this.#phase.kind === "Rest" && this.#timer === undefined) this.#advance();
  }

  opened(): void {
    this.#told = undefined;
    this.#failures = 0;
  }

  heard(): void {
    // With a mark it is the mark that counts, and what comes may be it.
    if (this.#phase.kind !== "Quiet" || this.#phase.stirs >= MAX_STIRS) return;
    this.#phase.stirs += 1;
    this.#arm(this.#quietMs);
  }

  featurePublished(): void {}

  featureRemoved(externalId: string): void {
    this.#expected.delete(externalId);
  }

  /** The device has registered: whatever the twin lacked is there now, and what it lacks now is not. */
  factoryPublished(): boolean {
    this.#expected.clear();
    if (!this.#complete && this.#wanted !== undefined && this.#failures > 0) {
      this.#failures = 0;
      if (this.#phase.kind === "Ask") this.#advance();
    }
    return true;
  }

  listed(externalIds: readonly string[]): void {
    this.#listed = externalIds;
    this.#watchList();
  }

  mentioned(externalId: string): void {
    this.#expected.add(externalId);
  }

  /**
   * The twin was read.
   *
   * @param asked since the last `fetch`, and not before.
   */
  stored(twin: StoredTwin, asked: boolean): void {
    this.#listed = twin.listed;
    for (const id of twin.ids) this.#expected.delete(id);
    if (this.#phase.kind === "Read" && asked) {
      this.#judge(twin, this.#phase);
      return;
    }
    const known = new Set(twin.ids);
    // Something went without a word that reached us.
    if (this.#complete && [...this.#host.knownIds()].some((id) => !known.has(id))) this.request(this.#host.proven());
    this.#watchList();
  }

  provenChanged(): void {
    if (this.#phase.kind === "Ask" || this.#phase.kind === "Rest") this.#advance();
  }

  abandon(): void {
    this.#floor = this.#host.proven();
    this.#wanted = undefined;
    this.#complete = false;
    this.#rest();
  }

  close(): void {
    this.#wanted = undefined;
    this.#rest();
    this.#clock.clearTimeout(this.#doubt);
    this.#doubt = undefined;
  }

  get #quietMs(): number {
    return this.#probeTimeoutMs / QUIET_PART;
  }

  #advance(): void {
    if (this.#wanted === undefined) return;
    if (!this.#host.active()) {
      this.#quiet(0);
      return;
    }
    if (this.#host.proven() > this.#wanted) {
      this.#quiet(this.#host.proven());
      return;
    }
    this.#host.probe(false);
    this.#ask(this.#probeTimeoutMs);
  }

  #ask(delayMs: number): void {
    this.#phase = { kind: "Ask" };
    this.#arm(delayMs);
  }

  #quiet(barrier: number): void {
    const strict = barrier > 0 && this.#host.strict();
    const id = strict && this.#listed !== undefined ? this.#host.mark() : undefined;
    const mark = id === undefined ? undefined : { id, putMs: this.#clock.monotonic() };
    this.#phase = { kind: "Quiet", barrier, stirs: 0, mark };
    this.#arm(strict && mark === undefined ? this.#probeTimeoutMs * LONG_QUIET : this.#quietMs);
  }

  /** The mark has not come through. */
  #awaitMark(barrier: number, mark: Mark): void {
    const waitedMs = this.#clock.monotonic() - mark.putMs;
    if (waitedMs > this.#probeTimeoutMs * MARK_TIMES) {
      this.#tell(LAGS);
      this.#quiet(barrier);
      return;
    }
    this.#phase = { kind: "Quiet", barrier, stirs: 0, mark };
    this.#arm(Math.min(this.#quietMs + waitedMs / 2, this.#probeTimeoutMs));
  }

  #expired(): void {
    this.#timer = undefined;
    const phase = this.#phase;
    switch (phase.kind) {
      case "Rest":
      case "Ask":
        this.#advance();
        return;
      case "Quiet":
        this.#phase = { kind: "Read", barrier: phase.barrier, mark: phase.mark };
        this.#arm(this.#probeTimeoutMs);
        this.#host.fetch();
        return;
      case "Read":
        // It failed, or takes long.
        this.#arm(this.#probeTimeoutMs);
        this.#host.fetch();
        return;
      default:
        phase satisfies never;
    }
  }

  #judge(twin: StoredTwin, { barrier, mark }: { barrier: number; mark: Mark | undefined }): void {
    if (mark !== undefined && twin.lastOperation !== mark.id) {
      this.#awaitMark(barrier, mark);
      return;
    }
    const shown = new Set(twin.ids);
    const lacking = this.#expected.size > 0 || twin.listed?.some((id) => !shown.has(id)) === true;
    if (!twin.registered || lacking) {
      this.#failed(twin.registered ? LOST : NEVER_REGISTERED);
      return;
    }
    this.#rest();
    const wanted = this.#wanted ?? 0;
    // A standby asks nothing: what the twin shows is all that it can have.
    this.#wanted = barrier === 0 || barrier > wanted ? undefined : wanted;
    this.#lastCompleteMs = this.#clock.monotonic();
    this.#complete = true;
    this.#failures = 0;
    this.#told = undefined;
    this.#host.complete(
      [...this.#host.knownIds()].filter((id) => !shown.has(id)),
      barrier,
    );
    if (this.#phase.kind === "Rest") this.#advance();
  }

  /** The twin is not complete. A list may overtake a feature, so the first time says little. */
  #failed(message: string): void {
    this.#failures += 1;
    if (this.#failures > 1) {
      if (this.#complete) {
        this.#complete = false;
        this.#host.incomplete();
      }
      this.#tell(message);
    }
    const doublings = Math.min(this.#failures - 1, MAX_DOUBLINGS);
    // What was answered so far is no news any more by then.
    this.#wanted = Math.max(this.#wanted ?? 0, this.#host.proven());
    this.#ask(this.#quietMs * 2 ** doublings);
  }

  #tell(message: string): void {
    if (this.#told === message) return;
    this.#told = message;
    this.#host.stuck(message);
  }

  /** A container that is listed and not shown for a while: an event was lost. */
  #watchList(): void {
    const known = new Set(this.#host.knownIds());
    const lacking = this.#listed?.some((id) => !known.has(id)) === true;
    if (!lacking) {
      this.#clock.clearTimeout(this.#doubt);
      this.#doubt = undefined;
      return;
    }
    if (!this.#complete || this.#doubt !== undefined) return;
    this.#doubt = this.#clock.setTimeout(() => {
      this.#doubt = undefined;
      this.request(this.#host.proven());
    }, this.#probeTimeoutMs);
  }

  #rest(): void {
    this.#phase = { kind: "Rest" };
    this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #arm(delayMs: number): void {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = this.#clock.setTimeout(() => this.#expired(), delayMs);
  }
}
