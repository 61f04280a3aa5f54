/**
 * What is to be done about an EdgeRegistry in one project of a vendor that keeps logins itself. Pure.
 *
 * The vendor's create is not idempotent, and its lists trail its writes. So the entry in status.projects is the journal: it is written before the
 * a request that gives a login (`openSince`), and only what a listing shows closes it. A creation whose outcome is not known is looked for by
 * host, and made again only after the settle time has passed without a sight of it. Nor is a login set anew while an older one may still be on
 * its way: it would arrive last, and nothing would show that the password is the old one.
 *
 * Ours is what carries our marker or has the recorded id. Anything else of the same host belongs to somebody, and is a conflict: but for the
 * registries that every project has from the beginning, as long as nobody has given them a login.
 */
import type {
  ObservedRegistry,
  RegistryListing,
  RegistryMarker,
  RegistryOutcome,
} from "../../backends/registry-contract.ts";
import type { BackendFailure } from "../../backends/errors.ts";
import { DEFAULT_BACKOFF, jitterOf, nextBackoff } from "../../controller/backoff.ts";
import { MOST_USERS, type RegistryProject } from "../../crds/edge-registry.ts";

/** How soon to look again for something that is on its way, ms. */
export const LOOK_AGAIN_MS = 1_000;

/** What is known of one project. */
export interface ProjectFacts {
  /** As status has it, or as {@link newEntry} makes it. */
  entry: RegistryProject;
  /** False: login and registry are to go. */
  wanted: boolean;
  /** spec.host as the vendor spells it. */
  host: string;
  /** Ours, but for its origin. */
  marker: Omit<RegistryMarker, "origin">;
  /** Undefined while the Secret cannot be used: what stands is then left as it is. */
  login: { hash: string; username: string } | undefined;
  /** Keyed hash of a user name. */
  userHash: (username: string) => string;
  listing: RegistryListing;
  nowMs: number;
  /** Backend.settleMs: how long a request of a former process or a lost one may still take effect. */
  settleMs: number;
  /** Wall-clock ms since when this process leads: until then another one may have sent something. */
  leaderSinceMs: number;
}

/** The one change to make at the vendor. */
export type ProjectStep =
  | { type: "Create" }
  | { type: "Set"; observed: ObservedRegistry; origin: RegistryMarker["origin"] }
  | { type: "Restore"; observed: ObservedRegistry; what: "Both" | "MarkerOnly" }
  | { type: "Remove"; id: string };

/** What becomes of the entry (undefined: nothing is left there), the step, and when to look again. */
export interface ProjectPlan {
  entry: RegistryProject | undefined;
  /** To be taken only after `entry` was written. */
  step?: ProjectStep;
  /** Wall-clock ms. */
  lookAtMs?: number;
}

/** The entry of a project where nothing was done yet. */
export function newEntry(backend: { namespace: string; name: string }, projectId: string): RegistryProject {
  return { backendName: backend.name, backendNamespace: backend.namespace, projectId, state: "Pending" };
}

/** Decides. Total. */
export function planProject(facts: ProjectFacts): ProjectPlan {
  const { entry, listing, nowMs, wanted } = facts;
  const retryAtMs = entry.nextRetryTime === undefined ? undefined : Date.parse(entry.nextRetryTime);
  if (retryAtMs !== undefined && retryAtMs > nowMs && !isOvertaken(facts)) return { entry, lookAtMs: retryAtMs };
  if (!listing.ok) return unlisted(facts, listing.failure);
  const { registries, stale } = listing;
  const candidates = registries.filter(({ host }) => host.toLowerCase() === facts.host.toLowerCase());
  const mine =
    candidates.find((each) => each.id === entry.registryId && isMine(each, facts)) ??
    candidates.find((each) => each.marker !== undefined && isMine(each, facts));
  if (!wanted) return planRemoval(facts, { mine, candidates, stale });
  if (mine !== undefined) return planOwn(facts, mine, stale);
  const [other] = candidates;
  if (other !== undefined) return planForeign(facts, other, stale);
  return planAbsent(facts, stale);
}

