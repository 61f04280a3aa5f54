/** One pass over an EdgeDevice: find its backend, keep its session, work off pending removals, say how it stands. */
import { EVENT_REASONS } from "../event-reasons.ts";
import { TargetError } from "../../backends/errors.ts";
import type { DeviceSession, Planner } from "../../backends/contract.ts";
import { conditionTransitions, findCondition } from "../../controller/conditions.ts";
import type { ReconcileContext, Result } from "../../controller/controller.ts";
import { statusPatch } from "../../controller/status-writer.ts";
import type { EdgeContainer } from "../../crds/edge-container.ts";
import type { EdgeDevice } from "../../crds/edge-device.ts";
import { withDeviceDefaults } from "../../crds/defaults.ts";
import { KINDS } from "../../crds/group.ts";
import { keyString } from "../../kube/resource.ts";
import type { ObjectKey } from "../../kube/types.ts";
import { backendKeyOf, isAllowed } from "../allowed-namespaces.ts";
import { busyShowsInMs, shownConnection } from "../connection.ts";
import { refusalOf } from "../device-access.ts";
import { earliest } from "../edge-container/deletion.ts";
import type { Memories } from "../edge-container/memory.ts";
import { mayCost } from "../edge-container/rental.ts";
import { stackOwnerOf } from "../edge-stack/child.ts";
import type { Environment } from "../environment.ts";
import { addFinalizer, hasFinalizer, removeFinalizer } from "../finalizer.ts";
import { silenceMs, type FormerWord } from "../silence.ts";
import { BY_DEVICE } from "../stores.ts";
import { deviceCommandKey, wakeCommandKey } from "../wake.ts";
import { takeInventory } from "./inventory.ts";
import { workOffRemovals } from "./removals.ts";
import { computeDeviceStatus, type DeviceStanding } from "./status.ts";

/** While something is rented past the grace, ms. */
const RENTED_RECHECK_MS = 10_000;

/** Runs one pass. */
export async function reconcileDevice(
  key: ObjectKey,
  context: ReconcileContext,
  memories: Memories,
  env: Environment,
): Promise<Result> {
  const object = env.stores.devices.get(key);
  env.slots.endTurn(deviceCommandKey(key));
  if (object === undefined) {
    env.accounts.forgetDevice(key);
    env.metrics.deviceGone(key.namespace, key.name);
    memories.forget(deviceCommandKey(key));
    return {};
  }
  const opened = open(object, env);
  const standing = opened.kind === "Session" ? observe(object, opened.session, env) : opened;
  const needed = isNeeded(object, env);
  if (object.metadata.deletionTimestamp !== undefined && hasFinalizer(object)) {
    const released = await releaseIfDue(object, needed, context, env);
    if (released) return {};
  }
  const addable = needed && !env.options.readOnly && object.metadata.deletionTimestamp === undefined;
  const current = addable ? await addFinalizer(env, env.resources.devices, object) : object;
  const dueMs = isUndecided(current, opened, env) ? undefined : await writeStatus(current, standing, env);
  const wakeMs =
    opened.kind === "Session"
      ? await workOffRemovals(
          current,
          { planner: opened.planner, session: opened.session, commandKey: deviceCommandKey(key) },
          memories.of(deviceCommandKey(key), object.metadata.uid),
          env,
          context.log,
        )
      : undefined;
  const graceMs =
    object.metadata.deletionTimestamp === undefined
      ? undefined
      : Math.max(remainingGraceMs(object, env), containersOf(object, env).some(mayCost) ? RENTED_RECHECK_MS : 1);
  const busyMs = opened.kind === "Session" ? busyShowsInMs(opened.session.snapshot(), env.clock.now()) : undefined;
  if (opened.kind === "Session") passSlotOn(opened.session, env);
  const next = earliest(dueMs, wakeMs, graceMs, busyMs === 0 ? undefined : busyMs);
  return next === undefined ? {} : { requeueAfterMs: Math.ceil(next) };
}

/** A removal that needed nothing more leaves the slot to whoever waits. */
function passSlotOn(session: DeviceSession, env: Environment): void {
  if (session.snapshot().inFlight !== undefined) return;
  const next = env.slots.next(session.targetKey);
  if (next !== undefined) wakeCommandKey(env.wake, next, "slot free");
}

