/**
 * From a store's events to keys in a queue. An event only says "look at this key again"; a predicate drops those that say
 * nothing new (above all the echo of our own status writes), and a mapping names the keys where they are not the object's own.
 */
import { keyOf } from "../kube/resource.ts";
import type { Store, StoreEvent } from "../kube/store.ts";
import type { KubeObject, ObjectKey } from "../kube/types.ts";
import { type AddOptions, LOW_PRIORITY } from "./work-queue.ts";

/** Whether an event is worth a pass. */
export type Predicate<T extends KubeObject> = (event: StoreEvent<T>) => boolean;

/** Takes keys; a Controller is one. */
export interface Enqueuer {
  enqueue(key: ObjectKey, options?: AddOptions): void;
}

/** Options of {@link enqueueFrom}. */
export interface SourceOptions<T extends KubeObject> {
  /** Default: every event. */
  readonly predicate?: Predicate<T>;
  /** The keys to look at for an object; for an update, those of its old state as well. Default: the object's own. */
  readonly mapTo?: (object: T) => Iterable<ObjectKey>;
  /** Why the keys run, for their log lines. Default: what happened to the object, such as `updated`. */
  readonly reason?: string;
}

/**
 * Enqueues keys for the events of a store, and for all it holds already. Keys of the initial list get
 * {@link LOW_PRIORITY}, so that a change made by a user after a restart does not wait behind the whole fleet.
 *
 * @returns a disposable that ends it.
 */
export function enqueueFrom<T extends KubeObject>(
  store: Store<T>,
  target: Enqueuer,
  options: SourceOptions<T> = {},
): Disposable {
  const mapTo = options.mapTo ?? ((object: T) => [keyOf(object)]);
  const handle = (event: StoreEvent<T>): void => {
    if (options.predicate?.(event) === false) return;
    const add = { reason: options.reason ?? event.type, priority: event.initial ? LOW_PRIORITY : 0 };
    for (const key of mapTo(event.object)) target.enqueue(key, add);
    if (event.type !== "updated" || options.mapTo === undefined) return;
    // A reference that has moved away concerns whom it pointed to before. Adding a key twice costs nothing.
    for (const key of mapTo(event.old)) target.enqueue(key, add);
  };
  const end = store.onEvent(handle);
  for (const object of store.list()) handle({ type: "added", object, initial: true });
  return { [Symbol.dispose]: end };
}

/** The spec changed, or the object came or went. */
export function generationChanged<T extends KubeObject>(event: StoreEvent<T>): boolean {
  return event.type !== "updated" || event.object.metadata.generation !== event.old.metadata.generation;
}

/** Deletion was asked for, or the object came or went. (It also raises the generation; not so for every kind.) */
export function deletionRequested<T extends KubeObject>(event: StoreEvent<T>): boolean {
  return event.type !== "updated" || event.object.metadata.deletionTimestamp !== event.old.metadata.deletionTimestamp;
}

/** One of these annotations changed (any annotation, when none is named), or the object came or went. */
export function annotationsChanged<T extends KubeObject>(...names: string[]): Predicate<T> {
  return (event) =>
    event.type !== "updated" || mapsDiffer(event.object.metadata.annotations, event.old.metadata.annotations, names);
}

/** A label changed, or the object came or went. */
export function labelsChanged<T extends KubeObject>(event: StoreEvent<T>): boolean {
  return event.type !== "updated" || mapsDiffer(event.object.metadata.labels, event.old.metadata.labels, []);
}

/** A finalizer came or went, or the object did: somebody took ours off, or the last one beside ours. */
export function finalizersChanged<T extends KubeObject>(event: StoreEvent<T>): boolean {
  if (event.type !== "updated") return true;
  const now = event.object.metadata.finalizers ?? [];
  const before = event.old.metadata.finalizers ?? [];
  return now.length !== before.length || now.some((name) => !before.includes(name));
}

/** At least one of the predicates holds. */
export function anyOf<T extends KubeObject>(...predicates: Predicate<T>[]): Predicate<T> {
  return (event) => predicates.some((predicate) => predicate(event));
}

/** All of the predicates hold. */
export function allOf<T extends KubeObject>(...predicates: Predicate<T>[]): Predicate<T> {
  return (event) => predicates.every((predicate) => predicate(event));
}

/** The predicate does not hold. */
export function not<T extends KubeObject>(predicate: Predicate<T>): Predicate<T> {
  return (event) => !predicate(event);
}

function mapsDiffer(
  a: Readonly<Record<string, string>> = {},
  b: Readonly<Record<string, string>> = {},
  names: readonly string[],
): boolean {
  const compared = names.length > 0 ? names : Object.keys({ ...a, ...b });
  return compared.some((name) => a[name] !== b[name]);
}
