/**
 * One pass over an EdgeBackend: resolve its credentials, keep its connection, say how it stands. It never waits for the
 * connection; the account reports and the key comes again.
 */
import { EVENT_REASONS } from "../event-reasons.ts";
import type { AccountStatus, FieldProblem } from "../../backends/contract.ts";
import type { ConditionInput } from "../../controller/conditions.ts";
import { conditionTransitions, findCondition, rebuildConditions } from "../../controller/conditions.ts";
import type { ReconcileContext, Result } from "../../controller/controller.ts";
import { statusPatch } from "../../controller/status-writer.ts";
import type { EdgeBackend, EdgeBackendStatus } from "../../crds/edge-backend.ts";
import { BACKEND_DEFAULTS } from "../../crds/default-values.ts";
import { KINDS } from "../../crds/group.ts";
import { keyString } from "../../kube/resource.ts";
import type { ObjectKey } from "../../kube/types.ts";
import { backendType } from "../accounts.ts";
import { isAllowed } from "../allowed-namespaces.ts";
import { mayCost } from "../edge-container/rental.ts";
import { registriesOn } from "../edge-registry/reconcile.ts";
import type { Environment } from "../environment.ts";
import { addFinalizer, hasFinalizer, removeFinalizer } from "../finalizer.ts";
import { BY_BACKEND, BY_DEVICE, backendReferences } from "../stores.ts";
import { resolveCredentials } from "./credentials.ts";

/** How the connection stands, for status. */
type Standing =
  | { kind: "Account"; status: AccountStatus; devices: { total: number; connected: number } }
  | { kind: "Waiting"; reason: string; message: string; devices: { total: number; connected: number } }
  | { kind: "Stalled"; reason: string; message: string };

/** Runs one pass. */
export async function reconcileBackend(key: ObjectKey, context: ReconcileContext, env: Environment): Promise<Result> {
  const object = env.stores.backends.get(key);
  if (object === undefined) {
    env.accounts.forgetBackend(key);
    return {};
  }
  if (object.metadata.deletionTimestamp !== undefined) return reconcileDeletion(object, context, env);
  const standing = await connect(object, env);
  const used =
    env.stores.devices.byIndex(BY_BACKEND, keyString(key)).length > 0 ||
    registriesOn(key, env.stores.registries.byIndex(BY_BACKEND, keyString(key))).length > 0;
  const current = used && !env.options.readOnly ? await addFinalizer(env, env.resources.backends, object) : object;
  const known = findCondition(current.status?.conditions, "Ready") !== undefined;
  const written = known && !env.accounts.isJudged(object.metadata.uid) ? {} : await writeStatus(current, standing, env);
  const recheckMs = env.references.recheckInMs(new Set(backendReferences(object).map(({ kind }) => kind)));
  const waits = [written.requeueAfterMs, recheckMs].filter((wait) => wait !== undefined);
  return waits.length === 0 ? {} : { requeueAfterMs: Math.min(...waits) };
}

async function connect(object: EdgeBackend, env: Environment): Promise<Standing> {
  const { uid } = object.metadata;
  const backend = env.accounts.backendFor(object);
  if (backend === undefined) {
    env.accounts.judge(uid);
    return {
      kind: "Stalled",
      reason: "UnsupportedField",
      message: `spec.${backendType(object)}: this version of Drayage has no ${backendType(object)} backend yet`,
    };
  }
  const refused = backend.validateBackend(object.spec).filter((problem: FieldProblem) => problem.kind !== "Ignored");
  const [first] = refused;
  if (first !== undefined) {
    env.accounts.dropAccount(uid);
    env.accounts.judge(uid);
    const message = refused.map((problem) => `${problem.path}: ${problem.message}`).join("; ");
    return { kind: "Stalled", reason: first.reason, message };
  }
  const resolved = await resolveCredentials(object, env.references);
  if (!resolved.ok) {
    if (!env.accounts.isJudged(uid)) wakeDependents(object, env);
    env.accounts.judge(uid);
    return { kind: "Waiting", ...resolved, devices: env.accounts.countDevices(uid) };
  }
  const had = env.accounts.account(uid);
  const account = env.accounts.ensureAccount(object, resolved.credentials);
  if (account !== had) wakeDependents(object, env);
  return { kind: "Account", status: account.status(), devices: env.accounts.countDevices(uid) };
}

