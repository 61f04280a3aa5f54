/**
 * Getting the whole inventory of a device, over a link on which it can be asked for.
 *
 * Nothing on a device's own broker can be asked for its containers. But a re-announced identity with another policy id makes the daemon
 * register again and re-publish every feature, containers first and the ContainerFactory after them (things/client/client_internal.go,
 * handleThingResponse; containerm/things/features_container_factory.go, register). A pass is: announce, collect, see the factory, then
 * have a probe answered that was sent after that. The answer proves three things: the whole list has been published (the handler of the
 * announcement returns only then), everything sent before the announcement has been handled, and the daemon takes commands (after a
 * reconnect it subscribes to them only once it has published everything).
 *
 * A container that was known and is missing from a pass must be missing from a second one before it counts as gone: the daemon logs a
 * failed publication and goes on, and a container taken for gone would be made twice.
 */
import type { BackendClock } from "../contract.ts";
import type { InventorySync } from "./inventory-sync.ts";

export interface SyncHost {
  /** Announces the identity with a fresh policy id; undefined if that cannot or may not be done now. */
  announce(): number | undefined;
  /** Sends a probe, unless one is under way and `again` is false, which it is until the factory was seen. @returns the number of the probe sent now, if any. */
  probe(again: boolean): number | undefined;
  /** Highest number of a message that the daemon has answered. */
  proven(): number;
  knownIds(): Iterable<string>;
  /** A command of ours runs within its timeout: silence means nothing. */
  busy(): boolean;
  /** Whether passes may be confirmed and foreign ones used: not on a standby that is in sync. */
  active(): boolean;
  /**
   * The inventory is complete.
   *
   * @param announcedSeq number of our announcement; 0 if somebody else's was used.
   */
  complete(gone: readonly string[], announcedSeq: number): void;
  /** The device answers, but re-publishes nothing. */
  stuck(message: string): void;
}

/**
 * After the factory was seen the daemon may still be subscribing to commands: a probe is repeated this soon, ms. Not sooner: a daemon that is
 * merely still publishing reads nothing any more once three messages wait (outbox.ts), and ours may not be the only process that asks.
 */
const QUICK_RETRIES_MS = [250, 1_000] as const;
/** Delay between passes that nobody needs at once, ms. */
const CALM_MS = 1_000;
/** The pause after a pass without any re-publication doubles this often. */
const MAX_DOUBLINGS = 5;

interface Pass {
  announcedSeq: number;
  /** Containers that were published in full since. */
  marks: Set<string>;
  factorySeen: boolean;
  /** Number of the last probe sent after the factory was seen. */
  probeSeq?: number;
  retries: number;
  /** Containers missing from the pass before: gone if missing from this one too. */
  suspects: ReadonlySet<string> | undefined;
}

export class Sync implements InventorySync {
  readonly #clock: BackendClock;
  readonly #probeTimeoutMs: number;
  readonly #host: SyncHost;
  #pass: Pass | undefined;
  /** A pass is wanted as soon as one is possible. */
  #wanted = false;
  /** Published in full since the last factory; undefined until one was seen on this connection. */
  #window: Set<string> | undefined;
  #attempts = 0;
  #lastCompleteMs = Number.NEGATIVE_INFINITY;
  #timer: unknown;

  constructor(clock: BackendClock, probeTimeoutMs: number, host: SyncHost) {
    this.#clock = clock;
    this.#probeTimeoutMs = probeTimeoutMs;
    this.#host = host;
  }

  get announcedSeq(): number {
    return this.#pass?.announcedSeq ?? 0;
  }

  get pending(): boolean {
    return this.#pass !== undefined || this.#wanted;
  }

  /** What is published in full now answers an announcement of ours: it is what there is, whatever was known before. */
  get collecting(): boolean {
    return this.#pass !== undefined && this.#pass.announcedSeq > 0 && !this.#pass.factorySeen;
  }

