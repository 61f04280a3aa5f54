/** What holds of every cell in the end; the list stands in cell.ts. */
import { expect } from "vitest";
import type { KantoConfig } from "../../../../src/backends/kanto/config.ts";
import type { ContainerTruth, ReceivedCommand } from "../../../../src/simulators/kanto/index.ts";
import { poll, type Cell, type Fault } from "./fault.ts";
import { OPERATION, type Row } from "./rows.ts";

/** Messages to the device in one cell, probes and announcements included; about ten are usual. */
const MOST_MESSAGES = 60;

export const succeeded = ({ progress, status = 0 }: ReceivedCommand): boolean =>
  progress === "done" && status >= 200 && status < 300;

/** Messages of the operation that reached the daemon since. */
export function operationsOf(cell: Cell, mark: number): ReceivedCommand[] {
  return cell.device
    .commands()
    .slice(mark)
    .filter(({ operation }) => operation === cell.operation);
}

/** Waits until all has come to rest, and looks. */
export async function checkEnd(
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
