// Ditto's field selection and its thing JSON. Fields beginning with `_` are shown only when they are asked for. Source: httpapi-concepts,
// "Partial requests".

import { isObject } from "../kanto/go-json.ts";
import type { Json, StoredThing, ThingEvent } from "./types.ts";

/** Splits `a,b/c,d(e,f)` into pointers; undefined selects everything. */
export function parseFields(text: string | undefined): string[][] | undefined {
  if (text === undefined || text === "") {
    return undefined;
  }
  const pointers: string[][] = [];
  const expand = (prefix: readonly string[], list: string): void => {
    for (const item of splitTop(list)) {
      const open = item.indexOf("(");
      const path = (open < 0 ? item : item.slice(0, open)).split("/").filter((part) => part !== "");
      if (open < 0) {
        pointers.push([...prefix, ...path]);
      } else {
        expand([...prefix, ...path], item.slice(open + 1, -1));
      }
    }
  };
  expand([], text);
  return pointers;
}

function splitTop(list: string): string[] {
  const items: string[] = [];
  let depth = 0;
  let item = "";
  for (const char of list) {
    depth += char === "(" ? 1 : char === ")" ? -1 : 0;
    if (char === "," && depth === 0) {
      items.push(item);
      item = "";
    } else {
      item += char;
    }
  }
  return [...items, item];
}

/** What a selection leaves of an object; without one, everything that is not special. */
export function select(value: Json, pointers: readonly string[][] | undefined): Json {
  if (!pointers) {
    return Object.fromEntries(Object.entries(value).filter(([key]) => !key.startsWith("_")));
  }
  const result: Json = {};
  for (const pointer of pointers) {
    copy(value, result, pointer);
  }
  return result;
}

function copy(from: Json, to: Json, [key, ...rest]: readonly string[]): void {
  if (key === undefined || !(key in from)) {
    return;
  }
  if (rest.length === 0) {
    to[key] = from[key];
    return;
  }
  const below = from[key];
  if (!isObject(below)) {
    return;
  }
  const present = to[key];
  const target: Json = isObject(present) ? present : {};
  to[key] = target;
  copy(below, target, rest);
}

/** A stored thing with all its fields. */
export function thingJson({ thingId, policyId, attributes, features, revision, modified }: StoredThing): Json {
  return {
    thingId,
    policyId,
    ...(Object.keys(attributes).length === 0 ? {} : { attributes }),
    ...(Object.keys(features).length === 0 ? {} : { features }),
    _revision: revision,
    _modified: modified,
  };
}

/** An event as a stream tells it: the part of the thing that it changed, and what it was under `_context`. */
export function eventJson({ thingId, action, path, value, revision, modified }: ThingEvent): Json {
  const colon = thingId.indexOf(":");
  const part: Json = {};
  if (value !== undefined && path !== "/") {
    const keys = path.split("/").slice(1);
    let parent = part;
    for (const key of keys.slice(0, -1)) {
      const next: Json = {};
      parent[key] = next;
      parent = next;
    }
    parent[keys.at(-1) ?? ""] = value;
  }
  return {
    thingId,
    ...part,
    _revision: revision,
    _modified: modified,
    _context: {
      topic: `${thingId.slice(0, colon)}/${thingId.slice(colon + 1)}/things/twin/events/${action}`,
      path,
      value: value ?? null,
      headers: { version: 2 },
    },
  };
}
