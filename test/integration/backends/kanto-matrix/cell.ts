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
import type { BackendClock, Dispatch, ObservedContainer } from "../../../../src/backends/contract.ts";
import type { BackendFailure } from "../../../../src/backends/errors.ts";
import { KantoClient, type CallResult } from "../../../../src/backends/kanto/client/client.ts";
import type { KantoConfig } from "../../../../src/backends/kanto/config.ts";
import type { OperationName } from "../../../../src/backends/kanto/client/operations.ts";
import { kantoTarget } from "../../../../src/backends/kanto/topics.ts";
import {
  fingerprint,
  reviewSent,
  type ContainerMemory,
  type SentCommand,
} from "../../../../src/reconcilers/edge-container/memory.ts";
import { systemClock } from "../../../../src/kube/clock.ts";
import type { ContainerTruth, KantoDevice, ReceivedCommand } from "../../../../src/simulators/kanto/index.ts";
import { synced, type ConformanceProcess } from "../../../conformance/harness.ts";
import { startBroker, type TestBroker } from "../../../mqtt/broker.ts";
import { startKantoWorld, type KantoWorld } from "../kanto-harness.ts";
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
/** Messages to the device in one cell, probes and announcements included; about ten are usual. */
const MOST_MESSAGES = 60;

/** How a command may end: an outcome, a class of failure, or a refusal to send it. */
export type Ending =
  | "Succeeded"
  | "Lost"
  | `Failed:${BackendFailure["class"]}`
  | `NotSent:${(Dispatch & { sent: false })["reason"]}`;

export interface Fault {
  name: string;
  /** Before the command is sent, or while the device is at work on it. */
  when: "before" | "during";
  strike(cell: Cell): unknown;
  /** Ends it once it has shown, or has lasted: a first command has ended, or the device is seen to be away. Default: it ends by itself. */
  heal?(cell: Cell): unknown;
  /** Whether it has left its trace; one that never struck would prove nothing. Default: it surely has. */
  struck?(cell: Cell): boolean;
  /** How the operation may end under it. */
  allows(operation: OperationName): readonly Ending[];
  /** How often the operation may have to be carried out because the fault undoes it. Default 1. */
  effects?: number;
  /** How many containers a create makes under it. Default 1. */
  makes?: number;
  /** What is wanted may be out of reach afterwards, so that only a first attempt is made. */
  once?: true;
}

/** Where a fault strikes. */
export class Cell {
  readonly operation: OperationName;
  readonly world: KantoWorld;
  readonly broker: TestBroker;
  /** What the broker lets pass; faults change it. */
  readonly rights: { login: boolean; publish: boolean };
  /** Our process; faults may replace it. */
  ours: ConformanceProcess;
  /** The container that the operation is for. */
  container: string | undefined;
  /** The human's. */
  readonly theirs: string;
  readonly endings: Ending[] = [];

  constructor(parts: Pick<Cell, "operation" | "world" | "broker" | "rights" | "ours" | "container" | "theirs">) {
    this.operation = parts.operation;
    this.world = parts.world;
    this.broker = parts.broker;
    this.rights = parts.rights;
    this.ours = parts.ours;
    this.container = parts.container;
    this.theirs = parts.theirs;
  }

  /** Remembers how a command ended, once. */
  note(ending: Ending): void {
    if (!this.endings.includes(ending)) this.endings.push(ending);
  }

  get device(): KantoDevice {
    return this.world.device;
  }

  /** The container as our process sees it now. */
  seen(): ObservedContainer | undefined {
    const { containers } = this.ours.session.snapshot();
    const isIt = ({ externalId, marker }: ObservedContainer): boolean =>
      this.container === undefined ? marker?.operation === OPERATION : externalId === this.container;
    return containers.find(isIt);
  }
}

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
    else await callByHand(cell, row, striker, fault.effects ?? 1);
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

