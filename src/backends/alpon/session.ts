/**
 * A device's session: its list is polled, one command is in flight at a time (flight.ts), and whether the device can be reached is told by the
 * vendor, or learned from a command that could not reach it. Where the account may not list, the session says so in each container (unverified).
 */
import type {
  Claim,
  Command,
  CommandOutcome,
  ConnectionState,
  DeviceSession,
  DeviceSnapshot,
  Dispatch,
  InFlight,
  Marker,
  SessionEvent,
} from "../contract.ts";
import { commonRefusal, refuse, transient, unsupportedCommand, type Refusal } from "../http/admission.ts";
import type { HttpResult } from "../http/client.ts";
import { CommandSlot, type Head } from "../http/command-slot.ts";
import { Looks } from "../http/looks.ts";
import { Patience } from "../http/patience.ts";
import type { HttpSessionDeps, HttpSessionTimes } from "../http/sessions.ts";
import type { AlponDialect } from "./dialect.ts";
import { runCreate, runRemove, runUpdate, type FlightHost } from "./flight.ts";
import { Inventory } from "./inventory.ts";
import { pause } from "../pause.ts";
import { Looker, type Look } from "./look.ts";
import type { Listed } from "./wire.ts";

export interface SessionOptions extends HttpSessionTimes {
  readonly targetKey: string;
  /** As the EdgeDevice has it: one of the asset's four kinds of ids. */
  readonly assetId: string;
  readonly dialect: AlponDialect;
  /** Silence after which a stream is given up, ms. */
  readonly idleTimeoutMs: number;
}

export interface SessionDeps extends HttpSessionDeps {
  /** Another session of the same asset, by any of its ids, that was first. */
  firstOf(session: AlponSession, ids: readonly string[]): AlponSession | undefined;
  closed(session: AlponSession): void;
}

/** After a device could not be reached it is left alone for one poll, then two, then four, up to so many. */
const LONGEST_ABSENCE_POLLS = 20;
/** After so many looks in a row without an answer, what was seen before is no ground to act upon; after so many refusals, there is no list. */
const STALE_AFTER_LOOKS = 3;
/** A vendor that does not tell whether the device is online is asked again after so many polls. */
const MUTED_POLLS = 20;

export class AlponSession implements DeviceSession {
  readonly targetKey: string;
  readonly options: SessionOptions;
  readonly #deps: SessionDeps;
  readonly #inventory = new Inventory();
  readonly #listeners = new Set<(event: SessionEvent) => void>();
  readonly #closing = new AbortController();
  readonly #openedAt: number;
  readonly #host: FlightHost;
  readonly #slot: CommandSlot;
  readonly #looks: Looks;
  readonly #looker: Looker;
  /** Whose container the command in flight is about. */
  #flightMarker: Marker | undefined;
  #connection: ConnectionState = "Unknown";
  #isSynced = false;
  #syncCount = 0;
  #obstacle: string | undefined;
  #trouble: string | undefined;
  #lastSeenMs: number | undefined;
  /** Monotonic ms until which it is left alone, and how often in a row it could not be reached. */
  #absentUntil = -Infinity;
  #absences = 0;
  #isAsked = false;
  /** Looks in a row that gave nothing, and lists in a row that were refused. */
  #failedLooks = 0;
  #refusedLists = 0;

