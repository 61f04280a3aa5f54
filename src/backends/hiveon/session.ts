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
import { Coalescer } from "../http/coalesce.ts";
import { CommandSlot, type Head } from "../http/command-slot.ts";
import { Looks } from "../http/looks.ts";
import { refusal } from "./admission.ts";
import { Books } from "./books.ts";
import type { Ledger, Rental } from "./ledger.ts";
import { lookByDeploymentId, lookByExternalId, type Look } from "./lookup.ts";
import { absentee, runCreate, runStop, type Absentee } from "./flight.ts";
import { settled, verifyLookup } from "./find.ts";
import { Search, type SearchHost } from "./search.ts";
import type { SessionDeps, SessionOptions } from "./parts.ts";
import type { Verdict } from "./witness.ts";
import { secretsOf, type DeploymentStatus } from "./wire.ts";

/** A rental on its way is looked at so many times more often, but not more often than this. */
const HURRY = 6;
const FASTEST_POLL_MS = 5_000;
const HURRY_FOR_MS = 600_000;

export class HiveonSession implements DeviceSession, SearchHost {
  readonly targetKey: string;
  readonly options: SessionOptions;
  readonly deps: SessionDeps;
  readonly books = new Books();
  readonly #listeners = new Set<(event: SessionEvent) => void>();
  readonly #closing = new AbortController();
  /** Monotonic ms: a former process wrote no later than this. */
  readonly openedAt: number;
  readonly #slot: CommandSlot;
  /** Of the rentals that are known and have not ended. */
  readonly #polls: Looks;
  readonly #search: Search;
  readonly #hints = new Coalescer();
  #syncCount = 0;
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
    this.#search = new Search(this);
    this.#connection = deps.account().open ? "Connected" : "Unknown";
  }

  // The contract.

  snapshot(of?: Claim): DeviceSnapshot {
    const standing = this.deps.account();
    const account = of === undefined ? undefined : this.#follow(of);
    const known = account === undefined ? [...this.books] : [account];
    const complete = known.every((each) => each.complete);
    const { inFlight } = this.#slot;
    const held = standing.open ? known.find((each) => each.held !== undefined)?.held : undefined;
    const looking = complete ? undefined : (held ?? "looking up at the vendor what is rented");
    const message = standing.open ? looking : standing.failure.message;
    return {
      connection: this.#connection,
      ...(message !== undefined && { message }),
      synced: standing.open && complete,
      syncCount: this.#syncCount,
      ...(held !== undefined && { obstacle: held }),
      containers: [...this.books].flatMap((each) => {
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
      ledger: (names) => this.books.get(names),
      knows: (externalId) => this.books.find(externalId) !== undefined,
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
    const account = [...this.books].find(({ claim }) => claim.operation?.id === operationId);
    // Without a number there is nothing to look for: whoever asks has to name the object first.
    const attempt = account?.claim.operation?.attempt;
    if (account === undefined || attempt === undefined) return "Open";
    if (account.rentals.has(attempt) && account.complete) return "Closed";
    // Not to be found out: looking it up holds it, or has done so.
    const { madeNothing, under } = account.claim.operation ?? {};
    if (madeNothing !== true && !this.deps.witness.trusts(under)) return "Open";
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
    for (const account of this.books) account.complete = false;
    this.#search.start();
  }

  forget(of: Pick<Claim, "owner" | "namespace" | "name">): void {
    const account = this.books.get(of);
    if (account !== undefined) this.#drop(account);
  }

  close(): Promise<void> {
    if (!this.#closing.signal.aborted) {
      for (const account of this.books) this.#drop(account);
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
    for (const account of this.books) {
      account.complete = false;
      // An object that still exists names itself again; what is left of one that is gone would be looked up for ever.
      const idle = !this.#slot.isBusy && !this.#slot.settlements.isProving;
      if (idle && account.live().length === 0) this.#drop(account);
    }
    this.#emit({ type: "Connection", state: connection });
    if (open) this.#search.start();
  }

  /** A webhook says that something happened to one of these ids: a reason to look, never a truth. */
  hinted(ids: readonly string[]): boolean {
    const found = this.books.findAny(ids);
    // However many webhooks there are, one look at a time.
    if (found !== undefined) this.#hints.run(found.rental.externalId, () => this.poll(found.account, found.rental));
    return found !== undefined;
  }

  /** Looks at every rental that is known, also if it rests. */
  pollNow(): void {
    void this.#polls.now();
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
    if (!this.#isKept(account)) return;
    const { clock, witness } = this.deps;
    const isLive = status.state !== "Stopped";
    witness.shown(account.externalId(attempt), { isLive, under: account.under(attempt) }, clock.monotonic());
    this.record(account, attempt, status);
  }

  record(account: Ledger, attempt: number, status: DeploymentStatus): void {
    account.held = undefined;
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

  /** For how long something counts as on its way, ms: a state that lasts longer is looked at after the interval like any other. */
  readonly hurryForMs = HURRY_FOR_MS;

  /** How long to wait between looks at something that is on its way, ms. */
  get hurriedMs(): number {
    return Math.min(FASTEST_POLL_MS, Math.max(1, this.options.pollMs / HURRY));
  }

  missing(account: Ledger, { attempt, ...rental }: Absentee): Verdict {
    if (!this.#isKept(account)) return { gone: "Held", why: "the object of this rental is gone" };
    const { clock, witness } = this.deps;
    const externalId = account.externalId(attempt);
    const under = account.under(attempt);
    const verdict = witness.missing({ ...rental, externalId, under }, this.options.settleMs, clock.monotonic());
    if (verdict.gone === "Wait") this.#polls.schedule();
    return verdict;
  }

  hold(account: Ledger, why: string): void {
    if (!this.#isKept(account)) return;
    const isNews = account.held !== why;
    account.held = why;
    account.complete = false;
    if (!isNews) return;
    this.deps.lookup.tell(why);
    this.#emitContainer(account, "");
    this.#search.start();
  }

  /** What is gone costs nothing that anybody could stop. */
  noteGone(account: Ledger, rental: Rental): void {
    this.deps.log.warn(
      { target: this.targetKey, deployment: rental.status.deploymentId },
      "the vendor no longer knows this rental: taken for ended",
    );
    this.record(account, rental.attempt, {
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
      const account = this.books.get(command.marker);
      if (account === undefined || command.attempt === undefined) throw new Error("not admitted");
      account.operations.set(command.attempt, command.marker.operation);
      account.secrets = secretsOf(command.desired);
      return runCreate(this, account, { ...command, attempt: command.attempt }, head);
    }
    const externalId = "externalId" in command ? command.externalId : "";
    const found = this.books.find(externalId);
    if (found === undefined) throw new Error("not admitted");
    return runStop(this, found.account, found.rental, { ...head, externalId });
  }

  #drop(account: Ledger): void {
    const { recorded, operation } = account.claim;
    const attempts = [recorded?.attempt, operation?.attempt, ...account.rentals.keys()];
    for (const attempt of attempts) if (attempt !== undefined) this.deps.witness.forget(account.externalId(attempt));
    this.books.delete(account);
  }

  /** A look may end after its object has gone: then it is nobody's, and says nothing about others. */
  #isKept(account: Ledger): boolean {
    return this.books.get(account.claim) === account;
  }

  // Looking.

  #follow(claim: Claim): Ledger {
    const { ledger, isNews } = this.books.follow(claim);
    if (isNews) this.#search.start();
    return ledger;
  }

  completed(): void {
    this.#syncCount += 1;
    this.#emit({ type: "Synced" });
  }

  rests(): void {
    this.#polls.schedule();
  }

  /** One more look at a rental that is known. @returns whether the vendor said something clear. */
  async poll(account: Ledger, rental: Rental): Promise<boolean> {
    const look = await lookByDeploymentId(this.deps.send, rental.status.deploymentId, {
      externalIdPath: this.options.externalIdPath,
      urgent: false,
      signal: this.signal,
    });
    if (this.#closing.signal.aborted || !this.#isKept(account)) return false;
    switch (look.seen) {
      case "Found":
        this.note(account, rental.attempt, look.status);
        return true;
      case "Absent": {
        const verdict = this.missing(account, absentee(account, rental));
        if (verdict.gone === "Held") this.hold(account, verdict.why);
        if (verdict.gone === "Yes") this.noteGone(account, rental);
        return verdict.gone === "Yes";
      }
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
    const live = this.books.live();
    if (live.length === 0) return undefined;
    const { clock, witness } = this.deps;
    const isMoving = live.some(({ account, rental: { status, externalId, sinceMs } }) => {
      // What is held is waited for by people.
      if (account.held !== undefined) return false;
      if (witness.isMissing(externalId)) return witness.isMissing(externalId, clock.monotonic() - this.hurryForMs);
      const rests = status.state === "Running" || status.state === "Failed";
      return !rests && clock.now() - sinceMs < this.hurryForMs;
    });
    return isMoving ? this.hurriedMs : this.options.pollMs;
  }

  async #pollAll(): Promise<boolean> {
    for (const { account, rental } of this.books.live()) {
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
