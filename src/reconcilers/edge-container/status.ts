/**
 * status of an EdgeContainer, computed in this one place from one scope. Pure: the same scope gives the same status, and a
 * fleet at rest gives the status that is already there, so that nothing is written.
 */
import { formatTime, rebuildConditions, truncateMessage } from "../../controller/conditions.ts";
import type { EdgeContainerStatus, LastFailure } from "../../crds/edge-container.ts";
import type { DesiredContainer, ObservedContainer } from "../../backends/contract.ts";
import { conditionsOf } from "./conditions.ts";
import { rentedSince } from "./rental.ts";
import { restartExpected } from "./run-verdict.ts";
import type { Plan } from "./plan/types.ts";
import type { Scope, StandingFailure, Target } from "./scope.ts";

/** The whole status as it should stand. */
export function computeStatus(scope: Scope): EdgeContainerStatus {
  const { object } = scope;
  const before: Partial<EdgeContainerStatus> = object.status ?? {};
  const generation = object.metadata.generation ?? 0;
  const conditions = rebuildConditions(before.conditions, conditionsOf(scope), {
    observedGeneration: generation,
    nowMs: scope.nowMs,
  });
  const primary = scope.plan?.primary;
  const fresh = scope.target?.snapshot.synced === true && scope.plan !== undefined;
  const status: EdgeContainerStatus = {
    observedGeneration: generation,
    phase: phaseOf(scope, conditions),
    conditions,
    lastHandled: handled(scope, before),
    ...(fresh ? observedPart(scope, primary, before) : keptPart(before)),
  };
  const since = rentedSince(scope, primary);
  if (since !== undefined) status.rentedSince = since;
  if (scope.operation !== undefined) status.operation = scope.operation;
  if (scope.progress !== undefined) status.progress = scope.progress;
  const backoff = backoffOf(scope);
  if (backoff !== undefined) status.backoff = backoff;
  if (scope.failed !== undefined) status.failed = scope.failed;
  if (scope.failure !== undefined) status.lastFailure = lastFailureOf(scope.failure);
  if (scope.ignored.length > 0)
    status.unsupported = scope.ignored.map((problem) => ({ path: problem.path, action: "Ignored" as const }));
  return status;
}

/** What whoever is on call needs: what failed, in whose words, at which spec and operation. */
function lastFailureOf({ failure, atMs, generation, operationId }: StandingFailure): LastFailure {
  return {
    class: failure.class,
    reason: "reason" in failure ? failure.reason : failure.class,
    message: text(failure.message, 1024),
    time: formatTime(atMs),
    generation,
    ...(operationId !== undefined && { operationId }),
    ...("field" in failure && failure.field !== undefined && { field: failure.field }),
    ...("exitCode" in failure && failure.exitCode !== undefined && { exitCode: failure.exitCode }),
    ...(failure.class === "RateLimited" && { retryAfterSeconds: Math.ceil(failure.retryAfterMs / 1000) }),
  };
}

/** While the device cannot be observed, the last known state stays, with its time. */
function keptPart(before: Partial<EdgeContainerStatus>): Partial<EdgeContainerStatus> {
  const { external, resolved, applied, state, lastState, restartCount, restartCountSource, drift, observedAt } = before;
  return {
    ...(external !== undefined && { external }),
    ...(resolved !== undefined && { resolved }),
    ...(applied !== undefined && { applied }),
    ...(state !== undefined && { state }),
    ...(lastState !== undefined && { lastState }),
    ...(restartCount !== undefined && { restartCount }),
    ...(restartCountSource !== undefined && { restartCountSource }),
    ...(drift !== undefined && { drift }),
    ...(observedAt !== undefined && { observedAt }),
  };
}

