/**
 * kill -9 of the operator at every write: before each request reaches the API server or the broker, and after it took effect
 * but before the operator hears of it. Whatever the moment, the next process must end with exactly one right container (or
 * none), and no create may have happened twice. The faults come from proxies; the operator has no hooks.
 */
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { startApiProxy, type ApiProxy } from "../support/api-proxy.ts";
import { startMqttFaultProxy, type MqttFaultProxy } from "../faults/mqtt-proxy.ts";
import { conditionOf, everCreated, existing, World, type Site } from "../support/world.ts";

let world: World;
let site: Site;
let api: ApiProxy;
let mqtt: MqttFaultProxy;

beforeAll(async () => {
  const { kubeconfig } = inject("controlPlane");
  api = await startApiProxy(kubeconfig);
  world = await World.create({
    kubeconfig,
    operatorKubeconfig: api.kubeconfig,
    operatorArgs: ["--leader-elect=false"],
  });
  // The device is on the broker itself, the operator goes through the proxy.
  site = await world.site("press", {
    throughProxy: async (port) => (mqtt = await startMqttFaultProxy({ upstreamPort: port })).port,
  });
});

afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
  await mqtt?.close();
  await api?.[Symbol.asyncDispose]();
});

/** Writes that concern the object, as the API server sees them. Events and leases are no part of the story. */
const API_WRITE = /\/edgecontainers\//;
/** Commands; probes and announcements change nothing. */
const COMMAND = /^command\/\/.*\/req\/.*\/(?!drayage)/;

interface Scenario {
  name: string;
  /** Brings the object into the state before; runs undisturbed. */
  before(container: string): Promise<void>;
  /** What the user does. */
  change(container: string): Promise<void>;
  /** Waits for the end, and judges it. */
  after(container: string): Promise<void>;
  /** Whether the end is reached, at a glance. */
  done(container: string): Promise<boolean>;
}

const isReady = async (name: string): Promise<boolean> => {
  const object = await world.getContainer(name);
  const ready = conditionOf(object, "Ready");
  return ready?.status === "True" && ready.observedGeneration === object?.metadata.generation;
};

const scenarios: Scenario[] = [
  {
    name: "create",
    before: async () => undefined,
    change: (name) => world.container(name, site),
    done: isReady,
    after: async (name) => {
      await world.condition(name, "Ready", "True", "Running");
      expect(existing(site, name)).toMatchObject([{ state: { status: "RUNNING" } }]);
      expect(everCreated(site, name)).toHaveLength(1);
    },
  },
  {
    name: "update",
    before: async (name) => {
      await world.container(name, site);
      await world.condition(name, "Ready", "True");
    },
    change: (name) => world.patch("edgecontainers", name, { spec: { image: "registry.example/sleeper:2" } }),
    done: isReady,
    after: async (name) => {
      await world.condition(name, "Ready", "True", "Running");
      expect(existing(site, name)).toMatchObject([
        { imageRef: "registry.example/sleeper:2", state: { status: "RUNNING" } },
      ]);
      expect(everCreated(site, name)).toHaveLength(2);
    },
  },
  {
    name: "swap",
    before: async (name) => {
      await world.container(name, site, {
        restartPolicy: { type: "Always" },
        updateStrategy: { type: "Swap", minReadySeconds: 1 },
      });
      await world.condition(name, "Ready", "True");
    },
    change: (name) => world.patch("edgecontainers", name, { spec: { image: "registry.example/sleeper:2" } }),
    done: isReady,
    after: async (name) => {
      await world.condition(name, "Ready", "True", "Running");
      expect(existing(site, name)).toMatchObject([
        {
          imageRef: "registry.example/sleeper:2",
          state: { status: "RUNNING" },
          config: { restartPolicy: { type: "ALWAYS" } },
        },
      ]);
      expect(everCreated(site, name)).toHaveLength(2);
    },
  },
  {
    name: "roll-back",
    before: async (name) => {
      await world.container(name, site, {
        restartPolicy: { type: "Always" },
        updateStrategy: { type: "Swap", minReadySeconds: 1 },
      });
      await world.condition(name, "Ready", "True");
    },
    change: (name) => world.patch("edgecontainers", name, { spec: { image: "registry.example/nocommand:1" } }),
    done: async (name) => conditionOf(await world.getContainer(name), "Stalled")?.reason === "RolledBack",
    after: async (name) => {
      await world.condition(name, "Stalled", "True", "RolledBack");
      expect(existing(site, name)).toMatchObject([
        {
          imageRef: "registry.example/sleeper:1",
          state: { status: "RUNNING" },
          config: { restartPolicy: { type: "ALWAYS" } },
        },
      ]);
      expect(everCreated(site, name)).toHaveLength(2);
    },
  },
  {
    name: "delete",
    before: async (name) => {
      await world.container(name, site);
      await world.condition(name, "Ready", "True");
    },
    change: (name) => world.delete("edgecontainers", name),
    done: async (name) => (await world.getContainer(name)) === undefined,
    after: async (name) => {
      await world.gone("edgecontainers", name);
      expect(existing(site, name)).toEqual([]);
      expect(everCreated(site, name)).toHaveLength(1);
    },
  },
];

