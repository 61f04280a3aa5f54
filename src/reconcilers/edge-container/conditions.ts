/**
 * The conditions of an EdgeContainer, from the scope alone. Pure. Each case below is a row of the table of conditions in the
 * API reference; kstatus, `kubectl wait`, Flux and Argo CD read nothing else.
 */
import type { ConditionInput } from "../../controller/conditions.ts";
import { findCondition } from "../../controller/conditions.ts";
import { acceptedCondition, imageCondition, reachableCondition, syncedCondition } from "./facts.ts";
import { judge } from "./failures.ts";
import { ROLLING_BACK } from "./plan/swap-pair.ts";
import type { Plan, Step } from "./plan/types.ts";
import { isStoppedByAbsence, leaseCondition } from "./rental.ts";
import { isRolledBack, rolledBackMessage, rollingBack } from "./rolled-back.ts";
import { fromRunState } from "./run-verdict.ts";
import type { Scope } from "./scope.ts";
import type { Verdict } from "./verdict.ts";

/** A conflict that a sibling may still release becomes Stalled after this. */
export const CONFLICT_STALLS_AFTER_MS = 120_000;

/** All conditions of this pass, to be merged with the former ones by rebuildConditions. */
export function conditionsOf(scope: Scope): ConditionInput[] {
  const verdict = withDeadline(scope, verdictOf(scope));
  const conditions: ConditionInput[] = [
    { type: "Ready", ...verdict.ready },
    acceptedCondition(scope),
    syncedCondition(scope),
    reachableCondition(scope),
  ];
  if (verdict.reconciling !== undefined)
    conditions.push({ type: "Reconciling", status: "True", ...verdict.reconciling });
  if (verdict.stalled !== undefined) conditions.push({ type: "Stalled", status: "True", ...verdict.stalled });
  const image = imageCondition(scope);
  if (image !== undefined) conditions.push(image);
  if (scope.exposed.length > 0) {
    const [shown, more] = [scope.exposed.slice(0, 10), scope.exposed.length - 10];
    conditions.push({
      type: "SecretExposure",
      status: "True",
      reason: "ReadableAtVendor",
      message: `whoever may read the vendor's API or broker reads the values of ${shown.join(", ")}${more > 0 ? ` and ${more} more` : ""}`,
    });
  }
  const lease = leaseCondition(scope);
  if (lease !== undefined) conditions.push(lease);
  if (scope.suspendedBy !== undefined)
    conditions.push({
      type: "Suspended",
      status: "True",
      reason: "Suspended",
      message: `${scope.suspendedBy}: nothing is sent to the device; it is still observed`,
    });
  return conditions;
}

function verdictOf(scope: Scope): Verdict {
  if (scope.deletion !== undefined) return removing(scope.deletion.message);
  if (!scope.acceptance.accepted) {
    const { message } = scope.acceptance;
    return scope.acceptance.kind === "Rejected"
      ? {
          ready: { status: "False", reason: "Rejected", message },
          stalled: { reason: scope.acceptance.stalledReason, message },
        }
      : isDeviceMissed(scope)
        ? {
            ready: { status: "False", reason: "Rejected", message },
            stalled: { reason: "DeviceNotFound", message },
          }
        : progressing(message, "WaitingForReference");
  }
  if (scope.target === undefined) return backendAway(scope, scope.backendProblem ?? "the backend is not connected");
  const { snapshot, account } = scope.target;
  if (account.state === "Failed") return backendAway(scope, account.message);
  if (snapshot.connection === "Offline") return deviceAway(scope, snapshot.message ?? "the device does not answer");
  if (!snapshot.synced && snapshot.obstacle !== undefined) return deviceAway(scope, snapshot.obstacle);
  if (scope.plan === undefined || !snapshot.synced)
    return progressing(snapshot.message ?? "waiting for the device's full inventory", "WaitingForDevice");
  return fromPlan(scope, scope.plan);
}

/** Since when the EdgeDevice has been missing, ms; undefined if it is not. A sibling may bring it, but not for ever. */
export function deviceMissingSince(scope: Scope): number | undefined {
  const { acceptance } = scope;
  if (acceptance.accepted || acceptance.kind !== "Waiting" || acceptance.reason !== "DeviceNotFound") return undefined;
  const before = findCondition(scope.object.status?.conditions, "Accepted");
  return before?.reason === "DeviceNotFound" ? Date.parse(before.lastTransitionTime) : scope.nowMs;
}

function isDeviceMissed(scope: Scope): boolean {
  const since = deviceMissingSince(scope);
  return since !== undefined && scope.nowMs - since >= CONFLICT_STALLS_AFTER_MS;
}

function removing(message: string): Verdict {
  return { ready: { status: "False", reason: "Progressing", message }, reconciling: { reason: "Removing", message } };
}

function progressing(message: string, reason: string): Verdict {
  return { ready: { status: "False", reason: "Progressing", message }, reconciling: { reason, message } };
}

