/**
 * plan() for backends that bill (Planner.rentals): a container is a rental, which runs from its creation, never starts again once it has
 * stopped, and costs money until then. The rules, whatever is observed (test/unit/reconcilers/rental.property.test.ts):
 *
 *  - A rental is begun only when every other one of this object has been seen to have stopped.
 *  - The first one needs no leave. Another one is begun only if reRent covers the cause: a changed spec, desiredState or restart
 *    (OnSpecChange), a failure or an end that nobody here asked for (OnFailure). The decision is journalled (operation Restart) before the
 *    old rental is stopped, so that what was allowed once goes on after a crash, and nothing else does.
 *  - After a failure the platform may still bill: it is told to stop again, first.
 */
import type { Difference, ObservedContainer, Rentals } from "../../../backends/contract.ts";
import { openOperation } from "./absent.ts";
import { carriesMarkerOf } from "./ownership.ts";
import { asStep } from "./run-state.ts";
import type { Plan, PlanInput, Step } from "./types.ts";

/** Why another rental should follow one that was. */
type Cause = "Spec" | "Failure";

/** The next step towards the spec. */
export function planRental(input: PlanInput, rentals: Rentals): Plan {
  const { operation, inFlight } = input.memory;
  const kept = operation === undefined ? {} : { operation: operation.entry };
  if (!input.synced)
    return {
      step: {
        type: "Wait",
        reason: "Observing",
        message: "waiting for what the vendor knows of this object's rentals",
      },
      differences: [],
      drifted: false,
      ...kept,
    };
  const ours = rentalsOf(input);
  const live = ours.filter((each) => rentals.state(each) !== "Stopped");
  const primary = live[0] ?? ours[0];
  const isLive = live.length > 0;
  const differences = isLive && primary !== undefined ? changes(input, primary) : [];
  const view = { ...(primary !== undefined && { primary }), differences, drifted: false };
  if (inFlight !== undefined) {
    const message =
      inFlight === "Sent" ? "a command is on its way" : "waiting to observe the effect of the last command";
    return { step: { type: "Wait", reason: "Effect", message }, ...view, ...kept };
  }
  if (input.policy.managementPolicy === "Observe")
    return {
      step: isLive
        ? { type: "None" }
        : { type: "Wait", reason: "Observing", message: "nothing is rented; managementPolicy Observe never rents" },
      ...view,
      ...kept,
    };
  const unfinished = unfinishedCreate(input, rentals, ours);
  if (unfinished !== undefined) return { step: unfinished, ...view, ...(unfinished.type !== "Close" && kept) };

  const step =
    primary === undefined || !isLive
      ? planNone(input, rentals, primary)
      : planLive(input, rentals, primary, live.slice(1), differences);
  // A leave to begin another one lasts until that one is begun.
  const leave = operation?.entry.type === "Restart" && isLeaveUsable(input, ours) ? kept : {};
  return { step, ...view, ...leave, ...("operation" in step && { operation: step.operation }) };
}

/** The next step of a deletion, whatever its policy: None once the vendor says that every rental has stopped. */
export function planRentalRemoval(input: PlanInput, rentals: Rentals): Plan {
  const { operation, inFlight } = input.memory;
  const kept = operation === undefined ? {} : { operation: operation.entry };
  const ours = rentalsOf(input);
  const live = ours.filter((each) => rentals.state(each) !== "Stopped");
  const [primary = ours[0]] = live;
  const answer = (step: Step): Plan => ({
    step,
    ...(primary !== undefined && { primary }),
    differences: [],
    drifted: false,
  });
  if (!input.synced)
    return {
      ...answer({
        type: "Wait",
        reason: "Observing",
        message: "waiting for what the vendor knows of this object's rentals",
      }),
      ...kept,
    };
  if (inFlight !== undefined)
    return {
      ...answer({
        type: "Wait",
        reason: "Effect",
        message: "waiting for the vendor to say that the rental has stopped",
      }),
      ...kept,
    };
  if (
    operation !== undefined &&
    isCreate(operation.entry) &&
    !isMade(input, ours) &&
    operation.progress.state === "Open"
  )
    // It could still bring a rental after the finalizer is gone.
    return {
      ...answer({
        type: "Wait",
        reason: "Operation",
        message: `whether operation ${operation.entry.id} began a rental is not known yet`,
      }),
      ...kept,
    };
  for (const rental of live) {
    if (rentals.state(rental) === "Stopping") continue;
    return answer(stopOf(input, rental));
  }
  return live.length > 0
    ? answer({ type: "Wait", reason: "Effect", message: "waiting for the vendor to say that the rental has stopped" })
    : answer({ type: "None" });
}

