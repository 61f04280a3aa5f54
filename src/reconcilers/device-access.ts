/**
 * Whether an EdgeDevice stands for what it names. One that is refused gives nobody a way to the vendor: not its EdgeContainers, and no object
 * that takes from it which project it may work in.
 */
import type { EdgeDevice } from "../crds/edge-device.ts";
import { keyOf, keyString } from "../kube/resource.ts";
import { backendKeyOf } from "./allowed-namespaces.ts";
import { ownership } from "./edge-stack/child.ts";
import type { Environment } from "./environment.ts";
import { BY_EXTERNAL, BY_TARGET, targetIndexKey } from "./stores.ts";

/** Why it is Stalled, as far as that follows from other objects. */
export interface DeviceRefusal {
  readonly reason: "StackOwned" | "DuplicateTarget";
  /** Names the other object and the fix. */
  readonly message: string;
}

/** By the caches alone. isAllowed, which says whether it may use its backend at all, comes before. */
export function refusalOf(
  object: EdgeDevice,
  env: Pick<Environment, "stores" | "accounts">,
): DeviceRefusal | undefined {
  const stack = stackOfTarget(object, env);
  if (stack !== undefined)
    return {
      reason: "StackOwned",
      message: `mittwald.stackId: that stack is EdgeStack ${stack}'s own: add containers to that EdgeStack, or name another stack`,
    };
  const owner = ownerOfTarget(object, env);
  if (owner !== undefined)
    return {
      reason: "DuplicateTarget",
      message: `EdgeDevice ${owner} is older and addresses the same target; delete one of the two`,
    };
  return undefined;
}

/**
 * Why nothing new may be made through it yet: refused, without a session, or not known to the vendor under what it names. The last two pass
 * with every restart, so they say nothing about what is there already.
 */
export function noAccess(object: EdgeDevice, env: Pick<Environment, "stores" | "accounts">): string | undefined {
  const { name } = object.metadata;
  const refusal = refusalOf(object, env);
  if (refusal !== undefined) return `EdgeDevice ${name} is refused (${refusal.reason}): ${refusal.message}`;
  const snapshot = env.accounts.device(object.metadata.uid)?.snapshot();
  if (snapshot?.synced === true) return undefined;
  return `EdgeDevice ${name} is not ready: ${snapshot?.obstacle ?? "what it names has not been seen at the vendor yet"}`;
}

/** The EdgeStack whose own stack at the vendor an EdgeDevice names without being made by it: `namespace/name`. */
function stackOfTarget(object: EdgeDevice, env: Pick<Environment, "stores">): string | undefined {
  const { stackId } = object.spec.mittwald ?? {};
  if (stackId === undefined) return undefined;
  const other = env.stores.stacks.byIndex(BY_EXTERNAL, stackId).find((stack) => ownership(object, stack) !== "Own");
  return other === undefined ? undefined : keyString(keyOf(other));
}

/** The older EdgeDevice of the same target, if there is one: `namespace/name`. Age, then uid, decides. */
function ownerOfTarget(object: EdgeDevice, env: Pick<Environment, "stores" | "accounts">): string | undefined {
  const mine = targetKeyOf(object, env);
  if (mine === undefined) return undefined;
  const age = (device: EdgeDevice) => `${device.metadata.creationTimestamp ?? ""} ${device.metadata.uid}`;
  const older = env.stores.devices
    .byIndex(BY_TARGET, targetIndexKey(object))
    .filter((other) => other.metadata.uid !== object.metadata.uid && age(other) < age(object))
    .find((other) => targetKeyOf(other, env) === mine);
  return older === undefined ? undefined : `${older.metadata.namespace ?? ""}/${older.metadata.name}`;
}

function targetKeyOf(device: EdgeDevice, env: Pick<Environment, "stores" | "accounts">): string | undefined {
  const backend = env.stores.backends.get(backendKeyOf(device));
  if (backend === undefined) return undefined;
  return env.accounts.backendFor(backend)?.targetKey(backend.spec, device.spec);
}
