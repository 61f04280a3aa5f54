/**
 * Which containers on a device are this object's. The marker decides (owner, namespace and name; the uid may be one from
 * before a restore), and the recorded external id for containers that were adopted without a marker.
 */
import type { ObservedContainer } from "../../../backends/contract.ts";
import type { Identity, PlanInput } from "./types.ts";

/** True if the marker names this object, whatever incarnation (uid) of it. */
export function carriesMarkerOf(me: Identity, container: ObservedContainer): boolean {
  const marker = container.marker;
  return (
    marker !== undefined && marker.owner === me.owner && marker.namespace === me.namespace && marker.name === me.name
  );
}

/** What a container is known by as this object's, beside its marker. */
export interface Recorded {
  /** Ids that stand for containers without our marker. */
  readonly ids: ReadonlySet<string>;
}

/**
 * The recorded ids that count. status.external.id counts only under an adoption policy (or Observe, which only looks): without
 * one, a container that carries no marker is a stranger's, whatever was looked at before. The old container of an open
 * recreation counts until it is gone, or nobody would remove it once the new one's id is recorded.
 */
export function recordedOf(input: Pick<PlanInput, "memory" | "policy">): Recorded {
  const { memory, policy } = input;
  const ids = new Set<string>();
  if (memory.externalId !== undefined && policy.adoption.policy !== "Never") ids.add(memory.externalId);
  const old = memory.operation?.entry.oldExternalId;
  if (old !== undefined) ids.add(old);
  return { ids };
}

/** True if the container belongs to this object: by marker, or recorded and without another object's marker. */
export function isOurs(me: Identity, recorded: Recorded, container: ObservedContainer): boolean {
  if (container.state === "Dead") return false;
  if (carriesMarkerOf(me, container)) return true;
  return recorded.ids.has(container.externalId) && !belongsToAnother(me, container);
}

/** A container that another object of this same installation has made. */
function belongsToAnother(me: Identity, container: ObservedContainer): boolean {
  return container.marker !== undefined && container.marker.owner === me.owner && !carriesMarkerOf(me, container);
}
