/**
 * Requests to the API server: get, list, create, replace, patch, delete, watch and raw, with typed errors. Thin: no
 * cache, no rate limit of its own (the server's priority and fairness does that better), no retry of writes. Reads that
 * the server put off with 429 or 503 and Retry-After are asked again; a 401 leads to one re-reading of the credentials.
 */

import type { ClusterAccess } from "./access.ts";
import { systemClock, type Clock } from "./clock.ts";
import { TransportError } from "./errors.ts";
import { Requester, type Purpose } from "./requester.ts";
import {
  queryString,
  type DeleteOptions,
  type ListOptions,
  type ListPage,
  type Patch,
  type RawRequest,
  type RawResponse,
  type RequestObservation,
  type RequestOptions,
  type WatchOptions,
  type WriteOptions,
} from "./requests.ts";
import { apiVersionOf, collectionPath, keyOf, objectPath, resourceName, type Resource } from "./resource.ts";
import { SilenceGuard } from "./silence-guard.ts";
import type { KubeObject, ObjectKey } from "./types.ts";
import { WatchDecoder, type WatchEvent } from "./watch-stream.ts";

export interface KubeClientOptions {
  access: ClusterAccess;
  /** Default "drayage". The program passes `drayage/<version>`. */
  userAgent?: string;
  /** Default "drayage". */
  fieldManager?: string;
  /** Milliseconds for one request; default 30 000. */
  requestTimeoutMs?: number;
  /** Milliseconds for one page of a list; default 60 000. */
  listTimeoutMs?: number;
  /** Bytes of one answer; default 128 MiB. A larger one ends with a TransportError of code `TooLarge`. */
  maxResponseBytes?: number;
  clock?: Clock;
  onRequest?: (observation: RequestObservation) => void;
  /** A `Warning` header of the server, such as for a deprecated API version. */
  onWarning?: (text: string) => void;
}

/** Told what happens on a watch. Both run inside the reading of the stream: they must be quick and must not throw. */
export interface WatchHandler<T extends KubeObject> {
  /** The server accepted the watch. */
  onOpen?(): void;
  onEvent(event: WatchEvent<T>): void;
}

const JSON_TYPE = "application/json";
const PATCH_TYPES = {
  merge: "application/merge-patch+json",
  json: "application/json-patch+json",
  apply: "application/apply-patch+yaml",
} satisfies Record<Patch["type"], string>;
const METADATA_ACCEPT = {
  list: `${JSON_TYPE};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,${JSON_TYPE}`,
  watch: `${JSON_TYPE};as=PartialObjectMetadata;g=meta.k8s.io;v=v1,${JSON_TYPE}`,
};
/** How long a watch may take to be accepted. */
const WATCH_HEAD_TIMEOUT_MS = 30_000;

export class KubeClient {
  /** Namespace of the credentials: the pod's own, or the kubeconfig context's. */
  readonly namespace: string;
  /** The clock that the client's timeouts use. */
  readonly clock: Clock;
  readonly #requester: Requester;
  readonly #fieldManager: string;
  readonly #listTimeoutMs: number;

