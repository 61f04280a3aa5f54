/** The collections that the operator reads and writes, for src/kube. */
import type { EdgeBackend } from "../crds/edge-backend.ts";
import type { EdgeContainer } from "../crds/edge-container.ts";
import type { EdgeDevice } from "../crds/edge-device.ts";
import type { EdgeRegistry } from "../crds/edge-registry.ts";
import type { EdgeStack } from "../crds/edge-stack.ts";
import { GROUP, KINDS, VERSION, type KindName } from "../crds/group.ts";
import type { Resource } from "../kube/resource.ts";
import type { KubeObject } from "../kube/types.ts";
import type { Resources } from "./environment.ts";

function ours<T extends KubeObject>(name: KindName): Resource<T> {
  const { kind, plural } = KINDS[name];
  return { group: GROUP, version: VERSION, plural, kind, namespaced: true };
}

export const RESOURCES: Resources = {
  backends: ours<EdgeBackend>("EdgeBackend"),
  devices: ours<EdgeDevice>("EdgeDevice"),
  containers: ours<EdgeContainer>("EdgeContainer"),
  registries: ours<EdgeRegistry>("EdgeRegistry"),
  stacks: ours<EdgeStack>("EdgeStack"),
};

/** A Secret with its data still in base64. */
export interface SecretObject extends KubeObject {
  data?: Record<string, string>;
}

/** A ConfigMap. */
export interface ConfigMapObject extends KubeObject {
  data?: Record<string, string>;
  binaryData?: Record<string, string>;
}

export const SECRETS: Resource<SecretObject> = {
  group: "",
  version: "v1",
  plural: "secrets",
  kind: "Secret",
  namespaced: true,
};

export const CONFIG_MAPS: Resource<ConfigMapObject> = {
  group: "",
  version: "v1",
  plural: "configmaps",
  kind: "ConfigMap",
  namespaced: true,
};

export const NAMESPACES: Resource = {
  group: "",
  version: "v1",
  plural: "namespaces",
  kind: "Namespace",
  namespaced: false,
};

export const CRDS: Resource = {
  group: "apiextensions.k8s.io",
  version: "v1",
  plural: "customresourcedefinitions",
  kind: "CustomResourceDefinition",
  namespaced: false,
};
