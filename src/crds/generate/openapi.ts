/** From a zod schema to the structural OpenAPI schema that a CustomResourceDefinition carries. */
import { z } from "zod";
import { DEFAULT_KEY, PAGE_KEY, RULES_KEY } from "../schema.ts";

/** A CEL rule as published. */
export interface PublishedRule {
  rule: string;
  message: string;
  messageExpression?: string;
}

/** The part of a schema that the generator reads and writes. */
export interface OpenApiSchema {
  type?: "object" | "array" | "string" | "integer" | "number" | "boolean";
  description?: string;
  format?: string;
  enum?: string[];
  default?: unknown;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  pattern?: string;
  minItems?: number;
  maxItems?: number;
  maxProperties?: number;
  items?: OpenApiSchema;
  properties?: Record<string, OpenApiSchema>;
  required?: string[];
  additionalProperties?: OpenApiSchema;
  anyOf?: unknown;
  [DEFAULT_KEY]?: string | number | boolean;
  [PAGE_KEY]?: string;
  [RULES_KEY]?: PublishedRule[];
  "x-kubernetes-int-or-string"?: boolean;
  "x-kubernetes-list-type"?: string;
  "x-kubernetes-list-map-keys"?: string[];
}

/** The schema as zod gives it, with our notes (defaults) still on it: what the docs are made from. */
export function annotatedSchema(schema: z.ZodType): OpenApiSchema {
  const converted = z.toJSONSchema(schema, {
    target: "openapi-3.0",
    io: "input",
    unrepresentable: "throw",
    override: ({ jsonSchema }) => {
      // zod writes the union; the API server wants the marker alone.
      if (jsonSchema["x-kubernetes-int-or-string"] === true) delete jsonSchema.anyOf;
      // JavaScript escapes slashes in a pattern's source.
      if (jsonSchema.pattern !== undefined) jsonSchema.pattern = jsonSchema.pattern.replaceAll("\\/", "/");
    },
  });
  return converted as OpenApiSchema;
}

/** Where in the whole schema a part of it stands. */
interface Place {
  /** Inside the template of another kind. */
  template: boolean;
  /** Inside a list of such a template. */
  list: boolean;
}

/** The schema for the API server: defaults that are applied in code become part of the description. */
export function publishedSchema(whole: OpenApiSchema, place: Place = { template: false, list: false }): OpenApiSchema {
  const schema = place.list ? withPattern(whole) : whole;
  const {
    [DEFAULT_KEY]: standard,
    [PAGE_KEY]: page,
    description,
    properties,
    items,
    additionalProperties,
    ...rest
  } = schema;
  const below: Place = { ...place, template: place.template || page !== undefined };
  return {
    ...(description !== undefined && {
      description: standard === undefined ? description : `${description} Default: ${String(standard)}.`,
    }),
    ...rest,
    ...(properties !== undefined && {
      properties: Object.fromEntries(
        Object.entries(properties).map(([name, property]) => [name, publishedSchema(property, below)]),
      ),
    }),
    ...(items !== undefined && { items: publishedSchema(items, { ...below, list: below.template }) }),
    ...(additionalProperties !== undefined && { additionalProperties: publishedSchema(additionalProperties, below) }),
  };
}

/** `self.matches(r'...')`, as schema.ts writes it. */
const MATCHES = /^self\.matches\(r'(.*)'\)$/;

/**
 * A rule about a text's syntax as a plain pattern, which costs the API server's budget for rules nothing: in a list inside a list of
 * containers the rules would exceed it. It accepts the same; its refusal names the pattern instead of the fix.
 */
function withPattern(schema: OpenApiSchema): OpenApiSchema {
  const rules = schema[RULES_KEY] ?? [];
  const syntax = rules.find(({ rule }) => MATCHES.test(rule));
  const pattern = syntax === undefined ? undefined : MATCHES.exec(syntax.rule)?.[1];
  if (pattern === undefined || schema.pattern !== undefined) return schema;
  const { [RULES_KEY]: _rules, ...rest } = schema;
  const others = rules.filter((rule) => rule !== syntax);
  return { ...rest, pattern, ...(others.length > 0 && { [RULES_KEY]: others }) };
}
