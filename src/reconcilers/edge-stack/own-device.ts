/** The EdgeDevice that stands for a stack of an EdgeStack's own. */
import type { Logger } from "../../controller/logging.ts";
import type { EdgeDevice } from "../../crds/edge-device.ts";
import type { EdgeStack } from "../../crds/edge-stack.ts";
import { isAlreadyExists, isConflict, isNotFound, isRefusedPatch } from "../../kube/errors.ts";
import { keyOf, resourceName } from "../../kube/resource.ts";
import type { Environment } from "../environment.ts";
import { correction, isAsWanted, labelsOf, ownerOf, ownership } from "./child.ts";
import { ownDeviceName, ownDeviceSpec } from "./own-plan.ts";
import type { StackStanding } from "./status.ts";

const LOOK_AGAIN_MS = 100;

interface NotYet {
  waiting: NonNullable<StackStanding["waiting"]>;
  againInMs?: number;
}

/** Makes it or sets it right; undefined once containers can be put on it. */
export async function ensureOwnDevice(
  stack: EdgeStack,
  device: EdgeDevice,
  stackId: string,
  env: Environment,
  log: Logger,
): Promise<NotYet | undefined> {
  const resource = env.resources.devices;
  const collection = resourceName(resource);
  const key = { namespace: stack.metadata.namespace ?? "", name: ownDeviceName(stack) };
  const spec = ownDeviceSpec(device, stackId);
  const notYet = (message: string, againInMs?: number): NotYet => ({
    waiting: { reason: "WaitingForRelease", message },
    ...(againInMs !== undefined && { againInMs }),
  });
  if (env.expectations.isBehind(collection, env.stores.devices, key))
    return notYet(`EdgeDevice ${key.name} is being made`, LOOK_AGAIN_MS);
  const current = env.stores.devices.get(key);
  try {
    if (current === undefined) {
      const made = await env.client.create(resource, {
        metadata: { ...key, labels: labelsOf(stack), ownerReferences: [ownerOf(stack)] },
        spec,
      });
      env.expectations.wrote(collection, key, made.metadata.resourceVersion);
      log.info({ device: key.name, stack: stackId }, "EdgeDevice made");
      return undefined;
    }
    if (current.metadata.deletionTimestamp !== undefined)
      return notYet(`EdgeDevice ${key.name} is being deleted; it is made again once that one is gone`);
    if (ownership(current, stack) === "Foreign")
      return notYet(`EdgeDevice ${key.name} exists and is not this stack's: delete it, or call the stack otherwise`);
    if (isAsWanted(current, spec, stack)) return undefined;
    const { projectId, stackId: present } = current.spec.mittwald ?? {};
    if (present !== stackId || projectId !== spec.mittwald?.projectId) {
      // A former stack's, for another stack at the vendor; that never changes.
      await env.client.delete(resource, key, { uid: current.metadata.uid, propagationPolicy: "Background" });
      return notYet(`EdgeDevice ${key.name} is for another stack and is made anew`);
    }
    const body = correction(current, spec, stack);
    const changed = await env.client.patch(resource, keyOf(current), { type: "json", body });
    env.expectations.wrote(collection, key, changed.metadata.resourceVersion);
    return undefined;
  } catch (error) {
    if (isConflict(error) || isAlreadyExists(error) || isNotFound(error) || isRefusedPatch(error))
      return notYet(`EdgeDevice ${key.name} has changed meanwhile`, LOOK_AGAIN_MS);
    throw error;
  }
}

/** Deletes it. @returns whether it is gone. */
export async function removeOwnDevice(stack: EdgeStack, env: Environment): Promise<boolean> {
  const key = { namespace: stack.metadata.namespace ?? "", name: ownDeviceName(stack) };
  const current = env.stores.devices.get(key);
  if (current === undefined || ownership(current, stack) !== "Own") return true;
  if (current.metadata.deletionTimestamp !== undefined) return false;
  try {
    await env.client.delete(env.resources.devices, key, {
      uid: current.metadata.uid,
      propagationPolicy: "Background",
    });
  } catch (error) {
    if (!isNotFound(error) && !isConflict(error)) throw error;
  }
  return false;
}
