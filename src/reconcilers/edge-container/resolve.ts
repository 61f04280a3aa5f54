/**
 * From deviceRef to a live session: EdgeDevice, EdgeBackend, permission, connection. Everything that a sibling object may
 * still bring is a wait; only what this object itself says wrong is a rejection.
 */
import type { AccountStatus, DeviceSession, Planner } from "../../backends/contract.ts";
import type { EdgeBackend } from "../../crds/edge-backend.ts";
import type { EdgeContainer } from "../../crds/edge-container.ts";
import type { EdgeDevice } from "../../crds/edge-device.ts";
import { findCondition } from "../../controller/conditions.ts";
import type { Accounts } from "../accounts.ts";
import { backendKeyOf, isAllowed } from "../allowed-namespaces.ts";
import { stackOwnerOf } from "../edge-stack/child.ts";
import type { Stores } from "../stores.ts";

/** How far the way to the device goes. */
export type Resolution =
  /** `device` where the way ends behind it: pending removals can still be handed to it. */
  | { kind: "Missing"; reason: string; message: string; device?: EdgeDevice }
  | { kind: "Rejected"; reason: string; stalledReason: string; message: string }
  /** The planner is known, so the spec can be checked; the connection is not there (yet). */
  | { kind: "Unconnected"; device: EdgeDevice; backend: EdgeBackend; planner: Planner; message: string }
  | {
      kind: "Session";
      device: EdgeDevice;
      backend: EdgeBackend;
      planner: Planner;
      session: DeviceSession;
      account: AccountStatus;
      settleMs: number;
      /** Accounts.identity. */
      identity: string | undefined;
    };

/** Follows the references. Synchronous: everything is in the caches or open already. */
export function resolve(object: EdgeContainer, stores: Stores, accounts: Accounts): Resolution {
  const namespace = object.metadata.namespace ?? "";
  const deviceName = object.spec.deviceRef.name;
  const device = stores.devices.get({ namespace, name: deviceName });
  if (device === undefined)
    return {
      kind: "Missing",
      reason: "DeviceNotFound",
      message: `EdgeDevice ${namespace}/${deviceName} does not exist`,
    };
  const owner = stackOwnerOf(device);
  if (owner !== undefined && stackOwnerOf(object)?.name !== owner.name)
    return {
      kind: "Rejected",
      reason: "Rejected",
      stalledReason: "StackOwned",
      message: `deviceRef: EdgeDevice ${deviceName} stands for EdgeStack ${owner.name}'s own stack at the vendor: add the container to that EdgeStack, or name another EdgeDevice`,
    };
  const key = backendKeyOf(device);
  const backend = stores.backends.get(key);
  if (backend === undefined)
    return {
      kind: "Missing",
      device,
      reason: "BackendNotFound",
      message: `EdgeBackend ${key.namespace}/${key.name} does not exist`,
    };
  const allowed = isAllowed(backend, device, stores);
  if (!allowed.allowed) return { kind: "Missing", device, reason: "NotAllowedNamespace", message: allowed.message };
  const vendor = accounts.backendFor(backend);
  if (vendor === undefined)
    return {
      kind: "Missing",
      device,
      reason: "BackendNotReady",
      message: `this build has no backend for EdgeBackend ${key.name}`,
    };
  const { planner, settleMs } = vendor;

  const stalled = findCondition(device.status?.conditions, "Stalled");
  if (stalled?.status === "True" && stalled.observedGeneration === device.metadata.generation)
    return {
      kind: "Missing",
      device,
      reason: "DeviceNotReady",
      message: `EdgeDevice ${deviceName}: ${stalled.message}`,
    };
  const account = accounts.account(backend.metadata.uid);
  const session = accounts.device(device.metadata.uid);
  if (account === undefined || session === undefined) {
    const ready = findCondition(backend.status?.conditions, "Ready");
    const message = ready?.status === "False" ? ready.message : `EdgeBackend ${key.name} is not connected yet`;
    return { kind: "Unconnected", device, backend, planner, message };
  }
  const identity = accounts.identity(backend.metadata.uid);
  return { kind: "Session", device, backend, planner, session, account: account.status(), settleMs, identity };
}
