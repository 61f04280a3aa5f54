import { expect, test } from "vitest";
import { ANNOTATIONS, API_VERSION, FINALIZER, KINDS } from "../../../src/crds/group.ts";
import * as reasons from "../../../src/crds/reasons.ts";

// These words are API. A new one is added here by hand; a changed or missing one breaks users' alerts and scripts.
const FROZEN = {
  CONDITION_TYPES:
    "Ready Reconciling Stalled Suspended Accepted Synced DeviceReachable ImageAvailable SecretExposure LeaseActive CredentialsValid",
  READY_TRUE: "Running Stopped Paused Completed RunningUnverified",
  READY_FALSE:
    "Progressing CrashLoopBackOff ImagePullBackOff ErrImageNeverPull CreateContainerConfigError CreateContainerError RunContainerError OperationFailed Rejected Failed",
  READY_UNKNOWN: "DeviceUnreachable BackendUnreachable",
  RECONCILING:
    "Creating PullingImage Updating Recreating Swapping Removing WaitingForDevice WaitingForReference WaitingForRelease BackingOff",
  STALLED:
    "InvalidSpec UnsupportedField NameConflict PortConflict PortOutOfRange InvalidImageName ImageUnauthorized DeviceNotFound WrongDeviceKind DuplicateTarget StackOwned AmbiguousCreate RecreateNotAllowed ContainerFailed RolledBack ProgressDeadlineExceeded",
  SUSPENDED: "Suspended",
  ACCEPTED:
    "Accepted Rejected NotAllowedNamespace BackendNotFound BackendNotReady DeviceNotFound DeviceNotReady RegistryNotFound RegistryNotReady SecretNotFound SecretKeyMissing SecretMalformed ConfigMapNotFound ConfigMapKeyMissing DuplicateTarget",
  SYNCED: "InSync Drifted ObserveFailed ObserveUnsupported",
  DEVICE_REACHABLE: "Connected Busy Offline Unknown",
  IMAGE_AVAILABLE: "Available Pulling PullFailed Unauthorized",
  SECRET_EXPOSURE: "ReadableAtVendor",
  LEASE_ACTIVE: "Rented Released",
  BACKEND_READY: "Connected Connecting ConnectionFailed Unauthorized TLSFailed Rejected",
  DEVICE_READY: "Connected Busy BackendNotReady DeviceNotFound DeviceUnreachable Progressing Rejected",
  STACK_READY: "AllReady ChildrenNotReady Rejected",
  REGISTRY_READY: "Ready Progressing Unsupported Conflict BackendNotReady OperationFailed Rejected",
  CREDENTIALS_VALID: "Valid Invalid NotChecked",
};

test("condition types and reasons are the frozen ones, each key naming itself", () => {
  const tables = Object.fromEntries(
    Object.entries(reasons).map(([name, table]) => {
      for (const [key, value] of Object.entries(table)) expect(value).toBe(key);
      return [name, Object.values(table).join(" ")];
    }),
  );
  expect(tables).toEqual(FROZEN);
});

test("a reason is a word that metav1.Condition accepts", () => {
  for (const word of Object.values(FROZEN).join(" ").split(" ")) expect(word).toMatch(/^[A-Z][A-Za-z]{1,63}$/);
});

test("group, names, annotations and finalizer are the frozen ones", () => {
  expect(API_VERSION).toBe("edge.drayage.dev/v1alpha1");
  expect(FINALIZER).toBe("edge.drayage.dev/finalizer");
  expect(Object.values(ANNOTATIONS)).toEqual([
    "edge.drayage.dev/restartedAt",
    "edge.drayage.dev/reconcile-requested-at",
    "edge.drayage.dev/retry",
    "edge.drayage.dev/confirm-not-created",
    "edge.drayage.dev/confirm-ended",
    "edge.drayage.dev/force-orphan",
  ]);
  expect(Object.values(KINDS).map(({ kind, plural, shortName }) => [kind, plural, shortName])).toEqual([
    ["EdgeBackend", "edgebackends", "eb"],
    ["EdgeDevice", "edgedevices", "ed"],
    ["EdgeContainer", "edgecontainers", "ec"],
    ["EdgeStack", "edgestacks", "est"],
    ["EdgeRegistry", "edgeregistries", "er"],
  ]);
});
