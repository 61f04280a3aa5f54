/** The real operator, the real API server and the real device: the main flows, told by the object and by the device's own books. */
import { afterEach, beforeEach, describe, expect, inject, test } from "vitest";
import { startBroker, type TestBroker } from "../mqtt/broker.ts";
import { conditionOf, World } from "../support/world.ts";
import type { BookedContainer } from "./books.ts";
import { Device } from "./device.ts";
import { devicePrograms } from "./programs.ts";

const programs = devicePrograms();
const SITE = { name: "press" };
const MIB = 1024 * 1024;

let world: World;
let broker: TestBroker;
let device: Device;

describe.skipIf(programs.missing)(programs.title, () => {
  beforeEach(async () => {
    world = await World.create({ kubeconfig: inject("controlPlane").kubeconfig });
    broker = await startBroker();
    device = await Device.start({ programs: programs.get(), brokerPort: broker.port, slowMs: 3_000 });
    await world.route(SITE.name, broker.url);
  });
  afterEach(async () => {
    await world[Symbol.asyncDispose]();
    await device[Symbol.asyncDispose]();
    await broker.close();
  });

  /** The one container of this name that is there. */
  async function only(name: string): Promise<BookedContainer> {
    const [found, ...others] = (await device.books.containers()).filter((each) => each.name === name);
    expect(others).toEqual([]);
    if (found === undefined) throw new Error(`there is no ${name} on the device`);
    return found;
  }

  async function ever(name: string): Promise<number> {
    return (await device.books.everMade()).filter((each) => each.name === name).length;
  }

  /** Ready for the present generation, and with nothing left to do. */
  async function settled(name: string, reason?: string): Promise<void> {
    await world.condition(name, "Ready", "True", reason);
    await world.until(
      async () => (await world.getContainer(name))?.status?.operation === undefined,
      "a closed journal",
    );
  }

  test("an EdgeContainer is created once, changed in place where that is possible and made anew where not, and removed", async () => {
    world.operator();
    const image = device.image("web");
    const ports = [{ containerPort: 80, hostPort: 8080 }];
    await world.container("web", SITE, { image, ports, env: [{ name: "A", value: "1" }] });
    await settled("web", "Running");
    const first = await only("web");
    expect(first).toMatchObject({ running: true, starts: 1, image });
    expect(first.file.config?.env).toContain("A=1");
    expect(await device.ask(8080)).toBe("web-host");

    await world.patch("edgecontainers", "web", {
      spec: { resources: { limits: { memory: "64Mi" } }, restartPolicy: { type: "OnFailure", maxRetries: 3 } },
    });
    await settled("web");
    expect(await only("web")).toMatchObject({ id: first.id, running: true, starts: 1 });
    expect(device.memoryLimit(first.id)).toBe(64 * MIB);
    expect((await only("web")).file.host_config?.restart_policy).toMatchObject({
      type: "on-failure",
      maximum_retry_count: 3,
    });

    await world.patch("edgecontainers", "web", { spec: { image: device.image("web", "2") } });
    await settled("web", "Running");
    const second = await only("web");
    expect(second).toMatchObject({ running: true, image: device.image("web", "2") });
    expect(second.id).not.toBe(first.id);
    expect(await ever("web")).toBe(2);
    expect(await device.ask(8080)).toBe("web-host");

    await world.delete("edgecontainers", "web");
    await world.gone("edgecontainers", "web");
    expect(await device.books.containers()).toEqual([]);
    expect(await device.ask(8080)).toBeUndefined();
  });

  test("is stopped, paused and run again as desiredState says, also if its process ignores signals", async () => {
    world.operator();
    await world.container("web", SITE, { image: device.image("stubborn"), restartPolicy: { type: "Always" } });
    await settled("web", "Running");
    for (const [desiredState, shape] of [
      ["Stopped", { running: false, paused: false }],
      ["Paused", { running: true, paused: true }],
      ["Stopped", { running: false, paused: false }],
      ["Running", { running: true, paused: false }],
    ] as const) {
      await world.patch("edgecontainers", "web", { spec: { desiredState } });
      await settled("web", desiredState);
      expect(await only("web")).toMatchObject(shape);
    }
    expect(await ever("web")).toBe(1);
    expect((await only("web")).file.host_config?.restart_policy?.type).toBe("always");
  });

  test("a container that crashes is CrashLoopBackOff, with no more restarts than there were, and can be removed", async () => {
    world.operator();
    await world.container("bad", SITE, { image: device.image("crasher"), restartPolicy: { type: "Always" } });
    const { status } = await world.condition("bad", "Ready", "False", "CrashLoopBackOff");
    const real = await only("bad");
    expect(status).toMatchObject({ phase: "CrashLoopBackOff", lastState: { terminated: { exitCode: 3 } } });
    expect(status?.restartCount).toBeGreaterThanOrEqual(1);
    expect(status?.restartCount).toBeLessThan(real.starts);
    expect(new Set(real.exits)).toEqual(new Set([3]));
    await world.delete("edgecontainers", "bad");
    await world.gone("edgecontainers", "bad");
    expect(await device.books.containers()).toEqual([]);
  });

  test("a container that ends by itself is Completed, one that takes too much memory is Failed and OOMKilled", async () => {
    world.operator();
    const restartPolicy = { type: "No" as const };
    await world.container("good", SITE, { image: device.image("oneshot"), restartPolicy });
    await world.container("hungry", SITE, {
      image: device.image("hungry"),
      restartPolicy,
      resources: { limits: { memory: "16Mi" } },
    });
    await world.condition("good", "Ready", "True", "Completed");
    const hungry = await world.condition("hungry", "Ready", "False", "Failed");
    expect(hungry.status?.state?.terminated).toMatchObject({ reason: "OOMKilled", exitCode: 137 });
    expect(await only("hungry")).toMatchObject({ starts: 1, exits: [137] });
  });

  test.each([
    ["is not there", 404],
    ["is refused", 401],
    ["fails in the registry", 500],
  ] as const)("an image that %s backs off, and is pulled once it can be", async (_what, failure) => {
    device.registry.fail("test/sleeper", failure);
    world.operator();
    await world.container("web", SITE, { image: device.image("sleeper") });
    const failing = await world.condition("web", "Ready", "False", "ImagePullBackOff");
    expect(conditionOf(failing, "Reconciling")).toMatchObject({ reason: "BackingOff" });
    device.registry.fail("test/sleeper", undefined);
    await settled("web", "Running");
    expect(await ever("web")).toBe(1);
  });

  test("what people do with kanto-cm is set right, and each container is made no more often than that needs", async () => {
    world.operator();
    await world.container("web", SITE, {
      image: device.image("sleeper"),
      resources: { limits: { memory: "64Mi" } },
    });
    await settled("web", "Running");
    const { id } = await only("web");
    await device.cli("rename", id, "mistake");
    await world.until(async () => (await device.books.containers())[0]?.name === "web", "the name");
    await device.cli("update", "--memory", "128M", "--memory-swap", "256M", id);
    await world.until(() => device.memoryLimit(id) === 64 * MIB, "the memory");
    await device.cli("stop", id);
    await world.until(async () => (await only("web")).starts === 2 && (await only("web")).running, "the start");
    await settled("web", "Running");
    expect(await ever("web")).toBe(1);
    await device.cli("remove", "--force", id);
    await world.until(async () => (await ever("web")) === 2, "another one");
    await settled("web", "Running");
    expect(await only("web")).toMatchObject({ running: true, starts: 1 });
  });

  test("a daemon that is killed finds its container running, and what was wished meanwhile is done", async () => {
    world.operator();
    await world.container("web", SITE, { image: device.image("sleeper") });
    await settled("web", "Running");
    const before = await only("web");
    await device.endDaemon("SIGKILL");
    await world.patch("edgecontainers", "web", { spec: { resources: { limits: { memory: "64Mi" } } } });
    await device.startDaemon();
    await settled("web", "Running");
    expect(await only("web")).toMatchObject({ id: before.id, running: true, starts: 1 });
    expect(device.memoryLimit(before.id)).toBe(64 * MIB);
  });

  test("a daemon that is killed in the middle of a pull makes the container once, after its return", async () => {
    world.operator();
    await world.container("web", SITE, { image: device.image("slow") });
    await world.until(() => device.registry.pulls("test/slow") > 0, "the pull");
    await device.endDaemon("SIGKILL");
    await device.startDaemon();
    await settled("web", "Running");
    expect(await only("web")).toMatchObject({ running: true, starts: 1 });
    expect(await ever("web")).toBe(1);
  });

  test("an operator that is killed in the middle of a pull leaves it to the next, which makes nothing twice", async () => {
    const first = world.operator();
    await world.container("web", SITE, { image: device.image("slow") });
    await world.until(() => device.registry.pulls("test/slow") > 0, "the pull");
    first.kill("SIGKILL");
    world.operator();
    await settled("web", "Running");
    expect(await only("web")).toMatchObject({ running: true, starts: 1 });
    expect(await ever("web")).toBe(1);
  });

  test("containers go on while the broker is away, and are known again when it is back", async () => {
    world.operator();
    await world.container("web", SITE, { image: device.image("sleeper") });
    await settled("web", "Running");
    await broker.pause();
    await world.condition("web", "Ready", "Unknown");
    await broker.resume();
    await settled("web", "Running");
    expect(await only("web")).toMatchObject({ running: true, starts: 1 });
  });
});
