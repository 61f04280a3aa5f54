/**
 * Continuing a journalled operation. An entry in status.operation means "its create may have been sent"; what became of it
 * is looked up, never assumed. Answers undefined when the entry no longer decides anything, so that the level-based rules go on.
 */
import type { ObservedContainer } from "../../../backends/contract.ts";
import { openOperation } from "./absent.ts";
import { findOurs } from "./ours.ts";
import { carriesMarkerOf } from "./ownership.ts";
import { asStep, start } from "./run-state.ts";
import { continueSwap, type Continued } from "./swap.ts";
import type { OpenOperation, PlanInput, Step } from "./types.ts";

/** What the open operation asks for, or undefined if it decides nothing any more. */
export function continueOperation(input: PlanInput, operation: OpenOperation): Continued | undefined {
  const { entry } = operation;
  const asked = (step: Step | undefined): Continued | undefined =>
    step === undefined ? undefined : { kind: "Step", step, entry };
  switch (entry.type) {
    case "Create":
    case "Recreate":
      return asked(settleCreate(input, operation));
    case "Swap":
      // Once the new container was seen, its create needs no more proof.
      return entry.newExternalId === undefined
        ? (asked(settleCreate(input, operation)) ?? continueSwap(input, entry))
        : continueSwap(input, entry);
    case "Restart":
      return asked(continueRestart(input, operation));
    default:
      return entry.type satisfies never;
  }
}

/** Its effect is visible, or it is proven that there will be none; until then nothing else may be sent. */
export function settleCreate(input: PlanInput, { entry, progress }: OpenOperation): Step | undefined {
  const made = input.containers.some(
    (container) => carriesMarkerOf(input.me, container) && container.marker?.operation === entry.id,
  );
  if (made) return undefined;
  if (progress.state === "Open")
    return {
      type: "Wait",
      reason: "Operation",
      message: `the create of operation ${entry.id} has not been answered yet`,
    };
  return progress.failure === undefined ? undefined : { type: "Close", failure: progress.failure };
}

/** A restart is done when a run newer than the one it was to end has begun; so a crash in between never restarts twice. */
function continueRestart(input: PlanInput, { entry }: OpenOperation): Step | undefined {
  const { primary } = findOurs(input);
  if (primary === undefined && input.desired.state === "Running" && input.planner.stopsByRemoval === true)
    return { type: "Create", operation: openOperation(input, "Create") };
  if (primary === undefined || input.desired.state !== "Running") return { type: "Close" };
  if (primary.startedAt !== undefined && primary.startedAt !== entry.oldRunStartedAt) return { type: "Close" };
  if (entry.generation !== input.generation && overtaken(input, primary)) return { type: "Close" };
  const action = input.planner.restart?.(input.desired, primary) ?? input.planner.stop(primary, input.policy.stop);
  return action === undefined ? start(input, primary) : asStep(action);
}

/** The spec has changed so that mending it starts the process anew: by a new container, or since the old one is stopped already. */
function overtaken(input: PlanInput, primary: ObservedContainer): boolean {
  const differences = input.planner.diff(input.desired, primary, input.memory.applied?.paths ?? []);
  const stopped = primary.state !== "Running" && primary.state !== "Paused";
  return differences.some(({ effect }) => effect === "Recreate" || (stopped && effect === "Update"));
}
