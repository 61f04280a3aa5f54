/**
 * One cell of the matrix: one operation, one fault, and the oracle of both.
 *
 * The operation is driven as a reconciler drives it: look, send if what is wanted is not so, wait for the outcome, look again; a create
 * only once its operation is settled. Whatever the fault does, in the end
 *  - each command has ended as one of the closed union, and as one of those that the fault allows;
 *  - the effect happened exactly once by the device's own books;
 *  - the snapshot equals the device's truth, and the slot is free;
 *  - what the human has on the device was never spoken to, and is as he left it;
 *  - the device was sent no more than a few messages.
 *
 * Our own time runs ten times as fast as the machine's, so that the operator's real timeouts can be waited for.
 */
import { expect } from "vitest";
import type { BackendClock } from "../../../../src/backends/contract.ts";
import { KantoClient, type CallResult } from "../../../../src/backends/kanto/client/client.ts";
import type { OperationName } from "../../../../src/backends/kanto/client/operations.ts";
import { kantoTarget } from "../../../../src/backends/kanto/topics.ts";
import {
  fingerprint,
  reviewSent,
  type ContainerMemory,
  type SentCommand,
} from "../../../../src/reconcilers/edge-container/memory.ts";
import { systemClock } from "../../../../src/kube/clock.ts";
import type { ContainerTruth } from "../../../../src/simulators/kanto/index.ts";
import { synced } from "../../../conformance/harness.ts";
import { startBroker } from "../../../mqtt/broker.ts";
import { startKantoWorld } from "../kanto-harness.ts";
import { Cell, poll, type Fault } from "./fault.ts";
import { checkEnd, operationsOf, succeeded } from "./oracle.ts";
import { IMAGE, OPERATION, prepare, ROWS, THEIR_IMAGE, type Row } from "./rows.ts";

const HURRY = 10;
const EPOCH = Date.now();
const HURRIED: BackendClock = {
  now: () => EPOCH + (Date.now() - EPOCH) * HURRY,
  monotonic: () => systemClock.monotonic() * HURRY,
  setTimeout: (run, ms) => systemClock.setTimeout(run, ms / HURRY),
  clearTimeout: (timer) => systemClock.clearTimeout(timer as object | undefined),
};
/** By our own clock. */
const TIMINGS = { observeIntervalMs: 40_000, probeTimeoutMs: 10_000, reconnectInitialMs: 1_000, reconnectMaxMs: 5_000 };
const COMMAND_TIMEOUT_S = 10;
const CREATE_TIMEOUT_S = 20;
/** How long a command is held up at the device where a fault is to strike in the middle of it, and how long a pull takes. */
const MIDDLE_MS = 200;
/** A fault that nobody notices ends after this, ms. */
const LONGEST_FAULT_MS = 4_000;

/** Runs one cell. */
export async function runCell(operation: OperationName, fault: Fault): Promise<void> {
  const rights = { login: true, publish: true };
  const isOurs = (client: string): boolean => client.startsWith("drayage");
  const broker = await startBroker({
    authenticate: (_user, _password, client) => rights.login || !isOurs(client),
    authorizePublish: (client, topic) => rights.publish || !isOurs(client) || !topic.includes("/req/"),
  });
  const world = await startKantoWorld(broker, {
    clock: HURRIED,
    timings: TIMINGS,
    device: { defaultStopTimeoutS: 1 },
    backend: { commandTimeoutSeconds: COMMAND_TIMEOUT_S, createTimeoutSeconds: CREATE_TIMEOUT_S },
  });
  try {
    const { device } = world;
    const theirs = await device.human.create({ name: "theirs", image: THEIR_IMAGE });
    const ours = await world.start();
    await synced(ours);
    const row: Row = ROWS[operation];
    const container = await prepare(ours, row.before);
    const cell = new Cell({ operation, world, broker, rights, ours, container, theirs });
    const mark = device.commands().length;
    if (fault.when === "before") await fault.strike(cell);
    else if (row.before === "absent") device.faults.image(IMAGE, { pullMs: MIDDLE_MS });
    else device.faults.command({ operation, effect: { kind: "delay", ms: MIDDLE_MS } });
    const striker = new Striker(cell, fault, mark);
    if (row.by === "session") await driveSession(cell, row, striker);
    else await callByHand(cell, row, striker, mark, fault.effects ?? 1);
    await striker.finish();
    await checkEnd(cell, row, fault, mark, striker.theirsLeft);
  } finally {
    await world.close();
  }
}

/** Strikes in the middle, and heals once the fault has shown. */
class Striker {
  readonly #cell: Cell;
  readonly #fault: Fault;
  readonly #mark: number;
  #struck: boolean;
  #struckAtMs: number | undefined;
  #healed = false;
  /** What the human left, once the fault, which may be his own doing, has struck. */
  theirsLeft: ContainerTruth | undefined;

  constructor(cell: Cell, fault: Fault, mark: number) {
    this.#cell = cell;
    this.#fault = fault;
    this.#mark = mark;
    this.#struck = fault.when === "before";
    this.#note();
  }

  get struck(): boolean {
    return this.#struck;
  }

  /** Whether a first attempt is all that is asked for. */
  get once(): boolean {
    return this.#fault.once === true;
  }