  /** Wants a pass whose announcement has a number above `afterSeq`; one under way that began later serves. */
  request(afterSeq: number, calm = false): void {
    if (this.#pass !== undefined) {
      if (this.#pass.announcedSeq > afterSeq) return;
      this.#wanted = true;
      return;
    }
    this.#wanted = true;
    const restMs = this.#lastCompleteMs + CALM_MS - this.#clock.monotonic();
    if (calm && restMs > 0) {
      this.#arm(restMs);
      return;
    }
    this.#begin();
  }

  retry(): void {
    if (this.#pass === undefined && this.#wanted) this.#begin();
  }

  /** The session asks for a pass on each connection. */
  opened(): void {}

  heard(): void {}

  /** The features tell more. */
  listed(): void {}

  /** The session asks for a pass. */
  mentioned(): void {}

  featurePublished(externalId: string): void {
    this.#pass?.marks.add(externalId);
    this.#window?.add(externalId);
  }

  featureRemoved(externalId: string): void {
    this.#pass?.marks.delete(externalId);
    this.#window?.delete(externalId);
  }

  /** @returns true if the re-publication was not ours. */
  factoryPublished(): boolean {
    const window = this.#window;
    this.#window = new Set();
    const pass = this.#pass;
    if (pass === undefined) {
      if (window !== undefined && this.#host.active()) {
        this.#pass = { announcedSeq: 0, marks: window, factorySeen: true, retries: 0, suspects: undefined };
        this.#probe();
      }
      return true;
    }
    if (!pass.factorySeen) {
      pass.factorySeen = true;
      pass.retries = 0;
    }
    this.#probe();
    return pass.announcedSeq === 0;
  }

  /** Perhaps the probe that a pass waits for. */
  provenChanged(): void {
    const pass = this.#pass;
    if (pass?.factorySeen !== true || pass.probeSeq === undefined) return;
    if (this.#host.proven() < pass.probeSeq) return;
    this.#finish(pass);
  }

  /** What was collected is worth nothing. */
  abandon(): void {
    this.#pass = undefined;
    this.#window = undefined;
    this.#attempts = 0;
    this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  close(): void {
    this.#wanted = false;
    this.abandon();
  }

  #begin(suspects?: ReadonlySet<string>): void {
    const announcedSeq = this.#host.announce();
    if (announcedSeq === undefined) {
      this.#wanted = true;
      this.#arm(this.#probeTimeoutMs);
      return;
    }
    this.#wanted = false;
    this.#pass = { announcedSeq, marks: new Set(), factorySeen: false, retries: 0, suspects };
    this.#arm(this.#probeTimeoutMs * 2 ** Math.min(this.#attempts, MAX_DOUBLINGS));
  }

  #probe(): void {
    const pass = this.#pass;
    if (pass === undefined) return;
    const seq = this.#host.probe(true);
    if (seq !== undefined) pass.probeSeq ??= seq;
    this.#arm(QUICK_RETRIES_MS[pass.retries] ?? this.#probeTimeoutMs);
  }

  #finish(pass: Pass): void {
    this.#pass = undefined;
    this.#clock.clearTimeout(this.#timer);
    this.#attempts = 0;
    const missing = [...this.#host.knownIds()].filter((externalId) => !pass.marks.has(externalId));
    const confirmed = missing.filter((externalId) => pass.suspects?.has(externalId) === true);
    if (confirmed.length < missing.length && this.#host.active()) {
      this.#begin(new Set(missing));
      return;
    }
    this.#lastCompleteMs = this.#clock.monotonic();
    this.#host.complete(confirmed, pass.announcedSeq);
    if (this.#wanted) this.#begin();
  }

  #arm(delayMs: number): void {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = this.#clock.setTimeout(() => this.#expired(), delayMs);
  }

  #expired(): void {
    const pass = this.#pass;
    if (pass === undefined) {
      this.retry();
      return;
    }
    if (pass.factorySeen) {
      // The daemon was handling messages just now, also while a command of ours is open: only the outbox limits how often it is asked.
      pass.retries += 1;
      this.#probe();
      return;
    }
    if (this.#host.busy()) {
      this.#arm(this.#probeTimeoutMs);
      return;
    }
    if (this.#host.proven() < pass.announcedSeq) {
      // No word at all: presence decides whether the device is there.
      this.#host.probe(false);
      this.#arm(this.#probeTimeoutMs);
      return;
    }
    this.#attempts += 1;
    this.#host.stuck(
      "the device answers but does not re-publish its containers: may this user publish to edge/thing/response, and is the ContainerFactory feature enabled on the device?",
    );
    this.#begin(pass.suspects);
  }
}
