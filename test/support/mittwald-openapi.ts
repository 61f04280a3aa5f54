/** mittwald's OpenAPI document, as a judge of requests and answers. */
import { readFileSync } from "node:fs";
import { Ajv } from "ajv";
import formats from "ajv-formats";
import { z } from "zod";

const FILE = new URL("../fixtures/mittwald/openapi-containers.json", import.meta.url);
const ID = "mittwald";
const response = z.looseObject({ $ref: z.string().optional(), content: z.record(z.string(), z.unknown()).optional() });
const operation = z.looseObject({
  operationId: z.string(),
  requestBody: z.looseObject({ required: z.boolean().optional() }).optional(),
  responses: z.record(z.string(), response),
});
const document = z.looseObject({
  paths: z.record(z.string(), z.record(z.string(), operation)),
  components: z.looseObject({ responses: z.record(z.string(), response) }),
});

export interface Described {
  /** Without `container-` and `deprecated-container-`. */
  name: string;
  /** In capitals. */
  method: string;
  /** With `{parameters}`. */
  path: string;
  /** Statuses that it names. */
  statuses: readonly string[];
}

export interface OpenApi {
  operations: readonly Described[];
  /** What the document has against an answer; undefined when nothing. @param body text of it */
  answerProblem: (operation: string, status: number, contentType: string | null, body: string) => string | undefined;
  /** What the document has against a request's body; undefined when nothing. @param body undefined: none */
  requestProblem: (operation: string, body: unknown) => string | undefined;
  /** The same by the name of a schema, e.g. `container.ServiceResponse`. */
  schemaProblem: (schema: string, value: unknown) => string | undefined;
}

export function openApi(): OpenApi {
  const text: unknown = JSON.parse(readFileSync(FILE, "utf8"));
  const { paths, components } = document.parse(text);
  const ajv = new Ajv({ strict: false, allErrors: true });
  formats.default(ajv, ["uuid", "date-time", "uri", "email", "int64"]);
  ajv.addSchema({ $id: ID, ...z.looseObject({}).parse(withNull(text)) });
  const found = new Map<string, { described: Described; at: string; operation: z.infer<typeof operation> }>();
  for (const [path, methods] of Object.entries(paths))
    for (const [method, each] of Object.entries(methods)) {
      const name = each.operationId.replace(/^(deprecated-)?container-/, "");
      const described = { name, method: method.toUpperCase(), path, statuses: Object.keys(each.responses) };
      found.set(name, { described, at: `/paths/${pointer(path)}/${method}`, operation: each });
    }
  const problem = (at: string, value: unknown): string | undefined => {
    const validate = ajv.getSchema(`${ID}#${at}`);
    if (validate === undefined) throw new Error(`no schema at ${at}`);
    return validate(value) === true ? undefined : ajv.errorsText(validate.errors);
  };
  const find = (name: string) => {
    const entry = found.get(name);
    if (entry === undefined) throw new Error(`the document has no operation ${name}`);
    return entry;
  };
  return {
    operations: [...found.values()].map(({ described }) => described),
    answerProblem: (name, status, contentType, body) => {
      const { at, operation } = find(name);
      const key = operation.responses[status] === undefined ? "default" : String(status);
      const described = operation.responses[key];
      if (described === undefined) return `${name} has no answer ${status}`;
      const where =
        described.$ref === undefined
          ? `${at}/responses/${key}`
          : `/components/responses/${described.$ref.split("/").at(-1)}`;
      const content = (described.$ref === undefined ? described : components.responses[where.split("/").at(-1) ?? ""])
        ?.content;
      if (content === undefined) return body === "" ? undefined : `${name} ${status} has a body`;
      const type = Object.keys(content)[0] ?? "";
      if (contentType?.split(";")[0] !== type) return `${name} ${status} is ${contentType}, not ${type}`;
      const value: unknown = type === "application/json" ? JSON.parse(body) : body;
      const wrong = problem(`${where}/content/${pointer(type)}/schema`, value);
      return wrong === undefined ? undefined : `${name} ${status}: ${wrong}`;
    },
    requestProblem: (name, body) => {
      const { at, operation } = find(name);
      if (operation.requestBody === undefined) return undefined;
      if (body === undefined) return operation.requestBody.required === true ? "a body is required" : undefined;
      return problem(`${at}/requestBody/content/application~1json/schema`, body);
    },
    schemaProblem: (schema, value) => problem(`/components/schemas/de.mittwald.v1.${schema}`, value),
  };
}

/** A segment of a JSON pointer in a URI's fragment. */
function pointer(segment: string): string {
  return encodeURIComponent(segment.replaceAll("~", "~0").replaceAll("/", "~1"));
}

/** OpenAPI 3.0's `nullable` where there is no `type` beside it, which JSON Schema cannot say. */
function withNull(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withNull);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([key, each]): [string, unknown] => [key, withNull(each)]);
  const copy: Record<string, unknown> = Object.fromEntries(entries);
  if (copy["nullable"] !== true || copy["type"] !== undefined) return copy;
  const { nullable: _nullable, ...rest } = copy;
  return { anyOf: [rest, { type: "null" }] };
}
