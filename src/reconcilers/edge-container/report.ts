/** The end of a pass: one status write if anything differs, events for what people should notice, and when to look again. */
import { conditionTransitions, findCondition, formatTime } from "../../controller/conditions.ts";
import { statusPatch, type Urgency } from "../../controller/status-writer.ts";
import type { EdgeContainerStatus } from "../../crds/edge-container.ts";
import type { Environment } from "../environment.ts";
import { CONFLICT_STALLS_AFTER_MS, deviceMissingSince } from "./conditions.ts";
import { announceDrift, isNewDrift } from "./drift.ts";
import type { ContainerMemory } from "./memory.ts";
import { restartPatienceMs } from "./run-verdict.ts";
import type { Scope } from "./scope.ts";
import { computeStatus } from "./status.ts";

/** How long news that a command in flight is about to overtake may wait for its outcome, ms. */
export const OUTCOME_HOLD_MS = 1_000;

/** Writes the status now, or says in how many ms it is due. Throws ApiError or TransportError of the write. */
export async function report(scope: Scope, memory: ContainerMemory, env: Environment): Promise<number | undefined> {
  const before = scope.object.status;
  const after = computeStatus(scope);
  countRental(scope, after.rentedSince, env);
  if (statusPatch(before, after) === undefined) {
    delete memory.unsaved;
    delete memory.heldSinceMs;
    return undefined;
  }
  const heldMs = holdMs(before, after, memory, env.clock.monotonic());
  const urgency = urgencyOf(before, after);
  const delayMs = Math.max(heldMs, env.statusWriter.delayMs(env.resources.containers, scope.object, urgency));
  if (delayMs > 0) return delayMs;
  delete memory.heldSinceMs;
  if (scope.target?.snapshot.synced === true) after.observedAt = formatTime(scope.nowMs);
  const { object } = await env.statusWriter.write(env.resources.containers, scope.object, after);
  scope.object = object;
  delete memory.unsaved;
  announce(scope, before, after, env);
  return undefined;
}

/** For the metrics; on other backends nothing is ever rented. */
function countRental(scope: Scope, since: string | undefined, env: Environment): void {
  const { namespace = "", name } = scope.object.metadata;
  env.metrics.rented(namespace, name, since === undefined ? undefined : Date.parse(since), scope.nowMs);
}

/**
 * Most commands are answered within moments, and then "in progress" is a write that the next one overtakes: it waits for the
 * outcome, for a second in all however many commands follow each other. Until then the old observedGeneration says that the
 * wish was not yet looked at, which `kubectl wait` understands as not ready. Never held: a create, which takes as long as its
 * image does and whose journal is its safety, a failure, what somebody else did to the container, and the answer to an annotation,
 * which would be asked again.
 *
 * @returns ms that are left to wait; 0: write now. Notes in `memory` since when it waits.
 */
export function holdMs(
  before: EdgeContainerStatus | undefined,
  after: EdgeContainerStatus,
  memory: Pick<ContainerMemory, "sent" | "unsaved" | "heldSinceMs">,
  nowMs: number,
): number {
  const { sent } = memory;
  const overtaken =
    sent !== undefined &&
    sent.kind !== "Create" &&
    memory.unsaved === undefined &&
    !isNewDrift(before, after) &&
    sameAnswers(before, after);
  if (!overtaken) return 0;
  memory.heldSinceMs ??= nowMs;
  return Math.max(0, memory.heldSinceMs + OUTCOME_HOLD_MS - nowMs);
}

function sameAnswers(before: EdgeContainerStatus | undefined, after: EdgeContainerStatus): boolean {
  return JSON.stringify(before?.lastHandled ?? {}) === JSON.stringify(after.lastHandled ?? {});
}

/** The journal and changes of Ready, Reconciling and Stalled at once; all else coalesced. Pure. */
export function urgencyOf(before: EdgeContainerStatus | undefined, after: EdgeContainerStatus): Urgency {
  if (before?.observedGeneration !== after.observedGeneration) return "urgent";
  if (after.operation !== undefined && before?.operation?.id !== after.operation.id) return "urgent";
  // A failure and its backoff are decisions: one that is not written down would be made again, and its try repeated.
  if (
    before?.lastFailure?.time !== after.lastFailure?.time ||
    before?.backoff?.nextRetryTime !== after.backoff?.nextRetryTime
  )
    return "urgent";
  if (!sameAnswers(before, after) || isNewDrift(before, after)) return "urgent";
  if (before?.external?.id !== after.external?.id && after.operation === undefined && before?.operation === undefined)
    return "urgent";
  for (const type of ["Ready", "Reconciling", "Stalled", "Suspended", "Accepted"]) {
    const old = findCondition(before?.conditions, type);
    const now = findCondition(after.conditions, type);
    if (old?.status !== now?.status || old?.reason !== now?.reason) return "urgent";
  }
  return findCondition(after.conditions, "Ready")?.reason === "CrashLoopBackOff" ? "lazy" : "soon";
}