/** This object's, the newest first. */
function rentalsOf({ me, containers }: PlanInput): readonly ObservedContainer[] {
  return containers
    .filter((container) => carriesMarkerOf(me, container))
    .sort((a, b) => (b.attempt ?? 0) - (a.attempt ?? 0) || (a.externalId < b.externalId ? -1 : 1));
}

function isCreate(entry: { type: string }): boolean {
  return entry.type !== "Restart";
}

function isMade({ memory }: PlanInput, ours: readonly ObservedContainer[]): boolean {
  const entry = memory.operation?.entry;
  return ours.some(
    ({ marker, attempt }) => entry !== undefined && (marker?.operation === entry.id || attempt === entry.attempt),
  );
}

/** An open create decides before anything else: it may have begun a rental that nobody has seen yet. */
function unfinishedCreate(input: PlanInput, rentals: Rentals, ours: readonly ObservedContainer[]): Step | undefined {
  const { operation } = input.memory;
  if (operation === undefined || !isCreate(operation.entry)) return undefined;
  const { entry, progress } = operation;
  if (!isMade(input, ours)) {
    if (progress.state === "Open")
      return {
        type: "Wait",
        reason: "Operation",
        message: `whether operation ${entry.id} began a rental is being looked up; nothing is begun before that is known`,
      };
    return progress.failure === undefined ? undefined : { type: "Close", failure: progress.failure };
  }
  const made = ours.find(({ attempt, marker }) => marker?.operation === entry.id || attempt === entry.attempt);
  if (
    made !== undefined &&
    rentals.state(made) === "Pending" &&
    input.desired.state === "Running" &&
    changes(input, made).length === 0
  )
    return {
      type: "Wait",
      reason: "Operation",
      message: `rental ${made.externalId} has begun; the machine is being prepared`,
    };
  return undefined;
}

function planLive(
  input: PlanInput,
  rentals: Rentals,
  primary: ObservedContainer,
  older: readonly ObservedContainer[],
  differences: readonly Difference[],
): Step {
  // Never more than one; which one there is too many, no reRent has to say.
  const [surplus] = older.filter((each) => rentals.state(each) !== "Stopping");
  if (surplus !== undefined) return stopOf(input, surplus);
  const state = rentals.state(primary);
  switch (state) {
    case "Stopping":
      return { type: "Wait", reason: "Effect", message: `rental ${primary.externalId} is stopping` };
    case "Unknown":
      return {
        type: "Wait",
        reason: "Observing",
        message: primary.error ?? "the vendor does not say how the rental stands",
      };
    case "Pending":
    case "Running":
    case "Failed":
      break;
    default:
      return state satisfies "Stopped" as never;
  }
  if (input.desired.state === "Stopped") return stopOf(input, primary);
  if (input.memory.operation?.entry.oldExternalId === primary.externalId) return stopOf(input, primary);
  return state === "Failed"
    ? planFailed(input, rentals, primary, differences)
    : planRunning(input, rentals, primary, state, differences);
}

function planFailed(
  input: PlanInput,
  rentals: Rentals,
  primary: ObservedContainer,
  differences: readonly Difference[],
): Step {
  const causes: Cause[] =
    differences.length > 0 || input.memory.restartRequest !== undefined ? ["Failure", "Spec"] : ["Failure"];
  const text = `rental ${primary.externalId} failed: ${primary.error ?? "the vendor gives no reason"}`;
  if (!covers(input, rentals, causes))
    return reject(
      rentals,
      `${text}; it may go on costing until it is stopped (desiredState: Stopped, or delete the object)`,
      causes,
    );
  // Once per failed rental: its backoff is what spaces the tries.
  if (input.memory.failedExternalId !== primary.externalId && !causes.includes("Spec"))
    return { type: "Close", failure: { class: "WorkloadFailed", reason: "RunContainerError", message: text } };
  return leaveFor(input, primary);
}

