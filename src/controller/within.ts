import type { Clock } from "../kube/clock.ts";

/** How a piece of work ended that had limited time. */
export type WithinOutcome =
  | { readonly end: "done" }
  | { readonly end: "failed"; readonly error: unknown }
  /** It goes on, unobserved; a later failure of it is ignored. */
  | { readonly end: "late" };

/** Waits for `work`, which must have been started for this wait, but not longer than `withinMs`. Never rejects. */
export async function endWithin(clock: Clock, work: Promise<unknown>, withinMs: number): Promise<WithinOutcome> {
  const { promise, resolve } = Promise.withResolvers<WithinOutcome>();
  const timer = clock.setTimeout(() => resolve({ end: "late" }), withinMs);
  work.then(
    () => resolve({ end: "done" }),
    (error: unknown) => resolve({ end: "failed", error }),
  );
  try {
    return await promise;
  } finally {
    clock.clearTimeout(timer);
  }
}