/** How many writes the undisturbed run makes, so that every one of them is a kill point. */
async function countWrites(scenario: Scenario, name: string): Promise<{ api: number; mqtt: number }> {
  await using operator = world.operator();
  await scenario.before(name);
  const apiBefore = writes().length;
  const mqttBefore = commands().length;
  await scenario.change(name);
  await scenario.after(name);
  const counted = { api: writes().length - apiBefore, mqtt: commands().length - mqttBefore };
  operator.kill("SIGKILL");
  await operator.exit;
  return counted;
}

const writes = () => api.proxy.requests({ path: API_WRITE }).filter(({ method }) => method === "PATCH");
const commands = () => mqtt.packets({ direction: "toBroker", type: "PUBLISH", topic: COMMAND });

/** So that a test that is tried again finds no object of the first try. */
let tries = 0;

describe.each(scenarios)("kill -9 during $name", (scenario) => {
  test("at every write to the API server and every command leaves exactly what was asked for", async () => {
    const prefix = `${scenario.name}-${++tries}`;
    const counts = await countWrites(scenario, `${prefix}-0`);
    // A deletion that takes a moment is one write: the finalizer's.
    expect(counts.api).toBeGreaterThan(0);
    expect(counts.mqtt).toBeGreaterThan(1);
    let point = 0;
    let kills = 0;
    for (const [kind, count] of [
      ["api", counts.api],
      ["mqtt", counts.mqtt],
    ] as const)
      for (let k = 0; k < count; k++)
        for (const when of ["before", "after"] as const) {
          const name = `${prefix}-${++point}`;
          if (await killAt(scenario, name, kind, k, when)) kills++;
        }
    // Some writes come only sometimes: what is under way is told only if it takes long.
    expect(kills).toBeGreaterThanOrEqual(counts.api + counts.mqtt);
  }, 900_000);
});

async function killAt(
  scenario: Scenario,
  name: string,
  kind: "api" | "mqtt",
  k: number,
  when: "before" | "after",
): Promise<boolean> {
  {
    await using operator = world.operator();
    await scenario.before(name);
    const rule =
      kind === "api"
        ? api.proxy.on({
            match: { method: "PATCH", path: new RegExp(`/edgecontainers/${name}(/|\\?|$)`) },
            skip: k,
            ...(when === "before" ? { fault: { do: "hold" } } : { fault: { do: "swallow" } }),
          } as never)
        : mqtt.on({
            match: { direction: "toBroker", type: "PUBLISH", topic: COMMAND },
            skip: k,
            fault: when === "before" ? "hold" : "drop-ack",
          });
    await scenario.change(name);
    // Small coalesced writes come or not: a point that this run has none of ends undisturbed.
    await world.until(async () => rule.hits > 0 || (await scenario.done(name)), `kill point ${kind} ${k} of ${name}`);
    const killed = rule.hits > 0;
    if (killed && when === "after" && kind === "api")
      // The server must have answered before the operator dies, or this is the other case.
      await world.until(() => writes().some((seen) => seen.forwarded), "the write to be forwarded");
    operator.kill("SIGKILL");
    await operator.exit;
    rule.remove();
    if (!killed) {
      await scenario.after(name);
      return false;
    }
  }
  await using operator = world.operator();
  try {
    await scenario.after(name);
  } catch (error) {
    throw new Error(`killed ${when} ${kind} write ${k} (${name})`, { cause: error });
  }
  operator.kill("SIGKILL");
  await operator.exit;
  return true;
}
