import type { KubeClient } from "../kube/client.ts";
import type { Clock } from "../kube/clock.ts";
import { ApiError, isConflict, isNotFound, isRefusedPatch } from "../kube/errors.ts";
import { keyOf, keyString, type Resource, resourceName } from "../kube/resource.ts";
import type { KubeObject, ObjectKey } from "../kube/types.ts";
import type { Expectations } from "./expectations.ts";
import { type JsonObject, jsonPatch, type JsonPatchStep } from "./json-patch.ts";

/**
 * How soon a change of status must be written:
 * - urgent: at once (the journal; Ready, Reconciling, Stalled);
 * - soon: at most every 5 s per object (restart counts, progress, counts of devices);
 * - lazy: at most every 60 s per object (anything that moves while a container crash-loops).
 */
export type Urgency = "urgent" | "soon" | "lazy";

/** Shortest time between two writes of one object's status, per urgency, in milliseconds. */
export interface CoalesceIntervals {
  /** Default 5000. */
  readonly soonMs: number;
  /** Default 60 000. */
  readonly lazyMs: number;
}

export const DEFAULT_INTERVALS: CoalesceIntervals = { soonMs: 5000, lazyMs: 60_000 };

/**
 * How long a status write must still wait, in milliseconds; 0: write now. Pure.
 *
 * @param sinceLastWriteMs time since the object's last status write; undefined when none is known.
 */
export function coalesceDelayMs(
  urgency: Urgency,
  sinceLastWriteMs: number | undefined,
  intervals: CoalesceIntervals = DEFAULT_INTERVALS,
): number {
  if (sinceLastWriteMs === undefined) return 0;
  const intervalMs = { urgent: 0, soon: intervals.soonMs, lazy: intervals.lazyMs }[urgency];
  return Math.max(0, intervalMs - sinceLastWriteMs);
}

/** Where a {@link StatusWriter} reports what it does; metrics.ts makes one. */
export interface StatusMetrics {
  wrote(resource: string, result: "written" | "conflict" | "gone" | "error"): void;
  /** Nothing had changed. */
  saved(resource: string): void;
}

/** Options of {@link StatusWriter}. */
export interface StatusWriterOptions {
  readonly client: Pick<KubeClient, "patch">;
  readonly expectations: Expectations;
  readonly clock: Clock;
  /** Default: reports nowhere. */
  readonly metrics?: StatusMetrics;
  /** Default {@link DEFAULT_INTERVALS}. */
  readonly intervals?: CoalesceIntervals;
}

/** How one {@link StatusWriter.write} is done. */
export interface StatusWriteOptions {
  /**
   * Write only if the object is still at the version of `current`, whoever wrote: for the journal, whose decision rests on
   * everything that was read. Default false: ours is the only writer of the status, and a change of the spec meanwhile
   * does not make what we observed less true.
   */
  readonly atVersion?: boolean;
  /** Ends the request; not for a write that records an effect which has already happened. */
  readonly signal?: AbortSignal;
}

/** How a {@link StatusWriter.write} ended. */
export interface StatusWriteResult<T> {
  /** Whether a request was sent: false when nothing differed. */
  readonly written: boolean;
  /** The object as the API server has it now; `current` when nothing differed. */
  readonly object: T;
}

/**
 * Writes status: the difference between the old and the new one as one patch on the status subresource, nothing at all when
 * they are the same, and the version of the answer into the expectations. Fields that others wrote meanwhile stay.
 *
 * Every patch begins with a test of the uid of the object that was read, so that no status ever lands on a namesake that was
 * created after it was deleted. That is why it is a JSON patch: on the status of a custom resource the API server silently
 * passes over a uid in a merge patch.
 */
export class StatusWriter {
  readonly #options: StatusWriterOptions;
  readonly #intervals: CoalesceIntervals;
  /** Monotonic milliseconds of the last write, by resource and key. */
  readonly #lastWriteAtMs = new Map<string, number>();
  #sweptAtMs: number;

