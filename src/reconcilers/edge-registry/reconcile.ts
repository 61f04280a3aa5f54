/**
 * One pass over an EdgeRegistry: read its Secret, look up the backends that it names, and, where a vendor keeps logins per project, make at most
 * one change in one project. The entries of status.projects are the journal (plan.ts): written before the change, closed by what a listing shows.
 */
import type { RegistryKeeper, RegistryOutcome } from "../../backends/registry-contract.ts";
import { findCondition } from "../../controller/conditions.ts";
import type { ReconcileContext, Result } from "../../controller/controller.ts";
import { statusPatch } from "../../controller/status-writer.ts";
import { REGISTRY_DEFAULTS } from "../../crds/default-values.ts";
import type { EdgeRegistry, RegistryProject } from "../../crds/edge-registry.ts";
import { ANNOTATIONS, KINDS } from "../../crds/group.ts";
import { keyString } from "../../kube/resource.ts";
import type { ObjectKey } from "../../kube/types.ts";
import { loginFrom } from "../edge-container/registry-auth.ts";
import type { Environment } from "../environment.ts";
import { EVENT_REASONS } from "../event-reasons.ts";
import { addFinalizer, hasFinalizer, removeFinalizer } from "../finalizer.ts";
import { deleteUnneeded } from "./pull-secrets.ts";
import { intervalMs, lookAt, markerOf, type Login, type Place } from "./places.ts";
import { afterStep, type ProjectStep } from "./plan.ts";
import { standings, type BackendStanding } from "./standing.ts";
import { computeRegistryStatus, type RegistryFindings } from "./status.ts";

/** Runs one pass. */
export async function reconcileRegistry(key: ObjectKey, context: ReconcileContext, env: Environment): Promise<Result> {
  const object = env.stores.registries.get(key);
  if (object === undefined) return {};
  const leaving = object.metadata.deletionTimestamp !== undefined;
  if (leaving && !hasFinalizer(object)) return {};
  if (leaving && (await letGo(object, context, env))) return {};
  if (!leaving && (await deleteUnneeded(object, env))) return {};
  const backends = leaving ? [] : standings(object, env);
  if (isUndecided(object, backends, env)) return {};
  const login = leaving ? undefined : await loginOf(object, env);
  const places = await lookAt(object, backends, login, env);
  if (leaving && places.every(({ plan }) => plan.entry === undefined)) {
    context.log.info("its logins are out of every project");
    await removeFinalizer(env, env.resources.registries, object);
    return {};
  }
  const acted = await actOnce(object, { backends, login, places }, env);
  const entries = acted.places.flatMap(({ plan }) => plan.entry ?? []);
  const dueMs = await writeStatus(acted.object, findingsOf(acted.object, backends, login, entries, env), env);
  const nowMs = env.clock.now();
  const looks = acted.places.flatMap(({ plan }) => plan.lookAtMs ?? []).map((atMs) => Math.max(atMs - nowMs, 0));
  const waits = [...looks, ...polls(acted.places, env), dueMs, graceMs(object, env), recheckMs(env)];
  const next = waits.filter((wait) => wait !== undefined);
  if (acted.again) return { requeueAfterMs: 0 };
  return next.length === 0 ? {} : { requeueAfterMs: Math.ceil(Math.max(Math.min(...next), 0)) };
}

/** Right after a start the accounts are not open yet: what status says stays until there is something to say. */
function isUndecided(object: EdgeRegistry, backends: readonly BackendStanding[], env: Environment): boolean {
  if (findCondition(object.status?.conditions, "Ready") === undefined) return false;
  return backends.some(({ backend }) => backend !== undefined && !env.accounts.isJudged(backend.metadata.uid));
}

async function loginOf(object: EdgeRegistry, env: Environment): Promise<Login> {
  const namespace = object.metadata.namespace ?? "";
  const { host, credentialsSecretRef } = object.spec;
  const secret = `Secret ${namespace}/${credentialsSecretRef.name}`;
  const data = await env.references.get("Secret", { namespace, name: credentialsSecretRef.name });
  if (data === undefined) return { ok: false, reason: "SecretNotFound", message: `${secret} does not exist` };
  const found = loginFrom(data, host);
  if (!found.ok) return { ok: false, reason: found.problem.reason, message: `${secret} ${found.problem.message}` };
  const { username, password } = found.auth;
  return { ok: true, auth: found.auth, hash: env.hashKey.hash({ host, username, password }) };
}

