/** The field reference: one page per kind, one for conditions and reasons, all in Markdown. */
import { ANNOTATIONS, FINALIZER, GROUP, VERSION } from "../group.ts";
import { DEFAULT_KEY, PAGE_KEY, RULES_KEY } from "../schema.ts";
import { objectSchema } from "./crd.ts";
import type { KindDefinition } from "./kinds.ts";
import type { OpenApiSchema } from "./openapi.ts";
import { ANNOTATION_DOCS, REASON_DOCS } from "./reason-docs.ts";

const NOTICE = "<!-- Generated from src/crds by `npm run generate`; do not edit. -->";

/** File of a kind's page in docs/reference. */
export function pageName(definition: KindDefinition): string {
  return `${definition.singular}.md`;
}

/** One field, flat. */
interface Row {
  path: string;
  schema: OpenApiSchema;
  required: boolean;
}

/** All fields below a schema, parents first, lists as `path[]` and maps as `path.*`. */
function rows(path: string, schema: OpenApiSchema, required: boolean): Row[] {
  const self: Row = { path, schema, required };
  if (schema[PAGE_KEY] !== undefined) return [self];
  const below = { ...schema, ...(schema.items?.type === "object" && schema.items) };
  const prefix = schema.type === "array" ? `${path}[]` : path;
  const children = Object.entries(below.properties ?? {}).flatMap(([name, property]) =>
    rows(`${prefix}.${name}`, property, (below.required ?? []).includes(name)),
  );
  return [self, ...children];
}

function typeOf(schema: OpenApiSchema): string {
  if (schema["x-kubernetes-int-or-string"] === true) return "quantity";
  if (schema.type === "array") {
    const keys = schema["x-kubernetes-list-map-keys"];
    return `list of ${schema.items === undefined ? "?" : typeOf(schema.items)}${keys === undefined ? "" : ` by ${keys.join(", ")}`}`;
  }
  if (schema.additionalProperties !== undefined) return `map of ${typeOf(schema.additionalProperties)}`;
  if (schema.enum !== undefined) return "word";
  if (schema.format === "date-time") return "time";
  return schema.type ?? "?";
}

function boundsOf(schema: OpenApiSchema): string {
  const inner = schema.type === "array" && schema.items?.type === "string" ? boundsOf(schema.items) : "";
  const { minimum, maximum, minLength, maxLength, minItems, maxItems } = schema;
  return [
    schema.enum?.map((word) => `\`${word}\``).join(", "),
    // The largest exact integer of JSON says nothing to a reader.
    range(
      minimum === Number.MIN_SAFE_INTEGER ? undefined : minimum,
      maximum === Number.MAX_SAFE_INTEGER ? undefined : maximum,
      "",
    ),
    schema.format === undefined && schema["x-kubernetes-int-or-string"] !== true
      ? range(minLength, maxLength, " characters")
      : undefined,
    range(minItems, maxItems, " items"),
    schema.maxProperties === undefined ? undefined : `at most ${schema.maxProperties} entries`,
    schema.pattern === undefined || schema["x-kubernetes-int-or-string"] === true
      ? undefined
      : `\`${schema.pattern.replaceAll("|", "\\|")}\``,
    ...(isScalar(schema) ? (schema[RULES_KEY] ?? []).map(({ message }) => cell(message)) : []),
    inner === "" ? undefined : `each: ${inner}`,
  ]
    .filter((part) => part !== undefined && part !== "")
    .join("; ");
}

function range(low: number | undefined, high: number | undefined, unit: string): string | undefined {
  if (low === undefined && high === undefined) return undefined;
  if (low === undefined) return `at most ${high}${unit}`;
  if (high === undefined) return `at least ${low}${unit}`;
  return `${low} to ${high}${unit}`;
}

function table(fields: readonly Row[]): string {
  const lines = fields.map(({ path, schema, required }) => {
    const standard = schema[DEFAULT_KEY];
    const cells = [
      `\`${path}\``,
      typeOf(schema) + (required ? ", required" : ""),
      standard === undefined ? "" : `\`${String(standard)}\``,
      cell(schema.description ?? "") + linkOf(schema),
      boundsOf(schema),
    ];
    return `| ${cells.join(" | ")} |`;
  });
  return ["| field | type | default | what it is | bounds |", "|---|---|---|---|---|", ...lines].join("\n");
}

