/**
 * The login for a container's image, out of spec.registryRefs and spec.imagePullSecrets. Of all entries that fit the image the one with the
 * longest host and path counts; of equally long ones those of registryRefs come first, then those of imagePullSecrets, each in the order of its
 * list. What is named and missing is a wait, whether it would be used or not.
 *
 * Where the vendor keeps logins itself (Planner.keepsRegistries) none goes with the container: it waits until its EdgeRegistry's login stands in
 * the project. There one login serves a whole host: an EdgeRegistry that fits comes before all pull secrets, and the pull secret that counts gets
 * an EdgeRegistry of its own (edge-registry/pull-secrets.ts).
 */
import type { Planner, RegistryAuth } from "../../backends/contract.ts";
import { findCondition } from "../../controller/conditions.ts";
import type { EdgeBackend } from "../../crds/edge-backend.ts";
import type { EdgeContainerSpec } from "../../crds/edge-container.ts";
import type { EdgeDevice } from "../../crds/edge-device.ts";
import type { EdgeRegistry, RegistryProject } from "../../crds/edge-registry.ts";
import { NotText } from "../references.ts";
import type { Environment } from "../environment.ts";
import { hostOfImage, pullRegistryName, type PullLogin } from "../edge-registry/pull-secrets.ts";
import { authFor, DOCKER_CONFIG_KEY, loginFrom, matchLength } from "./registry-auth.ts";
import { missing, missingKey, notText, type ReferenceProblem, type Unresolved } from "./values.ts";

/** Where the container is to run. */
export interface Whereabouts {
  backend: EdgeBackend;
  device: EdgeDevice;
  planner: Planner;
}

/** `make`: the EdgeRegistry that is missing is Drayage's to make. */
type Found = { ok: true; auth?: RegistryAuth } | (Unresolved & { make?: PullLogin });

/** A login out of spec.imagePullSecrets. */
interface PullEntry {
  auth: RegistryAuth;
  length: number;
  secret: string;
}

/** The login that goes with the container, if one does; or what it waits for. Rejects only if the API server cannot be asked. */
export async function resolveLogin(
  spec: EdgeContainerSpec,
  namespace: string,
  where: Whereabouts,
  env: Pick<Environment, "stores" | "references">,
): Promise<Found> {
  const inline = where.planner.resolves?.includes("imagePullSecrets") === true;
  if (!inline && where.planner.keepsRegistries !== true) return { ok: true };
  const image = spec.image ?? "";
  let best: { registry: EdgeRegistry; length: number } | undefined;
  for (const { name } of spec.registryRefs ?? []) {
    const registry = env.stores.registries.get({ namespace, name });
    if (registry === undefined) return unready("RegistryNotFound", `EdgeRegistry ${namespace}/${name} does not exist`);
    if (!names(registry, where.backend)) {
      const { namespace: theirs = "", name: backend } = where.backend.metadata;
      return unready(
        "RegistryNotReady",
        `EdgeRegistry ${namespace}/${name} does not name EdgeBackend ${theirs}/${backend}: add it to its spec.backendRefs`,
      );
    }
    const length = matchLength(registry.spec.host, image);
    if (length !== undefined && (best === undefined || length > best.length)) best = { registry, length };
  }
  if (inline) return inlineLogin(spec, namespace, best, env);
  if (best !== undefined) return waitForProject(best.registry, where);
  const pull = await pullEntry(spec, namespace, env);
  if (!pull.ok) return pull;
  return pull.entry === undefined ? { ok: true } : waitForPull(pull.entry.secret, image, namespace, where, env);
}

/** Whether an EdgeRegistry lets a backend have its login. */
export function names(registry: EdgeRegistry, backend: EdgeBackend): boolean {
  const own = registry.metadata.namespace ?? "";
  return registry.spec.backendRefs.some(
    ({ name, namespace = own }) => name === backend.metadata.name && namespace === backend.metadata.namespace,
  );
}

/** Whether the login stands in the project, as far as is known: an older one while it is being changed. */
export function stands(entry: RegistryProject): boolean {
  const { registryId, hash, state } = entry;
  return registryId !== undefined && hash !== undefined && state !== "Conflict" && state !== "Removing";
}

