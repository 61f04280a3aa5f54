/**
 * kill -9 of the operator at every write about a container in a mittwald stack. A service is declared by its name, so a repeated PATCH makes no
 * second one; but a repeated recreate or restart is another interruption. Whatever the moment: made once, as wanted in the end, interrupted no
 * more often than once more, gone after a deletion, and what a human has beside it untouched.
 */
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { serviceSpec, startMittwaldVendor, type MittwaldVendor } from "../support/mittwald-world.ts";
import { startApiProxy, type ApiProxy } from "../support/api-proxy.ts";
import { World } from "../support/world.ts";
import { isReady, killAtEveryWrite, type KillScenario } from "./kill-driver.ts";

let world: World;
let vendor: MittwaldVendor;
let api: ApiProxy;

beforeAll(async () => {
  const { kubeconfig } = inject("controlPlane");
  api = await startApiProxy(kubeconfig);
  world = await World.create({
    kubeconfig,
    operatorKubeconfig: api.kubeconfig,
    operatorArgs: ["--leader-elect=false"],
  });
  vendor = await startMittwaldVendor(world);
  vendor.simulator.human.create(vendor.projectId, "theirs", { image: "x/y:1", volumes: ["pictures:/p"] });
});

afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
  await vendor?.[Symbol.asyncDispose]();
  await api?.[Symbol.asyncDispose]();
});

const service = (name: string) => vendor.simulator.platform.stack(vendor.projectId).containers.get(name);
const counts = (serviceName: string) => vendor.simulator.platform.effects.counts({ serviceName, by: "api" });
const apply = (name: string) =>
  world.create(
    "edgecontainers",
    name,
    serviceSpec({ volumes: [{ volumeName: name, mountPath: "/data" }], deletion: { deleteVolumes: true } }),
  );
const running = async (name: string): Promise<void> => {
  await apply(name);
  await world.condition(name, "Ready", "True");
};
const release = async (name: string): Promise<void> => {
  await world.delete("edgecontainers", name);
  await world.gone("edgecontainers", name);
};

const scenarios: KillScenario[] = [
  {
    name: "create",
    vendorWrites: { method: "PATCH" },
    leastWrites: 3,
    before: async () => undefined,
    change: apply,
    done: (name) => isReady(world, name),
    judge: (name) => {
      expect(service(name)?.status).toBe("running");
      expect(counts(name)).toMatchObject({ created: 1, recreated: 0 });
    },
    release,
  },
  {
    name: "declare",
    vendorWrites: { method: "PATCH" },
    leastWrites: 2,
    before: running,
    change: (name) => world.patch("edgecontainers", name, { spec: { image: "registry.example/app:2" } }),
    done: async (name) => (await isReady(world, name)) && service(name)?.declared.image === "registry.example/app:2",
    judge: (name) => {
      expect(service(name)?.requiresRecreate).toBe(false);
      expect(counts(name)).toMatchObject({ created: 1, recreated: 1 });
    },
    release,
  },
  {
    name: "recreate",
    vendorWrites: { method: "POST" },
    leastWrites: 2,
    before: running,
    change: (name) => world.patch("edgecontainers", name, { spec: { image: "registry.example/app:2" } }),
    done: async (name) => (await isReady(world, name)) && service(name)?.declared.image === "registry.example/app:2",
    judge: (name) => {
      expect(service(name)?.requiresRecreate).toBe(false);
      expect(counts(name)).toMatchObject({ created: 1, recreated: 1 });
    },
    release,
  },
  {
    name: "restart",
    vendorWrites: { method: "POST" },
    leastWrites: 2,
    before: running,
    change: (name) =>
      world.patch("edgecontainers", name, { metadata: { annotations: { "edge.drayage.dev/restartedAt": "now" } } }),
    done: async (name) =>
      (await isReady(world, name)) &&
      (await world.getContainer(name))?.status?.lastHandled?.restart === "now" &&
      (await world.getContainer(name))?.status?.operation === undefined,
    judge: (name) => {
      expect(counts(name)).toMatchObject({ created: 1, recreated: 0, restarted: 1 });
    },
    release,
  },
  {
    name: "delete",
    vendorWrites: { method: "PATCH" },
    leastWrites: 2,
    before: running,
    change: (name) => world.delete("edgecontainers", name),
    done: async (name) => (await world.getContainer(name)) === undefined,
    judge: (name) => {
      expect(service(name)).toBeUndefined();
      expect(counts(name)).toMatchObject({ created: 1 });
      const { volumes } = vendor.simulator.platform.stack(vendor.projectId);
      expect([...volumes.keys()]).toEqual(["pictures"]);
    },
  },
  {
    name: "volumes",
    vendorWrites: { method: "DELETE" },
    leastWrites: 2,
    before: running,
    change: (name) => world.delete("edgecontainers", name),
    done: async (name) => (await world.getContainer(name)) === undefined,
    judge: (name) => {
      expect(service(name)).toBeUndefined();
      expect(counts(name)).toMatchObject({ created: 1 });
      const { volumes } = vendor.simulator.platform.stack(vendor.projectId);
      expect([...volumes.keys()]).toEqual(["pictures"]);
    },
  },
];

test.each(scenarios)(
  "kill -9 during $name, at every write to the API server and to the vendor, ends as the undisturbed run does",
  async (scenario) => {
    await killAtEveryWrite({ world, api, vendor: vendor.proxy }, scenario);
    const theirs = vendor.simulator.platform.effects.list({ serviceName: "theirs", by: "api" });
    expect(theirs).toEqual([]);
  },
  900_000,
);
