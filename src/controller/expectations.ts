import type { Clock } from "../kube/clock.ts";
import { isAtLeast } from "../kube/resource-version.ts";
import { keyOf, keyString } from "../kube/resource.ts";
import type { Store } from "../kube/store.ts";
import type { KubeObject, ObjectKey } from "../kube/types.ts";

/** How long a record holds at most: an etcd restored from a backup may never reach the version again. */
const LONGEST_WAIT_MS = 10_000;

interface Expectation {
  resourceVersion: string;
  /** Monotonic milliseconds. */
  expiresAtMs: number;
}

/** Options of {@link Expectations}. */
export interface ExpectationsOptions {
  readonly clock: Clock;
  /** How long a record holds at most, in milliseconds. Default 10 000. */
  readonly longestWaitMs?: number;
}

/**
 * Read-your-own-writes. A reconciler reads a cache that trails the API server; a pass that starts before the cache has
 * seen the last write would decide on what it has already changed, and might do it twice (KEP-5647 names the problem,
 * KEP-5504 makes versions comparable, Cluster API's util/controller/consistency.go is the model).
 *
 * Each write is recorded with the version that the API server answered; {@link isStale} then holds the key back until the
 * cache has reached that version. A record ends when the cache has caught up, when the object's deletion is seen, with the
 * next complete list, and after 10 s whatever happens: a late pass is a delay, a key held back for ever is a failure.
 */
export class Expectations {
  readonly #clock: Clock;
  readonly #longestWaitMs: number;
  readonly #byResource = new Map<string, Map<string, Expectation>>();
  #sweptAtMs: number;

  constructor(options: ExpectationsOptions) {
    this.#clock = options.clock;
    this.#longestWaitMs = options.longestWaitMs ?? LONGEST_WAIT_MS;
    this.#sweptAtMs = options.clock.monotonic();
  }

  /**
   * Records that we wrote an object. For a write that ends in its deletion (the last finalizer taken off) too: the cache
   * has caught up once it shows a later version of the collection, or the deletion.
   *
   * @param resource the name of the collection (`resourceName` of kube/resource.ts).
   * @param resourceVersion as in the API server's answer.
   */
  wrote(resource: string, key: ObjectKey, resourceVersion: string): void {
    const nowMs = this.#clock.monotonic();
    this.#sweep(nowMs);
    let records = this.#byResource.get(resource);
    if (records === undefined) this.#byResource.set(resource, (records = new Map()));
    const known = records.get(keyString(key));
    // Two writes may be answered out of order; the later version counts.
    const isNewer = known === undefined || !isAtLeast(known.resourceVersion, resourceVersion);
    records.set(keyString(key), {
      resourceVersion: isNewer ? resourceVersion : known.resourceVersion,
      expiresAtMs: nowMs + this.#longestWaitMs,
    });
  }

  /**
   * Whether a cache is still behind our last write to `key`.
   *
   * @param cached the version of the object in the cache (undefined: it is not there) and of the cache as a whole (""
   * before its first list). The object is up to date when either has reached our write.
   */
  isStale(
    resource: string,
    key: ObjectKey,
    cached: { readonly object: string | undefined; readonly collection: string },
  ): boolean {
    const records = this.#byResource.get(resource);
    const record = records?.get(keyString(key));
    if (records === undefined || record === undefined) return false;
    const reached = (version: string | undefined): boolean =>
      version !== undefined && version !== "" && isAtLeast(version, record.resourceVersion);
    const isStale =
      this.#clock.monotonic() < record.expiresAtMs && !reached(cached.object) && !reached(cached.collection);
    if (!isStale) records.delete(keyString(key));
    return isStale;
  }

  /** {@link isStale} against a store. */
  isBehind<T extends KubeObject>(resource: string, store: Store<T>, key: ObjectKey): boolean {
    const object = store.get(key)?.metadata.resourceVersion;
    return this.isStale(resource, key, { object, collection: store.resourceVersion });
  }

  /** Whether this version of the object is the very one that we wrote last: the echo of our own write. */
  isOwnEcho(resource: string, object: KubeObject): boolean {
    const record = this.#byResource.get(resource)?.get(keyString(keyOf(object)));
    return record?.resourceVersion === object.metadata.resourceVersion;
  }

  /** The object is gone: nothing to wait for. */
  forget(resource: string, key: ObjectKey): void {
    this.#byResource.get(resource)?.delete(keyString(key));
  }

  /** The cache of a resource was filled by a new complete list: nothing to wait for. */
  relisted(resource: string): void {
    this.#byResource.delete(resource);
  }

  /** Follows a store: deletions and lists end records. Disposing ends it. */
  follow<T extends KubeObject>(resource: string, store: Store<T>): Disposable {
    const endRelist = store.onRelist(() => this.relisted(resource));
    const endEvents = store.onEvent((event) => {
      if (event.type === "deleted") this.forget(resource, keyOf(event.object));
    });
    return {
      [Symbol.dispose]: () => {
        endRelist();
        endEvents();
      },
    };
  }

  /** Records held; for tests and memory checks. */
  get size(): number {
    return Array.from(this.#byResource.values()).reduce((sum, records) => sum + records.size, 0);
  }

  /** Drops the records of keys that nobody asked about again. */
  #sweep(nowMs: number): void {
    if (nowMs - this.#sweptAtMs < this.#longestWaitMs) return;
    this.#sweptAtMs = nowMs;
    for (const records of this.#byResource.values()) {
      for (const [key, record] of records) {
        if (record.expiresAtMs <= nowMs) records.delete(key);
      }
    }
  }
}
