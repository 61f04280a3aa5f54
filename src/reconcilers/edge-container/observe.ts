/** The middle of a pass: what the device shows, what became of the last command, and so what to do next. */
import type { BackendFailure } from "../../backends/errors.ts";
import { EVENT_REASONS } from "../event-reasons.ts";
import type { EdgeContainer } from "../../crds/edge-container.ts";
import { keyString } from "../../kube/resource.ts";
import type { Environment } from "../environment.ts";
import { BY_DEVICE } from "../stores.ts";
import { restartExpected } from "./run-verdict.ts";
import { bump, judge } from "./failures.ts";
import { reviewSent, type ContainerMemory, type SentState } from "./memory.ts";
import { carriesMarkerOf } from "./plan/ownership.ts";
import { plan, planRemoval } from "./plan/plan.ts";
import type { OpenOperation, PendingClaim, PlanInput } from "./plan/types.ts";
import { accountRuns, type RunHistory } from "./runs.ts";
import type { Scope, Target } from "./scope.ts";
import { conflictSince, mayEqual, reached } from "./standing.ts";

/** Fills `plan`, `operation`, `backoff`, `failure` and `runs`. Needs target, desired and hash. */
export function decide(
  scope: Scope,
  target: Target,
  pending: readonly PendingClaim[],
  memory: ContainerMemory,
  env: Environment,
): { wakeInMs?: number } {
  const sent = reviewSent(memory, target.session, target.snapshot, env.clock.monotonic());
  if (sent.state === "Failed") recordFailure(scope, sent.failure, memory);
  if (sent.state === "AwaitingObservation" && sent.resync)
    target.session.resync("the effect of a command was not observed");

  const input = planInput(scope, target, pending, sent, memory, env);
  if (input === undefined) return {};
  const removal = scope.object.metadata.deletionTimestamp !== undefined;
  const policy = scope.settings.deletion.policy === "Stop" ? "Stop" : "Remove";
  const next = removal ? planRemoval(input, policy) : plan(input);
  scope.plan = next;
  scope.isMarked = next.primary !== undefined && carriesMarkerOf(input.me, next.primary);
  const before = scope.operation;
  // An operation that is only planned is written by act(), right before its effect; until then none is open.
  // A roll-back changes the open one, which stays as it is until that is written.
  if (next.step.type !== "RollBack") {
    if (next.operation === undefined || "operation" in next.step) delete scope.operation;
    else scope.operation = next.operation;
  }
  if (before !== undefined && memory.closed?.operationId === before.id && scope.operation?.id !== before.id)
    delete memory.closed;
  // A failed create was counted above, when its answer came; only one that was found failed later is counted here.
  if (next.step.type === "Close" && next.step.failure !== undefined && sent.state !== "Failed")
    recordFailure(scope, next.step.failure, memory);
  if (next.step.type === "Close" && target.planner.rentals !== undefined && next.primary !== undefined)
    memory.failedExternalId = next.primary.externalId;
  if (sent.state === "Failed" && target.planner.rentals !== undefined && sent.kind === "Stop")
    env.events.record(
      scope.object,
      "Warning",
      EVENT_REASONS.StopFailed,
      `The rental goes on costing: ${sent.failure.message}`,
    );
  if (next.step.type === "None" && !removal && next.rolledBack !== true) {
    // The goal is reached: what failed on the way there is overcome.
    delete scope.failure;
    delete scope.backoff;
    delete scope.failed;
    delete memory.unsaved;
  }
  noteConflict(scope, memory);
  const runs = account(scope, target);
  if (runs !== undefined) scope.runs = runs;
  if (runs?.needsLook === true) target.session.resync("whether it still runs");
  if (sent.state === "AwaitingObservation") return { wakeInMs: sent.wakeInMs };
  const settling = scope.operation === undefined ? 0 : settlesInMs(target, env);
  return settling > 0 ? { wakeInMs: settling } : {};
}

/** How long a former leader's commands may still arrive, ms; 0 if no longer. */
function settlesInMs(target: Target, env: Environment): number {
  const since = env.leaderSinceMs();
  return since === undefined ? target.settleMs : Math.max(0, since + target.settleMs - env.clock.monotonic());
}