/** Right after a start, what status says of the device stays until this process knows how the backend stands. */
function isUndecided(object: EdgeDevice, opened: Opened, env: Environment): boolean {
  if (opened.kind !== "BackendAway" || findCondition(object.status?.conditions, "Ready") === undefined) return false;
  const backend = env.stores.backends.get(backendKeyOf(object));
  return backend !== undefined && !env.accounts.isJudged(backend.metadata.uid);
}

type Opened =
  | Exclude<DeviceStanding, { kind: "Session" }>
  | { kind: "Session"; session: DeviceSession; planner: Planner };

function open(object: EdgeDevice, env: Environment): Opened {
  const key = backendKeyOf(object);
  const backend = env.stores.backends.get(key);
  const present = env.accounts.device(object.metadata.uid);
  if (backend === undefined)
    return {
      kind: "Waiting",
      acceptedReason: "BackendNotFound",
      message: `EdgeBackend ${key.namespace}/${key.name} does not exist`,
    };
  const allowed = isAllowed(backend, object, env.stores);
  if (!allowed.allowed) {
    drop(object, env);
    return { kind: "Waiting", acceptedReason: "NotAllowedNamespace", message: allowed.message };
  }
  const vendor = env.accounts.backendFor(backend);
  if (vendor === undefined)
    return { kind: "BackendAway", message: `EdgeBackend ${key.name} is of a kind that this version does not support` };
  const refused = vendor.validateDevice(object.spec).filter((problem) => problem.kind !== "Ignored");
  const [first] = refused;
  if (first !== undefined)
    return {
      kind: "Stalled",
      reason: first.reason,
      message: refused.map((problem) => `${problem.path}: ${problem.message}`).join("; "),
    };
  const refusal = refusalOf(object, env);
  if (refusal !== undefined) {
    drop(object, env);
    return { kind: "Stalled", ...refusal };
  }
  const account = env.accounts.account(backend.metadata.uid);
  if (account === undefined) {
    const ready = findCondition(backend.status?.conditions, "Ready");
    return {
      kind: "BackendAway",
      message: ready?.status === "False" ? ready.message : `EdgeBackend ${key.name} is not connected yet`,
    };
  }
  try {
    const session = env.accounts.ensureDevice(object, backend.metadata.uid, account);
    if (session !== present) wakeContainers(object, env);
    const status = account.status();
    if (status.state === "Failed") return { kind: "BackendAway", message: status.message };
    return { kind: "Session", session, planner: vendor.planner };
  } catch (error) {
    if (error instanceof TargetError) return { kind: "Stalled", reason: error.reason, message: error.message };
    throw error;
  }
}

function observe(object: EdgeDevice, session: DeviceSession, env: Environment): DeviceStanding {
  const { namespace = "", name } = object.metadata;
  const seen = session.snapshot();
  const snapshot = { ...seen, connection: shownConnection(seen, env.clock.now()) };
  const objects = env.stores.containers.byIndex(BY_DEVICE, keyString({ namespace, name }));
  const inventory = takeInventory(
    snapshot.containers,
    objects,
    object.status?.pendingRemovals ?? [],
    env.options.ownerId,
    snapshot.others,
  );
  env.metrics.deviceConnected(namespace, name, snapshot.connection === "Connected" || snapshot.connection === "Busy");
  if (snapshot.synced) env.metrics.unmanagedOurs(namespace, name, inventory.ours);
  return { kind: "Session", snapshot, inventory };
}

/** Ends the session; whoever relied on it is told. */
function drop(object: EdgeDevice, env: Environment): void {
  if (env.accounts.device(object.metadata.uid) === undefined) return;
  env.accounts.dropDevice(object.metadata.uid);
  wakeContainers(object, env);
}

function wakeContainers(object: EdgeDevice, env: Environment): void {
  const { namespace = "", name } = object.metadata;
  for (const container of env.stores.containers.byIndex(BY_DEVICE, keyString({ namespace, name })))
    env.wake.container({ namespace, name: container.metadata.name }, "device session");
}

