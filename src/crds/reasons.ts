/**
 * Condition types and reasons. They are API: a reason may be added, never renamed or removed (test/unit/crds/reasons.test.ts
 * freezes them). The values are what stands in an object; the keys are only how the program names them.
 */

/** All condition types. */
export const CONDITION_TYPES = {
  Ready: "Ready",
  Reconciling: "Reconciling",
  Stalled: "Stalled",
  Suspended: "Suspended",
  Accepted: "Accepted",
  Synced: "Synced",
  DeviceReachable: "DeviceReachable",
  ImageAvailable: "ImageAvailable",
  SecretExposure: "SecretExposure",
  LeaseActive: "LeaseActive",
  CredentialsValid: "CredentialsValid",
} as const;

/** EdgeContainer Ready, by status. */
export const READY_TRUE = {
  Running: "Running",
  Stopped: "Stopped",
  Paused: "Paused",
  /** Ended with 0 and the policy forbids a restart. */
  Completed: "Completed",
  /** The backend cannot observe what runs. */
  RunningUnverified: "RunningUnverified",
} as const;

export const READY_FALSE = {
  Progressing: "Progressing",
  CrashLoopBackOff: "CrashLoopBackOff",
  ImagePullBackOff: "ImagePullBackOff",
  ErrImageNeverPull: "ErrImageNeverPull",
  CreateContainerConfigError: "CreateContainerConfigError",
  CreateContainerError: "CreateContainerError",
  RunContainerError: "RunContainerError",
  OperationFailed: "OperationFailed",
  /** Always with Stalled. */
  Rejected: "Rejected",
  /** Ended non-zero and the policy forbids a restart; with Stalled ContainerFailed. */
  Failed: "Failed",
} as const;

export const READY_UNKNOWN = {
  DeviceUnreachable: "DeviceUnreachable",
  BackendUnreachable: "BackendUnreachable",
} as const;

/** Reconciling: present only while True. */
export const RECONCILING = {
  Creating: "Creating",
  PullingImage: "PullingImage",
  Updating: "Updating",
  Recreating: "Recreating",
  Swapping: "Swapping",
  Removing: "Removing",
  WaitingForDevice: "WaitingForDevice",
  WaitingForReference: "WaitingForReference",
  WaitingForRelease: "WaitingForRelease",
  BackingOff: "BackingOff",
} as const;

/** Stalled: present only while True; only a change to this object's own spec or an annotation helps. */
export const STALLED = {
  InvalidSpec: "InvalidSpec",
  UnsupportedField: "UnsupportedField",
  NameConflict: "NameConflict",
  PortConflict: "PortConflict",
  PortOutOfRange: "PortOutOfRange",
  InvalidImageName: "InvalidImageName",
  ImageUnauthorized: "ImageUnauthorized",
  DeviceNotFound: "DeviceNotFound",
  WrongDeviceKind: "WrongDeviceKind",
  DuplicateTarget: "DuplicateTarget",
  StackOwned: "StackOwned",
  AmbiguousCreate: "AmbiguousCreate",
  RecreateNotAllowed: "RecreateNotAllowed",
  ContainerFailed: "ContainerFailed",
  RolledBack: "RolledBack",
  ProgressDeadlineExceeded: "ProgressDeadlineExceeded",
} as const;

/** Suspended: present only while True. */
export const SUSPENDED = { Suspended: "Suspended" } as const;

/** Accepted: whether the spec and everything it refers to can be used as they are. */
export const ACCEPTED = {
  Accepted: "Accepted",
  Rejected: "Rejected",
  NotAllowedNamespace: "NotAllowedNamespace",
  BackendNotFound: "BackendNotFound",
  BackendNotReady: "BackendNotReady",
  DeviceNotFound: "DeviceNotFound",
  DeviceNotReady: "DeviceNotReady",
  RegistryNotFound: "RegistryNotFound",
  RegistryNotReady: "RegistryNotReady",
  SecretNotFound: "SecretNotFound",
  SecretKeyMissing: "SecretKeyMissing",
  SecretMalformed: "SecretMalformed",
  ConfigMapNotFound: "ConfigMapNotFound",
  ConfigMapKeyMissing: "ConfigMapKeyMissing",
  DuplicateTarget: "DuplicateTarget",
} as const;