/** Takes the first step that a plan asks for: finalizer, journal, request. The other projects have their turn in the next passes. */
async function actOnce(
  object: EdgeRegistry,
  { backends, login, places }: { backends: readonly BackendStanding[]; login: Login | undefined; places: Place[] },
  env: Environment,
): Promise<{ object: EdgeRegistry; places: Place[]; again: boolean }> {
  const heldBack = places.map((place) =>
    place.plan.step !== undefined && held(object, place, env) ? quiet(place) : place,
  );
  const index = heldBack.findIndex(({ plan, keeper }) => plan.step !== undefined && keeper !== undefined);
  const chosen = heldBack[index];
  if (chosen?.plan.step === undefined || chosen.keeper === undefined || chosen.plan.entry === undefined)
    return { object, places: heldBack, again: false };
  const { step, entry } = chosen.plan;
  // Those whose turn is later keep the entry they have: nothing has been asked for there.
  const waiting = heldBack.map((place, at) => (at !== index && place.plan.step !== undefined ? quiet(place) : place));
  const withFinalizer = await addFinalizer(env, env.resources.registries, object);
  const entries = waiting.flatMap(({ plan }) => plan.entry ?? []);
  const journal = computeRegistryStatus(
    withFinalizer,
    findingsOf(withFinalizer, backends, login, entries, env),
    env.clock.now(),
  );
  const { object: written } = await env.statusWriter.write(env.resources.registries, withFinalizer, journal, {
    atVersion: true,
  });
  const outcome = await perform(chosen.keeper, entry, step, object, login, env);
  const given = login?.ok === true ? { hash: login.hash, username: login.auth.username } : undefined;
  const plan = afterStep(entry, step, outcome, given, env.clock.now());
  const done = waiting.map((place, at) => (at === index ? { ...place, plan } : place));
  const more = heldBack.some(({ plan: other }, at) => at !== index && other.step !== undefined);
  return { object: written, places: done, again: more };
}

/** As if nothing were to be done: the entry as it was. */
function quiet(place: Place): Place {
  const { lookAtMs } = place.plan;
  return { ...place, plan: { entry: place.entry, ...(lookAtMs !== undefined && { lookAtMs }) } };
}

/** Nothing is changed on a suspended backend, except what deletions ask for. */
function held(object: EdgeRegistry, { entry }: Place, env: Environment): boolean {
  if (env.options.readOnly) return true;
  if (object.metadata.deletionTimestamp !== undefined) return false;
  return suspended(entry, env);
}

function suspended({ backendNamespace: namespace, backendName: name }: RegistryProject, env: Environment): boolean {
  return env.stores.backends.get({ namespace, name })?.spec.suspend === true;
}

async function perform(
  keeper: RegistryKeeper,
  { projectId }: RegistryProject,
  step: ProjectStep,
  object: EdgeRegistry,
  login: Login | undefined,
  env: Environment,
): Promise<RegistryOutcome> {
  const withoutLogin: RegistryOutcome = { result: "Refused", message: "the login is not known" };
  const marker = markerOf(object, env);
  switch (step.type) {
    case "Create":
      if (login?.ok !== true) return withoutLogin;
      return keeper.create(projectId, object.spec.host, { ...marker, origin: "Created" }, login.auth);
    case "Set":
      if (login?.ok !== true) return withoutLogin;
      return keeper.set(projectId, step.observed, { ...marker, origin: step.origin }, login.auth);
    case "Restore":
      return keeper.restore(projectId, step.observed, step.what);
    case "Remove":
      return keeper.remove(projectId, step.id);
    default:
      return step satisfies never;
  }
}

/** The object is let go although a login may still stand somewhere: an uninstallation, an order, or its grace is over. */
async function letGo(object: EdgeRegistry, context: ReconcileContext, env: Environment): Promise<boolean> {
  const why =
    object.metadata.annotations?.[ANNOTATIONS.forceOrphan] === "true"
      ? `annotation ${ANNOTATIONS.forceOrphan} is set`
      : (await env.isUninstalling(KINDS.EdgeRegistry.plural))
        ? "the CustomResourceDefinition is being deleted"
        : (graceMs(object, env) ?? 1) <= 0
          ? "deletion.graceSeconds is over"
          : undefined;
  if (why === undefined) return false;
  const left = (object.status?.projects ?? []).map(({ projectId }) => projectId);
  if (left.length > 0) {
    env.metrics.orphaned("EdgeRegistry");
    env.events.record(
      object,
      "Warning",
      EVENT_REASONS.Orphaned,
      `${why}: let go although the login for ${object.spec.host} may still stand in ${left.length} projects (${left.slice(0, 5).join(", ")})`,
    );
  }
  context.log.info({ left: left.length, why }, "letting go of the registry");
  await removeFinalizer(env, env.resources.registries, object);
  return true;
}