/** A new failure feeds its counter; a new generation or retry has emptied it before (standing.ts). */
export function recordFailure(scope: Scope, failure: BackendFailure, memory: ContainerMemory): void {
  const generation = scope.object.metadata.generation ?? 0;
  const { backoff } = judge(failure);
  const { operation } = scope;
  scope.failure = {
    failure,
    atMs: scope.nowMs,
    generation,
    ...(operation !== undefined && { operationId: operation.id }),
  };
  memory.unsaved = { failure: scope.failure };
  const kind = backoff ?? (insists(scope) ? "Operation" : undefined);
  if (kind === undefined) {
    delete scope.backoff;
    return;
  }
  scope.backoff = bump(scope.backoff, kind, failure, scope.settings.backoff, scope.object.metadata.uid, scope.nowMs);
  memory.unsaved.backoff = scope.backoff;
}

/** A deletion, and the way back to an old container, are not stalled by what only another spec could mend. */
function insists(scope: Scope): boolean {
  return scope.object.metadata.deletionTimestamp !== undefined || scope.failed !== undefined;
}

function planInput(
  scope: Scope,
  target: Target,
  pending: readonly PendingClaim[],
  sent: SentState,
  memory: ContainerMemory,
  env: Environment,
): PlanInput | undefined {
  const { desired, hash, object } = scope;
  if (desired === undefined || hash === undefined) return undefined;
  const { metadata, status } = object;
  const operation = openOperation(scope, target, sent, memory, env);
  if (scope.failed !== undefined && !mayEqual(scope.failed.hash, hash)) delete scope.failed;
  const notBeforeMs = notBefore(scope);
  return {
    now: scope.nowMs,
    me: {
      owner: env.options.ownerId,
      namespace: metadata.namespace ?? "",
      name: metadata.name,
      uid: metadata.uid,
    },
    generation: metadata.generation ?? 0,
    desired,
    hash,
    planner: target.planner,
    policy: scope.settings.policy,
    memory: {
      ...(status?.external !== undefined && { externalId: status.external.id }),
      ...(status?.applied !== undefined && { applied: status.applied }),
      ...(operation !== undefined && { operation }),
      wasStopped: status?.applied?.state === "Stopped",
      reached: reached(object, desired.state),
      ...(memory.failedExternalId !== undefined && { failedExternalId: memory.failedExternalId }),
      ...(notBeforeMs !== undefined && { notBeforeMs }),
      ...((sent.state === "Sent" || sent.state === "AwaitingObservation") && { inFlight: sent.state }),
      ...(scope.restartRequest !== undefined && { restartRequest: scope.restartRequest }),
      hasFailed: scope.failed !== undefined,
      ...(scope.failure !== undefined && { failure: scope.failure }),
      runs: historyOf(scope),
    },
    containers: target.snapshot.containers,
    ...(target.snapshot.volumes !== undefined && { volumes: target.snapshot.volumes }),
    synced: target.snapshot.synced,
    ...(target.snapshot.isAbsenceOpen === true && { isAbsenceOpen: true }),
    pending,
    claimed: claimedBySiblings(scope, env),
    freshOperationId: env.newId(),
  };
}

/** No effect before this, ms: never while only another spec (or the retry annotation) helps, else the end of the backoff. */
function notBefore(scope: Scope): number | undefined {
  if (!insists(scope) && scope.failure !== undefined && judge(scope.failure.failure).stalledReason !== undefined)
    return Infinity;
  return scope.backoff?.nextRetryTime === undefined ? undefined : Date.parse(scope.backoff.nextRetryTime);
}

/** Ids that other EdgeContainers of the device have recorded; only adoption asks for them. */
function claimedBySiblings(scope: Scope, env: Environment): ReadonlySet<string> {
  if (scope.settings.policy.adoption.policy === "Never") return NOTHING;
  const { namespace = "", name } = scope.object.metadata;
  const device = keyString({ namespace, name: scope.object.spec.deviceRef.name });
  const ids = env.stores.containers
    .byIndex(BY_DEVICE, device)
    .flatMap((other) => (other.metadata.name === name ? [] : [other.status?.external?.id]))
    .filter((id) => id !== undefined);
  return new Set(ids);
}

