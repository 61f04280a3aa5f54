/** The conditions beside Ready, Reconciling and Stalled: each states one fact of the scope. Pure. */
import type { ConditionInput } from "../../controller/conditions.ts";
import { shownConnection } from "../connection.ts";
import { isStoppedByAbsence } from "./rental.ts";
import type { Scope } from "./scope.ts";

/** Present while a pull has failed: tells a refusal by the registry from anything else. */
export function imageCondition(scope: Scope): ConditionInput | undefined {
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

export function acceptedCondition(scope: Scope): ConditionInput {
  const { acceptance } = scope;
  return acceptance.accepted
    ? { type: "Accepted", status: "True", reason: "Accepted", message: "the spec is accepted by the backend" }
    : { type: "Accepted", status: "False", reason: acceptance.reason, message: acceptance.message };
}

export function syncedCondition(scope: Scope): ConditionInput {
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
  const { plan, target } = scope;
  if (plan.primary?.unverified === true)
    return {
      type: "Synced",
      status: "Unknown",
      reason: "ObserveUnsupported",
      message: "this account cannot list containers: what runs is only known from the vendor's answers",
    };
  if (isStoppedByAbsence(scope, plan))
    return {
      type: "Synced",
      status: "True",
      reason: "InSync",
      message: `${target.planner.rentals === undefined ? "nothing runs" : "nothing is rented"}, as the spec says`,
    };
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

export function reachableCondition(scope: Scope): ConditionInput {
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
