/**
 * The closed union of failures that leave a backend (docs/architecture.md, "Errors"). A backend translates everything a
 * vendor says at its edge, so that nothing above compares texts.
 */

/** Why a workload failed, in the kubelet's words. */
export type WorkloadReason =
  | "CreateContainerConfigError"
  | "CreateContainerError"
  | "RunContainerError"
  | "CrashLoopBackOff"
  | "ErrImagePull"
  | "ErrImageNeverPull"
  | "InvalidImageName"
  | "ImageUnauthorized"
  | "OOMKilled"
  | "Error";

/** What went wrong, and with that what to do about it. `message` is for people and holds no secret. */
export type BackendFailure =
  /** The spec must change: Stalled, no retry until it does. */
  | { class: "Invalid"; field?: string; reason: string; message: string }
  /** This backend cannot do it: Stalled, nothing sent. */
  | { class: "Unsupported"; field: string; message: string }
  /** The world differs from what was seen: observe now, plan again. PortConflict and NameConflict wait for a release. */
  | { class: "Conflict"; reason: "PortConflict" | "NameConflict" | "StateConflict" | "NotFound"; message: string }
  /** May heal by itself: backoff. */
  | { class: "Transient"; message: string }
  /** The vendor said when; shared by all keys of the account. */
  | { class: "RateLimited"; retryAfterMs: number; message: string }
  /** The device is offline: wait for it. */
  | { class: "Unreachable"; message: string }
  /** Credentials: pause the account. */
  | { class: "Unauthorized"; message: string }
  /** Outcome unknown: resolve through the journal before anything else. */
  | { class: "Ambiguous"; message: string }
  /** The container could not be made or run, or ran and failed. */
  | { class: "WorkloadFailed"; reason: WorkloadReason; message: string; exitCode?: number };

/** Thrown by Account.openDevice: the target does not fit this backend. */
export class TargetError extends Error {
  override readonly name = "TargetError";
  /** A Stalled reason of api.md. */
  readonly reason: "WrongDeviceKind" | "DuplicateTarget" | "InvalidSpec";

  constructor(reason: TargetError["reason"], message: string) {
    super(message);
    this.reason = reason;
  }
}
