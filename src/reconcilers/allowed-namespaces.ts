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
  const allowed = isNamespaceAllowed(backend, theirs, stores);
  if (!allowed.allowed || theirs === backend.metadata.namespace) return allowed;
  const { targets = [] } = backend.spec.allowedNamespaces ?? {};
  const target =
    device.spec.kanto?.thingId ??
    device.spec.alpon?.assetId ??
    device.spec.hiveon?.machineId ??
    device.spec.mittwald?.projectId;
  if (targets.length === 0 || targets.includes(target ?? "")) return allowed;
  return refusal(backend, theirs, `target ${target ?? "(none)"} is not in its spec.allowedNamespaces.targets`);
}

/** Whether objects of a namespace may use a backend at all. */
export function isNamespaceAllowed(
  backend: EdgeBackend,
  theirs: string,
  stores: Pick<Stores, "namespaceLabels">,
): Allowed {
  if (theirs === (backend.metadata.namespace ?? "")) return { allowed: true };
  const { from = "Same", selector } = backend.spec.allowedNamespaces ?? {};
  switch (from) {
    case "Same":
      return refusal(backend, theirs, "set its spec.allowedNamespaces.from to All or Selector");
    case "All":
      return { allowed: true };
    case "Selector": {
      const labels = stores.namespaceLabels(theirs);
      if (labels === undefined) return refusal(backend, theirs, "the labels of that namespace are not known yet");
      return matches(labels, selector ?? {})
        ? { allowed: true }
        : refusal(backend, theirs, "its labels do not match spec.allowedNamespaces.selector");
    }
    default:
      return from satisfies never;
  }
}

function refusal(backend: EdgeBackend, theirs: string, why: string): Allowed {
  const { namespace = "", name } = backend.metadata;
  return {
    allowed: false,
    message: `EdgeBackend ${namespace}/${name} may not be used from namespace ${theirs}: ${why}`,
  };
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
