/**
 * A device's session, over whatever link carries its envelopes (transport.ts): puts together what the daemon publishes (inventory.ts), whether it is there (presence.ts), full
 * inventories (sync.ts) and the one command in flight (slot.ts). Everything here happens in the turn of an incoming message, a timer or a
 * call; nothing waits.
 */
import type {
  Command,
  ContainerUsage,
  DeviceSession,
  DeviceSnapshot,
  Dispatch,
  ObservedContainer,
  SessionEvent,
} from "../contract.ts";
import type { EdgeDeviceSpec } from "../../crds/edge-device.ts";
import { Announcer } from "./announcer.ts";
import { CommandDesk } from "./command-desk.ts";
import { Completeness } from "./completeness.ts";
import { createSync } from "./create-sync.ts";
import { readConnectorStatus } from "./envelope.ts";
import { takeEvent, type FeedHost } from "./feed.ts";
import { Identity } from "./identity.ts";
import { Inventory } from "./inventory.ts";
import type { InventorySync } from "./inventory-sync.ts";
import { Outbox } from "./outbox.ts";
import type { SessionDeps, SessionOptions } from "./parts.ts";
import { Presence, type Believed } from "./presence.ts";
import { Reports } from "./reports.ts";
import { SafetyNet } from "./safety-net.ts";
import { Standing } from "./standing.ts";
import { takeStored } from "./stored.ts";
import type { KantoTarget } from "./topics.ts";
import type { Inbound, Link } from "./transport.ts";

export class KantoSession implements DeviceSession {
  readonly targetKey: string;
  readonly target: KantoTarget;
  readonly #deps: SessionDeps;
  readonly #link: Link;
  readonly #inventory: Inventory;
  readonly #outbox: Outbox;
  readonly #identity: Identity;
  readonly #announcer: Announcer;
  readonly #presence: Presence;
  readonly #sync: InventorySync;
  readonly #desk: CommandDesk;
  readonly #standing: Standing;
  readonly #reports: Reports;
  /** Only where a full inventory can be asked for. */
  readonly #safetyNet: SafetyNet | undefined;
  readonly #listeners = new Set<(event: SessionEvent) => void>();
  readonly #feedHost: FeedHost = {
    askable: () => this.#link.traits.inventory === "Announce",
    changed: (externalId, container) => {
      this.#desk.runner.noteChange(externalId);
      this.#emitContainer(externalId, container);
    },
    registered: () => this.#onRegistered(),
    // The first full inventory will tell by itself.
    doubtful: (reason) => (this.#known.synced || !this.#sync.pending ? this.resync(reason) : undefined),
    malformed: (kind) => this.#malformed(kind),
    usage: (value) => this.#reports.metering.reported(value),
    tooMuch: (externalId) => this.#onTooMuch(externalId),
    settled: (externalId) => this.#onSettled(externalId),
  };
  /** Subscribed on the open connection. */
  #online = false;
  #closed = false;
  /** The daemon asked who it is since its last registration, as it does after each connect. */
  #asked = false;
  readonly #known = new Completeness();