function wakeDependents(object: EdgeBackend, env: Environment): void {
  for (const device of env.stores.devices.byIndex(BY_BACKEND, keyString(keyOfObject(object)))) {
    env.wake.device(keyOfObject(device), "backend connection");
    for (const container of env.stores.containers.byIndex(BY_DEVICE, keyString(keyOfObject(device))))
      env.wake.container(keyOfObject(container), "backend connection");
  }
}

function keyOfObject(object: { metadata: { namespace?: string; name: string } }): ObjectKey {
  return { namespace: object.metadata.namespace ?? "", name: object.metadata.name };
}

async function writeStatus(object: EdgeBackend, standing: Standing, env: Environment): Promise<Result> {
  const nowMs = env.clock.now();
  const before = object.status;
  const after = computeBackendStatus(object, standing, env.accounts.backendFor(object)?.planner.capabilities, nowMs);
  if (statusPatch(before, after) === undefined) return {};
  const ready = findCondition(before?.conditions, "Ready");
  const now = findCondition(after.conditions, "Ready");
  const urgent =
    before?.observedGeneration !== after.observedGeneration ||
    ready?.status !== now?.status ||
    ready?.reason !== now?.reason;
  const delayMs = env.statusWriter.delayMs(env.resources.backends, object, urgent ? "urgent" : "soon");
  if (delayMs > 0) return { requeueAfterMs: delayMs };
  const written = await env.statusWriter.write(env.resources.backends, object, after);
  for (const change of conditionTransitions(before?.conditions, after.conditions ?? [])) {
    if (change.type !== "Ready" && change.type !== "Stalled") continue;
    if (change.type === "Ready" && change.to === "True")
      env.events.record(written.object, "Normal", change.reason, change.message);
  }
  if (now?.status === "False" && now.reason !== ready?.reason && now.reason !== "Connecting")
    env.events.record(written.object, "Warning", now.reason, now.message);
  return {};
}

/** Status from what is known; pure. */
export function computeBackendStatus(
  object: EdgeBackend,
  standing: Standing,
  capabilities: EdgeBackendStatus["capabilities"] | readonly NonNullable<EdgeBackendStatus["capabilities"]>[number][],
  nowMs: number,
): EdgeBackendStatus {
  const observedGeneration = object.metadata.generation ?? 0;
  const type = backendType(object);
  const conditions = rebuildConditions(object.status?.conditions, backendConditions(object, standing), {
    observedGeneration,
    nowMs,
  });
  return {
    observedGeneration,
    type: ({ kanto: "Kanto", alpon: "Alpon", hiveon: "Hiveon", mittwald: "Mittwald" } as const)[type],
    ...(capabilities !== undefined && { capabilities: [...capabilities] }),
    devices: standing.kind === "Stalled" ? { total: 0, connected: 0 } : standing.devices,
    conditions,
  };
}

function backendConditions(object: EdgeBackend, standing: Standing): ConditionInput[] {
  const conditions: ConditionInput[] = [];
  const ready = (status: ConditionInput["status"], reason: string, message: string) =>
    conditions.push({ type: "Ready", status, reason, message });
  const accepted = (status: ConditionInput["status"], reason: string, message: string) =>
    conditions.push({ type: "Accepted", status, reason, message });
  switch (standing.kind) {
    case "Stalled":
      ready("False", "Rejected", standing.message);
      accepted("False", "Rejected", standing.message);
      conditions.push({ type: "Stalled", status: "True", reason: standing.reason, message: standing.message });
      break;
    case "Waiting":
      ready("False", "Rejected", standing.message);
      accepted("False", standing.reason, standing.message);
      conditions.push({
        type: "Reconciling",
        status: "True",
        reason: "WaitingForReference",
        message: standing.message,
      });
      break;
    case "Account":
      accepted("True", "Accepted", "the spec and the credentials it names can be used");
      accountConditions(standing.status, ready, conditions);
      break;
    default:
      return standing satisfies never;
  }
  if (object.metadata.deletionTimestamp !== undefined)
    conditions.push({
      type: "Reconciling",
      status: "True",
      reason: "Removing",
      message:
        "being deleted: waits for the EdgeDevices and EdgeRegistries that use it to be deleted, at most for spec.deletion.graceSeconds",
    });
  if (object.spec.suspend === true)
    conditions.push({
      type: "Suspended",
      status: "True",
      reason: "Suspended",
      message:
        "spec.suspend is set: nothing is changed on any device of this backend, except what deletions ask for; state is still observed",
    });
  return conditions;
}