  constructor(options: StatusWriterOptions) {
    this.#options = options;
    this.#intervals = options.intervals ?? DEFAULT_INTERVALS;
    this.#sweptAtMs = options.clock.monotonic();
  }

  /** How long a write of this urgency to the object's status must still wait, in milliseconds; 0: write now. */
  delayMs(resource: Resource, object: KubeObject, urgency: Urgency): number {
    const lastMs = this.#lastWriteAtMs.get(recordKey(resource, object));
    const sinceMs = lastMs === undefined ? undefined : this.#options.clock.monotonic() - lastMs;
    return coalesceDelayMs(urgency, sinceMs, this.#intervals);
  }

  /**
   * Makes `status` the object's status.
   *
   * @param current the object as read; not changed.
   * @param status the whole new status; keys that `current` has and it lacks are removed.
   * @throws ApiError (isConflict where `atVersion` or the uid no longer holds, isNotFound where the object is gone),
   * TransportError.
   */
  async write<T extends KubeObject & { status?: object }>(
    resource: Resource<T>,
    current: T,
    status: NonNullable<T["status"]>,
    options: StatusWriteOptions = {},
  ): Promise<StatusWriteResult<T>> {
    const { client, expectations, metrics, clock } = this.#options;
    const name = resourceName(resource);
    const steps = statusPatch(current.status, status);
    if (steps === undefined) {
      metrics?.saved(name);
      return { written: false, object: current };
    }
    const key = keyOf(current);
    const body = [...preconditions(current, options.atVersion === true), ...steps];
    let object: T;
    try {
      object = await client.patch(
        resource,
        key,
        { type: "json", body },
        { subresource: "status", ...(options.signal === undefined ? {} : { signal: options.signal }) },
      );
    } catch (error) {
      const failure = isRefusedPatch(error) ? notAsRead(name, key) : error;
      metrics?.wrote(name, isConflict(failure) ? "conflict" : isNotFound(failure) ? "gone" : "error");
      throw failure;
    }
    metrics?.wrote(name, "written");
    expectations.wrote(name, key, object.metadata.resourceVersion);
    this.#remember(recordKey(resource, current), clock.monotonic());
    return { written: true, object };
  }

  #remember(record: string, nowMs: number): void {
    this.#lastWriteAtMs.set(record, nowMs);
    const longestMs = Math.max(this.#intervals.soonMs, this.#intervals.lazyMs);
    if (nowMs - this.#sweptAtMs < longestMs) return;
    this.#sweptAtMs = nowMs;
    for (const [key, atMs] of this.#lastWriteAtMs) {
      if (nowMs - atMs >= longestMs) this.#lastWriteAtMs.delete(key);
    }
  }
}

/** The steps from one status to another; undefined when they are the same. Pure. */
export function statusPatch(before: object | undefined, after: object): JsonPatchStep[] | undefined {
  if (before === undefined) return [{ op: "add", path: "/status", value: asJson(after) }];
  const steps = jsonPatch(asJson(before), asJson(after), "/status");
  return steps.length === 0 ? undefined : steps;
}

function preconditions({ metadata }: KubeObject, atVersion: boolean): JsonPatchStep[] {
  const uid: JsonPatchStep = { op: "test", path: "/metadata/uid", value: metadata.uid };
  if (!atVersion) return [uid];
  return [uid, { op: "test", path: "/metadata/resourceVersion", value: metadata.resourceVersion }];
}

function notAsRead(resource: string, key: ObjectKey): ApiError {
  const message = "the object has changed since it was read, or is another one of the same name";
  return new ApiError(`patch ${resource} ${keyString(key)}`, 409, { reason: "Conflict", message });
}

/** A status is JSON by construction: its types come from the schema of its kind. */
function asJson(value: object): JsonObject {
  return value as JsonObject;
}

function recordKey(resource: Resource, object: KubeObject): string {
  return `${resourceName(resource)} ${keyString(keyOf(object))}`;
}