/** Whether Ready was True for the generation at hand. */
export function wasReady(scope: Scope): boolean {
  const ready = findCondition(scope.object.status?.conditions, "Ready");
  const same = ready?.observedGeneration === scope.object.metadata.generation;
  // Ready=Unknown after having been Ready is remembered by the applied generation and a phase that names no failure.
  return same && (ready?.status === "True" || (ready?.status === "Unknown" && isApplied(scope)));
}

/** The present generation has been rolled out. */
export function isApplied(scope: Scope): boolean {
  return scope.object.status?.applied?.generation === scope.object.metadata.generation;
}

function backendAway(scope: Scope, message: string): Verdict {
  if (!wasReady(scope)) return progressing(message, "WaitingForReference");
  return { ready: { status: "Unknown", reason: "BackendUnreachable", message } };
}

function deviceAway(scope: Scope, message: string): Verdict {
  const before = findCondition(scope.object.status?.conditions, "Ready");
  if (scope.keepsReadiness && before?.status === "True" && wasReady(scope))
    return {
      ready: {
        status: "True",
        reason: before.reason,
        message: `last known before the device went offline: ${message}`,
      },
    };
  const verdict: Verdict = { ready: { status: "Unknown", reason: "DeviceUnreachable", message } };
  if (!isApplied(scope))
    // What was rolled back is not applied when the device is back either.
    if (isRolledBack(scope)) verdict.stalled = { reason: "RolledBack", message: rolledBackMessage(scope) };
    else
      verdict.reconciling = {
        reason: "WaitingForDevice",
        message: "this generation is applied once the device is back",
      };
  return verdict;
}

function fromPlan(scope: Scope, plan: Plan): Verdict {
  if (plan.step.type === "Reject")
    return {
      ready: { status: "False", reason: "Rejected", message: plan.step.message },
      stalled: { reason: plan.step.reason, message: plan.step.message },
    };
  if (plan.rolledBack === true) {
    const message = rolledBackMessage(scope);
    return {
      ready: { status: "False", reason: "OperationFailed", message },
      stalled: { reason: "RolledBack", message },
    };
  }
  if (scope.operation?.step === ROLLING_BACK) return rollingBack(scope);
  const failing = failingVerdict(scope);
  if (failing !== undefined) return failing;
  const steady = plan.step.type === "None" || (plan.step.type === "Wait" && plan.step.reason === "Observing");
  if (!steady && !isSuspended(scope)) return fromStep(scope, plan.step, plan);
  if (isStoppedByAbsence(scope, plan))
    return {
      ready: {
        status: "True",
        reason: "Stopped",
        message: `stopped as specified: ${scope.target?.planner.rentals === undefined ? "nothing runs" : "nothing is rented"}`,
      },
    };
  if (plan.primary === undefined)
    return isSuspended(scope)
      ? { ready: { status: "False", reason: "Progressing", message: `not on the device: ${heldBy(scope)}` } }
      : { ready: { status: "False", reason: "Progressing", message: stepMessage(plan.step) ?? absence(plan) } };
  const run = fromRunState(scope, plan.primary);
  // Suspended before this generation was applied: it runs well, but it is not what the spec says.
  return steady || plan.differences.length === 0 || run.ready.status !== "True"
    ? run
    : {
        ready: {
          status: "False",
          reason: "Progressing",
          message: `not applied, since ${heldBy(scope)}: ${paths(plan.differences)}`,
        },
      };
}

function absence(plan: Plan): string {
  return plan.drifted ? "removed from the device by others; driftPolicy Report leaves it so" : "not on the device";
}

/** Why nothing is sent, for a message. */
function heldBy(scope: Scope): string {
  return scope.suspendedBy ?? "the operator runs with --read-only";
}

function isSuspended(scope: Scope): boolean {
  return scope.suspendedBy !== undefined || scope.readOnly;
}

/** A failure stands until it is overcome; it explains Ready better than the step that would be next. */
function failingVerdict(scope: Scope): Verdict | undefined {
  if (scope.failure === undefined) return undefined;
  const { failure } = scope.failure;
  const verdict = judge(failure);
  const ready = { status: "False" as const, reason: verdict.readyReason, message: failure.message };
  if (verdict.stalledReason !== undefined)
    return { ready, stalled: { reason: verdict.stalledReason, message: failure.message } };
  if (failure.class === "Conflict" && isConflictStale(scope) && verdict.waitingReason === "WaitingForRelease")
    return { ready, stalled: { reason: failure.reason, message: failure.message } };
  const next = scope.backoff?.nextRetryTime;
  const retry = next === undefined ? "" : `; next try at ${next}`;
  return {
    ready,
    reconciling: { reason: verdict.waitingReason ?? "BackingOff", message: `${failure.message}${retry}` },
  };
}

function stepMessage(step: Step): string | undefined {
  return step.type === "Wait" || step.type === "Reject" ? step.message : undefined;
}

