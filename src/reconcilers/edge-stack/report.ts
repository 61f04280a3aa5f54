/** The end of a pass over an EdgeStack: one status write if anything differs, and events for what people should notice. */
import { conditionTransitions, findCondition } from "../../controller/conditions.ts";
import { statusPatch, type Urgency } from "../../controller/status-writer.ts";
import type { EdgeStack, EdgeStackStatus } from "../../crds/edge-stack.ts";
import type { Environment } from "../environment.ts";
import { computeStackStatus, type StackStanding } from "./status.ts";

/** Writes the status now, or says in how many ms it is due. Throws ApiError or TransportError of the write. */
export async function reportStack(
  stack: EdgeStack,
  standing: StackStanding,
  env: Environment,
): Promise<number | undefined> {
  const before = stack.status;
  const after = computeStackStatus(stack, standing, env.clock.now());
  if (statusPatch(before, after) === undefined) return undefined;
  const delayMs = env.statusWriter.delayMs(env.resources.stacks, stack, urgencyOf(before, after));
  if (delayMs > 0) return delayMs;
  await env.statusWriter.write(env.resources.stacks, stack, after);
  for (const change of conditionTransitions(before?.conditions, after.conditions ?? [])) {
    if (change.type === "Ready" && change.to === "True")
      env.events.record(stack, "Normal", change.reason, `Ready: ${change.message}`);
    // What is being deleted is not expected to be Ready.
    if (change.type === "Ready" && change.from === "True" && stack.metadata.deletionTimestamp === undefined)
      env.events.record(stack, "Warning", change.reason, change.message);
    if (change.type === "Stalled" && change.to === "True")
      env.events.record(stack, "Warning", change.reason, change.message);
  }
  return undefined;
}

/** Whatever somebody may wait for at once; messages and counts coalesced. Pure. */
function urgencyOf(before: EdgeStackStatus | undefined, after: EdgeStackStatus): Urgency {
  if (before?.observedGeneration !== after.observedGeneration) return "urgent";
  for (const type of ["Ready", "Reconciling", "Stalled", "Suspended", "Accepted"]) {
    const old = findCondition(before?.conditions, type);
    const now = findCondition(after.conditions, type);
    if (old?.status !== now?.status || old?.reason !== now?.reason) return "urgent";
  }
  return "soon";
}
