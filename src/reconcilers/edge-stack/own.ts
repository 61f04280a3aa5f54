/**
 * Mode Own where the vendor has stacks: the EdgeStack makes one for itself, and an EdgeDevice that stands for it, on which its EdgeContainers
 * are. Making one is not idempotent: it is journalled in status.operation before, and looked for by its mark before it is sent and after an
 * answer was lost, once everything that was ever sent for it must have been seen (Backend.settleMs).
 */
import type { ObservedStack, StackOutcome } from "../../backends/stack-contract.ts";
import { jitterOf, nextBackoff, DEFAULT_BACKOFF } from "../../controller/backoff.ts";
import { formatTime } from "../../controller/conditions.ts";
import type { Logger } from "../../controller/logging.ts";
import type { EdgeContainer } from "../../crds/edge-container.ts";
import type { EdgeDevice } from "../../crds/edge-device.ts";
import type { EdgeStack } from "../../crds/edge-stack.ts";
import type { Environment } from "../environment.ts";
import { noAccess } from "../device-access.ts";
import { EVENT_REASONS } from "../event-reasons.ts";
import { addFinalizer } from "../finalizer.ts";
import type { StackMemory } from "./memory.ts";
import { findOwn, foreignIn, markOf, missingVolumes, straysIn, type VendorStatus } from "./own-plan.ts";
import { ensureOwnDevice } from "./own-device.ts";
import type { ChildView } from "./plan.ts";
import { computeStackStatus, type StackStanding } from "./status.ts";
import { markerOf, vendorOf, whoOf, type Vendor } from "./vendor.ts";

/** How soon to look again at a vendor that shows an old view, ms. */
const STALE_RETRY_MS = 1_000;
/** How soon to look again at an EdgeDevice that is not ready, ms. Costs no request; most often a wake comes before. */
const ACCESS_RETRY_MS = 5_000;
/** How old what is tidied by may be, in intervals: so that what is listed for the devices, once per interval, will do. */
const TIDY_AGE = 1.5;

/** How far it is. `stack` is the object as it is after what was written. */
export interface Prepared {
  readonly stack: EdgeStack;
  /** What containers have to wait for; absent once they can be made. */
  readonly waiting?: StackStanding["waiting"];
  /** In how many ms to look again. */
  readonly againInMs?: number;
}

/** Everything that one pass is about. */
interface Pass {
  readonly device: EdgeDevice;
  readonly views: readonly ChildView[];
  readonly memory: StackMemory;
  readonly env: Environment;
  readonly log: Logger;
}

/** Sees to stack and device, with at most one request that changes something at the vendor. */
export async function prepareOwn(stack: EdgeStack, pass: Pass, owned: readonly EdgeContainer[]): Promise<Prepared> {
  const { device, env } = pass;
  const found = vendorOf(device, env, true);
  if (stack.status?.external === undefined) {
    if (!found.ok) return { stack, waiting: found };
    // A project is not open to whoever can write down its id.
    const message = noAccess(device, env);
    if (message !== undefined) {
      const waiting = { acceptedReason: "DeviceNotReady", reason: "WaitingForReference", message };
      return { stack, waiting, againInMs: ACCESS_RETRY_MS };
    }
    const made = await makeOwn(stack, found.vendor, pass);
    if (made.waiting !== undefined || made.stack.status?.external === undefined) return made;
    return withDevice(made.stack, made.stack.status.external.id, pass);
  }
  const { id } = stack.status.external;
  const ready = await withDevice(stack, id, pass);
  if (ready.waiting !== undefined || !found.ok) return ready;
  return tidy(ready.stack, id, found.vendor, owned, pass);
}

async function withDevice(stack: EdgeStack, id: string, { device, env, log }: Pass): Promise<Prepared> {
  const outcome = await ensureOwnDevice(stack, device, id, env, log);
  return outcome === undefined ? { stack } : { stack, ...outcome };
}

