import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync, mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { generatedFiles, staleFiles } from "../../../src/crds/generate/main.ts";
import type { OpenApiSchema } from "../../../src/crds/generate/openapi.ts";

const ROOT = resolve(import.meta.dirname, "../../..");

/** Every schema in a CRD with its path. */
function* walk(schema: OpenApiSchema, path: string): Generator<[string, OpenApiSchema]> {
  yield [path, schema];
  for (const [name, property] of Object.entries(schema.properties ?? {})) yield* walk(property, `${path}.${name}`);
  if (schema.items !== undefined) yield* walk(schema.items, `${path}[]`);
  if (schema.additionalProperties !== undefined) yield* walk(schema.additionalProperties, `${path}.*`);
}

const crds = [...generatedFiles()]
  .filter(([path]) => path.startsWith("manifests/crds/"))
  .map(([path, text]) => ({ path, crd: parse(text) }));
const fields = crds.flatMap(({ crd }) => {
  const schema: OpenApiSchema = crd.spec.versions[0].schema.openAPIV3Schema;
  const kind: string = crd.spec.names.kind;
  return ["spec", "status"].flatMap((part) => [...walk(schema.properties?.[part] ?? {}, `${kind}.${part}`)]);
});

describe("the committed files", () => {
  test("are what the generator writes now", () => {
    expect(staleFiles(ROOT)).toEqual([]);
  });
});

describe("staleFiles", () => {
  const folders: string[] = [];
  afterEach(() => {
    for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
  });

  function written(): string {
    const folder = mkdtempSync(join(tmpdir(), "drayage-generated-"));
    folders.push(folder);
    for (const [path, text] of generatedFiles()) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), text);
    }
    return folder;
  }

  test("finds an edited, a missing and a left-over file", () => {
    const folder = written();
    expect(staleFiles(folder)).toEqual([]);
    const edited = "manifests/crds/edge.drayage.dev_edgedevices.yaml";
    writeFileSync(join(folder, edited), `${readFileSync(join(folder, edited), "utf8")}# by hand\n`);
    rmSync(join(folder, "docs/reference/edgebackend.md"));
    writeFileSync(join(folder, "manifests/crds/edge.drayage.dev_gone.yaml"), "");
    expect(staleFiles(folder)).toEqual([
      "docs/reference/edgebackend.md",
      edited,
      "manifests/crds/edge.drayage.dev_gone.yaml",
    ]);
  });
});

describe("every field of every kind", () => {
  test("has a description", () => {
    // The values of maps are described by the map.
    const bare = fields.filter(([path, { description = "" }]) => description.length < 5 && !path.endsWith(".*"));
    expect(bare.map(([path]) => path)).toEqual([]);
  });

  test("has a bound if it is a text, a number, a list or a map", () => {
    const unbounded = fields.filter(([, schema]) => {
      if (schema["x-kubernetes-int-or-string"] === true) return schema.maxLength === undefined;
      if (schema.type === "string") return schema.enum === undefined && schema.maxLength === undefined;
      if (schema.type === "integer") return schema.minimum === undefined || schema.maximum === undefined;
      if (schema.type === "array") return schema.maxItems === undefined;
      return schema.additionalProperties !== undefined && schema.maxProperties === undefined;
    });
    expect(unbounded.map(([path]) => path)).toEqual([]);
  });

  test("carries no default in spec, and none in status but that of status itself", () => {
    const defaults = fields.filter(([, schema]) => schema.default !== undefined);
    expect(defaults.map(([path, schema]) => [path, schema.default])).toEqual([
      ["EdgeBackend.status", { observedGeneration: -1 }],
      ["EdgeDevice.status", { observedGeneration: -1 }],
      ["EdgeContainer.status", { observedGeneration: -1 }],
      ["EdgeStack.status", { observedGeneration: -1 }],
      ["EdgeRegistry.status", { observedGeneration: -1 }],
    ]);
  });

  test("that is a list is atomic, but for env by name and conditions by type", () => {
    const lists = fields.filter(([, schema]) => schema.type === "array");
    const maps = lists.filter(([, schema]) => schema["x-kubernetes-list-type"] === "map");
    expect(maps.map(([path, schema]) => [path, schema["x-kubernetes-list-map-keys"]])).toEqual([
      ["EdgeBackend.status.conditions", ["type"]],
      ["EdgeDevice.status.conditions", ["type"]],
      ["EdgeContainer.spec.env", ["name"]],
      ["EdgeContainer.status.conditions", ["type"]],
      ["EdgeStack.spec.containers[].template.env", ["name"]],
      ["EdgeStack.status.conditions", ["type"]],
      ["EdgeRegistry.status.conditions", ["type"]],
    ]);
    const atomic = lists.filter(([, schema]) => schema["x-kubernetes-list-type"] === "atomic");
    expect(atomic.length + maps.length).toBe(lists.length);
  });
});

describe("the field reference", () => {
  test("has a row for every field of every kind", () => {
    for (const { crd } of crds) {
      const page = readFileSync(join(ROOT, "docs/reference", `${crd.spec.names.singular}.md`), "utf8");
      const missing = fields
        .filter(([path]) => path.startsWith(`${crd.spec.names.kind}.`))
        .map(([path]) => path.slice(crd.spec.names.kind.length + 1))
        // spec and status are headings; items of lists and values of maps stand with them.
        // A template's fields stand on the page of what it is a template of.
        .filter((path) => !path.includes(".template."))
        .filter((path) => path.includes(".") && !path.endsWith("[]") && !path.endsWith(".*"))
        .filter((path) => !page.includes(`| \`${path}\` |`));
      expect(missing).toEqual([]);
    }
  });

  test("holds no page beyond the generated ones", () => {
    expect(readdirSync(join(ROOT, "docs/reference")).sort()).toEqual(
      [
        "README.md",
        "conditions.md",
        "edgebackend.md",
        "edgecontainer.md",
        "edgedevice.md",
        "edgestack.md",
        "edgeregistry.md",
      ].sort(),
    );
  });
});
