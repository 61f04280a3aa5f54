/** status of an EdgeStack, computed in one place. Pure. */
import { findCondition, rebuildConditions, truncateMessage, type ConditionInput } from "../../controller/conditions.ts";
import type { EdgeStack, EdgeStackStatus, StackChild } from "../../crds/edge-stack.ts";
import type { StalledReason } from "../../crds/reasons.ts";
import type { Condition } from "../../kube/types.ts";
import type { ChildView } from "./plan.ts";
import type { StackProblem } from "./validate.ts";

/** status.children has at most this many, and this long a message each. */
const MOST_CHILDREN = 128;
const LONGEST_CHILD_MESSAGE = 256;

/** How the stack stands beside its containers. */
export interface StackStanding {
  readonly views: readonly ChildView[];
  /** What is wrong with the spec; nothing is done before it is mended. */
  readonly problems?: readonly StackProblem[];
  /** Something outside that has to come first. */
  readonly waiting?: { readonly acceptedReason?: string; readonly reason: string; readonly message: string };
  /** What the API server said of EdgeContainers that it refused, by the name in the stack. */
  readonly refused?: ReadonlyMap<string, string>;
  /** A name conflict has lasted so long that it will hardly go away by itself. */
  readonly conflictIsOld?: boolean;
  /** Why nothing is changed. */
  readonly suspendedBy?: string;
  /** What the deletion is at. */
  readonly deletion?: string;
  /** What the status says of the stack at the vendor. Absent: what it said before. */
  readonly vendor?: Pick<EdgeStackStatus, "external" | "operation" | "backoff">;
}

/** How one container stands, for the whole. */
interface Judged {
  readonly child: StackChild;
  readonly wanted: boolean;
  readonly reconciling?: { readonly reason: string; readonly message: string };
  readonly stalled?: { readonly reason: string; readonly message: string };
}

/** The whole status. */
export function computeStackStatus(stack: EdgeStack, standing: StackStanding, nowMs: number): EdgeStackStatus {
  const observedGeneration = stack.metadata.generation ?? 0;
  const judged = standing.views.map((view) => judge(view, standing));
  const conditions = rebuildConditions(stack.status?.conditions, conditionsOf(judged, standing), {
    observedGeneration,
    nowMs,
  });
  const wanted = judged.filter((each) => each.wanted);
  const total = stack.spec.containers.length;
  return {
    observedGeneration,
    phase: phaseOf(conditions, stack.metadata.deletionTimestamp !== undefined),
    ready: `${wanted.filter(({ child }) => child.ready === "True").length}/${total}`,
    ...(judged.length > 0 && { children: judged.slice(0, MOST_CHILDREN).map(({ child }) => child) }),
    ...(standing.vendor ?? vendorOf(stack)),
    conditions,
  };
}

function vendorOf({ status }: EdgeStack): NonNullable<StackStanding["vendor"]> {
  const { external, operation, backoff } = status ?? {};
  return {
    ...(external !== undefined && { external }),
    ...(operation !== undefined && { operation }),
    ...(backoff !== undefined && { backoff }),
  };
}

function phaseOf(conditions: readonly Condition[], deleting: boolean): NonNullable<EdgeStackStatus["phase"]> {
  if (deleting) return "Removing";
  if (findCondition(conditions, "Stalled") !== undefined) return "Stalled";
  if (findCondition(conditions, "Suspended") !== undefined) return "Suspended";
  const ready = findCondition(conditions, "Ready")?.status;
  return ready === "True" ? "Ready" : ready === "Unknown" ? "Unknown" : "Progressing";
}

function judge(view: ChildView, standing: StackStanding): Judged {
  const { name, object, state, current, message = "" } = view;
  const phase = current?.status?.phase;
  const wanted = state !== "Leaving";
  const say = (ready: StackChild["ready"], reason: string, text: string): StackChild => ({
    name,
    object,
    ...(phase !== undefined && { phase }),
    ready,
    reason,
    message: truncateMessage(text, LONGEST_CHILD_MESSAGE),
  });
  const refusal = standing.refused?.get(name);
  if (refusal !== undefined)
    return {
      child: say("False", "Rejected", refusal),
      wanted,
      stalled: { reason: "InvalidSpec" satisfies StalledReason, message: refusal },
    };
  switch (state) {
    case "Present":
      return { ...judgePresent(view, say), wanted };
    case "Outdated": {
      const text = "the change is about to be made";
      return { child: say("False", "Progressing", text), wanted, reconciling: { reason: "Updating", message: text } };
    }
    case "Missing": {
      const text = `EdgeContainer ${object} is about to be made`;
      return { child: say("False", "Missing", text), wanted, reconciling: { reason: "Creating", message: text } };
    }
    case "Waiting":
      return { child: say("False", "Waiting", message), wanted, reconciling: { reason: "Creating", message } };
    case "Leaving": {
      const text = findCondition(current?.status?.conditions, "Reconciling")?.message ?? "is being removed";
      return { child: say("False", "Removing", text), wanted, reconciling: { reason: "Removing", message: text } };
    }
    case "Foreign": {
      const child = say("False", "NameConflict", message);
      return standing.conflictIsOld === true
        ? { child, wanted, stalled: { reason: "NameConflict" satisfies StalledReason, message } }
        : { child, wanted, reconciling: { reason: "WaitingForRelease", message } };
    }
    default:
      return state satisfies never;
  }
}

