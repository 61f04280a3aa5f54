/**
 * What becomes of a stack of our own at the vendor when its EdgeStack is deleted, once the containers are gone: emptied, and left with its
 * volumes; or, with deletion.deleteVolumes, removed after them. One request at a time, each seen to be done before the next.
 */
import type { StackOutcome } from "../../backends/stack-contract.ts";
import type { Logger } from "../../controller/logging.ts";
import type { EdgeStack } from "../../crds/edge-stack.ts";
import type { Environment } from "../environment.ts";
import { EVENT_REASONS } from "../event-reasons.ts";
import type { StackMemory } from "./memory.ts";
import { clearStep, findOwn, ownDeviceName, type ClearStep } from "./own-plan.ts";
import { settlesInMs } from "./own.ts";
import { vendorOf, whoOf, type Vendor } from "./vendor.ts";

/** How soon to look again after a step, and after one that failed, ms. */
const NEXT_MS = 200;
const RETRY_MS = 2_000;

/** Done: nothing more is to be done there; `left` is what stays, for people. */
export type Cleared =
  | { readonly done: true; readonly left: string }
  | { done: false; message: string; againInMs: number };

/** @param graceInMs what is left of deletion.graceSeconds. */
export async function clearOwn(
  stack: EdgeStack,
  memory: StackMemory,
  graceInMs: number,
  env: Environment,
  log: Logger,
): Promise<Cleared> {
  const { external, operation } = stack.status ?? {};
  if (external === undefined && operation === undefined) return { done: true, left: "" };
  const what = external === undefined ? "a stack that may have been made at the vendor" : `stack ${external.id}`;
  const wait = (why: string, againInMs = RETRY_MS): Cleared =>
    graceInMs <= 0
      ? { done: true, left: `${what} stays at the vendor: ${why}, and deletion.graceSeconds is over` }
      : { done: false, message: `${what} is to be removed: ${why}`, againInMs: Math.min(againInMs, graceInMs) };
  const { namespace = "" } = stack.metadata;
  const device =
    env.stores.devices.get({ namespace, name: ownDeviceName(stack) }) ??
    env.stores.devices.get({ namespace, name: stack.spec.deviceRef.name });
  if (device?.spec.mittwald === undefined) return wait("its EdgeDevice is gone");
  const pending = device.status?.pendingRemovals?.length ?? 0;
  if (pending > 0) return wait(`${pending} containers are still to be removed from it`);
  const found = vendorOf(device, env, false);
  if (!found.ok) return wait(found.message);
  const { vendor } = found;
  const listing = await vendor.keeper.list(vendor.projectId, 0);
  if (!listing.ok) return wait(listing.failure.message);
  if (listing.stale) return wait("the vendor shows an old view");
  const who = whoOf(stack, env);
  const own = findOwn(listing.stacks, who, stack.status ?? {}).found;
  const id = external?.id ?? own?.id;
  if (id === undefined) {
    const openMs = settlesInMs(memory, vendor.settleMs, env);
    return openMs > 0 ? wait("whether it was made is being found out", openMs) : { done: true, left: "" };
  }
  const observed = listing.stacks.find((each) => each.id === id);
  if (observed !== undefined) memory.wasSeen = true;
  const unprovenMs = memory.wasSeen === true ? 0 : settlesInMs(memory, vendor.settleMs, env);
  const step = clearStep(stack, id, observed, who, memory.emptied === true, unprovenMs <= 0);
  if (step.type === "Done") return { done: true, left: step.left };
  if (step.type === "Look") return wait("whether it is gone is being found out", unprovenMs);
  const outcome = await take(step, id, vendor);
  log.info({ stack: id, step: step.type, result: outcome.result }, "removing the stack at the vendor");
  if (step.type === "Empty" && outcome.result === "Succeeded") memory.emptied = true;
  if (outcome.result === "Succeeded") return { done: false, message: `removing ${what}`, againInMs: NEXT_MS };
  return wait(outcome.result === "Failed" ? outcome.failure.message : outcome.message);
}

function take(
  step: Exclude<ClearStep, { type: "Done" | "Look" }>,
  id: string,
  { keeper, projectId }: Vendor,
): Promise<StackOutcome> {
  const own = { projectId, id, marker: step.marker };
  switch (step.type) {
    case "Empty":
      return keeper.empty(own);
    case "RemoveVolume":
      return keeper.removeVolume(own, step.id);
    case "RemoveStack":
      return keeper.remove(own);
    default:
      return step satisfies never;
  }
}

/** Says what is left, where anything is. */
export function announceLeft(stack: EdgeStack, left: string, env: Environment): void {
  if (left !== "") env.events.record(stack, "Normal", EVENT_REASONS.StackKept, left);
}