const NOTHING: ReadonlySet<string> = new Set();

/** The journal's entry with what is proven of it. A former leader's command may still arrive until the settle time is over. */
function openOperation(
  scope: Scope,
  target: Target,
  sent: SentState,
  memory: ContainerMemory,
  env: Environment,
): OpenOperation | undefined {
  const entry = scope.operation;
  if (entry === undefined) return undefined;
  if (entry.type === "Restart") return { entry, progress: { state: "Closed" } };
  if (sent.state === "Sent" || sent.state === "AwaitingObservation") return { entry, progress: { state: "Open" } };
  if (memory.closed?.operationId === entry.id) {
    const { failure } = memory.closed;
    return { entry, progress: { state: "Closed", ...(failure !== undefined && { failure }) } };
  }
  // What a former leader sent may still arrive until the backend's settle time is over.
  if (settlesInMs(target, env) > 0) return { entry, progress: { state: "Open" } };
  return { entry, progress: { state: target.session.settle(entry.id) } };
}

function noteConflict(scope: Scope, memory: ContainerMemory): void {
  const step = scope.plan?.step;
  const waiting = step?.type === "Wait" && (step.reason === "NameConflict" || step.reason === "PortConflict");
  const failed =
    scope.failure?.failure.class === "Conflict" &&
    (scope.failure.failure.reason === "PortConflict" || scope.failure.failure.reason === "NameConflict");
  if (!waiting && !failed) {
    delete memory.conflictSinceMs;
    return;
  }
  memory.conflictSinceMs ??= conflictSince(scope.object) ?? scope.nowMs;
  scope.conflictSinceMs = memory.conflictSinceMs;
}

function account(scope: Scope, target: Target): ReturnType<typeof accountRuns> | undefined {
  const primary = scope.plan?.primary;
  if (primary === undefined) return undefined;
  const { settings, desired } = scope;
  return accountRuns(
    historyOf(scope),
    primary,
    {
      minReadyMs: settings.minReadyMs,
      resetAfterMs: settings.backoff.resetAfterMs,
      restarts:
        desired !== undefined &&
        (primary.state === "Exited" ? restartExpected(scope, primary) : target.planner.restarts(desired, primary)),
    },
    scope.nowMs,
  );
}

/** What status says has been counted. */
export function historyOf(scope: Scope): RunHistory {
  const status = scope.object.status;
  const lastStartedAt =
    status?.state?.running?.startedAt ??
    status?.state?.terminated?.startedAt ??
    status?.lastState?.terminated?.startedAt;
  const ended = status?.state?.terminated ?? status?.lastState?.terminated;
  const readyRun = wasReady(scope.object) ? status?.state?.running?.startedAt : undefined;
  return {
    ...(status?.external !== undefined && { externalId: status.external.id }),
    restartCount: status?.restartCount ?? 0,
    ...(lastStartedAt !== undefined && { lastStartedAt }),
    ...(ended?.finishedAt !== undefined && {
      lastEnd: {
        finishedAt: ended.finishedAt,
        ...(ended.startedAt !== undefined && { startedAt: ended.startedAt }),
      },
    }),
    crashCount: status?.backoff?.kind === "Crash" ? status.backoff.count : 0,
    ...(readyRun !== undefined && { readyRun }),
  };
}

/**
 * Whether the last run that status tells of was Ready. Out of sight, behind a device or a backend that is away, it is Unknown and not being changed:
 * the same run that comes into sight again has nothing to prove.
 */
function wasReady({ status, metadata }: EdgeContainer): boolean {
  const of = (type: string) => status?.conditions?.find((condition) => condition.type === type);
  const ready = of("Ready");
  if (ready?.status !== "Unknown") return ready?.status === "True";
  const isFailing = status?.backoff !== undefined || of("Stalled") !== undefined;
  return !isFailing && of("Reconciling") === undefined && ready.observedGeneration === metadata.generation;
}
