/**
 * kill -9 of the operator at every write about a rental: before each request reaches the API server or the vendor, and after it took effect but
 * before the operator hears of it. Whatever the moment, never two rentals at a time, one at the end of a creation or update, none that costs
 * after a deletion. The faults come from proxies; the operator has no hooks.
 */
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { startApiProxy, type ApiProxy } from "../support/api-proxy.ts";
import { mostAtOnce, rentalsOf, rentalSpec, startVendor, type Vendor } from "../support/hiveon-world.ts";
import { conditionOf, World } from "../support/world.ts";

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

const books = (name: string) => rentalsOf(vendor.simulator, name);
const isReady = async (name: string): Promise<boolean> => {
  const object = await world.getContainer(name);
  const ready = conditionOf(object, "Ready");
  return ready?.status === "True" && ready.observedGeneration === object?.metadata.generation;
};
const rent = (name: string) =>
  world.create("edgecontainers", name, rentalSpec("rig-1", { backendOptions: { hiveon: { reRent: "OnSpecChange" } } }));

interface Scenario {
  name: string;
  before(name: string): Promise<void>;
  change(name: string): Promise<void>;
  done(name: string): Promise<boolean>;
  /** Rentals that there ever were, and how many still cost. */
  rentals: number;
  live: number;
}

const running = async (name: string): Promise<void> => {
  await rent(name);
  await world.condition(name, "Ready", "True");
};

const scenarios: Scenario[] = [
  { name: "create", before: async () => undefined, change: rent, done: isReady, rentals: 1, live: 1 },
  {
    name: "update",
    before: running,
    change: (name) => world.patch("edgecontainers", name, { spec: { image: "registry.example/app:2" } }),
    done: isReady,
    rentals: 2,
    live: 1,
  },
  {
    name: "delete",
    before: running,
    change: (name) => world.delete("edgecontainers", name),
    done: async (name) => (await world.getContainer(name)) === undefined,
    rentals: 1,
    live: 0,
  },
];

const apiWrites = () => api.proxy.requests({ path: /\/edgecontainers\// }).filter(({ method }) => method === "PATCH");
const vendorWrites = () => vendor.proxy.requests({ method: "POST" });

async function judge(scenario: Scenario, name: string): Promise<void> {
  await world.until(() => scenario.done(name), `the end of ${name}`);
  expect(mostAtOnce(books(name)), `at once, ${name}`).toBe(1);
  expect(books(name), name).toHaveLength(scenario.rentals);
  expect(
    books(name).filter(({ rented }) => rented),
    name,
  ).toHaveLength(scenario.live);
}

async function countWrites(scenario: Scenario, name: string): Promise<{ api: number; vendor: number }> {
  await using operator = world.operator();
  await scenario.before(name);
  const [apiBefore, vendorBefore] = [apiWrites().length, vendorWrites().length];
  await scenario.change(name);
  await judge(scenario, name);
  const counted = { api: apiWrites().length - apiBefore, vendor: vendorWrites().length - vendorBefore };
  operator.kill("SIGKILL");
  await operator.exit;
  return counted;
}

describe.each(scenarios)("kill -9 during $name of a rental", (scenario) => {
  test("at every write to the API server and to the vendor ends as the undisturbed run does", async () => {
    const counts = await countWrites(scenario, `${scenario.name}-0`);
    expect(counts.api).toBeGreaterThan(0);
    expect(counts.vendor).toBeGreaterThan(0);
    let point = 0;
    let kills = 0;
    for (const kind of ["api", "vendor"] as const)
      for (let k = 0; k < counts[kind]; k++)
        for (const when of ["before", "after"] as const)
          if (await killAt(scenario, `${scenario.name}-${++point}`, kind, k, when)) kills += 1;
    // At most the last two writes to the API server are ones that come only sometimes.
    expect(kills).toBeGreaterThanOrEqual(Math.max(2, 2 * (counts.api + counts.vendor - 2)));
  }, 900_000);
});

async function killAt(
  scenario: Scenario,
  name: string,
  kind: "api" | "vendor",
  k: number,
  when: "before" | "after",
): Promise<boolean> {
  let killed: boolean;
  {
    await using operator = world.operator();
    await scenario.before(name);
    const fault = when === "before" ? ({ do: "hold" } as const) : ({ do: "swallow" } as const);
    const rule =
      kind === "api"
        ? api.proxy.on({
            match: { method: "PATCH", path: new RegExp(`/edgecontainers/${name}(/|\\?|$)`) },
            skip: k,
            fault,
          })
        : vendor.proxy.on({ match: { method: "POST" }, skip: k, fault });
    await scenario.change(name);
    await world.until(async () => rule.hits > 0 || (await scenario.done(name)), `kill point ${kind} ${k} of ${name}`);
    killed = rule.hits > 0;
    if (killed && when === "after") {
      const seen = kind === "api" ? apiWrites : vendorWrites;
      await world.until(() => seen().at(-1)?.forwarded === true, "the write to be carried out");
    }
    operator.kill("SIGKILL");
    await operator.exit;
    rule.remove();
  }
  await using operator = world.operator();
  try {
    await judge(scenario, name);
  } catch (error) {
    throw new Error(`killed ${when} ${kind} write ${k} (${name})`, { cause: error });
  }
  operator.kill("SIGKILL");
  await operator.exit;
  if (scenario.live > 0) await release(name);
  return killed;
}

/** The machine has room for nine. */
async function release(name: string): Promise<void> {
  await using operator = world.operator();
  await world.delete("edgecontainers", name);
  await world.gone("edgecontainers", name);
  operator.kill("SIGKILL");
  await operator.exit;
}