/** The pause was for something that is not wanted any more. */
function isOvertaken({ entry, wanted, login }: ProjectFacts): boolean {
  if (!wanted) return entry.state !== "Removing";
  return entry.refusedHash !== undefined && login !== undefined && login.hash !== entry.refusedHash;
}

/**
 * Ours by our marker, or by the recorded id. One that the project had before is so only as long as nobody has given it another login: what people
 * set there is theirs, with our marker still in the description or not.
 */
function isMine(observed: ObservedRegistry, facts: ProjectFacts): boolean {
  const { entry, login } = facts;
  const { marker, username } = observed;
  if (marker !== undefined && !isOurs(marker, facts)) return false;
  if (marker === undefined && observed.id !== entry.registryId) return false;
  const origin = entry.origin ?? marker?.origin ?? (observed.isDefault ? "Default" : "Created");
  if (origin === "Created") return true;
  if (username === undefined || entry.userHashes?.includes(facts.userHash(username)) === true) return true;
  // Without a record, as after a cluster was rebuilt.
  return marker !== undefined && username === login?.username;
}

function planOwn(facts: ProjectFacts, mine: ObservedRegistry, stale: boolean): ProjectPlan {
  const { entry, login, marker, nowMs } = facts;
  const origin = entry.origin ?? mine.marker?.origin ?? (mine.isDefault ? "Default" : "Created");
  const seen: RegistryProject = { ...bare(entry), registryId: mine.id, origin };
  if (mine.valid === undefined) delete seen.credentialsValid;
  else seen.credentialsValid = mine.valid;
  if (login === undefined)
    return { entry: { ...opened(seen, entry), state: seen.hash === undefined ? "Pending" : "Ready" } };
  const outdated = entry.hash !== login.hash || mine.marker?.uid !== marker.uid || mine.username !== login.username;
  if (!outdated) return { entry: { ...healthy(seen), state: "Ready", userHashes: [facts.userHash(login.username)] } };
  const waiting: RegistryProject = { ...opened(seen, entry), state: "Pending" };
  // An old view differs from what was written last by itself.
  if (stale && entry.hash === login.hash) return { entry: waiting, lookAtMs: nowMs + LOOK_AGAIN_MS };
  const untilMs = settledAtMs(facts);
  if (untilMs !== undefined && nowMs < untilMs)
    return { entry: waiting, lookAtMs: Math.min(nowMs + LOOK_AGAIN_MS, untilMs) };
  return {
    entry: { ...seen, state: "Pending", ...asked(facts, login) },
    step: { type: "Set", observed: mine, origin },
  };
}

function planForeign(facts: ProjectFacts, other: ObservedRegistry, stale: boolean): ProjectPlan {
  const { entry, login, nowMs } = facts;
  const { marker, username } = other;
  if (marker === undefined && other.isDefault && username === undefined) {
    if (login === undefined) return { entry: { ...bare(entry), state: "Pending" } };
    if (stale) return { entry, lookAtMs: nowMs + LOOK_AGAIN_MS };
    return {
      entry: {
        ...bare(entry),
        state: "Creating",
        registryId: other.id,
        origin: "Default",
        ...asked(facts, login),
      },
      step: { type: "Set", observed: other, origin: "Default" },
    };
  }
  const { registryId: _id, origin: _origin, hash: _hash, ...rest } = bare(entry);
  const mended = other.isDefault && (marker === undefined || isOurs(marker, facts)) ? "its login" : "it";
  return {
    entry: {
      ...healthy(rest),
      state: "Conflict",
      conflictSince: entry.conflictSince ?? new Date(facts.nowMs).toISOString(),
      message: `the project has a registry ${other.host} (${other.id}), ${whose(other, facts)}: it is left as it is; remove ${mended}, or this EdgeRegistry`,
    },
  };
}