/** One call by hand; nobody repeats it. */
async function callByHand(cell: Cell, row: Row & { by: "hand" }, striker: Striker, effects: number): Promise<void> {
  const target = kantoTarget("edge:device");
  if (target === undefined) throw new Error("no target");
  const nothing = (): void => undefined;
  const client = new KantoClient(
    {
      spec: {
        kanto: { url: `mqtt://127.0.0.1:${cell.world.proxy.port}`, tenant: "t1", clientIdPrefix: "drayage-h" },
      },
      credentials: {},
      target,
    },
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
  let result: CallResult | undefined;
  const call = async (): Promise<CallResult> => {
    const failure = await client.open();
    if (failure !== undefined) return { result: "NotSent", failure };
    return client.call(row.call(cell.container ?? ""), CREATE_TIMEOUT_S * 1000);
  };
  const mark = cell.device.commands().length;
  const calling = call().then((ended) => (result = ended));
  try {
    await poll(cell, striker, () => result !== undefined);
    const arrived = operationsOf(cell, mark);
    const executed = arrived.filter(succeeded).length;
    const ended = await calling;
    // What the caller is told is true by the device's books.
    const fits: Record<CallResult["result"], boolean> = {
      Done: executed >= 1 && executed <= effects,
      Refused: executed === 0,
      Unanswered: executed <= effects,
      NotSent: arrived.length === 0,
    };
    expect(fits[ended.result], `${JSON.stringify(ended)} with ${JSON.stringify(arrived)}`).toBe(true);
    // Nobody told the session; an event of the effect that was lost on the way is found by the next full inventory.
    cell.ours.session.resync("a call by hand");
  } finally {
    await client.close();
  }
}

/** Steps until done. */
async function poll(cell: Cell, striker: Striker | undefined, step: () => boolean): Promise<void> {
  const deadline = performance.now() + 45_000;
  for (;;) {
    await striker?.step();
    if (step()) return;
    if (performance.now() > deadline) {
      throw new Error(
        `never came to rest: ${JSON.stringify({
          endings: cell.endings,
          snapshot: cell.ours.session.snapshot(),
          truth: cell.device.containers(),
          commands: cell.device.commands().map(({ operation, progress, status }) => [operation, progress, status]),
        })}`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const succeeded = ({ progress, status = 0 }: ReceivedCommand): boolean =>
  progress === "done" && status >= 200 && status < 300;

/** Messages of the operation that reached the daemon since. */
function operationsOf(cell: Cell, mark: number): ReceivedCommand[] {
  return cell.device
    .commands()
    .slice(mark)
    .filter(({ operation }) => operation === cell.operation);
}

async function checkEnd(
  cell: Cell,
  row: Row,
  fault: Fault,
  mark: number,
  theirsLeft: ContainerTruth | undefined,
): Promise<void> {
  const { device, operation, theirs } = cell;
  await poll(cell, undefined, () => isIdle(cell) && JSON.stringify(inSnapshot(cell)) === JSON.stringify(inTruth(cell)));
  if (row.by === "session") {
    const allowed = fault.allows(operation);
    expect(allowed, `how ${operation} may end`).toEqual(expect.arrayContaining(cell.endings));
  }
  const executed = operationsOf(cell, mark).filter(succeeded).length;
  expect(executed, `times ${operation} was carried out`).toBeLessThanOrEqual(fault.effects ?? 1);
  if (operation === "createWithConfig") {
    const made = device.everCreated().filter(({ config }) => JSON.stringify(config).includes(OPERATION));
    expect(made.length, "containers made").toBe(fault.makes ?? 1);
  }
  const toThem = device.commands().filter(({ feature }) => feature.includes(theirs));
  expect(toThem, "commands to the human's container").toEqual([]);
  const lasting = (each: ContainerTruth | undefined) => each && [each.name, each.config, each.exists];
  const left = device.everCreated().find(({ id }) => id === theirs);
  expect(lasting(left), "the human's container").toEqual(lasting(theirsLeft));
  const messages = cell.world.proxy.packets({ direction: "toBroker", type: "PUBLISH" }).length;
  expect(messages, "messages to the device").toBeLessThanOrEqual(MOST_MESSAGES);
}

/** In sync, and free to take a command. */
function isIdle({ ours }: Cell): boolean {
  const { synced: complete, connection, inFlight } = ours.session.snapshot();
  return complete && connection === "Connected" && inFlight === undefined;
}

type Line = readonly [id: string, name: string, image: string, state: string, policy: string];

const sorted = (lines: readonly Line[]): readonly Line[] => lines.toSorted(([a], [b]) => (a < b ? -1 : 1));

function inSnapshot({ ours }: Cell): readonly Line[] {
  const lines = ours.session.snapshot().containers.map(({ externalId, name, image, state, config }): Line => {
    return [externalId, name, image, state, (config as KantoConfig).restartPolicy.type];
  });
  return sorted(lines);
}

function inTruth({ device }: Cell): readonly Line[] {
  const lines = device.containers().map(({ id, name, imageRef, state, config }): Line => {
    const status = String(state["status"]);
    const { type } = config["restartPolicy"] as { type: string };
    return [id, name, imageRef, `${status.slice(0, 1)}${status.slice(1).toLowerCase()}`, type];
  });
  return sorted(lines);
}
