/**
 * Everything that one pass over an EdgeContainer knows. Filled from top to bottom by the phases in reconcile.ts, then read by
 * status.ts, which computes status from it alone.
 */
import type {
  AccountStatus,
  DesiredContainer,
  DeviceSession,
  DeviceSnapshot,
  FieldProblem,
  InFlight,
  Planner,
} from "../../backends/contract.ts";
import type { BackendFailure } from "../../backends/errors.ts";
import type { EdgeContainer, EdgeContainerStatus, Operation } from "../../crds/edge-container.ts";
import type { PullLogin } from "../edge-registry/pull-secrets.ts";
import type { Backoff } from "./failures.ts";
import type { Plan } from "./plan/types.ts";
import type { RunAccount } from "./runs.ts";
import type { Settings } from "./settings.ts";

/** Whether the object may be acted upon, and why not. */
export type Acceptance =
  | { accepted: true }
  /** Only this object's own spec can mend it. */
  | { accepted: false; kind: "Rejected"; reason: string; stalledReason: string; message: string }
  /** A sibling object may mend it. */
  | { accepted: false; kind: "Waiting"; reason: string; message: string };

/** The device side, as far as it was resolved. */
export interface Target {
  planner: Planner;
  session: DeviceSession;
  snapshot: DeviceSnapshot;
  account: AccountStatus;
  /** Backend.settleMs. */
  settleMs: number;
  /** Keyed hash of whose account this is, where containers cost money. */
  identity?: string;
}

/** One pass. */
export interface Scope {
  /** As read, or as our last write in this pass left it. */
  object: EdgeContainer;
  readonly settings: Settings;
  readonly nowMs: number;
  readonly readOnly: boolean;
  acceptance: Acceptance;
  /** Suspended by this object, its device or its backend; which. */
  suspendedBy?: string;
  target?: Target;
  /** The backend's connection is down or refused, or the device has no session: in words. */
  backendProblem?: string;
  desired?: DesiredContainer;
  hash?: string;
  /** Variables and fields whose values come from Secrets and can be read back at the vendor. */
  exposed: readonly string[];
  /** The device's offlineReadiness is LastKnown: what was Ready stays so while the device is offline. */
  keepsReadiness: boolean;
  ignored: readonly FieldProblem[];
  plan?: Plan;
  /** The plan's container carries this object's mark. */
  isMarked?: boolean;
  runs?: RunAccount;
  /** The journal as it shall stand after this pass. */
  operation?: Operation;
  backoff?: Backoff;
  /** The failure that stands, with its time. */
  failure?: StandingFailure;
  /** Ms since when a name or port conflict stands. */
  conflictSinceMs?: number;
  /** Ms since when the present generation is being rolled out. */
  rolloutSinceMs?: number;
  /** This spec failed and was rolled back, or is about to be (status.failed). */
  failed?: FailedSpec;
  /** How far the device is with this object's own command, where it tells. */
  progress?: NonNullable<InFlight["progress"]>;
  deletion?: { message: string };
  /** The login for which an EdgeRegistry is to be made. */
  pullLogin?: PullLogin;
  restartRequest?: string;
}

/** A failure that has not been overcome yet. */
export interface StandingFailure {
  failure: BackendFailure;
  atMs: number;
  generation: number;
  /** The journalled operation that it happened to. */
  operationId?: string;
}

/** status.failed. */
export type FailedSpec = NonNullable<EdgeContainerStatus["failed"]>;