/** Synced: whether what was observed equals the spec. */
export const SYNCED = {
  InSync: "InSync",
  Drifted: "Drifted",
  ObserveFailed: "ObserveFailed",
  ObserveUnsupported: "ObserveUnsupported",
} as const;

/** DeviceReachable: True for Connected and Busy, False for Offline. Also status.connection.state of an EdgeDevice. */
export const DEVICE_REACHABLE = {
  Connected: "Connected",
  Busy: "Busy",
  Offline: "Offline",
  Unknown: "Unknown",
} as const;

/** ImageAvailable: present where the backend tells. */
export const IMAGE_AVAILABLE = {
  Available: "Available",
  Pulling: "Pulling",
  PullFailed: "PullFailed",
  Unauthorized: "Unauthorized",
} as const;

/** SecretExposure: True where Secret values can be read back over the vendor's API. */
export const SECRET_EXPOSURE = { ReadableAtVendor: "ReadableAtVendor" } as const;

/** LeaseActive: present on backends that bill; True while something is rented for this object. */
export const LEASE_ACTIVE = { Rented: "Rented", Released: "Released" } as const;

/** EdgeBackend Ready. */
export const BACKEND_READY = {
  Connected: "Connected",
  /** Neither reached nor refused yet. */
  Connecting: "Connecting",
  ConnectionFailed: "ConnectionFailed",
  Unauthorized: "Unauthorized",
  TLSFailed: "TLSFailed",
  /** The spec or a Secret it names cannot be used. */
  Rejected: "Rejected",
} as const;

/** EdgeDevice Ready. */
export const DEVICE_READY = {
  Connected: "Connected",
  Busy: "Busy",
  BackendNotReady: "BackendNotReady",
  DeviceNotFound: "DeviceNotFound",
  DeviceUnreachable: "DeviceUnreachable",
  /** Not known yet. */
  Progressing: "Progressing",
  Rejected: "Rejected",
} as const;

/** EdgeStack Ready. */
export const STACK_READY = {
  AllReady: "AllReady",
  ChildrenNotReady: "ChildrenNotReady",
  /** Nothing was made; Stalled says why. */
  Rejected: "Rejected",
} as const;

/** EdgeRegistry Ready. */
export const REGISTRY_READY = {
  /** Every backend named has the login, or takes it with each container. */
  Ready: "Ready",
  Progressing: "Progressing",
  /** A backend named takes no login. */
  Unsupported: "Unsupported",
  /** A registry of that host at the vendor is not this object's. */
  Conflict: "Conflict",
  BackendNotReady: "BackendNotReady",
  /** The vendor refuses; tried again. */
  OperationFailed: "OperationFailed",
  /** The Secret cannot be used, or the spec. */
  Rejected: "Rejected",
} as const;

/** CredentialsValid: True, False, and Unknown. */
export const CREDENTIALS_VALID = {
  Valid: "Valid",
  Invalid: "Invalid",
  /** No vendor has told, or none can. */
  NotChecked: "NotChecked",
} as const;

export type ConditionType = keyof typeof CONDITION_TYPES;
export type ReadyReason = keyof typeof READY_TRUE | keyof typeof READY_FALSE | keyof typeof READY_UNKNOWN;
export type ReconcilingReason = keyof typeof RECONCILING;
export type StalledReason = keyof typeof STALLED;
export type AcceptedReason = keyof typeof ACCEPTED;
export type SyncedReason = keyof typeof SYNCED;
export type DeviceReachableReason = keyof typeof DEVICE_REACHABLE;
export type BackendReadyReason = keyof typeof BACKEND_READY;
export type DeviceReadyReason = keyof typeof DEVICE_READY;
export type StackReadyReason = keyof typeof STACK_READY;
export type RegistryReadyReason = keyof typeof REGISTRY_READY;
export type CredentialsValidReason = keyof typeof CREDENTIALS_VALID;
