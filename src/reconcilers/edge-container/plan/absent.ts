/** No container of this object is on the device: adopt one, wait for whoever is in the way, or create. */
import type { Operation } from "../../../crds/edge-container.ts";
import type { ObservedContainer } from "../../../backends/contract.ts";
import { describeNameHolder, nameHolder, portHolder } from "./conflicts.ts";
import type { PlanInput, Step } from "./types.ts";

/** The step while nothing of ours exists. */
export function planAbsent(input: PlanInput): Step {
  const candidate = adoptable(input);
  if (candidate !== undefined) return { type: "Adopt", externalId: candidate.externalId };
  if (input.policy.managementPolicy === "Observe")
    return {
      type: "Wait",
      reason: "Observing",
      message: "no such container on the device; managementPolicy Observe never creates one",
    };
  if (input.planner.stopsByRemoval === true && input.desired.state === "Stopped") return { type: "None" };
  const holder = nameHolder(input);
  if (holder !== undefined)
    return isLeaving(input, holder)
      ? {
          type: "Wait",
          reason: "PendingRemoval",
          message: `the removal of container "${holder.name}" from the device is still pending`,
        }
      : { type: "Wait", reason: "NameConflict", message: describeNameHolder(input, holder) };
  const port = portHolder(input);
  if (port !== undefined)
    return {
      type: "Wait",
      reason: isLeaving(input, port.holder) ? "PendingRemoval" : "PortConflict",
      message: port.message,
    };
  return { type: "Create", operation: openOperation(input, "Create") };
}

/** Its removal is decided and only waits for its turn: no conflict, just patience. */
function isLeaving(input: PlanInput, holder: ObservedContainer): boolean {
  return input.pending.some(
    (claim) =>
      claim.externalId === holder.externalId ||
      (holder.marker?.owner === input.me.owner &&
        holder.marker.namespace === claim.namespace &&
        holder.marker.name === claim.name),
  );
}

/** The container that the adoption policy names. Observe looks at a container by name or id without owning it. */
function adoptable(input: PlanInput): ObservedContainer | undefined {
  const { adoption } = input.policy;
  const live = input.containers.filter(
    (container) =>
      container.state !== "Dead" && !ofSibling(input, container) && !input.claimed.has(container.externalId),
  );
  switch (adoption.policy) {
    case "ById":
      return live.find((container) => container.externalId === adoption.externalId);
    case "ByName":
      return live
        .filter((container) => container.name === input.desired.name)
        .sort((a, b) => ((a.createdAt ?? "~") < (b.createdAt ?? "~") ? -1 : 1))[0];
    case "Never":
      return undefined;
    default:
      return adoption satisfies never;
  }
}

/** Made for another object of this installation: never up for adoption, or two objects would pull at one container. */
function ofSibling(input: PlanInput, container: ObservedContainer): boolean {
  return container.marker !== undefined && container.marker.owner === input.me.owner;
}

/** A new journal entry. Times are RFC 3339; the deadline is set by whoever knows the backend's timeout. */
export function openOperation(
  input: PlanInput,
  type: Operation["type"],
  extra: Partial<Pick<Operation, "oldExternalId" | "oldRunStartedAt" | "savedRestartPolicy">> = {},
): Operation {
  const former = input.memory.operation?.entry;
  const repeated = former !== undefined && former.type === type && former.generation === input.generation;
  return {
    id: input.freshOperationId,
    type,
    generation: input.generation,
    attempt: repeated ? former.attempt + 1 : 1,
    startedAt: new Date(input.now).toISOString(),
    ...extra,
  };
}