async function inlineLogin(
  spec: EdgeContainerSpec,
  namespace: string,
  chosen: { registry: EdgeRegistry; length: number } | undefined,
  env: Pick<Environment, "references">,
): Promise<Found> {
  let best: { auth: RegistryAuth; length: number } | undefined;
  if (chosen !== undefined) {
    const { credentialsSecretRef, host } = chosen.registry.spec;
    const { name } = credentialsSecretRef;
    const data = await env.references.get("Secret", { namespace, name });
    if (data === undefined) return missing("Secret", namespace, name);
    const login = loginFrom(data, host);
    if (!login.ok) return unready(login.problem.reason, `Secret ${namespace}/${name} ${login.problem.message}`);
    best = { auth: login.auth, length: chosen.length };
  }
  const pull = await pullEntry(spec, namespace, env);
  if (!pull.ok) return pull;
  if (pull.entry !== undefined && (best === undefined || pull.entry.length > best.length)) best = pull.entry;
  return { ok: true, ...(best !== undefined && { auth: best.auth }) };
}

/** The entry of spec.imagePullSecrets that fits the image best. */
async function pullEntry(
  spec: EdgeContainerSpec,
  namespace: string,
  env: Pick<Environment, "references">,
): Promise<{ ok: true; entry?: PullEntry } | Unresolved> {
  const image = spec.image ?? "";
  let best: PullEntry | undefined;
  for (const { name } of spec.imagePullSecrets ?? []) {
    const data = await env.references.get("Secret", { namespace, name });
    if (data === undefined) return missing("Secret", namespace, name);
    const config = data.get(DOCKER_CONFIG_KEY);
    if (config === undefined) return missingKey("Secret", namespace, name, DOCKER_CONFIG_KEY, data);
    if (config instanceof NotText) return notText(namespace, name, DOCKER_CONFIG_KEY);
    try {
      const auth = authFor(image, config);
      const length = auth === undefined ? undefined : matchLength(auth.server, image);
      if (auth !== undefined && length !== undefined && (best === undefined || length > best.length))
        best = { auth, length, secret: name };
    } catch {
      // The parser's own words may quote the Secret.
      return unready("SecretMalformed", `Secret ${namespace}/${name}: key "${DOCKER_CONFIG_KEY}" is no JSON`);
    }
  }
  return { ok: true, ...(best !== undefined && { entry: best }) };
}

function waitForPull(
  secret: string,
  image: string,
  namespace: string,
  where: Whereabouts,
  env: Pick<Environment, "stores">,
): Found {
  const { metadata } = where.backend;
  const backend = { namespace: metadata.namespace ?? "", name: metadata.name };
  const login: PullLogin = { namespace, secret, host: hostOfImage(image), backend };
  const name = pullRegistryName(login);
  const registry = env.stores.registries.get({ namespace, name });
  if (registry !== undefined && registry.metadata.deletionTimestamp === undefined)
    return waitForProject(registry, where);
  const message = `the login of Secret ${namespace}/${secret} does not stand in the project yet: EdgeRegistry ${name} is made for it`;
  return { ...unready("RegistryNotReady", message), ...(registry === undefined && { make: login }) };
}

function waitForProject(registry: EdgeRegistry | undefined, { backend, device }: Whereabouts): Found {
  const projectId = device.spec.mittwald?.projectId;
  if (registry === undefined || projectId === undefined) return { ok: true };
  const { name, namespace = "" } = registry.metadata;
  const entry = registry.status?.projects?.find(
    (project) =>
      project.projectId === projectId &&
      project.backendName === backend.metadata.name &&
      project.backendNamespace === backend.metadata.namespace,
  );
  if (entry !== undefined && stands(entry)) return { ok: true };
  const said = entry?.message ?? findCondition(registry.status?.conditions, "Ready")?.message;
  const why = said === undefined ? "" : `: ${said}`;
  return unready(
    "RegistryNotReady",
    `the login of EdgeRegistry ${namespace}/${name} does not stand in project ${projectId} yet${why}`,
  );
}

function unready(reason: ReferenceProblem["reason"], message: string): Unresolved {
  return { ok: false, problem: { reason, message } };
}
