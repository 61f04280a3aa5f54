/**
 * plan(): what to do next for one EdgeContainer, given everything that is known. Pure and total: no I/O, no clock, no
 * randomness. Whatever the observed state, applying its steps one after another on a working device reaches the desired state
 * and then answers None; it never touches a container that is not this object's (test/unit/reconcilers/plan.property.test.ts).
 */
import type { Difference, ObservedContainer } from "../../../backends/contract.ts";
import { planAbsent } from "./absent.ts";
import { continueOperation, settleCreate } from "./operation.ts";
import { findOurs } from "./ours.ts";
import { planPresent } from "./present.ts";
import { planRental, planRentalRemoval } from "./rental.ts";
import { mayEqual } from "../standing.ts";
import { asStep } from "./run-state.ts";
import { fits } from "./swap-pair.ts";
import type { Plan, PlanInput, Step } from "./types.ts";

/** The next step towards the spec. */
export function plan(input: PlanInput): Plan {
  const { rentals } = input.planner;
  if (rentals !== undefined) return heldPlan(input, planRental(input, rentals));
  const { operation, inFlight } = input.memory;
  const kept = operation === undefined ? {} : { operation: operation.entry };
  if (!input.synced)
    return {
      ...bare({ type: "Wait", reason: "Observing", message: "waiting for the device's full inventory" }),
      ...kept,
    };

  const { primary } = findOurs(input);
  const observed = primary === undefined ? {} : { primary };
  const differences = primary === undefined ? missing(input) : diffOf(input, primary);
  const rolledBack =
    operation === undefined && input.memory.hasFailed === true && (primary === undefined || !fits(input, primary));
  const view = { ...observed, differences, drifted: isDrift(input, differences), ...(rolledBack && { rolledBack }) };

  if (inFlight !== undefined) {
    const message =
      inFlight === "Sent" ? "a command is on its way" : "waiting to observe the effect of the last command";
    return { step: { type: "Wait", reason: "Effect", message }, ...view, ...kept };
  }
  const next = operation === undefined ? undefined : continueOperation(input, operation);
  if (next?.kind === "Step") {
    const step = hold(input, next.step);
    const entry = "operation" in step ? step.operation : next.entry;
    return { step, ...view, ...(step.type !== "Close" && { operation: entry }) };
  }
  if (next?.kind === "Over") return planLevel(withoutOperation(input));
  return planLevel(input);
}

/** The level-based rules: from what there is to what is wanted, whatever was under way. */
function planLevel(input: PlanInput): Plan {
  const { operation, hasFailed } = input.memory;
  const { primary, duplicates } = findOurs(input);
  if (primary === undefined) {
    // What has failed is not tried again, also if what it was rolled back to is gone.
    if (hasFailed === true) return { ...bare({ type: "None" }), rolledBack: true };
    const differences = missing(input);
    const drifted = isDrift(input, differences);
    const step = hold(input, isReportedOnly(input, drifted) ? { type: "None" } : planAbsent(input));
    return { step, differences, drifted, ...("operation" in step && { operation: step.operation }) };
  }
  const rolledBack = hasFailed === true && !fits(input, primary);
  const differences = diffOf(input, primary);
  const view = { primary, differences, drifted: isDrift(input, differences), ...(rolledBack && { rolledBack }) };
  const present = planPresent(input, primary, duplicates, view);
  const step = hold(input, present.step);
  const opened = "operation" in step ? step.operation : undefined;
  const entry = opened ?? (isUnfinished(input, primary, duplicates) ? operation?.entry : undefined);
  return {
    step,
    ...view,
    ...(present.runDrift !== undefined && { differences: [...differences, present.runDrift], drifted: true }),
    ...(entry !== undefined && { operation: entry }),
  };
}

function withoutOperation(input: PlanInput): PlanInput {
  const { operation: _over, ...memory } = input.memory;
  return { ...input, memory };
}

/** A replacement stays in the journal until one of its two containers is gone, whichever is the one to keep. */
function isUnfinished(input: PlanInput, primary: ObservedContainer, duplicates: readonly ObservedContainer[]): boolean {
  const old = input.memory.operation?.entry.oldExternalId;
  if (old === primary.externalId) return duplicates.length > 0;
  return duplicates.some(({ externalId }) => externalId === old);
}

