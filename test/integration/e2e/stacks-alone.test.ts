import { join } from "node:path";
import { expect, test } from "vitest";
import { startControlPlane } from "../../controlplane/index.ts";
import { applyCrds } from "../../controlplane/manifests.ts";
import { existing, World } from "../../support/world.ts";

const CRD = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/edgestacks.edge.drayage.dev";

test(
  "without a garbage collector a stack removes what it has made; when its kind is uninstalled, all stays and is nobody's",
  { timeout: 300_000 },
  async () => {
    await using plane = await startControlPlane({ controllerManager: false });
    const manifests = join(import.meta.dirname, "../../../manifests/crds");
    await applyCrds(plane, manifests);
    await using world = await World.create({ kubeconfig: plane.kubeconfig });
    const site = await world.site("press");
    world.operator("--leader-elect=false");
    const names = ["db", "web"];
    const spec = {
      deviceRef: { name: "press" },
      containers: names.map((name) => ({
        name,
        template: { image: "registry.example/sleeper:1", updateStrategy: { minReadySeconds: 0 } },
      })),
    };
    await world.stack("shop", spec);
    await world.stackCondition("shop", "Ready", "True");
    await world.delete("edgestacks", "shop");
    await world.gone("edgestacks", "shop");
    for (const name of names) expect(await world.getContainer(`shop-${name}`)).toBeUndefined();
    expect(existing(site)).toEqual([]);

    await world.stack("shop", spec);
    await world.stackCondition("shop", "Ready", "True");
    const ids = existing(site).map(({ id }) => id);
    expect((await world.admin.delete(CRD)).status).toBe(200);
    await world.until(async () => (await world.admin.get(CRD)).status === 404, "the kind to be gone");
    for (const name of names) {
      const left = await world.getContainer(`shop-${name}`);
      expect(left?.metadata).not.toHaveProperty("ownerReferences");
      expect(left?.metadata.labels ?? {}).toEqual({});
      expect(left?.metadata.deletionTimestamp).toBeUndefined();
    }
    expect(existing(site).map(({ id }) => id)).toEqual(ids);
    // For the world's own end.
    await applyCrds(plane, manifests);
  },
);
