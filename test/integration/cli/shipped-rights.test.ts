import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
import { type ControlPlane, startControlPlane } from "../../controlplane/index.ts";
import { applyCrds } from "../../controlplane/manifests.ts";
import type { PolicyRule } from "../../controlplane/users.ts";
import { DrayageProcess, runArgs } from "./drayage-process.ts";

// A control plane of its own: the operator watches all of it.
let controlPlane: ControlPlane;
beforeAll(async () => {
  controlPlane = await startControlPlane({ controllerManager: false });
  await applyCrds(controlPlane, fileURLToPath(new URL("../../../manifests/crds", import.meta.url)));
});
afterAll(async () => {
  await controlPlane?.stop();
});

/** What manifests/rbac/operator.yaml grants in the cluster and in the operator's own namespace. */
async function shippedRules(): Promise<{ cluster: PolicyRule[]; namespace: PolicyRule[] }> {
  const text = await readFile(new URL("../../../manifests/rbac/operator.yaml", import.meta.url), "utf8");
  const rules: Record<string, PolicyRule[]> = {};
  for (const document of parseAllDocuments(text)) {
    const object = document.toJS() as { kind: string; rules?: PolicyRule[] };
    if (object.rules !== undefined) rules[object.kind] = object.rules;
  }
  const { ClusterRole: cluster, Role: namespace } = rules;
  if (cluster === undefined || namespace === undefined) throw new Error("manifests/rbac/operator.yaml has no rules");
  return { cluster, namespace };
}

test("the rights in manifests/rbac are enough", async () => {
  const user = "shipped";
  const namespace = "drayage-system";
  const rules = await shippedRules();
  await controlPlane.user(user, { rules: rules.cluster });
  const kubeconfig = await controlPlane.user(user, { rules: rules.namespace, namespace });
  await using drayage = new DrayageProcess(runArgs(kubeconfig));
  await drayage.log("leading");
  await drayage.readiness(200);
  expect(drayage.logs.filter(({ level }) => level === "warn" || level === "error")).toEqual([]);
  drayage.kill("SIGTERM");
  expect(await drayage.exit).toBe(0);
});