/** By what the EdgeContainer says of itself, as far as it says it of its present spec. */
function judgePresent(
  { current }: ChildView,
  say: (ready: StackChild["ready"], reason: string, text: string) => StackChild,
): Omit<Judged, "wanted"> {
  const generation = current?.metadata.generation;
  const at = (type: string): Condition | undefined => {
    const found = findCondition(current?.status?.conditions, type);
    return found?.observedGeneration === generation ? found : undefined;
  };
  const ready = at("Ready");
  if (ready === undefined || current?.status?.observedGeneration !== generation) {
    const text = "its present spec has not been looked at yet";
    return { child: say("False", "Progressing", text), reconciling: { reason: "Updating", message: text } };
  }
  const reconciling = at("Reconciling");
  const stalled = at("Stalled");
  return {
    child: say(ready.status, ready.reason, ready.message),
    ...(reconciling !== undefined && { reconciling }),
    ...(stalled !== undefined && { stalled }),
  };
}

function conditionsOf(judged: readonly Judged[], standing: StackStanding): ConditionInput[] {
  const { problems = [], waiting, suspendedBy, deletion } = standing;
  const conditions: ConditionInput[] = [];
  const [problem] = problems;
  if (suspendedBy !== undefined)
    conditions.push({ type: "Suspended", status: "True", reason: "Suspended", message: suspendedBy });
  if (problem !== undefined && deletion === undefined) {
    const message = problems.map((each) => each.message).join("; ");
    conditions.push(
      { type: "Ready", status: "False", reason: "Rejected", message },
      { type: "Accepted", status: "False", reason: "Rejected", message },
      { type: "Stalled", status: "True", reason: problem.reason, message },
    );
    return conditions;
  }
  conditions.push(
    waiting?.acceptedReason === undefined
      ? { type: "Accepted", status: "True", reason: "Accepted", message: "the spec and what it refers to can be used" }
      : { type: "Accepted", status: "False", reason: waiting.acceptedReason, message: waiting.message },
    readyOf(judged, waiting, deletion),
  );
  const about = <T extends { message: string }>(each: Judged, said: T) => ({
    ...said,
    message: `container ${each.child.name}: ${said.message}`,
  });
  const [stalled] = judged.flatMap((each) => (each.stalled === undefined ? [] : [about(each, each.stalled)]));
  const [reconciling] = judged.flatMap((each) =>
    each.reconciling === undefined ? [] : [about(each, each.reconciling)],
  );
  if (deletion !== undefined)
    conditions.push({ type: "Reconciling", status: "True", reason: "Removing", message: deletion });
  else if (waiting !== undefined)
    conditions.push({ type: "Reconciling", status: "True", reason: waiting.reason, message: waiting.message });
  else if (stalled !== undefined)
    conditions.push({ type: "Stalled", status: "True", reason: stalled.reason, message: stalled.message });
  // While suspended only what the containers do by themselves goes on.
  else if (reconciling !== undefined && suspendedBy === undefined)
    conditions.push({ type: "Reconciling", status: "True", reason: reconciling.reason, message: reconciling.message });
  return conditions;
}

function readyOf(
  judged: readonly Judged[],
  waiting: StackStanding["waiting"],
  deletion: StackStanding["deletion"],
): ConditionInput {
  // Also once no container is left, while volumes and the stack at the vendor go.
  if (deletion !== undefined) return { type: "Ready", status: "False", reason: "ChildrenNotReady", message: deletion };
  const failing = judged.filter(({ child, wanted }) => !wanted || child.ready !== "True");
  if (waiting !== undefined)
    return { type: "Ready", status: "False", reason: "ChildrenNotReady", message: waiting.message };
  const first = failing.find(({ child }) => child.ready === "False") ?? failing[0];
  if (first === undefined)
    return { type: "Ready", status: "True", reason: "AllReady", message: `all ${judged.length} containers are ready` };
  const others = failing.length - 1;
  return {
    type: "Ready",
    status: first.child.ready === "Unknown" ? "Unknown" : "False",
    reason: "ChildrenNotReady",
    message: `container ${first.child.name}: ${first.child.message}${others === 0 ? "" : `; ${others} more not ready`}`,
  };
}
