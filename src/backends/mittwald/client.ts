/**
 * mittwald's API (https://developer.mittwald.de, operations container-* of its OpenAPI document), one function per operation that is used;
 * docs/backends/mittwald.md has the table of all of them. It knows paths, bodies and what answers mean (answers.ts), keeps the ids of our
 * own writes (events.ts), and decides nothing. Every answer is bounded by the HTTP client under it; no body is ever logged, since variables
 * come back in clear text.
 */
import type { z } from "zod";
import type { BackendClock } from "../contract.ts";
import type { HttpRequest, HttpResult } from "../http/client.ts";
import { headerOf } from "../http/exchange.ts";
import { callOf, type Call } from "./answers.ts";
import { Events } from "./events.ts";
import {
  imageConfigSchema,
  registrySchema,
  serviceSchema,
  stackSchema,
  volumeSchema,
  type ImageConfig,
  type Registry,
  type RegistryBody,
  type Service,
  type Stack,
  type StackDeclaration,
  type StackPatch,
  type Volume,
} from "./types.ts";

export type { Call } from "./answers.ts";

/** The largest list, bytes: a project of some hundred services with their variables. */
const LARGEST_LIST = 16 * 1_048_576;
/** The vendor's own default and largest page. */
const PAGE = 1_000;
/** The vendor holds a read for up to 10 s until its event is reached. */
const HELD_READ_MS = 25_000;
/**
 * How long a write may wait for its turn among the account's requests, ms. It was decided upon by a look just before it, and the API has no
 * condition on writes: in a pause that the vendor has asked for (minutes) that look would grow old. Unsent, it is looked at again.
 */
const FRESH_MS = 2_000;
const AT_ONCE = { write: true, urgency: "Pressing", turnWithinMs: FRESH_MS } as const;
/** Longest log that is fetched, bytes. */
const LARGEST_LOG = 4 * 1_048_576;

/** A stack and the project it is in, as the paths take them. */
export interface StackRef {
  /** UUID or short id. */
  projectId: string;
  /** UUID. */
  stackId: string;
}

export interface ServiceRef extends StackRef {
  /** UUID or short id. */
  serviceId: string;
}

/** A log as it came: text without NUL bytes. Truncated: the stream ended early, or it was longer than is fetched. */
export interface LogText {
  text: string;
  isTruncated: boolean;
}

export interface ClientDeps {
  clock: BackendClock;
  /** HttpClient.send, or what an account puts before it. */
  send(request: HttpRequest): Promise<HttpResult>;
  /** What must not be in any text: the token. */
  secrets: readonly string[];
  /** Input that could not be read. */
  malformed(kind: string): void;
}

export class MittwaldClient {
  readonly #deps: ClientDeps;
  readonly #events: Events;

  constructor(deps: ClientDeps) {
    this.#deps = deps;
    this.#events = new Events(deps.clock);
  }

  // Reading. Each waits until the vendor's read model has our own last write to the stack or project (Call.stale says if it has not).

  /** All stacks of a project, each with its services and volumes. */
  stacks(projectId: string, options: { search?: string; urgent?: boolean } = {}): Promise<Call<Stack[]>> {
    const { search, urgent } = options;
    const query = search === undefined ? {} : { searchTerm: search };
    const path = `/v2/projects/${part(projectId)}/stacks`;
    return this.#inProject(projectId, () => this.#list(stackSchema, path, query, [projectId], urgent));
  }

  stack({ projectId, stackId }: StackRef, urgent = true): Promise<Call<Stack>> {
    return this.#read(stackSchema, `/v2/stacks/${part(stackId)}`, [stackId, projectId], urgent);
  }

  service({ projectId, stackId, serviceId }: ServiceRef, urgent = true): Promise<Call<Service>> {
    const path = `/v2/stacks/${part(stackId)}/services/${part(serviceId)}`;
    return this.#read(serviceSchema, path, [stackId, projectId], urgent);
  }

  /** Volumes of one stack. */
  volumes({ projectId, stackId }: StackRef): Promise<Call<Volume[]>> {
    return this.#list(volumeSchema, `/v2/stacks/${part(stackId)}/volumes`, {}, [stackId, projectId], true);
  }

  registries(projectId: string): Promise<Call<Registry[]>> {
    const path = `/v2/projects/${part(projectId)}/registries`;
    return this.#inProject(projectId, () => this.#list(registrySchema, path, {}, [projectId], true));
  }

  registry(projectId: string, registryId: string): Promise<Call<Registry>> {
    return this.#read(registrySchema, `/v2/registries/${part(registryId)}`, [projectId], true);
  }

