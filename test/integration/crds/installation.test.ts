import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { parse } from "yaml";
import { KINDS } from "../../../src/crds/group.ts";
import { KubeAdmin, messageOf } from "../../kube-admin.ts";

const FOLDER = resolve(import.meta.dirname, "../../../manifests/crds");
const CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

const definitions = readdirSync(FOLDER).map((file) => parse(readFileSync(join(FOLDER, file), "utf8")));

let kube: KubeAdmin;
beforeAll(() => {
  kube = new KubeAdmin(inject("controlPlane").kubeconfig);
});
afterAll(async () => kube[Symbol.asyncDispose]());

describe.each(definitions.map((definition) => [definition.spec.names.kind, definition]))(
  "the CRD of %s",
  (_, definition) => {
    const { name } = definition.metadata;

    test("is accepted as new, costs of its rules included, without a warning", async () => {
      // Under another group, since as an update of itself it would not be checked in full.
      const group = "fresh.example.org";
      const fresh = {
        ...definition,
        metadata: { name: `${definition.spec.names.plural}.${group}` },
        spec: { ...definition.spec, group },
      };
      const answer = await kube.create(`${CRDS}?dryRun=All&fieldValidation=Strict`, fresh);
      expect(answer.status, messageOf(answer)).toBe(201);
      expect(answer.warnings).toEqual([]);
    });

    test("is established, with its names and a structural schema", async () => {
      const answer = await kube.get(`${CRDS}/${name}`);
      const { conditions } = answer.body["status"] as { conditions: { type: string; status: string }[] };
      const statuses = Object.fromEntries(conditions.map(({ type, status }) => [type, status]));
      expect(statuses).toMatchObject({ Established: "True", NamesAccepted: "True" });
      expect(statuses["NonStructuralSchema"] ?? "False").toBe("False");
    });

    test("is found by short name and category", async () => {
      const discovery = await kube.get("/apis/edge.drayage.dev/v1alpha1");
      const resources = discovery.body["resources"] as Record<string, unknown>[];
      const { plural, shortNames } = definition.spec.names;
      expect(resources.find((resource) => resource["name"] === plural)).toMatchObject({
        shortNames,
        categories: ["edge"],
        namespaced: true,
      });
      expect(resources.map((resource) => resource["name"])).toContain(`${plural}/status`);
    });
  },
);

test("there is one CRD per kind", () => {
  expect(new Set(definitions.map((definition) => definition.spec.names.kind))).toEqual(new Set(Object.keys(KINDS)));
  expect(definitions).toHaveLength(Object.keys(KINDS).length);
});