function diffOf(input: PlanInput, primary: ObservedContainer): readonly Difference[] {
  const seen = input.planner.diff(input.desired, primary, input.memory.applied?.paths ?? []);
  const differences = [...seen, ...concealed(input, primary)];
  if (input.policy.managementPolicy !== "Observe") return differences;
  // Observe without an image or a name of its own has no wish about them.
  return differences.filter(
    ({ path }) =>
      !(path === "image" && input.desired.image === "") && !(path === "name" && input.desired.spec.name === undefined),
  );
}

/** What can neither be seen nor was sent by this process is known by the hash that was rolled out, or that the container was made with. */
function concealed(input: PlanInput, primary: ObservedContainer): readonly Difference[] {
  if (input.policy.managementPolicy === "Observe" || input.planner.conceals?.(primary) !== true) return [];
  const known = input.memory.applied?.hash ?? primary.marker?.hash ?? "";
  if (known !== "" && mayEqual(known, input.hash)) return [];
  return [{ path: "spec", desired: "as it is now", observed: "not known, or as it was before", effect: "Update" }];
}

/** The container of a spec that was rolled out is not on the device any more: somebody removed it. */
function missing(input: PlanInput): readonly Difference[] {
  const { desired, memory, policy } = input;
  if (policy.managementPolicy === "Observe" || memory.applied === undefined || memory.operation !== undefined)
    return [];
  if (input.planner.stopsByRemoval === true && desired.state === "Stopped") return [];
  return [{ path: "desiredState", desired: desired.state, observed: "Removed", effect: "Recreate" }];
}

/** Drift is left as it is; asked for explicitly, a restart brings a removed container back. */
function isReportedOnly({ policy, memory }: PlanInput, drifted: boolean): boolean {
  return policy.driftPolicy === "Report" && drifted && memory.restartRequest === undefined;
}

/** Differences from a spec that was applied already, under the same values, are somebody else's doing. */
function isDrift(input: PlanInput, differences: readonly Difference[]): boolean {
  const { applied } = input.memory;
  return differences.length > 0 && applied?.generation === input.generation && applied.hash === input.hash;
}

/** The next step of a deletion with policy Remove or Stop: None once nothing of ours is left (or runs). */
export function planRemoval(input: PlanInput, policy: "Remove" | "Stop"): Plan {
  const { rentals } = input.planner;
  if (rentals !== undefined) return heldPlan(input, planRentalRemoval(input, rentals));
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
    const next = settleCreate(input, operation);
    if (next?.type === "Wait") return { ...answer(next), ...kept };
  }
  if (primary === undefined && input.isAbsenceOpen === true) {
    const message = "waiting for a view of the device that proves that the container is gone";
    return { ...answer({ type: "Wait", reason: "Observing", message }), ...kept };
  }
  for (const container of primary === undefined ? [] : [primary, ...duplicates]) {
    const action =
      policy === "Remove"
        ? input.planner.remove(container, input.policy.stop)
        : input.planner.stop(container, input.policy.stop);
    if (action !== undefined) return answer(hold(input, asStep(action)));
  }
  const volumes = policy === "Remove" && input.policy.deletesVolumes === true ? (input.volumes ?? []) : [];
  const leftover = input.planner.removeVolumes?.(input.desired, volumes);
  return answer(leftover === undefined ? { type: "None" } : hold(input, asStep(leftover)));
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
    case "RollBack":
      return step;
    default:
      return { type: "Wait", reason: "BackingOff", message: "backing off after a failure", untilMs: until };
  }
}

/** A step that has to wait opens nothing: what was open stays so. */
function heldPlan(input: PlanInput, plan: Plan): Plan {
  const step = hold(input, plan.step);
  if (step === plan.step) return plan;
  const { operation: _opened, ...rest } = plan;
  const entry = input.memory.operation?.entry;
  return { ...rest, step, ...(entry !== undefined && { operation: entry }) };
}

function bare(step: Step): Plan {
  return { step, differences: [], drifted: false };
}
