/**
 * A machine's session. There is no list to ask for: each object that is on the machine is named by the caller (snapshot), its rentals are
 * looked up by ids that can be computed from its name, and those that have not ended are polled. One command is in flight at a time (flight.ts).
 */
import type {
  Claim,
  Command,
  CommandOutcome,
  ConnectionState,
  DeviceSession,
  DeviceSnapshot,
  Dispatch,
  SessionEvent,
} from "../contract.ts";
import { CommandSlot, type Head } from "../http/command-slot.ts";
import { Looks } from "../http/looks.ts";
import type { HttpSessionDeps, HttpSessionTimes } from "../http/sessions.ts";
import { refusal } from "./admission.ts";
import { Ledger, type Rental } from "./ledger.ts";
import { lookByDeploymentId, lookByExternalId, type Look } from "./lookup.ts";
import { runCreate, runStop, type FlightHost } from "./flight.ts";
import { ABSENT_READS, lookUp, settled, verifyLookup } from "./find.ts";
import { pause } from "../pause.ts";
import { secretsOf, type DeploymentStatus } from "./wire.ts";

export interface SessionOptions extends HttpSessionTimes {
  readonly targetKey: string;
  readonly machineId: string;
  readonly machinePriceId: string;
  readonly externalIdPath: string | undefined;
}

export interface SessionDeps extends HttpSessionDeps {
  /** What our ids are worth: whoever finds that looking by them does not work says so, and nothing more is begun on the account. */
  readonly lookup: { readonly broken: string | undefined; report(message: string): void };
  closed(session: HiveonSession): void;
}

/** A rental on its way is looked at so many times more often, but not more often than this. */
const HURRY = 6;
const FASTEST_POLL_MS = 5_000;

export class HiveonSession implements DeviceSession, FlightHost {
  readonly targetKey: string;
  readonly options: SessionOptions;
  readonly deps: SessionDeps;
  readonly #accounts = new Map<string, Ledger>();
  readonly #listeners = new Set<(event: SessionEvent) => void>();
  readonly #closing = new AbortController();
  /** Monotonic ms: a former process wrote no later than this. */
  readonly openedAt: number;
  readonly #slot: CommandSlot;
  /** Of the rentals that are known and have not ended. */
  readonly #polls: Looks;
  /** Since when a deployment that was known is said not to exist: monotonic ms and how often. */
  readonly #absent = new Map<string, { sinceMs: number; reads: number }>();
  #syncCount = 0;
  #looking = false;
  #again = false;
  #connection: ConnectionState = "Unknown";

