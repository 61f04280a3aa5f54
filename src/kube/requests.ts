/** Options and answers of the client's verbs, and how they become query strings. */

import type { Lane, Method } from "./transport.ts";
import type { KubeObject } from "./types.ts";

/** Options that every request takes. */
export interface RequestOptions {
  /** Ends the request with a TransportError of code `Aborted`. */
  signal?: AbortSignal | undefined;
  /** Milliseconds for the whole exchange. Default: the client's requestTimeoutMs (30 s), for a list page 60 s. */
  timeoutMs?: number | undefined;
  /** Connections to use. Default "requests". */
  lane?: Lane | undefined;
  /**
   * How often a read is asked again when the server put it off with 429 or 5xx and named a time of up to 30 s. Writes are
   * never repeated. Default 10, client-go's (rest/request.go).
   */
  readRetries?: number | undefined;
}

export interface ListOptions extends RequestOptions {
  /** Only this namespace. Default: all. */
  namespace?: string | undefined;
  labelSelector?: string | undefined;
  fieldSelector?: string | undefined;
  /** Objects per page; 0 for all in one answer. Default 500, client-go's (tools/pager/pager.go). */
  limit?: number | undefined;
  /** Token of the next page, from the page before. */
  continueToken?: string | undefined;
  /** "" (default) reads the newest state; "0" whatever the server has at hand; else not older than this. */
  resourceVersion?: string | undefined;
  /** Ask for metadata only (PartialObjectMetadata): spec, status and data are absent from the objects. */
  metadataOnly?: boolean | undefined;
}

/** One page of a list, or a whole list. */
export interface ListPage<T extends KubeObject> {
  items: T[];
  /** Version of the collection that the page belongs to. */
  resourceVersion: string;
  /** Token for the next page; "" when this is the last. */
  continueToken: string;
}

export interface WriteOptions extends RequestOptions {
  /** "status", "scale", ... Default: the object itself. */
  subresource?: string | undefined;
  /** Name under which the server records who owns which field. Default: the client's fieldManager. */
  fieldManager?: string | undefined;
  /**
   * What the server does with fields its schema does not know. Default "Strict": a 400 is better than a journal entry
   * that was silently dropped because the CRD is older than the program.
   */
  fieldValidation?: "Strict" | "Warn" | "Ignore" | undefined;
  /** Check everything, change nothing. */
  dryRun?: boolean | undefined;
}

/**
 * A change of an object. `merge` is RFC 7396 (null removes; lists are replaced), `json` RFC 6902, `apply` server-side
 * apply (the body is an object with apiVersion and kind; `force` takes fields from other owners).
 */
export type Patch =
  | { type: "merge"; body: object }
  | { type: "json"; body: readonly object[] }
  | { type: "apply"; body: object; force?: boolean };

export interface DeleteOptions extends RequestOptions {
  /** Delete only if the object still has this uid; else 409. */
  uid?: string | undefined;
  /** Delete only if the object still is at this version; else 409. */
  resourceVersion?: string | undefined;
  propagationPolicy?: "Foreground" | "Background" | "Orphan" | undefined;
  gracePeriodSeconds?: number | undefined;
}

export interface WatchOptions {
  namespace?: string | undefined;
  labelSelector?: string | undefined;
  fieldSelector?: string | undefined;
  /** Events after this version; "" starts with the newest state. */
  resourceVersion: string;
  /** First send all objects as ADDED, then a bookmark annotated `k8s.io/initial-events-end` (KEP-3157). */
  sendInitialEvents?: boolean | undefined;
  /** After this long the server ends the watch in an orderly way. */
  timeoutSeconds?: number | undefined;
  /** Ends the watch with a TransportError of code `Silent` when no byte came for this long; 0 for never. */
  silenceMs?: number | undefined;
  metadataOnly?: boolean | undefined;
  signal?: AbortSignal | undefined;
}

export interface RawRequest extends RequestOptions {
  method: Method;
  /** Path with query string, beginning with "/". */
  path: string;
  headers?: Record<string, string> | undefined;
  body?: string | undefined;
}

export interface RawResponse {
  status: number;
  headers: Readonly<Record<string, string | string[] | undefined>>;
  body: Buffer;
}

/** Told of every finished request, for metrics. */
export interface RequestObservation {
  verb: "get" | "list" | "watch" | "create" | "update" | "patch" | "delete" | "raw";
  method: Method;
  /** `plural.group`; "" for raw requests. */
  resource: string;
  /** Host and port of the API server. */
  host: string;
  /** HTTP status in decimal, or "<error>" when no answer came (client-go's word). */
  code: string;
  /** Until the answer was complete; for a watch until its head. */
  durationMs: number;
}

/** `?a=b&c=d`, leaving out what is undefined or empty; "" when nothing is left. */
export function queryString(values: Record<string, string | number | boolean | undefined>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    if (value !== undefined && value !== "") {
      query.set(name, String(value));
    }
  }
  const text = query.toString();
  return text === "" ? "" : `?${text}`;
}

/**
 * Reads a Retry-After header: seconds or an HTTP date (RFC 9110, section 10.2.3).
 * @param nowMs wall clock, for the date form.
 * @returns milliseconds, or undefined when the header is absent or senseless.
 */
export function retryAfterMs(header: string | string[] | undefined, nowMs: number): number | undefined {
  const text = Array.isArray(header) ? header[0] : header;
  if (text === undefined) {
    return undefined;
  }
  if (/^\s*\d+\s*$/.test(text)) {
    return Number(text) * 1000;
  }
  const at = Date.parse(text);
  return Number.isNaN(at) ? undefined : Math.max(0, at - nowMs);
}
