import { afterEach, beforeEach, describe, expect, inject, test } from "vitest";
import type { EdgeContainerSpec } from "../../../src/crds/edge-container.ts";
import type { Device } from "../../../src/simulators/alpon/index.ts";
import { alponSpec, startAlponVendor, type AlponVendor } from "../../support/alpon-world.ts";
import { conditionOf, World } from "../../support/world.ts";

let world: World;
let vendor: AlponVendor;
let device: Device;
beforeEach(async () => {
  world = await World.create({ kubeconfig: inject("controlPlane").kubeconfig });
  vendor = await startAlponVendor(world, ["a1", "a2"]);
  device = vendor.simulator.device("a1");
});
afterEach(async () => {
  await world[Symbol.asyncDispose]();
  await vendor[Symbol.asyncDispose]();
});

const deploy = (name: string, spec: Partial<EdgeContainerSpec> = {}) =>
  world.create("edgecontainers", name, alponSpec("a1", spec));
const books = () => [...device.containers.values()];
const madeOf = (name: string) => device.made.filter((each) => each.name.startsWith(`${name}-`));
const requests = (kind: string) => vendor.simulator.requests().filter((each) => each.kind === kind);

describe("a container", () => {
  test("is deployed with progress, updated in place, stopped, started, restarted and deleted", async () => {
    world.operator();
    await deploy("web", {
      image: "registry.example/slow:1",
      env: [{ name: "A", value: "1" }],
      ports: [{ containerPort: 80, hostPort: 30_080 }],
      volumes: [{ hostPath: "/data", mountPath: "/srv" }],
    });
    await world.until(async () => {
      const object = await world.getContainer("web");
      return (
        object?.status?.progress?.stage === "Downloading" &&
        conditionOf(object, "Reconciling")?.reason === "PullingImage" &&
        object.status.phase === "Pulling"
      );
    }, "the progress");
    const ready = await world.condition("web", "Ready", "True", "Running");
    expect(ready.status).not.toHaveProperty("progress");
    expect(ready.status).not.toHaveProperty("operation");
    expect(conditionOf(ready, "Synced")?.status).toBe("True");
    const [container] = books();
    expect(container?.name).toMatch(/^web-[0-9a-f]{8}$/);
    expect(container).toMatchObject({
      image: "registry.example/slow:1",
      environments: { A: "1" },
      ports: [{ host: 30_080, container: 80 }],
      volumes: [{ host: "/data", container: "/srv" }],
    });
    expect(ready.status?.external?.id).toBe(container?.name);

    await world.patch("edgecontainers", "web", { spec: { image: "registry.example/app:2", ports: null } });
    await world.until(() => books()[0]?.image === "registry.example/app:2", "the update");
    await world.condition("web", "Ready", "True", "Running");
    expect(books()).toMatchObject([{ ports: [], environments: { A: "1" } }]);
    expect(device.made).toHaveLength(1);

    await world.patch("edgecontainers", "web", { spec: { desiredState: "Stopped" } });
    const stopped = await world.condition("web", "Ready", "True", "Stopped");
    expect(conditionOf(stopped, "Synced")).toMatchObject({ status: "True", reason: "InSync" });
    expect(books()).toEqual([]);
    await world.patch("edgecontainers", "web", { spec: { desiredState: "Running" } });
    await world.condition("web", "Ready", "True", "Running");
    expect(books()).toHaveLength(1);
    await world.patch("edgecontainers", "web", {
      metadata: { annotations: { "edge.drayage.dev/restartedAt": "now" } },
    });
    await world.until(() => madeOf("web").length === 3 && books().length === 1, "the restart");
    await world.condition("web", "Ready", "True", "Running");
    expect(madeOf("web")).toHaveLength(3);

    await world.delete("edgecontainers", "web");
    await world.gone("edgecontainers", "web");
    expect(books()).toEqual([]);
  });

  test("that the vendor cannot run as asked is refused with field and fix, and nothing is sent", async () => {
    world.operator();
    await deploy("web", { ports: [{ containerPort: 80, hostPort: 8080 }], desiredState: "Paused" });
    const object = await world.condition("web", "Stalled", "True");
    expect(conditionOf(object, "Stalled")?.message).toMatch(
      /desiredState: .*use Running or Stopped.*ports\[0\]\.hostPort: .*30000 to 32767/,
    );
    expect(requests("deploy")).toEqual([]);
  });

  test("moves to another name by leaving the old one first, since its port would be in the way", async () => {
    world.operator();
    await deploy("web", { ports: [{ containerPort: 80, hostPort: 30_080 }] });
    await world.condition("web", "Ready", "True", "Running");
    await world.patch("edgecontainers", "web", { spec: { name: "chosen" } });
    await world.until(() => books().some(({ name }) => name === "chosen"), "the new name");
    await world.condition("web", "Ready", "True", "Running");
    expect(books().map(({ name }) => name)).toEqual(["chosen"]);
  });
});

