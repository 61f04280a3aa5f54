/** Which namespaces may use an EdgeBackend: a backend is shared only with those that its owner names. */
import type { EdgeBackend } from "../crds/edge-backend.ts";
import type { EdgeDevice } from "../crds/edge-device.ts";
import type { ObjectKey } from "../kube/types.ts";
import type { Stores } from "./stores.ts";

/** The EdgeBackend that a device names; its own namespace unless it says otherwise. */
export function backendKeyOf(device: EdgeDevice): ObjectKey {
  const { name, namespace } = device.spec.backendRef;
  return { name, namespace: namespace ?? device.metadata.namespace ?? "" };
}

/** The answer, with what to change. */
export type Allowed = { allowed: true } | { allowed: false; message: string };

/** Whether a device may use a backend. */
export function isAllowed(backend: EdgeBackend, device: EdgeDevice, stores: Pick<Stores, "namespaceLabels">): Allowed {
  const theirs = device.metadata.namespace ?? "";
  const own = backend.metadata.namespace ?? "";
  if (theirs === own) return { allowed: true };
  const { from = "Same", selector, targets } = backend.spec.allowedNamespaces ?? {};
  const refuse = (why: string): Allowed => ({
    allowed: false,
    message: `EdgeBackend ${own}/${backend.metadata.name} may not be used from namespace ${theirs}: ${why}`,
  });
  switch (from) {
    case "Same":
      return refuse("set its spec.allowedNamespaces.from to All or Selector");
    case "All":
      break;
    case "Selector": {
      const labels = stores.namespaceLabels(theirs);
      if (labels === undefined) return refuse("the labels of that namespace are not known yet");
      if (!matches(labels, selector ?? {})) return refuse("its labels do not match spec.allowedNamespaces.selector");
      break;
    }
    default:
      return from satisfies never;
  }
  const target =
    device.spec.kanto?.thingId ??
    device.spec.alpon?.assetId ??
    device.spec.hiveon?.machineId ??
    device.spec.mittwald?.projectId;
  if (targets !== undefined && targets.length > 0 && !targets.includes(target ?? ""))
    return refuse(`target ${target ?? "(none)"} is not in its spec.allowedNamespaces.targets`);
  return { allowed: true };
}

/** metav1.LabelSelector: every label and every expression must hold; an empty one matches all. */
function matches(
  labels: Readonly<Record<string, string>>,
  selector: NonNullable<NonNullable<EdgeBackend["spec"]["allowedNamespaces"]>["selector"]>,
): boolean {
  const { matchLabels = {}, matchExpressions = [] } = selector;
  if (Object.entries(matchLabels).some(([name, value]) => labels[name] !== value)) return false;
  return matchExpressions.every(({ key, operator, values = [] }) => {
    const value = labels[key];
    switch (operator) {
      case "In":
        return value !== undefined && values.includes(value);
      case "NotIn":
        return value === undefined || !values.includes(value);
      case "Exists":
        return value !== undefined;
      case "DoesNotExist":
        return value === undefined;
      default:
        return operator satisfies never;
    }
  });
}