function whose({ marker, isDefault }: ObservedRegistry, facts: ProjectFacts): string {
  if (marker === undefined) return isDefault ? "which somebody has given a login" : "which somebody else has made";
  if (isOurs(marker, facts)) return "which somebody has given another login";
  const theirs = `which belongs to EdgeRegistry ${marker.namespace}/${marker.name}`;
  return marker.owner === facts.marker.owner ? theirs : `${theirs} of the installation with --owner-id ${marker.owner}`;
}

function planAbsent(facts: ProjectFacts, stale: boolean): ProjectPlan {
  const { entry, login, nowMs, settleMs } = facts;
  if (stale) return { entry, lookAtMs: nowMs + LOOK_AGAIN_MS };
  const untilMs = settledAtMs(facts);
  if (untilMs !== undefined && nowMs < untilMs)
    return { entry: { ...entry, state: "Creating" }, lookAtMs: Math.min(nowMs + LOOK_AGAIN_MS, untilMs) };
  const { registryId, origin: _origin, hash: _hash, openSince: _since, ...rest } = bare(entry);
  if (registryId !== undefined && untilMs === undefined)
    // Seen before: somebody has removed it, or the view is an old one. Once more, later.
    return {
      entry: {
        ...rest,
        state: "Creating",
        openSince: new Date(nowMs).toISOString(),
        message: "the registry is gone from the project; made again",
      },
      lookAtMs: nowMs + Math.min(LOOK_AGAIN_MS, settleMs),
    };
  if (login === undefined) return { entry: { ...rest, state: "Pending" } };
  return {
    entry: { ...rest, state: "Creating", origin: "Created", ...asked(facts, login) },
    step: { type: "Create" },
  };
}

function planRemoval(
  facts: ProjectFacts,
  seen: { mine: ObservedRegistry | undefined; candidates: readonly ObservedRegistry[]; stale: boolean },
): ProjectPlan {
  const { entry, nowMs } = facts;
  const { mine, candidates, stale } = seen;
  const removing: RegistryProject = { ...opened(bare(entry), entry), state: "Removing" };
  if (mine !== undefined) {
    const origin = entry.origin ?? mine.marker?.origin ?? (mine.isDefault ? "Default" : "Created");
    if (origin === "Created") return { entry: removing, step: { type: "Remove", id: mine.id } };
    if (mine.marker !== undefined || mine.username !== undefined)
      return { entry: removing, step: { type: "Restore", observed: mine, what: "Both" } };
  }
  const marked = candidates.find(({ marker }) => marker !== undefined && isOurs(marker, facts));
  if (mine === undefined && marked !== undefined)
    return { entry: removing, step: { type: "Restore", observed: marked, what: "MarkerOnly" } };
  if (stale) return { entry: removing, lookAtMs: nowMs + LOOK_AGAIN_MS };
  const untilMs = settledAtMs(facts);
  if (untilMs !== undefined && nowMs < untilMs)
    return { entry: removing, lookAtMs: Math.min(nowMs + LOOK_AGAIN_MS, untilMs) };
  return { entry: undefined };
}

function unlisted(facts: ProjectFacts, failure: BackendFailure): ProjectPlan {
  const { entry, wanted } = facts;
  const message = `the registries of the project cannot be listed: ${failure.message}`;
  // What stood there when it was last seen is taken to stand there still.
  if (wanted && entry.state === "Ready") return { entry, lookAtMs: facts.nowMs + waitMs(entry, failure, 1) };
  return delayed({ ...entry, state: wanted ? "Failed" : "Removing", message }, failure, facts.nowMs);
}

