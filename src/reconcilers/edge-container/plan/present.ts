/** A container of this object is on the device: remove doubles, mend differences, then see to its run state. */
import type { Difference, ObservedContainer } from "../../../backends/contract.ts";
import { openOperation } from "./absent.ts";
import { portHolder } from "./conflicts.ts";
import { asStep, planRunState } from "./run-state.ts";
import { isLive } from "./swap-pair.ts";
import type { PlanInput, Step } from "./types.ts";

/** What is known of the container's configuration. */
export interface Comparison {
  differences: readonly Difference[];
  drifted: boolean;
  /** This spec has failed: the container is left as it is, and only kept running. */
  rolledBack?: boolean;
}

/** The step, and what somebody did to the run state. */
export interface PresentStep {
  step: Step;
  runDrift?: Difference;
}

/** The step for an existing container. */
export function planPresent(
  input: PlanInput,
  primary: ObservedContainer,
  duplicates: readonly ObservedContainer[],
  comparison: Comparison,
): PresentStep {
  const { memory, planner, policy } = input;
  if (policy.managementPolicy === "Observe") return { step: { type: "None" } };
  const [double] = duplicates;
  if (double !== undefined)
    return { step: blocked(input, primary, double) ?? asStep(planner.remove(double, policy.stop)) };
  // What is removed to stop it need not be changed before.
  if (planner.stopsByRemoval === true && input.desired.state === "Stopped")
    return { step: planRunState(input, primary) };
  const report = policy.driftPolicy === "Report";
  if (!(report && comparison.drifted) && comparison.rolledBack !== true) {
    const change = planChange(input, primary, comparison.differences);
    if (change !== undefined) return { step: change };
  }
  if (memory.restartRequest !== undefined && input.desired.state === "Running" && memory.operation === undefined)
    return {
      step: {
        type: "Restart",
        operation: openOperation(
          input,
          "Restart",
          primary.startedAt === undefined ? {} : { oldRunStartedAt: primary.startedAt },
        ),
      },
    };
  if (report && comparison.drifted) return { step: { type: "None" } };
  const step = planRunState(input, primary);
  // Once the wish was reached, whatever it takes to reach it again was somebody else's doing; but a container that never ran is a new one.
  const moves = step.type !== "None" && step.type !== "Wait" && primary.state !== "Created";
  if (!memory.reached || !moves) return { step };
  return {
    step: report ? { type: "None" } : step,
    runDrift: { path: "desiredState", desired: input.desired.state, observed: primary.state, effect: "Update" },
  };
}

/** The one to take over could not start for a stranger's port: foreseen while the other one still runs. */
function blocked(input: PlanInput, primary: ObservedContainer, double: ObservedContainer): Step | undefined {
  if (input.desired.state !== "Running" || isLive(primary) || !isLive(double)) return undefined;
  const held = portHolder(input, primary.externalId);
  return held === undefined ? undefined : { type: "Wait", reason: "PortConflict", message: held.message };
}

/** Opens the operation that makes a new container, unless it is known already that it could not start. */
function replace(input: PlanInput, primary: ObservedContainer, differences: readonly Difference[]): Step {
  const { planner, policy, desired } = input;
  const held = desired.state === "Running" && isLive(primary) ? portHolder(input, primary.externalId) : undefined;
  if (held !== undefined) return { type: "Wait", reason: "PortConflict", message: held.message };
  // Two of them would be in each other's way: the old one goes first.
  if (planner.stopsByRemoval === true) return asStep(planner.remove(primary, policy.stop));
  const { externalId: oldExternalId } = primary;
  // Where nothing runs there is nothing to go back to.
  const swaps = policy.updateStrategy === "Swap" && desired.state === "Running" && primary.state === "Running";
  if (!swaps || planner.policies === undefined)
    return { type: "Recreate", operation: openOperation(input, "Recreate", { oldExternalId }), differences };
  const savedRestartPolicy = planner.policies.save(primary);
  return { type: "Swap", operation: openOperation(input, "Swap", { oldExternalId, savedRestartPolicy }), differences };
}

/** What mends the differences of the configuration; undefined if nothing needs to be done about them. */
function planChange(
  input: PlanInput,
  primary: ObservedContainer,
  differences: readonly Difference[],
): Step | undefined {
  const { memory, planner, policy } = input;

  const recreate = differences.filter((difference) => difference.effect === "Recreate");
  if (recreate.length > 0) {
    switch (policy.updateStrategy) {
      case "Recreate":
      case "Swap":
        return replace(input, primary, recreate);
      case "InPlaceOnly":
        return {
          type: "Reject",
          reason: "RecreateNotAllowed",
          message: `${recreate.map((difference) => difference.path).join(", ")} can only be changed with a new container, which updateStrategy InPlaceOnly forbids; set spec.updateStrategy.type: Recreate or revert`,
        };
      case "OnDelete":
        // Left as it is until the container is next created or a restart is asked for; the rest goes on below.
        if (memory.restartRequest === undefined) break;
        return replace(input, primary, recreate);
      default:
        return policy.updateStrategy satisfies never;
    }
  }
  const rename = differences.find((difference) => difference.effect === "Rename");
  if (rename !== undefined)
    return {
      type: "Rename",
      action: { kind: "Rename", externalId: primary.externalId, name: input.desired.name },
      differences: [rename],
    };
  const updates = differences.filter((difference) => difference.effect === "Update");
  if (updates.length > 0)
    return {
      type: "Update",
      action: planner.update(input.desired, primary, memory.applied?.paths ?? []),
      differences: updates,
    };
  return undefined;
}
