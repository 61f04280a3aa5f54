import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { parseAllDocuments } from "yaml";
import { KINDS } from "../../../src/crds/group.ts";
import { KubeAdmin, messageOf, type AnyObject } from "../../kube-admin.ts";

const MANIFESTS = resolve(import.meta.dirname, "../../../manifests");
const { kubeconfig, kubectlPath: kubectl, hasControllerManager } = inject("controlPlane");
const OPERATOR = "system:serviceaccount:drayage-system:drayage";

let kube: KubeAdmin;
let namespace: string;
beforeAll(async () => {
  kube = new KubeAdmin(kubeconfig);
  namespace = await kube.namespace("rbac");
  const system = await kube.create("/api/v1/namespaces", { metadata: { name: "drayage-system" } });
  expect([201, 409]).toContain(system.status);
  await kubectlRun(
    "apply",
    "--filename",
    join(MANIFESTS, "rbac/operator.yaml"),
    "--filename",
    join(MANIFESTS, "rbac/users.yaml"),
  );
});
afterAll(async () => kube[Symbol.asyncDispose]());

async function kubectlRun(...args: string[]): Promise<{ stdout: string; stderr: string }> {
  return promisify(execFile)(kubectl, args, { env: { ...process.env, KUBECONFIG: kubeconfig } });
}

/** Asks the API server's authorizer. */
async function may(
  user: string,
  verb: string,
  group: string,
  resource: string,
  where: Partial<Record<"namespace" | "name" | "subresource", string>> = {},
): Promise<boolean> {
  const answer = await kube.create<AnyObject & { status: { allowed: boolean } }>(
    "/apis/authorization.k8s.io/v1/subjectaccessreviews",
    { spec: { user, resourceAttributes: { verb, group, resource, ...where } } },
  );
  if (answer.status !== 201) throw new Error(messageOf(answer));
  return answer.body.status.allowed;
}

const EDGE = "edge.drayage.dev";
const CRDS = "apiextensions.k8s.io";
const anywhere = { namespace: "some-tenant" };
const own = { namespace: "drayage-system" };

describe("the operator may", () => {
  test.each([
    ["watch", EDGE, "edgecontainers", {}],
    ["patch", EDGE, "edgecontainers", anywhere],
    ["create", EDGE, "edgecontainers", anywhere],
    ["delete", EDGE, "edgecontainers", anywhere],
    ["watch", EDGE, "edgestacks", {}],
    ["patch", EDGE, "edgestacks", { ...anywhere, subresource: "status" }],
    ["patch", EDGE, "edgedevices", { ...anywhere, subresource: "status" }],
    ["patch", EDGE, "edgeregistries", anywhere],
    ["create", EDGE, "edgeregistries", anywhere],
    ["delete", EDGE, "edgeregistries", anywhere],
    ["patch", EDGE, "edgeregistries", { ...anywhere, subresource: "status" }],
    ["watch", CRDS, "customresourcedefinitions", { name: "edgeregistries.edge.drayage.dev" }],
    ["update", EDGE, "edgebackends", { ...anywhere, subresource: "finalizers" }],
    ["get", "", "secrets", anywhere],
    ["get", "", "configmaps", anywhere],
    ["get", "", "namespaces", { name: "kube-system" }],
    ["create", "events.k8s.io", "events", anywhere],
    ["patch", "events.k8s.io", "events", anywhere],
    ["watch", CRDS, "customresourcedefinitions", { name: "edgedevices.edge.drayage.dev" }],
    ["update", "coordination.k8s.io", "leases", { ...own, name: "drayage" }],
    ["watch", "coordination.k8s.io", "leases", { ...own, name: "drayage" }],
    ["create", "", "secrets", own],
  ])("%s %s/%s %j", async (verb, group, resource, where) => {
    expect(await may(OPERATOR, verb, group, resource, where)).toBe(true);
  });
});

describe("the operator may not", () => {
  test.each([
    ["create", EDGE, "edgebackends", anywhere],
    ["delete", EDGE, "edgebackends", anywhere],
    ["create", EDGE, "edgestacks", anywhere],
    ["delete", EDGE, "edgestacks", anywhere],
    ["list", "", "secrets", {}],
    ["watch", "", "secrets", {}],
    ["create", "", "secrets", anywhere],
    ["update", "", "secrets", anywhere],
    ["delete", "", "secrets", own],
    ["list", "", "configmaps", {}],
    ["get", "", "pods", anywhere],
    ["get", CRDS, "customresourcedefinitions", { name: "others.example.org" }],
    ["update", CRDS, "customresourcedefinitions", { name: "edgedevices.edge.drayage.dev" }],
    ["update", "coordination.k8s.io", "leases", { namespace: "kube-system", name: "x" }],
    ["delete", "", "namespaces", { name: "x" }],
  ])("%s %s/%s %j", async (verb, group, resource, where) => {
    expect(await may(OPERATOR, verb, group, resource, where)).toBe(false);
  });
});

