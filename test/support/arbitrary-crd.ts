/** Specs generated from the published schema: mostly good ones, and ones with a mistake in them. */
import fc from "fast-check";
import type { OpenApiSchema } from "../../src/crds/generate/openapi.ts";

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Mostly good ones: a spec is refused already for one bad one. */
function mostly<T>(good: fc.Arbitrary<T>, ...bad: readonly T[]): fc.Arbitrary<T> {
  return fc.oneof({ weight: 9, arbitrary: good }, { weight: 1, arbitrary: fc.constantFrom(...bad) });
}

/** Images, quantities and addresses of all sorts; a pattern could hardly make them. */
const IMAGES = mostly(
  fc.constantFrom("docker.io/library/nginx:1.27", "localhost:5000/a", `ghcr.io/a/b@sha256:${"0".repeat(64)}`),
  "nginx",
  "docker.io/A",
);
const QUANTITIES = mostly<Json>(
  fc.oneof(
    fc.constantFrom("64Mi", "1.5Gi", "500m", "1e3", "5.", ".5", "2E", "1Ki"),
    fc.integer({ min: 1, max: 100_000 }),
  ),
  "0",
  "Unlimited",
  "10x",
  "-1",
  "1 Mi",
  -1,
);
const ADDRESSES = mostly(fc.oneof(fc.ipV4(), fc.ipV6()), "localhost", "::ffff:1.2.3.4", "fe80::1%eth0", "1.2.3");

/** An arbitrary value of a schema. Rules between fields are followed where they say "exactly one". */
export function arbitraryOf(schema: OpenApiSchema): fc.Arbitrary<Json> {
  const rules = (schema["x-kubernetes-validations"] ?? []).map(({ rule }) => rule);
  if (schema["x-kubernetes-int-or-string"] === true) return QUANTITIES;
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
  switch (schema.type) {
    case "object":
      return schema.additionalProperties === undefined ? objectOf(schema, rules) : mapOf(schema);
    case "array":
      return fc.array(arbitraryOf(schema.items ?? {}), { minLength: schema.minItems ?? 0, maxLength: 3 });
    case "boolean":
      return fc.boolean();
    case "integer":
      return fc.integer({ min: Math.max(schema.minimum ?? 0, -1), max: Math.min(schema.maximum ?? 0, 100_000) });
    case "string":
      return textOf(schema, rules);
    case "number":
    case undefined:
      throw new Error(`no values of ${JSON.stringify(schema)}`);
    default:
      return schema.type satisfies never;
  }
}

function objectOf(schema: OpenApiSchema, rules: readonly string[]): fc.Arbitrary<Json> {
  const properties = Object.entries(schema.properties ?? {});
  const values = Object.fromEntries(properties.map(([name, property]) => [name, arbitraryOf(property)]));
  const alternatives = rules.map(exactlyOneOf).find((fields) => fields.length > 0) ?? [];
  const required = schema.required ?? [];
  const optional = properties.map(([name]) => name).filter((name) => ![...required, ...alternatives].includes(name));
  // Few at a time: with many, some rule between them is nearly always broken.
  const chosen = fc.tuple(
    fc.subarray(optional, { maxLength: Math.min(4, optional.length) }),
    alternatives.length === 0
      ? fc.constant<string[]>([])
      : fc.oneof(
          { weight: 9, arbitrary: fc.constantFrom(...alternatives).map((name) => [name]) },
          { weight: 1, arbitrary: fc.subarray(alternatives) },
        ),
  );
  return chosen.chain(([some, one]) => {
    const names = [...required, ...some, ...one];
    return fc.record(Object.fromEntries(names.map((name) => [name, values[name] ?? fc.constant(null)])));
  });
}

/** The fields of a rule made by exactlyOne() of src/crds/references.ts. */
function exactlyOneOf(rule: string): string[] {
  return rule.endsWith(".filter(set, set).size() == 1")
    ? Array.from(rule.matchAll(/has\(self\.(\w+)\)/g), ([, field]) => field ?? "")
    : [];
}

function mapOf(schema: OpenApiSchema): fc.Arbitrary<Json> {
  return fc.dictionary(fc.string({ maxLength: 8 }), arbitraryOf(schema.additionalProperties ?? {}), {
    maxKeys: 3,
    noNullPrototype: true,
  });
}

function textOf(schema: OpenApiSchema, rules: readonly string[]): fc.Arbitrary<string> {
  if (rules.some((rule) => rule === "isIP(self)")) return ADDRESSES;
  if (rules.some((rule) => rule.includes("localhost"))) return IMAGES;
  const source = rules.map((rule) => /^self\.matches\(r'(.*)'\)$/.exec(rule)?.[1]).find((match) => match !== undefined);
  const any = fc.string({
    unit: "grapheme",
    minLength: schema.minLength ?? 0,
    maxLength: Math.min(schema.maxLength ?? 20, 20),
  });
  if (source === undefined) return any;
  return fc.oneof({ weight: 19, arbitrary: fc.stringMatching(new RegExp(source)) }, { weight: 1, arbitrary: any });
}

/** Puts one mistake somewhere into a value, or leaves it. */
export function withMistake(value: Json): fc.Arbitrary<Json> {
  const paths = pathsOf(value);
  if (paths.length === 0) return fc.constant(value);
  const wrong = fc.constantFrom<Json | undefined>(
    undefined,
    "",
    "x".repeat(300),
    "é😀",
    -1,
    0,
    70_000,
    1.5,
    true,
    [],
    {},
    ["x"],
  );
  return fc
    .tuple(fc.constantFrom(...paths), wrong)
    .map(([path, replacement]) => replaced(value, path, replacement) ?? null);
}

/** Paths of everything inside a value. */
function pathsOf(value: Json, path: readonly string[] = []): (readonly string[])[] {
  const below = typeof value === "object" && value !== null ? Object.entries(value) : [];
  return [...(path.length > 0 ? [path] : []), ...below.flatMap(([key, item]) => pathsOf(item, [...path, key]))];
}

function replaced(value: Json, [key, ...rest]: readonly string[], replacement: Json | undefined): Json | undefined {
  if (key === undefined) return replacement;
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) {
    const copy = value.flatMap((item, index) => {
      const now = String(index) === key ? replaced(item, rest, replacement) : item;
      return now === undefined ? [] : [now];
    });
    return copy;
  }
  const now = replaced(value[key] ?? null, rest, replacement);
  const { [key]: _old, ...others } = value;
  return now === undefined ? others : { ...others, [key]: now };
}
