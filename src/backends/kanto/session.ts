/**
 * A device's session, over whatever link carries its envelopes (transport.ts): puts together what the daemon publishes (inventory.ts), whether it is there (presence.ts), full
 * inventories (sync.ts) and the one command in flight (slot.ts). Everything here happens in the turn of an incoming message, a timer or a
 * call; nothing waits.
 */
import { randomUUID } from "node:crypto";
import type {
  AccountNotice,
  BackendClock,
  BackendLog,
  BackendMetrics,
  Command,
  CommandOutcome,
  ContainerUsage,
  DeviceSession,
  DeviceSnapshot,
  Dispatch,
  ObservedContainer,
  SessionEvent,
  WriteFence,
} from "../contract.ts";
import { DEVICE_DEFAULTS } from "../../crds/default-values.ts";
import type { EdgeDeviceSpec } from "../../crds/edge-device.ts";
import { refusal, unreachable } from "./admission.ts";
import type { CommandTimings } from "./commands.ts";
import { markOperation, METRICS_FEATURE, readConnectorStatus } from "./envelope.ts";
import { takeEvent, type FeedHost } from "./feed.ts";
import { Identity } from "./identity.ts";
import { Inventory, MOST_CHARACTERS, MOST_CONTAINERS } from "./inventory.ts";
import type { InventorySync } from "./inventory-sync.ts";
import { Metering } from "./metering.ts";
import { Outbox, type SentRequest } from "./outbox.ts";
import { Presence, type Believed } from "./presence.ts";
import { Runner } from "./runner.ts";
import { SafetyNet } from "./safety-net.ts";
import { operationOf, Settlement } from "./settlement.ts";
import { Slot, type Flight } from "./slot.ts";
import { Standing } from "./standing.ts";
import { Sync } from "./sync.ts";
import { takeStored, type StoredTwin } from "./stored.ts";
import { TwinSync } from "./twin-sync.ts";
import { Watch } from "./watch.ts";
import type { KantoTarget } from "./topics.ts";
import type { Inbound, Link, LinkHandlers } from "./transport.ts";

export interface SessionOptions extends CommandTimings {
  target: KantoTarget;
  targetKey: string;
  tenant: string;
  /** EdgeBackend.spec.kanto.answerIdentity. */
  answerIdentity: boolean;
  observeIntervalMs: number;
  probeTimeoutMs: number;
}

export interface SessionDeps {
  clock: BackendClock;
  log: BackendLog;
  metrics: BackendMetrics;
  fence: WriteFence;
  /** See BackendDeps.observeFence. */
  observeFence?: WriteFence;
  /** The way to the device; calls nothing before it has returned. */
  attach(target: KantoTarget, handlers: LinkHandlers): Link;
  /** Why the broker is out of reach; for people. */
  brokerMessage(): string;
  /** Counts and logs a dropped message. @param kind what it should have been. */
  malformed(kind: string, topic: string): void;
  notice(notice: AccountNotice): void;
  closed(session: KantoSession): void;
}

/** A word of the device that is younger than this counts as a sign that it is there, ms. */
const FRESH_MS = 30_000;

const TOO_MUCH = `the device publishes more than ${MOST_CONTAINERS} containers, or configurations of more than ${MOST_CHARACTERS} characters in all: nothing is done on it until some are removed`;

export class KantoSession implements DeviceSession {
  readonly targetKey: string;
  readonly target: KantoTarget;
  readonly #options: SessionOptions;
  readonly #deps: SessionDeps;
  readonly #link: Link;
  readonly #inventory: Inventory;
  readonly #outbox: Outbox;
  readonly #identity: Identity;
  readonly #presence: Presence;
  readonly #sync: InventorySync;
  readonly #slot: Slot;
  readonly #runner: Runner;
  readonly #standing: Standing;
  readonly #metering: Metering;
  /** Only where a full inventory can be asked for. */
  readonly #safetyNet: SafetyNet | undefined;
  readonly #listeners = new Set<(event: SessionEvent) => void>();
  readonly #settlement = new Settlement();
  readonly #feedHost: FeedHost = {
    askable: () => this.#link.traits.inventory === "Announce",
    changed: (externalId, container) => {
      this.#runner.noteChange(externalId);
      this.#emitContainer(externalId, container);
    },
    registered: () => this.#onRegistered(),
    // The first full inventory will tell by itself.
    doubtful: (reason) => (this.#synced || !this.#sync.pending ? this.resync(reason) : undefined),
    malformed: (kind) => this.#malformed(kind),
    usage: (value) => this.#metering.reported(value),
    tooMuch: (externalId) => this.#onTooMuch(externalId),
    settled: (externalId) => this.#onSettled(externalId),
  };
  /** Subscribed on the open connection. */
  #online = false;
  #closed = false;
  /** Exists with inventory Fetch. */
  #stored: ((twin: StoredTwin, asked: boolean) => void) | undefined;
  /** The daemon asked who it is since its last registration, as it does after each connect. */
  #asked = false;
  #synced = false;
  #syncCount = 0;
  /** Something was left out of the inventory, in the last pass or since: what is absent from it may be there all the same. */
  #incomplete = false;
  /** What it was, since the present pass began. Where no pass can be asked for, until it was published again and kept, or removed. */
  readonly #leftOut = new Set<string>();
  /** Metrics are wanted where they are not carried, and people know that. */
  #metricsRefused = false;
  /** Inventories forced on this connection without the fence. */
  #unfenced = 0;
  readonly #watchful: WriteFence;
  #problem: string | undefined;
  /** The last obstacle to the inventory that was told. It says nothing of whether the device is there. */
  #stuck: string | undefined;

