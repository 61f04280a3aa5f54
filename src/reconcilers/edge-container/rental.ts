/** What is particular to objects whose containers are rentals: what their sessions look up, and what their status tells of the money. */
import type { ConditionInput } from "../../controller/conditions.ts";
import { formatTime } from "../../controller/conditions.ts";
import type { Claim, ObservedContainer, Planner } from "../../backends/contract.ts";
import type { EdgeContainer, EdgeContainerStatus } from "../../crds/edge-container.ts";
import { ANNOTATIONS } from "../../crds/group.ts";
import { isInVain, type ContainerMemory } from "./memory.ts";
import type { Plan } from "./plan/types.ts";
import { nameOnDevice } from "./desire.ts";
import type { Scope } from "./scope.ts";

/**
 * Whose containers or rentals the session is to look up, and what is recorded of them; undefined where it lists all by itself.
 *
 * @param identity Target.identity.
 * @param memory what this process knows of an operation that could not be written down, e.g. since the key was refused and has been rotated since.
 */
export function claimOf(
  object: EdgeContainer,
  planner: Planner,
  owner: string,
  identity: string | undefined,
  memory: ContainerMemory,
): Claim | undefined {
  if (planner.rentals === undefined && planner.claims !== true) return undefined;
  const { metadata, status } = object;
  const { external, operation, state } = status ?? {};
  return {
    owner,
    namespace: metadata.namespace ?? "",
    name: metadata.name,
    ...(external?.attempt !== undefined && {
      recorded: {
        externalId: external.id,
        attempt: external.attempt,
        ...(state?.running?.startedAt !== undefined && { startedAt: state.running.startedAt }),
        ...(hasEnded(object, external) && { ended: true }),
        ...(state?.waiting?.reason === "Unknown" && { unseen: true }),
        ...otherThan(identity, external.account),
      },
    }),
    ...(operation !== undefined &&
      operation.type !== "Restart" && {
        operation: {
          id: operation.id,
          attempt: operation.attempt,
          ...((metadata.annotations?.[ANNOTATIONS.confirmNotCreated] === operation.id ||
            isInVain(memory, operation.id)) && { madeNothing: true }),
          ...otherThan(identity, operation.account),
        },
      }),
    ...(planner.claims === true && {
      containerName: nameOnDevice(object, planner, owner),
      ...(external !== undefined && object.spec.managementPolicy !== "Observe" && { recordedId: external.id }),
      ...(external?.marked === true && { isRecordedMarked: true }),
      ...(object.spec.imagePullPolicy === "Always" &&
        object.spec.image !== undefined && { watchedImage: object.spec.image }),
    }),
  };
}

/** The rental was seen to have ended, or somebody says so who has asked the vendor. */
function hasEnded({ metadata, status }: EdgeContainer, external: { id: string; attempt?: number }): boolean {
  if (status?.rentedSince === undefined || metadata.annotations?.[ANNOTATIONS.confirmEnded] === external.id)
    return true;
  // Another one is only ever begun after it.
  const { operation } = status;
  return operation !== undefined && operation.type !== "Restart" && operation.attempt > (external.attempt ?? 0);
}

function otherThan(identity: string | undefined, recorded: string | undefined): { under?: string } {
  return recorded === undefined || recorded === identity ? {} : { under: recorded };
}

/** True while something is, or may be, rented for the object: then it must not be forgotten, whatever the device's grace. */
export function mayCost(object: EdgeContainer): boolean {
  return object.status?.rentedSince !== undefined;
}

/**
 * Since when something costs: from the moment at which the start is journalled, since it may take effect unseen, until the vendor says that it
 * has stopped. Undefined on other backends, and while nothing is rented.
 */
export function rentedSince(scope: Scope, primary: ObservedContainer | undefined): string | undefined {
  const before: Partial<EdgeContainerStatus> = scope.object.status ?? {};
  const rentals = scope.target?.planner.rentals;
  // What cannot be looked at now is as it was.
  if (rentals === undefined || scope.target?.snapshot.synced !== true || scope.plan === undefined)
    return before.rentedSince;
  const { operation } = scope;
  if (primary !== undefined && rentals.state(primary) !== "Stopped") {
    const same = before.external === undefined || before.external.id === primary.externalId;
    return (same ? before.rentedSince : undefined) ?? operation?.startedAt ?? formatTime(scope.nowMs);
  }
  return operation !== undefined && operation.type !== "Restart"
    ? (operation.startedAt ?? before.rentedSince)
    : undefined;
}

/** LeaseActive: whether money flows. */
export function leaseCondition(scope: Scope): ConditionInput | undefined {
  const rentals = scope.target?.planner.rentals;
  const since = rentedSince(scope, scope.plan?.primary);
  if (rentals === undefined && since === undefined) return undefined;
  if (since !== undefined)
    return {
      type: "LeaseActive",
      status: "True",
      reason: "Rented",
      message: `rented since ${since}; it costs until it has stopped`,
    };
  return { type: "LeaseActive", status: "False", reason: "Released", message: "nothing is rented for this object" };
}

/** A container that exists only while it runs is stopped where there is none. */
export function isStoppedByAbsence(scope: Scope, plan: Plan): boolean {
  const { target, settings } = scope;
  return (
    plan.primary === undefined &&
    plan.step.type === "None" &&
    settings.desiredState === "Stopped" &&
    (target?.planner.rentals !== undefined || target?.planner.stopsByRemoval === true)
  );
}
