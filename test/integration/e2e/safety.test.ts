import { readFileSync, writeFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, inject, test } from "vitest";
import { startMqttFaultProxy, type MqttFaultProxy } from "../../faults/mqtt-proxy.ts";
import { applyCrds } from "../../controlplane/manifests.ts";
import { startControlPlane } from "../../controlplane/index.ts";
import { conditionOf, everCreated, existing, World } from "../../support/world.ts";

const COMMAND = /^command\/\/.*\/req\//;
const CREATE = /\/createWithConfig$/;

let world: World;
let mqtt: MqttFaultProxy | undefined;
beforeEach(async () => {
  world = await World.create({ kubeconfig: inject("controlPlane").kubeconfig });
});
afterEach(async () => {
  await world[Symbol.asyncDispose]();
  await mqtt?.close();
  mqtt = undefined;
});

const proxied = () =>
  world.site("press", {
    throughProxy: async (port) => (mqtt = await startMqttFaultProxy({ upstreamPort: port })).port,
  });

describe("a cut between a publish and its acknowledgement", () => {
  test.each(["cut-before", "cut-before-ack", "cut-after", "drop-ack", "drop"] as const)(
    "of a create (%s) ends with one container",
    async (fault) => {
      const site = await proxied();
      world.operator();
      mqtt?.on({ match: { direction: "toBroker", type: "PUBLISH", topic: CREATE }, fault });
      await world.container("web", site);
      await world.condition("web", "Ready", "True", "Running");
      expect(existing(site, "web")).toHaveLength(1);
      expect(everCreated(site, "web")).toHaveLength(1);
    },
  );

  test("of any other command ends in the desired state", async () => {
    const site = await proxied();
    world.operator();
    await world.container("web", site);
    await world.condition("web", "Ready", "True");
    mqtt?.on({ match: { direction: "toBroker", type: "PUBLISH", topic: COMMAND }, times: 2, fault: "cut-before-ack" });
    await world.patch("edgecontainers", "web", { spec: { desiredState: "Stopped" } });
    await world.condition("web", "Ready", "True", "Stopped");
    mqtt?.on({ match: { direction: "toBroker", type: "PUBLISH", topic: COMMAND }, times: 2, fault: "cut-before-ack" });
    await world.delete("edgecontainers", "web");
    await world.gone("edgecontainers", "web");
    expect(existing(site, "web")).toEqual([]);
  });
});

describe("two operators", () => {
  test("hand over when the first is told to end, and make nothing twice", async () => {
    const site = await world.site("press");
    const first = world.operator();
    await world.container("a", site);
    await world.condition("a", "Ready", "True");
    world.operator();
    first.kill("SIGTERM");
    expect(await first.exit).toBe(0);
    await world.container("b", site);
    await world.condition("b", "Ready", "True");
    for (const name of ["a", "b"]) expect(everCreated(site, name)).toHaveLength(1);
  });

  test("never both act: one that was stopped past its lease and goes on again sends nothing", async () => {
    const site = await world.site("press");
    const first = world.operator();
    await world.container("a", site);
    await world.condition("a", "Ready", "True");
    first.kill("SIGSTOP");
    // What the frozen one would do next, the other does.
    await world.container("b", site);
    await world.patch("edgecontainers", "a", { spec: { image: "registry.example/sleeper:2" } });
    world.operator();
    await world.condition("b", "Ready", "True");
    await world.condition("a", "Ready", "True");
    first.kill("SIGCONT");
    expect(await first.exit).not.toBe(0);
    expect(everCreated(site, "a")).toHaveLength(2);
    expect(everCreated(site, "b")).toHaveLength(1);
    expect(existing(site)).toHaveLength(2);
  });
});

test("--read-only observes and reports, and sends nothing that changes anything", async () => {
  const site = await world.site("press");
  await site.device.human.create({ name: "theirs", image: "registry.example/sleeper:1", start: true });
  world.operator("--read-only");
  await world.container("web", site);
  await world.until(
    async () => (await world.getDevice("press"))?.status?.unmanaged?.length === 1,
    "the device to be observed",
  );
  const object = await world.condition("web", "Suspended", "True");
  expect(conditionOf(object, "Suspended")?.message).toContain("--read-only");
  expect(conditionOf(object, "Ready")?.status).toBe("False");
  expect(object.metadata.finalizers ?? []).toEqual([]);
  expect(site.device.commands().filter(({ status }) => status !== 404)).toEqual([]);
  expect(everCreated(site, "web")).toEqual([]);
});

test(
  "an emptied etcd and the same apply with the same --owner-id takes the container over",
  { timeout: 300_000 },
  async () => {
    await using plane = await startControlPlane({ controllerManager: false });
    const manifests = join(import.meta.dirname, "../../../manifests/crds");
    await applyCrds(plane, manifests);
    const directory = mkdtempSync(join(tmpdir(), "drayage-etcd-"));
    const copy = join(directory, "kubeconfig");
    writeFileSync(copy, readFileSync(plane.kubeconfig));
    const old = await World.create({ kubeconfig: copy });
    try {
      const site = await old.site("press");
      const first = old.operator("--leader-elect=false");
      await old.container("web", site);
      await old.condition("web", "Ready", "True");
      const [before] = existing(site, "web");
      first.kill("SIGKILL");
      await first.exit;
      await plane.restartEtcd({ empty: true });
      await applyCrds(plane, manifests);
      await old.restore(site);
      old.operator("--leader-elect=false");
      await old.container("web", site);
      const object = await old.condition("web", "Ready", "True", "Running");
      expect(object.status?.external?.id).toBe(before?.id);
      expect(existing(site, "web")).toMatchObject([{ id: before?.id, processStarts: 1 }]);
      expect(everCreated(site, "web")).toHaveLength(1);
    } finally {
      await old[Symbol.asyncDispose]();
      rmSync(directory, { recursive: true, force: true });
    }
  },
);
