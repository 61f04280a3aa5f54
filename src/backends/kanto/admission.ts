/** Whether a command may be sent now; if not, why. A refused command never leaves the process. */
import type { Command, Dispatch } from "../contract.ts";
import type { BackendFailure } from "../errors.ts";
import { commandTarget } from "./commands.ts";
import { unknownFeature } from "./errors-table.ts";
import type { Believed } from "./presence.ts";
import type { Flight } from "./slot.ts";

/** What the answer depends on. */
export interface Situation {
  closed: boolean;
  /** The fence holds: this process may write. */
  fenced: boolean;
  /** Subscribed on an open connection. */
  online: boolean;
  brokerMessage: string;
  flight: Flight | undefined;
  believed: Believed;
  synced: boolean;
  /** What keeps the inventory from being complete, if that is known. */
  problem: string | undefined;
  has(externalId: string): boolean;
}

export type Refusal = Pick<Dispatch & { sent: false }, "reason" | "failure">;

/** @returns undefined if it may be sent. */
export function refusal(command: Command, now: Situation): Refusal | undefined {
  if (now.closed) return { reason: "Closed", failure: unreachable("the session is closed") };
  if (!now.fenced) return { reason: "Fenced", failure: transient("this process may not write at present") };
  if (!now.online) return { reason: "Offline", failure: unreachable(now.brokerMessage) };
  if (now.flight !== undefined) {
    const message = `another command (${now.flight.command.kind}) is in flight to this device`;
    return { reason: "SlotBusy", failure: transient(message) };
  }
  if (now.believed === "Offline") return { reason: "Offline", failure: unreachable("the device is offline") };
  if (!now.synced) {
    return { reason: "NotSynced", failure: transient(now.problem ?? "the device's inventory is not complete yet") };
  }
  const target = commandTarget(command);
  if (target !== undefined && !now.has(target)) {
    return { reason: "NotSynced", failure: unknownFeature(`the device has no container ${target}`) };
  }
  return undefined;
}

/** Nothing can be sent to the device. */
export function unreachable(message: string): BackendFailure {
  return { class: "Unreachable", message };
}

function transient(message: string): BackendFailure {
  return { class: "Transient", message };
}