/** Events for transitions: what `kubectl describe` should tell. */
function announce(
  scope: Scope,
  before: EdgeContainerStatus | undefined,
  after: EdgeContainerStatus,
  env: Environment,
): void {
  for (const change of conditionTransitions(before?.conditions, after.conditions ?? [])) {
    if (change.type === "Ready" && change.to === "True")
      env.events.record(scope.object, "Normal", change.reason, `Ready: ${change.message}`);
    if (change.type === "Ready" && change.to === "Unknown")
      env.events.record(scope.object, "Warning", change.reason, change.message);
    if (change.type === "Stalled" && change.to === "True")
      env.events.record(scope.object, "Warning", change.reason, change.message);
  }
  announceWaits(scope, before, after, env);
  announceDrift(scope, before, after, env);
  const now = findCondition(after.conditions, "Ready");
  const old = findCondition(before?.conditions, "Ready");
  const failing = now?.status === "False" && now.reason !== "Progressing" && now.reason !== "Rejected";
  // With Stalled the same text has just been told.
  if (findCondition(after.conditions, "Stalled")?.message === now?.message) return;
  if (failing && old?.reason !== now.reason) env.events.record(scope.object, "Warning", now.reason, now.message);
}

/** Reasons of Reconciling whose begin is an event. */
const WORK: ReadonlySet<string> = new Set(["PullingImage", "Updating", "Recreating", "Swapping", "Removing"]);

/** What an object waits for is said once, when the wait begins or its reason changes. */
function announceWaits(
  scope: Scope,
  before: EdgeContainerStatus | undefined,
  after: EdgeContainerStatus,
  env: Environment,
): void {
  const accepted = findCondition(after.conditions, "Accepted");
  const formerly = findCondition(before?.conditions, "Accepted");
  if (accepted?.status === "False" && accepted.reason !== "Rejected" && accepted.reason !== formerly?.reason)
    env.events.record(scope.object, "Warning", accepted.reason, accepted.message);
  const reconciling = findCondition(after.conditions, "Reconciling");
  const was = findCondition(before?.conditions, "Reconciling");
  if (reconciling?.reason === was?.reason) return;
  if (reconciling?.reason === "WaitingForRelease")
    env.events.record(scope.object, "Warning", reconciling.reason, reconciling.message);
  if (reconciling !== undefined && WORK.has(reconciling.reason))
    env.events.record(scope.object, "Normal", reconciling.reason, reconciling.message);
}

/** In how many ms something changes by the mere passing of time; undefined if nothing does. Pure. */
export function wakeInMs(scope: Scope): number | undefined {
  const moments: number[] = [];
  const { runs, plan, backoff, nowMs, settings } = scope;
  if (backoff?.nextRetryTime !== undefined) moments.push(Date.parse(backoff.nextRetryTime));
  if (plan?.step.type === "Wait" && plan.step.untilMs !== undefined) moments.push(plan.step.untilMs);
  if (runs?.settlesAtMs !== undefined) moments.push(runs.settlesAtMs);
  if (runs?.forgetAtMs !== undefined) moments.push(runs.forgetAtMs);
  if (scope.conflictSinceMs !== undefined) moments.push(scope.conflictSinceMs + CONFLICT_STALLS_AFTER_MS);
  const missingSince = deviceMissingSince(scope);
  if (missingSince !== undefined) moments.push(missingSince + CONFLICT_STALLS_AFTER_MS);
  if (scope.rolloutSinceMs !== undefined) moments.push(scope.rolloutSinceMs + settings.progressDeadlineMs);
  if (plan?.primary?.state === "Exited") moments.push(plan.primary.stateSinceMs + restartPatienceMs(scope) + 1);
  const next = moments.filter((moment) => moment > nowMs && Number.isFinite(moment)).sort((a, b) => a - b)[0];
  return next === undefined ? undefined : next - nowMs;
}
