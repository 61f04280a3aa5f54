import { expect, inject, test } from "vitest";
import { attach } from "../../controlplane/index.ts";

const NAMESPACE = "controlplane-gc";
const CONFIG_MAPS = `/api/v1/namespaces/${NAMESPACE}/configmaps`;

test("kube-controller-manager collects what belonged to a deleted object, and ends namespaces", async ({ skip }) => {
  const provided = inject("controlPlane");
  skip(!provided.hasControllerManager, "no kube-controller-manager here");
  const api = await attach(provided);
  const create = async (path: string, body: object): Promise<{ metadata: { uid: string } }> => {
    const answer = await api.request("POST", path, { body });
    expect(answer.status).toBe(201);
    return answer.body as { metadata: { uid: string } };
  };
  const statusOf = async (path: string): Promise<number> => (await api.request("GET", path)).status;
  const meta = { apiVersion: "v1", kind: "ConfigMap" };

  await create("/api/v1/namespaces", { apiVersion: "v1", kind: "Namespace", metadata: { name: NAMESPACE } });
  const owner = await create(CONFIG_MAPS, { ...meta, metadata: { name: "owner" } });
  const ownerReferences = [{ ...meta, name: "owner", uid: owner.metadata.uid }];
  await create(CONFIG_MAPS, { ...meta, metadata: { name: "owned", ownerReferences } });
  await api.request("DELETE", `${CONFIG_MAPS}/owner`);
  await expect.poll(async () => statusOf(`${CONFIG_MAPS}/owned`), { timeout: 60_000 }).toBe(404);

  await api.request("DELETE", `/api/v1/namespaces/${NAMESPACE}`);
  await expect.poll(async () => statusOf(`/api/v1/namespaces/${NAMESPACE}`), { timeout: 60_000 }).toBe(404);
});
