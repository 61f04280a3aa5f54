/**
 * Stacks of our own. Since 2026-06-26 a project may have more than its default stack, whose id is the project's (OpenAPI, operation
 * container-create-stack, and the vendor's changelog of that day); what a stack is for stands in its description alone, which PUT leaves as it
 * is. There is no idempotency key: our mark in the description is how one is found again after its creation's answer was lost:
 * `shop [drayage-stack:<owner>/<namespace>/<name>/<uid>/<operation>]`, parts URI-encoded.
 */
import { isDeepStrictEqual } from "node:util";
import type { BackendClock } from "../contract.ts";
import type { BackendFailure } from "../errors.ts";
import type {
  ObservedStack,
  OwnStack,
  StackKeeper,
  StackListing,
  StackMarker,
  StackOutcome,
} from "../stack-contract.ts";
import type { Call, MittwaldClient, StackRef } from "./client.ts";
import { readMarker } from "./marker.ts";
import type { ProjectListing } from "./project.ts";
import type { Service, Stack } from "./types.ts";
import { isMounted } from "./volumes.ts";

const MARK = /\[drayage-stack:([^\s\]/]+)\/([^\s\]/]+)\/([^\s\]/]+)\/([^\s\]/]+)\/([^\s\]/]+)\]$/;

/** How long what is known of a project is kept, ms; longer than anybody takes a listing for new. */
const KEPT_MS = 3_600_000;

type Client = Pick<
  MittwaldClient,
  "stacks" | "stack" | "createStack" | "patchStack" | "declareStack" | "deleteVolume" | "deleteStack"
>;

export class MittwaldStacks implements StackKeeper {
  readonly #client: Client;
  readonly #clock: Pick<BackendClock, "monotonic">;
  readonly #latestOf: (projectId: string) => ProjectListing | undefined;
  /** The newest listing of each project that was asked for here; one serves all who ask. */
  readonly #listings = new Map<string, { atMs: number; answer: Promise<StackListing> }>();
  /** When a change in a project last began or ended. */
  readonly #changedAtMs = new Map<string, number>();

  /** @param latestOf what is listed anyway, for the devices in a project. */
  constructor(
    client: Client,
    clock: Pick<BackendClock, "monotonic">,
    latestOf: (projectId: string) => ProjectListing | undefined = () => undefined,
  ) {
    this.#client = client;
    this.#clock = clock;
    this.#latestOf = latestOf;
  }

