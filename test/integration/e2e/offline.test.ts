import { afterEach, beforeEach, describe, expect, inject, test } from "vitest";
import { conditionOf, everCreated, existing, World } from "../../support/world.ts";

let world: World;
beforeEach(async () => {
  world = await World.create({ kubeconfig: inject("controlPlane").kubeconfig });
});
afterEach(async () => world[Symbol.asyncDispose]());

describe("a device that goes offline", () => {
  test("makes Ready Unknown, keeps the last known state, and gets only the newest generation when it is back", async () => {
    const site = await world.site("press", { observeIntervalSeconds: 1 });
    world.operator();
    await world.container("web", site);
    await world.condition("web", "Ready", "True");
    site.device.faults.offline();
    const away = await world.condition("web", "Ready", "Unknown", "DeviceUnreachable");
    expect(away.status).toMatchObject({ phase: "Unknown", state: { running: {} } });
    expect(conditionOf(away, "Reconciling")).toBeUndefined();
    expect((await world.getDevice("press"))?.status?.connection).toMatchObject({ state: "Offline" });
    const before = everCreated(site, "web").length;
    for (const tag of ["2", "3", "4"])
      await world.patch("edgecontainers", "web", { spec: { image: `registry.example/sleeper:${tag}` } });
    await world.condition("web", "Reconciling", "True", "WaitingForDevice");
    site.device.faults.online();
    await world.condition("web", "Ready", "True", "Running");
    expect(existing(site, "web").map(({ imageRef }) => imageRef)).toEqual(["registry.example/sleeper:4"]);
    expect(everCreated(site, "web")).toHaveLength(before + 1);
  });

  test("lets go of a deleted container after the grace, and removes it when it is back", async () => {
    const site = await world.site("press", { observeIntervalSeconds: 1 });
    world.operator();
    await world.container("web", site, { deletion: { graceSeconds: 1 } });
    await world.condition("web", "Ready", "True");
    site.device.faults.offline();
    await world.condition("web", "Ready", "Unknown");
    await world.delete("edgecontainers", "web");
    await world.gone("edgecontainers", "web");
    expect((await world.getDevice("press"))?.status?.pendingRemovals).toMatchObject([
      { name: "web", policy: "Remove" },
    ]);
    expect(existing(site, "web")).toHaveLength(1);
    site.device.faults.online();
    await world.until(() => existing(site, "web").length === 0, "the container to be removed");
    await world.until(
      async () => (await world.getDevice("press"))?.status?.pendingRemovals === undefined,
      "the pending removal to be done",
    );
  });

  test("keeps a container whose object came back before the device did", async () => {
    const site = await world.site("press", { observeIntervalSeconds: 1 });
    world.operator();
    await world.container("web", site, { deletion: { graceSeconds: 0 } });
    await world.condition("web", "Ready", "True");
    const [before] = existing(site, "web");
    site.device.faults.offline();
    await world.condition("web", "Ready", "Unknown");
    await world.delete("edgecontainers", "web");
    await world.gone("edgecontainers", "web");
    await world.container("web", site, { deletion: { graceSeconds: 0 } });
    site.device.faults.online();
    await world.condition("web", "Ready", "True");
    expect(existing(site, "web").map(({ id }) => id)).toEqual([before?.id]);
    expect(everCreated(site, "web")).toHaveLength(1);
  });

  test("in the middle of a pull makes one container all the same", async () => {
    const site = await world.site("press", { observeIntervalSeconds: 1, pullMs: 1_000 });
    world.operator();
    await world.container("web", site);
    await world.until(
      () => site.device.commands().some((command) => command.operation === "createWithConfig"),
      "the create",
    );
    await site.device.faults.reboot();
    await world.condition("web", "Ready", "True");
    expect(existing(site, "web")).toHaveLength(1);
    expect(everCreated(site, "web")).toHaveLength(1);
  });

  test.each(["reply", "event"] as const)("or loses a %s makes one container all the same", async (lost) => {
    const site = await world.site("press", { observeIntervalSeconds: 1 });
    world.operator();
    if (lost === "reply") site.device.faults.command({ operation: "createWithConfig", effect: { kind: "loseReply" } });
    else site.device.faults.event({ effect: { kind: "drop" }, times: 2 });
    await world.container("web", site);
    await world.condition("web", "Ready", "True");
    expect(existing(site, "web")).toHaveLength(1);
    expect(everCreated(site, "web")).toHaveLength(1);
  });
});

describe("several objects", () => {
  test("of a namespace that is deleted leave nothing on the device", async () => {
    const site = await world.site("press");
    world.operator(`--lease-namespace=default`, `--lease-name=${world.ownerId}`);
    await world.container("a", site);
    await world.container("b", site);
    await world.condition("a", "Ready", "True");
    await world.condition("b", "Ready", "True");
    await world.admin.delete(`/api/v1/namespaces/${world.namespace}`);
    await world.until(
      async () => (await world.admin.get(`/api/v1/namespaces/${world.namespace}`)).status === 404,
      "the namespace to be gone",
    );
    expect(existing(site)).toEqual([]);
  });

  test("for one target: the older EdgeDevice has it, the later one is a DuplicateTarget", async () => {
    const site = await world.site("press");
    world.operator();
    await world.until(
      async () => conditionOf(await world.getDevice("press"), "Ready")?.status === "True",
      "the device",
    );
    await world.create("edgedevices", "twin", {
      backendRef: { name: "press" },
      kanto: { thingId: "edge:press:edge:containers" },
    });
    await world.until(
      async () => conditionOf(await world.getDevice("twin"), "Stalled")?.reason === "DuplicateTarget",
      "DuplicateTarget",
    );
    await world.delete("edgedevices", "press");
    await world.gone("edgedevices", "press");
    await world.until(async () => conditionOf(await world.getDevice("twin"), "Ready")?.status === "True", "the heir");
    expect(existing(site)).toEqual([]);
  });
});
