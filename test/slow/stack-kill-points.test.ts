/**
 * kill -9 of the operator at every write about an EdgeStack with a stack of its own on mittwald. Making that stack is not idempotent and nothing
 * but its description tells whose it is. Whatever the moment: one stack, one service for each container, and after a deletion nothing of it left,
 * and what people have in the project untouched.
 */
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { startHttpFaultProxy, type HttpFaultProxy } from "../faults/http-proxy.ts";
import type { RequestMatch } from "../faults/http-rules.ts";
import { startApiProxy, type ApiProxy } from "../support/api-proxy.ts";
import { startMittwaldVendor, type MittwaldVendor } from "../support/mittwald-world.ts";
import { conditionOf, World } from "../support/world.ts";
import { killAtEveryWrite, type KillScenario } from "./kill-driver.ts";

let world: World;
let vendor: MittwaldVendor;
let proxy: HttpFaultProxy;
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
  proxy = await startHttpFaultProxy({ upstream: vendor.simulator.url });
  await world.patch("edgebackends", "mittwald", { spec: { mittwald: { url: proxy.url } } });
  vendor.simulator.human.create(vendor.projectId, "theirs", { image: "x/y:1", volumes: ["pictures:/p"] });
});

afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
  await proxy?.close();
  await vendor?.[Symbol.asyncDispose]();
  await api?.[Symbol.asyncDispose]();
});

const stacks = (name: string) =>
  vendor.simulator.platform.stacks().filter(({ description }) => description.startsWith(`${name} [drayage-stack:`));
const apply = (name: string) =>
  world.stack(name, {
    deviceRef: { name: "site" },
    containers: [
      {
        name: "db",
        template: {
          image: "registry.example/app:1",
          updateStrategy: { minReadySeconds: 0 },
          backoff: { initialSeconds: 1, maxSeconds: 2 },
          volumes: [{ volumeName: "data", mountPath: "/data" }],
        },
      },
    ],
    deletion: { deleteVolumes: true, graceSeconds: 60 },
  });
const ready = async (name: string): Promise<boolean> => {
  const stack = await world.getStack(name);
  const found = conditionOf(stack, "Ready");
  return found?.status === "True" && found.observedGeneration === stack?.metadata.generation;
};
const remove = (name: string) => world.delete("edgestacks", name);
const running = async (name: string): Promise<void> => {
  await apply(name);
  await world.stackCondition(name, "Ready", "True");
};

/** All about the stack, its EdgeDevice, and the coming and going of its EdgeContainers, whose own writes have kill points of their own. */
const about = (name: string): RequestMatch => ({
  watch: false,
  path: new RegExp(
    `/edgestacks/${name}[/?]|/edgedevices\\?fieldManager|/edgedevices/${name}-stack|/edgecontainers\\?fieldManager|/edgecontainers/${name}-[a-z]+$`,
  ),
});
const none = (): RequestMatch => ({ path: "/none/" });

const gone = async (name: string): Promise<boolean> =>
  (await world.getStack(name)) === undefined && (await world.getDevice(`${name}-stack`)) === undefined;
const judgeGone = (name: string): void => {
  expect(stacks(name)).toEqual([]);
};

const scenarios: KillScenario[] = [
  {
    name: "make",
    leastWrites: 6,
    vendorWrites: { method: "POST" },
    apiWrites: about,
    before: async () => undefined,
    change: apply,
    done: ready,
    judge: (name) => {
      const [own, ...others] = stacks(name);
      expect(others).toEqual([]);
      expect([...(own?.containers.keys() ?? [])]).toEqual(["db"]);
      expect(vendor.simulator.platform.effects.counts({ stackId: own?.id ?? "", by: "api" })).toMatchObject({
        created: 1,
      });
    },
    release: async (name) => {
      await remove(name);
      await world.until(() => gone(name), `${name} to be gone`);
    },
  },
  {
    name: "clear",
    leastWrites: 5,
    vendorWrites: { method: "DELETE" },
    apiWrites: about,
    before: running,
    change: remove,
    done: gone,
    judge: judgeGone,
  },
  {
    name: "empty",
    leastWrites: 1,
    vendorWrites: { method: "PUT" },
    apiWrites: none,
    before: running,
    change: remove,
    done: gone,
    judge: judgeGone,
  },
];

test.each(scenarios)(
  "kill -9 during $name, at every write to the API server and to the vendor, ends as the undisturbed run does",
  async (scenario) => {
    const { api: apiWrites, vendor: vendorWrites } = await killAtEveryWrite({ world, api, vendor: proxy }, scenario);
    if (scenario.apiWrites !== none) expect(apiWrites).toBeGreaterThan(0);
    expect(vendorWrites).toBeGreaterThan(0);
    expect(vendor.simulator.platform.effects.list({ serviceName: "theirs", by: "api" })).toEqual([]);
    expect([...vendor.simulator.platform.stack(vendor.projectId).volumes.keys()]).toEqual(["pictures"]);
  },
  900_000,
);
