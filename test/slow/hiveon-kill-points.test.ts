/**
 * kill -9 of the operator at every write about a rental. Whatever the moment, never two rentals at a time, one at the end of a creation or update,
 * none that costs after a deletion.
 */
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { startApiProxy, type ApiProxy } from "../support/api-proxy.ts";
import { mostAtOnce, rentalsOf, rentalSpec, startVendor, type Vendor } from "../support/hiveon-world.ts";
import { World } from "../support/world.ts";
import { isReady, killAtEveryWrite, type KillScenario } from "./kill-driver.ts";

let world: World;
let vendor: Vendor;
let api: ApiProxy;

beforeAll(async () => {
  const { kubeconfig } = inject("controlPlane");
  api = await startApiProxy(kubeconfig);
  world = await World.create({
    kubeconfig,
    operatorKubeconfig: api.kubeconfig,
    operatorArgs: ["--leader-elect=false"],
  });
  vendor = await startVendor(world, ["rig-1"]);
});

afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
  await vendor?.[Symbol.asyncDispose]();
  await api?.[Symbol.asyncDispose]();
});

const rent = (name: string) =>
  world.create("edgecontainers", name, rentalSpec("rig-1", { backendOptions: { hiveon: { reRent: "OnSpecChange" } } }));

const running = async (name: string): Promise<void> => {
  await rent(name);
  await world.condition(name, "Ready", "True");
};

/** The machine has room for nine. */
const release = async (name: string): Promise<void> => {
  await world.delete("edgecontainers", name);
  await world.gone("edgecontainers", name);
};

/** @param total rentals that there ever were, and how many of them still cost. */
const booked = (name: string, total: number, live: number): void => {
  const rentals = rentalsOf(vendor.simulator, name);
  const rented = rentals.filter((each) => each.rented);
  expect([mostAtOnce(rentals), rentals.length, rented.length], `at once, in all and still rented, ${name}`).toEqual([
    1,
    total,
    live,
  ]);
};

const writes = { method: "POST" };

const scenarios: KillScenario[] = [
  {
    name: "create",
    leastWrites: 4,
    vendorWrites: writes,
    before: async () => undefined,
    change: rent,
    done: (name) => isReady(world, name),
    judge: (name) => booked(name, 1, 1),
    release,
  },
  {
    name: "update",
    leastWrites: 4,
    vendorWrites: writes,
    before: running,
    change: (name) => world.patch("edgecontainers", name, { spec: { image: "registry.example/app:2" } }),
    done: (name) => isReady(world, name),
    judge: (name) => booked(name, 2, 1),
    release,
  },
  {
    name: "delete",
    leastWrites: 2,
    vendorWrites: writes,
    before: running,
    change: (name) => world.delete("edgecontainers", name),
    done: async (name) => (await world.getContainer(name)) === undefined,
    judge: (name) => booked(name, 1, 0),
  },
];

describe.each(scenarios)("kill -9 during $name of a rental", (scenario) => {
  test("at every write to the API server and to the vendor ends as the undisturbed run does", async () => {
    const counts = await killAtEveryWrite({ world, api, vendor: vendor.proxy }, scenario);
    expect([counts.api > 0, counts.vendor > 0]).toEqual([true, true]);
  }, 900_000);
});
