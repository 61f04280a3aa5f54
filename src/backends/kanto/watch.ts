/**
 * The whole inventory of a device that cannot be asked for it: behind a connector nobody but the connector can announce an identity, and
 * container-management has no operation that lists containers. What there is instead:
 *
 *  - With each registration (start of the daemon, its reconnection to the device's broker) it publishes every container in full.
 *  - Its SoftwareUpdatable feature lists the ids of all containers, with each registration and after each creation and removal, always as
 *    a whole map (containerm/things/features_software_updatable*.go, installedDependencies). It says nothing else of them.
 *
 * So the inventory is complete when every id of the newest list was published in full on an unbroken stream of events, whoever caused it
 * and in whatever order. From then on it is followed: each change is an event. Where SoftwareUpdatable is switched off on the device, the
 * list is what lies between two registrations.
 *
 * A pass is then only a question of time: something must be answered that was sent after what is to be known (the daemon handles messages
 * strictly in order), and the events behind that answer, which travel apart from it and may be flushed in bulk by a connector that was away,
 * must have come. So after the answer it waits until the device has been quiet for a moment.
 *
 * An id in a list that never appears means that an event was lost on the way: then the inventory is not complete any more, nothing is
 * created, and people are told.
 */
import type { BackendClock } from "../contract.ts";
import { MOST_CONTAINERS } from "./inventory.ts";
import type { InventorySync } from "./inventory-sync.ts";

export interface WatchHost {
  /** Sends a probe, unless one is under way and `again` is false. @returns the number of the probe sent now, if any. */
  probe(again: boolean): number | undefined;
  /** Highest number of a message that the daemon has answered. */
  proven(): number;
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
/** A device that never is quiet, e.g. in a crash loop, is waited for this many times. */
const MAX_STIRS = 5;
/** Delay between passes that nobody needs at once, ms. */
const CALM_MS = 1_000;
/** Ids that are remembered as published, or as spoken of: far more than are kept of one device (inventory.ts). */
const MOST_IDS = 4 * MOST_CONTAINERS;

const NEVER_LISTED =
  "the device has not published its containers since Drayage listens, and through a connector it cannot be asked to: it does so when its container-management (re)starts or reconnects to its own broker, e.g. systemctl restart container-management (running containers with a restart policy come back)";
const LOST =
  "the device lists containers that it has not published to Drayage: an event was lost between the device and the cloud broker; restart container-management on the device to have everything published again";

export class Watch implements InventorySync {
  readonly announcedSeq = 0;
  readonly #clock: BackendClock;
  readonly #probeTimeoutMs: number;
  readonly #host: WatchHost;
  /** Published in full on this stream, and not removed. */
  #published = new Set<string>();
  /** The newest list of ids; undefined until one came on this stream. */
  #listed: ReadonlySet<string> | undefined;
  /** Published since the last factory; undefined until one was seen. For devices that list nothing. */
  #window: Set<string> | undefined;
  /** What the last two factories enclosed, for devices that list nothing. */
  #enclosed: Set<string> | undefined;
  #complete = false;
  /** A pass must tell the outcome of every message up to this number. */
  #wanted: number | undefined;
  /** The answered message that ends the pass once the device is quiet. */
  #barrier: number | undefined;
  /** The last probe that was sent for this pass. */
  #asked = 0;
  /** What was answered up to here says nothing of the stream as it is now. */
  #floor = 0;
  #stirs = 0;
  #lastCompleteMs = Number.NEGATIVE_INFINITY;
  #told: string | undefined;
  #timer: unknown;
  #doubt: unknown;

  constructor(clock: BackendClock, probeTimeoutMs: number, host: WatchHost) {
    this.#clock = clock;
    this.#probeTimeoutMs = probeTimeoutMs;
    this.#host = host;
  }

  /** Nothing can be asked for: what is published is all there is. */
  readonly collecting = true;

  get pending(): boolean {
    return this.#wanted !== undefined;
  }

