/**
 * One pass over an EdgeStack: its containers become EdgeContainers of their own, so that each has its own journal, conditions and backoff;
 * the stack orders their creation, sets them right, removes those that are no longer wanted, and sums up. A pass may be killed at any
 * instruction: names follow from the spec, and every write names the uid that it was decided on.
 */
import { findCondition } from "../../controller/conditions.ts";
import type { ReconcileContext, Result } from "../../controller/controller.ts";
import type { EdgeStack } from "../../crds/edge-stack.ts";
import { keyOf, keyString, resourceName } from "../../kube/resource.ts";
import type { ObjectKey } from "../../kube/types.ts";
import { CONFLICT_STALLS_AFTER_MS } from "../edge-container/conditions.ts";
import { earliest } from "../edge-container/deletion.ts";
import type { Environment } from "../environment.ts";
import { addFinalizer } from "../finalizer.ts";
import { BY_STACK } from "../stores.ts";
import { childName } from "./child.ts";
import { reconcileStackDeletion } from "./deletion.ts";
import type { StackMemories, StackMemory } from "./memory.ts";
import { prepareOwn } from "./own.ts";
import { ownTarget, wantsOwnStack } from "./own-plan.ts";
import { planChildren, type ChildView, type Existing } from "./plan.ts";
import { reportStack } from "./report.ts";
import { stackProblems } from "./validate.ts";
import { writeSteps } from "./write.ts";

/** How soon to look again after a write met something that has changed, or while the cache trails our own writes, ms. */
const LOOK_AGAIN_MS = 100;

/** Runs one pass. Expected failures are in the status; it throws what it did not expect, or could not write. */
export async function reconcileStack(
  key: ObjectKey,
  context: ReconcileContext,
  memories: StackMemories,
  env: Environment,
): Promise<Result> {
  const stack = env.stores.stacks.get(key);
  if (stack === undefined) {
    memories.forget(keyString(key));
    return {};
  }
  const existing = existingOf(stack, env);
  if (isBehind(stack, existing, env)) return { requeueAfterMs: LOOK_AGAIN_MS };
  const wake =
    stack.metadata.deletionTimestamp === undefined
      ? await reconcilePresent(stack, existing, memories.of(keyString(key), stack.metadata.uid), context, env)
      : await reconcileStackDeletion(stack, existing, memories.of(keyString(key), stack.metadata.uid), context, env);
  return wake === undefined ? {} : { requeueAfterMs: Math.ceil(wake) };
}

async function reconcilePresent(
  object: EdgeStack,
  existing: Existing,
  memory: StackMemory,
  context: ReconcileContext,
  env: Environment,
): Promise<number | undefined> {
  let stack = object;
  const { namespace = "" } = stack.metadata;
  const device = env.stores.devices.get({ namespace, name: stack.spec.deviceRef.name });
  const isOwn = wantsOwnStack(stack, device);
  const target = isOwn ? ownTarget(stack) : { device: stack.spec.deviceRef.name, own: false };
  const plan = planChildren(stack, target, existing);
  const suspendedBy = suspensionOf(stack, env);
  const shown = { views: plan.views, ...(suspendedBy !== undefined && { suspendedBy }) };

  const problems = stackProblems(stack, device);
  if (problems.length > 0) return reportStack(stack, { ...shown, problems }, env);
  if (device === undefined) {
    const message = `EdgeDevice ${namespace}/${stack.spec.deviceRef.name} does not exist`;
    const waiting = { acceptedReason: "DeviceNotFound", reason: "WaitingForReference", message };
    return reportStack(stack, { ...shown, waiting }, env);
  }
  if (env.options.readOnly) return reportStack(stack, shown, env);
  // Before the first effect, so that whatever is made is also removed in order.
  if (plan.steps.length > 0 || existing.owned.length > 0) stack = await addFinalizer(env, env.resources.stacks, stack);
  let againInMs: number | undefined;
  if (isOwn && stack.spec.suspend !== true) {
    const pass = { device, views: plan.views, memory, env, log: context.log };
    const prepared = await prepareOwn(stack, pass, existing.owned);
    ({ stack, againInMs } = prepared);
    if (prepared.waiting !== undefined) {
      const due = await reportStack(stack, { ...shown, waiting: prepared.waiting }, env);
      return earliest(due, againInMs);
    }
  }
  const { again, refused } = await writeSteps(stack, plan.steps, env, context.log);
  const conflictMs = conflictStallsInMs(stack, plan.views, memory, env.clock.now());
  const due = await reportStack(stack, { ...shown, refused, conflictIsOld: conflictMs === 0 }, env);
  return earliest(due, againInMs, again ? LOOK_AGAIN_MS : undefined, conflictMs === 0 ? undefined : conflictMs);
}

function suspensionOf(stack: EdgeStack, env: Environment): string | undefined {
  if (stack.spec.suspend === true) return "spec.suspend is set: nothing is made, changed or removed";
  return env.options.readOnly ? "the operator runs with --read-only" : undefined;
}

function existingOf(stack: EdgeStack, env: Environment): Existing {
  const { namespace = "" } = stack.metadata;
  return {
    get: (name) => env.stores.containers.get({ namespace, name }),
    owned: env.stores.containers.byIndex(BY_STACK, keyString(keyOf(stack))),
  };
}

/** Whether the cache does not show yet what this process wrote itself: to decide on it would be to decide twice. */
function isBehind(stack: EdgeStack, existing: Existing, env: Environment): boolean {
  const { namespace = "", name } = stack.metadata;
  const names = new Set([
    ...stack.spec.containers.map((container) => childName(name, container.name)),
    ...existing.owned.map((object) => object.metadata.name),
  ]);
  const collection = resourceName(env.resources.containers);
  return Array.from(names).some((each) =>
    env.expectations.isBehind(collection, env.stores.containers, { namespace, name: each }),
  );
}

/** In how many ms a name conflict counts as one that stays; 0: it does now. Undefined: there is none. */
function conflictStallsInMs(
  stack: EdgeStack,
  views: readonly ChildView[],
  memory: StackMemory,
  nowMs: number,
): number | undefined {
  if (!views.some(({ state }) => state === "Foreign")) {
    delete memory.conflictSinceMs;
    return undefined;
  }
  const stalled = findCondition(stack.status?.conditions, "Stalled");
  // A process that has just started goes on with what was found before it.
  memory.conflictSinceMs ??= stalled?.reason === "NameConflict" ? 0 : nowMs;
  return Math.max(0, memory.conflictSinceMs + CONFLICT_STALLS_AFTER_MS - nowMs);
}
