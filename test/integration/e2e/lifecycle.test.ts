import { afterEach, beforeEach, describe, expect, inject, test } from "vitest";
import { conditionOf, everCreated, existing, World } from "../../support/world.ts";

let world: World;
beforeEach(async () => {
  world = await World.create({ kubeconfig: inject("controlPlane").kubeconfig });
});
afterEach(async () => world[Symbol.asyncDispose]());

describe("an EdgeContainer", () => {
  test("is created once, runs, and reports it", async () => {
    const site = await world.site("press");
    world.operator();
    await world.container("web", site, { env: [{ name: "A", value: "1" }] });
    const object = await world.condition("web", "Ready", "True", "Running");
    expect(everCreated(site, "web")).toHaveLength(1);
    const [real] = existing(site, "web");
    expect(real?.state).toMatchObject({ status: "RUNNING" });
    expect(real?.config["env"]).toContain("A=1");
    expect(object.status).toMatchObject({
      observedGeneration: object.metadata.generation,
      phase: "Running",
      external: { id: real?.id, name: "web" },
      restartCount: 0,
    });
    expect(object.status?.operation).toBeUndefined();
    expect(conditionOf(object, "Synced")).toMatchObject({ status: "True", reason: "InSync" });
    expect(conditionOf(object, "Accepted")).toMatchObject({ status: "True" });
    expect(conditionOf(object, "Reconciling")).toBeUndefined();
    expect(object.metadata.finalizers).toEqual(["edge.drayage.dev/finalizer"]);
  });

  test("gets a new image with a new container, pulled before the old one stops", async () => {
    const site = await world.site("press");
    world.operator();
    await world.container("web", site);
    await world.condition("web", "Ready", "True");
    const [old] = existing(site, "web");
    await world.patch("edgecontainers", "web", { spec: { image: "registry.example/sleeper:2" } });
    await world.condition("web", "Ready", "True");
    const [now, ...others] = existing(site, "web");
    expect(others).toEqual([]);
    expect(now?.id).not.toBe(old?.id);
    expect(now?.imageRef).toBe("registry.example/sleeper:2");
    expect(everCreated(site, "web")).toHaveLength(2);
    const commands = site.device.commands();
    const create = commands.findLast((command) => command.operation === "createWithConfig");
    const stop = commands.find((command) => command.operation === "stopWithOptions");
    expect(create?.seq).toBeLessThan(stop?.seq ?? 0);
  });

  test("gets new resources and a new restart policy in place, and loses them again when they leave the spec", async () => {
    const site = await world.site("press");
    world.operator();
    await world.container("web", site);
    await world.condition("web", "Ready", "True");
    const [before] = existing(site, "web");
    await world.patch("edgecontainers", "web", {
      spec: { resources: { limits: { memory: "64Mi" } }, restartPolicy: { type: "OnFailure", maxRetries: 3 } },
    });
    await world.until(
      () => (existing(site, "web")[0]?.config["resources"] as { memory?: string } | undefined)?.memory === "64M",
      "memory limit on the device",
    );
    await world.condition("web", "Ready", "True");
    expect(existing(site, "web")[0]).toMatchObject({ id: before?.id });
    expect(existing(site, "web")[0]?.config["restartPolicy"]).toMatchObject({ type: "ON_FAILURE", maxRetryCount: 3 });
    await world.patch("edgecontainers", "web", { spec: { resources: null, restartPolicy: null } });
    await world.until(
      () =>
        (existing(site, "web")[0]?.config["restartPolicy"] as { type?: string } | undefined)?.type === "UNLESS_STOPPED",
      "the backend's own restart policy",
    );
    await world.condition("web", "Ready", "True");
    expect((existing(site, "web")[0]?.config["resources"] as { memory?: string } | undefined)?.memory).toBeUndefined();
    expect(everCreated(site, "web")).toHaveLength(1);
  });

  test("is stopped, paused and run again as desiredState says", async () => {
    const site = await world.site("press");
    world.operator();
    await world.container("web", site, { restartPolicy: { type: "Always" } });
    await world.condition("web", "Ready", "True", "Running");
    await world.patch("edgecontainers", "web", { spec: { desiredState: "Stopped" } });
    await world.condition("web", "Ready", "True", "Stopped");
    expect(existing(site, "web")[0]?.state).toMatchObject({ status: "STOPPED" });
    await world.patch("edgecontainers", "web", { spec: { desiredState: "Paused" } });
    await world.condition("web", "Ready", "True", "Paused");
    expect(existing(site, "web")[0]?.state).toMatchObject({ status: "PAUSED" });
    await world.patch("edgecontainers", "web", { spec: { desiredState: "Stopped" } });
    await world.condition("web", "Ready", "True", "Stopped");
    // A frozen process cannot act on a signal: it is woken before it is told to end.
    const names = site.device.commands().map(({ operation }) => operation);
    expect(names.lastIndexOf("resume")).toBeLessThan(names.lastIndexOf("stopWithOptions"));
    expect(names.lastIndexOf("resume")).toBeGreaterThan(names.lastIndexOf("pause"));
    await world.patch("edgecontainers", "web", { spec: { desiredState: "Running" } });
    const object = await world.condition("web", "Ready", "True", "Running");
    expect(object.status?.phase).toBe("Running");
    expect(existing(site, "web")[0]?.config["restartPolicy"]).toMatchObject({ type: "ALWAYS" });
    expect(everCreated(site, "web")).toHaveLength(1);
  });

  test("is restarted once per new value of restartedAt", async () => {
    const site = await world.site("press");
    world.operator();
    await world.container("web", site, {}, { annotations: { "edge.drayage.dev/restartedAt": "first sight" } });
    await world.condition("web", "Ready", "True");
    expect(existing(site, "web")[0]?.processStarts).toBe(1);
    await world.patch("edgecontainers", "web", {
      metadata: { annotations: { "edge.drayage.dev/restartedAt": "now" } },
    });
    await world.until(() => existing(site, "web")[0]?.processStarts === 2, "a second start");
    await world.until(
      async () => (await world.getContainer("web"))?.status?.lastHandled?.restart === "now",
      "the restart to be handled",
    );
    await world.condition("web", "Ready", "True");
    await world.until(
      async () => (await world.getContainer("web"))?.status?.operation === undefined,
      "a closed journal",
    );
    expect(existing(site, "web")[0]?.processStarts).toBe(2);
    expect(everCreated(site, "web")).toHaveLength(1);
    // What was asked for is no restart in the sense of the count.
    expect((await world.getContainer("web"))?.status?.restartCount).toBe(0);
  });

  test("is left alone while suspended, and still observed", async () => {
    const site = await world.site("press");
    world.operator();
    await world.container("web", site);
    await world.condition("web", "Ready", "True");
    await world.patch("edgecontainers", "web", { spec: { suspend: true, image: "registry.example/sleeper:2" } });
    await world.condition("web", "Suspended", "True");
    await world.condition("web", "Ready", "False", "Progressing");
    const before = site.device.commands().filter((command) => command.operation === "createWithConfig").length;
    await site.device.human.stop(existing(site, "web")[0]?.id ?? "");
    await world.until(
      async () => (await world.getContainer("web"))?.status?.phase === "Stopped",
      "the stop to be observed",
    );
    expect(site.device.commands().filter((command) => command.operation === "createWithConfig")).toHaveLength(before);
    await world.patch("edgecontainers", "web", { spec: { suspend: false } });
    await world.condition("web", "Ready", "True", "Running");
    expect(existing(site, "web").map(({ imageRef }) => imageRef)).toEqual(["registry.example/sleeper:2"]);
  });

  test.each([
    ["Remove", 0, undefined],
    ["Stop", 1, "STOPPED"],
    ["Orphan", 1, "RUNNING"],
  ] as const)("is deleted with policy %s", async (policy, left, status) => {
    const site = await world.site("press");
    world.operator();
    await world.container("web", site, { deletion: { policy } });
    await world.condition("web", "Ready", "True");
    await world.delete("edgecontainers", "web");
    await world.gone("edgecontainers", "web");
    expect(existing(site, "web")).toHaveLength(left);
    if (status !== undefined) expect(existing(site, "web")[0]?.state).toMatchObject({ status });
  });

  test("takes over a container by name only when its adoption policy says so", async () => {
    const site = await world.site("press");
    const id = await site.device.human.create({ name: "web", image: "registry.example/sleeper:1", start: true });
    world.operator();
    await world.container("web", site);
    const waiting = await world.condition("web", "Reconciling", "True", "WaitingForRelease");
    expect(conditionOf(waiting, "Reconciling")?.message).toContain("was not made by Drayage");
    await world.patch("edgecontainers", "web", { spec: { adoption: { policy: "ByName" } } });
    const object = await world.condition("web", "Ready", "True");
    expect(object.status?.external?.id).toBe(id);
    expect(everCreated(site, "web")).toHaveLength(1);
  });

  test("of managementPolicy Observe reports a container and never touches it", async () => {
    const site = await world.site("press");
    const id = await site.device.human.create({ name: "web", image: "registry.example/sleeper:1", start: true });
    world.operator();
    await world.container("web", site, { managementPolicy: "Observe" });
    const object = await world.condition("web", "Ready", "True", "Running");
    expect(object.status?.external?.id).toBe(id);
    await world.delete("edgecontainers", "web");
    await world.gone("edgecontainers", "web");
    expect(existing(site, "web")).toHaveLength(1);
  });

  test("shows drift and mends it, or only shows it", async () => {
    const site = await world.site("press");
    world.operator();
    await world.container("web", site);
    await world.container("db", site, { driftPolicy: "Report" });
    await world.condition("web", "Ready", "True");
    await world.condition("db", "Ready", "True");
    const id = (name: string) => existing(site, name)[0]?.id ?? "";
    await site.device.human.rename(id("db"), "renamed");
    await world.condition("db", "Synced", "False", "Drifted");
    expect((await world.getContainer("db"))?.status?.drift?.fields).toMatchObject([
      { path: "name", observed: "renamed" },
    ]);
    expect(existing(site, "renamed")).toHaveLength(1);
    await site.device.human.rename(id("renamed"), "db");
    await world.condition("db", "Synced", "True", "InSync");
    await site.device.human.stop(id("db"));
    await world.until(
      async () => (await world.getContainer("db"))?.status?.drift?.fields[0]?.path === "desiredState",
      "the stop to be reported",
    );
    expect((await world.getContainer("db"))?.status?.drift?.fields).toMatchObject([
      { desired: "Running", observed: "Stopped" },
    ]);
    expect(existing(site, "db")[0]?.state).toMatchObject({ status: "STOPPED" });
    const web = id("web");
    await site.device.human.rename(web, "mistake");
    await world.until(() => existing(site, "web")[0]?.id === web, "the name to be set right");
  });
});
