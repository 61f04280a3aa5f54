// Reads a JSON value the way Go's encoding/json fills a struct, since that is where a client's mistakes are caught or lost: keys match
// whatever their case, unknown keys are ignored, null leaves the zero value, a wrong type is an error with Go's own text (which the daemon
// sends back as a 400). Numbers have passed through float64 and keys were sorted before the daemon decodes its arguments, so this works on
// the parsed value and visits keys in order. Source: encoding/json's decode.go and the daemon's features_container_factory.go.

import { parameterInvalid } from "./errors.ts";

/** What a Go field can hold. `name` is the Go type as error texts spell it. */
export type GoType =
  | { kind: "string"; name?: string }
  | { kind: "bool" }
  | { kind: "int"; name: "int" | "int64" | "uint16"; min: number; max: number }
  | { kind: "float" }
  | { kind: "list"; of: GoType; name: string }
  | { kind: "struct"; name: string; fields: Readonly<Record<string, GoType>> };

export const goString: GoType = { kind: "string" };
export const goBool: GoType = { kind: "bool" };
export const goFloat: GoType = { kind: "float" };
export const goInt: GoType = { kind: "int", name: "int", min: Number.MIN_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER };
export const goInt64: GoType = {
  kind: "int",
  name: "int64",
  min: Number.MIN_SAFE_INTEGER,
  max: Number.MAX_SAFE_INTEGER,
};
export const goUint16: GoType = { kind: "int", name: "uint16", min: 0, max: 65535 };
export const goEnum = (name: string): GoType => ({ kind: "string", name });
export const goStrings: GoType = { kind: "list", of: goString, name: "[]string" };

interface Place {
  /** Innermost struct, and the dotted path of fields from the top; both empty at the top. */
  struct: string;
  path: string;
}

/**
 * Decodes `value` as `type`. Structs come back as plain objects that hold only the keys that were there (under their canonical spelling);
 * a null in a list of structs stays null.
 * @throws ThingError 400 with Go's text at the first value of a wrong type
 */
export function decode<T>(type: GoType, value: unknown): T | undefined {
  // The caller's T is what `type` describes; nothing but the decoding below can make it so.
  return decodeAt(type, value, { struct: "", path: "" }) as T | undefined;
}

function decodeAt(type: GoType, value: unknown, place: Place): unknown {
  if (value === null || value === undefined) {
    return undefined;
  }
  switch (type.kind) {
    case "string":
      return typeof value === "string" ? value : mismatch(type, value, place);
    case "bool":
      return typeof value === "boolean" ? value : mismatch(type, value, place);
    case "float":
      return typeof value === "number" ? value : mismatch(type, value, place);
    case "int":
      if (typeof value !== "number") {
        return mismatch(type, value, place);
      }
      return Number.isInteger(value) && value >= type.min && value <= type.max
        ? value
        : mismatch(type, value, place, ` ${value}`);
    case "list":
      return Array.isArray(value)
        ? value.map((item) => (item === null ? null : decodeAt(type.of, item, place)))
        : mismatch(type, value, place);
    case "struct":
      return isObject(value) ? decodeStruct(type, value, place) : mismatch(type, value, place);
    default:
      return type satisfies never;
  }
}

function decodeStruct(
  type: GoType & { kind: "struct" },
  value: Record<string, unknown>,
  place: Place,
): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const key of Object.keys(value).toSorted()) {
    const field = Object.hasOwn(type.fields, key)
      ? key
      : Object.keys(type.fields).find((name) => name.toLowerCase() === key.toLowerCase());
    const fieldType = field === undefined ? undefined : type.fields[field];
    if (field !== undefined && fieldType) {
      const decoded = decodeAt(fieldType, value[key], {
        struct: type.name,
        path: place.path === "" ? field : `${place.path}.${field}`,
      });
      if (decoded !== undefined) {
        result[field] = decoded;
      }
    }
  }
  return result;
}

function mismatch(type: GoType, value: unknown, place: Place, literal = ""): never {
  const what = Array.isArray(value)
    ? "array"
    : isObject(value)
      ? "object"
      : typeof value === "boolean"
        ? "bool"
        : typeof value;
  const where = place.struct === "" ? "Go value" : `Go struct field ${place.struct}.${place.path}`;
  throw parameterInvalid(`json: cannot unmarshal ${what}${literal} into ${where} of type ${typeName(type)}`);
}

function typeName(type: GoType): string {
  switch (type.kind) {
    case "string":
      return type.name ?? "string";
    case "bool":
      return "bool";
    case "float":
      return "float64";
    case "int":
    case "list":
      return type.name;
    case "struct":
      return `things.${type.name}`;
    default:
      return type satisfies never;
  }
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
