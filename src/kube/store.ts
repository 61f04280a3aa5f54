/**
 * The objects of one collection as last seen, with secondary indexes. Filled by a reflector, read by everybody else.
 * Objects in it are shared and must not be changed.
 */

import { keyOf, keyString } from "./resource.ts";
import type { KubeObject, ObjectKey } from "./types.ts";

export type StoreEvent<T extends KubeObject> =
  | {
      type: "added";
      object: T;
      /** Part of the first list, not a change somebody made just now. */
      initial: boolean;
    }
  | { type: "updated"; object: T; old: T; initial: boolean }
  | { type: "deleted"; /** Its last known state. */ object: T; initial: boolean };

export type StoreListener<T extends KubeObject> = (event: StoreEvent<T>) => void;

export interface StoreOptions {
  /**
   * Told when a listener or an index function throws. It never stops the store. Default: the error is thrown again from
   * a microtask, so that it is not lost.
   */
  onError?: (error: unknown) => void;
}

interface Index<T> {
  valuesOf: (object: T) => readonly string[];
  /** index value -> key -> object */
  entries: Map<string, Map<string, T>>;
}

export class Store<T extends KubeObject> {
  readonly #objects = new Map<string, T>();
  readonly #indexes = new Map<string, Index<T>>();
  readonly #listeners = new Set<StoreListener<T>>();
  readonly #relistListeners = new Set<() => void>();
  readonly #onError: (error: unknown) => void;
  #staged: Map<string, T> | undefined;
  #resourceVersion = "";
  #filled = false;

  constructor(options: StoreOptions = {}) {
    this.#onError =
      options.onError ??
      ((error) => {
        queueMicrotask(() => {
          throw error;
        });
      });
  }

  /** Version of the collection up to which this store is complete; "" before the first list. */
  get resourceVersion(): string {
    return this.#resourceVersion;
  }

  /** Number of objects. */
  get size(): number {
    return this.#objects.size;
  }

  /** The object, or undefined. Takes a key, or its `keyString`. */
  get(key: ObjectKey | string): T | undefined {
    return this.#objects.get(typeof key === "string" ? key : keyString(key));
  }

  /** All objects, in no particular order; a new array. */
  list(): T[] {
    return [...this.#objects.values()];
  }

  /**
   * Adds an index, filled from what is there.
   * @param valuesOf the values under which an object is found; none, one or several. Must be pure.
   * @throws Error when the name is taken.
   */
  addIndex(name: string, valuesOf: (object: T) => readonly string[]): void {
    if (this.#indexes.has(name)) {
      throw new Error(`the store has an index "${name}" already`);
    }
    const index: Index<T> = { valuesOf, entries: new Map() };
    this.#indexes.set(name, index);
    for (const [key, object] of this.#objects) {
      this.#addToIndex(index, key, object);
    }
  }

  /** Objects that have `value` in the index. @throws Error when there is no such index. */
  byIndex(name: string, value: string): T[] {
    const index = this.#indexes.get(name);
    if (index === undefined) {
      throw new Error(`the store has no index "${name}"`);
    }
    return [...(index.entries.get(value)?.values() ?? [])];
  }

  /** Calls `listener` after each change, synchronously. @returns a function that ends it. */
  onEvent(listener: StoreListener<T>): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Calls `listener` after each complete list was taken over, the first included, when all its events were delivered.
   * The collection's version may be lower than before (an etcd restored from a backup).
   */
  onRelist(listener: () => void): () => void {
    this.#relistListeners.add(listener);
    return () => this.#relistListeners.delete(listener);
  }

  /** For the reflector: one change from a watch. */
  apply(type: "ADDED" | "MODIFIED" | "DELETED", object: T): void {
    this.#resourceVersion = object.metadata.resourceVersion;
    const key = keyString(keyOf(object));
    if (type === "DELETED") {
      // The event carries the state at deletion, newer than ours.
      if (this.#objects.has(key)) {
        this.#remove(key, object, false);
      }
    } else {
      this.#put(key, object, false);
    }
  }

  /** For the reflector: a bookmark. */
  progress(resourceVersion: string): void {
    this.#resourceVersion = resourceVersion;
  }

  /** For the reflector: begins to collect a complete list beside the present content, dropping an unfinished one. */
  beginList(): void {
    this.#staged = new Map();
  }

  /** For the reflector: an object of the list. One we hold at the same version is kept instead, to save its memory. */
  stage(object: T): void {
    const key = keyString(keyOf(object));
    const known = this.#objects.get(key);
    const same =
      known !== undefined &&
      known.metadata.uid === object.metadata.uid &&
      known.metadata.resourceVersion === object.metadata.resourceVersion;
    this.#staged?.set(key, same ? known : object);
  }

  /** For the reflector: an object went while the list was being streamed. */
  unstage(object: T): void {
    this.#staged?.delete(keyString(keyOf(object)));
  }

  /** For the reflector: forgets an unfinished list. */
  discardList(): void {
    this.#staged = undefined;
  }

  /**
   * For the reflector: takes the collected list over. Deletions that were missed are delivered first, so that names and
   * index values are free before their next owners appear.
   */
  commitList(resourceVersion: string): void {
    const staged = this.#staged ?? new Map<string, T>();
    this.#staged = undefined;
    const initial = !this.#filled;
    this.#filled = true;
    this.#resourceVersion = resourceVersion;
    for (const [key, object] of this.#objects) {
      if (!staged.has(key)) {
        this.#remove(key, object, initial);
      }
    }
    for (const [key, object] of staged) {
      if (this.#objects.get(key) !== object) {
        this.#put(key, object, initial);
      }
    }
    for (const listener of this.#relistListeners) {
      this.#guard(listener);
    }
  }

  #put(key: string, object: T, initial: boolean): void {
    const old = this.#objects.get(key);
    if (old !== undefined && old.metadata.uid !== object.metadata.uid) {
      // Deleted and created again while we were not looking: two events, or the old one's end would go unnoticed.
      this.#remove(key, old, initial);
      this.#put(key, object, initial);
      return;
    }
    this.#objects.set(key, object);
    for (const index of this.#indexes.values()) {
      if (old !== undefined) {
        this.#removeFromIndex(index, key, old);
      }
      this.#addToIndex(index, key, object);
    }
    this.#emit(old === undefined ? { type: "added", object, initial } : { type: "updated", object, old, initial });
  }

  #remove(key: string, lastState: T, initial: boolean): void {
    const known = this.#objects.get(key);
    this.#objects.delete(key);
    if (known !== undefined) {
      for (const index of this.#indexes.values()) {
        this.#removeFromIndex(index, key, known);
      }
    }
    this.#emit({ type: "deleted", object: lastState, initial });
  }

  #addToIndex(index: Index<T>, key: string, object: T): void {
    this.#guard(() => {
      for (const value of index.valuesOf(object)) {
        const entry = index.entries.get(value);
        if (entry === undefined) {
          index.entries.set(value, new Map([[key, object]]));
        } else {
          entry.set(key, object);
        }
      }
    });
  }

  #removeFromIndex(index: Index<T>, key: string, object: T): void {
    this.#guard(() => {
      for (const value of index.valuesOf(object)) {
        const entry = index.entries.get(value);
        entry?.delete(key);
        if (entry?.size === 0) {
          index.entries.delete(value);
        }
      }
    });
  }

  #emit(event: StoreEvent<T>): void {
    for (const listener of this.#listeners) {
      this.#guard(() => listener(event));
    }
  }

  #guard(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.#onError(error);
    }
  }
}
