/**
 * Logins at registries, which mittwald keeps per project: which one is used for an image goes by its host alone. Three registries are in every
 * project from the beginning (developer portal, "Containers", "Private registries"): of these only the login is set, and taken out again.
 * Others are made and removed. Our mark stands at the end of the description, as on services (marker.ts there):
 * `acme [drayage:<owner>/<namespace>/<name>/<uid>/<origin>]`, parts URI-encoded; what people have written before it stays.
 */
import type { BackendClock, RegistryAuth } from "../contract.ts";
import type {
  ObservedRegistry,
  RegistryKeeper,
  RegistryListing,
  RegistryMarker,
  RegistryOutcome,
} from "../registry-contract.ts";
import type { Call, MittwaldClient } from "./client.ts";
import type { Registry } from "./types.ts";

/** By host, as the vendor spells it. */
const DEFAULTS: ReadonlySet<string> = new Set(["index.docker.io", "ghcr.io", "registry.gitlab.com"]);
const DOCKER_HUB: ReadonlySet<string> = new Set(["docker.io", "registry-1.docker.io"]);

const MARK = /\[drayage:([^\s\]/]+)\/([^\s\]/]+)\/([^\s\]/]+)\/([^\s\]/]+)\/(created|default)\]$/;
const ANY_MARK = /\s*\[drayage:[^\]]*\]/g;

export class MittwaldRegistries implements RegistryKeeper {
  readonly #client: Pick<MittwaldClient, "registries" | "createRegistry" | "updateRegistry" | "deleteRegistry">;
  readonly #clock: Pick<BackendClock, "monotonic">;
  /** The newest listing of each project; one serves all who ask. */
  readonly #listings = new Map<string, { atMs: number; answer: Promise<RegistryListing> }>();

  constructor(
    client: Pick<MittwaldClient, "registries" | "createRegistry" | "updateRegistry" | "deleteRegistry">,
    clock: Pick<BackendClock, "monotonic">,
  ) {
    this.#client = client;
    this.#clock = clock;
  }

  hostProblem(host: string): string | undefined {
    return host.includes("/")
      ? `mittwald knows registries by their host alone: leave the path out of spec.host (${host}), or remove this EdgeBackend from spec.backendRefs`
      : undefined;
  }

  hostAtVendor(host: string): string {
    return DOCKER_HUB.has(host) ? "index.docker.io" : host;
  }

  list(projectId: string, maxAgeMs: number): Promise<RegistryListing> {
    const now = this.#clock.monotonic();
    const known = this.#listings.get(projectId);
    if (known !== undefined && now - known.atMs < maxAgeMs) return known.answer;
    this.#forgetOld(now);
    const entry = { atMs: now, answer: this.#list(projectId) };
    this.#listings.set(projectId, entry);
    return entry.answer;
  }

  create(projectId: string, host: string, marker: RegistryMarker, login: RegistryAuth): Promise<RegistryOutcome> {
    const uri = this.hostAtVendor(host);
    const description = describe(marker.name, marker);
    return this.#write(projectId, () =>
      this.#client.createRegistry(projectId, { uri, description, credentials: credentialsOf(login) }),
    );
  }

  set(
    projectId: string,
    { id, host, description }: ObservedRegistry,
    marker: RegistryMarker,
    login: RegistryAuth,
  ): Promise<RegistryOutcome> {
    const words = wordsOf(description);
    return this.#write(projectId, () =>
      this.#client.updateRegistry(projectId, id, {
        description: describe(words === "" ? host : words, marker),
        credentials: credentialsOf(login),
      }),
    );
  }

  restore(
    projectId: string,
    { id, host, description }: ObservedRegistry,
    what: "Both" | "MarkerOnly",
  ): Promise<RegistryOutcome> {
    const words = wordsOf(description);
    // A blank description is refused.
    const before = words === "" ? host : words;
    return this.#write(projectId, () =>
      this.#client.updateRegistry(projectId, id, {
        description: before,
        ...(what === "Both" && { credentials: null }),
      }),
    );
  }

  async remove(projectId: string, id: string): Promise<RegistryOutcome> {
    const outcome = await this.#write(projectId, () => this.#client.deleteRegistry(projectId, id));
    const isGone =
      outcome.result === "Failed" && outcome.failure.class === "Conflict" && outcome.failure.reason === "NotFound";
    return isGone ? { result: "Succeeded" } : outcome;
  }

  async #list(projectId: string): Promise<RegistryListing> {
    const call = await this.#client.registries(projectId);
    if (call.kind === "Done") return { ok: true, registries: call.value.map(observe), stale: call.stale };
    return { ok: false, failure: call.failure };
  }

  /** Whatever was listed before a change, or while it was under way, is old. */
  async #write(projectId: string, send: () => Promise<Call<Registry | undefined>>): Promise<RegistryOutcome> {
    this.#listings.delete(projectId);
    const outcome = outcomeOf(await send());
    this.#listings.delete(projectId);
    return outcome;
  }

  #forgetOld(now: number): void {
    for (const [projectId, { atMs }] of this.#listings) if (now - atMs > 3_600_000) this.#listings.delete(projectId);
  }
}

function outcomeOf(call: Call<Registry | undefined>): RegistryOutcome {
  switch (call.kind) {
    case "Done":
      return { result: "Succeeded", ...(call.value !== undefined && { id: call.value.id }) };
    case "Refused": {
      const { failure, status } = call;
      // A host that does not answer, or hosts no registry; it may tomorrow.
      if (status === 412) return { result: "Failed", failure: { class: "Transient", message: failure.message } };
      return { result: "Failed", failure };
    }
    case "NotSent":
      return call.fenced
        ? { result: "Refused", message: call.failure.message }
        : { result: "Failed", failure: call.failure };
    case "Unknown":
      return { result: "Lost", message: call.failure.message };
    default:
      return call satisfies never;
  }
}

/** What the vendor lists, in our words. */
export function observe({ id, uri, description, credentials }: Registry): ObservedRegistry {
  const marker = readMark(description);
  return {
    id,
    host: uri,
    description,
    ...(marker !== undefined && { marker }),
    isDefault: DEFAULTS.has(uri.toLowerCase()),
    ...(credentials !== undefined && { username: credentials.username }),
    ...(credentials?.valid !== undefined && { valid: credentials.valid }),
  };
}

function describe(words: string, { owner, namespace, name, uid, origin }: RegistryMarker): string {
  const parts = [owner, namespace, name, uid, origin.toLowerCase()].map((part) =>
    encodeURIComponent(part.toWellFormed()),
  );
  return `${words} [drayage:${parts.join("/")}]`;
}

function readMark(description: string): RegistryMarker | undefined {
  const [owner, namespace, name, uid, origin] = MARK.exec(description.trim())?.slice(1).map(decode) ?? [];
  if (owner === undefined || namespace === undefined || name === undefined || uid === undefined) return undefined;
  return { owner, namespace, name, uid, origin: origin === "default" ? "Default" : "Created" };
}

function wordsOf(description: string): string {
  return description.replaceAll(ANY_MARK, "").trim();
}

function decode(part: string): string | undefined {
  try {
    return decodeURIComponent(part);
  } catch {
    return undefined;
  }
}

function credentialsOf({ username, password }: RegistryAuth): { username: string; password: string } {
  return { username, password };
}
