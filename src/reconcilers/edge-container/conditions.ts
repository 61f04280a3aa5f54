/**
 * The conditions of an EdgeContainer, from the scope alone. Pure. Each case below is a row of the table of conditions in the
 * API reference; kstatus, `kubectl wait`, Flux and Argo CD read nothing else.
 */
import type { ConditionInput } from "../../controller/conditions.ts";
import { findCondition } from "../../controller/conditions.ts";
import type { ObservedContainer } from "../../backends/contract.ts";
import { shownConnection } from "../connection.ts";
import { judge } from "./failures.ts";
import type { Plan, Step } from "./plan/types.ts";
import type { Scope } from "./scope.ts";

/** A conflict that a sibling may still release becomes Stalled after this. */
export const CONFLICT_STALLS_AFTER_MS = 120_000;

/** Ready, and what goes with it. */
interface Verdict {
  ready: { status: "True" | "False" | "Unknown"; reason: string; message: string };
  reconciling?: { reason: string; message: string };
  stalled?: { reason: string; message: string };
}

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
  if (scope.secretEnv.length > 0 && scope.target?.planner.exposesEnv === true)
    conditions.push({
      type: "SecretExposure",
      status: "True",
      reason: "ReadableAtVendor",
      message: `whoever may read the vendor's API reads the values of ${scope.secretEnv.slice(0, 10).join(", ")}`,
    });
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
    verdict.reconciling = { reason: "WaitingForDevice", message: "this generation is applied once the device is back" };
  return verdict;
}