describe.runIf(hasControllerManager)("the cluster's own roles, in a namespace where they are bound,", () => {
  /** What the roles view, edit and admin may do there, by verb and resource. */
  const RIGHTS: [string, string, { view: boolean; edit: boolean; admin: boolean }][] = [
    ["list", "edgebackends", { view: true, edit: true, admin: true }],
    ["watch", "edgecontainers", { view: true, edit: true, admin: true }],
    ["create", "edgestacks", { view: false, edit: true, admin: true }],
    ["create", "edgecontainers", { view: false, edit: true, admin: true }],
    ["delete", "edgedevices", { view: false, edit: true, admin: true }],
    ["create", "edgeregistries", { view: false, edit: true, admin: true }],
    ["create", "edgebackends", { view: false, edit: false, admin: true }],
  ];

  beforeAll(async () => {
    for (const role of ["view", "edit", "admin"])
      await kube.create(`/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}/rolebindings`, {
        metadata: { name: role },
        roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: role },
        subjects: [{ apiGroup: "rbac.authorization.k8s.io", kind: "User", name: `test-${role}` }],
      });
    // Aggregation is the controller manager's work: wait until each role has taken ours in.
    for (const role of ["view", "edit", "admin"])
      await kube.until(
        `/apis/rbac.authorization.k8s.io/v1/clusterroles/${role}`,
        ({ body }) =>
          (body["rules"] as { apiGroups?: string[] }[] | null)?.some((rule) => rule.apiGroups?.includes(EDGE)) === true,
      );
  });

  test.each(RIGHTS)("to %s %s: %j", async (verb, resource, rights) => {
    for (const [role, allowed] of Object.entries(rights))
      await expect
        .poll(async () => may(`test-${role}`, verb, EDGE, resource, { namespace }), { timeout: 30_000 })
        .toBe(allowed);
  });

  test("give no right to write status, nor any in another namespace", async () => {
    expect(await may("test-admin", "patch", EDGE, "edgecontainers", { namespace, subresource: "status" })).toBe(false);
    expect(await may("test-admin", "get", EDGE, "edgecontainers", { namespace: "default" })).toBe(false);
  });
});

describe("the samples", () => {
  const folder = join(MANIFESTS, "samples");
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".yaml"));

  test.each(files)("%s is accepted, without a warning or an unknown field", async (file) => {
    const { stderr } = await kubectlRun(
      "apply",
      "--namespace",
      namespace,
      "--validate=strict",
      "--filename",
      join(folder, file),
    );
    expect(stderr).toBe("");
  });

  test("have every kind among them, and no reference that leads nowhere", () => {
    const objects = files.flatMap((file) =>
      parseAllDocuments(readFileSync(join(folder, file), "utf8")).map((document) => document.toJS()),
    );
    const names = (kind: string): string[] =>
      objects.filter((object) => object.kind === kind).map((object) => object.metadata.name);
    for (const kind of Object.keys(KINDS)) expect(names(kind)).not.toEqual([]);
    for (const device of objects.filter(({ kind }) => kind === "EdgeDevice"))
      expect(names("EdgeBackend")).toContain(device.spec.backendRef.name);
    for (const registry of objects.filter(({ kind }) => kind === "EdgeRegistry"))
      for (const { name } of registry.spec.backendRefs) expect(names("EdgeBackend")).toContain(name);
    for (const { spec } of objects.filter(({ kind }) => kind === "EdgeContainer"))
      for (const { name } of spec.registryRefs ?? []) expect(names("EdgeRegistry")).toContain(name);
    for (const container of objects.filter(({ kind }) => kind === "EdgeContainer" || kind === "EdgeStack"))
      expect(names("EdgeDevice")).toContain(container.spec.deviceRef.name);
    for (const [, name] of JSON.stringify(objects).matchAll(
      /"(?:secretKeyRef|credentialsSecretRef|secretRef)":\{"name":"([^"]+)"/g,
    ))
      expect(names("Secret")).toContain(name);
  });
});
