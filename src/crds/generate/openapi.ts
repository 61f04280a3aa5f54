/** From a zod schema to the structural OpenAPI schema that a CustomResourceDefinition carries. */
import { z } from "zod";
import { DEFAULT_KEY, type RULES_KEY } from "../schema.ts";

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

/** The schema for the API server: defaults that are applied in code become part of the description. */
export function publishedSchema(schema: OpenApiSchema): OpenApiSchema {
  const { [DEFAULT_KEY]: standard, description, properties, items, additionalProperties, ...rest } = schema;
  return {
    ...(description !== undefined && {
      description: standard === undefined ? description : `${description} Default: ${String(standard)}.`,
    }),
    ...rest,
    ...(properties !== undefined && {
      properties: Object.fromEntries(
        Object.entries(properties).map(([name, property]) => [name, publishedSchema(property)]),
      ),
    }),
    ...(items !== undefined && { items: publishedSchema(items) }),
    ...(additionalProperties !== undefined && { additionalProperties: publishedSchema(additionalProperties) }),
  };
}
