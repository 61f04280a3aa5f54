// The twins: what the devices have told of themselves. A twin changes only when a device's twin command arrives, so it is as old as that: with
// the device's link down it stays as it was. Every accepted command counts a revision and is told to subscribers, also if nothing changed; a
// command on a feature that is not there changes nothing, and its sender is told so (which the daemon ignores). Sources: Ditto's documentation
// (basic-thing, httpapi-sse) and things/service's command strategies.

import { isObject } from "../kanto/go-json.ts";
import type { Json, StoredThing, ThingEvent } from "./types.ts";

export class TwinStore {
  readonly #things = new Map<string, StoredThing>();
  readonly #listeners = new Set<(event: ThingEvent) => void>();
  readonly #now: () => number;
  readonly #maxBytes: number;
  #rejected = 0;

  /**
   * @param now wall clock, ms
   * @param maxBytes a change that would make a thing larger is refused, as ditto-limits.conf does at 100 kB
   */
  constructor(now: () => number, maxBytes = 100 * 1024) {
    this.#now = now;
    this.#maxBytes = maxBytes;
  }

  /** Provisions a thing, as an operator or the ImplicitThingCreation mapper does; nothing if it is there. */
  create(thingId: string, policyId = "edge:policy"): void {
    if (this.#things.has(thingId)) {
      return;
    }
    const thing = { thingId, policyId, attributes: {}, features: {}, revision: 1, modified: this.#time() };
    this.#things.set(thingId, thing);
    this.#tell({
      thingId,
      action: "created",
      path: "/",
      value: { thingId, policyId },
      revision: 1,
      modified: thing.modified,
    });
  }

  /** Deletes a thing, as an operator may. */
  delete(thingId: string): void {
    const thing = this.#things.get(thingId);
    if (thing) {
      this.#things.delete(thingId);
      this.#tell({ thingId, action: "deleted", path: "/", revision: thing.revision + 1, modified: this.#time() });
    }
  }

  get(thingId: string): StoredThing | undefined {
    return this.#things.get(thingId);
  }

  ids(): string[] {
    return [...this.#things.keys()];
  }

  /** Twin commands that were refused: for a feature that is not there, or for want of space. */
  get rejected(): number {
    return this.#rejected;
  }

  subscribe(listener: (event: ThingEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Carries out a device's twin command. Only paths below `/features/<id>` are known here, since the daemon sends no others. */
  apply(thingId: string, action: "modify" | "delete", path: string, value: unknown): void {
    const thing = this.#things.get(thingId);
    const [root, featureId, ...below] = path.split("/").slice(1).map(unescape);
    if (!thing || root !== "features" || featureId === undefined) {
      this.#rejected++;
      return;
    }
    const features = structuredClone(thing.features);
    const done =
      below.length === 0
        ? changeFeature(features, featureId, action, value)
        : changeWithin(features[featureId], below, action, value);
    if (done === undefined || JSON.stringify(features).length > this.#maxBytes) {
      this.#rejected++;
      return;
    }
    thing.features = features;
    thing.revision++;
    thing.modified = this.#time();
    const { revision, modified } = thing;
    this.#tell({ thingId, action: done, path, revision, modified, ...(done === "deleted" ? {} : { value }) });
  }

  #tell(event: ThingEvent): void {
    for (const listener of this.#listeners) {
      listener(event);
    }
  }

  #time(): string {
    return new Date(this.#now()).toISOString();
  }
}

function changeFeature(
  features: Record<string, Json>,
  id: string,
  action: "modify" | "delete",
  value: unknown,
): ThingEvent["action"] | undefined {
  const existed = id in features;
  if (action === "delete") {
    delete features[id];
    return existed ? "deleted" : undefined;
  }
  features[id] = asObject(value);
  return existed ? "modified" : "created";
}

/** A path inside a feature: the feature must be there, objects on the way are made. */
function changeWithin(
  feature: Json | undefined,
  keys: readonly string[],
  action: "modify" | "delete",
  value: unknown,
): ThingEvent["action"] | undefined {
  const last = keys.at(-1);
  if (!feature || last === undefined) {
    return undefined;
  }
  let parent = feature;
  for (const key of keys.slice(0, -1)) {
    const next = asObject(parent[key]);
    parent[key] = next;
    parent = next;
  }
  const existed = last in parent;
  if (action === "delete") {
    delete parent[last];
    return existed ? "deleted" : undefined;
  }
  parent[last] = value;
  return existed ? "modified" : "created";
}

const asObject = (value: unknown): Json => (isObject(value) ? value : {});

/** JSON pointers write `/` as `~1` and `~` as `~0`. */
const unescape = (segment: string): string => segment.replaceAll("~1", "/").replaceAll("~0", "~");