/** Where another page has the fields. */
function linkOf(schema: OpenApiSchema): string {
  const page = schema[PAGE_KEY];
  return page === undefined ? "" : ` Its fields, bounds and rules: [${page}](${page}.md#spec).`;
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("<", "&lt;");
}

/** Whether a schema's rules are about one value, and so stand with its bounds. */
function isScalar(schema: OpenApiSchema | undefined): boolean {
  return schema !== undefined && schema.type !== "object" && schema.type !== "array";
}

/** What the API server refuses beyond bounds, for objects and lists. */
function rulesSection(fields: readonly Row[]): string {
  const items = fields.flatMap(({ path, schema }) =>
    [
      ...(isScalar(schema) ? [] : (schema[RULES_KEY] ?? []).map(({ message }) => ({ path, message }))),
      ...(isScalar(schema.items) ? [] : (schema.items?.[RULES_KEY] ?? [])).map(({ message }) => ({
        path: `${path}[]`,
        message,
      })),
    ].map((rule) => `- \`${rule.path}\`: ${cell(rule.message)}`),
  );
  return items.length === 0
    ? ""
    : `\n## Rules\n\nAn object that breaks one is refused with this message.\n\n${items.join("\n")}\n`;
}

/** The page of one kind. */
export function kindPage(definition: KindDefinition): string {
  const { properties } = objectSchema(definition);
  const spec = rows("spec", properties?.["spec"] ?? {}, true);
  const status = rows("status", properties?.["status"] ?? {}, false);
  const columns = definition.columns.map(
    (column) =>
      `| ${column.name.toUpperCase()}${column.priority === 1 ? " (wide)" : ""} | ${cell(column.description)} |`,
  );
  return [
    NOTICE,
    `# ${definition.kind}`,
    "",
    `${definition.description} \`${GROUP}/${VERSION}\`, namespaced; \`kubectl get ${definition.shortName}\` or \`kubectl get edge\`.`,
    "",
    "Defaults are applied by the operator; it never writes into spec.",
    "",
    "## Spec",
    "",
    table(spec.slice(1)),
    rulesSection(spec),
    "## Status",
    "",
    table(status.slice(1)),
    "",
    "## Columns",
    "",
    "| column | what it is |",
    "|---|---|",
    ...columns,
    "",
  ].join("\n");
}

/** Conditions, reasons and annotations. */
export function conditionsPage(): string {
  const sections = REASON_DOCS.map(({ title, text, reasons }) =>
    [
      `## ${title}`,
      "",
      text,
      "",
      "| reason | meaning |",
      "|---|---|",
      ...Object.entries(reasons).map(([reason, meaning]) => `| \`${reason}\` | ${cell(meaning)} |`),
      "",
    ].join("\n"),
  );
  const annotations = Object.entries(ANNOTATIONS).map(
    ([key, name]) => `| \`${name}\` | ${cell(ANNOTATION_DOCS[key as keyof typeof ANNOTATIONS])} |`,
  );
  return [
    NOTICE,
    "# Conditions, reasons and annotations",
    "",
    "Types and reasons are part of the API: some may be added, none is renamed. Every condition carries the generation of the spec it was",
    "computed from, and lastTransitionTime moves only with its status.",
    "",
    ...sections,
    "## Annotations",
    "",
    `The finalizer of all kinds is \`${FINALIZER}\`.`,
    "",
    "| annotation | what it does |",
    "|---|---|",
    ...annotations,
    "",
  ].join("\n");
}

/** The list of pages. */
export function indexPage(definitions: readonly KindDefinition[]): string {
  const kinds = definitions.map(
    (definition) => `- [${definition.kind}](${pageName(definition)}): ${definition.description}`,
  );
  return [NOTICE, "# API reference", "", ...kinds, "- [Conditions, reasons and annotations](conditions.md)", ""].join(
    "\n",
  );
}