  /**
   * What a reference means at its registry, with the credentials that the project has for it. A refusal says why it cannot be pulled. The
   * vendor counts these requests apart.
   *
   * @param projectId UUID: the schema takes no short id here.
   */
  async imageConfig(image: string, projectId: string): Promise<Call<ImageConfig>> {
    const query = new URLSearchParams({ imageReference: image, useCredentialsForProjectId: projectId });
    const path = `/v2/container-image-config?${query.toString()}`;
    const result = await this.#deps.send({ method: "GET", path, write: false, isCountedApart: true });
    return this.#sort(result, imageConfigSchema);
  }

  /**
   * The end of a service's log. Logs rotate and are not kept. The stream may begin with NUL bytes and end early; what came counts.
   *
   * @param lines at most so many.
   */
  async logs({ stackId, serviceId }: ServiceRef, lines: number, signal?: AbortSignal): Promise<Call<LogText>> {
    const chunks: Buffer[] = [];
    const path = `/v2/stacks/${part(stackId)}/services/${part(serviceId)}/logs?tail=${lines}`;
    const result = await this.#deps.send({
      method: "GET",
      path,
      write: false,
      urgency: "Urgent",
      accept: ["text/plain"],
      maxBytes: LARGEST_LOG,
      onData: (chunk) => void chunks.push(chunk),
      ...(signal !== undefined && { signal }),
    });
    const text = Buffer.concat(chunks).toString("utf8").replaceAll("\0", "");
    if (result.kind === "Broken" && chunks.length > 0)
      return { kind: "Done", stale: false, value: { text, isTruncated: true } };
    return callOf(result, () => ({ text, isTruncated: false }), this.#deps.secrets);
  }

  // Writing. Each is sent once, and within FRESH_MS or not at all; the answer of PUT, PATCH and POST of a stack is the newest view there is.

  /** Not idempotent: a lost answer leaves a stack that only its description tells. */
  createStack(projectId: string, description: string): Promise<Call<Stack>> {
    return this.#write("POST", `/v2/projects/${part(projectId)}/stacks`, { description }, stackSchema, [projectId], []);
  }

  /** Changes what the body names, and nothing else. */
  patchStack({ projectId, stackId }: StackRef, body: StackPatch): Promise<Call<Stack>> {
    const path = `/v2/stacks/${part(stackId)}`;
    return this.#write("PATCH", path, body, stackSchema, [stackId, projectId], secretsOf(body));
  }

  /** Removes what the body does not name: only for stacks of our own. */
  declareStack({ projectId, stackId }: StackRef, body: StackDeclaration): Promise<Call<Stack>> {
    const path = `/v2/stacks/${part(stackId)}`;
    return this.#write("PUT", path, body, stackSchema, [stackId, projectId], secretsOf(body));
  }

  /** Its volumes and their data go with it. */
  deleteStack({ projectId, stackId }: StackRef): Promise<Call<undefined>> {
    return this.#command("DELETE", `/v2/stacks/${part(stackId)}`, [stackId, projectId]);
  }

  /** Destroys its data; refused while it is mounted. */
  deleteVolume({ projectId, stackId }: StackRef, volumeId: string): Promise<Call<undefined>> {
    return this.#command("DELETE", `/v2/stacks/${part(stackId)}/volumes/${part(volumeId)}`, [stackId, projectId]);
  }

  /** Carried out after its answer. Restart, recreate and pull interrupt the service each time; start and stop are refused where it is so already. */
  act(
    { projectId, stackId, serviceId }: ServiceRef,
    action: "start" | "stop" | "restart" | "recreate" | "pull",
  ): Promise<Call<undefined>> {
    const path = `/v2/stacks/${part(stackId)}/services/${part(serviceId)}/actions/${action}`;
    return this.#command("POST", path, [stackId, projectId]);
  }

  createRegistry(
    projectId: string,
    body: RegistryBody & { readonly uri: string; readonly description: string },
  ): Promise<Call<Registry>> {
    const path = `/v2/projects/${part(projectId)}/registries`;
    return this.#write("POST", path, body, registrySchema, [projectId], passwordOf(body));
  }

  updateRegistry(projectId: string, registryId: string, body: RegistryBody): Promise<Call<undefined>> {
    return this.#command("PATCH", `/v2/registries/${part(registryId)}`, [projectId], body, passwordOf(body));
  }

  deleteRegistry(projectId: string, registryId: string): Promise<Call<undefined>> {
    return this.#command("DELETE", `/v2/registries/${part(registryId)}`, [projectId]);
  }

  async #read<S extends z.ZodType>(
    schema: S,
    path: string,
    keys: readonly string[],
    isUrgent = false,
  ): Promise<Call<z.output<S>>> {
    const { result, stale } = await this.#get(path, keys, isUrgent);
    const call = this.#sort(result, schema);
    return call.kind === "Done" ? { ...call, stale } : call;
  }

  /** Learns the UUID behind a short id. What was written under the UUID could not be waited for until then: the list is asked for again. */
  async #inProject<T extends { projectId: string }>(given: string, list: () => Promise<Call<T[]>>): Promise<Call<T[]>> {
    const call = await list();
    const uuid = call.kind === "Done" ? call.value[0]?.projectId : undefined;
    return uuid !== undefined && this.#events.alias(given, uuid) ? list() : call;
  }

  /** Page after page; a list that is cut short is no list. */
  async #list<S extends z.ZodType>(
    schema: S,
    path: string,
    query: Readonly<Record<string, string>>,
    keys: readonly string[],
    isUrgent = false,
  ): Promise<Call<z.output<S>[]>> {
    const items: z.output<S>[] = [];
    let isStale = false;
    for (;;) {
      const page = new URLSearchParams({ ...query, limit: String(PAGE), skip: String(items.length) });
      const { result, stale } = await this.#get(`${path}?${page.toString()}`, keys, isUrgent);
      const call = this.#sort(result, schema.array());
      if (call.kind !== "Done") return call;
      isStale ||= stale;
      items.push(...call.value);
      const told = result.kind === "Answer" ? headerOf(result.headers, "x-pagination-totalcount") : undefined;
      // Where no total is told, a full page may have another one behind it.
      const isLast = told === undefined ? call.value.length < PAGE : items.length >= Number(told);
      if (call.value.length === 0 || isLast) return { kind: "Done", value: items, stale: isStale };
    }
  }

  /** With our last event; without it if the vendor does not get there within the time it waits. */
  async #get(
    path: string,
    keys: readonly string[],
    isUrgent: boolean,
  ): Promise<{ result: HttpResult; stale: boolean }> {
    const request: HttpRequest = {
      method: "GET",
      path,
      write: false,
      urgency: isUrgent ? "Urgent" : "Routine",
      maxBytes: LARGEST_LIST,
      headersTimeoutMs: HELD_READ_MS,
    };
    const event = this.#events.after(keys);
    if (event === undefined) return { result: await this.#deps.send(request), stale: false };
    const result = await this.#deps.send({ ...request, headers: { "if-event-reached": event } });
    // Reads are refused with 412 for nothing else (their documented errors have no precondition).
    if (result.kind !== "Answer" || result.status !== 412) return { result, stale: false };
    return { result: await this.#deps.send(request), stale: true };
  }

  async #write<S extends z.ZodType>(
    method: "POST" | "PUT" | "PATCH",
    path: string,
    json: unknown,
    schema: S,
    keys: readonly string[],
    secrets: readonly string[],
  ): Promise<Call<z.output<S>>> {
    const result = await this.#deps.send({ ...AT_ONCE, method, path, json, secrets });
    const call = this.#sort(result, schema, secrets);
    this.#noteEvent(result, call.kind === "Done" ? [...keys, ...idsOf(call.value)] : keys);
    return call;
  }

  /** A write whose success has no body. */
  async #command(
    method: "POST" | "PATCH" | "DELETE",
    path: string,
    keys: readonly string[],
    json?: unknown,
    secrets: readonly string[] = [],
  ): Promise<Call<undefined>> {
    const result = await this.#deps.send({ ...AT_ONCE, method, path, ...(json !== undefined && { json }), secrets });
    this.#noteEvent(result, keys);
    const call = callOf(result, () => true, [...this.#deps.secrets, ...secrets]);
    return call.kind === "Done" ? { ...call, value: undefined } : call;
  }

  /** Also of an answer that says that something went wrong: the event has happened all the same. */
  #noteEvent(result: HttpResult, keys: readonly string[]): void {
    if (result.kind === "Answer") this.#events.note([...new Set(keys)], headerOf(result.headers, "etag"));
  }

  #sort<S extends z.ZodType>(result: HttpResult, schema: S, secrets: readonly string[] = []): Call<z.output<S>> {
    return callOf(
      result,
      (json) => {
        const parsed = schema.safeParse(json);
        // What was wrong with it stays unsaid: it could be a variable's value.
        if (!parsed.success) this.#deps.malformed("Answer");
        return parsed.success ? parsed.data : undefined;
      },
      [...this.#deps.secrets, ...secrets],
    );
  }
}

/** A part of a path, whatever it holds. */
function part(id: string): string {
  return encodeURIComponent(id);
}

/** The ids under which a later read asks for what was written. */
function idsOf(value: unknown): string[] {
  const parsed = stackSchema.pick({ id: true, projectId: true }).safeParse(value);
  return parsed.success ? [parsed.data.id, parsed.data.projectId] : [];
}

/** Whatever of a body may have come from a Secret. */
function secretsOf({ services = {} }: StackPatch): string[] {
  return Object.values(services).flatMap(({ environment = {} }) => Object.values(environment));
}

function passwordOf({ credentials }: RegistryBody): string[] {
  return credentials === undefined || credentials === null ? [] : [credentials.password];
}