  list(projectId: string, maxAgeMs: number): Promise<StackListing> {
    const now = this.#clock.monotonic();
    const known = this.#listings.get(projectId);
    const latest = this.#latestOf(projectId);
    // Of the two the newer one: an older list may lack what this keeper has found since.
    const oldestMs = Math.max(now - maxAgeMs, this.#changedAtMs.get(projectId) ?? 0, known?.atMs ?? 0);
    if (latest !== undefined && latest.atMs > oldestMs) return Promise.resolve(listingOf(latest.stacks, latest.stale));
    if (known !== undefined && now - known.atMs < maxAgeMs) return known.answer;
    for (const [id, { atMs }] of this.#listings) if (now - atMs > KEPT_MS) this.#listings.delete(id);
    for (const [id, atMs] of this.#changedAtMs) if (now - atMs > KEPT_MS) this.#changedAtMs.delete(id);
    const entry = { atMs: now, answer: this.#list(projectId) };
    this.#listings.set(projectId, entry);
    return entry.answer;
  }

  create(projectId: string, marker: StackMarker): Promise<StackOutcome> {
    return this.#write(projectId, () => this.#client.createStack(projectId, describe(marker)));
  }

  addVolumes(own: OwnStack, names: readonly string[]): Promise<StackOutcome> {
    const volumes = Object.fromEntries(names.map((name) => [name, { name }]));
    return this.#change(own, (_, ref) => this.#client.patchStack(ref, { volumes }));
  }

  removeServices(own: OwnStack, services: readonly { id: string; name: string }[]): Promise<StackOutcome> {
    return this.#change(own, (stack, ref) => {
      const seen = services.map(({ id, name }) =>
        stack.services.find((service) => service.id === id && service.serviceName === name),
      );
      if (seen.includes(undefined)) return "the services are not those that were seen";
      if (seen.some(isMarked)) return "a service in it has an owner now";
      const unwanted = Object.fromEntries(services.map(({ name }) => [name, {}]));
      return this.#client.patchStack(ref, { services: unwanted });
    });
  }

  empty(own: OwnStack): Promise<StackOutcome> {
    return this.#change(own, (stack, ref) =>
      stack.services.some(isMarked)
        ? "a service in it has an owner"
        : this.#client.declareStack(ref, { services: {}, volumes: {} }),
    );
  }

  removeVolume(own: OwnStack, volumeId: string): Promise<StackOutcome> {
    return this.#change(own, (stack, ref) => {
      const volume = stack.volumes.find(({ id }) => id === volumeId);
      if (volume === undefined) return { result: "Succeeded" };
      if (isMounted(stack, volume)) return `volume ${volume.name} is mounted`;
      return this.#client.deleteVolume(ref, volumeId);
    });
  }

  remove(own: OwnStack): Promise<StackOutcome> {
    return this.#change(own, (stack, ref) =>
      // With a stack go its volumes and their data: only what has been seen to be empty is removed.
      stack.services.length > 0 || stack.volumes.length > 0 ? "the stack is not empty" : this.#client.deleteStack(ref),
    );
  }

  async #list(projectId: string): Promise<StackListing> {
    const call = await this.#client.stacks(projectId, { urgent: true });
    if (call.kind !== "Done") return { ok: false, failure: call.failure };
    return listingOf(call.value, call.stale);
  }

  /** Looks, lets `decide` say no or send, and forgets what was listed before. */
  async #change(
    { projectId, id, marker }: OwnStack,
    decide: (stack: Stack, ref: StackRef) => string | StackOutcome | Promise<Call<Stack | undefined>>,
  ): Promise<StackOutcome> {
    const ref = { projectId, stackId: id };
    const seen = await this.#client.stack(ref);
    if (seen.kind !== "Done") return { result: "Failed", failure: seen.failure };
    // By what the vendor says: an EdgeDevice may name the project by its short id.
    if (isDefault(seen.value)) return refused("it is the project's default stack, which is everybody's");
    if (seen.stale)
      return { result: "Failed", failure: { class: "Transient", message: "the vendor shows an old view" } };
    if (!isDeepStrictEqual(readStackMarker(seen.value.description), marker))
      return refused("its description does not say any more that it is this object's");
    const decision = decide(seen.value, ref);
    if (typeof decision === "string") return refused(decision);
    if (!(decision instanceof Promise)) return decision;
    return this.#write(projectId, () => decision);
  }

  /** Whatever was listed before a change, or while it was under way, is old. */
  async #write(projectId: string, send: () => Promise<Call<Stack | undefined>>): Promise<StackOutcome> {
    this.#forget(projectId);
    const outcome = outcomeOf(await send());
    this.#forget(projectId);
    return outcome;
  }

  #forget(projectId: string): void {
    this.#listings.delete(projectId);
    this.#changedAtMs.set(projectId, this.#clock.monotonic());
  }
}

function listingOf(stacks: readonly Stack[], stale: boolean): StackListing {
  return { ok: true, stacks: stacks.map(observeStack), stale };
}

/** Its id is the project's. */
function isDefault({ id, projectId }: Stack): boolean {
  return id === projectId;
}

/** Whether it carries the mark of any installation. */
function isMarked(service: Service | undefined): boolean {
  return service !== undefined && readMarker(service.description, service.serviceName) !== undefined;
}

function refused(message: string): StackOutcome {
  const failure: BackendFailure = { class: "Conflict", reason: "StateConflict", message };
  return { result: "Failed", failure };
}

function outcomeOf(call: Call<Stack | undefined>): StackOutcome {
  switch (call.kind) {
    case "Done":
      return { result: "Succeeded", ...(call.value !== undefined && { id: call.value.id }) };
    case "Refused":
      return { result: "Failed", failure: call.failure };
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
function observeStack(stack: Stack): ObservedStack {
  const { id, description, services, volumes } = stack;
  const marker = readStackMarker(description);
  return {
    id,
    isDefault: isDefault(stack),
    ...(marker !== undefined && { marker }),
    services: services.map((service) => {
      const mark = readMarker(service.description, service.serviceName);
      return {
        id: service.id,
        name: service.serviceName,
        ...(mark !== undefined && {
          marker: { owner: mark.owner, namespace: mark.namespace, name: mark.name },
        }),
      };
    }),
    volumes: volumes.map((volume) => ({ id: volume.id, name: volume.name })),
  };
}

function describe({ owner, namespace, name, uid, operation }: StackMarker): string {
  const parts = [owner, namespace, name, uid, operation].map((part) => encodeURIComponent(part.toWellFormed()));
  return `${name} [drayage-stack:${parts.join("/")}]`;
}

function readStackMarker(description: string): StackMarker | undefined {
  const parts = MARK.exec(description.trim())?.slice(1).map(decode);
  if (parts === undefined || parts.includes(undefined)) return undefined;
  const [owner = "", namespace = "", name = "", uid = "", operation = ""] = parts;
  return { owner, namespace, name, uid, operation };
}

function decode(part: string): string | undefined {
  try {
    return decodeURIComponent(part);
  } catch {
    return undefined;
  }
}
