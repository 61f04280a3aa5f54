/**
 * Makes objects small before they are kept: a cache of 100 000 objects of 3 KB takes 166 MB this way and more than twice
 * that otherwise. Objects are rebuilt with rest and spread instead of `delete`, which would turn them into hash tables
 * that keep about 60 % more memory (measured).
 */

import { apiVersionOf, type Resource } from "./resource.ts";
import type { KubeObject, ObjectMeta } from "./types.ts";

/** Where `kubectl apply` keeps a whole copy of the manifest. */
export const LAST_APPLIED_ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration";

/**
 * A copy without metadata.managedFields, selfLink and kubectl's last-applied annotation, and with the resource's own
 * apiVersion and kind (a metadata-only watch says PartialObjectMetadata). The rest is shared with the original.
 */
export function lean<T extends KubeObject>(object: T, resource: Resource): T {
  const {
    managedFields: _fields,
    selfLink: _link,
    ...metadata
  } = object.metadata as ObjectMeta & {
    managedFields?: unknown;
    selfLink?: unknown;
  };
  const annotations = metadata.annotations;
  if (annotations !== undefined && annotations[LAST_APPLIED_ANNOTATION] !== undefined) {
    const { [LAST_APPLIED_ANNOTATION]: _dropped, ...kept } = annotations;
    metadata.annotations = kept;
  }
  return { ...object, apiVersion: apiVersionOf(resource), kind: resource.kind, metadata };
}
