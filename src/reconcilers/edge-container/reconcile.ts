/**
 * One pass over an EdgeContainer: load, resolve, desire, observe, plan, act once, report. Level-triggered: an event only says
 * "look at this key again". A pass may be killed at any instruction; the next one, in this process or another, goes on from
 * what the API server and the device say.
 */
import type { ReconcileContext, Result } from "../../controller/controller.ts";
import { findCondition } from "../../controller/conditions.ts";
import type { EdgeContainer } from "../../crds/edge-container.ts";
import { keyOf, keyString } from "../../kube/resource.ts";
import type { Condition, ObjectKey } from "../../kube/types.ts";
import type { Environment } from "../environment.ts";
import { makePullRegistry } from "../edge-registry/pull-secrets.ts";
import { addFinalizer } from "../finalizer.ts";
import { busyShowsInMs } from "../connection.ts";
import { silenceMs } from "../silence.ts";
import { wakeCommandKey } from "../wake.ts";
import { act, type Acted } from "./act.ts";
import { earliest, reconcileDeletion } from "./deletion.ts";
import { desire } from "./desire.ts";
import type { ContainerMemory, Memories } from "./memory.ts";
import { heldBack } from "./holders.ts";
import { decide } from "./observe.ts";
import { claimOf } from "./rental.ts";
import { report, wakeInMs } from "./report.ts";
import { resolve, type Resolution } from "./resolve.ts";
import type { Scope } from "./scope.ts";
import { settingsOf } from "./settings.ts";
import {
  reached,
  reconcileAsked,
  restartRequest,
  retryAsked,
  standingBackoff,
  standingFailed,
  standingFailure,
} from "./standing.ts";
import { referencesOf } from "./values.ts";

/** Runs one pass. Expected failures are in the status; it throws what it did not expect, or could not write. */
export async function reconcileContainer(
  key: ObjectKey,
  context: ReconcileContext,
  memories: Memories,
  env: Environment,
): Promise<Result> {
  const object = env.stores.containers.get(key);
  const turn = env.slots.endTurn(keyString(key));
  if (object === undefined) {
    env.metrics.rented(key.namespace, key.name, undefined, env.clock.now());
    memories.forget(keyString(key));
    env.accounts.forgetContainer(env.options.ownerId, key);
    if (turn !== undefined) passTurnOn(turn, env);
    return {};
  }
  const memory = memories.of(keyString(key), object.metadata.uid);
  const scope = newScope(object, memory, env);
  const resolution = resolve(object, env.stores, env.accounts);
  applyResolution(scope, resolution, memory, env);
  const device = scope.target?.session.targetKey;
  if (device !== undefined) env.slots.leave(device, keyString(key));
  try {
    const wake =
      object.metadata.deletionTimestamp === undefined
        ? await reconcilePresent(scope, resolution, memory, env, context)
        : await reconcileDeletion(scope, resolution, memory, env, context.log);
    return wake === undefined ? {} : { requeueAfterMs: Math.ceil(wake) };
  } finally {
    if (device !== undefined) passSlotOn(device, scope, env);
    if (turn !== undefined && turn !== device) passTurnOn(turn, env);
  }
}

async function reconcilePresent(
  scope: Scope,
  resolution: Resolution,
  memory: ContainerMemory,
  env: Environment,
  context: ReconcileContext,
): Promise<number | undefined> {
  if (resolution.kind === "Session" || resolution.kind === "Unconnected") await desire(scope, resolution, env);
  if (scope.pullLogin !== undefined && scope.suspendedBy === undefined) await makePullRegistry(scope.pullLogin, env);
  const { target } = scope;
  if (target !== undefined && reconcileAsked(scope.object)) target.session.resync("asked for by annotation");
  const silentMs = undecidedMs(scope, resolution, env);
  if (silentMs !== 0) return silentMs;
  let acted: Acted = { again: false };
  let effectWake: number | undefined;
  if (target !== undefined && scope.desired !== undefined && target.snapshot.synced) {
    ({ wakeInMs: effectWake } = decide(scope, target, pendingOn(scope, resolution), memory, env));
    noteRestart(scope);
    const observing = scope.settings.policy.managementPolicy === "Observe";
    const held = scope.plan === undefined || observing ? undefined : heldBack(scope.plan.step, resolution, env);
    if (scope.plan !== undefined && held !== undefined) scope.plan = { ...scope.plan, step: held };
    await keepFinalizer(scope, env);
    if (scope.acceptance.accepted && target.snapshot.connection !== "Offline")
      acted = await act(scope, target, memory, env, context.log);
  }
  const { inFlight } = scope.target?.session.snapshot() ?? {};
  if (inFlight?.progress !== undefined && inFlight.commandId === memory.sent?.commandId)
    scope.progress = inFlight.progress;
  noteRollout(scope, memory);
  const due = await report(scope, memory, env);
  if (acted.again && due === undefined) return 0;
  const busyMs = busyShowsInMs(scope.target?.snapshot, scope.nowMs);
  return earliest(
    wakeInMs(scope),
    busyMs === 0 ? undefined : busyMs,
    due,
    effectWake,
    acted.retryInMs,
    recheckInMs(scope, env),
  );
}