describe("failures", () => {
  test.each([
    ["private", "ImagePullBackOff", /verify the image name and credentials/],
    ["crashnow", "CrashLoopBackOff", /crashing repeatedly/],
    ["badconfig", "CreateContainerConfigError", /configuration/],
    ["norun", "RunContainerError", /starting the container/],
  ])(
    "of image %s are Ready=False %s in the vendor's words, without another deployment",
    async (image, reason, words) => {
      world.operator();
      await deploy("web", { image: `registry.example/${image}:1` });
      const object = await world.condition("web", "Ready", "False", reason);
      expect(conditionOf(object, "Ready")?.message).toMatch(words);
      await world.patch("edgecontainers", "web", { spec: { image: "registry.example/app:1" } });
      await world.condition("web", "Ready", "True", "Running");
      expect(device.made).toHaveLength(1);
    },
  );

  test("later show by looking", async () => {
    world.operator();
    await deploy("web", { image: "registry.example/crash:1" });
    const object = await world.condition("web", "Ready", "False", "CrashLoopBackOff");
    expect(object.status?.state?.waiting?.reason).toBe("CrashLoopBackOff");
    expect(device.made).toHaveLength(1);
  });

  test("of a cut stream are looked up: one container", async () => {
    vendor.simulator.fault({ match: "deploy", effect: { kind: "cut", afterEvents: 2, completes: true } });
    world.operator();
    await deploy("web");
    await world.condition("web", "Ready", "True", "Running");
    expect(device.made).toHaveLength(1);
    expect(requests("deploy")).toHaveLength(1);
  });

  test("of the device's reach wait for it", async () => {
    world.operator();
    await deploy("web");
    await world.condition("web", "Ready", "True", "Running");
    device.online = false;
    await world.condition("web", "Ready", "Unknown", "DeviceUnreachable");
    await world.patch("edgecontainers", "web", { spec: { image: "registry.example/app:2" } });
    device.online = true;
    await world.condition("web", "Ready", "True", "Running");
    expect(books()).toMatchObject([{ image: "registry.example/app:2" }]);
  });

  test("of the key stop everything with one probe, until it is rotated", async () => {
    world.operator();
    await deploy("web");
    await world.condition("web", "Ready", "True");
    vendor.simulator.setApiKey("another-key");
    await world.until(
      async () => conditionOf(await world.getBackend("alpon"), "Ready")?.reason === "Unauthorized",
      "the refusal",
    );
    await world.admin.patch(`/api/v1/namespaces/${world.namespace}/secrets/alpon`, {
      stringData: { apiKey: "another-key" },
    });
    await world.until(
      async () => conditionOf(await world.getBackend("alpon"), "Ready")?.status === "True",
      "the new key",
    );
    await world.condition("web", "Ready", "True", "Running");
    expect(device.made).toHaveLength(1);
  });
});

test("an EdgeDevice of an asset that the vendor does not know says so, also where its status told of a refused key", async () => {
  vendor.simulator.setApiKey("another-key");
  world.operator();
  const ready = async (name: string) => conditionOf(await world.getDevice(name), "Ready");
  await world.create("edgedevices", "ghost", { backendRef: { name: "alpon" }, alpon: { assetId: "nobody" } });
  await world.until(async () => (await ready("ghost"))?.reason === "BackendNotReady", "the refusal");
  await world.admin.patch(`/api/v1/namespaces/${world.namespace}/secrets/alpon`, {
    stringData: { apiKey: "another-key" },
  });
  await world.until(async () => (await ready("a1"))?.status === "True", "the new key");
  await world.until(async () => (await ready("ghost"))?.message.includes("knows no such asset") === true, "the asset");
  expect(await ready("ghost")).toMatchObject({ status: "Unknown" });
});

