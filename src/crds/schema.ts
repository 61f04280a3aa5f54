/**
 * Small builders for the schemas of this folder. They see to it that every field has a description and every string, number,
 * list and map a bound: without bounds the API server cannot estimate the cost of a CEL rule and refuses the whole CRD.
 *
 * A rule is written once with its two forms side by side: `rule`, the CEL expression for the API server, and `holds`, the same in
 * TypeScript for run-time parsing. test/integration/crds compares the two on generated objects.
 */
import { z } from "zod";

/** Largest integer that survives JSON in JavaScript. */
const SAFE_INTEGER = Number.MAX_SAFE_INTEGER;

/** What the generator needs to know of a field beside its shape. */
export interface FieldNotes {
  /** Default applied in code, for the docs. Never written into the schema. */
  default?: string | number | boolean;
}

/** Meta key of the default; the generator turns it into text. */
export const DEFAULT_KEY = "drayage-default";
/** Meta key of a schema that another kind's page describes: the name of that page, without .md. */
export const PAGE_KEY = "drayage-page";
/** Meta key of CEL rules, as in the CRD. */
export const RULES_KEY = "x-kubernetes-validations";

function notes(description: string, options: FieldNotes): Record<string, unknown> {
  return { description, ...(options.default !== undefined && { [DEFAULT_KEY]: options.default }) };
}

/** What a text may be. */
export interface TextOptions extends FieldNotes {
  /** In characters. Default 1. */
  min?: number;
  /** In characters. Default 253, the longest Kubernetes name. */
  max?: number;
  /** Syntax that JavaScript and RE2 read alike; so no \\s, which is more in JavaScript. */
  pattern?: RegExp;
  /** What to write instead of a text that breaks `pattern`. With it the pattern is checked by a CEL rule that says so. */
  fix?: string;
  format?: "date-time";
}

/** A string. */
export function text(description: string, options: TextOptions = {}): z.ZodString {
  const { min = 1, max = 253, pattern, fix } = options;
  // The API server counts code points, zod's max() UTF-16 units.
  let schema = z.string().refine((value) => value.length <= max || Array.from(value).length <= max, {
    error: `more than ${max} characters`,
  });
  if (min > 0) schema = schema.min(min);
  const meta = { ...notes(description, options), maxLength: max };
  if (pattern !== undefined && fix !== undefined) return ruled(schema.meta(meta), [matching(pattern, fix)]);
  if (pattern !== undefined) schema = schema.regex(pattern);
  if (options.format === undefined) return schema.meta(meta);
  // The API server checks the format by itself; a pattern would only repeat it less well.
  return schema
    .refine((value) => !Number.isNaN(Date.parse(value)), { error: "must be an RFC 3339 time" })
    .meta({ ...meta, format: options.format });
}

/** An RFC 3339 time. */
export function time(description: string) {
  return text(description, { max: 64, format: "date-time" });
}

/** A whole number within bounds (default 0 to the largest that JSON carries exactly). */
export function int(description: string, min = 0, max = SAFE_INTEGER, options: FieldNotes = {}) {
  return z.int().min(min).max(max).meta(notes(description, options));
}

/** Seconds. */
export function seconds(description: string, min: number, max: number, options: FieldNotes = {}) {
  return int(description, min, max, options);
}

export function flag(description: string, options: FieldNotes = {}) {
  return z.boolean().meta(notes(description, options));
}

/** One of a few words. */
export function choice<const T extends readonly [string, ...string[]]>(
  description: string,
  values: T,
  options: FieldNotes = {},
) {
  return z.enum(values).meta(notes(description, options));
}

/** An atomic list of at most `max` items. */
export function list<T extends z.ZodType>(description: string, item: T, max: number, min = 0) {
  let schema = z.array(item).max(max);
  if (min > 0) schema = schema.min(min);
  return schema.meta({ description, "x-kubernetes-list-type": "atomic" });
}

/** A list whose items are merged by a key; the API server refuses a key that comes twice. */
export function keyedList<T extends z.ZodType>(description: string, item: T, key: string, max: number) {
  return z
    .array(item)
    .max(max)
    .refine((items) => new Set(items.map((entry) => (entry as Record<string, unknown>)[key])).size === items.length, {
      error: `two items have the same ${key}`,
    })
    .meta({ description, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key] });
}

/** A map of strings with at most `maxEntries` entries. */
export function stringMap(description: string, maxEntries: number, maxLength: number) {
  return z
    .record(z.string(), z.string().max(maxLength))
    .refine((map) => Object.keys(map).length <= maxEntries, { error: `more than ${maxEntries} entries` })
    .meta({ description, maxProperties: maxEntries });
}

/** An object. Fields are named as in YAML; unknown ones are pruned, as the API server does. */
export function object<T extends z.ZodRawShape>(description: string, shape: T) {
  return z.object(shape).meta({ description });
}

/** A rule over one value. */
export interface Rule<T> {
  /** CEL; `self` is the value, `oldSelf` its former one in rules about changes. */
  rule: string;
  /** Names the field and the fix. */
  message: string;
  /** CEL that makes a better message; falls back to `message`. */
  messageExpression?: string;
  /** The same rule in TypeScript. Absent for rules about changes, which only the API server can check. */
  holds?: (value: T) => boolean;
}

/** The schema with rules attached for both the API server and run-time parsing. */
export function ruled<S extends z.ZodType>(schema: S, rules: readonly Rule<z.output<S>>[]): S {
  let refined: z.ZodType = schema;
  for (const { holds, message } of rules) {
    if (holds !== undefined) refined = refined.refine((value) => holds(value as z.output<S>), { error: message });
  }
  const published = rules.map(({ rule, message, messageExpression }) => ({
    rule,
    message,
    ...(messageExpression !== undefined && { messageExpression }),
  }));
  const former = (schema.meta()?.[RULES_KEY] ?? []) as readonly unknown[];
  return refined.meta({ ...schema.meta(), [RULES_KEY]: [...former, ...published] }) as S;
}

/** The rule that a text has a syntax. */
function matching(pattern: RegExp, message: string): Rule<string> {
  // Some characters would end CEL's raw string; JavaScript escapes slashes, which RE2 has no need for.
  const source = pattern.source.replaceAll("\\/", "/");
  if (/'|\\[swdb]/i.test(source)) throw new Error(`a pattern that CEL reads otherwise: ${source}`);
  return { rule: `self.matches(r'${source}')`, message, holds: (value) => pattern.test(value) };
}

/** The rule that a value never changes. */
export function immutable(message: string): Rule<unknown> {
  return { rule: "self == oldSelf", message };
}
