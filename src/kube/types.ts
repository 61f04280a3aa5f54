/**
 * Generic Kubernetes object types: what every object has, whatever its kind. No behaviour and no imports, so that every
 * other room may use them (docs/architecture.md, "The rooms").
 */

/** A reference from a dependent to its owner (metadata.ownerReferences). */
export interface OwnerReference {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
  controller?: boolean;
  blockOwnerDeletion?: boolean;
}

/** The part of metav1.ObjectMeta that Drayage reads. managedFields are stripped while reading (see reflector.ts). */
export interface ObjectMeta {
  name: string;
  /** Absent on cluster-scoped objects. */
  namespace?: string;
  uid: string;
  /** Opaque, but comparable as a number of any length (KEP-5504); see resource-version.ts. */
  resourceVersion: string;
  /** Counts changes of spec; absent on kinds without a spec. */
  generation?: number;
  creationTimestamp?: string;
  /** Set once deletion was asked for; the object goes when its finalizers are gone. */
  deletionTimestamp?: string;
  deletionGracePeriodSeconds?: number;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  finalizers?: string[];
  ownerReferences?: OwnerReference[];
}

/** Any Kubernetes object. */
export interface KubeObject {
  apiVersion: string;
  kind: string;
  metadata: ObjectMeta;
}

/** metav1.Condition. */
export interface Condition {
  type: string;
  status: "True" | "False" | "Unknown";
  /** The generation that this condition was computed from. */
  observedGeneration: number;
  /** RFC 3339, whole seconds; moves only when `status` changes. */
  lastTransitionTime: string;
  /** CamelCase; part of the API. */
  reason: string;
  message: string;
}

/** Names one object within its kind; the key of work queues and caches. */
export interface ObjectKey {
  namespace: string;
  name: string;
}
