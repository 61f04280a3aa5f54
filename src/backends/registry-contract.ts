/**
 * Logins at image registries that a vendor keeps itself, as objects of a project (mittwald): the contract between reconcilers and the backends
 * that do so. Elsewhere a login goes with each container (DesiredContainer.registryAuth), or not at all.
 *
 * Guarantees
 *  R1  Each call is one request that changes something, at most. Nothing is queued, and nothing is sent again by itself.
 *  R2  The fence is checked in the same turn of the event loop as a request that changes something is handed to the connection.
 *  R3  No password is in an outcome, a listing or a log line.
 */
import type { RegistryAuth } from "./contract.ts";
import type { BackendFailure } from "./errors.ts";

/** The mark by which a registry at the vendor is known as ours, whatever was lost here. */
export interface RegistryMarker {
  /** Installation id (option --owner-id). */
  owner: string;
  namespace: string;
  name: string;
  /** metadata.uid of the EdgeRegistry. */
  uid: string;
  /** Created: to be removed with the EdgeRegistry. Default: the project had it before; only its login is set, and taken out again. */
  origin: "Created" | "Default";
}

/** A registry of a project as the vendor lists it. */
export interface ObservedRegistry {
  id: string;
  /** As the vendor spells it. */
  host: string;
  /** Its description, our marker included. */
  description: string;
  marker?: RegistryMarker;
  /** One of those that every project has from the beginning, by its host. */
  isDefault: boolean;
  /** Whose login it has; absent if it has none. */
  username?: string;
  /** Whether the registry takes the login, as the vendor last checked: that lags behind a change. Absent without a login. */
  valid?: boolean;
}

/** The registries of a project, or why they are not known. */
export type RegistryListing =
  | {
      ok: true;
      registries: readonly ObservedRegistry[];
      /** The vendor could not show its newest state in time: absence and difference mean nothing. */
      stale: boolean;
    }
  | { ok: false; failure: BackendFailure };

/** How a change ended. Refused: not sent (fence). Lost: sent, and what became of it is not known. */
export type RegistryOutcome =
  | { result: "Succeeded"; id?: string }
  | { result: "Failed"; failure: BackendFailure }
  | { result: "Lost"; message: string }
  | { result: "Refused"; message: string };

/** Looks after the registries of an account's projects. No call rejects. */
export interface RegistryKeeper {
  /** What is wrong with a host for this vendor, and what to write; undefined if nothing. Pure. */
  hostProblem(host: string): string | undefined;
  /** The host as the vendor spells it. Pure. */
  hostAtVendor(host: string): string;
  /**
   * Every registry of a project.
   *
   * @param maxAgeMs how old the answer may be; one listing serves all who ask. Anything before a change of ours is too old.
   */
  list(projectId: string, maxAgeMs: number): Promise<RegistryListing>;
  /** Makes one. Not idempotent: look by host first, and after an outcome that is Lost. */
  create(projectId: string, host: string, marker: RegistryMarker, login: RegistryAuth): Promise<RegistryOutcome>;
  /** Gives one a login, and puts the marker into its description. Idempotent. */
  set(
    projectId: string,
    observed: ObservedRegistry,
    marker: RegistryMarker,
    login: RegistryAuth,
  ): Promise<RegistryOutcome>;
  /**
   * Takes marker and login out again; the registry stays. Idempotent.
   *
   * @param what MarkerOnly: the login that it has now is somebody else's.
   */
  restore(projectId: string, observed: ObservedRegistry, what: "Both" | "MarkerOnly"): Promise<RegistryOutcome>;
  /** Removes one. One that is gone already is Succeeded or Failed (Conflict NotFound); a listing tells. */
  remove(projectId: string, id: string): Promise<RegistryOutcome>;
}
