/**
 * What a service's status means, and the runs of its process. The vendor tells a word, a sentence and when the word last changed; neither an
 * exit code nor a count of restarts. So runs are derived: each change of statusSetAt that is no step forward is the end of one.
 */
import type { ObservedContainer, Run, RunState } from "../contract.ts";
import { oneLine } from "../http/text.ts";
import type { Service } from "./types.ts";

/** As the contract has it. */
const MOST_RUNS = 20;

/** How far a service is on its way up; undefined: it is not on its way. A word that is new counts as on the way. */
function rank(status: string): number | undefined {
  switch (status) {
    case "running":
      return 2;
    case "creating":
      return 0;
    case "stopping":
    case "stopped":
    case "error":
      return undefined;
    default:
      return 1;
  }
}

/** True while the vendor has something to do with it. */
export function isTransitional({ status }: Service): boolean {
  return status !== "running" && status !== "stopped" && status !== "error";
}

/** Views that go back in time come from a replica that is behind; where nothing else comes for so long, the vendor's own time went back, ms. */
const OLDER_MS = 300_000;

interface Track {
  status: string;
  setAt: string;
  digest: string | undefined;
  sinceMs: number;
  /** Since when every view was older than this one. */
  olderSinceMs?: number | undefined;
  /** When it was first seen, or last told to do something by us. */
  expectedSinceMs: number;
  runs: Run[];
  /** A command of ours explains the next end of a run. */
  isOrdered: boolean;
  /** It was stopped by us. */
  isStoppedByUs: boolean;
}

/** What was seen of a stack's services, by id. */
export class History {
  readonly #tracks = new Map<string, Track>();

  /** Whether a view is from before what was seen already, and to be dropped: reads go to replicas, and their answers overtake each other. */
  isOlder({ id, statusSetAt }: Service, nowMs: number): boolean {
    const track = this.#tracks.get(id);
    // What is no time compares as false.
    if (track === undefined || !(Date.parse(statusSetAt) < Date.parse(track.setAt))) return false;
    return track.olderSinceMs === undefined || nowMs - track.olderSinceMs < OLDER_MS;
  }

  /** Takes a view of a service; one that is older changes nothing. @returns whether its status is news. */
  note(service: Service, nowMs: number): boolean {
    const { id, status, statusSetAt: setAt } = service;
    const digest = service.deployedState?.imageDigest;
    const track = this.#tracks.get(id);
    if (track === undefined) {
      const runs = status === "running" || status === "starting" ? [{ startedAt: setAt }] : [];
      const times = { sinceMs: nowMs, expectedSinceMs: nowMs };
      this.#tracks.set(id, { status, setAt, digest, ...times, runs, isOrdered: false, isStoppedByUs: false });
      return true;
    }
    if (this.isOlder(service, nowMs)) {
      track.olderSinceMs ??= nowMs;
      return false;
    }
    const isReset = track.olderSinceMs !== undefined && Date.parse(setAt) < Date.parse(track.setAt);
    track.olderSinceMs = undefined;
    if (track.status === status && track.setAt === setAt) {
      track.digest = digest;
      return false;
    }
    if (!isReset) this.#step(track, service, digest);
    Object.assign(track, { status, setAt, digest, sinceMs: nowMs });
    return true;
  }

  /** A command of ours is about to end its run, or to begin one. */
  ordered(id: string, isStop: boolean, nowMs: number): void {
    const track = this.#tracks.get(id);
    if (track === undefined) return;
    track.expectedSinceMs = nowMs;
    track.isOrdered = true;
    track.isStoppedByUs = isStop;
  }

  /** It was not taken: what its run does next is its own doing. */
  notOrdered(id: string): void {
    const track = this.#tracks.get(id);
    if (track === undefined) return;
    track.isOrdered = false;
    track.isStoppedByUs = false;
  }