/** Containers or pending removals need the object. */
function isNeeded(object: EdgeDevice, env: Environment): boolean {
  const { namespace = "", name } = object.metadata;
  if ((object.status?.pendingRemovals?.length ?? 0) > 0) return true;
  const owner = stackOwnerOf(object);
  const stack = owner === undefined ? undefined : env.stores.stacks.get({ namespace, name: owner.name });
  // The way to a stack of its own, which is still to be cleared away.
  if (stack !== undefined && stack.metadata.uid === owner?.uid && stack.status?.external !== undefined) return true;
  return env.stores.containers.byIndex(BY_DEVICE, keyString({ namespace, name })).length > 0;
}

function containersOf(object: EdgeDevice, env: Environment): EdgeContainer[] {
  const { namespace = "", name } = object.metadata;
  return env.stores.containers.byIndex(BY_DEVICE, keyString({ namespace, name }));
}

function remainingGraceMs(object: EdgeDevice, env: Environment): number {
  const graceMs = withDeviceDefaults(object.spec).deletion.graceSeconds * 1000;
  return Date.parse(object.metadata.deletionTimestamp ?? "") + graceMs - env.clock.now();
}

async function releaseIfDue(
  object: EdgeDevice,
  needed: boolean,
  context: ReconcileContext,
  env: Environment,
): Promise<boolean> {
  const uninstalling = needed && (await env.isUninstalling(KINDS.EdgeDevice.plural));
  // What is rented costs until it is stopped, and only this object leads there.
  const rents = containersOf(object, env).some(mayCost);
  if (needed && !uninstalling && (rents || remainingGraceMs(object, env) > 0)) return false;
  if (needed) {
    const left = object.status?.pendingRemovals?.length ?? 0;
    env.metrics.orphaned("EdgeDevice");
    env.events.record(
      object,
      "Warning",
      EVENT_REASONS.Orphaned,
      uninstalling
        ? "the CustomResourceDefinition is being deleted: containers stay on the device as they are"
        : `deletion.graceSeconds is over: let go with ${left} pending removals; their containers may still exist on the device`,
    );
  }
  context.log.info({ needed }, "letting go of the device");
  await removeFinalizer(env, env.resources.devices, object);
  return true;
}

function formerWord(object: EdgeDevice): FormerWord {
  const ready = findCondition(object.status?.conditions, "Ready");
  return ready === undefined ? "None" : ready.reason === "BackendNotReady" ? "OfBackend" : "OfDevice";
}

async function writeStatus(
  object: EdgeDevice,
  standing: DeviceStanding,
  env: Environment,
): Promise<number | undefined> {
  const before = object.status;
  if (
    standing.kind === "Session" &&
    standing.snapshot.connection === "Unknown" &&
    standing.snapshot.obstacle === undefined
  ) {
    const backend = env.stores.backends.get(backendKeyOf(object));
    const waitMs = silenceMs(formerWord(object), object.metadata.uid, backend, env.accounts);
    if (waitMs !== 0) return waitMs;
  }
  const after = computeDeviceStatus(object, standing, env.clock.now());
  if (statusPatch(before, after) === undefined) return undefined;
  const ready = findCondition(before?.conditions, "Ready");
  const now = findCondition(after.conditions, "Ready");
  // Busy and back is not news: it comes with every command.
  const urgent = before?.observedGeneration !== after.observedGeneration || ready?.status !== now?.status;
  const delayMs = env.statusWriter.delayMs(env.resources.devices, object, urgent ? "urgent" : "soon");
  if (delayMs > 0) return delayMs;
  const { object: written } = await env.statusWriter.write(env.resources.devices, object, after);
  for (const change of conditionTransitions(before?.conditions, after.conditions ?? [])) {
    if (change.type === "Ready" && change.to === "True")
      env.events.record(written, "Normal", EVENT_REASONS.Connected, "The device is connected");
    if (change.type === "Ready" && change.to === "Unknown" && change.reason === "DeviceUnreachable")
      env.events.record(written, "Warning", change.reason, change.message);
    if (change.type === "Stalled" && change.to === "True")
      env.events.record(written, "Warning", change.reason, change.message);
  }
  return undefined;
}
