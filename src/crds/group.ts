/** Names that belong to the API as a whole: group, version, the kinds' names, annotation keys, the finalizer. */

/** API group of every kind of Drayage. */
export const GROUP = "edge.drayage.dev";
/** The one served and stored version. */
export const VERSION = "v1alpha1";
/** `apiVersion` of every object of ours. */
export const API_VERSION = `${GROUP}/${VERSION}` as const;

/** How each kind is called in URLs and by kubectl. */
export const KINDS = {
  EdgeBackend: { kind: "EdgeBackend", plural: "edgebackends", singular: "edgebackend", shortName: "eb" },
  EdgeDevice: { kind: "EdgeDevice", plural: "edgedevices", singular: "edgedevice", shortName: "ed" },
  EdgeContainer: { kind: "EdgeContainer", plural: "edgecontainers", singular: "edgecontainer", shortName: "ec" },
  EdgeStack: { kind: "EdgeStack", plural: "edgestacks", singular: "edgestack", shortName: "est" },
  EdgeRegistry: { kind: "EdgeRegistry", plural: "edgeregistries", singular: "edgeregistry", shortName: "er" },
} as const;

/** A kind of ours. */
export type KindName = keyof typeof KINDS;

/** On an object before the first effect outside the cluster, off when nothing is left there that is not accounted for. */
export const FINALIZER = `${GROUP}/finalizer` as const;

/** On the objects that an EdgeStack makes: its name. */
export const STACK_LABEL = `${GROUP}/stack` as const;

/** On an EdgeRegistry that Drayage has made for imagePullSecrets; "true". */
export const PULL_SECRET_LABEL = `${GROUP}/pull-secret` as const;

/** Annotations with which a user asks for something. The first three are acted on once per new value (status.lastHandled). */
export const ANNOTATIONS = {
  /** Restarts the container. */
  restartedAt: `${GROUP}/restartedAt`,
  /** Observes and reconciles now. */
  reconcileRequestedAt: `${GROUP}/reconcile-requested-at`,
  /** Ends a backoff and tries a failed or rolled back spec again. */
  retry: `${GROUP}/retry`,
  /** Releases AmbiguousCreate: the value is the id of the operation that is confirmed to have made nothing. */
  confirmNotCreated: `${GROUP}/confirm-not-created`,
  /** The value is the vendor's id of a rental that is confirmed to have ended, although the vendor does not say so. */
  confirmEnded: `${GROUP}/confirm-ended`,
  /** "true" lets go of an object although its container may still exist. */
  forceOrphan: `${GROUP}/force-orphan`,
} as const;