function newScope(object: EdgeContainer, memory: ContainerMemory, env: Environment): Scope {
  if (retryAsked(object)) delete memory.unsaved;
  const unsaved = memory.unsaved?.failure.generation === object.metadata.generation ? memory.unsaved : undefined;
  const failure = unsaved === undefined ? standingFailure(object) : unsaved.failure;
  const backoff = unsaved === undefined ? standingBackoff(object) : unsaved.backoff;
  const restart = restartRequest(object);
  const failed = standingFailed(object);
  const operation = object.status?.operation;
  return {
    object,
    settings: settingsOf(object.spec),
    nowMs: env.clock.now(),
    readOnly: env.options.readOnly,
    acceptance: { accepted: true },
    ignored: [],
    exposed: [],
    keepsReadiness: false,
    ...(object.spec.suspend === true && { suspendedBy: "spec.suspend is set" }),
    ...(env.options.readOnly && { suspendedBy: "the operator runs with --read-only" }),
    ...(operation !== undefined && { operation }),
    ...(failure !== undefined && { failure }),
    ...(backoff !== undefined && { backoff }),
    ...(failed !== undefined && { failed }),
    ...(restart !== undefined && { restartRequest: restart }),
  };
}

function applyResolution(scope: Scope, resolution: Resolution, memory: ContainerMemory, env: Environment): void {
  switch (resolution.kind) {
    case "Missing":
      scope.acceptance = { accepted: false, kind: "Waiting", reason: resolution.reason, message: resolution.message };
      return;
    case "Rejected":
      scope.acceptance = { accepted: false, ...resolution, kind: "Rejected" };
      return;
    case "Unconnected":
      scope.backendProblem = resolution.message;
      break;
    case "Session": {
      const { planner, session, account, settleMs } = resolution;
      const isRented = planner.rentals !== undefined && resolution.identity !== undefined;
      const identity = isRented ? env.hashKey.hash(resolution.identity) : undefined;
      const claim = claimOf(scope.object, planner, env.options.ownerId, identity, memory);
      const snapshot = session.snapshot(claim);
      scope.target = { planner, session, account, settleMs, snapshot, ...(identity !== undefined && { identity }) };
      break;
    }
    default:
      return resolution satisfies never;
  }
  scope.keepsReadiness = resolution.device.spec.offlineReadiness === "LastKnown";
  if (resolution.backend.spec.suspend === true)
    scope.suspendedBy ??= `EdgeBackend ${resolution.backend.metadata.name} is suspended`;
  if (resolution.device.spec.suspend === true)
    scope.suspendedBy ??= `EdgeDevice ${resolution.device.metadata.name} is suspended`;
}

/** Where RBAC allows no watch of Secrets and ConfigMaps, an object that reads some looks again from time to time. */
function recheckInMs(scope: Scope, env: Environment): number | undefined {
  const kinds = new Set(referencesOf(scope.object.spec).map(({ kind }) => kind));
  if ((scope.object.spec.registryRefs?.length ?? 0) > 0) kinds.add("Secret");
  return env.references.recheckInMs(kinds);
}

/** Whatever the step: a container of this object that exists must not be forgotten when the object is deleted. */
async function keepFinalizer(scope: Scope, env: Environment): Promise<void> {
  if (scope.plan?.primary === undefined || scope.readOnly) return;
  if (scope.settings.policy.managementPolicy === "Observe") return;
  scope.object = await addFinalizer(env, env.resources.containers, scope.object);
}

/**
 * Right after a start or a reconnect nothing is known of the device for a moment. What status says of an object that was
 * seen before stays as it is until there is something to say; so a restart of the operator never makes Ready flap.
 *
 * @returns for how long, ms; undefined: until something happens; 0: not at all.
 */
