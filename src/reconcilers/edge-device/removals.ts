/** Carries out status.pendingRemovals once the device is back: one command at a time, each looked at before the next. */
import { EVENT_REASONS } from "../event-reasons.ts";
import type { Command, CommandAction, DeviceSession, ObservedContainer, Planner } from "../../backends/contract.ts";
import type { Logger } from "../../controller/logging.ts";
import { CONTAINER_DEFAULTS } from "../../crds/default-values.ts";
import type { EdgeDevice, PendingRemoval } from "../../crds/edge-device.ts";
import type { ObjectKey } from "../../kube/types.ts";
import type { Environment } from "../environment.ts";
import { fingerprint, reviewSent, type ContainerMemory } from "../edge-container/memory.ts";
import { BY_DEVICE } from "../stores.ts";
import { dropPendingRemovals } from "./pending-removals.ts";
import { keyString } from "../../kube/resource.ts";

/** After a failed removal, the next try, ms. */
const RETRY_MS = 30_000;

/** After a refusal by the fence or a busy socket, ms. */
const REFUSED_RETRY_MS = 1_000;

/** The object with its own setting of spec.stop is gone. */
const STOP = CONTAINER_DEFAULTS.stop;

/** What a removal works with. */
export interface RemovalTarget {
  planner: Planner;
  session: DeviceSession;
  /** Key under which the device's own commands go (wake.ts). */
  commandKey: string;
}

/** Does the next piece of work. Returns in how many ms to look again, if waiting for time. */
export async function workOffRemovals(
  object: EdgeDevice,
  target: RemovalTarget,
  memory: ContainerMemory & { retryAtMs?: number },
  env: Environment,
  log: Logger,
): Promise<number | undefined> {
  const pending = object.status?.pendingRemovals ?? [];
  if (pending.length === 0 || env.options.readOnly) return undefined;
  const key: ObjectKey = { namespace: object.metadata.namespace ?? "", name: object.metadata.name };
  const revived = revivedBy(pending, env, key);
  if (revived.size > 0) {
    // An object of the same name is back on this device: its container is taken over, not removed.
    log.info({ objects: revived.size }, "pending removals cancelled: their objects are back");
    await dropPendingRemovals(env, key, revived);
    return 0;
  }
  env.slots.leave(target.session.targetKey, target.commandKey);
  const open = new Set(
    pending.filter((removal) => announceRemoval(removal, target, env.options.ownerId)).map(({ uid }) => uid),
  );
  const snapshot = target.session.snapshot();
  if (!snapshot.synced || snapshot.connection === "Offline") return undefined;
  const sent = reviewSent(memory, target.session, snapshot, env.clock.monotonic());
  if (sent.state === "Failed") {
    memory.retryAtMs = env.clock.monotonic() + RETRY_MS;
    env.events.record(
      object,
      "Warning",
      EVENT_REASONS.RemovalFailed,
      `A pending removal failed and is tried again: ${sent.failure.message}`,
    );
  }
  if (sent.state === "Sent") return undefined;
  if (sent.state === "AwaitingObservation") {
    if (sent.resync) target.session.resync("the effect of a removal was not observed");
    return sent.wakeInMs;
  }
  const waitMs = (memory.retryAtMs ?? 0) - env.clock.monotonic();
  if (waitMs > 0) return waitMs;

  const done = new Set<string>();
  for (const removal of pending) {
    if (removal.operationId !== undefined && target.session.settle(removal.operationId) === "Open") continue;
    const action = nextAction(removal, snapshot.containers, target.planner, env.options.ownerId);
    if (action === undefined) {
      if (!open.has(removal.uid)) done.add(removal.uid);
      continue;
    }
    if (done.size === 0) return send(object, action, target, memory, env, log);
  }
  if (done.size > 0) {
    await dropPendingRemovals(env, key, done);
    for (const { uid, namespace, name } of pending)
      if (done.has(uid)) target.session.forget?.({ owner: env.options.ownerId, namespace, name });
    log.info({ removals: done.size }, "pending removals done");
    return done.size < pending.length ? 0 : undefined;
  }
  return undefined;
}

/**
 * Where an account may have no list, a container whose object is gone is known by nothing but this record.
 *
 * @returns whether it may still be there although it is not shown (DeviceSnapshot.isAbsenceOpen).
 */
function announceRemoval(removal: PendingRemoval, { planner, session }: RemovalTarget, owner: string): boolean {
  if (planner.claims !== true) return false;
  const { namespace, name, externalId, operationId } = removal;
  const containerName = planner.containerName?.({ owner, namespace, name }) ?? name;
  const snapshot = session.snapshot({
    owner,
    namespace,
    name,
    containerName,
    ...(externalId !== undefined && { recordedId: externalId }),
    ...(operationId !== undefined && { operation: { id: operationId, attempt: 1 } }),
  });
  return snapshot.isAbsenceOpen === true;
}

/** Removals whose object exists again on the same device and is not being deleted. */
function revivedBy(pending: readonly PendingRemoval[], env: Environment, device: ObjectKey): Set<string> {
  const alive = new Set(
    env.stores.containers
      .byIndex(BY_DEVICE, keyString(device))
      .filter((object) => object.metadata.deletionTimestamp === undefined)
      .map((object) => `${object.metadata.namespace ?? ""}/${object.metadata.name}`),
  );
  return new Set(
    pending.filter((removal) => alive.has(`${removal.namespace}/${removal.name}`)).map((removal) => removal.uid),
  );
}

/** The next command for a removal; undefined when nothing of it is left to do. */
function nextAction(
  removal: PendingRemoval,
  containers: readonly ObservedContainer[],
  planner: Planner,
  ownerId: string,
): CommandAction | undefined {
  for (const container of containers) {
    if (container.state === "Dead") continue;
    const { marker } = container;
    const marked = marker?.owner === ownerId && marker.namespace === removal.namespace && marker.name === removal.name;
    // The recorded id counts unless the container carries the marker of another object of ours.
    const recorded = container.externalId === removal.externalId && (marker?.owner !== ownerId || marked);
    if (!marked && !recorded) continue;
    const action = removal.policy === "Stop" ? planner.stop(container, STOP) : planner.remove(container, STOP);
    if (action !== undefined) return action;
  }
  return undefined;
}

function send(
  object: EdgeDevice,
  action: CommandAction,
  target: RemovalTarget,
  memory: ContainerMemory,
  env: Environment,
  log: Logger,
): number | undefined {
  const { session, commandKey } = target;
  if (session.snapshot().inFlight !== undefined || !env.slots.reserve(session.targetKey, commandKey)) {
    env.slots.wait(session.targetKey, commandKey);
    return undefined;
  }
  try {
    if (action.kind === "Create") throw new Error("a removal never creates");
    const before = session.snapshot().containers.find((container) => container.externalId === action.externalId);
    const command: Command = { ...action, commandId: env.newId(), key: commandKey };
    const dispatch = session.execute(command);
    if (!dispatch.sent) {
      if (dispatch.reason === "SlotBusy") env.slots.wait(session.targetKey, commandKey);
      return dispatch.reason === "SlotBusy" ? undefined : REFUSED_RETRY_MS;
    }
    memory.sent = {
      commandId: command.commandId,
      kind: action.kind,
      session,
      externalId: action.externalId,
      before: fingerprint(before),
    };
    log.info({ command: action.kind, container: action.externalId, device: object.metadata.name }, "command sent");
    return undefined;
  } finally {
    env.slots.release(session.targetKey, commandKey);
  }
}