test("an EdgeDevice that tells of a refused key does so no longer than the key is, although nothing answers for the device", async () => {
  vendor.simulator.setApiKey("another-key");
  world.operator();
  const reason = async () => conditionOf(await world.getDevice("a1"), "Ready")?.reason;
  await world.until(async () => (await reason()) === "BackendNotReady", "the refusal");
  vendor.simulator.fault({ match: "list", effect: { kind: "answer", when: "before", status: 500 }, times: 1_000 });
  await world.admin.patch(`/api/v1/namespaces/${world.namespace}/secrets/alpon`, {
    stringData: { apiKey: "another-key" },
  });
  await world.until(async () => (await reason()) === "Progressing", "a status that is true");
});

test("an account that cannot list says RunningUnverified, and deletes all the same", async () => {
  vendor.simulator.quirks.unlistable = 403;
  const first = world.operator("--leader-elect=false");
  await deploy("web");
  const object = await world.condition("web", "Ready", "True", "RunningUnverified");
  expect(conditionOf(object, "Synced")).toMatchObject({ status: "Unknown", reason: "ObserveUnsupported" });
  first.kill("SIGKILL");
  await first.exit;
  world.operator("--leader-elect=false");
  await world.patch("edgecontainers", "web", { spec: { image: "registry.example/app:2" } });
  await world.until(() => books()[0]?.image === "registry.example/app:2", "the update");
  await world.condition("web", "Ready", "True", "RunningUnverified");
  await world.delete("edgecontainers", "web");
  await world.gone("edgecontainers", "web");
  expect(books()).toEqual([]);
  expect(device.made).toHaveLength(1);
});

test("an account that cannot list still removes, later and by another process, what was deleted while the device was away", async () => {
  vendor.simulator.quirks.unlistable = 403;
  const first = world.operator("--leader-elect=false");
  await deploy("web", { deletion: { graceSeconds: 1 } });
  await world.condition("web", "Ready", "True", "RunningUnverified");
  device.online = false;
  await world.condition("web", "DeviceReachable", "False", "Offline");
  await world.delete("edgecontainers", "web");
  await world.gone("edgecontainers", "web");
  first.kill("SIGKILL");
  await first.exit;
  expect((await world.getDevice("a1"))?.status?.pendingRemovals).toHaveLength(1);
  expect(books()).toHaveLength(1);
  device.online = true;
  world.operator("--leader-elect=false");
  await world.until(
    async () => ((await world.getDevice("a1"))?.status?.pendingRemovals ?? []).length === 0,
    "the removal",
  );
  expect(books()).toEqual([]);
});

test("--read-only looks and changes nothing", async () => {
  world.operator("--read-only");
  await deploy("web");
  await world.condition("web", "Suspended", "True");
  await world.until(async () => conditionOf(await world.getDevice("a1"), "Ready")?.status === "True", "the device");
  expect(vendor.simulator.requests().filter(({ method }) => method !== "GET")).toEqual([]);
});

describe("kill -9 of the operator", () => {
  test.each(["before", "after"] as const)(
    "%s each write of create, update and delete: one container, and none in the end",
    async (when) => {
      const step = async (kind: string, ask: () => Promise<void>, holds: () => Promise<boolean>): Promise<void> => {
        const method = { deploy: "POST", update: "PATCH", delete: "DELETE" }[kind] ?? "";
        const operator = world.operator("--leader-elect=false");
        const rule = vendor.proxy.on({
          match: { method },
          fault: when === "before" ? { do: "hold" } : { do: "swallow" },
        });
        const before = requests(kind).length;
        await ask();
        await world.until(() => rule.hits > 0, `the request to ${kind}`);
        if (when === "after") await world.until(() => requests(kind).length > before, "its effect");
        operator.kill("SIGKILL");
        await operator.exit;
        rule.remove();
        const next = world.operator("--leader-elect=false");
        await world.until(holds, `the end of ${kind}`);
        next.kill("SIGKILL");
        await next.exit;
      };
      const isReady = async () => {
        const object = await world.getContainer("web");
        const ready = conditionOf(object, "Ready");
        return ready?.status === "True" && ready.observedGeneration === object?.metadata.generation;
      };
      await step("deploy", () => deploy("web"), isReady);
      expect(device.made).toHaveLength(1);
      await step(
        "update",
        () => world.patch("edgecontainers", "web", { spec: { image: "registry.example/app:2" } }),
        isReady,
      );
      expect(books()).toMatchObject([{ image: "registry.example/app:2" }]);
      await step(
        "delete",
        () => world.delete("edgecontainers", "web"),
        async () => (await world.getContainer("web")) === undefined,
      );
      expect(books()).toEqual([]);
      expect(device.made).toHaveLength(1);
    },
  );
});
