/** status of an EdgeDevice, computed in one place. Pure. */
import type { DeviceSnapshot } from "../../backends/contract.ts";
import { formatTime, rebuildConditions, type ConditionInput } from "../../controller/conditions.ts";
import type { EdgeDevice, EdgeDeviceStatus } from "../../crds/edge-device.ts";
import type { Inventory } from "./inventory.ts";

/** What is known of the way to the device. */
export type DeviceStanding =
  | { kind: "Waiting"; acceptedReason: string; message: string }
  | { kind: "Stalled"; reason: string; message: string }
  | { kind: "BackendAway"; message: string }
  | { kind: "Session"; snapshot: DeviceSnapshot; inventory: Inventory };

/** The whole status. pendingRemovals is written by pending-removals.ts alone and kept as it is. */
export function computeDeviceStatus(object: EdgeDevice, standing: DeviceStanding, nowMs: number): EdgeDeviceStatus {
  const observedGeneration = object.metadata.generation ?? 0;
  const before = object.status;
  const conditions = rebuildConditions(before?.conditions, deviceConditions(object, standing), {
    observedGeneration,
    nowMs,
  });
  const status: EdgeDeviceStatus = {
    observedGeneration,
    connection: connectionOf(before, standing),
    conditions,
    ...(before?.pendingRemovals !== undefined && { pendingRemovals: before.pendingRemovals }),
  };
  if (standing.kind === "Session" && standing.snapshot.synced) {
    status.managed = standing.inventory.managed;
    if (standing.inventory.unmanaged.length > 0) status.unmanaged = standing.inventory.unmanaged;
  } else {
    if (before?.managed !== undefined) status.managed = before.managed;
    if (before?.unmanaged !== undefined) status.unmanaged = before.unmanaged;
  }
  return status;
}

/** lastSeenTime moves only when the device goes offline: a heartbeat would be a write at rest. */
function connectionOf(
  before: EdgeDeviceStatus | undefined,
  standing: DeviceStanding,
): NonNullable<EdgeDeviceStatus["connection"]> {
  const state = standing.kind === "Session" ? standing.snapshot.connection : "Unknown";
  const kept = before?.connection?.lastSeenTime;
  if (standing.kind === "Session" && state === "Offline" && before?.connection?.state !== "Offline") {
    const seen = standing.snapshot.lastSeenMs;
    const time = seen === undefined ? kept : formatTime(seen);
    return { state, ...(time !== undefined && { lastSeenTime: time }) };
  }
  return { state, ...(kept !== undefined && { lastSeenTime: kept }) };
}

function deviceConditions(object: EdgeDevice, standing: DeviceStanding): ConditionInput[] {
  const conditions = standingConditions(standing);
  if (object.metadata.deletionTimestamp !== undefined)
    conditions.push({
      type: "Reconciling",
      status: "True",
      reason: "Removing",
      message:
        "being deleted: waits for its EdgeContainers to be deleted and for pending removals, at most for spec.deletion.graceSeconds",
    });
  if (object.spec.suspend === true)
    conditions.push({
      type: "Suspended",
      status: "True",
      reason: "Suspended",
      message:
        "spec.suspend is set: nothing is changed on the device, except what deletions ask for; state is still observed",
    });
  return conditions;
}

function standingConditions(standing: DeviceStanding): ConditionInput[] {
  const accepted: ConditionInput = {
    type: "Accepted",
    status: "True",
    reason: "Accepted",
    message: "the spec and what it refers to can be used",
  };
  const unreachable = (message: string): ConditionInput => ({
    type: "DeviceReachable",
    status: "Unknown",
    reason: "Unknown",
    message,
  });
  switch (standing.kind) {
    case "Waiting":
      return [
        { type: "Ready", status: "False", reason: "BackendNotReady", message: standing.message },
        { type: "Accepted", status: "False", reason: standing.acceptedReason, message: standing.message },
        { type: "Reconciling", status: "True", reason: "WaitingForReference", message: standing.message },
        unreachable(standing.message),
      ];
    case "Stalled":
      return [
        { type: "Ready", status: "False", reason: "Rejected", message: standing.message },
        {
          type: "Accepted",
          status: "False",
          reason: standing.reason === "DuplicateTarget" ? "DuplicateTarget" : "Rejected",
          message: standing.message,
        },
        { type: "Stalled", status: "True", reason: standing.reason, message: standing.message },
        unreachable(standing.message),
      ];
    case "BackendAway":
      return [
        { type: "Ready", status: "False", reason: "BackendNotReady", message: standing.message },
        accepted,
        { type: "Reconciling", status: "True", reason: "WaitingForReference", message: standing.message },
        unreachable(standing.message),
      ];
    case "Session":
      return [accepted, ...sessionConditions(standing.snapshot)];
    default:
      return standing satisfies never;
  }
}

function sessionConditions(snapshot: DeviceSnapshot): ConditionInput[] {
  switch (snapshot.connection) {
    case "Connected":
    case "Busy": {
      const answer =
        snapshot.connection === "Connected" ? "the device answers" : "the device is carrying out a command";
      const message =
        snapshot.obstacle === undefined ? answer : `${answer}; what runs on it is not known: ${snapshot.obstacle}`;
      return [
        { type: "Ready", status: "True", reason: snapshot.connection, message },
        { type: "DeviceReachable", status: "True", reason: snapshot.connection, message },
      ];
    }
    case "Offline": {
      const message = snapshot.message ?? "the device does not answer";
      return [
        { type: "Ready", status: "Unknown", reason: "DeviceUnreachable", message },
        { type: "DeviceReachable", status: "False", reason: "Offline", message },
      ];
    }
    case "Unknown": {
      const message = snapshot.message ?? "nothing has been heard of the device yet";
      return [
        { type: "Ready", status: "Unknown", reason: "Progressing", message },
        { type: "DeviceReachable", status: "Unknown", reason: "Unknown", message },
        { type: "Reconciling", status: "True", reason: "WaitingForDevice", message },
      ];
    }
    default:
      return snapshot.connection satisfies never;
  }
}
