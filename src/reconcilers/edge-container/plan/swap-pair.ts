/** The two containers of an open Swap, and which of them this object is about at the moment. */
import type { ObservedContainer } from "../../../backends/contract.ts";
import type { Operation } from "../../../crds/edge-container.ts";
import { carriesMarkerOf, isOurs, recordedOf } from "./ownership.ts";
import type { PlanInput } from "./types.ts";

/** status.operation.step once a failed Swap goes back. */
export const ROLLING_BACK = "RollingBack";

/** What an open Swap works with. */
export interface SwapPair {
  /** Made by the operation. */
  fresh?: ObservedContainer;
  /** The one that it is to replace. */
  old?: ObservedContainer;
  /** This object's as well, and neither. */
  others: readonly ObservedContainer[];
}

/** Finds the pair among this object's containers. */
export function findSwap(input: PlanInput, entry: Operation): SwapPair {
  const recorded = recordedOf(input);
  const ours = input.containers.filter((container) => isOurs(input.me, recorded, container));
  const old = ours.find(({ externalId }) => externalId === entry.oldExternalId);
  const fresh = ours.find(
    (container) =>
      container !== old && carriesMarkerOf(input.me, container) && container.marker?.operation === entry.id,
  );
  return {
    ...(fresh !== undefined && { fresh }),
    ...(old !== undefined && { old }),
    others: ours.filter((container) => container !== old && container !== fresh),
  };
}

/** The container that an open Swap is about: the new one on the way forward, the old one on the way back. */
export function swapPrimary(input: PlanInput): ObservedContainer | undefined {
  const entry = input.memory.operation?.entry;
  if (entry?.type !== "Swap") return undefined;
  const { fresh, old } = findSwap(input, entry);
  const back = fresh === undefined || entry.step === ROLLING_BACK || !fits(input, fresh);
  return back ? (old ?? fresh) : fresh;
}

/** True if mending it needs no new container. */
export function fits(input: PlanInput, container: ObservedContainer): boolean {
  return !input.planner
    .diff(input.desired, container, input.memory.applied?.paths ?? [])
    .some((difference) => difference.effect === "Recreate");
}

/** It has a process now. */
export function isLive(container: ObservedContainer): boolean {
  return container.state === "Running" || container.state === "Paused";
}
