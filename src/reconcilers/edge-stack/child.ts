/** The EdgeContainer that stands for a container of an EdgeStack: what it is to be, and whose an existing one is. Pure. */
import { isDeepStrictEqual } from "node:util";
import type { EdgeContainer, EdgeContainerSpec } from "../../crds/edge-container.ts";
import type { EdgeStack, StackContainer } from "../../crds/edge-stack.ts";
import { API_VERSION, KINDS, STACK_LABEL } from "../../crds/group.ts";
import type { KubeObject, ObjectMeta, OwnerReference } from "../../kube/types.ts";

/** Where the stack's containers run, which differs from spec.deviceRef for a stack of its own at the vendor. */
export interface Target {
  /** The EdgeDevice. */
  readonly device: string;
  /** Nobody else's containers are there: names on the device are those in the stack, so that they find each other by them. */
  readonly own: boolean;
}

/** The name of the EdgeContainer of a container; the same in every process, so that none is made twice. */
export function childName(stack: string, container: string): string {
  return `${stack}-${container}`;
}

/** What the EdgeContainer is to say. */
export function childSpec(stack: EdgeStack, container: StackContainer, target: Target): EdgeContainerSpec {
  const { template } = container;
  const deletion = template.deletion ?? deletionOf(stack, target);
  return {
    ...template,
    deviceRef: { name: target.device },
    ...(target.own && template.name === undefined && { name: container.name }),
    ...(deletion !== undefined && { deletion }),
    ...(stack.spec.suspend === true && { suspend: true }),
  };
}

/** Volumes of a stack of its own are the stack's to remove, once all who mount them are gone. */
function deletionOf(stack: EdgeStack, target: Target): EdgeContainerSpec["deletion"] {
  const { deletion } = stack.spec;
  if (deletion === undefined || !target.own) return deletion;
  const { deleteVolumes: _volumes, ...rest } = deletion;
  return rest;
}

/** Labels of everything that a stack makes. */
export function labelsOf(stack: EdgeStack): Record<string, string> {
  return { [STACK_LABEL]: stack.metadata.name };
}

/** The reference with which a garbage collector removes what a stack has left behind; the stack itself never relies on it. */
export function ownerOf(stack: EdgeStack): OwnerReference {
  const { name, uid } = stack.metadata;
  return { apiVersion: API_VERSION, kind: KINDS.EdgeStack.kind, name, uid, controller: true };
}

/**
 * Whose an object is. Own: this stack's. Former: that of a stack of the same name which is no more (a namespace has one of each name):
 * after a restore, or a finalizer taken off by force. Foreign: anybody else's.
 */
export function ownership(object: KubeObject, stack: EdgeStack): "Own" | "Former" | "Foreign" {
  const owner = stackOwnerOf(object);
  if (owner === undefined || owner.name !== stack.metadata.name) return "Foreign";
  return owner.uid === stack.metadata.uid ? "Own" : "Former";
}

/** The EdgeStack that an object says it belongs to. */
export function stackOwnerOf(object: KubeObject): OwnerReference | undefined {
  return object.metadata.ownerReferences?.find(
    ({ apiVersion, kind, controller }) =>
      controller === true && kind === KINDS.EdgeStack.kind && apiVersion.startsWith(`${API_VERSION.split("/")[0]}/`),
  );
}

/** Whether an object's spec, label and owner are what they are to be. */
export function isAsWanted(current: KubeObject & { spec: object }, spec: object, stack: EdgeStack): boolean {
  return (
    isDeepStrictEqual(current.spec, spec) &&
    ownership(current, stack) === "Own" &&
    Object.entries(labelsOf(stack)).every(([name, value]) => current.metadata.labels?.[name] === value)
  );
}

/** A JSON patch that makes an object of ours say exactly this and nothing else, refused if anybody wrote since it was read. */
export function correction(current: KubeObject, spec: object, stack: EdgeStack): object[] {
  const { metadata } = current;
  return [
    ...preconditions(metadata),
    { op: "add", path: "/spec", value: spec },
    { op: "add", path: "/metadata/labels", value: { ...metadata.labels, ...labelsOf(stack) } },
    { op: "add", path: "/metadata/ownerReferences", value: [...otherOwners(metadata), ownerOf(stack)] },
  ];
}

/** A JSON patch that makes an object nobody's but its users': it stays when the stack goes. */
export function release(current: KubeObject): object[] {
  const { metadata } = current;
  const { [STACK_LABEL]: _label, ...labels } = metadata.labels ?? {};
  return [
    ...preconditions(metadata),
    { op: "add", path: "/metadata/labels", value: labels },
    { op: "add", path: "/metadata/ownerReferences", value: otherOwners(metadata) },
  ];
}

function preconditions({ uid, resourceVersion }: ObjectMeta): object[] {
  return [
    { op: "test", path: "/metadata/uid", value: uid },
    { op: "test", path: "/metadata/resourceVersion", value: resourceVersion },
  ];
}

function otherOwners({ ownerReferences }: ObjectMeta): OwnerReference[] {
  return (ownerReferences ?? []).filter(({ kind }) => kind !== KINDS.EdgeStack.kind);
}

/** The EdgeContainer to be made. */
export function newChild(
  stack: EdgeStack,
  container: StackContainer,
  spec: EdgeContainerSpec,
): { metadata: Partial<ObjectMeta>; spec: EdgeContainerSpec } {
  return {
    metadata: {
      name: childName(stack.metadata.name, container.name),
      namespace: stack.metadata.namespace ?? "",
      labels: labelsOf(stack),
      ownerReferences: [ownerOf(stack)],
    },
    spec,
  };
}

/** The name in the stack of an EdgeContainer of it. */
export function nameInStack(stack: EdgeStack, object: EdgeContainer): string {
  const prefix = `${stack.metadata.name}-`;
  const { name } = object.metadata;
  return name.startsWith(prefix) ? name.slice(prefix.length) : name;
}