  constructor(options: SessionOptions, deps: SessionDeps) {
    const { clock } = deps;
    this.targetKey = options.targetKey;
    this.target = options.target;
    this.#deps = deps;
    this.#inventory = new Inventory(() => clock.now());
    this.#link = deps.attach(options.target, {
      up: (resumed) => this.opened(resumed),
      down: () => this.disconnected(),
      refused: (message) => this.refused(message),
      receive: (inbound) => this.receive(inbound),
    });
    this.#outbox = new Outbox(options.target, this.#link, clock, () => this.#desk.slot.flight?.sent?.seq);
    const watchful = deps.observeFence ?? deps.fence;
    this.#identity = new Identity(options.target, options.tenant, {
      clock,
      patienceMs: options.probeTimeoutMs,
      mayAnswer: () => options.answerIdentity && this.#online && watchful.valid(),
      send: (payload) => this.#outbox.announce(payload),
      notice: (notice) => deps.notice(notice),
    });
    this.#announcer = new Announcer(options, {
      outbox: this.#outbox,
      identity: this.#identity,
      known: this.#known,
      watchful,
      online: () => this.#online && !this.#closed,
    });
    this.#desk = new CommandDesk(options, deps, {
      presence: () => this.#presence,
      standing: () => this.#standing,
      sync: () => this.#sync,
      known: this.#known,
      inventory: this.#inventory,
      outbox: this.#outbox,
      closed: () => this.#closed,
      online: () => this.#online,
      fetches: this.#link.traits.inventory === "Fetch",
      malformed: (kind) => this.#malformed(kind),
      emit: (event) => this.#emit(event),
      // Whoever waited for the slot has it by now, or comes soon enough.
      ended: () => this.#reports.metering.pump(),
    });
    this.#presence = new Presence(clock, this.#outbox, options, {
      busy: () => this.#desk.slot.busy,
      overdue: () => this.#desk.slot.overdue,
      mayProbe: () => this.#online && (watchful.valid() || this.#presence.believed === "Unknown"),
      knock: () => this.#knock(),
      changed: (from, to) => this.#onPresence(from, to),
    });
    this.#standing = new Standing(clock, options.probeTimeoutMs, this.#presence, this.#desk.slot, {
      online: () => this.#online,
      known: this.#known,
      brokerMessage: () => deps.brokerMessage(),
      changed: (state) => this.#emit({ type: "Connection", state }),
      stillInFlight: () => (this.#link.traits.confirmedByReply === true ? undefined : this.#desk.runner.doubt()),
    });
    this.#sync = createSync(this.#link, clock, options.probeTimeoutMs, {
      probe: (again, fresh) => (this.#online ? this.#presence.probe(again, fresh) : undefined),
      proven: () => this.#outbox.proven,
      knownIds: () => this.#inventory.ids(),
      active: () => watchful.valid() || !this.#known.synced,
      complete: (gone, provenSeq) => this.#onComplete(gone, provenSeq),
      stuck: (message) => this.#onStuck(message),
      strict: () => this.#desk.slot.flight?.sent !== undefined || this.#desk.settlement.waiting,
      mark: () => this.#announcer.mark(),
      incomplete: () => this.#known.lost(),
      announce: () => this.#announcer.fresh(),
      busy: () => this.#desk.slot.busy,
    });
    if (this.#link.traits.inventory !== "Watch") {
      this.#safetyNet = new SafetyNet(clock, options.observeIntervalMs, this.targetKey, {
        calm: () => this.#reports.calm,
        resync: () => this.resync("now and then"),
      });
    }
    this.#reports = new Reports(options, deps, this.#link.traits.inventory !== "Fetch", this.#outbox, this.#inventory, {
      idle: () => this.#online && !this.#closed && this.#desk.slot.flight === undefined && watchful.valid(),
      settled: () => this.#known.synced && this.#presence.believed === "Connected" && !this.#sync.pending,
      probe: () => void (this.#online && watchful.valid() && this.#presence.probe(true)),
    });
  }

  // The contract.

  snapshot(): DeviceSnapshot {
    const { lastSeenMs } = this.#presence;
    const inFlight = this.#desk.slot.inFlight();
    const message = this.#standing.message();
    const { problem } = this.#known;
    return {
      connection: this.#standing.connection(),
      ...(lastSeenMs !== undefined && { lastSeenMs }),
      ...(message !== undefined && { message }),
      synced: this.#known.complete,
      syncCount: this.#known.syncCount,
      ...(problem !== undefined && !this.#known.synced && { obstacle: problem }),
      containers: this.#inventory.list(),
      ...(inFlight !== undefined && { inFlight }),
    };
  }

  subscribe(listener: (event: SessionEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  execute(command: Command): Dispatch {
    return this.#desk.execute(command);
  }

  settle(operationId: string): "Open" | "Closed" {
    return this.#desk.settle(operationId);
  }

  resync(reason: string): void {
    if (this.#closed) return;
    this.#deps.log.debug({ target: this.targetKey, reason }, "full inventory asked for");
    this.#sync.request(this.#outbox.sent, true);
  }

  configure(device: EdgeDeviceSpec): void {
    this.#reports.configure(device);
  }

  usage(): ReadonlyMap<string, ContainerUsage> {
    return this.#reports.metering.usage();
  }

  close(reason: "Left" | "Ending" = "Left"): Promise<void> {
    if (!this.#closed) {
      this.#reports.metering.close(reason === "Left");
      this.#safetyNet?.stop();
      this.#closed = true;
      this.#online = false;
      this.#listeners.clear();
      this.#standing.close();
      this.#identity.close();
      this.#desk.slot.abandon();
      this.#presence.close();
      this.#sync.close();
      this.#link.close();
      this.#deps.closed(this);
    }
    return Promise.resolve();
  }

  // What the link reports.

  /** Answers and events of the device reach us. */
  opened(resumed = false): void {
    if (this.#closed) return;
    this.#online = true;
    this.#known.opened(resumed);
    this.#announcer.opened();
    this.#sync.opened(resumed);
    const { sent } = this.#outbox;
    this.#sync.request(sent);
    // The registration that was just asked for is the best probe; one more message would wait behind it, and so would other processes'.
    if (this.#link.traits.inventory === "Announce" && this.#outbox.sent > sent) this.#presence.expect();
    else this.#presence.probe(true);
    this.#standing.show();
  }

  /** They do no longer. */
  disconnected(): void {
    if (this.#closed) return;
    this.#online = false;
    this.#outbox.disconnected();
    this.#lose("the connection to the broker was lost: nothing was sent");
    this.#presence.disconnected();
    this.#standing.show();
  }

  /** They may not. */
  refused(message: string): void {
    this.#known.refused(message);
    this.#standing.show();
  }

  /** Something of the device, or about it. */
  receive(inbound: Inbound): void {
    if (this.#closed) return;
    switch (inbound.kind) {
      case "IdentityRequest":
        this.#asked = true;
        this.#identity.requested();
        return;
      case "IdentityResponse":
        if (!this.#identity.announced(inbound.payload)) {
          this.#malformed("Identity");
          // A daemon takes any JSON object for its new identity and is deaf under the old one, until it is told better.
          this.resync("somebody announced an identity that is none");
        }
        return;
      case "Response":
        this.#onResponse(inbound.requestId, inbound.status, inbound.payload);
        return;
      case "Event":
        this.#presence.heard();
        takeEvent(this.target.thingId, inbound.payload, this.#inventory, this.#sync, this.#feedHost);
        return;
      case "Stored":
        this.#onStored(inbound.payload, inbound.asked);
        return;
      case "NoReply":
        this.#presence.unanswered(inbound.requestId);
        this.#desk.runner.unanswered(inbound.requestId);
        return;
      case "ConnectorStatus":
        this.#onConnectorStatus(inbound.payload);
        return;
      default:
        inbound satisfies never;
    }
  }

  // Commands.

  #onResponse(requestId: string, status: number, payload: string): void {
    const other = this.#presence.answered(requestId) ?? this.#reports.metering.answered(requestId, status);
    this.#presence.heard();
    if (other === undefined) this.#desk.runner.answered(requestId, status, payload);
    else this.#desk.proven(other);
    this.#sync.provenChanged();
    this.#reports.metering.pump();
  }

  // Inventory and presence.

  #onStored(payload: string, asked: boolean): void {
    this.#known.begun();
    const twin = takeStored(payload, this.#inventory, this.#feedHost);
    if (twin === undefined) this.#malformed("Stored");
    else this.#sync.stored?.(twin, asked);
  }

  #onStuck(message: string): void {
    this.#known.stuck(message);
    this.#deps.log.warn({ target: this.targetKey }, message);
    this.#standing.show();
    // Nothing else tells that the inventory is not to be had.
    this.#emit({ type: "Connection", state: this.#standing.connection() });
  }

  #onRegistered(): void {
    const justConnected = this.#asked;
    this.#asked = false;
    this.#outbox.registered(this.#sync.announcedSeq, justConnected);
    this.#reports.metering.registered();
    const foreign = this.#sync.factoryPublished() || justConnected;
    // The daemon has gone through a registration that was not ours: what was sent to it before may be lost.
    if (foreign && this.#desk.slot.flight !== undefined) this.#sync.request(this.#outbox.sent);
  }

  #knock(): void {
    if (this.#link.traits.inventory === "Announce") this.#announcer.fresh();
    else this.#presence.probe(true);
  }

  /** More than is kept of one device: nothing is done to it until that has changed, for nothing can be known to be absent. */
  #onTooMuch(externalId: string): void {
    this.#malformed("TooMuch");
    if (this.#known.leaveOut(externalId)) this.#standing.show();
  }

  /** What was left out before is kept now, or gone. Where everything can be asked for, a pass tells that. */
  #onSettled(externalId: string): void {
    if (this.#link.traits.inventory === "Watch" && this.#known.settled(externalId))
      this.#sync.request(this.#outbox.sent);
  }

  #onComplete(gone: readonly string[], announcedSeq: number): void {
    const removed = gone.flatMap((externalId) => this.#inventory.remove(externalId) ?? []);
    this.#known.completed();
    this.#safetyNet?.arm();
    const asked = this.#desk.settlement.inventoryCame(announcedSeq);
    for (const container of removed) this.#emitContainer(container.externalId, container);
    this.#standing.show();
    this.#emit({ type: "Synced" });
    this.#desk.inventoryCame(announcedSeq);
    if (asked !== undefined) this.#sync.request(asked);
    this.#reports.metering.pump();
  }

  /** The device is out of reach, in whatever way. */
  #lose(why: string): void {
    this.#known.lost();
    this.#desk.runner.away(why);
    this.#sync.abandon();
    this.#safetyNet?.stop();
    this.#reports.metering.away();
  }

  #onPresence(from: Believed, to: Believed): void {
    if (to === "Offline") this.#lose("the device does not answer: nothing was sent");
    if (to === "Connected") {
      this.#known.present();
      // Any pass on this connection will do.
      if (!this.#known.synced && this.#online) this.#sync.request(0);
    }
    this.#deps.log.info({ target: this.targetKey, from, to }, "presence of the device changed");
    this.#standing.show();
  }

  #onConnectorStatus(payload: string): void {
    const connected = readConnectorStatus(payload);
    if (connected === undefined) this.#malformed("ConnectorStatus");
    else if (connected) this.#presence.probe(true);
    else this.#presence.gone();
  }

  #malformed(kind: string): void {
    this.#deps.malformed(kind, this.#link.where);
  }

  #emitContainer(externalId: string, container: ObservedContainer | undefined): void {
    this.#emit({ type: "Container", externalId, ...(container?.marker !== undefined && { marker: container.marker }) });
  }

  #emit(event: SessionEvent): void {
    for (const listener of this.#listeners) listener(event);
  }
}
