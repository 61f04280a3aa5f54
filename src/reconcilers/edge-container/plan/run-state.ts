/** From the run state that was observed to the one that is wanted: Start, Stop, Pause, Resume, or nothing. */
import type { CommandAction, ObservedContainer } from "../../../backends/contract.ts";
import { portHolder } from "./conflicts.ts";
import type { PlanInput, Step } from "./types.ts";

/**
 * The one step towards desiredState. None where the device itself restarts an ended process, and where the restart policy
 * says that an ended process stays ended: Drayage never restarts what the policy leaves stopped.
 */
export function planRunState(input: PlanInput, primary: ObservedContainer): Step {
  switch (input.desired.state) {
    case "Running":
      return towardsRunning(input, primary);
    case "Stopped":
      return towardsStopped(input, primary);
    case "Paused":
      return primary.state === "Running"
        ? { type: "Pause", action: { kind: "Pause", externalId: primary.externalId } }
        : primary.state === "Paused"
          ? { type: "None" }
          : towardsRunning(input, primary);
    default:
      return input.desired.state satisfies never;
  }
}

function towardsRunning(input: PlanInput, primary: ObservedContainer): Step {
  switch (primary.state) {
    case "Running":
      return { type: "None" };
    case "Paused":
      return { type: "Resume", action: { kind: "Resume", externalId: primary.externalId } };
    case "Exited":
      // The wish to run again after a wish to stop is the user's; an exit by itself is the restart policy's business.
      return input.memory.wasStopped ? start(input, primary) : { type: "None" };
    case "Created":
    case "Stopped":
      return start(input, primary);
    case "Dead":
    case "Unknown":
      return {
        type: "Wait",
        reason: "Observing",
        message: `container ${primary.externalId} is ${primary.state} on the device`,
      };
    default:
      return primary.state satisfies never;
  }
}

function towardsStopped(input: PlanInput, primary: ObservedContainer): Step {
  const action = input.planner.stop(primary, input.policy.stop);
  return action === undefined ? { type: "None" } : asStep(action);
}

/** Starting is refused by the device while another container holds a host port: wait for it rather than fail. */
export function start(input: PlanInput, primary: ObservedContainer): Step {
  const held = portHolder(input, primary.externalId);
  if (held !== undefined) return { type: "Wait", reason: "PortConflict", message: held.message };
  return { type: "Start", action: { kind: "Start", externalId: primary.externalId } };
}

/** A planner's action as a step of the same name. */
export function asStep(action: CommandAction): Step {
  switch (action.kind) {
    case "Start":
      return { type: "Start", action };
    case "Stop":
      return { type: "Stop", action };
    case "Pause":
      return { type: "Pause", action };
    case "Resume":
      return { type: "Resume", action };
    case "Remove":
      return { type: "Remove", action };
    case "Update":
      return { type: "Update", action, differences: [] };
    case "Rename":
      return { type: "Rename", action, differences: [] };
    case "Create":
      throw new Error("a planner may not answer with a create: creates go through the journal");
    default:
      return action satisfies never;
  }
}
