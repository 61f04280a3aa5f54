/**
 * Continuing a Swap once its new container exists. Forward: the old one is held and stopped, the new one started, and after
 * minReadySeconds the old one goes. Back: the new one is stopped, the old one gets its policy back and runs, and the new one
 * goes. Each pass derives its one step from what is observed; only the decision to go back because of a failure is written
 * down (status.operation.step), since the evidence goes with the new container. So a kill at any instruction, a reboot or a
 * hand on the device only means to look again.
 */
import type { ObservedContainer } from "../../../backends/contract.ts";
import type { Operation } from "../../../crds/edge-container.ts";
import { portHolder } from "./conflicts.ts";
import { findSwap, fits, isLive, ROLLING_BACK } from "./swap-pair.ts";
import { asStep, planRunState } from "./run-state.ts";
import { judgeTrial } from "./trial.ts";
import type { PlanInput, Step } from "./types.ts";

/** What an open operation asks for. */
export type Continued =
  /** This step; the journal's entry stands as given. */
  | { kind: "Step"; step: Step; entry: Operation }
  /** Nothing more: the entry goes, and the level-based rules decide. */
  | { kind: "Over" };

/** Answers undefined where the old container is gone or nothing is to run: then the level-based rules finish it. */
export function continueSwap(input: PlanInput, entry: Operation): Continued | undefined {
  const { fresh, old, others } = findSwap(input, entry);
  // Nothing to go back to: what there is stays, and says how it is.
  if (old === undefined) return fresh === undefined ? undefined : { kind: "Over" };
  const known = fresh === undefined ? entry : { ...entry, newExternalId: fresh.externalId };
  const step = (next: Step): Continued => ({ kind: "Step", step: next, entry: known });
  const [junk] = others;
  if (junk !== undefined) return step(asStep(input.planner.remove(junk, input.policy.stop)));
  if (fresh === undefined || entry.step === ROLLING_BACK || !fits(input, fresh)) {
    const next = goBack(input, entry, fresh, old);
    return next === undefined ? { kind: "Over" } : step(next);
  }
  return input.desired.state === "Running" ? step(goForward(input, known, fresh, old)) : undefined;
}

function goForward(input: PlanInput, entry: Operation, fresh: ObservedContainer, old: ObservedContainer): Step {
  const { planner, policy } = input;
  const paths = input.memory.applied?.paths ?? [];
  const updates = planner.diff(input.desired, fresh, paths).filter(({ effect }) => effect === "Update");
  if (updates.length > 0)
    return { type: "Update", action: planner.update(input.desired, fresh, paths), differences: updates };
  if (!isLive(fresh) && isLive(old)) {
    // Foreseen while the old one still runs: the new one could not start.
    const held = portHolder(input, fresh.externalId);
    if (held !== undefined) return { type: "Wait", reason: "PortConflict", message: held.message };
  }
  const stop = planner.stop(old, policy.stop);
  if (stop !== undefined) return asStep(stop);
  const trial = judgeTrial(input, entry, fresh, old);
  switch (trial.verdict) {
    case "Healthy":
      return asStep(planner.remove(old, policy.stop));
    case "Failing":
      return policy.rollbackOnFailure
        ? { type: "RollBack", operation: { ...entry, step: ROLLING_BACK }, because: trial.because }
        : planRunState(input, fresh);
    case "Pending": {
      const next = planRunState(input, fresh);
      return next.type === "None"
        ? { type: "Wait", reason: "Trial", message: trial.message, untilMs: trial.untilMs }
        : next;
    }
    default:
      return trial satisfies never;
  }
}

/** Undefined once the old container is as it was and the new one is gone. */
function goBack(
  input: PlanInput,
  entry: Operation,
  fresh: ObservedContainer | undefined,
  old: ObservedContainer,
): Step | undefined {
  const { planner, policy } = input;
  const stop = fresh === undefined ? undefined : planner.stop(fresh, policy.stop);
  if (stop !== undefined) return asStep(stop);
  if (input.desired.state === "Running") {
    const saved = entry.savedRestartPolicy;
    const restore = saved === undefined ? undefined : planner.policies?.restore(old, saved);
    if (restore !== undefined) return asStep(restore);
    if (isDown(old, fresh) && !isGivenUp(input))
      return { type: "Start", action: { kind: "Start", externalId: old.externalId } };
  }
  return fresh === undefined ? undefined : asStep(planner.remove(fresh, policy.stop));
}

/** Stopped for the new one's sake. What ended by itself while there was no new one is its own policy's business. */
function isDown(old: ObservedContainer, fresh: ObservedContainer | undefined): boolean {
  return old.state === "Stopped" || old.state === "Created" || (old.state === "Exited" && fresh !== undefined);
}

/** It does not start any more, and there is another spec to try: that one must not wait for it. */
function isGivenUp(input: PlanInput): boolean {
  return input.memory.hasFailed !== true && input.memory.failure !== undefined;
}