  /** Forgets all but these. */
  keep(ids: ReadonlySet<string>): void {
    for (const id of this.#tracks.keys()) if (!ids.has(id)) this.#tracks.delete(id);
  }

  of(id: string): Pick<Track, "sinceMs" | "expectedSinceMs" | "runs" | "isStoppedByUs"> | undefined {
    return this.#tracks.get(id);
  }

  #step(track: Track, service: Service, digest: string | undefined): void {
    const { status, statusSetAt: setAt } = service;
    const [before, now] = [rank(track.status), rank(status)];
    const current = track.runs.at(-1);
    const isOpen = current !== undefined && current.finishedAt === undefined;
    if (before !== undefined && now !== undefined && now > before) {
      // A step forward: from starting to running it is the same run.
      if (isOpen) track.runs[track.runs.length - 1] = { ...current, startedAt: setAt };
      else if (now > 0) track.runs.push({ startedAt: setAt });
    } else {
      if (isOpen) {
        // The vendor's own updates (schedule, webhook) show in the digest.
        const isMeant = track.isOrdered || status === "stopping" || (status === "stopped" && isKeptUp(service));
        const isUpdate = digest !== undefined && track.digest !== undefined && digest !== track.digest;
        track.runs[track.runs.length - 1] = {
          ...current,
          finishedAt: setAt,
          ...((isMeant || isUpdate) && { stopped: true }),
        };
        track.isOrdered = false;
      }
      if (now !== undefined && now > 0) track.runs.push({ startedAt: setAt });
    }
    if (now !== undefined) track.isStoppedByUs = false;
    if (track.runs.length > MOST_RUNS) track.runs.splice(0, track.runs.length - MOST_RUNS);
  }
}

/** The vendor restarts it whenever it ends: if it is stopped, somebody has stopped it. */
function isKeptUp({ restartPolicy }: Service): boolean {
  return restartPolicy === undefined || restartPolicy === "always";
}

/** Words in the vendor's sentences that hint at an image that cannot be had; a hint only (kubelet's words were seen by others). */
const PULL_HINT = /ImagePullBackOff|ErrImagePull|InvalidImageName|manifest unknown|pull access denied|failed to pull/i;
const CRASH_HINT = /CrashLoopBackOff/i;

/** The contract's words for a service's status. @param stuckAfterMs after which a transition counts as stuck. */
export function stateOf(
  service: Service,
  history: ReturnType<History["of"]>,
  nowMs: number,
  stuckAfterMs: number,
): Pick<ObservedContainer, "state" | "waiting" | "error" | "startedAt" | "finishedAt" | "runs" | "stateSinceMs"> {
  const { status, statusSetAt } = service;
  const said = service.message === undefined ? undefined : oneLine(service.message);
  const runs = history?.runs.map((run) => ({ ...run })) ?? [];
  const common = { runs, stateSinceMs: history?.sinceMs ?? nowMs };
  const since = statusSetAt === "" ? {} : { startedAt: statusSetAt };
  const waits = (reason: string, message: string): ReturnType<typeof stateOf> => ({
    ...common,
    ...since,
    state: "Unknown",
    waiting: { reason, message },
  });
  switch (status) {
    case "running":
      return { ...common, ...since, state: "Running" };
    case "stopped":
    case "error": {
      const isFinal = service.restartPolicy === "no";
      if (status === "error" && !isFinal) return waits(errorReason(said ?? ""), said ?? "the vendor reports an error");
      const started = runs.at(-1)?.startedAt;
      const state: RunState =
        status === "stopped" && (isKeptUp(service) || history?.isStoppedByUs === true) ? "Stopped" : "Exited";
      return {
        ...common,
        ...(started !== undefined && { startedAt: started }),
        ...(statusSetAt !== "" && { finishedAt: statusSetAt }),
        ...(status === "error" && { error: said ?? "the vendor reports an error" }),
        state,
      };
    }
    default: {
      const words = said === undefined ? "" : `: ${said}`;
      const forMs = nowMs - Math.min(Date.parse(statusSetAt) || nowMs, common.stateSinceMs);
      if (forMs > stuckAfterMs)
        return waits(
          PULL_HINT.test(words) ? "ImagePullBackOff" : "RunContainerError",
          `stuck in ${oneLine(status)} since ${statusSetAt}${words}`,
        );
      if (status === "creating" && PULL_HINT.test(words)) return waits("ImagePullBackOff", said ?? status);
      return waits(oneLine(status).slice(0, 64) || "Unknown", said ?? `the vendor says ${oneLine(status)}`);
    }
  }
}

function errorReason(message: string): string {
  if (PULL_HINT.test(message)) return "ImagePullBackOff";
  return CRASH_HINT.test(message) ? "CrashLoopBackOff" : "RunContainerError";
}