/** The entry after the step. Where nothing is known for sure, the next listing tells. Pure. */
export function afterStep(
  entry: RegistryProject,
  step: ProjectStep,
  outcome: RegistryOutcome,
  login: ProjectFacts["login"],
  nowMs: number,
): ProjectPlan {
  const gives = step.type === "Create" || step.type === "Set";
  switch (outcome.result) {
    case "Succeeded": {
      const settled = opened(healthy(bare(entry)), entry);
      if (step.type === "Create" && outcome.id !== undefined) settled.registryId = outcome.id;
      if (gives && login !== undefined) {
        settled.hash = login.hash;
        // It speaks of the login before.
        delete settled.credentialsValid;
      }
      return { entry: settled, lookAtMs: nowMs };
    }
    case "Refused":
      return { entry: gives ? untouched(entry) : entry, lookAtMs: nowMs + LOOK_AGAIN_MS };
    case "Lost": {
      // From now on it is waited for, not from when it was sent.
      const open = entry.openSince !== undefined && { openSince: new Date(nowMs).toISOString() };
      const lost = { ...entry, ...open, message: `no answer: ${outcome.message}` };
      if (gives) return { entry: lost, lookAtMs: nowMs + LOOK_AGAIN_MS };
      // To repeat it does no harm, but not at once for ever.
      return delayed(lost, { class: "Transient", message: outcome.message }, nowMs);
    }
    case "Failed": {
      const { message } = outcome.failure;
      if (!gives) return delayed({ ...entry, state: "Removing", message }, outcome.failure, nowMs);
      const refused = login !== undefined && { refusedHash: login.hash };
      return delayed({ ...untouched(entry), ...refused, state: "Failed", message }, outcome.failure, nowMs);
    }
    default:
      return outcome satisfies never;
  }
}

/** Answered with a no, or never sent: nothing is on its way, and a registry of the project's own that had no login is as free as before. */
function untouched({ openSince: _since, ...entry }: RegistryProject): RegistryProject {
  if (entry.hash !== undefined || entry.origin === "Created") return entry;
  const { registryId: _id, origin: _origin, userHashes: _users, ...rest } = entry;
  return rest;
}

function delayed(entry: RegistryProject, failure: BackendFailure, nowMs: number): ProjectPlan {
  const failures = (entry.failures ?? 0) + 1;
  const lookAtMs = nowMs + waitMs(entry, failure, failures);
  return { entry: { ...entry, failures, nextRetryTime: new Date(lookAtMs).toISOString() }, lookAtMs };
}

function waitMs(entry: RegistryProject, failure: BackendFailure, count: number): number {
  // The world differs from what was seen: the next look tells.
  if (failure.class === "Conflict" && count <= 3) return LOOK_AGAIN_MS;
  const curveMs = nextBackoff({ count, ...DEFAULT_BACKOFF }, jitterOf(entry.projectId, count));
  return failure.class === "RateLimited" ? Math.max(failure.retryAfterMs, curveMs) : curveMs;
}

/** When what was asked for has taken effect or never will; undefined while nothing is on its way. */
function settledAtMs({ entry, leaderSinceMs, settleMs }: ProjectFacts): number | undefined {
  if (entry.openSince === undefined) return undefined;
  return Math.max(Date.parse(entry.openSince), leaderSinceMs) + settleMs;
}

function isOurs(marker: RegistryMarker, facts: ProjectFacts): boolean {
  const { owner, namespace, name } = facts.marker;
  return marker.owner === owner && marker.namespace === namespace && marker.name === name;
}

/** What does not outlive its cause is left out: messages, and an open creation. Failures in a row count until something succeeds. */
function bare(entry: RegistryProject): RegistryProject {
  const {
    conflictSince: _conflict,
    nextRetryTime: _next,
    refusedHash: _refused,
    message: _message,
    openSince: _since,
    ...rest
  } = entry;
  return rest;
}

/** The journal of a request that gives a login. */
function asked(
  { entry, nowMs, userHash }: ProjectFacts,
  { username }: { username: string },
): Pick<RegistryProject, "openSince" | "userHashes"> {
  const known = (entry.userHashes ?? []).filter((hash) => hash !== userHash(username));
  return {
    openSince: new Date(nowMs).toISOString(),
    userHashes: [...known, userHash(username)].slice(-MOST_USERS),
  };
}

/** With what is on its way. */
function opened(entry: RegistryProject, { openSince }: RegistryProject): RegistryProject {
  return openSince === undefined ? entry : { ...entry, openSince };
}

function healthy(entry: RegistryProject): RegistryProject {
  const { failures: _failures, ...rest } = entry;
  return rest;
}
