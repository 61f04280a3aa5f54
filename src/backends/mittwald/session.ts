/**
 * A stack's session. Its view comes from the project's list (project.ts) and from the answers to our own writes, whichever is newer; a view
 * that lacks our last write is no ground to act upon. One command is in flight at a time (flight.ts).
 */
import type {
  Claim,
  Command,
  CommandOutcome,
  ConnectionState,
  DeviceSession,
  DeviceSnapshot,
  Dispatch,
  LogOptions,
  SessionEvent,
} from "../contract.ts";
import type { BackendFailure } from "../errors.ts";
import { commonRefusal, refuse, transient, unsupportedCommand, type Refusal } from "../http/admission.ts";
import { CommandSlot, type Head } from "../http/command-slot.ts";
import type { HttpSessionDeps, HttpSessionTimes } from "../http/sessions.ts";
import { pause } from "../pause.ts";
import type { MittwaldClient, StackRef } from "./client.ts";
import { runUpdate } from "./change.ts";
import { runCreate, runRemove, runStart, runStop } from "./flight.ts";
import type { Expected, FlightHost } from "./look.ts";
import type { TagLooks } from "./images.ts";
import { Inventory } from "./inventory.ts";
import { readLog } from "./logs.ts";
import type { Project, ProjectMember } from "./project.ts";
import type { Stack } from "./types.ts";

export interface SessionOptions extends HttpSessionTimes {
  readonly targetKey: string;
  /** As the EdgeDevice has it: UUID or short id. */
  readonly projectId: string;
  /** Undefined: the project's default stack, whose id is the project's. */
  readonly stackId: string | undefined;
}

export interface SessionDeps extends HttpSessionDeps {
  readonly client: MittwaldClient;
  readonly project: Project;
  readonly tags: TagLooks;
  /** The session that was first to have this stack. */
  readonly firstOf: (stackId: string) => MittwaldSession | undefined;
  readonly closed: (session: MittwaldSession) => void;
}

/** After so many looks in a row without an answer, what was seen before is no ground to act upon. */
const STALE_AFTER_LOOKS = 3;

export class MittwaldSession implements DeviceSession, ProjectMember {
  readonly targetKey: string;
  readonly options: SessionOptions;
  readonly #deps: SessionDeps;
  readonly #inventory: Inventory;
  readonly #listeners = new Set<(event: SessionEvent) => void>();
  readonly #closing = new AbortController();
  readonly #slot: CommandSlot;
  readonly #openedAt: number;
  #epoch = 0;
  #connection: ConnectionState = "Unknown";
  #isSynced = false;
  #syncCount = 0;
  #obstacle: string | undefined;
  #trouble: string | undefined;
  #lastSeenMs: number | undefined;
  #isAsked = false;
  #failedLooks = 0;
  #isLookingUp = false;
  /** Lists that were asked for after the settle time show all that a former process has made. */
  #isSettled = false;
  #isSettling = false;
  #listsAfterSettling = 0;
  /** Services that were seen before that. */
  readonly #seenEarly = new Set<string>();

