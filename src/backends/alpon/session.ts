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
import { isPage } from "../http/failures.ts";
import { Looks } from "../http/looks.ts";
import type { HttpSessionDeps, HttpSessionTimes } from "../http/sessions.ts";
import { pathOf, type AlponDialect } from "./dialect.ts";
import { errorIn } from "./errors-table.ts";
import { runCreate, runRemove, runUpdate, type FlightHost } from "./flight.ts";
import { Inventory } from "./inventory.ts";
import { pause } from "../pause.ts";
import { readIds, readList, readOnline } from "./wire.ts";

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
/** After so many looks in a row without an answer, what was seen before is no ground to act upon. */
const STALE_AFTER_LOOKS = 3;

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
  /** Whose container the command in flight is about. */
  #flightMarker: Marker | undefined;
  #connection: ConnectionState = "Unknown";
  #isSynced = false;
  #syncCount = 0;
  #obstacle: string | undefined;
  #trouble: string | undefined;
  #lastSeenMs: number | undefined;
  /** Ids of the asset as the vendor told them; undefined before. */
  #ids: readonly string[] | undefined;
  #tellsOnline = true;
  #isOffline = false;
  /** Monotonic ms until which it is left alone, and how often in a row it could not be reached. */
  #absentUntil = -Infinity;
  #absences = 0;
  #isAsked = false;
  /** Looks in a row that gave nothing. */
  #failedLooks = 0;

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
    this.#host = {
      assetId: options.assetId,
      dialect: options.dialect,
      inventory: this.#inventory,
      settleMs: options.settleMs,
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
    return ids.includes(this.options.assetId) || (this.#ids ?? []).some((id) => ids.includes(id));
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
    return this.#deps.account().open && !this.#closing.signal.aborted && (await this.#readAll());
  }

  async #readAll(): Promise<boolean> {
    if (!(await this.#identify())) return false;
    await this.#readConnection();
    if (!(await this.#readContainers()) || this.#closing.signal.aborted) return false;
    const isAway = this.#isOffline || this.#deps.clock.monotonic() < this.#absentUntil;
    this.#syncCount += 1;
    this.#failedLooks = 0;
    const isNews = !this.#isSynced || this.#isAsked || (this.#connection !== "Connected") !== isAway;
    this.#isSynced = true;
    this.#isAsked = false;
    this.#trouble = isAway ? this.#awayMessage() : undefined;
    if (!isAway) this.#lastSeenMs = this.#deps.clock.now();
    this.#setConnection(isAway ? "Offline" : "Connected");
    if (isNews && !isAway) this.#emit({ type: "Synced" });
    return true;
  }

  #awayMessage(): string {
    return this.#isOffline
      ? "the vendor says that the device is offline"
      : "the device could not be reached; it is tried again later";
  }

  /** The asset has four kinds of ids, and two EdgeDevices may name it by different ones: the first has it. */
  async #identify(): Promise<boolean> {
    const { assetId, dialect } = this.options;
    if (this.#ids === undefined) {
      const result = await this.#get(pathOf(dialect.paths.asset, assetId));
      if (result.kind !== "Answer") return this.#doubt(result.message);
      const isMissing = errorIn(result.json, dialect.codeKeys, result.message) === "AssetNotFound";
      if (isMissing) return this.#hinder("the vendor knows no such asset: is spec.alpon.assetId right?");
      if (result.status >= 500 || result.status === 429 || result.status === 401 || isPage(result))
        return this.#doubt(result.message);
      // Where that cannot be asked, the id that was given has to do.
      this.#ids = result.status === 200 ? [...readIds(result.json, dialect), assetId] : [assetId];
    }
    const first = this.#deps.firstOf(this, this.#ids);
    if (first === undefined) {
      this.#obstacle = undefined;
      return true;
    }
    return this.#hinder(
      `this asset is the one of another EdgeDevice, which names it ${first.options.assetId}: delete one of the two`,
    );
  }

  async #readConnection(): Promise<void> {
    const { assetId, dialect } = this.options;
    if (!this.#tellsOnline) return;
    const result = await this.#get(pathOf(dialect.paths.status, assetId));
    if (result.kind !== "Answer" || result.status >= 500 || result.status === 429 || isPage(result)) return;
    const isOnline = result.status === 200 ? readOnline(result.json, dialect) : undefined;
    if (result.status !== 200 && errorIn(result.json, dialect.codeKeys, result.message) === undefined)
      this.#tellsOnline = false;
    this.#isOffline = isOnline === false;
  }

  async #readContainers(): Promise<boolean> {
    const { assetId, dialect } = this.options;
    const result = await this.#get(pathOf(dialect.paths.containers, assetId));
    if (result.kind !== "Answer") return this.#doubt(result.message);
    const { status } = result;
    if (status === 200) {
      const items = readList(result.json, dialect, () => this.#deps.metrics.malformed("alpon", "List"));
      if (items === undefined) {
        this.#deps.metrics.malformed("alpon", "List");
        return this.#doubt("the vendor's answer is no list of containers");
      }
      this.#inventory.isBlind = false;
      for (const { name, marker } of this.#inventory.take(items))
        this.#emit({ type: "Container", externalId: name, ...(marker !== undefined && { marker }) });
      return true;
    }
    switch (errorIn(result.json, dialect.codeKeys, result.message)) {
      case "AssetNotFound":
        return this.#hinder("the vendor knows no such asset: is spec.alpon.assetId right?");
      case "AssetNotAlponDevice":
        return this.#hinder("the asset is no ALPON: is spec.alpon.assetId right?");
      case "DeviceNotReachable":
        this.#noteUnreachable();
        return this.#doubt("the device could not be reached");
      default:
        break;
    }
    // What something before the vendor says is not what the account may do.
    if (isPage(result) || (status !== 403 && status !== 404 && status !== 405 && status !== 501))
      return this.#doubt(result.message);
    if (!this.#inventory.isBlind)
      this.#deps.log.warn(
        { target: this.targetKey, status },
        "this account cannot list containers: nothing can be verified",
      );
    this.#inventory.isBlind = true;
    return true;
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
    this.#failedLooks += 1;
    if (this.#failedLooks >= STALE_AFTER_LOOKS) this.#isSynced = false;
    this.#deps.log.debug({ target: this.targetKey, message }, "a look at the device gave nothing");
    return false;
  }

  /** Waiting alone will not help. */
  #hinder(obstacle: string): false {
    this.#ids = undefined;
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
    while (!signal.aborted && !(await this.#looks.now()))
      await pause(clock, Math.max(1, this.options.settleMs / 3), signal);
    return !signal.aborted;
  }

  /** A success tells that the device can be reached. */
  #emit(event: SessionEvent): void {
    if (event.type === "Outcome" && event.outcome.result === "Succeeded") this.#absences = 0;
    for (const listener of this.#listeners) listener(event);
  }
}
