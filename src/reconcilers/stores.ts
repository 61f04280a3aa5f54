/** The caches that reconcilers read, with the indexes that they look things up by. */
import type { EdgeBackend } from "../crds/edge-backend.ts";
import type { EdgeContainer } from "../crds/edge-container.ts";
import type { EdgeDevice } from "../crds/edge-device.ts";
import type { EdgeRegistry } from "../crds/edge-registry.ts";
import type { EdgeStack } from "../crds/edge-stack.ts";
import { keyString } from "../kube/resource.ts";
import type { Store } from "../kube/store.ts";
import { backendKeyOf } from "./allowed-namespaces.ts";
import { childName, stackOwnerOf } from "./edge-stack/child.ts";
import { referencesOf } from "./edge-container/values.ts";

/** Read access to the API objects. */
export interface Stores {
  readonly backends: Store<EdgeBackend>;
  readonly devices: Store<EdgeDevice>;
  readonly containers: Store<EdgeContainer>;
  readonly registries: Store<EdgeRegistry>;
  readonly stacks: Store<EdgeStack>;
  /** Labels of a namespace, undefined while unknown. */
  namespaceLabels(namespace: string): Readonly<Record<string, string>> | undefined;
}

/** EdgeContainers by `namespace/name` of the EdgeStack that they belong to. */
export const BY_STACK = "stack";
/** EdgeStacks by the vendor's id of the stack that is their own. */
export const BY_EXTERNAL = "external";
/** EdgeStacks by `namespace/name` of each EdgeContainer that they are made of. */
export const BY_CHILD = "child";
/** EdgeContainers, and EdgeStacks, by `namespace/device`. */
export const BY_DEVICE = "device";
/** EdgeDevices, and EdgeRegistries, by `namespace/backend`. */
export const BY_BACKEND = "backend";
/** EdgeContainers by `namespace/name` of each EdgeRegistry that they name. */
export const BY_REGISTRY = "registry";
/** EdgeContainers, EdgeBackends and EdgeRegistries by `Kind/namespace/name` of each Secret and ConfigMap that they read. */
export const BY_REFERENCE = "reference";

/** EdgeDevices by what they address, without the endpoint: candidates for DuplicateTarget. */
export const BY_TARGET = "target";

/** Adds the indexes. Call once, before the reflectors start. */
export function addIndexes(stores: Stores): void {
  stores.containers.addIndex(BY_DEVICE, (object) => [
    keyString({ namespace: object.metadata.namespace ?? "", name: object.spec.deviceRef.name }),
  ]);
  stores.containers.addIndex(BY_REFERENCE, (object) =>
    referencesOf(object.spec).map(({ kind, name }) => referenceKey(kind, object.metadata.namespace ?? "", name)),
  );
  stores.containers.addIndex(BY_REGISTRY, (object) =>
    (object.spec.registryRefs ?? []).map(({ name }) => keyString({ namespace: object.metadata.namespace ?? "", name })),
  );
  stores.registries.addIndex(BY_REFERENCE, ({ spec, metadata }) => [
    referenceKey("Secret", metadata.namespace ?? "", spec.credentialsSecretRef.name),
  ]);
  stores.registries.addIndex(BY_BACKEND, registryBackends);
  stores.containers.addIndex(BY_STACK, (object) => {
    const owner = stackOwnerOf(object);
    return owner === undefined ? [] : [keyString({ namespace: object.metadata.namespace ?? "", name: owner.name })];
  });
  stores.stacks.addIndex(BY_DEVICE, (object) => [
    keyString({ namespace: object.metadata.namespace ?? "", name: object.spec.deviceRef.name }),
  ]);
  stores.stacks.addIndex(BY_EXTERNAL, ({ status }) => (status?.external === undefined ? [] : [status.external.id]));
  stores.stacks.addIndex(BY_CHILD, ({ metadata, spec }) =>
    spec.containers.map(({ name }) =>
      keyString({ namespace: metadata.namespace ?? "", name: childName(metadata.name, name) }),
    ),
  );
  stores.devices.addIndex(BY_BACKEND, (object) => [keyString(backendKeyOf(object))]);
  stores.devices.addIndex(BY_TARGET, (object) => [targetIndexKey(object)]);
  stores.backends.addIndex(BY_REFERENCE, (object) =>
    backendReferences(object).map(({ kind, name }) => referenceKey(kind, object.metadata.namespace ?? "", name)),
  );
}

/** The key of BY_TARGET: devices with different keys cannot be the same target. */
export function targetIndexKey(device: EdgeDevice): string {
  const { kanto, alpon, hiveon, mittwald } = device.spec;
  if (kanto !== undefined) return `kanto|${kanto.topicPrefix ?? ""}|${kanto.thingId.replace(/:edge:containers$/, "")}`;
  if (alpon !== undefined) return `alpon|${alpon.assetId}`;
  if (hiveon !== undefined) return `hiveon|${hiveon.machineId}`;
  return `mittwald|${mittwald?.projectId ?? ""}|${mittwald?.stackId ?? ""}`;
}

/** `namespace/name` of the backends that an EdgeRegistry names, and of those where its login still stands. */
function registryBackends({ metadata, spec, status }: EdgeRegistry): string[] {
  const namespace = metadata.namespace ?? "";
  const named = spec.backendRefs.map((ref) => keyString({ namespace, ...ref }));
  const left = (status?.projects ?? []).map((project) =>
    keyString({ namespace: project.backendNamespace, name: project.backendName }),
  );
  return [...new Set([...named, ...left])];
}

/** The key of BY_REFERENCE. */
export function referenceKey(kind: "Secret" | "ConfigMap", namespace: string, name: string): string {
  return `${kind}/${namespace}/${name}`;
}

/** Secrets and ConfigMaps that a backend's connection is made with. */
export function backendReferences(object: EdgeBackend): { kind: "Secret" | "ConfigMap"; name: string }[] {
  const { credentialsSecretRef, tls } = object.spec;
  const found: { kind: "Secret" | "ConfigMap"; name: string }[] = [];
  if (credentialsSecretRef !== undefined) found.push({ kind: "Secret", name: credentialsSecretRef.name });
  if (tls?.clientCertSecretRef !== undefined) found.push({ kind: "Secret", name: tls.clientCertSecretRef.name });
  if (tls?.caRef !== undefined) found.push({ kind: tls.caRef.kind ?? "Secret", name: tls.caRef.name });
  return found;
}
