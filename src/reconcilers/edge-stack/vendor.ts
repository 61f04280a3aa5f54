/** The way from an EdgeStack to the keeper of stacks at its vendor. */
import { findCondition } from "../../controller/conditions.ts";
import type { StackKeeper, StackMarker } from "../../backends/stack-contract.ts";
import { withBackendDefaults } from "../../crds/defaults.ts";
import type { EdgeDevice } from "../../crds/edge-device.ts";
import type { EdgeStack, StackOperation } from "../../crds/edge-stack.ts";
import { backendKeyOf, isAllowed } from "../allowed-namespaces.ts";
import { refusalOf } from "../device-access.ts";
import type { Environment } from "../environment.ts";
import type { Who } from "./own-plan.ts";

export interface Vendor {
  readonly keeper: StackKeeper;
  readonly projectId: string;
  readonly settleMs: number;
  /** Between two looks at rest. */
  readonly intervalMs: number;
}

/** The keeper, or why there is none now. */
export type VendorFound =
  | { readonly ok: true; readonly vendor: Vendor }
  | { readonly ok: false; readonly acceptedReason?: string; readonly reason: string; readonly message: string };

/** @param acting false: a deletion, which goes on while suspended. */
export function vendorOf(device: EdgeDevice, env: Environment, acting: boolean): VendorFound {
  const waiting = (acceptedReason: string, message: string): VendorFound => ({
    ok: false,
    acceptedReason,
    reason: "WaitingForReference",
    message,
  });
  const key = backendKeyOf(device);
  const backend = env.stores.backends.get(key);
  if (backend === undefined)
    return waiting("BackendNotFound", `EdgeBackend ${key.namespace}/${key.name} does not exist`);
  const allowed = isAllowed(backend, device, env.stores);
  if (!allowed.allowed) return waiting("NotAllowedNamespace", allowed.message);
  const refusal = refusalOf(device, env);
  if (refusal !== undefined)
    return waiting(
      "DeviceNotReady",
      `EdgeDevice ${device.metadata.name} is refused (${refusal.reason}): ${refusal.message}`,
    );
  const holder =
    backend.spec.suspend === true ? "EdgeBackend" : device.spec.suspend === true ? "EdgeDevice" : undefined;
  if (acting && holder !== undefined)
    return { ok: false, reason: "WaitingForReference", message: `the ${holder} is suspended` };
  const account = env.accounts.account(backend.metadata.uid);
  const keeper = account?.stacks;
  const state = account?.status();
  if (state?.state !== "Connected" || keeper === undefined) {
    const ready = findCondition(backend.status?.conditions, "Ready");
    const why = state?.state === "Failed" ? state.message : ready?.status === "False" ? ready.message : undefined;
    return waiting("BackendNotReady", `EdgeBackend ${key.name} is not connected${why === undefined ? "" : `: ${why}`}`);
  }
  return {
    ok: true,
    vendor: {
      keeper,
      projectId: device.spec.mittwald?.projectId ?? "",
      settleMs: env.accounts.backendFor(backend)?.settleMs ?? 0,
      intervalMs: withBackendDefaults(backend.spec).observeIntervalSeconds * 1000,
    },
  };
}

export function whoOf({ metadata }: EdgeStack, env: Environment): Who {
  return { owner: env.options.ownerId, namespace: metadata.namespace ?? "", name: metadata.name, uid: metadata.uid };
}

export function markerOf(stack: EdgeStack, { id }: StackOperation, env: Environment): StackMarker {
  return { ...whoOf(stack, env), operation: id };
}