  constructor(options: SessionOptions, deps: SessionDeps) {
    this.targetKey = options.targetKey;
    this.options = options;
    this.#deps = deps;
    this.#openedAt = deps.clock.monotonic();
    this.#inventory = new Inventory(deps.clock, options.createTimeoutMs);
    const { signal } = this.#closing;
    this.#slot = new CommandSlot(
      { type: "mittwald", targetKey: this.targetKey, signal, emit: (event) => this.#emit(event) },
      deps,
    );
    deps.project.join(this);
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
      ...(of?.recordedId !== undefined && this.#isAbsenceOpen(of.recordedId) && { isAbsenceOpen: true }),
      ...(this.#obstacle !== undefined && { obstacle: this.#obstacle }),
      containers: this.#inventory.containers.map((each) => ({ ...each, seenMs: this.#lastSeenMs ?? 0 })),
      volumes: this.#inventory.volumes,
      others: this.#inventory.others,
      ...(inFlight !== undefined && { inFlight }),
    };
  }

  subscribe(listener: (event: SessionEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  execute(command: Command): Dispatch {
    const ref = this.#ref();
    const refused = this.#refusal(command, ref);
    if (refused !== undefined || ref === undefined) {
      this.#deps.metrics.command("mittwald", command.kind, "Refused");
      return { sent: false, ...(refused ?? refuse("NotSynced", transient("the stack is not known yet"))) };
    }
    const { commandTimeoutMs, createTimeoutMs } = this.options;
    const timeoutMs =
      command.kind === "Create"
        ? createTimeoutMs
        : commandTimeoutMs + (command.kind === "Stop" ? command.timeoutSeconds * 1000 : 0);
    const host = this.#flightHost(ref);
    const expected = command.kind === "Create" ? undefined : this.#inventory.expected(command.externalId);
    const outcome = this.#slot.run(command, timeoutMs, (head) => this.#carryOut(host, command, expected, head));
    return { sent: true, outcome };
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
    void this.#deps.project.look();
  }

  async *logs(externalId: string, options: LogOptions): AsyncGenerator<string, void, void> {
    const ref = this.#ref();
    if (ref === undefined) throw new Error("the stack is not known yet");
    const { clock, client } = this.#deps;
    const signals = [this.#closing.signal, ...(options.signal === undefined ? [] : [options.signal])];
    const signal = AbortSignal.any(signals);
    yield* readLog(
      {
        fetch: (lines) => client.logs({ ...ref, serviceId: externalId }, lines, signal),
        pause: (ms) => pause(clock, ms, signal),
        isOver: () => signal.aborted,
      },
      options,
    );
  }

  close(): Promise<void> {
    if (!this.#closing.signal.aborted) {
      this.#closing.abort();
      this.#listeners.clear();
      this.#deps.closed(this);
    }
    return Promise.resolve();
  }

  // What the account and the project report.

  /** The account was connected, or is no longer. What was seen before says nothing about now. */
  accountChanged(): void {
    this.#isSynced = false;
    if (!this.#deps.account().open) return this.#setConnection("Unknown");
    void this.#deps.project.look();
  }

  get epoch(): number {
    return this.#epoch;
  }

  get isExpectant(): boolean {
    return this.#inventory.isExpectant;
  }

  /** The stack's UUID, once it is known. */
  get stackId(): string | undefined {
    return this.#inventory.stack?.id ?? this.options.stackId;
  }

  take(stacks: readonly Stack[], isStale: boolean, epoch: number): void {
    if (this.#closing.signal.aborted) return;
    if (isStale) return this.#setStale();
    // Asked for before our last write: what the write's answer said is newer.
    if (epoch !== this.#epoch) {
      if (this.#isAsked || !this.#isSynced) void this.#deps.project.look();
      return;
    }
    const { stackId } = this.options;
    const stack = stacks.find(({ id, projectId }) => (stackId === undefined ? id === projectId : id === stackId));
    if (stack === undefined)
      return this.#hinder(
        stackId === undefined
          ? "the project has no default stack (yet)"
          : "the project has no such stack: is spec.mittwald.stackId right?",
      );
    const first = this.#deps.firstOf(stack.id);
    if (first !== undefined && first !== this)
      return this.#hinder(
        `this stack is the one of another EdgeDevice, which names the project ${first.options.projectId}: delete one of the two`,
      );
    this.#takeStack(stack);
    // They follow each other: the second one was asked for after the first had come.
    if (this.#deps.clock.monotonic() - this.#openedAt >= this.options.settleMs && ++this.#listsAfterSettling > 1)
      this.#setSettled();
    const hasOthers = this.#inventory.takeOthers(stacks, (id) => this.#deps.firstOf(id) !== undefined);
    const isNews = !this.#isSynced || this.#isAsked || this.#obstacle !== undefined || hasOthers;
    this.#obstacle = undefined;
    this.#trouble = stack.disabled ? "the vendor says that the stack is disabled" : undefined;
    this.#isSynced = true;
    this.#isAsked = false;
    this.#setConnection("Connected");
    if (isNews) this.#emit({ type: "Synced" });
    void this.#lookUpTags(stack);
  }

  doubt(failure: BackendFailure, isMissing: boolean): void {
    if (this.#closing.signal.aborted) return;
    this.#failedLooks += 1;
    this.#trouble ??= failure.message;
    const isLong = this.#failedLooks >= STALE_AFTER_LOOKS;
    // One 403 says nothing: it may not be visible yet.
    if (isMissing && (isLong || this.#syncCount === 0))
      return this.#hinder(
        `the vendor shows no such project: is spec.mittwald.projectId right, and may the token see it? (${failure.message})`,
      );
    if (isLong) this.#isSynced = false;
    this.#deps.log.debug({ target: this.targetKey, message: failure.message }, "a look at the project gave nothing");
  }

  // Commands.

  #refusal(command: Command, ref: StackRef | undefined): Refusal | undefined {
    const { aborted: closed } = this.#closing.signal;
    const refused = commonRefusal({ closed, deps: this.#deps, busy: this.#slot.isBusy });
    if (refused !== undefined) return refused;
    if (!this.snapshot().synced || ref === undefined)
      return refuse("NotSynced", transient(this.#obstacle ?? this.#trouble ?? "the stack is not known yet"));
    switch (command.kind) {
      case "Create":
      case "Start":
      case "Stop":
      case "Update":
      case "Remove":
        return undefined;
      case "Pause":
      case "Resume":
      case "Rename":
        return unsupportedCommand("mittwald", command.kind, "service");
      default:
        return command satisfies never;
    }
  }

  #carryOut(host: FlightHost, command: Command, expected: Expected | undefined, head: Head): Promise<CommandOutcome> {
    switch (command.kind) {
      case "Create":
        return runCreate(host, command, head);
      case "Start":
        return runStart(host, command.externalId, expected, head);
      case "Stop":
        return runStop(host, command.externalId, expected, command.timeoutSeconds * 1000, head);
      case "Update":
        return runUpdate(host, command, expected, head);
      case "Remove":
        return runRemove(host, command.externalId, expected, head);
      case "Pause":
      case "Resume":
      case "Rename":
        throw new Error("not admitted");
      default:
        return command satisfies never;
    }
  }

  #flightHost(ref: StackRef): FlightHost {
    const { clock, client, tags } = this.#deps;
    const { settleMs, commandTimeoutMs } = this.options;
    const { signal } = this.#closing;
    const inventory = this.#inventory;
    let ordered: string | undefined;
    return {
      client,
      ref,
      settleMs,
      commandTimeoutMs,
      signal,
      take: (stack) => this.#takeStack(stack),
      write: (send) => this.#write(send),
      stateAgeMs: (serviceId) => inventory.stateAgeMs(serviceId),
      ordered: (serviceId, isStop) => {
        ordered = serviceId;
        inventory.ordered(serviceId, isStop);
      },
      notOrdered: () => {
        if (ordered !== undefined) inventory.notOrdered(ordered);
      },
      noteRolled: (service) => inventory.noteRolled(service),
      noteUnmoved: (serviceId) => inventory.noteUnmoved(serviceId),
      noteDeclared: (serviceId) => inventory.noteDeclared(serviceId),
      noteImage: (image, verdict) => void inventory.noteImage(image, tags.note(image, ref.projectId, verdict)),
      notePulled: (serviceId, latest, deployed) => this.#notePulled(serviceId, latest, deployed),
      noteDefaults: (service, fields) => inventory.noteDefaults(service, fields),
      latestDigest: (service) => inventory.latestDigest(service),
      monotonic: () => clock.monotonic(),
      pause: (ms) => pause(clock, ms, signal),
    };
  }

  async #write<T>(send: () => Promise<T>): Promise<T> {
    this.#epoch += 1;
    try {
      return await send();
    } finally {
      this.#epoch += 1;
    }
  }

  #notePulled(serviceId: string, latest: string, deployed: string | undefined): void {
    this.#inventory.notePulled(serviceId, latest, deployed);
    if (deployed !== undefined && deployed !== latest)
      this.#deps.log.warn(
        { target: this.targetKey, service: serviceId, registry: latest, deployed },
        "after a pull another digest runs than the registry has: taken for two names of one image",
      );
  }

  // Looking.

  #ref(): StackRef | undefined {
    const { stack } = this.#inventory;
    return stack === undefined ? undefined : { projectId: stack.projectId, stackId: stack.id };
  }

  /** A whole and fresh view of the stack, from a list or from an answer. */
  #takeStack(stack: Stack): void {
    if (this.#closing.signal.aborted) return;
    const wasExpectant = this.isExpectant;
    const changed = this.#inventory.take(stack);
    if (!this.#isSettled) for (const { id } of stack.services) this.#seenEarly.add(id);
    this.#syncCount += 1;
    this.#failedLooks = 0;
    this.#lastSeenMs = this.#deps.clock.now();
    for (const { externalId, marker } of changed)
      this.#emit({ type: "Container", externalId, ...(marker !== undefined && { marker }) });
    if (this.isExpectant !== wasExpectant) this.#deps.project.reschedule();
  }

  #setStale(): void {
    this.#isSynced = false;
    this.#trouble = "the vendor does not show our last write yet: nothing is done until it does";
    this.#deps.log.debug({ target: this.targetKey }, "the list lacks our last write");
  }

  /** Waiting alone will not help. */
  #hinder(obstacle: string): void {
    const isNews = this.#obstacle !== obstacle;
    this.#obstacle = obstacle;
    this.#isSynced = false;
    if (!isNews) return;
    this.#deps.log.warn({ target: this.targetKey, obstacle }, "the stack cannot be known");
    this.#setConnection("Unknown");
    this.#emit({ type: "Connection", state: this.#connection });
  }

  /** One after another, and only those that are due. */
  async #lookUpTags(stack: Stack): Promise<void> {
    if (this.#isLookingUp) return;
    this.#isLookingUp = true;
    for (const image of this.#inventory.dueImages) {
      const look = await this.#deps.tags.look(image, stack.projectId);
      if (this.#closing.signal.aborted) return;
      if (this.#inventory.noteImage(image, look)) this.#emit({ type: "Synced" });
    }
    this.#isLookingUp = false;
  }

  #setConnection(state: ConnectionState): void {
    if (this.#connection === state) return;
    this.#connection = state;
    this.#emit({ type: "Connection", state });
  }

  /** What a former process has sent may show until the settle time after this session was opened. */
  async #isOver(): Promise<boolean> {
    const { clock, project } = this.#deps;
    const { signal } = this.#closing;
    const waitMs = this.#openedAt + this.options.settleMs - clock.monotonic();
    if (waitMs > 0) await pause(clock, waitMs, signal);
    while (!signal.aborted && !((await project.look()) && this.#isSynced))
      await pause(clock, Math.max(1, this.options.settleMs / 3), signal);
    return !signal.aborted;
  }

  /** Right after a start a list may still be older than what was recorded. */
  #isAbsenceOpen(serviceId: string): boolean {
    if (this.#isSettled || this.#seenEarly.has(serviceId)) return false;
    if (!this.#isSettling) void this.#settle();
    return true;
  }

  async #settle(): Promise<void> {
    this.#isSettling = true;
    if (!(await this.#isOver())) return;
    this.#setSettled();
    this.#emit({ type: "Synced" });
  }

  #setSettled(): void {
    this.#isSettled = true;
    this.#seenEarly.clear();
  }

  #emit(event: SessionEvent): void {
    for (const listener of this.#listeners) listener(event);
  }
}