  constructor(options: SessionOptions, deps: SessionDeps) {
    const { clock } = deps;
    this.targetKey = options.targetKey;
    this.target = options.target;
    this.#options = options;
    this.#deps = deps;
    this.#inventory = new Inventory(() => clock.now());
    this.#link = deps.attach(options.target, {
      up: (resumed) => this.opened(resumed),
      down: () => this.disconnected(),
      refused: (message) => this.refused(message),
      receive: (inbound) => this.receive(inbound),
    });
    this.#outbox = new Outbox(options.target, this.#link, clock, () => this.#slot.flight?.sent?.seq);
    const watchful = deps.observeFence ?? deps.fence;
    this.#watchful = watchful;
    this.#identity = new Identity(options.target, options.tenant, {
      clock,
      patienceMs: options.probeTimeoutMs,
      mayAnswer: () => options.answerIdentity && this.#online && watchful.valid(),
      send: (payload) => this.#outbox.announce(payload),
      notice: (notice) => deps.notice(notice),
    });
    this.#slot = new Slot(clock, {
      overdue: () => this.#onOverdue(),
      finished: (flight, outcome) => this.#onFinished(flight, outcome),
    });
    this.#runner = new Runner(
      {
        ...deps,
        targetKey: this.targetKey,
        timings: options,
        online: () => this.#online,
        silent: () => this.#presence.silentMs >= FRESH_MS,
        probe: () => void this.#presence.probe(true),
        wantInventory: (afterSeq, calm) => this.#sync.request(afterSeq, calm),
        malformed: (kind) => this.#malformed(kind),
        // Where a twin stands between, it may show a new container long after the device has answered for it.
        created: (externalId) =>
          this.#link.traits.inventory === "Fetch" ? this.#sync.mentioned(externalId) : undefined,
      },
      this.#slot,
      this.#outbox,
      this.#inventory,
    );
    this.#presence = new Presence(clock, this.#outbox, options, {
      busy: () => this.#slot.busy,
      overdue: () => this.#slot.overdue,
      mayProbe: () => this.#online && (watchful.valid() || this.#presence.believed === "Unknown"),
      knock: () => this.#knock(),
      changed: (from, to) => this.#onPresence(from, to),
    });
    this.#standing = new Standing(clock, options.probeTimeoutMs, this.#presence, this.#slot, {
      online: () => this.#online,
      synced: () => this.#complete,
      problem: () => this.#problem,
      stuck: () => this.#stuck !== undefined && this.#problem === this.#stuck,
      brokerMessage: () => deps.brokerMessage(),
      changed: (state) => this.#emit({ type: "Connection", state }),
      stillInFlight: () => (this.#link.traits.confirmedByReply === true ? undefined : this.#runner.doubt()),
    });
    this.#sync = this.#createSync();
    if (this.#link.traits.inventory !== "Watch") {
      this.#safetyNet = new SafetyNet(clock, options.observeIntervalMs, this.targetKey, {
        calm: () => this.#isCalm(),
        resync: () => this.resync("now and then"),
      });
    }
    this.#metering = new Metering(clock, options.probeTimeoutMs, {
      calm: () => this.#isCalm(),
      room: () => this.#hasRoomForLastWord(),
      send: (frequencySeconds) => this.#requestReports(frequencySeconds),
      probe: () => void (this.#online && watchful.valid() && this.#presence.probe(true)),
      container: (externalId) => this.#inventory.get(externalId),
      containers: () => this.#inventory.list(),
      dropped: (problem) => deps.metrics.malformed("kanto", problem),
      refused: (status) => this.#onReportsRefused(status),
    });
  }

  // The contract.

  snapshot(): DeviceSnapshot {
    const { lastSeenMs } = this.#presence;
    const inFlight = this.#slot.inFlight();
    const message = this.#standing.message();
    return {
      connection: this.#standing.connection(),
      ...(lastSeenMs !== undefined && { lastSeenMs }),
      ...(message !== undefined && { message }),
      synced: this.#complete,
      syncCount: this.#syncCount,
      ...(this.#problem !== undefined && !this.#synced && { obstacle: this.#problem }),
      containers: this.#inventory.list(),
      ...(inFlight !== undefined && { inFlight }),
    };
  }

  subscribe(listener: (event: SessionEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  execute(command: Command): Dispatch {
    this.#sync.retry();
    const refused = refusal(command, {
      closed: this.#closed,
      fenced: this.#deps.fence.valid(),
      online: this.#online,
      brokerMessage: this.#deps.brokerMessage(),
      flight: this.#slot.flight,
      believed: this.#presence.believed,
      synced: this.#complete,
      problem: this.#problem,
      has: (externalId) => this.#inventory.get(externalId) !== undefined,
    });
    if (refused !== undefined) {
      this.#deps.metrics.command("kanto", command.kind, "Refused");
      return { sent: false, ...refused };
    }
    let outcome: Promise<CommandOutcome> | undefined;
    try {
      outcome = this.#runner.start(command);
    } catch (error) {
      const message = error instanceof Error ? error.message : "cannot be encoded";
      return { sent: false, reason: "Invalid", failure: { class: "Invalid", reason: "InvalidSpec", message } };
    }
    if (outcome === undefined) {
      return { sent: false, reason: "Offline", failure: unreachable(this.#deps.brokerMessage()) };
    }
    this.#settlement.opened(operationOf(command.commandId));
    this.#standing.watchSilence();
    return { sent: true, outcome };
  }

  settle(operationId: string): "Open" | "Closed" {
    this.#sync.retry();
    const flight = this.#slot.flight;
    if (flight !== undefined && operationOf(flight.command.commandId) === operationId) return "Open";
    if (this.#settlement.isClosed(operationId)) return "Closed";
    const asked = this.#settlement.wait(operationId, this.#outbox.sent);
    if (!this.#sync.pending) this.#sync.request(asked);
    return "Open";
  }

  resync(reason: string): void {
    if (this.#closed) return;
    this.#deps.log.debug({ target: this.targetKey, reason }, "full inventory asked for");
    this.#sync.request(this.#outbox.sent, true);
  }

  configure({ kanto }: EdgeDeviceSpec): void {
    const { enabled, frequencySeconds } = { ...DEVICE_DEFAULTS.kanto.metrics, ...kanto?.metrics };
    const carried = this.#link.traits.inventory !== "Fetch";
    const refused = enabled && !carried;
    // Asked for with each look at the EdgeDevice, and told once.
    if (refused && !this.#metricsRefused) {
      this.#deps.notice({
        reason: "MetricsNotCarried",
        message: `what containers of ${this.target.thingId} use cannot be had through Ditto: its twin does not hold a device's reports`,
        type: "Warning",
      });
    }
    this.#metricsRefused = refused;
    this.#metering.configure(enabled && carried ? frequencySeconds : undefined);
  }

  usage(): ReadonlyMap<string, ContainerUsage> {
    return this.#metering.usage();
  }

  close(reason: "Left" | "Ending" = "Left"): Promise<void> {
    if (!this.#closed) {
      this.#metering.close(reason === "Left");
      this.#safetyNet?.stop();
      this.#closed = true;
      this.#online = false;
      this.#listeners.clear();
      this.#standing.close();
      this.#identity.close();
      this.#slot.abandon();
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
    this.#problem = undefined;
    this.#unfenced = 0;
    if (!resumed) this.#leftOut.clear();
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
    this.#synced = false;
    this.#outbox.disconnected();
    this.#runner.away("the connection to the broker was lost: nothing was sent");
    this.#sync.abandon();
    this.#safetyNet?.stop();
    this.#presence.disconnected();
    this.#metering.away();
    this.#standing.show();
  }

  /** They may not. */
  refused(message: string): void {
    this.#problem = message;
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
        this.#runner.unanswered(inbound.requestId);
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
    const other = this.#presence.answered(requestId) ?? this.#metering.answered(requestId, status);
    this.#presence.heard();
    if (other === undefined) this.#runner.answered(requestId, status, payload);
    else this.#proven(other);
    this.#sync.provenChanged();
    this.#metering.pump();
  }

  #onOverdue(): void {
    this.#deps.log.warn(
      { target: this.targetKey, command: this.#slot.inFlight() },
      "no answer within the timeout: asking whether the device still takes commands",
    );
    if (this.#online) this.#presence.probe(true);
    this.#standing.show();
  }

  #onFinished(flight: Flight, outcome: CommandOutcome): void {
    this.#settlement.closed(operationOf(flight.command.commandId));
    this.#deps.metrics.command("kanto", outcome.kind, outcome.result);
    const { key, commandId, kind } = flight.command;
    const failure = outcome.result === "Failed" ? outcome.failure : undefined;
    this.#deps.log.info(
      { target: this.targetKey, kind, commandId, key, result: outcome.result, externalId: outcome.externalId, failure },
      "command ended",
    );
    this.#standing.show();
    this.#emit({ type: "Outcome", key, outcome });
    this.#emit({ type: "SlotFree" });
    // Whoever waited for the slot has it by now, or comes soon enough.
    this.#metering.pump();
  }

  // Inventory and presence.

  #createSync(): InventorySync {
    const { clock } = this.#deps;
    const { probeTimeoutMs } = this.#options;
    const host = {
      probe: (again: boolean) => (this.#online ? this.#presence.probe(again) : undefined),
      proven: () => this.#outbox.proven,
      knownIds: () => this.#inventory.ids(),
      active: () => this.#watchful.valid() || !this.#synced,
      complete: (gone: readonly string[], provenSeq: number) => this.#onComplete(gone, provenSeq),
      stuck: (message: string) => this.#onStuck(message),
    };
    if (this.#link.traits.inventory === "Fetch") {
      const sync = new TwinSync(clock, probeTimeoutMs, {
        ...host,
        fetch: () => this.#link.fetch?.() ?? false,
        strict: () => this.#slot.flight?.sent !== undefined || this.#settlement.waiting,
        mark: () => this.#putMark(),
        incomplete: () => this.#onIncomplete(),
      });
      this.#stored = (twin, asked) => sync.stored(twin, asked);
      return sync;
    }
    if (this.#link.traits.inventory === "Watch") {
      return new Watch(clock, probeTimeoutMs, { ...host, incomplete: () => this.#onIncomplete() });
    }
    return new Sync(clock, probeTimeoutMs, {
      ...host,
      probe: (again) => (this.#online ? this.#presence.probe(again, again) : undefined),
      announce: () => this.#announceFresh(),
      busy: () => this.#slot.busy,
    });
  }

  #onIncomplete(): void {
    this.#synced = false;
  }

  #putMark(): string | undefined {
    if (!this.#online || !this.#watchful.valid()) return undefined;
    const correlationId = `drayage-${randomUUID()}`;
    const sent = this.#outbox.request("mark", markOperation(correlationId), this.#options.probeTimeoutMs);
    return sent === undefined ? undefined : correlationId;
  }

  #onStored(payload: string, asked: boolean): void {
    this.#leftOut.clear();
    const twin = takeStored(payload, this.#inventory, this.#feedHost);
    if (twin === undefined) this.#malformed("Stored");
    else this.#stored?.(twin, asked);
  }

  #onStuck(message: string): void {
    this.#problem = message;
    this.#stuck = message;
    this.#deps.log.warn({ target: this.targetKey }, message);
    this.#standing.show();
    // Nothing else tells that the inventory is not to be had.
    this.#emit({ type: "Connection", state: this.#standing.connection() });
  }

  #onRegistered(): void {
    const justConnected = this.#asked;
    this.#asked = false;
    this.#outbox.registered(this.#sync.announcedSeq, justConnected);
    this.#metering.registered();
    const foreign = this.#sync.factoryPublished() || justConnected;
    // The daemon has gone through a registration that was not ours: what was sent to it before may be lost.
    if (foreign && this.#slot.flight !== undefined) this.#sync.request(this.#outbox.sent);
  }

  /** For Sync: forces a full re-publication, if this process may. */
  #announceFresh(): number | undefined {
    if (!this.#online || this.#closed) return undefined;
    if (!this.#watchful.valid()) {
      // A standby takes what the leader brings to light, once it has an inventory of its own; a second pass confirms what is gone.
      if (this.#synced || this.#unfenced >= 2) return undefined;
      this.#unfenced += 1;
    }
    if (!this.#outbox.hasRoom(this.#options.observeIntervalMs)) return undefined;
    this.#leftOut.clear();
    return this.#identity.announceFresh();
  }

  #knock(): void {
    if (this.#link.traits.inventory === "Announce") this.#announceFresh();
    else this.#presence.probe(true);
  }

  /** The inventory can be believed also for what is absent from it. */
  get #complete(): boolean {
    return this.#synced && !this.#incomplete;
  }

  /** More than is kept of one device: nothing is done to it until that has changed, for nothing can be known to be absent. */
  #onTooMuch(externalId: string): void {
    this.#malformed("TooMuch");
    const before = this.#incomplete;
    this.#incomplete = true;
    if (this.#leftOut.size < MOST_CONTAINERS) this.#leftOut.add(externalId);
    this.#problem = TOO_MUCH;
    if (!before) this.#standing.show();
  }

  /** What was left out before is kept now, or gone. Where everything can be asked for, a pass tells that. */
  #onSettled(externalId: string): void {
    if (this.#link.traits.inventory !== "Watch" || !this.#leftOut.delete(externalId)) return;
    if (this.#leftOut.size === 0) this.#sync.request(this.#outbox.sent);
  }

  #proven(seq: number): void {
    this.#outbox.answered(seq);
    this.#runner.alive();
    const { flight } = this.#slot;
    if (flight?.sent !== undefined && !flight.confirming && seq > flight.sent.seq) {
      // A later message was answered, so this one has ended or never arrived.
      this.#sync.request(flight.sent.seq);
    }
  }

  #onComplete(gone: readonly string[], announcedSeq: number): void {
    const removed = gone.flatMap((externalId) => this.#inventory.remove(externalId) ?? []);
    this.#synced = true;
    this.#syncCount += 1;
    this.#safetyNet?.arm();
    this.#incomplete = this.#leftOut.size > 0;
    this.#problem = this.#incomplete ? TOO_MUCH : undefined;
    const asked = this.#settlement.inventoryCame(announcedSeq);
    for (const container of removed) this.#emitContainer(container.externalId, container);
    this.#standing.show();
    this.#emit({ type: "Synced" });
    const { flight } = this.#slot;
    // Handled before the announcement was: its answer, had it come, would have come before the pass ended.
    if (flight?.sent !== undefined && announcedSeq > flight.sent.seq) this.#runner.endUnanswered(flight);
    if (asked !== undefined) this.#sync.request(asked);
    this.#metering.pump();
  }

  // Metrics of containers.

  /** Nothing of ours is with the daemon, or about to be. */
  #isCalm(): boolean {
    const ready = this.#online && !this.#closed && this.#synced && this.#presence.believed === "Connected";
    const idle = this.#slot.flight === undefined && !this.#sync.pending && this.#outbox.idle;
    return ready && idle && this.#watchful.valid();
  }

  /** One more message does not harm: no command of ours is with the daemon, and few messages wait. */
  #hasRoomForLastWord(): boolean {
    const idle = this.#online && this.#slot.flight === undefined && this.#watchful.valid();
    return idle && this.#outbox.hasRoom(Number.POSITIVE_INFINITY);
  }

  #requestReports(frequencySeconds: number): SentRequest | undefined {
    const value = { frequency: `${frequencySeconds}s` };
    const operation = { feature: METRICS_FEATURE, operation: "request", value };
    const sent = this.#outbox.request("metrics", operation, this.#options.probeTimeoutMs);
    if (sent !== undefined) this.#deps.log.debug({ target: this.targetKey, ...value }, "reports on usage asked for");
    return sent;
  }

  #onReportsRefused(status: number): void {
    const message = `the device ${this.target.gatewayId} refuses to report what its containers use (${status}): is the Metrics feature enabled in its daemon?`;
    this.#deps.log.warn({ target: this.targetKey, status }, message);
    this.#deps.notice({ reason: "MetricsRefused", message, type: "Warning" });
  }

  #onPresence(from: Believed, to: Believed): void {
    if (to === "Offline") {
      this.#runner.away("the device does not answer: nothing was sent");
      this.#sync.abandon();
      this.#safetyNet?.stop();
      this.#metering.away();
      this.#synced = false;
    }
    if (to === "Connected") {
      this.#problem = undefined;
      // Any pass on this connection will do.
      if (!this.#synced && this.#online) this.#sync.request(0);
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
