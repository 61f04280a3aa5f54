/** What each reason and annotation means, for the docs. The types see to it that none is left out. */
import type { ANNOTATIONS } from "../group.ts";
import type {
  ACCEPTED,
  BACKEND_READY,
  CREDENTIALS_VALID,
  DEVICE_READY,
  DEVICE_REACHABLE,
  IMAGE_AVAILABLE,
  LEASE_ACTIVE,
  READY_FALSE,
  READY_TRUE,
  READY_UNKNOWN,
  RECONCILING,
  REGISTRY_READY,
  SECRET_EXPOSURE,
  STACK_READY,
  STALLED,
  SUSPENDED,
  SYNCED,
} from "../reasons.ts";

type Meanings<Table> = Record<keyof Table, string>;

/** One table of reasons. */
export interface ReasonSection {
  title: string;
  text: string;
  reasons: Record<string, string>;
}

export const REASON_DOCS: readonly ReasonSection[] = [
  {
    title: "EdgeContainer: Ready is True",
    text: "What was observed has equalled the spec, at this generation, for minReadySeconds.",
    reasons: {
      Running: "It runs.",
      Stopped: "It is stopped, as wanted.",
      Paused: "It is paused, as wanted.",
      Completed: "Its process ended with 0 and the restart policy forbids another run.",
      RunningUnverified: "The vendor accepted it and offers no way to look.",
    } satisfies Meanings<typeof READY_TRUE>,
  },
  {
    title: "EdgeContainer: Ready is False",
    text: "It is not as wanted. Reconciling or Stalled tells whether Drayage goes on by itself.",
    reasons: {
      Progressing: "On the way.",
      CrashLoopBackOff:
        "Its process keeps ending; it counts as healed once it has run twice as long as its last failed run.",
      ImagePullBackOff: "The image cannot be pulled; tried again with growing pauses.",
      ErrImageNeverPull: "imagePullPolicy is Never and the image is not on the device.",
      CreateContainerConfigError: "The vendor refuses the configuration.",
      CreateContainerError: "The container could not be made.",
      RunContainerError: "The container could not be started.",
      OperationFailed: "An operation at the vendor failed.",
      Rejected: "Nothing was sent; Stalled says what to change.",
      Failed: "Its process ended with another code than 0 and the restart policy forbids another run.",
    } satisfies Meanings<typeof READY_FALSE>,
  },
  {
    title: "EdgeContainer: Ready is Unknown",
    text: "Nothing can be observed. The last known state is kept.",
    reasons: {
      DeviceUnreachable: "The device is offline.",
      BackendUnreachable: "The account or broker cannot be reached.",
    } satisfies Meanings<typeof READY_UNKNOWN>,
  },
  {
    title: "Reconciling",
    text: "Present only while True: Drayage is at work or waits for something that may come by itself.",
    reasons: {
      Creating: "The container is being made.",
      PullingImage: "The device pulls the image.",
      Updating: "Settings are changed in place.",
      Recreating: "The container is replaced by a new one.",
      Swapping:
        "The container is replaced by a new one, and kept to go back to until that has run for minReadySeconds.",
      Removing: "The container is being removed.",
      WaitingForDevice: "The device is offline; the newest spec is applied when it comes back.",
      WaitingForReference: "A device, backend, Secret, ConfigMap or registry is missing or not ready.",
      WaitingForRelease:
        "Another container still holds the name or a host port; or a registry of the host, for an EdgeRegistry.",
      BackingOff: "The next try is due at status.backoff.nextRetryTime.",
    } satisfies Meanings<typeof RECONCILING>,
  },
  {
    title: "Stalled",
    text: "Present only while True: only a change of this object's spec or an annotation helps.",
    reasons: {
      InvalidSpec: "The spec cannot be right; the message names the field.",
      UnsupportedField: "The backend cannot do what a field asks for; nothing was sent.",
      NameConflict:
        "A container that is not this object's has the name on the device; for an EdgeRegistry, somebody else's registry has the host.",
      PortConflict: "A container that is not this object's holds a host port.",
      PortOutOfRange: "The backend does not offer a host port.",
      InvalidImageName: "The image reference cannot be right.",
      ImageUnauthorized:
        "Not set by any backend yet: where a registry refuses the image, Ready is False ImagePullBackOff and ImageAvailable False Unauthorized, since credentials are mended elsewhere than in this object.",
      DeviceNotFound: "The vendor does not know the device.",
      WrongDeviceKind: "The EdgeDevice is for another vendor than its EdgeBackend.",
      DuplicateTarget: "An older EdgeDevice stands for the same target.",
      StackOwned: "An EdgeStack owns what this object describes.",
      AmbiguousCreate:
        "Whether a creation took place cannot be found out; look, then set confirm-not-created or adopt.",
      RecreateNotAllowed: "The change needs a new container and updateStrategy is InPlaceOnly.",
      ContainerFailed: "The container failed and its restart policy forbids another run.",
      RolledBack: "The new container failed and the old one is back.",
      ProgressDeadlineExceeded: "The rollout has taken longer than progressDeadlineSeconds; success later clears it.",
    } satisfies Meanings<typeof STALLED>,
  },
  {
    title: "Suspended",
    text: "Present only while True: spec.suspend is set here, on the device or on the backend.",
    reasons: { Suspended: "Nothing is changed; state is still observed." } satisfies Meanings<typeof SUSPENDED>,
  },
  {
    title: "Accepted",
    text: "Whether the spec and everything it refers to can be used.",
    reasons: {
      Accepted: "They can.",
      Rejected: "The spec cannot; Stalled says why.",
      NotAllowedNamespace: "The EdgeBackend's allowedNamespaces does not let this namespace in.",
      BackendNotFound: "The EdgeBackend does not exist.",
      BackendNotReady: "The EdgeBackend is not ready yet.",
      DeviceNotFound: "The EdgeDevice does not exist.",
      DeviceNotReady: "The EdgeDevice is not ready yet.",
      RegistryNotFound: "The EdgeRegistry does not exist.",
      RegistryNotReady: "The EdgeRegistry does not name the backend, or its login does not stand in the project yet.",
      SecretNotFound: "A Secret does not exist.",
      SecretKeyMissing: "A Secret lacks a key.",
      SecretMalformed: "A Secret's value cannot be used.",
      ConfigMapNotFound: "A ConfigMap does not exist.",
      ConfigMapKeyMissing: "A ConfigMap lacks a key.",
      DuplicateTarget: "An older EdgeDevice stands for the same target.",
    } satisfies Meanings<typeof ACCEPTED>,
  },
  {
    title: "Synced",
    text: "Whether what was observed equals the spec.",
    reasons: {
      InSync: "It does.",
      Drifted: "It does not; status.drift lists the fields.",
      ObserveFailed: "The last look failed.",
      ObserveUnsupported: "The vendor offers no way to look (status Unknown).",
    } satisfies Meanings<typeof SYNCED>,
  },
  {
    title: "DeviceReachable",
    text: "True for Connected and Busy, False for Offline.",
    reasons: {
      Connected: "The device answers.",
      Busy: "It is silent while it carries out a command.",
      Offline: "It does not answer.",
      Unknown: "Not known yet.",
    } satisfies Meanings<typeof DEVICE_REACHABLE>,
  },
  {
    title: "ImageAvailable",
    text: "Present where the backend tells about images.",
    reasons: {
      Available: "The image is on the device.",
      Pulling: "It is being pulled.",
      PullFailed: "It could not be pulled.",
      Unauthorized: "The registry refuses it.",
    } satisfies Meanings<typeof IMAGE_AVAILABLE>,
  },
  {
    title: "SecretExposure",
    text: "Present where values from Secrets are passed to a vendor that shows them to others; the message names the variables and fields.",
    reasons: {
      ReadableAtVendor: "Whoever may read the vendor's API, or a Kanto device's broker, can read them.",
    } satisfies Meanings<typeof SECRET_EXPOSURE>,
  },
  {
    title: "LeaseActive",
    text: "Present on backends that bill.",
    reasons: {
      Rented: "Something is rented for this object and costs money.",
      Released: "Nothing is.",
    } satisfies Meanings<typeof LEASE_ACTIVE>,
  },
  {
    title: "EdgeBackend: Ready",
    text: "Whether the account or broker can be used.",
    reasons: {
      Connected: "It can.",
      Connecting: "Not known yet.",
      ConnectionFailed: "It cannot be reached.",
      Unauthorized: "It refuses the credentials.",
      TLSFailed: "The TLS connection cannot be made.",
      Rejected: "The spec, or a Secret it names, cannot be used.",
    } satisfies Meanings<typeof BACKEND_READY>,
  },
  {
    title: "EdgeDevice: Ready",
    text: "Whether containers can be run on the device.",
    reasons: {
      Connected: "The device answers.",
      Busy: "It is silent while it carries out a command.",
      BackendNotReady: "Its EdgeBackend is missing or not ready.",
      DeviceNotFound: "The vendor does not know it.",
      DeviceUnreachable: "It is offline (status Unknown).",
      Progressing: "Not known yet.",
      Rejected: "The spec cannot be used; Stalled says why.",
    } satisfies Meanings<typeof DEVICE_READY>,
  },
  {
    title: "EdgeStack: Ready",
    text: "Whether every container of the stack is Ready. Reconciling and Stalled have the reasons of the container that they are about, which the message names.",
    reasons: {
      AllReady: "Every container is Ready, and none is left of those that have gone from the spec.",
      ChildrenNotReady: "A container is not (status False), or whether it is cannot be known (status Unknown).",
      Rejected: "The spec cannot be used as it is; Stalled says why.",
    } satisfies Meanings<typeof STACK_READY>,
  },
  {
    title: "EdgeRegistry: Ready",
    text: "Whether the login can be used on every backend that spec.backendRefs names.",
    reasons: {
      Ready: "Every backend has it, or takes it with each container.",
      Progressing: "On the way.",
      Unsupported: "A backend that is named takes no login; the others have it all the same.",
      Conflict: "The vendor has a registry of that host which is not this object's; it is left as it is.",
      BackendNotReady: "An EdgeBackend is missing, not allowed or not ready.",
      OperationFailed: "The vendor refuses it, or cannot reach the registry; tried again with growing pauses.",
      Rejected: "The spec, or the Secret it names, cannot be used.",
    } satisfies Meanings<typeof REGISTRY_READY>,
  },
  {
    title: "EdgeRegistry: CredentialsValid",
    text: "What the vendor says of the login. It checks from time to time, so this lags behind a change.",
    reasons: {
      Valid: "The registry took the login in every project, as last checked.",
      Invalid: "The registry refused the login in at least one project, as last checked (status False).",
      NotChecked: "No vendor has told, or none can (status Unknown).",
    } satisfies Meanings<typeof CREDENTIALS_VALID>,
  },
];

export const ANNOTATION_DOCS: Record<keyof typeof ANNOTATIONS, string> = {
  restartedAt: "A new value restarts the container once.",
  reconcileRequestedAt: "A new value makes Drayage look at the device and act at once.",
  retry: "A new value ends a backoff and tries a failed or rolled back spec again.",
  confirmNotCreated: "The id of an operation: confirms that it made nothing, which releases AmbiguousCreate.",
  confirmEnded:
    "The vendor's id of a rental: confirms that it has ended, where the vendor does not know it and that proves nothing.",
  forceOrphan: '"true" lets the object go although its container, or its rental, may still exist.',
};