  request(afterSeq: number, calm = false): void {
    // What was answered before this process, or before a gap, tells nothing of now.
    this.#wanted = Math.max(this.#wanted ?? 0, afterSeq, this.#floor);
    const restMs = this.#lastCompleteMs + CALM_MS - this.#clock.monotonic();
    if (calm && restMs > 0 && this.#barrier === undefined) this.#arm(restMs);
    else this.#advance();
  }

  retry(): void {
    if (this.#barrier === undefined && this.#timer === undefined) this.#advance();
  }

  opened(resumed: boolean): void {
    if (resumed) return;
    this.#published = new Set();
    this.#listed = undefined;
    this.#window = undefined;
    this.#enclosed = undefined;
    this.#complete = false;
    this.#told = undefined;
    this.#trust();
  }

  heard(): void {
    if (this.#barrier === undefined || this.#stirs >= MAX_STIRS) return;
    this.#stirs += 1;
    this.#arm(this.#quietMs);
  }

  featurePublished(externalId: string): void {
    // With so many the inventory has left some out, and is incomplete for that.
    if (this.#published.size < MOST_IDS) this.#published.add(externalId);
    if (this.#window !== undefined && this.#window.size < MOST_IDS) this.#window.add(externalId);
    this.#judge();
  }

  featureRemoved(externalId: string): void {
    this.#published.delete(externalId);
    this.#window?.delete(externalId);
    // The next list, without it, is on its way.
    if (this.#listed?.has(externalId) === true) {
      this.#listed = new Set([...this.#listed].filter((id) => id !== externalId));
    }
    this.#judge();
  }

  factoryPublished(): boolean {
    const former = this.#enclosed;
    this.#enclosed = this.#window;
    this.#window = new Set();
    if (this.#listed === undefined && former !== undefined && this.#enclosed !== undefined) {
      // Missing from two registrations: gone. The daemon logs a publication that failed, and goes on.
      this.#published = new Set([...former, ...this.#enclosed]);
    }
    this.#judge();
    return true;
  }

  listed(externalIds: readonly string[]): void {
    const former = this.#listed ?? new Set<string>();
    this.#listed = new Set(externalIds);
    // On the list before and not any more: removed, also if the event of the removal itself was lost. One that was never on a list is new.
    const listed = this.#listed;
    const removed = [...former].filter((id) => !listed.has(id));
    for (const id of removed) this.#published.delete(id);
    this.#judge();
    if (this.#complete && removed.length > 0) this.request(this.#host.proven(), true);
  }

  mentioned(externalId: string): void {
    // Of so many some are missing already.
    if (this.#listed === undefined || this.#published.has(externalId) || this.#listed.size > MOST_IDS) return;
    this.#listed = new Set(this.#listed).add(externalId);
    this.#judge();
  }

  provenChanged(): void {
    if (this.#wanted !== undefined && this.#barrier === undefined) this.#advance();
  }

  abandon(): void {
    this.#floor = this.#host.proven();
    this.#wanted = undefined;
    this.#told = undefined;
    this.#rest();
  }

  close(): void {
    this.#wanted = undefined;
    this.#rest();
    this.#trust();
  }

  get #quietMs(): number {
    return this.#probeTimeoutMs / QUIET_PART;
  }

  /** Whether every container that is there has been published in full. */
  #judge(): void {
    const required = this.#listed ?? this.#enclosed;
    if (required?.values().every((id) => this.#published.has(id)) === true) {
      this.#trust();
      const before = this.#complete;
      this.#complete = true;
      if (!before) this.request(this.#host.proven());
      return;
    }
    // A list may overtake the feature of a new container; it does not stay ahead.
    if (this.#complete && this.#doubt === undefined) {
      this.#doubt = this.#clock.setTimeout(() => this.#lost(), this.#probeTimeoutMs);
    }
  }

  #trust(): void {
    this.#clock.clearTimeout(this.#doubt);
    this.#doubt = undefined;
  }

  #lost(): void {
    this.#doubt = undefined;
    this.#complete = false;
    this.#rest();
    this.#host.incomplete();
    this.#tell(LOST);
  }

  #advance(): void {
    if (this.#wanted === undefined || this.#barrier !== undefined) return;
    if (!this.#complete) {
      // Presence may be found out meanwhile; the inventory comes when the device chooses.
      this.#arm(this.#probeTimeoutMs);
      return;
    }
    const proven = this.#host.proven();
    if (proven > this.#wanted) {
      this.#barrier = proven;
      this.#stirs = 0;
      this.#arm(this.#quietMs);
      return;
    }
    if (this.#asked <= this.#wanted && this.#host.active()) this.#asked = this.#host.probe(true) ?? this.#asked;
    this.#arm(this.#probeTimeoutMs);
  }

  #expired(): void {
    this.#timer = undefined;
    if (this.#barrier !== undefined) {
      this.#finish(this.#barrier);
      return;
    }
    if (this.#wanted === undefined) return;
    if (!this.#complete) {
      this.#tell(this.#listed === undefined ? NEVER_LISTED : LOST);
      return;
    }
    if (this.#host.proven() > this.#wanted || this.#asked <= this.#wanted) {
      this.#advance();
      return;
    }
    // No word: presence decides whether the device is there.
    if (this.#host.active()) this.#host.probe(false);
    this.#arm(this.#probeTimeoutMs);
  }

  #finish(barrier: number): void {
    this.#rest();
    if (!this.#complete) return;
    if (this.#wanted !== undefined && barrier > this.#wanted) this.#wanted = undefined;
    this.#lastCompleteMs = this.#clock.monotonic();
    this.#told = undefined;
    this.#host.complete(
      [...this.#host.knownIds()].filter((id) => !this.#published.has(id)),
      barrier,
    );
    this.#advance();
  }

  #tell(message: string): void {
    if (this.#told === message) return;
    this.#told = message;
    this.#host.stuck(message);
  }

  #rest(): void {
    this.#barrier = undefined;
    this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #arm(delayMs: number): void {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = this.#clock.setTimeout(() => this.#expired(), delayMs);
  }
}