  constructor(options: SessionOptions, deps: SessionDeps) {
    this.targetKey = options.targetKey;
    this.options = options;
    this.#deps = deps;
    const { clock, metrics } = deps;
    this.#openedAt = clock.monotonic();
    const { signal } = this.#closing;
    this.#slot = new CommandSlot(
      { type: "alpon", targetKey: this.targetKey, signal, emit: (event) => this.#emit(event) },
      deps,
    );
    this.#looks = new Looks({
      clock,
      random: () => deps.random(),
      read: () => this.#read(),
      delayMs: () => (deps.account().open ? options.pollMs : undefined),
    });
    this.#looker = new Looker({
      assetId: options.assetId,
      dialect: options.dialect,
      mutedMs: MUTED_POLLS * options.pollMs,
      get: (path) => this.#get(path),
      firstOf: (ids) => deps.firstOf(this, ids)?.options.assetId,
      malformed: (kind) => metrics.malformed("alpon", kind),
      monotonic: () => clock.monotonic(),
    });
    this.#host = {
      assetId: options.assetId,
      dialect: options.dialect,
      inventory: this.#inventory,
      settleMs: options.settleMs,
      pollMs: options.pollMs,
      idleTimeoutMs: options.idleTimeoutMs,
      createTimeoutMs: options.createTimeoutMs,
      signal,
      send: (request) => deps.send(request),
      look: () => this.#looks.now(),
      progress: (progress) => this.#noteProgress(progress),
      unreachable: () => this.#noteUnreachable(),
      malformed: (kind) => metrics.malformed("alpon", kind),
      monotonic: () => clock.monotonic(),
      pause: (ms) => pause(clock, ms, signal),
      after: (ms, run) => {
        const timer = clock.setTimeout(run, ms);
        return () => clock.clearTimeout(timer);
      },
    };
    this.accountChanged();
  }

  // The contract.

  snapshot(of?: Claim): DeviceSnapshot {
    if (of !== undefined) this.#inventory.claim(of);
    const standing = this.#deps.account();
    const message = standing.open ? (this.#obstacle ?? this.#trouble) : standing.failure.message;
    const { inFlight } = this.#slot;
    return {
      connection: this.#connection,
      ...(this.#lastSeenMs !== undefined && { lastSeenMs: this.#lastSeenMs }),
      ...(message !== undefined && { message }),
      synced: standing.open && this.#isSynced && this.#connection === "Connected",
      syncCount: this.#syncCount,
      ...(this.#obstacle !== undefined && { obstacle: this.#obstacle }),
      containers: this.#inventory.containers(this.#deps.clock.now()),
      ...(inFlight !== undefined && { inFlight }),
    };
  }

  subscribe(listener: (event: SessionEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  execute(command: Command): Dispatch {
    const refused = this.#refusal(command);
    if (refused !== undefined) {
      this.#deps.metrics.command("alpon", command.kind, "Refused");
      return { sent: false, ...refused };
    }
    return { sent: true, outcome: this.#run(command) };
  }

  settle(operationId: string): "Open" | "Closed" {
    if (this.#slot.operation === operationId) return "Open";
    const { settlements } = this.#slot;
    if (settlements.isClosed(operationId)) return "Closed";
    settlements.prove(
      operationId,
      () => this.#isOver(),
      () => this.#emit({ type: "Synced" }),
    );
    return "Open";
  }

  resync(reason: string): void {
    if (this.#closing.signal.aborted) return;
    this.#deps.log.debug({ target: this.targetKey, reason }, "the list is read again");
    this.#isAsked = true;
    void this.#looks.now();
  }

  forget(of: Pick<Claim, "owner" | "namespace" | "name">): void {
    this.#inventory.forget(of);
  }

  close(): Promise<void> {
    if (!this.#closing.signal.aborted) {
      this.#closing.abort();
      this.#listeners.clear();
      this.#looks.close();
      this.#deps.closed(this);
    }
    return Promise.resolve();
  }

  // What the account reports.

  /** The account was connected, or is no longer. What was seen before says nothing about now. */
  accountChanged(): void {
    this.#isSynced = false;
    if (!this.#deps.account().open) return this.#setConnection("Unknown");
    void this.#looks.now();
  }

  /** Whether one of these ids names this session's asset. */
  isOneOf(ids: readonly string[]): boolean {
    return [this.options.assetId, ...this.#looker.ids].some((id) => ids.includes(id));
  }

  // Commands.

  #refusal(command: Command): Refusal | undefined {
    const offline = this.#connection === "Offline" ? (this.#trouble ?? "the device is offline") : undefined;
    const { aborted: closed } = this.#closing.signal;
    const refused = commonRefusal({ closed, deps: this.#deps, offline, busy: this.#slot.isBusy });
    if (refused !== undefined) return refused;
    if (!this.snapshot().synced) return refuse("NotSynced", transient("the device's containers are not known yet"));
    switch (command.kind) {
      case "Create":
      case "Update":
      case "Remove":
        return undefined;
      default:
        return unsupportedCommand("ALPON", command.kind, "container");
    }
  }

  async #run(command: Command): Promise<CommandOutcome> {
    const marker = command.kind === "Create" ? command.marker : this.#markerOf(command.externalId);
    const timeoutMs = command.kind === "Remove" ? this.options.commandTimeoutMs : this.options.createTimeoutMs;
    this.#flightMarker = marker;
    return this.#slot.run(command, timeoutMs, (head) => this.#carryOut(command, marker, head));
  }

  #carryOut(command: Command, marker: Marker | undefined, head: Head): Promise<CommandOutcome> {
    switch (command.kind) {
      case "Create":
        return runCreate(this.#host, command, head);
      case "Update":
        return runUpdate(this.#host, command, marker, head);
      case "Remove":
        return runRemove(this.#host, command.externalId, head);
      default:
        throw new Error("not admitted");
    }
  }

  #markerOf(externalId: string): Marker | undefined {
    return this.#inventory.containers(this.#deps.clock.now()).find((each) => each.externalId === externalId)?.marker;
  }

  #noteProgress(progress: NonNullable<InFlight["progress"]>): void {
    const marker = this.#flightMarker;
    if (this.#slot.progress(progress) && marker !== undefined)
      this.#emit({ type: "Container", externalId: "", marker });
  }

  // Looking.

  async #read(): Promise<boolean> {
    if (!this.#deps.account().open || this.#closing.signal.aborted) return false;
    const look = await this.#looker.look();
    return !this.#closing.signal.aborted && this.#take(look);
  }

  /** @returns whether the containers are known now. */
  #take(look: Look): boolean {
    switch (look.seen) {
      case "Containers":
        return this.#takeList(look.items);
      case "Refused":
        return this.#takeRefusal(look.message);
      case "Unreachable":
        this.#noteUnreachable();
        return this.#doubt("the device could not be reached");
      case "Obstacle":
        return this.#hinder(look.obstacle);
      case "Nothing":
        return this.#doubt(look.message);
      default:
        return look satisfies never;
    }
  }

  #takeList(items: readonly Listed[]): true {
    const wasBlind = this.#inventory.isBlind;
    this.#refusedLists = 0;
    this.#inventory.isBlind = false;
    for (const { name, marker } of this.#inventory.take(items, this.#deps.clock.now()))
      this.#emit({ type: "Container", externalId: name, ...(marker !== undefined && { marker }) });
    return this.#noteSynced(wasBlind);
  }

  /** A list that has been there is not given up for one bad answer. */
  #takeRefusal(message: string): boolean {
    this.#refusedLists += 1;
    const { isBlind, hasList } = this.#inventory;
    if (!isBlind && hasList && this.#refusedLists < STALE_AFTER_LOOKS) return this.#doubt(message);
    this.#inventory.isBlind = true;
    if (!isBlind)
      this.#deps.log.warn(
        { target: this.targetKey, message },
        "this account cannot list containers: nothing can be verified",
      );
    return this.#noteSynced(!isBlind);
  }

  /** @param isOtherView what is known has another ground than before, whatever it is. */
  #noteSynced(isOtherView: boolean): true {
    const isAway = this.#looker.isOffline || this.#deps.clock.monotonic() < this.#absentUntil;
    this.#syncCount += 1;
    this.#failedLooks = 0;
    const isNews = isOtherView || !this.#isSynced || this.#isAsked || (this.#connection !== "Connected") !== isAway;
    this.#isSynced = true;
    this.#isAsked = false;
    this.#obstacle = undefined;
    this.#trouble = isAway ? this.#awayMessage() : undefined;
    if (!isAway) this.#lastSeenMs = this.#deps.clock.now();
    this.#setConnection(isAway ? "Offline" : "Connected");
    if (isNews && !isAway) this.#emit({ type: "Synced" });
    return true;
  }

  #awayMessage(): string {
    return this.#looker.isOffline
      ? "the vendor says that the device is offline"
      : "the device could not be reached; it is tried again later";
  }

  #get(path: string): Promise<HttpResult> {
    return this.#deps.send({
      method: "GET",
      path,
      write: false,
      urgency: this.#slot.isBusy ? "Urgent" : "Routine",
      signal: this.#closing.signal,
    });
  }

  /** Nothing is learned this time. What was known stays, but not for ever. */
  #doubt(message: string): false {
    this.#trouble ??= message;
    // What was in the way of knowing which asset it is has gone.
    if (this.#looker.ids.length > 0) this.#obstacle = undefined;
    this.#failedLooks += 1;
    if (this.#failedLooks >= STALE_AFTER_LOOKS) this.#isSynced = false;
    this.#deps.log.debug({ target: this.targetKey, message }, "a look at the device gave nothing");
    return false;
  }

  /** Waiting alone will not help. */
  #hinder(obstacle: string): false {
    const isNews = this.#obstacle !== obstacle;
    this.#obstacle = obstacle;
    this.#isSynced = false;
    if (isNews) {
      this.#deps.log.warn({ target: this.targetKey, obstacle }, "the device's containers cannot be known");
      this.#setConnection("Unknown");
      this.#emit({ type: "Connection", state: this.#connection });
    }
    return false;
  }

  /** A command could not reach it: whatever the cloud believes, it is left alone for a while, longer each time. */
  #noteUnreachable(): void {
    const polls = Math.min(2 ** this.#absences, LONGEST_ABSENCE_POLLS);
    this.#absences += 1;
    this.#absentUntil = this.#deps.clock.monotonic() + polls * this.options.pollMs;
    this.#trouble = this.#awayMessage();
    this.#setConnection("Offline");
    this.#looks.schedule();
  }

  #setConnection(state: ConnectionState): void {
    if (this.#connection === state) return;
    this.#connection = state;
    this.#emit({ type: "Connection", state });
  }

  /** What a former process has sent may arrive until the settle time after this session was opened. */
  async #isOver(): Promise<boolean> {
    const { clock } = this.#deps;
    const { signal } = this.#closing;
    const waitMs = this.#openedAt + this.options.settleMs - clock.monotonic();
    if (waitMs > 0) await pause(clock, waitMs, signal);
    const patience = new Patience(Math.max(1, this.options.settleMs / 3), this.options.pollMs);
    while (!signal.aborted && !(await this.#looks.now())) await pause(clock, patience.nextMs(false), signal);
    return !signal.aborted;
  }

  /** A success tells that the device can be reached. */
  #emit(event: SessionEvent): void {
    if (event.type === "Outcome" && event.outcome.result === "Succeeded") this.#absences = 0;
    for (const listener of this.#listeners) listener(event);
  }
}
