// The registries of projects. Three are there from the start; they can be changed and deleted like any other. Whether stored credentials are valid is
// found out by the vendor's own schedule, so `valid` lags behind a change.

import type { Clock } from "../clock.ts";
import { Refusal, unmet } from "./answers.ts";
import type { Change } from "./events.ts";
import type { Images, Login } from "./images.ts";
import type { Quirks, RegistryBody } from "./types.ts";
import { checkNotBlank, checkRegistryUri } from "./validation.ts";

/** Of every project. https://developer.mittwald.de/docs/v2/platform/workloads/containers */
const STANDARD: readonly (readonly [uri: string, description: string])[] = [
  ["index.docker.io", "Docker Hub"],
  ["ghcr.io", "GitHub Container Registry"],
  ["registry.gitlab.com", "GitLab Container Registry"],
];

interface Registry {
  id: string;
  projectId: string;
  uri: string;
  description: string;
  login: Login | undefined;
  /** What answers say of the login. */
  valid: boolean;
}

export interface RegistryRequest {
  uri?: string;
  description?: string;
  credentials?: Login | null;
}

export class Registries {
  readonly #all = new Map<string, Registry>();
  readonly #clock: Clock;
  readonly #images: Images;
  readonly #quirks: Quirks;
  readonly #newId: () => string;
  readonly #changed: (change: Change) => void;

  constructor(
    { clock, images, quirks }: { clock: Clock; images: Images; quirks: Quirks },
    newId: () => string,
    changed: (change: Change) => void,
  ) {
    this.#clock = clock;
    this.#images = images;
    this.#quirks = quirks;
    this.#newId = newId;
    this.#changed = changed;
  }

  addStandard(projectId: string): void {
    for (const [uri, description] of STANDARD)
      this.#put({ id: this.#newId(), projectId, uri, description, login: undefined, valid: false });
  }

  has(id: string): boolean {
    return this.#all.has(id);
  }

  /** Of a project, as they are, not as they are seen. */
  of(projectId: string): readonly RegistryBody[] {
    return [...this.#all.values()].filter((registry) => registry.projectId === projectId).map(bodyOf);
  }

  /** What is stored for a host in a project. */
  login(projectId: string, host: string): Login | undefined {
    for (const { projectId: project, uri, login } of this.#all.values())
      if (project === projectId && uri === host) return login;
    return undefined;
  }

  /** What is stored in one of them. */
  loginOf(id: string): Login | undefined {
    return this.#all.get(id)?.login;
  }

  /** @throws Refusal 400, 409, 412 */
  create(
    projectId: string,
    { uri, description, credentials }: Required<Omit<RegistryRequest, "credentials">> & { credentials?: Login },
  ): RegistryBody {
    checkRegistryUri(uri);
    checkNotBlank("description", description);
    this.#checkHost(projectId, uri, undefined);
    this.#checkLogin(uri, credentials);
    const registry = { id: this.#newId(), projectId, uri, description, login: credentials, valid: true };
    this.#put(registry);
    this.#checkLater(registry);
    return bodyOf(registry);
  }

  /** @throws Refusal 400, 409, 412 */
  update(id: string, { uri, description, credentials }: RegistryRequest): void {
    const registry = this.#all.get(id);
    if (registry === undefined) return;
    if (uri !== undefined && uri !== registry.uri) {
      checkRegistryUri(uri);
      this.#checkHost(registry.projectId, uri, id);
    }
    checkNotBlank("description", description);
    this.#checkLogin(uri ?? registry.uri, credentials ?? undefined);
    registry.uri = uri ?? registry.uri;
    registry.description = description ?? registry.description;
    if (credentials !== undefined) {
      if (registry.login === undefined) registry.valid = true;
      registry.login = credentials ?? undefined;
    }
    this.#put(registry);
    this.#checkLater(registry);
  }

  delete(id: string): void {
    this.#all.delete(id);
    this.#changed({ table: "registries", id, row: undefined });
  }

  /** Whether the stored login is taken right now. No login is fine. @throws Refusal 412 when the host does not answer */
  isValid(id: string): boolean {
    const registry = this.#all.get(id);
    if (registry?.login === undefined) return true;
    this.#checkReachable(registry.uri);
    return this.#images.accepts(registry.uri, registry.login);
  }

  /** Why no registry can be at this host; undefined where one can. @throws Refusal 400 */
  hostProblem(uri: string): string | undefined {
    checkRegistryUri(uri);
    const problem = this.#images.hostProblem(uri);
    if (problem === undefined) return undefined;
    return problem === "unreachable" ? `registry ${uri} is not reachable` : `${uri} does not host a registry`;
  }

  /** The vendor's schedule looks at all credentials of a host again. */
  recheck(host: string): void {
    for (const registry of this.#all.values()) if (registry.uri === host) this.#checkLater(registry);
  }

  #checkHost(projectId: string, uri: string, own: string | undefined): void {
    this.#checkReachable(uri);
    for (const other of this.#all.values())
      if (other.projectId === projectId && other.uri === uri && other.id !== own)
        throw new Refusal(409, "Conflict", `registry ${uri} already exists in project ${projectId}`);
  }

  #checkReachable(uri: string): void {
    const problem = this.hostProblem(uri);
    if (problem !== undefined) throw unmet(problem);
  }

  #checkLogin(uri: string, login: Login | undefined): void {
    if (login !== undefined && this.#quirks.badCredentials === 412 && !this.#images.accepts(uri, login))
      throw unmet(`credentials for registry ${uri} are not valid`);
  }

  #checkLater(registry: Registry): void {
    const check = (): void => {
      if (this.#all.get(registry.id) !== registry || registry.login === undefined) return;
      const valid = this.#images.accepts(registry.uri, registry.login);
      if (valid === registry.valid) return;
      registry.valid = valid;
      this.#put(registry);
    };
    if (this.#quirks.credentialsCheckMs <= 0) check();
    else this.#clock.setTimeout(check, this.#quirks.credentialsCheckMs);
  }

  #put(registry: Registry): void {
    this.#all.set(registry.id, registry);
    this.#changed({ table: "registries", id: registry.id, row: bodyOf(registry) });
  }
}

/** The password is never told. */
function bodyOf({ id, projectId, uri, description, login, valid }: Registry): RegistryBody {
  return {
    id,
    projectId,
    uri,
    description,
    ...(login !== undefined && { credentials: { username: login.username, valid } }),
  };
}
