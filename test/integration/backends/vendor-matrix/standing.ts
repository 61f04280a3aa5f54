/** How an object stands in the end, without what differs from run to run. */
import type { EdgeContainer } from "../../../../src/crds/edge-container.ts";

export function standing(object: EdgeContainer | undefined): object | string {
  if (object === undefined) return "gone";
  const { metadata, status } = object;
  const {
    phase,
    conditions = [],
    external,
    applied,
    operation,
    backoff,
    lastFailure,
    drift,
    rentedSince,
  } = status ?? {};
  return {
    generation: metadata.generation,
    conditions: conditions.map(({ type, status: is, reason, observedGeneration }) => [
      type,
      is,
      reason,
      observedGeneration,
    ]),
    phase,
    name: external?.name,
    // Where there is nothing, what was applied last is of no consequence.
    ...(external !== undefined && { applied }),
    isRented: rentedSince !== undefined,
    open: { operation, backoff, lastFailure, drift },
  };
}
