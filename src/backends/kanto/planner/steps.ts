/**
 * The single next command towards an updated, stopped or removed container. Each is planned from what is observed, so that losing an
 * answer, or another actor in between, only means to plan again.
 */
import type {
  CommandAction,
  DesiredContainer,
  Difference,
  ObservedContainer,
  Run,
  StopOptions,
} from "../../contract.ts";
import type { RestartPolicy } from "../config.ts";
import { desiredResources, desiredRestartPolicy } from "./desired.ts";
import { configOf, diff } from "./diff.ts";
import { wireResources, wireRestartPolicy } from "./wire.ts";

/** Held: the device starts nothing by itself. */
const HOLD: RestartPolicy = { type: "NO", maxRetryCount: 0, retryTimeout: 0 };

/**
 * Mends all differences with effect Update. Each of the two objects replaces the stored one as a whole, so what is sent is complete; one
 * that needs no change is left out, since even an equal policy cancels a pending restart.
 */
export function update(
  desired: DesiredContainer,
  observed: ObservedContainer,
  appliedPaths: readonly string[],
): CommandAction {
  const paths = diff(desired, observed, appliedPaths)
    .filter((difference: Difference) => difference.effect === "Update")
    .map((difference) => difference.path);
  const payload = {
    ...(paths.includes("restartPolicy") && { restartPolicy: wireRestartPolicy(desiredRestartPolicy(desired.spec)) }),
    ...(paths.some((path) => path.startsWith("resources.")) && {
      resources: wireResources(mergedResources(desired, observed, appliedPaths)),
    }),
  };
  return { kind: "Update", externalId: observed.externalId, payload, paths };
}

/** Limits that the spec never spoke of stay as they are. */
function mergedResources(desired: DesiredContainer, observed: ObservedContainer, appliedPaths: readonly string[]) {
  const wanted = desiredResources(desired.spec);
  const present = configOf(observed).resources;
  const { limits, reservations, memorySwap } = desired.spec.resources ?? {};
  const counts = (path: string, value: unknown): boolean => value !== undefined || appliedPaths.includes(path);
  const memoryCounts = counts("resources.limits.memory", limits?.memory);
  return {
    memoryBytes: memoryCounts ? wanted.memoryBytes : present.memoryBytes,
    memoryReservationBytes: counts("resources.reservations.memory", reservations?.memory)
      ? wanted.memoryReservationBytes
      : present.memoryReservationBytes,
    // Without a word on swap it follows the memory, as at creation.
    memorySwapBytes:
      memoryCounts || counts("resources.memorySwap", memorySwap) ? wanted.memorySwapBytes : present.memorySwapBytes,
  };
}

/** Whether the device may start the process again by itself although a stop was asked for. */
function restartsAfterStop(type: string): boolean {
  return type === "ALWAYS" || type === "ON_FAILURE";
}

/** Whether a process that ended by itself may be in back-off before the device starts it again. */
function mayBeRestarting(observed: ObservedContainer): boolean {
  const { type } = configOf(observed).restartPolicy;
  if (type === "NO") return false;
  return type !== "ON_FAILURE" || (observed.exitCode ?? 0) !== 0;
}

function hold(externalId: string): CommandAction {
  return { kind: "Update", externalId, payload: { restartPolicy: wireRestartPolicy(HOLD) }, paths: ["restartPolicy"] };
}

/**
 * Towards a container that has stopped and stays so. A paused one is resumed first: frozen, it cannot act on the signal, and the stop would
 * block the device for the whole grace period before it kills.
 */
export function stop(observed: ObservedContainer, options: StopOptions): CommandAction | undefined {
  const { externalId, state } = observed;
  const { type } = configOf(observed).restartPolicy;
  switch (state) {
    case "Created":
    case "Dead":
      return undefined;
    case "Running":
    case "Unknown":
      return restartsAfterStop(type) ? hold(externalId) : { kind: "Stop", externalId, ...options };
    case "Paused":
      return restartsAfterStop(type) ? hold(externalId) : { kind: "Resume", externalId };
    case "Stopped":
      return restartsAfterStop(type) ? hold(externalId) : undefined;
    case "Exited":
      return mayBeRestarting(observed) ? hold(externalId) : undefined;
    default:
      return state satisfies never;
  }
}

/** Towards a removed container. A removal during a pending restart can bring the container back at the next start of the daemon. */
export function remove(observed: ObservedContainer, options: StopOptions): CommandAction {
  const { externalId, state } = observed;
  const { type } = configOf(observed).restartPolicy;
  const neverRan = state === "Created" || state === "Dead";
  if (!neverRan && type !== "NO") return hold(externalId);
  if (state === "Paused") return { kind: "Resume", externalId };
  if (state === "Running") return { kind: "Stop", externalId, ...options };
  return { kind: "Remove", externalId };
}

/**
 * Whether the device starts an ended process again by itself under the wanted policy (mgr_restart_mgr.go, shouldRestart). A start that
 * failed is not retried; a stop by command is undone by ALWAYS, and by ON_FAILURE where the signal left an exit code.
 */
export function restarts(desired: DesiredContainer, observed: ObservedContainer): boolean {
  const { type, maxRetryCount } = desiredRestartPolicy(desired.spec);
  const { state, error } = observed;
  if (state !== "Exited" && state !== "Stopped") return false;
  if (state === "Stopped" && error !== undefined) return false;
  switch (type) {
    case "ALWAYS":
      return true;
    case "UNLESS_STOPPED":
      return state === "Exited";
    case "ON_FAILURE":
      return (observed.exitCode ?? 0) !== 0 && (maxRetryCount === 0 || failuresInARow(observed.runs) <= maxRetryCount);
    default:
      return false;
  }
}

function failuresInARow(runs: readonly Run[]): number {
  const lastGood = runs.findLastIndex((run) => run.finishedAt !== undefined && (run.exitCode ?? 0) === 0);
  return runs.length - 1 - lastGood;
}
