/** EdgeStacks and their EdgeContainers as the reconciler reads them. */
import type { EdgeContainer, EdgeContainerSpec } from "../../../../src/crds/edge-container.ts";
import type { EdgeStack, EdgeStackSpec, StackContainer } from "../../../../src/crds/edge-stack.ts";
import { labelsOf, ownerOf, type Target } from "../../../../src/reconcilers/edge-stack/child.ts";
import type { Existing } from "../../../../src/reconcilers/edge-stack/plan.ts";
import type { Condition } from "../../../../src/kube/types.ts";

export const IMAGE = "docker.io/library/nginx:1.27";
export const TARGET: Target = { device: "press", own: false };

export function container(
  name: string,
  dependsOn?: StackContainer["dependsOn"],
  template: object = {},
): StackContainer {
  return { name, ...(dependsOn && { dependsOn }), template: { image: IMAGE, ...template } };
}

export function stackOf(
  containers: StackContainer[],
  spec: Partial<EdgeStackSpec> = {},
  metadata: object = {},
): EdgeStack {
  return {
    apiVersion: "edge.drayage.dev/v1alpha1",
    kind: "EdgeStack",
    metadata: { name: "shop", namespace: "ns", uid: "s1", resourceVersion: "1", generation: 3, ...metadata },
    spec: { deviceRef: { name: "press" }, containers, ...spec },
  };
}

/** An EdgeContainer that a stack has made. */
export function childOf(
  stack: EdgeStack,
  name: string,
  given: { spec?: Partial<EdgeContainerSpec>; status?: EdgeContainer["status"]; metadata?: object } = {},
): EdgeContainer {
  return {
    apiVersion: "edge.drayage.dev/v1alpha1",
    kind: "EdgeContainer",
    metadata: {
      name: `shop-${name}`,
      namespace: "ns",
      uid: `u-${name}`,
      resourceVersion: "7",
      generation: 2,
      labels: labelsOf(stack),
      ownerReferences: [ownerOf(stack)],
      ...given.metadata,
    },
    spec: { image: IMAGE, deviceRef: { name: "press" }, ...given.spec },
    ...(given.status && { status: given.status }),
  };
}

export function condition(type: string, status: Condition["status"], reason: string, message = reason): Condition {
  return {
    type,
    status,
    reason,
    message,
    observedGeneration: 2,
    lastTransitionTime: "2026-01-02T03:04:05Z",
  };
}

export const READY = {
  observedGeneration: 2,
  phase: "Running" as const,
  conditions: [condition("Ready", "True", "Running")],
};

export function existing(...objects: EdgeContainer[]): Existing {
  return {
    get: (name) => objects.find((object) => object.metadata.name === name),
    owned: objects.filter((object) => (object.metadata.ownerReferences ?? []).length > 0),
  };
}