function planRunning(
  input: PlanInput,
  rentals: Rentals,
  primary: ObservedContainer,
  state: "Pending" | "Running",
  differences: readonly Difference[],
): Step {
  const { policy, memory } = input;
  const restart = memory.restartRequest !== undefined;
  const waits = policy.updateStrategy === "OnDelete" && !restart;
  if (differences.length > 0 && !waits) {
    const what = differences.map(({ path }) => path).join(", ");
    if (policy.updateStrategy === "InPlaceOnly")
      return {
        type: "Reject",
        reason: "RecreateNotAllowed",
        message: `${what} can only be changed with another rental, which updateStrategy InPlaceOnly forbids; set spec.updateStrategy.type: Recreate or revert`,
      };
    if (!covers(input, rentals, ["Spec"]))
      return reject(rentals, `${what} can only be changed with another rental`, ["Spec"]);
    return leaveFor(input, primary);
  }
  if (restart) {
    if (!covers(input, rentals, ["Spec"])) return reject(rentals, "a restart is another rental", ["Spec"]);
    return leaveFor(input, primary);
  }
  return state === "Pending"
    ? {
        type: "Wait",
        reason: "Operation",
        message: `rental ${primary.externalId} has begun; the machine is being prepared`,
      }
    : { type: "None" };
}

/** Nothing costs: begin a rental if this is the first, or if leave was given, or reRent covers why the last one is not running. */
function planNone(input: PlanInput, rentals: Rentals, last: ObservedContainer | undefined): Step {
  if (input.desired.state === "Stopped") return { type: "None" };
  const begin: Step = {
    type: "Create",
    operation: { ...openOperation(input, "Create"), attempt: (last?.attempt ?? 0) + 1 },
  };
  if (last === undefined || isOfFormerObject(input, last)) return begin;
  if (input.memory.operation?.entry.oldExternalId === last.externalId) return begin;
  const causes: Cause[] = [];
  if (!input.memory.wasStopped) causes.push("Failure");
  if (input.memory.wasStopped || input.memory.restartRequest !== undefined || changes(input, last).length > 0)
    causes.push("Spec");
  if (covers(input, rentals, causes)) return begin;
  return reject(
    rentals,
    input.memory.wasStopped
      ? `rental ${last.externalId} was stopped, and running again is another rental`
      : `rental ${last.externalId} has ended${last.error === undefined ? "" : ` (${last.error})`}, and running again is another rental`,
    causes,
  );
}

/** An object that was deleted and made again begins anew; one whose rental still ran has taken it over before. */
function isOfFormerObject({ me, memory }: PlanInput, last: ObservedContainer): boolean {
  const uid = last.marker?.uid ?? "";
  return uid === "" ? memory.externalId !== last.externalId : uid !== me.uid;
}

function covers(input: PlanInput, rentals: Rentals, causes: readonly Cause[]): boolean {
  const allowed = rentals.reRent(input.desired);
  switch (allowed) {
    case "Never":
      return false;
    case "Always":
      return true;
    case "OnSpecChange":
      return causes.includes("Spec");
    case "OnFailure":
      return causes.includes("Failure");
    default:
      return allowed satisfies never;
  }
}

function reject(rentals: Rentals, what: string, causes: readonly Cause[]): Step {
  const values = [
    ...(causes.includes("Spec") ? ["OnSpecChange"] : []),
    ...(causes.includes("Failure") ? ["OnFailure"] : []),
    "Always",
  ];
  return {
    type: "Reject",
    reason: "RecreateNotAllowed",
    message: `${what}; to allow it set ${rentals.reRentPath}: ${values.join(" or ")}`,
  };
}

/** Journal only: from now on the old rental may be stopped and another one begun. */
function leaveFor(input: PlanInput, old: ObservedContainer): Step {
  return { type: "Restart", operation: openOperation(input, "Restart", { oldExternalId: old.externalId }) };
}

function isLeaveUsable({ memory, desired }: PlanInput, ours: readonly ObservedContainer[]): boolean {
  return desired.state === "Running" && ours[0]?.externalId === memory.operation?.entry.oldExternalId;
}

function stopOf(input: PlanInput, rental: ObservedContainer): Step {
  const action = input.planner.stop(rental, input.policy.stop);
  return action === undefined ? { type: "None" } : asStep(action);
}

/** What can be seen to differ, else whether the hash does; a hash under another key says nothing. */
function changes(input: PlanInput, rental: ObservedContainer): readonly Difference[] {
  const { planner, desired, memory, hash } = input;
  const seen = planner.diff(desired, rental, memory.applied?.paths ?? []);
  if (seen.length > 0) return seen;
  const marked = rental.marker?.hash ?? "";
  const recorded = marked === "" && memory.externalId === rental.externalId ? (memory.applied?.hash ?? "") : marked;
  const sameKey = recorded.split(":")[0] === hash.split(":")[0];
  if (recorded === "" || !sameKey || recorded === hash) return [];
  return [{ path: "spec", desired: "as it is now", observed: "as it was when the rental began", effect: "Recreate" }];
}