/** Finds it, or makes it. */
async function makeOwn(object: EdgeStack, vendor: Vendor, pass: Pass): Promise<Prepared> {
  const { env, memory, log } = pass;
  let stack = object;
  const nowMs = env.clock.now();
  const { backoff } = stack.status ?? {};
  const restMs = backoff === undefined ? 0 : Date.parse(backoff.nextRetryTime) - nowMs;
  const waiting = (reason: string, message: string, againInMs: number): Prepared => ({
    stack,
    waiting: { reason, message },
    againInMs,
  });
  const resting = (): Prepared => {
    const message = `the vendor is asked again at ${backoff?.nextRetryTime ?? ""}`;
    // What was asked for already may show at any time.
    const lookMs = stack.status?.operation === undefined ? restMs : Math.max(vendor.settleMs, STALE_RETRY_MS);
    return waiting("BackingOff", message, Math.min(restMs, lookMs));
  };
  if (restMs > 0 && stack.status?.operation === undefined) return resting();

  const listing = await vendor.keeper.list(vendor.projectId, restMs > 0 ? vendor.settleMs : 0);
  if (!listing.ok && restMs > 0) return resting();
  if (!listing.ok) {
    const message = `the project's stacks cannot be read: ${listing.failure.message}`;
    return failed(stack, message, stack.status?.operation, pass);
  }
  if (listing.stale) return waiting("Creating", "the vendor shows an old view of the project", STALE_RETRY_MS);
  const { found, others } = findOwn(listing.stacks, whoOf(stack, env), stack.status ?? {});
  if (found !== undefined) {
    announceDoubles(stack, found.id, others, pass);
    log.info({ stack: found.id }, "stack found at the vendor");
    return { stack: await note(stack, { external: { id: found.id } }, pass) };
  }
  let { operation } = stack.status ?? {};
  if (operation === undefined) {
    // Before the first effect, so that what is made is also removed.
    stack = await addFinalizer(env, env.resources.stacks, stack);
    operation = { id: env.newId(), type: "CreateStack", startedAt: formatTime(nowMs) };
    stack = await note(stack, { operation, ...(backoff !== undefined && { backoff }) }, pass);
    env.metrics.operationOpened("CreateStack");
  } else {
    const openMs = settlesInMs(memory, vendor.settleMs, env);
    if (restMs > 0 && restMs > openMs) return resting();
    if (openMs > 0) return waiting("Creating", "whether the vendor has made the stack is being found out", openMs);
  }
  memory.creationEndedAtMs = undefined;
  const outcome = await vendor.keeper.create(vendor.projectId, markerOf(stack, operation, env));
  memory.creationEndedAtMs = env.clock.monotonic();
  log.info({ operation: operation.id, result: outcome.result }, "stack asked for at the vendor");
  switch (outcome.result) {
    case "Succeeded":
      // Without an id it is found by its mark.
      if (outcome.id === undefined) return waiting("Creating", "the stack is being made at the vendor", STALE_RETRY_MS);
      return { stack: await note(stack, { external: { id: outcome.id } }, pass) };
    case "Failed":
      return failed(stack, `the stack cannot be made at the vendor: ${messageOf(outcome)}`, undefined, pass);
    case "Refused":
      return waiting("Creating", messageOf(outcome), STALE_RETRY_MS);
    case "Lost":
      return failed(
        stack,
        `whether the vendor has made the stack is being found out: ${messageOf(outcome)}`,
        operation,
        pass,
        vendor.settleMs,
      );
    default:
      return outcome satisfies never;
  }
}

/** Told once by each process: they are left as they are. */
function announceDoubles(
  stack: EdgeStack,
  used: string,
  others: readonly ObservedStack[],
  { env, memory }: Pick<Pass, "env" | "memory">,
): void {
  const known = memory.doubles ?? new Set();
  for (const { id } of others)
    if (!known.has(id))
      env.events.record(
        stack,
        "Warning",
        EVENT_REASONS.StackDoubled,
        `stack ${id} at the vendor carries the mark of this EdgeStack too and is left as it is; ${used} is used`,
      );
  memory.doubles = new Set(others.map(({ id }) => id));
}

/** Told once by each process: another installation's services in its stack are no strays. */
function announceForeign(
  stack: EdgeStack,
  observed: ObservedStack,
  { env, memory }: Pick<Pass, "env" | "memory">,
): void {
  const foreign = foreignIn(observed, env.options.ownerId);
  const known = memory.foreign ?? new Set();
  const names = new Set(foreign.map(({ name }) => name));
  if (foreign.some(({ name }) => !known.has(name))) {
    const services = foreign.map(({ name, owner }) => `${name} (installation ${owner})`).join(", ");
    env.events.record(
      stack,
      "Warning",
      EVENT_REASONS.StrayLeft,
      `stack ${observed.id} is this EdgeStack's alone, but ${services} is another installation's and is left as it is: remove it there`,
    );
  }
  memory.foreign = names;
}

