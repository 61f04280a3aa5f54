/**
 * Deleting an EdgeContainer. The finalizer comes off when the container was observed absent (or stopped), when the policy is
 * Orphan, or, for a device offline past the grace, once the removal stands in the device's status.pendingRemovals: that write is
 * acknowledged first. So neither `kubectl delete` nor a prune hangs, and nothing is forgotten.
 */
import { EVENT_REASONS } from "../event-reasons.ts";
import type { Logger } from "../../controller/logging.ts";
import { ANNOTATIONS, KINDS } from "../../crds/group.ts";
import type { PendingRemoval } from "../../crds/edge-device.ts";
import { keyOf } from "../../kube/resource.ts";
import type { Environment } from "../environment.ts";
import { hasFinalizer, removeFinalizer } from "../finalizer.ts";
import { appendPendingRemoval } from "../edge-device/pending-removals.ts";
import { act } from "./act.ts";
import { desiredContainer } from "./desire.ts";
import type { ContainerMemory } from "./memory.ts";
import { decide } from "./observe.ts";
import { mayCost } from "./rental.ts";
import { report } from "./report.ts";
import type { Resolution } from "./resolve.ts";
import type { Scope } from "./scope.ts";

/** One pass of a deletion. Returns in how many ms to look again, if at all. */
export async function reconcileDeletion(
  scope: Scope,
  resolution: Resolution,
  memory: ContainerMemory,
  env: Environment,
  log: Logger,
): Promise<number | undefined> {
  if (!hasFinalizer(scope.object)) return undefined;
  const orphan = await orphanReason(scope, env);
  if (orphan !== undefined) {
    if (orphan.loud) {
      env.metrics.orphaned("EdgeContainer");
      env.events.record(scope.object, "Warning", EVENT_REASONS.Orphaned, orphan.message);
    }
    log.info({ why: orphan.message }, "letting go of the container");
    await release(scope, env);
    return undefined;
  }
  const target = resolution.kind === "Session" ? scope.target : undefined;
  const reachable = target !== undefined && target.snapshot.synced && target.snapshot.connection !== "Offline";
  if (target === undefined || !reachable) return waitOrHandOver(scope, resolution, memory, env, log);

  const { metadata } = scope.object;
  scope.desired = desiredContainer(scope.object, "Stopped", []);
  scope.hash = scope.object.status?.applied?.hash ?? "";
  const { wakeInMs } = decide(scope, target, [], memory, env);
  const step = scope.plan?.step;
  if (step?.type === "None") {
    log.info({ policy: scope.settings.deletion.policy }, "observed what the deletion policy asks for");
    await release(scope, env);
    return undefined;
  }
  scope.deletion = {
    message: step?.type === "Wait" ? step.message : `removing the container of ${metadata.name} from the device`,
  };
  const { retryInMs } = await act(scope, target, memory, env, log);
  const due = await report(scope, memory, env);
  const retry = scope.backoff?.nextRetryTime;
  const retryMs = retry === undefined ? 0 : Date.parse(retry) - scope.nowMs;
  // A time that has come wakes nobody: the next try is under way, and its outcome does.
  return earliest(wakeInMs, due, retryInMs, retryMs > 0 ? retryMs : undefined);
}

/** Why the object is let go without a look at the device; loud where the container may stay behind unexpectedly. */
async function orphanReason(scope: Scope, env: Environment): Promise<{ message: string; loud: boolean } | undefined> {
  const { object, settings } = scope;
  if (settings.policy.managementPolicy === "Observe") return { message: "managementPolicy is Observe", loud: false };
  if (settings.deletion.policy === "Orphan") return { message: "deletion.policy is Orphan", loud: false };
  if (object.metadata.annotations?.[ANNOTATIONS.forceOrphan] === "true")
    return {
      message: `annotation ${ANNOTATIONS.forceOrphan} is set: the container may still exist on the device`,
      loud: true,
    };
  if (await env.isUninstalling(KINDS.EdgeContainer.plural))
    return {
      message: `the CustomResourceDefinition is being deleted: containers stay on their devices as they are${
        mayCost(scope.object) ? `; rental ${scope.object.status?.external?.id ?? ""} goes on costing` : ""
      }`,
      loud: true,
    };
  return undefined;
}

async function waitOrHandOver(
  scope: Scope,
  resolution: Resolution,
  memory: ContainerMemory,
  env: Environment,
  log: Logger,
): Promise<number | undefined> {
  const askedMs = Date.parse(scope.object.metadata.deletionTimestamp ?? "");
  const remainingMs = askedMs + scope.settings.deletion.graceMs - scope.nowMs;
  const why = unreachableBecause(resolution, scope);
  const bills = scope.target?.planner.rentals !== undefined || mayCost(scope.object);
  if (bills) {
    scope.deletion = {
      message: `${why}; the object stays until the vendor says that its rental has stopped, since it may cost money (annotation ${ANNOTATIONS.forceOrphan}: "true" lets go of it)`,
    };
    return report(scope, memory, env);
  }
  if (remainingMs > 0) {
    scope.deletion = {
      message: `${why}; the removal is handed to the device's pending removals at ${new Date(askedMs + scope.settings.deletion.graceMs).toISOString()}`,
    };
    const due = await report(scope, memory, env);
    return earliest(remainingMs, due);
  }
  const device = "device" in resolution ? resolution.device : undefined;
  if (device === undefined) {
    env.metrics.orphaned("EdgeContainer");
    env.events.record(
      scope.object,
      "Warning",
      EVENT_REASONS.Orphaned,
      `${why}: container ${scope.object.status?.external?.id ?? ""} may still exist on the device`,
    );
    await release(scope, env);
    return undefined;
  }
  await appendPendingRemoval(env, keyOf(device), pendingRemoval(scope));
  log.info({ device: device.metadata.name }, "removal handed to the device's pending removals");
  env.events.record(
    scope.object,
    "Normal",
    EVENT_REASONS.RemovalPending,
    `The device is away: the removal is done when EdgeDevice ${device.metadata.name} is back`,
  );
  await release(scope, env);
  env.wake.device(keyOf(device), "pending removal");
  return undefined;
}

function pendingRemoval(scope: Scope): PendingRemoval {
  const { metadata, status } = scope.object;
  const { operation } = scope;
  const externalId = operation?.oldExternalId ?? status?.external?.id;
  return {
    uid: metadata.uid,
    namespace: metadata.namespace ?? "",
    name: metadata.name,
    policy: scope.settings.deletion.policy === "Stop" ? "Stop" : "Remove",
    // The new container of an open recreation carries our marker; the old one may not.
    ...(externalId !== undefined && { externalId }),
    ...(operation !== undefined && operation.type !== "Restart" && { operationId: operation.id }),
    ...(scope.object.spec.deletion?.deleteVolumes === true && { deleteVolumes: true }),
  };
}

function unreachableBecause(resolution: Resolution, scope: Scope): string {
  switch (resolution.kind) {
    case "Missing":
    case "Rejected":
    case "Unconnected":
      return resolution.message;
    case "Session":
      return scope.target?.snapshot.message ?? "the device cannot be reached";
    default:
      return resolution satisfies never;
  }
}

async function release(scope: Scope, env: Environment): Promise<void> {
  await removeFinalizer(env, env.resources.containers, scope.object);
}

/** The smallest of some waits. */
export function earliest(...waits: (number | undefined)[]): number | undefined {
  const known = waits.filter((wait) => wait !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}
