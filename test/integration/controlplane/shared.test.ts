import { expect, inject, test } from "vitest";
import { attach } from "../../controlplane/index.ts";

test("the control plane of the run answers kubectl with the provided kubeconfig", async () => {
  const api = await attach(inject("controlPlane"));
  const answer = await api.kubectl(["version", "-o", "json"]);
  expect(JSON.parse(answer.stdout)).toMatchObject({ serverVersion: { gitVersion: `v${api.version}` } });
});

test("a test file makes a user of its own on the control plane of the run", async () => {
  const api = await attach(inject("controlPlane"));
  const namespace = "controlplane-shared";
  const rules = [{ apiGroups: [""], resources: ["configmaps"], verbs: ["get"] }];
  const kubeconfig = await api.user("shared-reader", { rules, namespace });
  expect(await api.kubectl(["auth", "can-i", "get", "configmaps"], { kubeconfig })).toMatchObject({ stdout: "yes\n" });
  expect(await api.kubectl(["auth", "can-i", "list", "configmaps"], { kubeconfig })).toMatchObject({ stdout: "no\n" });
  expect(await api.kubectl(["auth", "can-i", "get", "configmaps", "-n", "default"], { kubeconfig })).toMatchObject({
    stdout: "no\n",
  });
});