function fromPlan(scope: Scope, plan: Plan): Verdict {
  if (plan.step.type === "Reject")
    return {
      ready: { status: "False", reason: "Rejected", message: plan.step.message },
      stalled: { reason: plan.step.reason, message: plan.step.message },
    };
  const failing = failingVerdict(scope);
  if (failing !== undefined) return failing;
  const steady = plan.step.type === "None" || (plan.step.type === "Wait" && plan.step.reason === "Observing");
  if (!steady && !isSuspended(scope)) return fromStep(scope, plan.step, plan);
  if (plan.primary === undefined)
    return isSuspended(scope)
      ? { ready: { status: "False", reason: "Progressing", message: "not on the device; suspended" } }
      : { ready: { status: "False", reason: "Progressing", message: stepMessage(plan.step) ?? "not on the device" } };
  const run = fromRunState(scope, plan.primary);
  // Suspended before this generation was applied: it runs well, but it is not what the spec says.
  return steady || plan.differences.length === 0 || run.ready.status !== "True"
    ? run
    : {
        ready: {
          status: "False",
          reason: "Progressing",
          message: `not applied while suspended: ${paths(plan.differences)}`,
        },
      };
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

/** Reconciling's reason for what is being done or waited for. */
function fromStep(scope: Scope, step: Step, plan: Plan): Verdict {
  switch (step.type) {
    case "Wait":
      return fromWait(scope, step, plan);
    case "Create":
      return progressing("creating the container; the device pulls the image first", "Creating");
    case "Recreate":
      return progressing(`a new container is needed: ${paths(step.differences)}`, "Recreating");
    case "Update":
    case "Rename":
      return step.differences.length === 0
        ? progressing("changing the restart policy before the next step", "Updating")
        : progressing(`changing ${paths(step.differences)} in place`, "Updating");
    case "Remove":
      return progressing(
        `removing container ${step.action.kind === "Remove" ? step.action.externalId : ""}`,
        "Recreating",
      );
    case "Start":
    case "Resume":
      return progressing("starting", scope.object.status?.applied === undefined ? "Creating" : "Updating");
    case "Stop":
    case "Pause":
    case "Restart":
    case "Adopt":
    case "Close":
    case "None":
    case "Reject":
      return progressing(stepMessage(step) ?? `${step.type.toLowerCase()} is under way`, "Updating");
    default:
      return step satisfies never;
  }
}

function paths(differences: readonly { path: string }[]): string {
  return differences.map((difference) => difference.path).join(", ");
}

function fromWait(scope: Scope, step: Extract<Step, { type: "Wait" }>, plan: Plan): Verdict {
  switch (step.reason) {
    case "Operation": {
      const type = scope.operation?.type ?? "Create";
      const reason = type === "Recreate" ? "Recreating" : type === "Swap" ? "Swapping" : "Creating";
      return progressing("the device is pulling the image and creating the container", reason);
    }
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

/** The rollout is over or needs nothing now: what runs decides. */
function fromRunState(scope: Scope, primary: ObservedContainer): Verdict {
  const desired = scope.settings.desiredState;
  const observing = scope.settings.policy.managementPolicy === "Observe";
  const wanted = observing ? observedAsWanted(primary) : desired;
  const is = (status: "True" | "False", reason: string, message: string): Verdict => ({
    ready: { status, reason, message },
  });
  if (scope.runs?.crashLooping === true) return is("False", "CrashLoopBackOff", crashMessage(scope, primary));
  switch (primary.state) {
    case "Running":
      if (wanted === "Stopped" || wanted === "Paused")
        return is("False", "Progressing", `running, ${wanted.toLowerCase()} is wanted`);
      return scope.runs?.settled === false
        ? is("False", "Progressing", "running; waiting for minReadySeconds to pass")
        : is("True", "Running", "running as specified");
    case "Paused":
      return wanted === "Paused"
        ? is("True", "Paused", "paused as specified")
        : is("False", "Progressing", "paused on the device");
    case "Created":
    case "Stopped":
      return wanted === "Stopped"
        ? is("True", "Stopped", "stopped as specified")
        : is("False", "Stopped", primary.error ?? "stopped on the device");
    case "Exited":
      return wanted === "Stopped" ? is("True", "Stopped", "stopped as specified") : exited(scope, primary);
    case "Dead":
    case "Unknown":
      return is("False", "Progressing", `the device reports ${primary.state}`);
    default:
      return primary.state satisfies never;
  }
}

function observedAsWanted(primary: ObservedContainer): "Running" | "Stopped" | "Paused" {
  return primary.state === "Paused"
    ? "Paused"
    : primary.state === "Stopped" || primary.state === "Created"
      ? "Stopped"
      : "Running";
}

/** Ended by itself: the restart policy says whether that is the end. */
function exited(scope: Scope, primary: ObservedContainer): Verdict {
  const code = primary.exitCode ?? 0;
  if (restartExpected(scope, primary))
    return {
      ready: { status: "False", reason: "Progressing", message: `exited with ${code}; the device restarts it` },
    };
  if (code === 0)
    return {
      ready: { status: "True", reason: "Completed", message: "exited with 0; the restart policy leaves it so" },
    };
  const message = `exited with ${code}${primary.oomKilled === true ? " (out of memory)" : ""}; the restart policy leaves it so`;
  return { ready: { status: "False", reason: "Failed", message }, stalled: { reason: "ContainerFailed", message } };
}

/** True while the device may still restart an ended process: by policy, and within its longest delay. */
export function restartExpected(scope: Scope, primary: ObservedContainer): boolean {
  if (scope.target === undefined || scope.desired === undefined) return false;
  if (!scope.target.planner.restarts(scope.desired, primary)) return false;
  return scope.nowMs - primary.stateSinceMs <= restartPatienceMs(scope);
}

/** How long an ended process may stay ended although its policy restarts it, before that is taken as final. */
export function restartPatienceMs(scope: Scope): number {
  return scope.settings.retryTimeoutMs + 30_000;
}

function crashMessage(scope: Scope, primary: ObservedContainer): string {
  const last = scope.runs?.lastEnded;
  const how =
    last?.oomKilled === true ? "was killed out of memory" : `exited with ${last?.exitCode ?? primary.exitCode ?? 0}`;
  return `crash loop: the process ${how}, ${scope.runs?.restartCount ?? 0} restarts so far; the device restarts it by its own back-off`;
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

/** Present while a pull has failed: tells a refusal by the registry from anything else. */
function imageCondition(scope: Scope): ConditionInput | undefined {
  const failure = scope.failure?.failure;
  if (failure?.class !== "WorkloadFailed") return undefined;
  if (failure.reason === "ImageUnauthorized")
    return {
      type: "ImageAvailable",
      status: "False",
      reason: "Unauthorized",
      message: `the registry refuses the device (or hides that the image does not exist): check the reference and the device's registry credentials; ${failure.message}`,
    };
  if (failure.reason !== "ErrImagePull") return undefined;
  return { type: "ImageAvailable", status: "False", reason: "PullFailed", message: failure.message };
}

function acceptedCondition(scope: Scope): ConditionInput {
  const { acceptance } = scope;
  return acceptance.accepted
    ? { type: "Accepted", status: "True", reason: "Accepted", message: "the spec is accepted by the backend" }
    : { type: "Accepted", status: "False", reason: acceptance.reason, message: acceptance.message };
}

function syncedCondition(scope: Scope): ConditionInput {
  const unknown = (message: string): ConditionInput => ({
    type: "Synced",
    status: "Unknown",
    reason: "ObserveFailed",
    message,
  });
  if (scope.plan === undefined && !scope.acceptance.accepted)
    return unknown(`not compared with the device: ${scope.acceptance.message}`);
  if (scope.target === undefined || scope.plan === undefined || !scope.target.snapshot.synced)
    return unknown("the device cannot be observed now");
  if (scope.target.snapshot.connection === "Offline")
    return unknown("the device is offline; what is shown was last seen before");
  const { plan } = scope;
  if (plan.primary === undefined)
    return { type: "Synced", status: "False", reason: "Drifted", message: "the container is not on the device" };
  if (plan.differences.length === 0 && plan.step.type === "None")
    return {
      type: "Synced",
      status: "True",
      reason: "InSync",
      message: "what the device reports is what the spec says",
    };
  const fields = plan.differences.map((difference) => difference.path).join(", ");
  return {
    type: "Synced",
    status: plan.differences.length === 0 ? "True" : "False",
    reason: plan.differences.length === 0 ? "InSync" : "Drifted",
    message:
      plan.differences.length === 0 ? "the configuration on the device is what the spec says" : `differs: ${fields}`,
  };
}

/** Why the way to the device is not there, if that is it. */
function waitingMessage(scope: Scope): string | undefined {
  const { acceptance, target } = scope;
  return target === undefined && !acceptance.accepted ? acceptance.message : undefined;
}

function reachableCondition(scope: Scope): ConditionInput {
  const state = shownConnection(scope.target?.snapshot, scope.nowMs);
  const status = state === "Connected" || state === "Busy" ? "True" : state === "Offline" ? "False" : "Unknown";
  const message =
    state === "Connected"
      ? "the device answers"
      : state === "Busy"
        ? "the device is carrying out a command"
        : (waitingMessage(scope) ??
          scope.target?.snapshot.message ??
          scope.backendProblem ??
          "nothing has been heard of the device yet");
  return { type: "DeviceReachable", status, reason: state, message };
}
