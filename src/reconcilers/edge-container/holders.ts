/**
 * Before a container is made (or taken over), its EdgeDevice and EdgeBackend carry our finalizer: deleting a namespace removes
 * things in any order, and without them the container could not be removed any more.
 */
import { keyOf } from "../../kube/resource.ts";
import type { Environment } from "../environment.ts";
import { hasFinalizer } from "../finalizer.ts";
import type { Step } from "./plan/types.ts";
import type { Resolution } from "./resolve.ts";

/** What stands in the way of a step that brings a new container; undefined if nothing does. Asks for what is missing. */
export function heldBack(step: Step, resolution: Resolution, env: Environment): Step | undefined {
  if (step.type !== "Create" && step.type !== "Recreate" && step.type !== "Swap" && step.type !== "Adopt")
    return undefined;
  if (resolution.kind !== "Session" || env.options.readOnly) return undefined;
  const { device, backend } = resolution;
  for (const [kind, object] of [
    ["EdgeDevice", device],
    ["EdgeBackend", backend],
  ] as const)
    if (object.metadata.deletionTimestamp !== undefined)
      return {
        type: "Wait",
        reason: "PendingRemoval",
        message: `${kind} ${object.metadata.name} is being deleted: nothing new is made on it`,
      };
  // Their own passes add it, and the change wakes this object again.
  if (!hasFinalizer(device)) env.wake.device(keyOf(device), "a container needs it");
  if (!hasFinalizer(backend)) env.wake.backend(keyOf(backend), "a container needs it");
  return hasFinalizer(device) && hasFinalizer(backend)
    ? undefined
    : { type: "Wait", reason: "Effect", message: "waiting for the finalizers of EdgeDevice and EdgeBackend" };
}
