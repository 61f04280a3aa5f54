/** JSON patches (RFC 6902): the difference of two JSON values, as the API server can apply it. Pure. */

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json | undefined };
export type JsonObject = { readonly [key: string]: Json | undefined };

/** One step of a JSON patch; those of RFC 6902 that Drayage uses. */
export type JsonPatchStep =
  /** Sets a member, whether it exists or not; its parent must exist. */
  | { readonly op: "add"; readonly path: string; readonly value: Json }
  /** Takes a member away; it must exist. */
  | { readonly op: "remove"; readonly path: string }
  /** Refuses the whole patch unless the member has this value. */
  | { readonly op: "test"; readonly path: string; readonly value: Json };

/**
 * The steps that turn `before` into `after`: a key that differs is set, a key that is gone is removed, objects are descended
 * into, lists are replaced whole. undefined and null mean that a key is absent.
 *
 * @param path where `before` stands in the patched object, as a JSON pointer (RFC 6901), such as `/status`.
 * @returns no steps when there is no difference, whatever the order of keys.
 */
export function jsonPatch(before: JsonObject, after: JsonObject, path: string): JsonPatchStep[] {
  const steps: JsonPatchStep[] = [];
  for (const key of Object.keys(before)) {
    if (isAbsent(own(after, key)) && !isAbsent(own(before, key))) {
      steps.push({ op: "remove", path: `${path}/${escapePointer(key)}` });
    }
  }
  for (const [key, value] of Object.entries(after)) {
    if (isAbsent(value)) continue;
    const old = own(before, key);
    const inner = `${path}/${escapePointer(key)}`;
    if (isObject(old) && isObject(value)) steps.push(...jsonPatch(old, value, inner));
    else if (!jsonEqual(old, value)) steps.push({ op: "add", path: inner, value });
  }
  return steps;
}

/** Whether two JSON values are the same; the order of keys does not matter, absent and null keys are the same. */
export function jsonEqual(a: Json | undefined, b: Json | undefined): boolean {
  if (a === b || (isAbsent(a) && isAbsent(b))) return true;
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((element, index) => jsonEqual(element, b[index]));
  }
  if (!isObject(a) || !isObject(b)) return false;
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
  return Array.from(keys).every((key) => jsonEqual(own(a, key), own(b, key)));
}

/** A key as part of a JSON pointer. */
export function escapePointer(key: string): string {
  return key.replaceAll("~", "~0").replaceAll("/", "~1");
}

function isAbsent(value: Json | undefined): value is null | undefined {
  return value === undefined || value === null;
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** What an object itself has under a key, never what it inherits. */
function own(object: JsonObject, key: string): Json | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}