  constructor(options: KubeClientOptions) {
    this.namespace = options.access.namespace;
    this.clock = options.clock ?? systemClock;
    this.#fieldManager = options.fieldManager ?? "drayage";
    this.#listTimeoutMs = options.listTimeoutMs ?? 60_000;
    this.#requester = new Requester({
      access: options.access,
      clock: this.clock,
      userAgent: options.userAgent ?? "drayage",
      requestTimeoutMs: options.requestTimeoutMs ?? 30_000,
      maxResponseBytes: options.maxResponseBytes ?? 128 * 1024 * 1024,
      onRequest: options.onRequest,
      onWarning: options.onWarning,
    });
  }

  /** Reads one object. @throws ApiError, TransportError */
  async get<T extends KubeObject>(resource: Resource<T>, key: ObjectKey, options: RequestOptions = {}): Promise<T> {
    return this.#json<T>(purposeOf("get", resource, key), {
      method: "GET",
      path: objectPath(resource, key),
      ...options,
    });
  }

  /** Reads a whole collection, page by page. Prefer `pages` for collections of unknown size. @throws as `pages`. */
  async list<T extends KubeObject>(resource: Resource<T>, options: ListOptions = {}): Promise<ListPage<T>> {
    const items: T[] = [];
    let resourceVersion = "";
    for await (const page of this.pages(resource, options)) {
      items.push(...page.items);
      resourceVersion = page.resourceVersion;
    }
    return { items, resourceVersion, continueToken: "" };
  }

  /**
   * Reads a collection page by page; all pages show the state of one instant.
   * @throws ApiError (410 when the server forgot that instant before the last page), TransportError
   */
  async *pages<T extends KubeObject>(resource: Resource<T>, options: ListOptions = {}): AsyncGenerator<ListPage<T>> {
    let continueToken = options.continueToken ?? "";
    do {
      const page = await this.listPage(resource, { ...options, continueToken });
      yield page;
      continueToken = page.continueToken;
    } while (continueToken !== "");
  }

  /** Reads one page. Objects get apiVersion and kind, which the server leaves out of lists. @throws as `pages`. */
  async listPage<T extends KubeObject>(resource: Resource<T>, options: ListOptions): Promise<ListPage<T>> {
    const { namespace, labelSelector, fieldSelector, limit = 500, continueToken, resourceVersion } = options;
    const first = continueToken === undefined || continueToken === "";
    const query = queryString({
      labelSelector,
      fieldSelector,
      limit: limit === 0 ? undefined : limit,
      continue: continueToken,
      // A continue token carries its own version; naming one as well is refused.
      resourceVersion: first ? resourceVersion : undefined,
    });
    const purpose = purposeOf("list", resource);
    // The server writes null for no items.
    const answer = await this.#json<{ items?: T[] | null; metadata?: { resourceVersion?: string; continue?: string } }>(
      purpose,
      {
        method: "GET",
        path: collectionPath(resource, namespace) + query,
        headers: options.metadataOnly === true ? { accept: METADATA_ACCEPT.list } : {},
        timeoutMs: options.timeoutMs ?? this.#listTimeoutMs,
        signal: options.signal,
        lane: options.lane,
        readRetries: options.readRetries,
      },
    );
    const resourceVersionNow = answer.metadata?.resourceVersion;
    if (!(Array.isArray(answer.items) || answer.items === null) || !resourceVersionNow) {
      // Some gateway's JSON. Taken for an empty list it would mean that every object is gone.
      throw new TransportError(purpose.where, "Garbled", "unknown", "the answer is not a list");
    }
    const apiVersion = apiVersionOf(resource);
    const items = answer.items ?? [];
    for (const item of items) {
      item.apiVersion = apiVersion;
      item.kind = resource.kind;
    }
    return {
      items,
      resourceVersion: resourceVersionNow,
      continueToken: answer.metadata?.continue ?? "",
    };
  }

  /**
   * Creates an object; apiVersion and kind are filled in. With metadata.generateName the server chooses the name.
   * @throws ApiError (isAlreadyExists), TransportError (ask `ambiguous`)
   */
  async create<T extends KubeObject>(
    resource: Resource<T>,
    object: NewObject<T>,
    options: WriteOptions = {},
  ): Promise<T> {
    const key = keyOf(object as unknown as T);
    const path = collectionPath(resource, key.namespace);
    if (resource.namespaced && key.namespace === "") {
      throw new TypeError(`creating a ${resource.kind} needs metadata.namespace`);
    }
    const sub = options.subresource === undefined ? "" : `/${encodeURIComponent(key.name)}/${options.subresource}`;
    return this.#json<T>(purposeOf("create", resource, key), {
      method: "POST",
      path: path + sub + this.#writeQuery(options),
      headers: { "content-type": JSON_TYPE },
      body: JSON.stringify({ ...object, apiVersion: apiVersionOf(resource), kind: resource.kind }),
      ...transfer(options),
    });
  }

  /**
   * Replaces an object. With metadata.resourceVersion set it fails with isConflict if somebody wrote since.
   * @throws ApiError, TransportError
   */
  async replace<T extends KubeObject>(resource: Resource<T>, object: T, options: WriteOptions = {}): Promise<T> {
    const key = keyOf(object);
    return this.#json<T>(purposeOf("update", resource, key), {
      method: "PUT",
      path: objectPath(resource, key, options.subresource) + this.#writeQuery(options),
      headers: { "content-type": JSON_TYPE },
      body: JSON.stringify({ ...object, apiVersion: apiVersionOf(resource), kind: resource.kind }),
      ...transfer(options),
    });
  }

  /**
   * Changes parts of an object. A `metadata.resourceVersion` in a merge patch's body is a precondition (isConflict).
   * @returns the object after the change.
   * @throws ApiError, TransportError
   */
  async patch<T extends KubeObject>(
    resource: Resource<T>,
    key: ObjectKey,
    patch: Patch,
    options: WriteOptions = {},
  ): Promise<T> {
    const force = patch.type === "apply" ? (patch.force ?? false) : undefined;
    return this.#json<T>(purposeOf("patch", resource, key), {
      method: "PATCH",
      path: objectPath(resource, key, options.subresource) + this.#writeQuery(options, force),
      headers: { "content-type": PATCH_TYPES[patch.type] },
      body: JSON.stringify(patch.body),
      ...transfer(options),
    });
  }

  /** Deletes one object. Resolves also when finalizers keep it for now. @throws ApiError, TransportError */
  async delete(resource: Resource, key: ObjectKey, options: DeleteOptions = {}): Promise<void> {
    const { uid, resourceVersion, propagationPolicy, gracePeriodSeconds } = options;
    const preconditions = uid === undefined && resourceVersion === undefined ? undefined : { uid, resourceVersion };
    await this.#json(purposeOf("delete", resource, key), {
      method: "DELETE",
      path: objectPath(resource, key),
      headers: { "content-type": JSON_TYPE },
      body: JSON.stringify({ propagationPolicy, gracePeriodSeconds, preconditions }),
      ...transfer(options),
    });
  }

  /**
   * Watches a collection until the server ends the watch, which it does in order after `timeoutSeconds`; then the
   * promise resolves. Bookmarks are always asked for: they come about once a minute and so show that the watch lives.
   * @throws ApiError when the server refused; TransportError when the stream broke (`Silent`, `Garbled`, `Aborted`, ...).
   */
  async watch<T extends KubeObject>(
    resource: Resource<T>,
    options: WatchOptions,
    handler: WatchHandler<T>,
  ): Promise<void> {
    const purpose = purposeOf("watch", resource);
    const initial = options.sendInitialEvents;
    const query = queryString({
      watch: true,
      allowWatchBookmarks: true,
      labelSelector: options.labelSelector,
      fieldSelector: options.fieldSelector,
      resourceVersion: options.resourceVersion,
      sendInitialEvents: initial,
      resourceVersionMatch: initial === undefined ? undefined : "NotOlderThan",
      timeoutSeconds: options.timeoutSeconds,
    });
    const decoder = new WatchDecoder<T>(purpose.where, (event) => handler.onEvent(event));
    const silence = new SilenceGuard(this.clock, options.silenceMs ?? 0, purpose.where);
    try {
      await this.#requester.send(purpose, {
        method: "GET",
        path: collectionPath(resource, options.namespace) + query,
        headers: { accept: options.metadataOnly === true ? METADATA_ACCEPT.watch : JSON_TYPE },
        lane: "watches",
        timeoutMs: 0,
        signal: options.signal,
        headTimeoutMs: WATCH_HEAD_TIMEOUT_MS,
        onController: (abort) => silence.arm(abort),
        onOpen: () => handler.onOpen?.(),
        onData: (chunk) => {
          silence.heard();
          decoder.push(chunk);
        },
      });
      decoder.end();
    } finally {
      silence.disarm();
    }
  }

  /** Any other request. Failure statuses throw as everywhere. @throws ApiError, TransportError */
  async raw(request: RawRequest): Promise<RawResponse> {
    const { method } = request;
    const path = request.path.split("?", 1)[0] ?? "/";
    return this.#requester.send(
      { verb: "raw", resource: "", where: `${method} ${path}`, idempotentRead: method === "GET" },
      { ...request, headers: { accept: JSON_TYPE, ...request.headers } },
    );
  }

  /** Ends all connections, watches included. Requests under way end with a TransportError. */
  close(): Promise<void> {
    return this.#requester.close();
  }

  #writeQuery(options: WriteOptions, force?: boolean): string {
    return queryString({
      fieldManager: options.fieldManager ?? this.#fieldManager,
      fieldValidation: options.fieldValidation ?? "Strict",
      dryRun: options.dryRun === true ? "All" : undefined,
      force,
    });
  }

  async #json<T>(purpose: Purpose, request: RawRequest): Promise<T> {
    const response = await this.#requester.send(purpose, {
      ...request,
      headers: { accept: JSON_TYPE, ...request.headers },
    });
    try {
      return JSON.parse(response.body.toString("utf8")) as T;
    } catch {
      throw new TransportError(purpose.where, "Garbled", "unknown", "the answer is not JSON");
    }
  }
}

/** An object about to be created: the server fills in what is missing. */
export type NewObject<T extends KubeObject> = Omit<T, "metadata" | "apiVersion" | "kind" | "status"> & {
  metadata: Partial<T["metadata"]> & { generateName?: string };
};

function purposeOf(verb: Exclude<Purpose["verb"], "raw">, resource: Resource, key?: ObjectKey): Purpose {
  const name = resourceName(resource);
  const namespace = key === undefined || key.namespace === "" ? "" : `${key.namespace}/`;
  const what = key === undefined ? name : `${name} ${namespace}${key.name}`;
  return { verb, resource: name, where: `${verb} ${what}`, idempotentRead: verb === "get" || verb === "list" };
}

function transfer(options: RequestOptions): RequestOptions {
  return { signal: options.signal, timeoutMs: options.timeoutMs, lane: options.lane };
}