  /** To be called again and again. */
  async step(): Promise<void> {
    const { device, endings, ours } = this.#cell;
    if (!this.#struck) {
      const news = device.commands().slice(this.#mark);
      if (!news.some(({ operation, progress }) => operation === this.#cell.operation && progress === "executing"))
        return;
      this.#struck = true;
      await this.#fault.strike(this.#cell);
      this.#note();
      return;
    }
    this.#struckAtMs ??= performance.now();
    const { connection } = ours.session.snapshot();
    const shown = endings.length > 0 || connection === "Offline" || connection === "Unknown";
    if (shown || performance.now() - this.#struckAtMs > LONGEST_FAULT_MS) await this.#heal();
  }

  /** After the last command. @throws Error if it never struck: such a cell would prove nothing. */
  async finish(): Promise<void> {
    await this.#heal();
    const spent = this.#cell.device.commandRules.take(() => true) === undefined;
    if (!this.#struck || !spent || this.#fault.struck?.(this.#cell) === false)
      throw new Error("the fault never struck");
  }

  async #heal(): Promise<void> {
    if (this.#healed) return;
    this.#healed = true;
    await this.#fault.heal?.(this.#cell);
  }

  #note(): void {
    this.theirsLeft = this.#cell.device.everCreated().find(({ id }) => id === this.#cell.theirs);
  }
}

/** What the reconciler does, without Kubernetes, and with its own memory of what it sent. */
async function driveSession(cell: Cell, row: Row & { by: "session" }, striker: Striker): Promise<void> {
  const isCreate = row.kind === "Create";
  const memory: ContainerMemory = { uid: "uid-1" };
  let attempt = 0;
  const step = (): boolean => {
    const { session } = cell.ours;
    const snapshot = session.snapshot();
    const sent = reviewSent(memory, session, snapshot, HURRIED.monotonic());
    if (sent.state === "AwaitingObservation" && sent.resync) session.resync("the effect was not observed");
    if (sent.state === "Sent" || sent.state === "AwaitingObservation" || !snapshot.synced) return false;
    if (attempt > 0 && striker.struck && (striker.once || row.holds(cell.seen()))) return true;
    if (isCreate && attempt > 0 && session.settle(OPERATION) === "Open") return false;
    const action = row.action(cell.seen());
    const commandId = `${isCreate ? OPERATION : "matrix"}.${attempt + 1}`;
    const dispatch = session.execute({ ...action, commandId, key: "default/web" });
    if (!dispatch.sent) {
      cell.note(`NotSent:${dispatch.reason}`);
      return false;
    }
    attempt += 1;
    const entry: SentCommand = {
      commandId,
      kind: action.kind,
      session,
      before: fingerprint(cell.seen()),
      ...(isCreate && { operationId: OPERATION }),
      ...("externalId" in action && { externalId: action.externalId }),
    };
    memory.sent = entry;
    void dispatch.outcome.then((outcome) => {
      if (session !== cell.ours.session) return;
      entry.outcome = outcome;
      entry.outcomeAtMs = HURRIED.monotonic();
      cell.note(outcome.result === "Failed" ? `Failed:${outcome.failure.class}` : outcome.result);
    });
    return false;
  };
  await poll(cell, striker, step);
}

/** A call by hand. What was not sent may be repeated safely, and nothing else ever is. */
async function callByHand(
  cell: Cell,
  row: Row & { by: "hand" },
  striker: Striker,
  mark: number,
  effects: number,
): Promise<void> {
  for (;;) {
    let isOver = false;
    const calling = callOnce(cell, row).finally(() => (isOver = true));
    await poll(cell, striker, () => isOver);
    const result = await calling;
    const arrived = operationsOf(cell, mark);
    const executed = arrived.filter(succeeded).length;
    // What the caller is told is true by the device's books.
    const fits: Record<CallResult["result"], boolean> = {
      Done: executed >= 1 && executed <= effects,
      Refused: executed === 0,
      Unanswered: executed <= effects,
      NotSent: arrived.length === 0,
    };
    expect(fits[result.result], `${JSON.stringify(result)} with ${JSON.stringify(arrived)}`).toBe(true);
    if (result.result !== "NotSent") break;
    cell.note("NotSent:Offline");
  }
  // Nobody told the session; an event of the effect that was lost on the way is found by the next full inventory.
  cell.ours.session.resync("a call by hand");
}
async function callOnce(cell: Cell, row: Row & { by: "hand" }): Promise<CallResult> {
  const target = kantoTarget("edge:device");
  if (target === undefined) throw new Error("no target");
  const nothing = (): void => undefined;
  const url = `mqtt://127.0.0.1:${cell.world.proxy.port}`;
  const client = new KantoClient(
    { spec: { kanto: { url, tenant: "t1", clientIdPrefix: "drayage-h" } }, credentials: {}, target },
    {
      clock: HURRIED,
      log: { debug: nothing, info: nothing, warn: nothing, error: nothing },
      metrics: { command: nothing, malformed: nothing, reconnect: nothing },
      fence: { valid: () => false },
      random: Math.random,
      timings: TIMINGS,
      processId: "hand",
    },
  );
  try {
    const failure = await client.open();
    if (failure !== undefined) return { result: "NotSent", failure };
    return await client.call(row.call(cell.container ?? ""), CREATE_TIMEOUT_S * 1000);
  } finally {
    await client.close();
  }
}
