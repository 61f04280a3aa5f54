/**
 * Deleting an EdgeStack. It removes its EdgeContainers itself, in the reverse order of dependsOn, and goes when it has seen that none is
 * left; so it needs no garbage collector. Their finalizers see to the containers on the device, by the deletion policy they were given.
 */
import type { ReconcileContext } from "../../controller/controller.ts";
import { STACK_DEFAULTS } from "../../crds/default-values.ts";
import type { EdgeContainer } from "../../crds/edge-container.ts";
import type { EdgeStack } from "../../crds/edge-stack.ts";
import { ANNOTATIONS, KINDS, STACK_LABEL } from "../../crds/group.ts";
import { isConflict, isNotFound, isRefusedPatch } from "../../kube/errors.ts";
import { keyOf, resourceName } from "../../kube/resource.ts";
import { earliest } from "../edge-container/deletion.ts";
import type { Environment } from "../environment.ts";
import { EVENT_REASONS } from "../event-reasons.ts";
import { hasFinalizer, removeFinalizer } from "../finalizer.ts";
import { ownership, release } from "./child.ts";
import type { StackMemory } from "./memory.ts";
import { removeOwnDevice } from "./own-device.ts";
import { ownDeviceName, ownTarget } from "./own-plan.ts";
import { announceLeft, clearOwn } from "./own-removal.ts";
import { planRemoval, type Existing } from "./plan.ts";
import { reportStack } from "./report.ts";
import { computeStackStatus } from "./status.ts";
import { writeSteps } from "./write.ts";

/** How soon to look again after a write met something that has changed, ms. */
const LOOK_AGAIN_MS = 100;

/** Put on an object by the API server for `kubectl delete --cascade=orphan` (metav1.FinalizerOrphanDependents). */
const ORPHAN_DEPENDENTS = "orphan";

/** One pass of a deletion. Returns in how many ms to look again, if at all. */
export async function reconcileStackDeletion(
  stack: EdgeStack,
  existing: Existing,
  memory: StackMemory,
  context: ReconcileContext,
  env: Environment,
): Promise<number | undefined> {
  if (!hasFinalizer(stack)) return undefined;
  const why = await orphanReason(stack, env);
  if (why !== undefined) return letGo(stack, existing.owned, why, context, env);

  const { external, operation } = stack.status ?? {};
  const isOwn = external !== undefined || operation !== undefined;
  const target = isOwn ? ownTarget(stack) : { device: stack.spec.deviceRef.name, own: false };
  const forced = stack.metadata.annotations?.[ANNOTATIONS.forceOrphan] === "true";
  const graceMs = (stack.spec.deletion?.graceSeconds ?? STACK_DEFAULTS.deletion.graceSeconds) * 1000;
  const overInMs = Date.parse(stack.metadata.deletionTimestamp ?? "") + graceMs - env.clock.now();
  const plan = planRemoval(stack, target, existing.owned, forced || overInMs <= 0);
  const { again } = env.options.readOnly ? { again: false } : await writeSteps(stack, plan.steps, env, context.log);
  // A forced deletion waits for no container, but each gets its deletion policy first.
  const isLeaving = plan.steps.every(({ type }) => type === "Delete");
  if (existing.owned.length > 0 && !(forced && isLeaving)) {
    const names = existing.owned.map(({ metadata }) => metadata.name);
    const deletion = `waits for EdgeContainer ${names.join(", ")} to be gone`;
    const due = await reportStack(stack, { views: plan.views, deletion }, env);
    return earliest(due, again ? LOOK_AGAIN_MS : undefined, overInMs > 0 ? overInMs : undefined);
  }
  // The cache may trail what a former process made; a stack that is gone can no longer remove anything.
  if (!forced && (await leftOvers(stack, env)).length > 0) return LOOK_AGAIN_MS;
  if (isOwn && !forced && !env.options.readOnly) {
    const cleared = await clearOwn(stack, memory, overInMs, env, context.log);
    if (!cleared.done) {
      const due = await reportStack(stack, { views: plan.views, deletion: cleared.message }, env);
      return earliest(due, cleared.againInMs);
    }
    // Its EdgeDevice keeps the way to the vendor open for as long as the status names the stack.
    const status = computeStackStatus(
      stack,
      { views: [], deletion: "the last EdgeDevice goes", vendor: {} },
      env.clock.now(),
    );
    await env.statusWriter.write(env.resources.stacks, stack, status);
    announceLeft(stack, cleared.left, env);
    return LOOK_AGAIN_MS;
  }
  if (!forced && !(await removeOwnDevice(stack, env))) return LOOK_AGAIN_MS;
  if (forced && existing.owned.length > 0) orphaned(stack, `annotation ${ANNOTATIONS.forceOrphan} is set`, env);
  context.log.info({}, "letting go of the stack");
  await removeFinalizer(env, env.resources.stacks, stack);
  return undefined;
}

/** Why the EdgeContainers stay as they are. */
async function orphanReason(stack: EdgeStack, env: Environment): Promise<string | undefined> {
  if (stack.metadata.finalizers?.includes(ORPHAN_DEPENDENTS) === true) return "deleted with --cascade=orphan";
  if (await env.isUninstalling(KINDS.EdgeStack.plural)) return "the CustomResourceDefinition is being deleted";
  return undefined;
}

/** Takes owner and label off the EdgeContainers first: else a garbage collector would delete them after the stack. */
async function letGo(
  stack: EdgeStack,
  owned: readonly EdgeContainer[],
  why: string,
  context: ReconcileContext,
  env: Environment,
): Promise<number | undefined> {
  const resource = env.resources.containers;
  for (const child of owned) {
    try {
      const freed = await env.client.patch(resource, keyOf(child), { type: "json", body: release(child) });
      env.expectations.wrote(resourceName(resource), keyOf(child), freed.metadata.resourceVersion);
    } catch (error) {
      if (isNotFound(error)) continue;
      if (isConflict(error) || isRefusedPatch(error)) return LOOK_AGAIN_MS;
      throw error;
    }
  }
  const device = env.stores.devices.get({
    namespace: stack.metadata.namespace ?? "",
    name: ownDeviceName(stack),
  });
  if (device !== undefined && ownership(device, stack) === "Own") {
    try {
      const body = release(device);
      const freed = await env.client.patch(env.resources.devices, keyOf(device), { type: "json", body });
      env.expectations.wrote(resourceName(env.resources.devices), keyOf(device), freed.metadata.resourceVersion);
    } catch (error) {
      if (isConflict(error) || isRefusedPatch(error)) return LOOK_AGAIN_MS;
      if (!isNotFound(error)) throw error;
    }
  }
  orphaned(stack, why, env);
  context.log.info({ why }, "letting go of the stack; its EdgeContainers stay");
  await removeFinalizer(env, env.resources.stacks, stack);
  return undefined;
}

function orphaned(stack: EdgeStack, why: string, env: Environment): void {
  env.metrics.orphaned("EdgeStack");
  env.events.record(stack, "Warning", EVENT_REASONS.Orphaned, `${why}: EdgeContainers of the stack may stay`);
}

async function leftOvers(stack: EdgeStack, env: Environment): Promise<EdgeContainer[]> {
  const { items } = await env.client.list(env.resources.containers, {
    namespace: stack.metadata.namespace ?? "",
    labelSelector: `${STACK_LABEL}=${stack.metadata.name}`,
  });
  return items.filter((object) => ownership(object, stack) === "Own");
}
