/**
 * A project's stacks, read once per interval for all devices in it: one list has every stack with its services and volumes. Each device takes
 * its own stack out of it.
 */
import { Looks } from "../http/looks.ts";
import type { HttpSessionDeps } from "../http/sessions.ts";
import type { MittwaldClient } from "./client.ts";
import type { BackendFailure } from "../errors.ts";
import type { Stack } from "./types.ts";

/** A device, as far as its project needs it. */
export interface ProjectMember {
  /** Grows with each write to the stack, when it begins and when it ends: a list that was asked for before is older than the write. */
  readonly epoch: number;
  /** Something of ours is on its way: what comes of it is worth a look before the interval is over. */
  readonly isExpectant: boolean;
  /** @param epoch as it was when the list was asked for. */
  take(stacks: readonly Stack[], isStale: boolean, epoch: number): void;
  /** Nothing was learned. `isMissing`: the vendor shows no such project. */
  doubt(failure: BackendFailure, isMissing: boolean): void;
}

/** What the vendor listed, and since when that is known: everything that ended before `atMs` is in it, but where it is stale. */
export interface ProjectListing {
  readonly stacks: readonly Stack[];
  readonly stale: boolean;
  /** BackendClock.monotonic() when it was asked for. */
  readonly atMs: number;
}

/** Between two looks while somebody is expectant, at least, ms. */
const SOONEST_MS = 2_000;
/** How much sooner they are. */
const SOONER = 10;

export class Project {
  readonly #projectId: string;
  readonly #client: MittwaldClient;
  readonly #deps: HttpSessionDeps;
  readonly #members = new Set<ProjectMember>();
  readonly #looks: Looks;
  #isStale = false;
  #latest: ProjectListing | undefined;

  constructor(projectId: string, pollMs: number, client: MittwaldClient, deps: HttpSessionDeps) {
    this.#projectId = projectId;
    this.#client = client;
    this.#deps = deps;
    const soonMs = Math.min(pollMs, Math.max(SOONEST_MS, pollMs / SOONER));
    this.#looks = new Looks({
      clock: deps.clock,
      random: () => deps.random(),
      read: () => this.#read(),
      delayMs: () => {
        if (!deps.account().open || this.#members.size === 0) return undefined;
        return this.#isStale || [...this.#members].some(({ isExpectant }) => isExpectant) ? soonMs : pollMs;
      },
    });
  }

  join(member: ProjectMember): void {
    this.#members.add(member);
  }

  /** @returns whether somebody is left. */
  leave(member: ProjectMember): boolean {
    this.#members.delete(member);
    if (this.#members.size === 0) this.#looks.close();
    return this.#members.size > 0;
  }

  /** Reads the list anew; several calls share one. @returns whether the vendor gave one. */
  look(): Promise<boolean> {
    return this.#looks.now();
  }

  /** The newest list that the vendor gave. */
  get latest(): ProjectListing | undefined {
    return this.#latest;
  }

  /** Somebody has become expectant, or no longer is. */
  reschedule(): void {
    this.#looks.schedule();
  }

  async #read(): Promise<boolean> {
    if (!this.#deps.account().open) return false;
    const epochs = new Map([...this.#members].map((member) => [member, member.epoch]));
    const atMs = this.#deps.clock.monotonic();
    const call = await this.#client.stacks(this.#projectId);
    if (call.kind === "Done") this.#latest = { stacks: call.value, stale: call.stale, atMs };
    for (const [member, epoch] of epochs) {
      if (!this.#members.has(member)) continue;
      if (call.kind === "Done") member.take(call.value, call.stale, epoch);
      else member.doubt(call.failure, call.kind === "Refused" && (call.status === 403 || call.status === 404));
    }
    this.#isStale = call.kind === "Done" && call.stale;
    return call.kind === "Done";
  }
}
