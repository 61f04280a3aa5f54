/** What a fault is, and where it strikes. */
import type { Dispatch, ObservedContainer } from "../../../../src/backends/contract.ts";
import type { BackendFailure } from "../../../../src/backends/errors.ts";
import type { OperationName } from "../../../../src/backends/kanto/client/operations.ts";
import type { KantoDevice } from "../../../../src/simulators/kanto/index.ts";
import type { ConformanceProcess } from "../../../conformance/harness.ts";
import type { TestBroker } from "../../../mqtt/broker.ts";
import type { KantoWorld } from "../kanto-harness.ts";
import { OPERATION } from "./rows.ts";

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

/** Steps until done. */
export async function poll(
  cell: Cell,
  striker: { step(): Promise<void> } | undefined,
  step: () => boolean,
): Promise<void> {
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
