/**
 * The words of plan(): what it is given and the closed union of steps it answers with. Everything here is plain data, so
 * that a decision can be written down as a table and replayed.
 */
import type {
  CommandAction,
  DesiredContainer,
  Difference,
  ObservedContainer,
  ObservedVolume,
  Planner,
  StopOptions,
} from "../../../backends/contract.ts";
import type { BackendFailure } from "../../../backends/errors.ts";
import type { Operation } from "../../../crds/edge-container.ts";
import type { RunHistory } from "../runs.ts";

/** Who we are: what a marker must say for a container to be this object's. */
export interface Identity {
  owner: string;
  namespace: string;
  name: string;
  uid: string;
}

/** How far the journalled operation has got, as far as can be proven (DeviceSession.settle and the last outcome). */
export type OperationProgress =
  /** A command of it may still be running or under way. */
  | { state: "Open" }
  /** Everything sent for it has ended or never arrived; the inventory tells which. */
  | { state: "Closed"; failure?: BackendFailure };

/** The journal's entry and its progress. */
export interface OpenOperation {
  entry: Operation;
  progress: OperationProgress;
}

/** The settings of the spec that steer plan(), with defaults applied. */
export interface PlanPolicy {
  managementPolicy: "Manage" | "Observe";
  driftPolicy: "Correct" | "Report";
  updateStrategy: "Recreate" | "Swap" | "InPlaceOnly" | "OnDelete";
  adoption: { policy: "Never" } | { policy: "ByName" } | { policy: "ById"; externalId: string };
  stop: StopOptions;
  /** Whether a removal also destroys the volumes that the container had. */
  deletesVolumes?: boolean;
  /** Whether a failed Swap goes back to the old container. */
  rollbackOnFailure: boolean;
  /** How long a new container must run before a Swap removes the old one, ms. */
  minReadyMs: number;
  /** How long a Swap may keep the old container down without the new one being ready, ms. */
  progressDeadlineMs: number;
  /** A run this long forgets the crashes before it, ms (runs.ts). */
  resetAfterMs: number;
  /** How long an ended process may stay ended although its policy restarts it, ms. */
  restartPatienceMs: number;
}

/** What Drayage did and saw before: read from status, so it survives a restart. */
export interface PlanMemory {
  /** status.external.id. */
  externalId?: string;
  /** status.applied: what the last completed rollout consisted of. */
  applied?: { generation: number; hash: string; paths: readonly string[] };
  operation?: OpenOperation;
  /** The desiredState last reached was Stopped: starting again is then a wish, not a retry. */
  wasStopped: boolean;
  /** The desired run state was reached at this generation: what is otherwise now is somebody else's doing. */
  reached: boolean;
  /** No effect towards the desired state before this, ms since the epoch (status.backoff.nextRetryTime). */
  notBeforeMs?: number;
  /** A command for this object has been sent or answered and the inventory does not show its effect yet. */
  inFlight?: "Sent" | "AwaitingObservation";
  /** The rental whose failure has been counted by this process. */
  failedExternalId?: string;
  /** A value of the restartedAt annotation that has not been acted on. */
  restartRequest?: string;
  /** This very spec failed and was (or is being) rolled back: it is not tried again (status.failed). */
  hasFailed?: boolean;
  /** The failure that stands at this generation, and the operation that it happened to. */
  failure?: { failure: BackendFailure; operationId?: string };
  /** What has been counted of runs; absent: nothing. */
  runs?: RunHistory;
}

/** Why the new container of a Swap counts as failed. */
export interface TrialFailure {
  /** One word, for status.failed. */
  reason: string;
  /** For status.lastFailure. */
  failure: BackendFailure;
}

/** A removal that still has to be done on the device, of another object's container: what it holds is released in time. */
export interface PendingClaim {
  namespace: string;
  name: string;
  externalId?: string;
}

/** Everything plan() may look at. */
export interface PlanInput {
  now: number;
  me: Identity;
  generation: number;
  desired: DesiredContainer;
  /** Keyed hash of planner.identity(desired). */
  hash: string;
  planner: Planner;
  policy: PlanPolicy;
  memory: PlanMemory;
  /** The whole inventory of the device. Only meaningful while `synced`. */
  containers: readonly ObservedContainer[];
  /** Named volumes on the device, where the vendor lists them. */
  volumes?: readonly ObservedVolume[];
  synced: boolean;
  /** DeviceSnapshot.isAbsenceOpen. */
  isAbsenceOpen?: boolean;
  pending: readonly PendingClaim[];
  /** Ids that other objects on the device have recorded as theirs: not up for adoption. */
  claimed: ReadonlySet<string>;
  /** A fresh id for an operation that this pass may open. */
  freshOperationId: string;
}

/** Why a Wait: the Reconciling reason that it stands for, or none where waiting is the steady state. */
export type WaitReason =
  | "Observing"
  | "Operation"
  | "BackingOff"
  | "NameConflict"
  | "PortConflict"
  | "PendingRemoval"
  | "Effect"
  /** The new container of a Swap runs and has to go on for minReadySeconds. */
  | "Trial";

/** One pass's answer. At most one external effect; Create is the only one that needs the journal. */
export type Step =
  | { type: "None" }
  /** Send the create of `operation`, once the journal entry is acknowledged. */
  | { type: "Create"; operation: Operation }
  | { type: "Start"; action: CommandAction }
  | { type: "Stop"; action: CommandAction }
  | { type: "Pause"; action: CommandAction }
  | { type: "Resume"; action: CommandAction }
  | { type: "Update"; action: CommandAction; differences: readonly Difference[] }
  | { type: "Rename"; action: CommandAction; differences: readonly Difference[] }
  | { type: "Remove"; action: CommandAction }
  /** As Create, beside the old container, which is stopped and removed once the new one exists (its image is then pulled). */
  | { type: "Recreate"; operation: Operation; differences: readonly Difference[] }
  /** As Recreate, but the old container stays, stopped, until the new one has proven itself. */
  | { type: "Swap"; operation: Operation; differences: readonly Difference[] }
  /** Journal only: the new container of a Swap has failed, and from here on the way leads back to the old one. */
  | { type: "RollBack"; operation: Operation; because: TrialFailure }
  /** Journal only: the following passes stop and start. */
  | { type: "Restart"; operation: Operation }
  /** Status only: the operation has ended; `failure` if it did not reach its end. */
  | { type: "Close"; failure?: BackendFailure }
  /** Status only: take over a container that does not carry our marker. */
  | { type: "Adopt"; externalId: string }
  | { type: "Wait"; reason: WaitReason; message: string; untilMs?: number }
  /** Only a change of the spec or an annotation helps. */
  | { type: "Reject"; reason: "NameConflict" | "RecreateNotAllowed"; message: string };

/** The answer with what it was derived from, for status. */
export interface Plan {
  step: Step;
  /** The container that this object is about, if there is one. */
  primary?: ObservedContainer;
  /** Differences between spec and primary, whatever is done about them. */
  differences: readonly Difference[];
  /** The differences are not the spec's doing: somebody changed the container. */
  drifted: boolean;
  /** This spec has failed and the container from before it is back: the differences are left alone. */
  rolledBack?: boolean;
  /** The journal's entry as it shall stand after this step; for Create, Recreate, Swap, RollBack and Restart before it. */
  operation?: Operation;
}
