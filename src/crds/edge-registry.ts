/** EdgeRegistry: a login at an image registry, made real on each backend in that backend's own way. */
import type { z } from "zod";
import type { KubeObject } from "../kube/types.ts";
import { conditions, EXTERNAL_ID, observedGeneration } from "./conditions.ts";
import { REGISTRY_DEFAULTS } from "./default-values.ts";
import { graceSeconds } from "./lifecycle.ts";
import { localRef, namespaceName, objectName } from "./references.ts";
import { choice, flag, immutable, int, list, object, ruled, text, time } from "./schema.ts";

/** Backends that one object may name. */
const MOST_BACKENDS = 16;

/** Projects in which one object is looked after. */
export const MOST_PROJECTS = 500;

/** User names that are remembered while it is not seen which of them the vendor has. */
export const MOST_USERS = 8;

const HOST =
  /^(localhost|[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+)(:[0-9]{1,5})?(\/[a-z0-9]+([._-]+[a-z0-9]+)*)*$/;

const HOST_WITHOUT_DOT = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?:[0-9]{1,5}(\/[a-z0-9]+([._-]+[a-z0-9]+)*)*$/;

const backendRef = object("An EdgeBackend.", {
  name: objectName("Name of the EdgeBackend."),
  namespace: namespaceName(
    "Its namespace, if another one; the EdgeBackend's allowedNamespaces must let this one in.",
  ).exactOptional(),
});

export const edgeRegistrySpec = object("Which registry, with which login, and who may have it.", {
  host: ruled(
    text(
      "The registry as image references begin, e.g. ghcr.io or registry.example:5000. With a path, e.g. ghcr.io/acme, it counts only for images below it; of several that fit an image, the longest counts.",
      {
        max: 253,
        pattern: new RegExp(`${HOST.source}|${HOST_WITHOUT_DOT.source}`),
        fix: "write the host as image references begin, in lower case and without https://, e.g. ghcr.io, registry.example:5000 or ghcr.io/acme",
      },
    ),
    [immutable("host cannot be changed: delete this EdgeRegistry and create one for the other host")],
  ),
  credentialsSecretRef: localRef(
    "Secret with the login: of type kubernetes.io/dockerconfigjson, or kubernetes.io/basic-auth (keys username and password).",
  ),
  backendRefs: list(
    "EdgeBackends that may be given the login. No other one is ever given it.",
    backendRef,
    MOST_BACKENDS,
    1,
  ),
  deletion: object("What deleting the object waits for.", {
    graceSeconds: graceSeconds(REGISTRY_DEFAULTS.deletion.graceSeconds).exactOptional(),
  }).exactOptional(),
});

const backendStatus = object("How one of spec.backendRefs stands.", {
  name: text("Name of the EdgeBackend."),
  namespace: text("Its namespace."),
  use: choice(
    "PerContainer: the login goes to the vendor with each container that names this object in registryRefs. PerProject: it stands in each project. Unsupported: the backend takes none. Unknown: it is not there, or not ready.",
    ["PerContainer", "PerProject", "Unsupported", "Unknown"],
  ),
  message: text("What there is to say.", { min: 0, max: 1024 }).exactOptional(),
});

const project = object("The login in one project of a backend that keeps them per project (mittwald).", {
  backendName: text("Name of the EdgeBackend."),
  backendNamespace: text("Its namespace."),
  projectId: text("The project, as EdgeDevice.spec.mittwald.projectId has it."),
  state: choice(
    "Pending: to be made or changed. Creating: asked for, not seen yet. Ready: it stands there. Conflict: a registry of that host is not this object's. Failed: the vendor refuses, tried again. Removing: to be removed.",
    ["Pending", "Creating", "Ready", "Conflict", "Failed", "Removing"],
  ),
  registryId: text("The vendor's id of its registry.", { max: EXTERNAL_ID }).exactOptional(),
  origin: choice(
    "Created: made for this object, and removed with it. Default: one that every project has from the beginning; only its credentials are set, and taken out again.",
    ["Created", "Default"],
  ).exactOptional(),
  credentialsValid: flag("Whether the registry takes the login, as the vendor last checked.").exactOptional(),
  hash: text("Keyed hash of the login that was given to the vendor last.", { max: 128 }).exactOptional(),
  userHashes: list(
    "Keyed hashes of the user names that the vendor was asked to take: by them a login that somebody else has set is told from this object's.",
    text("A keyed hash.", { max: 128 }),
    MOST_USERS,
  ).exactOptional(),
  openSince: time("Since when something is asked for whose outcome has not been seen yet.").exactOptional(),
  conflictSince: time("Since when somebody else's registry has been in the way.").exactOptional(),
  failures: int("Failures in a row.", 0).exactOptional(),
  refusedHash: text("Keyed hash of the login with which it failed last; another one is tried at once.", {
    max: 128,
  }).exactOptional(),
  nextRetryTime: time("When it is tried again.").exactOptional(),
  message: text("What there is to say.", { min: 0, max: 1024 }).exactOptional(),
});

export const edgeRegistryStatus = object("What was observed; written by the operator only.", {
  observedGeneration: observedGeneration.exactOptional(),
  backends: list("Each of spec.backendRefs.", backendStatus, MOST_BACKENDS).exactOptional(),
  projects: list(
    "Where the login stands, or is about to, as an object of its own at the vendor. Entries go when nothing is left there.",
    project,
    MOST_PROJECTS,
  ).exactOptional(),
  conditions: conditions.exactOptional(),
});

export type EdgeRegistrySpec = z.infer<typeof edgeRegistrySpec>;
export type EdgeRegistryStatus = z.infer<typeof edgeRegistryStatus>;
export type RegistryBackend = z.infer<typeof backendStatus>;
export type RegistryProject = z.infer<typeof project>;

/** An EdgeRegistry as read from the API server. */
export interface EdgeRegistry extends KubeObject {
  spec: EdgeRegistrySpec;
  status?: EdgeRegistryStatus;
}