function observedPart(
  scope: Scope,
  primary: ObservedContainer | undefined,
  before: Partial<EdgeContainerStatus>,
): Partial<EdgeContainerStatus> {
  if (primary === undefined)
    return {
      ...(before.applied !== undefined && { applied: before.applied }),
      ...driftOf(scope.plan),
      ...(before.observedAt !== undefined && { observedAt: before.observedAt }),
    };
  const { plan, desired, hash, runs, target } = scope;
  const rolledOut =
    plan?.differences.length === 0 &&
    plan.step.type !== "Adopt" &&
    // Not before the new container of a Swap has proven itself.
    scope.operation?.type !== "Swap" &&
    scope.object.metadata.deletionTimestamp === undefined &&
    desired !== undefined &&
    hash !== undefined &&
    target !== undefined;
  const applied = rolledOut ? appliedNow(scope, primary, target, desired, hash) : before.applied;
  const lastState = lastStateOf(scope, primary);
  return {
    external: {
      id: primary.externalId,
      name: text(primary.name, 1024),
      ...(primary.attempt !== undefined && { attempt: primary.attempt }),
      ...(primary.createdAt !== undefined && { createdAt: primary.createdAt }),
      ...(target?.planner.claims === true && scope.isMarked === true && { marked: true }),
      ...(target?.identity !== undefined && { account: target.identity }),
    },
    resolved: {
      image: text(primary.image, 1024),
      ...(primary.imageDigest !== undefined && { digest: text(primary.imageDigest, 256) }),
    },
    ...(applied !== undefined && { applied }),
    state: stateOf(scope, primary),
    ...(lastState !== undefined && { lastState }),
    restartCount: runs?.restartCount ?? 0,
    restartCountSource: primary.restartCount === undefined ? "Derived" : "Backend",
    ...driftOf(plan),
    ...(before.observedAt !== undefined && { observedAt: before.observedAt }),
  };
}

/** What somebody else did, until it is mended. */
function driftOf(plan: Plan | undefined): Pick<EdgeContainerStatus, "drift"> {
  if (plan?.drifted !== true || plan.differences.length === 0) return {};
  const fields = plan.differences.slice(0, 32).map(({ path, desired, observed }) => ({
    path,
    desired: text(desired, 256),
    observed: text(observed, 256),
  }));
  return { drift: { fields } };
}

/** What is rolled out now; the run state counts as reached once it was, also if it is otherwise later. */
function appliedNow(
  scope: Scope,
  primary: ObservedContainer,
  target: Target,
  desired: DesiredContainer,
  hash: string,
): NonNullable<EdgeContainerStatus["applied"]> {
  const generation = scope.object.metadata.generation ?? 0;
  const before = scope.object.status?.applied;
  const state = isReached(desired.state, primary.state)
    ? desired.state
    : // The last wish that was reached is kept until another one is.
      before?.state;
  return { generation, hash, paths: target.planner.paths(desired), ...(state !== undefined && { state }) };
}

function isReached(wanted: DesiredContainer["state"], is: ObservedContainer["state"]): boolean {
  switch (wanted) {
    case "Running":
    case "Paused":
      return is === wanted;
    case "Stopped":
      return is === "Stopped" || is === "Exited" || is === "Created";
    default:
      return wanted satisfies never;
  }
}

/** A text that came from a device, as the API server takes it: well-formed and bounded. */
function text(value: string, longest: number): string {
  return truncateMessage(value, longest);
}

type ContainerState = NonNullable<EdgeContainerStatus["state"]>;

function stateOf(scope: Scope, primary: ObservedContainer): ContainerState {
  switch (primary.state) {
    case "Running":
    case "Paused":
      return { running: primary.startedAt === undefined ? {} : { startedAt: primary.startedAt } };
    case "Created":
      return { waiting: { reason: "ContainerCreated", message: "created, never started" } };
    case "Stopped":
      return primary.startedAt === undefined
        ? { waiting: { reason: "ContainerCreated", message: text(primary.error ?? "created, never started", 1024) } }
        : { terminated: terminatedOf(primary) };
    case "Exited":
      return scope.runs?.crashLooping === true && restartExpected(scope, primary)
        ? { waiting: { reason: "CrashLoopBackOff", message: "ended; the device restarts it by its own back-off" } }
        : { terminated: terminatedOf(primary) };
    case "Dead":
    case "Unknown":
      if (primary.waiting !== undefined)
        return { waiting: { reason: text(primary.waiting.reason, 128), message: text(primary.waiting.message, 1024) } };
      return { waiting: { reason: primary.state, message: `the device reports ${primary.state}` } };
    default:
      return primary.state satisfies never;
  }
}