function graceMs(object: EdgeRegistry, env: Environment): number | undefined {
  const { deletionTimestamp } = object.metadata;
  if (deletionTimestamp === undefined) return undefined;
  const seconds = object.spec.deletion?.graceSeconds ?? REGISTRY_DEFAULTS.deletion.graceSeconds;
  return Date.parse(deletionTimestamp) + seconds * 1000 - env.clock.now();
}

/** The vendor pushes nothing: whether a login is valid, and what people do to it, shows in a listing. */
function polls(places: readonly Place[], env: Environment): number[] {
  return places.flatMap(({ entry, keeper }) => {
    if (keeper === undefined) return [];
    const backend = env.stores.backends.get({ namespace: entry.backendNamespace, name: entry.backendName });
    return backend === undefined ? [] : [intervalMs(backend)];
  });
}

function recheckMs(env: Environment): number | undefined {
  return env.references.recheckInMs(new Set(["Secret"]));
}

function findingsOf(
  object: EdgeRegistry,
  backends: readonly BackendStanding[],
  login: Login | undefined,
  projects: readonly RegistryProject[],
  env: Environment,
): RegistryFindings {
  const shown =
    object.metadata.deletionTimestamp === undefined
      ? backends.map(({ status, missing, account }) => ({
          ...status,
          ...(missing !== undefined && { missing }),
          ready: missing === undefined && (status.use !== "PerProject" || account !== undefined),
        }))
      : (object.status?.backends ?? []).map((status) => ({ ...status, ready: true }));
  const resting = projects.filter((entry) => suspended(entry, env)).map(({ backendName }) => backendName);
  const suspendedBy = env.options.readOnly
    ? "the operator runs with --read-only"
    : resting.length > 0
      ? `EdgeBackend ${[...new Set(resting)].join(", ")} is suspended`
      : undefined;
  return {
    login: login === undefined || login.ok ? { ok: true } : login,
    backends: shown,
    projects,
    ...(suspendedBy !== undefined && { suspendedBy }),
  };
}

async function writeStatus(
  object: EdgeRegistry,
  findings: RegistryFindings,
  env: Environment,
): Promise<number | undefined> {
  const before = object.status;
  const after = computeRegistryStatus(object, findings, env.clock.now());
  if (statusPatch(before, after) === undefined) return undefined;
  const ready = findCondition(before?.conditions, "Ready");
  const now = findCondition(after.conditions, "Ready");
  const urgent =
    before?.observedGeneration !== after.observedGeneration ||
    ready?.status !== now?.status ||
    ready?.reason !== now?.reason ||
    JSON.stringify(before?.projects ?? []) !== JSON.stringify(after.projects ?? []);
  const delayMs = env.statusWriter.delayMs(env.resources.registries, object, urgent ? "urgent" : "soon");
  if (delayMs > 0) return delayMs;
  const { object: written } = await env.statusWriter.write(env.resources.registries, object, after);
  tell(written, before, env);
  return undefined;
}

/** Events for what people wait for or have to mend. */
function tell(object: EdgeRegistry, before: EdgeRegistry["status"], env: Environment): void {
  const changed = (type: string) => {
    const now = findCondition(object.status?.conditions, type);
    const old = findCondition(before?.conditions, type);
    return now === undefined || (now.status === old?.status && now.reason === old.reason) ? undefined : now;
  };
  const ready = changed("Ready");
  if (ready?.status === "True") env.events.record(object, "Normal", ready.reason, ready.message);
  if (ready?.status === "False" && ready.reason !== "Progressing")
    env.events.record(object, "Warning", ready.reason, ready.message);
  const valid = changed("CredentialsValid");
  if (valid?.status === "False") env.events.record(object, "Warning", valid.reason, valid.message);
}

/** The EdgeRegistries whose login stands on a backend, or may: it must not go before they have taken it out. */
export function registriesOn(key: ObjectKey, registries: readonly EdgeRegistry[]): EdgeRegistry[] {
  const id = keyString(key);
  return registries.filter(({ status }) =>
    (status?.projects ?? []).some(
      (entry) => keyString({ namespace: entry.backendNamespace, name: entry.backendName }) === id,
    ),
  );
}
