/** Which collection of the API server a request is for, and the paths that follow from it. */

import type { KubeObject, ObjectKey } from "./types.ts";

/**
 * Describes one kind's collection. `T` is the type of its objects; it exists for the compiler only, so that
 * `client.get(devices, key)` is typed without a cast.
 */
export interface Resource<T extends KubeObject = KubeObject> {
  /** API group; "" for the core group. */
  readonly group: string;
  /** Version within the group, such as "v1alpha1". */
  readonly version: string;
  /** Plural, lower case name, as in the path. */
  readonly plural: string;
  /** Kind, as in the objects. */
  readonly kind: string;
  readonly namespaced: boolean;
  /** Never set; carries `T`. */
  readonly objectType?: T;
}

/** `group/version`, or `version` alone for the core group: an object's apiVersion. */
export function apiVersionOf(resource: Resource): string {
  return resource.group === "" ? resource.version : `${resource.group}/${resource.version}`;
}

/** A short name for logs and metrics: `plural.group`, or `plural` for the core group. */
export function resourceName(resource: Resource): string {
  return resource.group === "" ? resource.plural : `${resource.plural}.${resource.group}`;
}

/**
 * Path of a collection.
 * @param namespace undefined or "" for all namespaces, or for a cluster-scoped resource.
 */
export function collectionPath(resource: Resource, namespace?: string): string {
  const root = resource.group === "" ? `/api/${resource.version}` : `/apis/${resource.group}/${resource.version}`;
  return resource.namespaced && namespace !== undefined && namespace !== ""
    ? `${root}/namespaces/${encodeURIComponent(namespace)}/${resource.plural}`
    : `${root}/${resource.plural}`;
}

/**
 * Path of one object.
 * @throws TypeError when the name is empty, or the namespace of a namespaced resource is: such a path would mean the
 * whole collection, and a DELETE on it would delete every object.
 */
export function objectPath(resource: Resource, key: ObjectKey, subresource?: string): string {
  if (key.name === "") {
    throw new TypeError(`a request for one object of ${resourceName(resource)} needs a name`);
  }
  if (resource.namespaced && key.namespace === "") {
    throw new TypeError(`a request for ${resourceName(resource)} "${key.name}" needs a namespace`);
  }
  const path = `${collectionPath(resource, key.namespace)}/${encodeURIComponent(key.name)}`;
  return subresource === undefined ? path : `${path}/${subresource}`;
}

/** The key of an object within its kind; namespace is "" for cluster-scoped objects. */
export function keyOf(object: KubeObject): ObjectKey {
  return { namespace: object.metadata.namespace ?? "", name: object.metadata.name };
}

/** `namespace/name`, or `/name` for cluster-scoped objects. Neither part may contain a slash, so it is unambiguous. */
export function keyString(key: ObjectKey): string {
  return `${key.namespace}/${key.name}`;
}