  constructor(options: SessionOptions, deps: SessionDeps) {
    this.targetKey = options.targetKey;
    this.options = options;
    this.deps = deps;
    this.openedAt = deps.clock.monotonic();
    this.#slot = new CommandSlot(
      { type: "hiveon", targetKey: this.targetKey, signal: this.signal, emit: (event) => this.#emit(event) },
      deps,
    );
    this.#polls = new Looks({
      clock: deps.clock,
      random: () => deps.random(),
      read: () => this.#pollAll(),
      delayMs: () => this.#pollDelayMs(),
    });
    this.#connection = deps.account().open ? "Connected" : "Unknown";
  }

  // The contract.

  snapshot(of?: Claim): DeviceSnapshot {
    const standing = this.deps.account();
    const account = of === undefined ? undefined : this.#follow(of);
    const known = account === undefined ? [...this.#accounts.values()] : [account];
    const complete = known.every((each) => each.complete);
    const { inFlight } = this.#slot;
    const message = standing.open
      ? complete
        ? undefined
        : "looking up at the vendor what is rented"
      : standing.failure.message;
    return {
      connection: this.#connection,
      ...(message !== undefined && { message }),
      synced: standing.open && complete,
      syncCount: this.#syncCount,
      containers: [...this.#accounts.values()].flatMap((each) => {
        const ended = each === account ? each.newestEnded() : undefined;
        return [...each.live(), ...(ended === undefined ? [] : [ended])].map((rental) =>
          each.observed(rental, this.options.machineId),
        );
      }),
      ...(inFlight !== undefined && { inFlight }),
    };
  }

  subscribe(listener: (event: SessionEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  execute(command: Command): Dispatch {
    const refused = refusal(command, {
      closed: this.#closing.signal.aborted,
      busy: this.#slot.isBusy,
      deps: this.deps,
      ledger: (names) => this.#accounts.get(keyOf(names)),
      knows: (externalId) => this.#accountOf(externalId) !== undefined,
    });
    if (refused !== undefined) {
      this.deps.metrics.command("hiveon", command.kind, "Refused");
      return { sent: false, ...refused };
    }
    return { sent: true, outcome: this.#run(command) };
  }

  settle(operationId: string): "Open" | "Closed" {
    const { settlements, operation } = this.#slot;
    if (operation === operationId) return "Open";
    if (settlements.isClosed(operationId)) return "Closed";
    const account = [...this.#accounts.values()].find(({ claim }) => claim.operation?.id === operationId);
    // Without a number there is nothing to look for: whoever asks has to name the object first.
    const attempt = account?.claim.operation?.attempt;
    if (account === undefined || attempt === undefined) return "Open";
    if (account.rentals.has(attempt) && account.complete) return "Closed";
    settlements.prove(
      operationId,
      () => this.#isOver(account, attempt),
      () => this.#emitContainer(account, account.rentals.get(attempt)?.status.deploymentId ?? "", operationId),
    );
    return "Open";
  }

  resync(reason: string): void {
    if (this.#closing.signal.aborted) return;
    this.deps.log.debug({ target: this.targetKey, reason }, "everything rented is looked up again");
    for (const account of this.#accounts.values()) account.complete = false;
    this.#look();
  }

  close(): Promise<void> {
    if (!this.#closing.signal.aborted) {
      this.#closing.abort();
      this.#listeners.clear();
      this.#polls.close();
      this.deps.closed(this);
    }
    return Promise.resolve();
  }

  // What the account reports.

  /** The account was connected, or is no longer. What was seen before says nothing about now. */
  accountChanged(): void {
    const { open } = this.deps.account();
    const connection: ConnectionState = open ? "Connected" : "Unknown";
    if (this.#connection === connection) return;
    this.#connection = connection;
    for (const [key, account] of this.#accounts) {
      account.complete = false;
      // An object that still exists names itself again; what is left of one that is gone would be looked up for ever.
      const idle = !this.#slot.isBusy && !this.#slot.settlements.isProving;
      if (idle && account.live().length === 0) this.#accounts.delete(key);
    }
    this.#emit({ type: "Connection", state: connection });
    if (open) this.#look();
  }

  /** A webhook says that something happened to one of these ids: a reason to look, never a truth. */
  hinted(ids: readonly string[]): boolean {
    for (const account of this.#accounts.values())
      for (const rental of account.rentals.values())
        if (ids.includes(rental.externalId) || ids.includes(rental.status.deploymentId)) {
          void this.poll(account, rental);
          return true;
        }
    return false;
  }

  // What a flight is carried out with.

  get signal(): AbortSignal {
    return this.#closing.signal;
  }

  look(id: { deploymentId: string } | { externalId: string }): Promise<Look> {
    const options = { externalIdPath: this.options.externalIdPath, urgent: true, signal: this.signal };
    return "deploymentId" in id
      ? lookByDeploymentId(this.deps.send, id.deploymentId, options)
      : lookByExternalId(this.deps.send, id.externalId, options);
  }

  note(account: Ledger, attempt: number, status: DeploymentStatus): void {
    this.#absent.delete(account.externalId(attempt));
    if (!account.note(attempt, status, this.deps.clock.now())) return;
    const { namespace, name } = account.claim;
    this.deps.log.info(
      {
        target: this.targetKey,
        object: `${namespace}/${name}`,
        attempt,
        deployment: status.deploymentId,
        status: status.status,
      },
      "rental changed",
    );
    this.#emitContainer(account, status.deploymentId);
    this.#polls.schedule();
  }

  /** Looks by our id over the settle time. */
  verifyLookup(externalId: string, deploymentId: string): void {
    void verifyLookup(this, externalId, deploymentId);
  }

  /** How long to wait between looks at something that is on its way, ms. */
  get hurriedMs(): number {
    return Math.min(FASTEST_POLL_MS, Math.max(1, this.options.pollMs / HURRY));
  }

  /**
   * Whether a deployment that was known, or was answered for, counts as gone: the vendor has said so several times, over the settle time.
   */
  isGone(externalId: string): boolean {
    const now = this.deps.clock.monotonic();
    const entry = this.#absent.get(externalId) ?? { sinceMs: now, reads: 0 };
    entry.reads += 1;
    this.#absent.set(externalId, entry);
    return entry.reads >= ABSENT_READS && now - entry.sinceMs >= this.options.settleMs;
  }

  /** What is gone costs nothing that anybody could stop. */
  noteGone(account: Ledger, rental: Rental): void {
    this.deps.log.warn(
      { target: this.targetKey, deployment: rental.status.deploymentId },
      "the vendor no longer knows this rental: taken for ended",
    );
    this.note(account, rental.attempt, {
      ...rental.status,
      state: "Stopped",
      status: "(unknown to the vendor)",
      failMessage: rental.status.failMessage ?? "the vendor no longer knows it",
    });
  }

  // Commands.

  #run(command: Command): Promise<CommandOutcome> {
    const timeoutMs = command.kind === "Create" ? this.options.createTimeoutMs : this.options.commandTimeoutMs;
    return this.#slot.run(command, timeoutMs, (head) => this.#carryOut(command, head));
  }

  #carryOut(command: Command, head: Head): Promise<CommandOutcome> {
    if (command.kind === "Create") {
      const account = this.#accounts.get(keyOf(command.marker));
      if (account === undefined || command.attempt === undefined) throw new Error("not admitted");
      account.operations.set(command.attempt, command.marker.operation);
      account.secrets = secretsOf(command.desired);
      return runCreate(this, account, { ...command, attempt: command.attempt }, head);
    }
    const externalId = "externalId" in command ? command.externalId : "";
    const found = this.#accountOf(externalId);
    if (found === undefined) throw new Error("not admitted");
    return runStop(this, found.account, found.rental, { ...head, externalId });
  }

  #accountOf(deploymentId: string): { account: Ledger; rental: Rental } | undefined {
    for (const account of this.#accounts.values()) {
      const rental = account.find(deploymentId);
      if (rental !== undefined) return { account, rental };
    }
    return undefined;
  }

  // Looking.

  #follow(claim: Claim): Ledger {
    const key = keyOf(claim);
    const known = this.#accounts.get(key);
    if (known !== undefined) {
      const before = known.claim.recorded?.attempt;
      known.claim = claim;
      if (
        claim.recorded !== undefined &&
        claim.recorded.attempt !== before &&
        !known.rentals.has(claim.recorded.attempt)
      ) {
        known.complete = false;
        this.#look();
      }
      return known;
    }
    const account = new Ledger(claim);
    this.#accounts.set(key, account);
    this.#look();
    return account;
  }

  /** Looks up every object that is not complete, one after another, once at a time. */
  #look(): void {
    if (this.#looking) {
      this.#again = true;
      return;
    }
    this.#looking = true;
    void this.#lookAll();
  }

  async #lookAll(): Promise<void> {
    let waitMs = this.hurriedMs;
    do {
      this.#again = false;
      let came = false;
      for (const account of this.#accounts.values()) {
        if (account.complete || !this.deps.account().open || this.#closing.signal.aborted) continue;
        if (!(await lookUp(this, account)) || this.#closing.signal.aborted) continue;
        account.complete = true;
        came = true;
      }
      if (came) {
        this.#syncCount += 1;
        this.#emit({ type: "Synced" });
        waitMs = this.hurriedMs;
      }
      const left = [...this.#accounts.values()].some(({ complete }) => !complete);
      if (left && this.deps.account().open && !this.#closing.signal.aborted) {
        const settlesInMs = this.openedAt + this.options.settleMs - this.deps.clock.monotonic();
        await pause(this.deps.clock, settlesInMs > 0 ? Math.min(waitMs, settlesInMs) : waitMs, this.signal);
        waitMs = Math.min(waitMs * 2, this.options.pollMs);
        this.#again = true;
      }
    } while (this.#again && !this.#closing.signal.aborted);
    this.#looking = false;
    this.#polls.schedule();
  }

  /** One more look at a rental that is known. @returns whether the vendor said something clear. */
  async poll(account: Ledger, rental: Rental): Promise<boolean> {
    const look = await lookByDeploymentId(this.deps.send, rental.status.deploymentId, {
      externalIdPath: this.options.externalIdPath,
      urgent: false,
      signal: this.signal,
    });
    if (this.#closing.signal.aborted) return false;
    switch (look.seen) {
      case "Found":
        this.note(account, rental.attempt, look.status);
        return true;
      case "Absent":
        if (!this.isGone(rental.externalId)) return false;
        this.noteGone(account, rental);
        return true;
      case "Unclear":
        return this.doubt(look);
      default:
        return look satisfies never;
    }
  }

  /** Counts a look that gave nothing. */
  doubt(look: Extract<Look, { seen: "Unclear" }>): false {
    if (look.malformed) this.deps.metrics.malformed("hiveon", "Status");
    this.deps.log.debug({ target: this.targetKey, failure: look.failure }, "a look at the vendor gave nothing");
    return false;
  }

  /** What is on its way is polled soon, what rests after the interval. */
  #pollDelayMs(): number | undefined {
    if (!this.deps.account().open) return undefined;
    const live = [...this.#accounts.values()].flatMap((account) => account.live());
    if (live.length === 0) return undefined;
    const isMoving = live.some(
      ({ status, externalId }) =>
        (status.state !== "Running" && status.state !== "Failed") || this.#absent.has(externalId),
    );
    return isMoving ? this.hurriedMs : this.options.pollMs;
  }

  async #pollAll(): Promise<boolean> {
    for (const account of this.#accounts.values())
      for (const rental of account.live()) {
        if (this.#closing.signal.aborted || !this.deps.account().open) return false;
        await this.poll(account, rental);
      }
    return true;
  }

  async #isOver(account: Ledger, attempt: number): Promise<boolean> {
    const found = await settled(this, account.externalId(attempt));
    if (this.#closing.signal.aborted) return false;
    if (found !== undefined) this.note(account, attempt, found);
    return true;
  }

  #emitContainer(account: Ledger, externalId: string, operation = ""): void {
    const { owner, namespace, name } = account.claim;
    const marker = { owner, namespace, name, uid: "", operation, hash: "" };
    this.#emit({ type: "Container", externalId, marker });
  }

  #emit(event: SessionEvent): void {
    for (const listener of this.#listeners) listener(event);
  }
}

function keyOf({ owner, namespace, name }: { owner: string; namespace: string; name: string }): string {
  return `${owner}/${namespace}/${name}`;
}