/** In the device's own words how far it is. */
function fromProgress({ stage, percent }: NonNullable<Scope["progress"]>): Verdict {
  switch (stage) {
    case "Downloading":
      return progressing(
        `the device downloads the image${percent === undefined ? "" : `: ${percent} %`}`,
        "PullingImage",
      );
    case "Unpacking":
      return progressing("the device unpacks the image", "PullingImage");
    case "Starting":
      return progressing("the device starts the container", "Creating");
    default:
      return stage satisfies never;
  }
}

/** Reconciling's reason for what is being done or waited for. */
function fromStep(scope: Scope, step: Step, plan: Plan): Verdict {
  if (scope.progress !== undefined) return fromProgress(scope.progress);
  switch (step.type) {
    case "Wait":
      return fromWait(scope, step, plan);
    case "Create":
      return progressing("creating the container; the device pulls the image first", "Creating");
    case "Recreate":
      return progressing(`a new container is needed: ${paths(step.differences)}`, "Recreating");
    case "Swap":
      return progressing(`a new container is needed: ${paths(step.differences)}`, "Swapping");
    case "RollBack":
      return progressing(`the new container failed: ${step.because.failure.message}`, "Swapping");
    case "Update":
    case "Rename":
      return step.differences.length === 0
        ? progressing("changing the restart policy before the next step", replacing(scope) ?? "Updating")
        : progressing(`changing ${paths(step.differences)} in place`, replacing(scope) ?? "Updating");
    case "Remove":
      return progressing(
        `removing container ${step.action.kind === "Remove" ? step.action.externalId : ""}`,
        replacing(scope) ?? "Recreating",
      );
    case "Start":
    case "Resume": {
      const otherwise = scope.object.status?.applied === undefined ? "Creating" : "Updating";
      return progressing("starting", replacing(scope) ?? otherwise);
    }
    case "Stop":
    case "Pause":
    case "Restart":
    case "Adopt":
    case "Close":
    case "None":
    case "Reject":
      return progressing(
        stepMessage(step) ?? `${step.type.toLowerCase()} is under way`,
        replacing(scope) ?? "Updating",
      );
    default:
      return step satisfies never;
  }
}

/** While a container is replaced, all its steps have one reason. */
function replacing(scope: Scope): "Swapping" | "Recreating" | undefined {
  const type = scope.operation?.type;
  return type === "Swap" ? "Swapping" : type === "Recreate" ? "Recreating" : undefined;
}

function paths(differences: readonly { path: string }[]): string {
  return differences.map((difference) => difference.path).join(", ");
}

function fromWait(scope: Scope, step: Extract<Step, { type: "Wait" }>, plan: Plan): Verdict {
  switch (step.reason) {
    case "Operation": {
      const reason = replacing(scope) ?? "Creating";
      return progressing("the device is pulling the image and creating the container", reason);
    }
    case "Trial":
      return progressing(step.message, "Swapping");
    case "NameConflict":
    case "PortConflict":
    case "PendingRemoval":
      return fromConflict(scope, step);
    case "BackingOff":
      return progressing(step.message, "BackingOff");
    case "Effect":
      // Nothing new to say until the effect is seen: what was under way still is.
      return underWay(scope, step.message);
    case "Observing":
      return plan.primary === undefined
        ? progressing(step.message, "WaitingForDevice")
        : fromRunState(scope, plan.primary);
    default:
      return step.reason satisfies never;
  }
}

function isConflictStale(scope: Scope): boolean {
  return scope.conflictSinceMs !== undefined && scope.nowMs - scope.conflictSinceMs >= CONFLICT_STALLS_AFTER_MS;
}

function fromConflict(scope: Scope, step: Extract<Step, { type: "Wait" }>): Verdict {
  if (step.reason !== "PendingRemoval" && isConflictStale(scope))
    return {
      ready: { status: "False", reason: "Rejected", message: step.message },
      stalled: { reason: step.reason, message: step.message },
    };
  return progressing(step.message, "WaitingForRelease");
}

function underWay(scope: Scope, message: string): Verdict {
  const reconciling = findCondition(scope.object.status?.conditions, "Reconciling");
  return reconciling === undefined
    ? progressing(message, scope.operation === undefined ? "Updating" : "Creating")
    : progressing(reconciling.message, reconciling.reason);
}

/** A rollout that takes longer than progressDeadlineSeconds is Stalled; recovery clears it, since nothing is carried over. */
function withDeadline(scope: Scope, verdict: Verdict): Verdict {
  if (verdict.ready.status !== "False" || verdict.stalled !== undefined || scope.deletion !== undefined) return verdict;
  if (!scope.acceptance.accepted || isSuspended(scope) || scope.rolloutSinceMs === undefined) return verdict;
  const overdueMs = scope.nowMs - scope.rolloutSinceMs - scope.settings.progressDeadlineMs;
  if (overdueMs < 0) return verdict;
  const seconds = scope.settings.progressDeadlineMs / 1000;
  const { reconciling: _over, ...rest } = verdict;
  return {
    ...rest,
    stalled: {
      reason: "ProgressDeadlineExceeded",
      message: `not Ready within progressDeadlineSeconds (${seconds}): ${verdict.ready.message}`,
    },
  };
}
