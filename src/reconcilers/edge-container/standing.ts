/** What an earlier pass wrote down and this one goes on from: failures, backoff, annotations, conflicts. Pure. */
import { findCondition } from "../../controller/conditions.ts";
import type { BackendFailure, WorkloadReason } from "../../backends/errors.ts";
import { ANNOTATIONS } from "../../crds/group.ts";
import type { EdgeContainer } from "../../crds/edge-container.ts";
import type { Backoff } from "./failures.ts";
import type { FailedSpec, StandingFailure } from "./scope.ts";

/** True if a new value of the retry annotation, or a new generation, asks to forget failures. */
export function retryAsked(object: EdgeContainer): boolean {
  const value = object.metadata.annotations?.[ANNOTATIONS.retry];
  const handled = object.status?.lastHandled;
  return handled !== undefined && value !== undefined && value !== handled.retry;
}

/** The failure that still stands at this generation; undefined if there is none or a retry was asked for. */
export function standingFailure(object: EdgeContainer): StandingFailure | undefined {
  const last = object.status?.lastFailure;
  if (last === undefined || retryAsked(object)) return undefined;
  if (last.generation !== object.metadata.generation) return undefined;
  return {
    failure: restore(last),
    atMs: Date.parse(last.time),
    generation: last.generation ?? 0,
    ...(last.operationId !== undefined && { operationId: last.operationId }),
  };
}

/** status.failed, as long as neither the spec nor the retry annotation has changed; values of Secrets are looked at later. */
export function standingFailed(object: EdgeContainer): FailedSpec | undefined {
  const failed = object.status?.failed;
  if (failed === undefined || retryAsked(object)) return undefined;
  return failed.generation === object.metadata.generation ? failed : undefined;
}

/** Whether two hashes may stand for the same: under different keys they say nothing. */
export function mayEqual(hash: string, other: string): boolean {
  const keyOf = (text: string): string => text.slice(0, text.indexOf(":") + 1);
  return hash === other || keyOf(hash) !== keyOf(other);
}

/** The backoff that still counts. Crash counts survive a new generation only through the runs (runs.ts). */
export function standingBackoff(object: EdgeContainer): Backoff | undefined {
  const backoff = object.status?.backoff;
  if (backoff === undefined || backoff.kind === "Crash") return undefined;
  return standingFailure(object) === undefined ? undefined : backoff;
}

/** The value of restartedAt that asks for a restart; undefined if it was handled, or is there at first sight. */
export function restartRequest(object: EdgeContainer): string | undefined {
  const value = object.metadata.annotations?.[ANNOTATIONS.restartedAt];
  const handled = object.status?.lastHandled;
  return value !== undefined && handled !== undefined && value !== handled.restart ? value : undefined;
}

/** The wish about the run state was reached at this generation (status.applied.state). */
export function reached(object: EdgeContainer, wanted: "Running" | "Stopped" | "Paused"): boolean {
  const { applied } = object.status ?? {};
  return applied?.generation === object.metadata.generation && applied?.state === wanted;
}

/** True if a new value of reconcile-requested-at asks for a fresh look. */
export function reconcileAsked(object: EdgeContainer): boolean {
  const value = object.metadata.annotations?.[ANNOTATIONS.reconcileRequestedAt];
  const handled = object.status?.lastHandled;
  return handled !== undefined && value !== undefined && value !== handled.reconcile;
}

/** Since when a conflict stands, by the conditions: a stalled one has stood long enough. */
export function conflictSince(object: EdgeContainer): number | undefined {
  const stalled = findCondition(object.status?.conditions, "Stalled");
  if (stalled?.reason === "NameConflict" || stalled?.reason === "PortConflict") return 0;
  const reconciling = findCondition(object.status?.conditions, "Reconciling");
  return reconciling?.reason === "WaitingForRelease" ? Date.parse(reconciling.lastTransitionTime) : undefined;
}

/** status.lastFailure as the failure it was. Its message stands for details that are not kept. */
function restore(last: NonNullable<NonNullable<EdgeContainer["status"]>["lastFailure"]>): BackendFailure {
  const { message, reason = "" } = last;
  switch (last.class) {
    case "Invalid":
      return { class: "Invalid", reason, message };
    case "Unsupported":
      return { class: "Unsupported", field: "", message };
    case "Conflict":
      return { class: "Conflict", reason: conflictReason(reason), message };
    case "RateLimited":
      return { class: "RateLimited", retryAfterMs: (last.retryAfterSeconds ?? 0) * 1000, message };
    case "WorkloadFailed":
      return {
        class: "WorkloadFailed",
        reason: reason as WorkloadReason,
        message,
        ...(last.exitCode !== undefined && { exitCode: last.exitCode }),
      };
    case "Transient":
    case "Unreachable":
    case "Unauthorized":
    case "Ambiguous":
      return { class: last.class, message };
    default:
      return last.class satisfies never;
  }
}

function conflictReason(reason: string): Extract<BackendFailure, { class: "Conflict" }>["reason"] {
  return reason === "PortConflict" || reason === "NameConflict" || reason === "NotFound" ? reason : "StateConflict";
}
