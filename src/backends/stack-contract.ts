/**
 * Stacks that a vendor keeps itself, as objects of a project that services and volumes are in (mittwald): the contract between the reconciler
 * of EdgeStack in mode Own and the backends that have such stacks. Services in them go through DeviceSession, as in any other stack; here is
 * what is done to a stack as a whole. Elsewhere a stack is only an order of containers, and an account has no keeper.
 *
 * Guarantees
 *  S1  Each call is one request that changes something, at most. Nothing is queued, and nothing is sent again by itself.
 *  S2  The fence is checked in the same turn of the event loop as a request that changes something is handed to the connection.
 *  S3  What changes a stack looks first, with a view that has our own last write, and refuses (Conflict) where that shows something else
 *      than the caller saw: another mark on the stack, other services. A project's default stack is never changed, and no service that
 *      carries anybody's mark is removed.
 *  S4  No value of a variable is in an outcome or a listing.
 */
import type { BackendFailure } from "./errors.ts";

/** The mark by which a stack is known as ours, whatever was lost here. */
export interface StackMarker {
  /** Installation id (option --owner-id). */
  owner: string;
  namespace: string;
  name: string;
  /** metadata.uid of the EdgeStack. */
  uid: string;
  /** status.operation.id of the EdgeStack, under which it was made. */
  operation: string;
}

/** A stack that is to be changed, as its owner last saw it. */
export interface OwnStack {
  projectId: string;
  id: string;
  /** The whole mark that was seen on it. */
  marker: StackMarker;
}

/** A stack of a project, as the vendor lists it. */
export interface ObservedStack {
  id: string;
  /** The vendor's own, which every project has; never a stack of ours. */
  isDefault: boolean;
  marker?: StackMarker;
  services: readonly {
    id: string;
    name: string;
    /** The EdgeContainer whose mark it carries. */
    marker?: { owner: string; namespace: string; name: string };
  }[];
  volumes: readonly { id: string; name: string }[];
}

/** The stacks of a project, or why they are not known. */
export type StackListing =
  | {
      ok: true;
      stacks: readonly ObservedStack[];
      /** The vendor could not show its newest state in time: absence and difference mean nothing. */
      stale: boolean;
    }
  | { ok: false; failure: BackendFailure };

/** How a change ended. Refused: not sent (fence). Lost: sent, and what became of it is not known. */
export type StackOutcome =
  | { result: "Succeeded"; id?: string }
  | { result: "Failed"; failure: BackendFailure }
  | { result: "Lost"; message: string }
  | { result: "Refused"; message: string };

/** Looks after stacks of an account's projects. No call rejects. */
export interface StackKeeper {
  /**
   * Every stack of a project.
   *
   * @param maxAgeMs how old the answer may be; one listing serves all who ask, and so does what is listed for the project's devices anyway.
   *   Anything before a change through this keeper is too old, and 0 asks the vendor.
   */
  list(projectId: string, maxAgeMs: number): Promise<StackListing>;
  /** Makes one. Not idempotent: only for a journalled operation; look by marker first, and after an outcome that is Lost. */
  create(projectId: string, marker: StackMarker): Promise<StackOutcome>;
  /** Declares volumes that are not there yet. Idempotent. */
  addVolumes(stack: OwnStack, names: readonly string[]): Promise<StackOutcome>;
  /** Removes services that still have these ids. */
  removeServices(stack: OwnStack, services: readonly { id: string; name: string }[]): Promise<StackOutcome>;
  /** Leaves nothing in it but volumes, detached, with their data. Idempotent. */
  empty(stack: OwnStack): Promise<StackOutcome>;
  /** Destroys a volume that nothing mounts. One that is gone already is Succeeded. */
  removeVolume(stack: OwnStack, volumeId: string): Promise<StackOutcome>;
  /** Removes a stack in which neither services nor volumes are left. */
  remove(stack: OwnStack): Promise<StackOutcome>;
}