type Terminated = NonNullable<ContainerState["terminated"]>;

function terminatedOf(end: {
  exitCode?: number;
  oomKilled?: boolean;
  startedAt?: string;
  finishedAt?: string;
}): Terminated {
  const { exitCode } = end;
  const byCode = exitCode === undefined ? "Ended" : exitCode === 0 ? "Completed" : "Error";
  return {
    ...(exitCode !== undefined && { exitCode }),
    reason: end.oomKilled === true ? "OOMKilled" : byCode,
    ...(end.startedAt !== undefined && { startedAt: end.startedAt }),
    ...(end.finishedAt !== undefined && { finishedAt: end.finishedAt }),
  };
}

/** The newest end that `state` does not show itself. */
function lastStateOf(scope: Scope, primary: ObservedContainer): EdgeContainerStatus["lastState"] {
  const last = scope.runs?.lastEnded;
  const same = scope.object.status?.external?.id === primary.externalId;
  if (last?.finishedAt !== undefined) return { terminated: terminatedOf(last) };
  return same ? scope.object.status?.lastState : undefined;
}

/** A crash count is shown while it lasts; Pull and Operation while their failure stands. */
function backoffOf(scope: Scope): EdgeContainerStatus["backoff"] {
  if (scope.backoff !== undefined && scope.backoff.kind !== "Crash") return scope.backoff;
  const crashes = scope.runs?.crashCount ?? 0;
  return crashes > 0 ? { kind: "Crash", count: crashes } : undefined;
}

function handled(scope: Scope, before: Partial<EdgeContainerStatus>): NonNullable<EdgeContainerStatus["lastHandled"]> {
  const annotations = scope.object.metadata.annotations ?? {};
  const retry = annotations["edge.drayage.dev/retry"];
  const reconcile = annotations["edge.drayage.dev/reconcile-requested-at"];
  // A restart counts as handled once its operation is journalled, or where there is nothing to restart (act.ts).
  const restart =
    scope.restartRequest === undefined ? annotations["edge.drayage.dev/restartedAt"] : before.lastHandled?.restart;
  return {
    ...(restart !== undefined && { restart }),
    ...(reconcile !== undefined && { reconcile }),
    ...(retry !== undefined && { retry }),
  };
}

/** For the column only: one word for where the object stands. */
function phaseOf(
  scope: Scope,
  conditions: readonly { type: string; status: string; reason: string }[],
): NonNullable<EdgeContainerStatus["phase"]> {
  if (scope.deletion !== undefined) return "Removing";
  const find = (type: string) => conditions.find((condition) => condition.type === type);
  const ready = find("Ready");
  const reconciling = find("Reconciling");
  if (ready?.status === "Unknown") return "Unknown";
  switch (ready?.reason) {
    case "Running":
    case "RunningUnverified":
      return ready.status === "True" ? "Running" : "Pending";
    case "Stopped":
      return "Stopped";
    case "Paused":
      return "Paused";
    case "Completed":
      return "Succeeded";
    case "CrashLoopBackOff":
      return "CrashLoopBackOff";
    case "ImagePullBackOff":
    case "ErrImageNeverPull":
      return "ImagePullBackOff";
    case "CreateContainerConfigError":
    case "CreateContainerError":
    case "RunContainerError":
    case "OperationFailed":
    case "Rejected":
    case "Failed":
      return "Failed";
    default:
      break;
  }
  const state = scope.plan?.primary?.state;
  if (state === "Running") return "Running";
  if (state === "Paused") return "Paused";
  if (reconciling?.reason === "PullingImage") return "Pulling";
  if (scope.operation !== undefined || state === "Created") return "Creating";
  return "Pending";
}
