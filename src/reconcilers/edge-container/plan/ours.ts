/** This object's containers on a device, ranked: the one it is about, and those that should not be there. */
import type { ObservedContainer } from "../../../backends/contract.ts";
import { isOurs, recordedOf } from "./ownership.ts";
import { fits, isLive, swapPrimary } from "./swap-pair.ts";
import type { PlanInput } from "./types.ts";

/** The containers of this object, the one to keep first, then those that should not be there. */
export interface Ours {
  primary?: ObservedContainer;
  duplicates: readonly ObservedContainer[];
}

/**
 * Finds this object's containers and ranks them: the one that an open Swap is about, then one that needs no recreation before one
 * that does (the other way round where this spec has failed and was rolled back), then a running one, then the recorded one,
 * then the oldest. Ties end in the external id, so that every pass ranks alike.
 */
export function findOurs(input: PlanInput): Ours {
  const { me, memory } = input;
  const recorded = recordedOf(input);
  const swapped = swapPrimary(input)?.externalId;
  const ranked = input.containers
    .filter((container) => isOurs(me, recorded, container))
    .map((container) => ({
      container,
      swapped: container.externalId === swapped,
      fits: fits(input, container) !== (memory.hasFailed === true),
      live: isLive(container),
      recorded: container.externalId === memory.externalId,
    }))
    .sort(
      (a, b) =>
        Number(b.swapped) - Number(a.swapped) ||
        Number(b.fits) - Number(a.fits) ||
        Number(b.live) - Number(a.live) ||
        Number(b.recorded) - Number(a.recorded) ||
        compareText(a.container.createdAt ?? "~", b.container.createdAt ?? "~") ||
        compareText(a.container.externalId, b.container.externalId),
    )
    .map((entry) => entry.container);
  const [primary, ...duplicates] = ranked;
  return primary === undefined ? { duplicates: [] } : { primary, duplicates };
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
