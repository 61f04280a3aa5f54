/**
 * plan(): what to do next for one EdgeContainer, given everything that is known. Pure and total: no I/O, no clock, no
 * randomness. Whatever the observed state, applying its steps one after another on a working device reaches the desired state
 * and then answers None; it never touches a container that is not this object's (test/unit/reconcilers/plan.property.test.ts).
 */
import type { Difference, ObservedContainer } from "../../../backends/contract.ts";
import { planAbsent } from "./absent.ts";
import { continueOperation } from "./operation.ts";
import { findOurs } from "./ownership.ts";
import { planPresent } from "./present.ts";
import { asStep } from "./run-state.ts";
import type { Plan, PlanInput, Step } from "./types.ts";

/** The next step towards the spec. */
export function plan(input: PlanInput): Plan {
  const { operation, inFlight } = input.memory;
  const kept = operation === undefined ? {} : { operation: operation.entry };
  if (!input.synced)
    return {
      ...bare({ type: "Wait", reason: "Observing", message: "waiting for the device's full inventory" }),
      ...kept,
    };

  const { primary, duplicates } = findOurs(input);
  const observed = primary === undefined ? {} : { primary };
  const differences = primary === undefined ? [] : diffOf(input, primary);
  const view = { ...observed, differences, drifted: isDrift(input, differences) };

  if (inFlight !== undefined) {
    const message =
      inFlight === "Sent" ? "a command is on its way" : "waiting to observe the effect of the last command";
    return { step: { type: "Wait", reason: "Effect", message }, ...view, ...kept };
  }
  const next = operation === undefined ? undefined : continueOperation(input, operation);
  if (next !== undefined) {
    const step = hold(input, next);
    return { step, ...view, ...(step.type !== "Close" && kept) };
  }
  if (primary === undefined) {
    const step = hold(input, planAbsent(input));
    return { step, ...view, ...("operation" in step && { operation: step.operation }) };
  }
  const present = planPresent(input, primary, duplicates, view);
  const step = hold(input, present.step);
  const opened = "operation" in step ? step.operation : undefined;
  const entry = opened ?? (oldIsLeft(input) ? operation?.entry : undefined);
  return {
    step,
    ...view,
    ...(present.runDrift !== undefined && { differences: [...differences, present.runDrift], drifted: true }),
    ...(entry !== undefined && { operation: entry }),
  };
}

/** A recreation stays in the journal until the container that it replaces is gone. */
function oldIsLeft(input: PlanInput): boolean {
  const old = input.memory.operation?.entry.oldExternalId;
  return old !== undefined && input.containers.some(({ externalId, state }) => externalId === old && state !== "Dead");
}

function diffOf(input: PlanInput, primary: ObservedContainer): readonly Difference[] {
  const differences = input.planner.diff(input.desired, primary, input.memory.applied?.paths ?? []);
  if (input.policy.managementPolicy !== "Observe") return differences;
  // Observe without an image or a name of its own has no wish about them.
  return differences.filter(
    ({ path }) =>
      !(path === "image" && input.desired.image === "") && !(path === "name" && input.desired.spec.name === undefined),
  );
}

/** Differences from a spec that was applied already, under the same values, are somebody else's doing. */
function isDrift(input: PlanInput, differences: readonly Difference[]): boolean {
  const { applied } = input.memory;
  return differences.length > 0 && applied?.generation === input.generation && applied.hash === input.hash;
}

/** The next step of a deletion with policy Remove or Stop: None once nothing of ours is left (or runs). */
export function planRemoval(input: PlanInput, policy: "Remove" | "Stop"): Plan {
  const operation = input.memory.operation;
  const kept = operation === undefined ? {} : { operation: operation.entry };
  if (!input.synced)
    return {
      ...bare({ type: "Wait", reason: "Observing", message: "waiting for the device's full inventory" }),
      ...kept,
    };
  const { primary, duplicates } = findOurs(input);
  const observed = primary === undefined ? {} : { primary };
  const answer = (step: Step): Plan => ({ step, ...observed, differences: [], drifted: false });

  if (input.memory.inFlight !== undefined)
    return {
      ...answer({ type: "Wait", reason: "Effect", message: "waiting to observe the effect of the last command" }),
      ...kept,
    };
  if (operation !== undefined && operation.entry.type !== "Restart") {
    // An open create could still bring a container after the finalizer is gone: it is settled first.
    const next = continueOperation(input, operation);
    if (next?.type === "Wait") return { ...answer(next), ...kept };
  }
  for (const container of primary === undefined ? [] : [primary, ...duplicates]) {
    const action =
      policy === "Remove"
        ? input.planner.remove(container, input.policy.stop)
        : input.planner.stop(container, input.policy.stop);
    if (action !== undefined) return answer(hold(input, asStep(action)));
  }
  return answer({ type: "None" });
}

/** Steps that reach out to the vendor wait for the backoff; looking and bookkeeping do not. */
function hold(input: PlanInput, step: Step): Step {
  const until = input.memory.notBeforeMs;
  if (until === undefined || until <= input.now) return step;
  switch (step.type) {
    case "None":
    case "Wait":
    case "Reject":
    case "Close":
    case "Adopt":
      return step;
    default:
      return { type: "Wait", reason: "BackingOff", message: "backing off after a failure", untilMs: until };
  }
}

function bare(step: Step): Plan {
  return { step, differences: [], drifted: false };
}