function undecidedMs(scope: Scope, resolution: Resolution, env: Environment): number | undefined {
  const { conditions } = scope.object.status ?? {};
  const ready = findCondition(conditions, "Ready");
  if (ready === undefined || !scope.acceptance.accepted) return 0;
  if (resolution.kind === "Unconnected") {
    const { uid } = resolution.backend.metadata;
    // Connected, but the device's own pass has not opened its session yet: a matter of moments, and it wakes us.
    const isConnected = env.accounts.account(uid)?.status().state === "Connected";
    return isConnected || !env.accounts.isJudged(uid) ? undefined : 0;
  }
  const { snapshot, account } = scope.target ?? {};
  if (resolution.kind !== "Session" || snapshot === undefined || account === undefined) return 0;
  const isKnown = snapshot.synced || snapshot.obstacle !== undefined || snapshot.connection === "Offline";
  if (isKnown || account.state === "Failed") return 0;
  // A matter of moments, too.
  if (account.state === "Connecting") return undefined;
  // It was refused, or waited for what is there now: that is over, whatever is found on the device.
  if (findCondition(conditions, "Accepted")?.status === "False") return 0;
  // Ready=Unknown goes on being true; a wait for the backend does not.
  const waited = findCondition(conditions, "Reconciling")?.reason === "WaitingForReference";
  const word = waited && ready.status === "False" ? "OfBackend" : "OfDevice";
  return silenceMs(word, resolution.device.metadata.uid, resolution.backend, env.accounts);
}

/** Removals that wait on the same device, for the conflicts they explain. */
function pendingOn(scope: Scope, resolution: Resolution): { namespace: string; name: string; externalId?: string }[] {
  if (resolution.kind !== "Session") return [];
  const { namespace, name } = scope.object.metadata;
  return (resolution.device.status?.pendingRemovals ?? []).filter(
    (removal) => removal.namespace !== namespace || removal.name !== name,
  );
}

/** A restart that cannot mean anything now (nothing is to run, or it is about to be made) counts as handled. */
function noteRestart(scope: Scope): void {
  if (scope.restartRequest === undefined || scope.plan === undefined) return;
  const { step } = scope.plan;
  if (scope.settings.desiredState !== "Running" || step.type === "Create") delete scope.restartRequest;
}

/**
 * Since when this generation is under way. The clock runs only while something can be done about it; it begins anew after a
 * suspension or an absence. After a restart it goes on from when Ready was lost, but only for a rollout that was not over.
 */
function noteRollout(scope: Scope, memory: ContainerMemory): void {
  const generation = scope.object.metadata.generation ?? 0;
  const ready = findCondition(scope.object.status?.conditions, "Ready");
  const { target } = scope;
  const held = scope.suspendedBy !== undefined || !scope.acceptance.accepted || target === undefined;
  delete scope.rolloutSinceMs;
  if (held || !target.snapshot.synced || target.snapshot.connection === "Offline") {
    if (memory.rollout?.sinceMs !== Infinity) delete memory.rollout;
    return;
  }
  if (memory.rollout?.generation !== generation)
    memory.rollout = { generation, sinceMs: rolloutSince(scope, ready, generation) };
  if (ready?.status === "True" && ready.observedGeneration === generation)
    // Past its rollout; what goes wrong from now on is not a matter of progress.
    memory.rollout = { generation, sinceMs: Infinity };
  if (Number.isFinite(memory.rollout.sinceMs)) scope.rolloutSinceMs = memory.rollout.sinceMs;
}

function rolloutSince(scope: Scope, ready: Condition | undefined, generation: number): number {
  if (ready?.observedGeneration !== generation || ready.status !== "False") return scope.nowMs;
  const stalled = findCondition(scope.object.status?.conditions, "Stalled");
  if (stalled?.reason === "ProgressDeadlineExceeded") return 0;
  // The wish was reached once: the rollout is over, whatever went wrong later.
  if (reached(scope.object, scope.settings.desiredState)) return Infinity;
  return Date.parse(ready.lastTransitionTime);
}

/** This pass left the slot free: the next who waits for it gets its turn. */
function passSlotOn(device: string, scope: Scope, env: Environment): void {
  if (scope.target?.session.snapshot().inFlight !== undefined) return;
  const next = env.slots.next(device);
  if (next === undefined) return;
  // The one that just ran and still wants the slot was refused for another reason than a taken slot: let it keep its place.
  if (next === keyString(keyOf(scope.object))) env.slots.wait(device, next);
  else wakeCommandKey(env.wake, next, "slot free");
}

/** A key that was woken for a device's slot no longer wants it (deleted, or its session is gone): the next one has its turn. */
function passTurnOn(device: string, env: Environment): void {
  const next = env.slots.next(device);
  if (next !== undefined) wakeCommandKey(env.wake, next, "slot free");
}
