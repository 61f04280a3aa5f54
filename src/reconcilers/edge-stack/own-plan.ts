/** Decisions about a stack of our own at the vendor. Pure. */
import type { ObservedStack, StackMarker } from "../../backends/stack-contract.ts";
import { STACK_DEFAULTS } from "../../crds/default-values.ts";
import type { EdgeContainer } from "../../crds/edge-container.ts";
import type { EdgeDevice, EdgeDeviceSpec } from "../../crds/edge-device.ts";
import type { EdgeStack, EdgeStackStatus } from "../../crds/edge-stack.ts";
import type { Target } from "./child.ts";

/** What the status says of it. */
export type VendorStatus = Pick<EdgeStackStatus, "external" | "operation" | "backoff">;

/** Whose stack is looked for. */
export interface Who {
  readonly owner: string;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

/** Whether the containers go into a stack of this object's own at the vendor. */
export function wantsOwnStack(stack: EdgeStack, device: EdgeDevice | undefined): boolean {
  return (stack.spec.mode ?? STACK_DEFAULTS.mode) === "Own" && device?.spec.mittwald !== undefined;
}

/** The EdgeDevice that stands for it. Not the stack's own name: that is often the device's too. */
export function ownDeviceName(stack: EdgeStack): string {
  return `${stack.metadata.name}-stack`;
}

/** Where the containers run then. */
export function ownTarget(stack: EdgeStack): Target {
  return { device: ownDeviceName(stack), own: true };
}

/** As the stack's device, with the stack in its place. */
export function ownDeviceSpec(device: EdgeDevice, stackId: string): EdgeDeviceSpec {
  const { projectId = "" } = device.spec.mittwald ?? {};
  return { ...device.spec, mittwald: { projectId, stackId } };
}

/**
 * Ours among a project's stacks. The uid does not decide: an EdgeStack that was deleted without its volumes, or lost with its cluster, has
 * left one behind, and the next of the same namespace and name goes on with it. Of several the recorded one counts, then the one of the
 * journalled operation, of this very object, of the most services; the last word has the id, so that every process finds the same.
 */
export function findOwn(
  stacks: readonly ObservedStack[],
  who: Who,
  { external, operation }: VendorStatus,
): { found?: ObservedStack; others: readonly ObservedStack[] } {
  const [found, ...others] = stacks
    .filter((each) => markOf(each, who) !== undefined)
    .sort(
      (a, b) =>
        Number(b.id === external?.id) - Number(a.id === external?.id) ||
        Number(b.marker?.operation === operation?.id) - Number(a.marker?.operation === operation?.id) ||
        Number(b.marker?.uid === who.uid) - Number(a.marker?.uid === who.uid) ||
        b.services.length - a.services.length ||
        (a.id < b.id ? -1 : 1),
    );
  return { ...(found !== undefined && { found }), others };
}

/** Its whole mark, if that says that the stack is this object's, and it is not the project's default one; else nothing may be changed there. */
export function markOf(
  { isDefault, marker }: ObservedStack,
  { owner, namespace, name }: Omit<Who, "uid">,
): StackMarker | undefined {
  if (isDefault || marker === undefined) return undefined;
  return marker.owner === owner && marker.namespace === namespace && marker.name === name ? marker : undefined;
}

/**
 * Services in a stack of our own that are nobody's: without anybody's mark, and under no name that a container of the stack has or is to
 * have. One with our mark and no object is left: a container that was to be orphaned. For one of another installation see foreignIn.
 */
export function straysIn(
  observed: ObservedStack,
  stack: EdgeStack,
  owned: readonly EdgeContainer[],
): { id: string; name: string }[] {
  const names = new Set([
    ...stack.spec.containers.map(({ name, template }) => template.name ?? name),
    ...owned.flatMap(({ metadata, spec, status }) => [spec.name ?? metadata.name, status?.external?.name]),
  ]);
  return observed.services
    .filter(({ name, marker }) => marker === undefined && !names.has(name))
    .map(({ id, name }) => ({ id, name }));
}

/** Services in it that carry another installation's mark: what is somebody's is never removed without an adoption policy. */
export function foreignIn({ services }: ObservedStack, owner: string): { name: string; owner: string }[] {
  return services.flatMap(({ name, marker }) =>
    marker === undefined || marker.owner === owner ? [] : [{ name, owner: marker.owner }],
  );
}

/** Volumes of the spec that the stack does not have. */
export function missingVolumes(observed: ObservedStack, stack: EdgeStack): string[] {
  const present = new Set(observed.volumes.map(({ name }) => name));
  return (stack.spec.volumes ?? []).map(({ name }) => name).filter((name) => !present.has(name));
}

/** The next step of a removal; one at a time, each seen to be done before the next. */
export type ClearStep =
  | { readonly type: "Empty"; readonly marker: StackMarker }
  | { readonly type: "RemoveVolume"; readonly marker: StackMarker; readonly id: string }
  | { readonly type: "RemoveStack"; readonly marker: StackMarker }
  /** Whether it is gone is to be found out. */
  | { readonly type: "Look" }
  /** It stays; `left` says what of it, for people. Empty: nothing is left. */
  | { readonly type: "Done"; readonly left: string };

/**
 * @param observed undefined: the vendor shows no such stack.
 * @param isEmptied a PUT has left nothing in it but volumes.
 * @param isProven that it is not shown means that it is gone; right after a start a list may be older than what was recorded.
 */
export function clearStep(
  stack: EdgeStack,
  stackId: string,
  observed: ObservedStack | undefined,
  who: Who,
  isEmptied: boolean,
  isProven: boolean,
): ClearStep {
  const { policy = STACK_DEFAULTS.deletion.policy, deleteVolumes = STACK_DEFAULTS.deletion.deleteVolumes } =
    stack.spec.deletion ?? {};
  if (observed === undefined) return isProven ? { type: "Done", left: "" } : { type: "Look" };
  const volumes = observed.volumes.map(({ name }) => name);
  const kept = `stack ${stackId} stays at the vendor${volumes.length === 0 ? "" : `, with the data of volumes ${volumes.join(", ")}`}`;
  if (policy !== "Remove") return { type: "Done", left: `${kept}: deletion.policy is ${policy}` };
  const marker = markOf(observed, who);
  if (marker === undefined)
    return { type: "Done", left: `${kept}: it does not say any more that it is this EdgeStack's` };
  const [foreign] = foreignIn(observed, who.owner);
  if (foreign !== undefined)
    return { type: "Done", left: `${kept}: service ${foreign.name} in it is of installation ${foreign.owner}` };
  if (observed.services.some((service) => service.marker !== undefined))
    return { type: "Done", left: `${kept}: containers that were not to be removed are still in it` };
  if (observed.services.length > 0 || (volumes.length > 0 && !isEmptied)) return { type: "Empty", marker };
  if (!deleteVolumes) return { type: "Done", left: `${kept}: deletion.deleteVolumes is not set` };
  const [volume] = observed.volumes;
  return volume === undefined ? { type: "RemoveStack", marker } : { type: "RemoveVolume", marker, id: volume.id };
}
