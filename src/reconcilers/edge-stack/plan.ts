/**
 * What is to be done about the EdgeContainers of an EdgeStack, and how each stands. Pure. Only creation is ordered by dependsOn: a
 * change of a container that exists waits for nobody, since a failing dependency would hold back the change that mends it.
 */
import { findCondition, isConditionTrue } from "../../controller/conditions.ts";
import { STACK_DEFAULTS } from "../../crds/default-values.ts";
import type { EdgeContainer, EdgeContainerSpec } from "../../crds/edge-container.ts";
import type { EdgeStack, StackContainer } from "../../crds/edge-stack.ts";
import { childName, childSpec, isAsWanted, nameInStack, ownership, type Target } from "./child.ts";
import { inOrder, removableNow } from "./order.ts";

/** One write. */
export type ChildStep =
  | { readonly type: "Create"; readonly container: StackContainer; readonly spec: EdgeContainerSpec }
  | { readonly type: "Correct"; readonly current: EdgeContainer; readonly spec: EdgeContainerSpec }
  | { readonly type: "Delete"; readonly current: EdgeContainer };

/**
 * How a container stands. Present: as wanted. Outdated: a change is to be made. Waiting: not made yet, for the reason in `message`.
 * Leaving: no longer in the spec, or going with the stack. Foreign: somebody else's object has its name.
 */
export interface ChildView {
  readonly name: string;
  readonly object: string;
  readonly state: "Present" | "Outdated" | "Missing" | "Waiting" | "Leaving" | "Foreign";
  readonly message?: string;
  readonly current?: EdgeContainer;
}

export interface StackPlan {
  /** In the order in which they are to be made. */
  readonly steps: readonly ChildStep[];
  /** The wanted containers in the order of the spec, then the others. */
  readonly views: readonly ChildView[];
}

/** What there is. */
export interface Existing {
  /** The EdgeContainer of that name in the stack's namespace, whoever's it is. */
  get(name: string): EdgeContainer | undefined;
  /** Those that name this stack as their owner, of a former one of the same name too. */
  readonly owned: readonly EdgeContainer[];
}

/** For a stack that is to be there. */
export function planChildren(stack: EdgeStack, target: Target, existing: Existing): StackPlan {
  const { containers } = stack.spec;
  const sorted = inOrder(containers);
  const decided = new Map<string, { view: ChildView; step?: ChildStep }>();
  for (const container of "order" in sorted ? sorted.order : containers)
    decided.set(container.name, decide(stack, container, target, existing));
  const steps = Array.from(decided.values()).flatMap(({ step }) => step ?? []);
  const views = containers.flatMap(({ name }) => decided.get(name)?.view ?? []);
  const wanted = new Set(views.map(({ object }) => object));
  for (const current of existing.owned) {
    if (wanted.has(current.metadata.name)) continue;
    views.push(leaving(stack, current));
    if (current.metadata.deletionTimestamp === undefined && stack.spec.suspend !== true)
      steps.push({ type: "Delete", current });
  }
  return { steps, views };
}

function decide(
  stack: EdgeStack,
  container: StackContainer,
  target: Target,
  existing: Existing,
): { view: ChildView; step?: ChildStep } {
  const { name } = container;
  const object = childName(stack.metadata.name, name);
  const current = existing.get(object);
  const suspended = stack.spec.suspend === true;
  const spec = childSpec(stack, container, target);
  const waiting = (message: string) => ({ view: { name, object, state: "Waiting", message } as const });
  if (current === undefined) {
    if (suspended) return waiting("the stack is suspended: it is made once spec.suspend is gone");
    const unmet = unmetOf(stack, container, existing);
    if (unmet.length > 0) return waiting(`waits for ${unmet.join(" and ")}`);
    return { view: { name, object, state: "Missing" }, step: { type: "Create", container, spec } };
  }
  if (current.metadata.deletionTimestamp !== undefined)
    return waiting(`EdgeContainer ${object} is being deleted; it is made again once that one is gone`);
  if (ownership(current, stack) === "Foreign")
    return {
      view: {
        name,
        object,
        state: "Foreign",
        message: `EdgeContainer ${object} exists and is not this stack's: delete it, or call the container otherwise`,
      },
    };
  if (isAsWanted(current, spec, stack)) return { view: { name, object, state: "Present", current } };
  const view: ChildView = { name, object, state: "Outdated", current };
  // Only a former stack's can be on another device; that never changes.
  if (current.spec.deviceRef.name !== target.device)
    return suspended ? { view } : { view, step: { type: "Delete", current } };
  if (!suspended) return { view, step: { type: "Correct", current, spec } };
  const held = { ...current.spec, suspend: true };
  return isAsWanted(current, held, stack) ? { view } : { view, step: { type: "Correct", current, spec: held } };
}

/** Dependencies that have not reached what is asked of them, in words. */
function unmetOf(stack: EdgeStack, container: StackContainer, existing: Existing): string[] {
  return (container.dependsOn ?? []).flatMap(({ name, condition = STACK_DEFAULTS.dependsOn.condition }) => {
    const object = existing.get(childName(stack.metadata.name, name));
    const reached = object !== undefined && ownership(object, stack) === "Own" && hasReached(object, condition);
    return reached ? [] : [`${name} to be ${condition}`];
  });
}

/** Ready reasons that say that its process runs, or has run and ended as it should. */
const RUNS: ReadonlySet<string> = new Set(["Running", "RunningUnverified", "Completed"]);

/** Whether an EdgeContainer is Running or Ready, at its present generation. */
export function hasReached(object: EdgeContainer, condition: "Running" | "Ready"): boolean {
  const { generation } = object.metadata;
  const ready = isConditionTrue(object.status?.conditions, "Ready", generation);
  if (condition === "Ready") return ready;
  if (object.status?.observedGeneration !== generation) return false;
  if (object.status?.phase === "Running") return true;
  return ready && RUNS.has(findCondition(object.status?.conditions, "Ready")?.reason ?? "");
}

function leaving(stack: EdgeStack, current: EdgeContainer): ChildView {
  return { name: nameInStack(stack, current), object: current.metadata.name, state: "Leaving", current };
}

/**
 * For a stack that is being deleted: its containers go in the reverse order of dependsOn.
 *
 * @param inOrderNoMore all may go at once: the grace is over, or somebody forced it.
 */
export function planRemoval(
  stack: EdgeStack,
  target: Target,
  owned: readonly EdgeContainer[],
  inOrderNoMore: boolean,
): StackPlan {
  const views = owned.map((current) => leaving(stack, current));
  const free = inOrderNoMore
    ? new Set(views.map(({ name }) => name))
    : removableNow(stack.spec.containers, new Set(views.map(({ name }) => name)));
  const steps = views.flatMap(({ name, current }): ChildStep[] => {
    if (current === undefined || current.metadata.deletionTimestamp !== undefined) return [];
    // What is to become of the container may have changed in the same breath as the stack was deleted.
    const container = stack.spec.containers.find((each) => each.name === name);
    const deletion = container === undefined ? undefined : childSpec(stack, container, target).deletion;
    const { deletion: _former, ...rest } = current.spec;
    const spec = { ...rest, ...(deletion !== undefined && { deletion }) };
    if (container !== undefined && !isAsWanted(current, spec, stack)) return [{ type: "Correct", current, spec }];
    return free.has(name) ? [{ type: "Delete", current }] : [];
  });
  return { steps, views };
}
