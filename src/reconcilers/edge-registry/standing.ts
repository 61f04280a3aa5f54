/** How an EdgeRegistry stands towards each backend that it names, and in which projects its login is wanted. */
import type { Account } from "../../backends/contract.ts";
import { findCondition } from "../../controller/conditions.ts";
import type { EdgeBackend } from "../../crds/edge-backend.ts";
import { MOST_PROJECTS, type EdgeRegistry, type RegistryBackend } from "../../crds/edge-registry.ts";
import { keyString } from "../../kube/resource.ts";
import type { ObjectKey } from "../../kube/types.ts";
import { backendType } from "../accounts.ts";
import { isAllowed, isNamespaceAllowed } from "../allowed-namespaces.ts";
import { refusalOf } from "../device-access.ts";
import type { Environment } from "../environment.ts";
import { BY_BACKEND } from "../stores.ts";

/** One of spec.backendRefs, looked up. */
export interface BackendStanding {
  key: ObjectKey;
  status: RegistryBackend;
  /** Absent where the backend is missing or may not be used. */
  backend?: EdgeBackend;
  /** Why it cannot be used now; a reason of Accepted. */
  missing?: "BackendNotFound" | "NotAllowedNamespace";
  /** Present where logins are kept per project and the account can be asked. */
  account?: Account;
  /** Where the login is wanted. */
  projects: readonly string[];
}

/** Looks up every backend named, in the order of the spec; one that is named twice counts once. Synchronous. */
export function standings(object: EdgeRegistry, env: Pick<Environment, "stores" | "accounts">): BackendStanding[] {
  const own = object.metadata.namespace ?? "";
  const keys = new Map<string, ObjectKey>(
    object.spec.backendRefs.map(({ name, namespace = own }) => [keyString({ namespace, name }), { namespace, name }]),
  );
  return Array.from(keys.values(), (key) => standingOf(object, key, env));
}

function standingOf(
  object: EdgeRegistry,
  key: ObjectKey,
  env: Pick<Environment, "stores" | "accounts">,
): BackendStanding {
  const own = object.metadata.namespace ?? "";
  const unknown = (message: string): RegistryBackend => ({ ...key, use: "Unknown", message });
  const backend = env.stores.backends.get(key);
  if (backend === undefined) {
    const status = unknown(`EdgeBackend ${key.namespace}/${key.name} does not exist`);
    return { key, status, missing: "BackendNotFound", projects: [] };
  }
  const allowed = isNamespaceAllowed(backend, own, env.stores);
  if (!allowed.allowed) return { key, status: unknown(allowed.message), missing: "NotAllowedNamespace", projects: [] };
  const planner = env.accounts.backendFor(backend)?.planner;
  const type = backendType(backend);
  if (planner?.resolves?.includes("imagePullSecrets") === true)
    return { key, backend, status: { ...key, use: "PerContainer" }, projects: [] };
  if (planner?.keepsRegistries !== true) {
    const message = `${type} takes no registry credentials: remove EdgeBackend ${key.name} from spec.backendRefs`;
    return { key, backend, status: { ...key, use: "Unsupported", message }, projects: [] };
  }
  const projects = projectsOf(object, backend, env);
  const account = env.accounts.account(backend.metadata.uid);
  const state = account?.status();
  if (account?.registries === undefined || state?.state !== "Connected") {
    const ready = findCondition(backend.status?.conditions, "Ready");
    const why = state?.state === "Failed" ? state.message : ready?.status === "False" ? ready.message : "not connected";
    const message = `EdgeBackend ${key.name} is not ready: ${why}`;
    return { key, backend, status: { ...key, use: "PerProject", message }, projects };
  }
  const unfit = account.registries.hostProblem(object.spec.host);
  if (unfit !== undefined)
    return { key, backend, status: { ...key, use: "Unsupported", message: unfit }, projects: [] };
  if (projects.length > MOST_PROJECTS) {
    const message = `EdgeDevices in namespace ${own} name ${projects.length} projects of EdgeBackend ${key.name}, more than the ${MOST_PROJECTS} that one EdgeRegistry serves`;
    return {
      key,
      backend,
      status: { ...key, use: "Unsupported", message },
      projects: projects.slice(0, MOST_PROJECTS),
    };
  }
  const note =
    projects.length === 0 ? `no EdgeDevice in namespace ${own} that is not refused names a project of it` : undefined;
  return {
    key,
    backend,
    account,
    status: { ...key, use: "PerProject", ...(note !== undefined && { message: note }) },
    projects,
  };
}

/**
 * The projects of the EdgeDevices in the object's own namespace that use the backend, may, and are not refused: one that names what another's
 * does gives no way into that project. Not those of other namespaces: a namespace is a tenant, and a login in a project serves every container
 * there. By what is declared alone: a login that stands must not go because a session is not open yet.
 */
function projectsOf(
  object: EdgeRegistry,
  backend: EdgeBackend,
  env: Pick<Environment, "stores" | "accounts">,
): string[] {
  const { namespace = "", name } = backend.metadata;
  const found = env.stores.devices
    .byIndex(BY_BACKEND, keyString({ namespace, name }))
    .filter(({ metadata }) => metadata.namespace === object.metadata.namespace)
    .filter((device) => isAllowed(backend, device, env.stores).allowed && refusalOf(device, env) === undefined)
    .flatMap(({ spec }) => (spec.mittwald === undefined ? [] : [spec.mittwald.projectId]));
  return [...new Set(found)].sort();
}