function accountConditions(
  status: AccountStatus,
  ready: (status: ConditionInput["status"], reason: string, message: string) => void,
  conditions: ConditionInput[],
): void {
  switch (status.state) {
    case "Connected":
      ready("True", "Connected", status.note ?? "connected");
      return;
    case "Connecting":
      ready("False", "Connecting", "connecting");
      conditions.push({ type: "Reconciling", status: "True", reason: "WaitingForDevice", message: "connecting" });
      return;
    case "Failed":
      ready("False", status.reason, status.message);
      conditions.push({
        type: "Reconciling",
        status: "True",
        reason: "BackingOff",
        message: "tried again with backoff",
      });
      return;
    default:
      return status satisfies never;
  }
}

/** While something is rented past the grace, ms. */
const RENTED_RECHECK_MS = 10_000;

/** The object stays while devices need it: without it their containers could not be removed. */
async function reconcileDeletion(object: EdgeBackend, context: ReconcileContext, env: Environment): Promise<Result> {
  const { uid } = object.metadata;
  if (!hasFinalizer(object)) return {};
  const key = keyOfObject(object);
  // A device that may not use this backend has nothing here, and must not hold its owner up.
  const devices = env.stores.devices
    .byIndex(BY_BACKEND, keyString(key))
    .filter((device) => isAllowed(object, device, env.stores).allowed);
  const registries = registriesOn(key, env.stores.registries.byIndex(BY_BACKEND, keyString(key)));
  const users = devices.length + registries.length;
  const graceMs = (object.spec.deletion?.graceSeconds ?? BACKEND_DEFAULTS.deletion.graceSeconds) * 1000;
  const remainingMs = Date.parse(object.metadata.deletionTimestamp ?? "") + graceMs - env.clock.now();
  // What is rented costs until it is stopped, and only this account leads there.
  const rents = devices.some((device) =>
    env.stores.containers.byIndex(BY_DEVICE, keyString(keyOfObject(device))).some(mayCost),
  );
  if (users > 0 && (rents || remainingMs > 0) && !(await env.isUninstalling(KINDS.EdgeBackend.plural))) {
    // The Secret may be gone already; the connection lives on with the credentials it has. After a restart it is made anew.
    if (env.accounts.account(uid) === undefined) await connect(object, env);
    const account = env.accounts.account(uid);
    if (account !== undefined)
      await writeStatus(
        object,
        { kind: "Account", status: account.status(), devices: env.accounts.countDevices(uid) },
        env,
      );
    return { requeueAfterMs: rents ? Math.max(remainingMs, RENTED_RECHECK_MS) : remainingMs };
  }
  if (users > 0) {
    env.metrics.orphaned("EdgeBackend");
    env.events.record(
      object,
      "Warning",
      EVENT_REASONS.Orphaned,
      `${remainingMs > 0 ? "the CustomResourceDefinition is being deleted" : "deletion.graceSeconds is over"}: let go although ${devices.length} EdgeDevices and ${registries.length} EdgeRegistries still refer to it (${[
        ...devices,
        ...registries,
      ]
        .slice(0, 5)
        .map(({ metadata }) => metadata.name)
        .join(", ")})`,
    );
  }
  context.log.info({ devices: devices.length, registries: registries.length }, "letting go of the backend");
  await removeFinalizer(env, env.resources.backends, object);
  return {};
}
