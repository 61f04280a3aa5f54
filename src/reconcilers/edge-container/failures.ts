/**
 * From a failure of a backend to what the object shows and when it is tried again. One table, pure: the class decides
 * between a stall, a wait and a backoff; the reason is the kubelet's where there is one.
 */
import { jitterOf, nextBackoff } from "../../controller/backoff.ts";
import type { BackendFailure } from "../../backends/errors.ts";

/** status.backoff. */
export interface Backoff {
  kind: "Crash" | "Pull" | "Operation";
  count: number;
  nextRetryTime?: string;
}

/** What a failure means for the object. */
export interface FailureVerdict {
  /** Ready's reason while the failure stands. */
  readyReason: string;
  /** Stalled's reason if only a change of the spec helps. */
  stalledReason?: string;
  /** Reconciling's reason otherwise. */
  waitingReason?: "BackingOff" | "WaitingForRelease" | "WaitingForReference" | "WaitingForDevice";
  /** Which counter it feeds; none: look again at once, or wait for an event. */
  backoff?: "Pull" | "Operation";
}

/** Decides by class; total over the closed union. */
export function judge(failure: BackendFailure): FailureVerdict {
  switch (failure.class) {
    case "Invalid":
      return { readyReason: "Rejected", stalledReason: failure.reason };
    case "Unsupported":
      return { readyReason: "Rejected", stalledReason: "UnsupportedField" };
    case "Conflict":
      return failure.reason === "PortConflict" || failure.reason === "NameConflict"
        ? { readyReason: "OperationFailed", waitingReason: "WaitingForRelease", backoff: "Operation" }
        : { readyReason: "OperationFailed", waitingReason: "BackingOff", backoff: "Operation" };
    case "WorkloadFailed":
      return judgeWorkload(failure.reason);
    case "Transient":
    case "RateLimited":
      return { readyReason: "OperationFailed", waitingReason: "BackingOff", backoff: "Operation" };
    case "Unauthorized":
      return { readyReason: "OperationFailed", waitingReason: "WaitingForReference", backoff: "Operation" };
    case "Unreachable":
    case "Ambiguous":
      return { readyReason: "Progressing", waitingReason: "WaitingForDevice" };
    default:
      return failure satisfies never;
  }
}

function judgeWorkload(reason: Extract<BackendFailure, { class: "WorkloadFailed" }>["reason"]): FailureVerdict {
  switch (reason) {
    case "ErrImagePull":
      return { readyReason: "ImagePullBackOff", waitingReason: "BackingOff", backoff: "Pull" };
    case "ImageUnauthorized":
      // The registry's credentials may be mended without a change of this object: shown as a pull failure, tried again.
      return { readyReason: "ImagePullBackOff", waitingReason: "BackingOff", backoff: "Pull" };
    case "InvalidImageName":
      return { readyReason: "Rejected", stalledReason: "InvalidImageName" };
    case "ErrImageNeverPull":
      return { readyReason: "ErrImageNeverPull", waitingReason: "BackingOff", backoff: "Pull" };
    case "CrashLoopBackOff":
    case "CreateContainerConfigError":
    case "CreateContainerError":
    case "RunContainerError":
      return { readyReason: reason, waitingReason: "BackingOff", backoff: "Operation" };
    case "OOMKilled":
    case "Error":
      return { readyReason: "RunContainerError", waitingReason: "BackingOff", backoff: "Operation" };
    default:
      return reason satisfies never;
  }
}

/** spec.backoff with defaults applied, in ms. */
export interface BackoffSettings {
  initialMs: number;
  maxMs: number;
  resetAfterMs: number;
}

/** The backoff after one more failure of a kind; another kind starts its own count. */
export function bump(
  before: Backoff | undefined,
  kind: "Pull" | "Operation",
  failure: BackendFailure,
  settings: BackoffSettings,
  uid: string,
  nowMs: number,
): Backoff {
  const count = before?.kind === kind ? before.count + 1 : 1;
  const curveMs = nextBackoff({ count, initialMs: settings.initialMs, maxMs: settings.maxMs }, jitterOf(uid, count));
  const delayMs = failure.class === "RateLimited" ? Math.max(failure.retryAfterMs, curveMs) : curveMs;
  return { kind, count, nextRetryTime: new Date(nowMs + delayMs).toISOString() };
}
