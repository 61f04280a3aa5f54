/**
 * kill -9 of the operator at every write about a container on an ALPON device. ALPON has no id of ours and no idempotency: what was deployed by an
 * operator that died is found again by its name. Whatever the moment: made once, as wanted in the end, gone after a deletion.
 */
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { alponSpec, startAlponVendor, type AlponVendor } from "../support/alpon-world.ts";
import { startApiProxy, type ApiProxy } from "../support/api-proxy.ts";
import { World } from "../support/world.ts";
import { isReady, killAtEveryWrite, type KillScenario } from "./kill-driver.ts";

let world: World;
let vendor: AlponVendor;
let api: ApiProxy;

beforeAll(async () => {
  const { kubeconfig } = inject("controlPlane");
  api = await startApiProxy(kubeconfig);
  world = await World.create({
    kubeconfig,
    operatorKubeconfig: api.kubeconfig,
    operatorArgs: ["--leader-elect=false"],
  });
  vendor = await startAlponVendor(world, ["a1"]);
});

afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
  await vendor?.[Symbol.asyncDispose]();
  await api?.[Symbol.asyncDispose]();
});

const device = () => vendor.simulator.device("a1");
const isOf = (name: string) => (container: { name: string }) => container.name.startsWith(`${name}-`);
const present = (name: string) => [...device().containers.values()].filter(isOf(name));
const made = (name: string) => device().made.filter(isOf(name));
const deploy = (name: string) => world.create("edgecontainers", name, alponSpec("a1"));
const running = async (name: string): Promise<void> => {
  await deploy(name);
  await world.condition(name, "Ready", "True");
};
const release = async (name: string): Promise<void> => {
  await world.delete("edgecontainers", name);
  await world.gone("edgecontainers", name);
};

const scenarios: KillScenario[] = [
  {
    name: "create",
    leastWrites: 4,
    vendorWrites: { method: "POST" },
    before: async () => undefined,
    change: deploy,
    done: (name) => isReady(world, name),
    judge: (name) => {
      expect(present(name)).toHaveLength(1);
      expect(made(name)).toHaveLength(1);
    },
    release,
  },
  {
    name: "update",
    leastWrites: 2,
    vendorWrites: { method: "PATCH" },
    before: running,
    change: (name) => world.patch("edgecontainers", name, { spec: { image: "registry.example/app:2" } }),
    done: (name) => isReady(world, name),
    judge: (name) => {
      expect(present(name)).toMatchObject([{ image: "registry.example/app:2" }]);
      expect(made(name)).toHaveLength(1);
    },
    release,
  },
  {
    name: "delete",
    leastWrites: 2,
    vendorWrites: { method: "DELETE" },
    before: running,
    change: (name) => world.delete("edgecontainers", name),
    done: async (name) => (await world.getContainer(name)) === undefined,
    judge: (name) => {
      expect(present(name)).toEqual([]);
      expect(made(name)).toHaveLength(1);
    },
  },
];

test.each(scenarios)(
  "kill -9 during $name, at every write to the API server and to the vendor, ends as the undisturbed run does",
  async (scenario) => {
    const { api: apiWrites, vendor: vendorWrites } = await killAtEveryWrite(
      { world, api, vendor: vendor.proxy },
      scenario,
    );
    expect(apiWrites).toBeGreaterThan(0);
    expect(vendorWrites).toBeGreaterThan(0);
  },
  900_000,
);