/** How long what was sent for an open operation, by this process or a former one, may still be on its way, ms. */
export function settlesInMs(memory: StackMemory, settleMs: number, env: Environment): number {
  const now = env.clock.monotonic();
  return (memory.creationEndedAtMs ?? env.leaderSinceMs() ?? now) + settleMs - now;
}

function messageOf(outcome: Exclude<StackOutcome, { result: "Succeeded" }>): string {
  return outcome.result === "Failed" ? outcome.failure.message : outcome.message;
}

/**
 * Counts it, and sets the time before which the vendor is asked for nothing more.
 *
 * @param settleMs present: what was asked for may have been carried out. The first time it is only waited for; a vendor that goes on
 *   answering so is asked at a growing interval.
 */
async function failed(
  stack: EdgeStack,
  message: string,
  operation: VendorStatus["operation"],
  pass: Pass,
  settleMs?: number,
): Promise<Prepared> {
  const count = (stack.status?.backoff?.count ?? 0) + 1;
  const curveMs = nextBackoff({ count, ...DEFAULT_BACKOFF }, jitterOf(stack.metadata.uid, count));
  const delayMs = settleMs === undefined ? curveMs : Math.max(settleMs, count === 1 ? STALE_RETRY_MS : curveMs);
  const nextRetryTime = formatTime(pass.env.clock.now() + delayMs);
  const waiting = { reason: settleMs !== undefined && count === 1 ? "Creating" : "BackingOff", message };
  const vendor = { ...(operation !== undefined && { operation }), backoff: { count, nextRetryTime } };
  const lookMs = settleMs === undefined ? delayMs : Math.max(settleMs, STALE_RETRY_MS);
  return { stack: await note(stack, vendor, pass, waiting), waiting, againInMs: Math.min(delayMs, lookMs) };
}

/** Writes down how the vendor's stack stands, at the very version that the decision was made on. */
async function note(
  stack: EdgeStack,
  vendor: VendorStatus,
  { env, views }: Pass,
  waiting: StackStanding["waiting"] = { reason: "Creating", message: "the stack is being made at the vendor" },
): Promise<EdgeStack> {
  const after = computeStackStatus(stack, { views, waiting, vendor }, env.clock.now());
  const { object } = await env.statusWriter.write(env.resources.stacks, stack, after, { atVersion: true });
  return object;
}

/** What nobody wants in it goes, what is missing comes; one request at a time, never on an old view. */
async function tidy(
  stack: EdgeStack,
  id: string,
  { keeper, projectId, intervalMs }: Vendor,
  owned: readonly EdgeContainer[],
  pass: Pass,
): Promise<Prepared> {
  const { env, log } = pass;
  const listing = await keeper.list(projectId, intervalMs * TIDY_AGE);
  if (!listing.ok || listing.stale) return { stack, againInMs: intervalMs };
  const observed = listing.stacks.find((each) => each.id === id);
  if (observed === undefined)
    return {
      stack,
      waiting: {
        reason: "WaitingForReference",
        message: `project ${projectId} has no stack ${id} any more: delete this EdgeStack and create it again, or wait if the project is only hidden from us`,
      },
      againInMs: intervalMs,
    };
  const who = whoOf(stack, env);
  announceDoubles(stack, id, findOwn(listing.stacks, who, stack.status ?? {}).others, pass);
  const marker = markOf(observed, who);
  if (marker === undefined) {
    log.warn({ stack: id }, "the stack at the vendor does not say any more that it is this EdgeStack's: left as it is");
    return { stack, againInMs: intervalMs };
  }
  announceForeign(stack, observed, pass);
  const strays = straysIn(observed, stack, owned);
  const volumes = missingVolumes(observed, stack);
  if (strays.length === 0 && volumes.length === 0) return { stack, againInMs: intervalMs };
  const own = { projectId, id, marker };
  const outcome = await (strays.length > 0 ? keeper.removeServices(own, strays) : keeper.addVolumes(own, volumes));
  const why = outcome.result === "Succeeded" ? undefined : messageOf(outcome);
  log.info({ stack: id, strays, volumes, result: outcome.result, why }, "stack at the vendor set right");
  if (strays.length > 0 && outcome.result === "Succeeded")
    env.events.record(
      stack,
      "Warning",
      EVENT_REASONS.StrayRemoved,
      `removed ${strays.map(({ name }) => name).join(", ")} from stack ${id}, which is this EdgeStack's alone`,
    );
  return { stack, againInMs: outcome.result === "Succeeded" ? STALE_RETRY_MS : intervalMs };
}
