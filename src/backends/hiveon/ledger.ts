/**
 * What is known of the rentals of a machine's objects: per object its numbers, and per number what the vendor last said. Pure bookkeeping;
 * session.ts asks the vendor.
 */
import type { Claim, Marker, ObservedContainer, RentalState } from "../contract.ts";
import { oneLine, redact } from "../http/text.ts";
import { externalDeploymentId } from "./ids.ts";
import type { RentalConfig } from "./planner.ts";
import { imageOf, readMarker, type DeploymentStatus } from "./wire.ts";

/** One rental. */
export interface Rental {
  readonly attempt: number;
  readonly externalId: string;
  status: DeploymentStatus;
  /** Clock.now() since when its state is what it is, as far as this process saw. */
  sinceMs: number;
  /** Clock.now() of the vendor's last word about it. */
  seenMs: number;
  /** RFC 3339 of when it was first seen to run. */
  startedAt?: string;
}

/** One object's rentals. */
export class Ledger {
  claim: Claim;
  /** Everything that is recorded or may exist was looked up since the connection was last made. */
  complete = false;
  readonly rentals = new Map<number, Rental>();
  /** Numbers whose start was sent by this process, with the operation: a vendor need not echo our metadata. */
  readonly operations = new Map<number, string>();

  /** Why it cannot be known what costs, where asking again will hardly tell. */
  held: string | undefined;

  /** What the newest rental begun by this process was given in confidence: the vendor's words may repeat it. */
  secrets: readonly string[] = [];

  constructor(claim: Claim) {
    this.claim = claim;
  }

  externalId(attempt: number): string {
    return externalDeploymentId(this.claim, attempt);
  }

  /** The vendor's words about a rental, fit to be shown. */
  clean(text: string): string {
    return oneLine(redact(text, this.secrets));
  }

  /** Notes what the vendor said. @returns whether it is news. */
  note(attempt: number, status: DeploymentStatus, nowMs: number): boolean {
    const known = this.rentals.get(attempt);
    const { recorded } = this.claim;
    const same = known?.status.state === status.state && known.status.deploymentId === status.deploymentId;
    const rental: Rental = known ?? {
      attempt,
      externalId: this.externalId(attempt),
      status,
      sinceMs: nowMs,
      seenMs: nowMs,
    };
    if (!same) rental.sinceMs = nowMs;
    rental.status = status;
    rental.seenMs = nowMs;
    if (status.state === "Running" && rental.startedAt === undefined) {
      const before = recorded?.attempt === attempt ? recorded.startedAt : undefined;
      rental.startedAt = before ?? new Date(nowMs).toISOString();
      // What ran before this process did has not just begun.
      if (before !== undefined && known === undefined) rental.sinceMs = Math.min(nowMs, Date.parse(before) || nowMs);
    }
    this.rentals.set(attempt, rental);
    this.#prune();
    return !same;
  }

  /** Of those that have ended only the newest is ever asked about. */
  #prune(): void {
    const newest = this.newestEnded()?.attempt;
    for (const { attempt, status } of this.rentals.values())
      if (status.state === "Stopped" && attempt !== newest) this.rentals.delete(attempt);
    for (const attempt of this.operations.keys())
      if (attempt < (newest ?? 0) && !this.rentals.has(attempt)) this.operations.delete(attempt);
  }

  /** The credentials with which a rental was recorded, where they are others than the account's. */
  under(attempt: number): string | undefined {
    return this.claim.recorded?.attempt === attempt ? this.claim.recorded.under : undefined;
  }

  find(deploymentId: string): Rental | undefined {
    for (const rental of this.rentals.values()) if (rental.status.deploymentId === deploymentId) return rental;
    return undefined;
  }

  /** All that has not ended. */
  live(): Rental[] {
    return [...this.rentals.values()].filter(({ status }) => status.state !== "Stopped");
  }

  /** The newest one that has ended, if nothing newer runs. */
  newestEnded(): Rental | undefined {
    return [...this.rentals.values()]
      .filter(({ status }) => status.state === "Stopped")
      .reduce<Rental | undefined>(
        (best, each) => (best === undefined || each.attempt > best.attempt ? each : best),
        undefined,
      );
  }

  observed(rental: Rental, machineId: string): ObservedContainer {
    const { status, attempt } = rental;
    const { claim } = this;
    const config: RentalConfig = {
      state: status.state,
      elsewhere: status.machineId !== undefined && status.machineId !== machineId,
    };
    const error = errorOf(status);
    return {
      externalId: status.deploymentId,
      name: claim.name,
      image: imageOf(status.metadata),
      marker: this.#marker(rental),
      state: RUN_STATES[status.state],
      ...(error !== undefined && { error: this.clean(error) }),
      ...(status.state === "Failed" && { exitCode: status.failCode ?? 1 }),
      ...(rental.startedAt !== undefined && { startedAt: rental.startedAt }),
      attempt,
      runs: [],
      stateSinceMs: rental.sinceMs,
      seenMs: rental.seenMs,
      hostPorts: [],
      config,
    };
  }

  #marker({ attempt, status }: Rental): Marker {
    const { owner, namespace, name, operation } = this.claim;
    const marker = readMarker(status.metadata, { owner, namespace, name });
    if (marker.operation !== "") return marker;
    const known = this.operations.get(attempt) ?? (operation?.attempt === attempt ? operation.id : "");
    return { ...marker, operation: known };
  }
}

/** The nearest word of the contract; the rental's own is in config. */
const RUN_STATES: Readonly<Record<RentalState, ObservedContainer["state"]>> = {
  Pending: "Created",
  Running: "Running",
  Stopping: "Running",
  Stopped: "Stopped",
  Failed: "Exited",
  Unknown: "Unknown",
};

function errorOf({ state, failCode, failMessage, status }: DeploymentStatus): string | undefined {
  if (state === "Unknown" && failMessage === undefined) return `the vendor says ${status}, which Drayage does not know`;
  if (failMessage === undefined && failCode === undefined)
    return state === "Failed" ? "the vendor gives no reason" : undefined;
  const code = failCode === undefined ? "" : ` (code ${failCode})`;
  return `${failMessage ?? "the vendor gives no text"}${code}`;
}
