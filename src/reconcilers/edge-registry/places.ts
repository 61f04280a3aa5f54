/** The projects in which an EdgeRegistry's login is wanted or may stand, each looked at and planned for. */
import type { RegistryAuth } from "../../backends/contract.ts";
import type { RegistryKeeper, RegistryMarker } from "../../backends/registry-contract.ts";
import { withBackendDefaults } from "../../crds/defaults.ts";
import type { EdgeBackend } from "../../crds/edge-backend.ts";
import { MOST_PROJECTS, type EdgeRegistry, type RegistryProject } from "../../crds/edge-registry.ts";
import type { Environment } from "../environment.ts";
import { EVENT_REASONS } from "../event-reasons.ts";
import { newEntry, planProject, type ProjectPlan } from "./plan.ts";
import type { BackendStanding } from "./standing.ts";

/** As old as a listing may be on which something is changed, ms: passes of one moment share it. */
const FRESH_MS = 200;

/** The login out of the Secret, or why there is none. */
export type Login = { ok: true; auth: RegistryAuth; hash: string } | { ok: false; reason: string; message: string };

/** A project, what is to be done there, and by whom. */
export interface Place {
  entry: RegistryProject;
  plan: ProjectPlan;
  keeper?: RegistryKeeper;
}

/** Every project where the login is wanted or may stand, with a plan for each. */
export async function lookAt(
  object: EdgeRegistry,
  backends: readonly BackendStanding[],
  login: Login | undefined,
  env: Environment,
): Promise<Place[]> {
  const placeKey = (entry: RegistryProject) => `${entry.backendNamespace}/${entry.backendName}/${entry.projectId}`;
  const wanted = new Map(
    backends.flatMap(({ key, projects }) =>
      projects.map((id) => newEntry(key, id)).map((entry) => [placeKey(entry), entry] as const),
    ),
  );
  const known = new Map((object.status?.projects ?? []).map((entry) => [placeKey(entry), entry]));
  // Those that are known first: they are the journal.
  const all = [...new Map([...known, ...wanted, ...known])].slice(0, Math.max(MOST_PROJECTS, known.size));
  const places = await Promise.all(
    all.map(async ([id, entry]) => {
      const isWanted = wanted.has(id);
      return { isWanted, place: await planAt(object, { entry, wanted: isWanted }, login, env) };
    }),
  );
  const kept = places.filter(({ isWanted }) => isWanted).map(({ place }) => place.plan.entry);
  return places.map(({ place }) => (isShared(place, kept) ? { ...place, plan: { entry: undefined } } : place));
}

/**
 * Whether what is to be removed there is wanted all the same: a project has two spellings, its UUID and its short id, and EdgeDevices may use
 * either.
 */
function isShared({ entry, plan: { step } }: Place, wanted: readonly (RegistryProject | undefined)[]): boolean {
  const id = step?.type === "Remove" ? step.id : step?.type === "Restore" ? step.observed.id : undefined;
  return wanted.some(
    (other) =>
      id !== undefined &&
      other?.registryId === id &&
      other.backendName === entry.backendName &&
      other.backendNamespace === entry.backendNamespace,
  );
}

async function planAt(
  object: EdgeRegistry,
  { entry, wanted }: { entry: RegistryProject; wanted: boolean },
  login: Login | undefined,
  env: Environment,
): Promise<Place> {
  const backend = env.stores.backends.get({ namespace: entry.backendNamespace, name: entry.backendName });
  const keeper = backend === undefined ? undefined : keeperOf(backend, env);
  if (backend === undefined || keeper === undefined)
    return { entry, plan: unreached(object, entry, wanted, backend, env) };
  const atRest = entry.state === "Ready" || entry.state === "Conflict";
  const plan = await planWith(keeper, atRest ? intervalMs(backend) * 0.8 : FRESH_MS);
  // What was listed for all who ask may be old; nothing is changed but on a fresh view.
  const isDue = plan.step !== undefined && atRest;
  return { entry, plan: isDue ? await planWith(keeper, FRESH_MS) : plan, keeper };

  async function planWith(at: RegistryKeeper, maxAgeMs: number): Promise<ProjectPlan> {
    const listing = await at.list(entry.projectId, maxAgeMs);
    const nowMs = env.clock.now();
    return planProject({
      entry,
      wanted,
      host: at.hostAtVendor(object.spec.host),
      marker: markerOf(object, env),
      login: login?.ok === true ? { hash: login.hash, username: login.auth.username } : undefined,
      userHash: (username) => env.hashKey.hash({ username }),
      listing,
      nowMs,
      settleMs: backend === undefined ? 0 : (env.accounts.backendFor(backend)?.settleMs ?? 0),
      leaderSinceMs: nowMs - (env.clock.monotonic() - (env.leaderSinceMs() ?? env.clock.monotonic())),
    });
  }
}

/** The vendor cannot be asked now. Where the backend itself is gone for good, so is the way to what is left there. */
function unreached(
  object: EdgeRegistry,
  entry: RegistryProject,
  wanted: boolean,
  backend: EdgeBackend | undefined,
  env: Environment,
): ProjectPlan {
  if (wanted) return { entry };
  if (backend !== undefined || object.metadata.deletionTimestamp !== undefined)
    return { entry: { ...entry, state: "Removing" } };
  env.metrics.orphaned("EdgeRegistry");
  env.events.record(
    object,
    "Warning",
    EVENT_REASONS.Orphaned,
    `EdgeBackend ${entry.backendNamespace}/${entry.backendName} is gone: the login for ${object.spec.host} may still stand in project ${entry.projectId}`,
  );
  return { entry: undefined };
}

function keeperOf(backend: EdgeBackend, env: Environment): RegistryKeeper | undefined {
  const account = env.accounts.account(backend.metadata.uid);
  return account?.status().state === "Connected" ? account.registries : undefined;
}

/** The mark of an object, but for its origin. */
export function markerOf({ metadata }: EdgeRegistry, env: Environment): Omit<RegistryMarker, "origin"> {
  return { owner: env.options.ownerId, namespace: metadata.namespace ?? "", name: metadata.name, uid: metadata.uid };
}

/** How often a backend is looked at, ms. */
export function intervalMs(backend: EdgeBackend): number {
  return withBackendDefaults(backend.spec).observeIntervalSeconds * 1000;
}
