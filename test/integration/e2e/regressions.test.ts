import { afterEach, beforeEach, expect, inject, test } from "vitest";
import { conditionOf, everCreated, existing, World } from "../../support/world.ts";

let world: World;
beforeEach(async () => {
  world = await World.create({ kubeconfig: inject("controlPlane").kubeconfig });
});
afterEach(async () => world[Symbol.asyncDispose]());

test("an adopted container that needs a new one is replaced, not doubled", async () => {
  const site = await world.site("press");
  const id = await site.device.human.create({ name: "web", image: "registry.example/sleeper:1", start: true });
  world.operator();
  await world.container("web", site, { adoption: { policy: "ByName" } });
  await world.condition("web", "Ready", "True");
  expect((await world.getContainer("web"))?.status?.external?.id).toBe(id);
  await world.patch("edgecontainers", "web", { spec: { image: "registry.example/sleeper:2" } });
  await world.condition("web", "Ready", "True");
  await world.until(() => existing(site).length === 1, "one container");
  expect(existing(site)).toMatchObject([{ imageRef: "registry.example/sleeper:2", state: { status: "RUNNING" } }]);
});

test("what only another spec can mend is not tried again until the spec or the retry annotation changes", async () => {
  const site = await world.site("press");
  world.operator();
  site.device.faults.pullFailure("registry.example/odd:1", { error: "invalid reference format" });
  await world.container("web", site, { image: "registry.example/odd:1" });
  await world.condition("web", "Stalled", "True", "InvalidImageName");
  const creates = () => site.device.commands().filter(({ operation }) => operation === "createWithConfig").length;
  expect(creates()).toBe(1);
  // Anything that wakes the object: the device reconnects, and all is looked at again.
  site.device.faults.disconnect();
  await world.patch("edgecontainers", "web", {
    metadata: { annotations: { "edge.drayage.dev/reconcile-requested-at": "now" } },
  });
  await world.until(
    async () => (await world.getContainer("web"))?.status?.lastHandled?.reconcile === "now",
    "the request to be handled",
  );
  expect(creates()).toBe(1);
  await world.patch("edgecontainers", "web", { metadata: { annotations: { "edge.drayage.dev/retry": "1" } } });
  await world.until(() => creates() === 2, "one more try");
  await world.patch("edgecontainers", "web", { spec: { image: "registry.example/sleeper:1" } });
  await world.condition("web", "Ready", "True");
});

test("a container of ours that was found again is removed with its object", async () => {
  const site = await world.site("press");
  const first = world.operator();
  await world.container("web", site);
  await world.condition("web", "Ready", "True");
  first.kill("SIGKILL");
  await first.exit;
  // The object is lost and made again, as after an emptied etcd.
  await world.patch("edgecontainers", "web", { metadata: { finalizers: null } });
  await world.delete("edgecontainers", "web");
  await world.gone("edgecontainers", "web");
  world.operator();
  await world.container("web", site);
  await world.condition("web", "Ready", "True");
  expect(everCreated(site, "web")).toHaveLength(1);
  await world.delete("edgecontainers", "web");
  await world.gone("edgecontainers", "web");
  expect(existing(site, "web")).toEqual([]);
});

test("a container whose backend object is gone is handed to its device's pending removals, not forgotten", async () => {
  const site = await world.site("press");
  world.operator();
  await world.container("web", site, { deletion: { graceSeconds: 1 } });
  await world.condition("web", "Ready", "True");
  await world.delete("edgebackends", "press");
  await world.patch("edgebackends", "press", { metadata: { finalizers: null } });
  await world.gone("edgebackends", "press");
  await world.delete("edgecontainers", "web");
  await world.gone("edgecontainers", "web");
  expect((await world.getDevice("press"))?.status?.pendingRemovals).toMatchObject([{ name: "web" }]);
  expect(existing(site, "web")).toHaveLength(1);
});

test("a container that was only observed stays its owner's when the object is to manage", async () => {
  const site = await world.site("press");
  const id = await site.device.human.create({ name: "web", image: "registry.example/sleeper:1", start: true });
  world.operator();
  await world.container("web", site, { managementPolicy: "Observe" });
  await world.condition("web", "Ready", "True", "Running");
  await world.patch("edgecontainers", "web", {
    spec: { managementPolicy: "Manage", image: "registry.example/sleeper:2" },
  });
  await world.condition("web", "Reconciling", "True", "WaitingForRelease");
  await world.delete("edgecontainers", "web");
  await world.gone("edgecontainers", "web");
  expect(existing(site)).toMatchObject([{ id, processStarts: 1, state: { status: "RUNNING" } }]);
});

test("a restart of the operator moves no condition of a fleet at rest", async () => {
  const site = await world.site("press");
  const first = world.operator();
  await world.container("web", site);
  await world.condition("web", "Ready", "True");
  first.kill("SIGTERM");
  await first.exit;
  const versions = async () =>
    JSON.stringify([
      (await world.getContainer("web"))?.metadata.resourceVersion,
      (await world.getDevice("press"))?.status?.conditions,
      (await world.getBackend("press"))?.status?.conditions,
    ]);
  const before = await versions();
  const commands = site.device.commands().length;
  world.operator();
  // It has looked when it has asked the device for something, twice over.
  await world.until(() => site.device.commands().length >= commands + 3, "the second operator to look");
  expect(await versions()).toBe(before);
});

test("suspending and resuming an EdgeBackend holds and frees its containers", async () => {
  const site = await world.site("press");
  world.operator();
  await world.container("web", site);
  await world.condition("web", "Ready", "True");
  await world.patch("edgebackends", "press", { spec: { suspend: true } });
  await world.condition("web", "Suspended", "True");
  await world.patch("edgecontainers", "web", { spec: { desiredState: "Stopped" } });
  await world.patch("edgebackends", "press", { spec: { suspend: false } });
  await world.condition("web", "Ready", "True", "Stopped");
});

test("--read-only notices that a device has gone", async () => {
  const site = await world.site("press", { observeIntervalSeconds: 1 });
  world.operator("--read-only");
  await world.until(
    async () => (await world.getDevice("press"))?.status?.connection?.state === "Connected",
    "the device to be connected",
  );
  site.device.faults.offline();
  await world.until(
    async () => (await world.getDevice("press"))?.status?.connection?.state === "Offline",
    "the device to be offline",
  );
});

test("a restart that cannot start gives way to the spec that mends it", async () => {
  const site = await world.site("press");
  world.operator();
  await world.container("web", site, { ports: [{ containerPort: 80, hostPort: 8080 }] });
  await world.condition("web", "Ready", "True");
  site.device.faults.image("registry.example/sleeper:1", { missingCommand: "/entrypoint" });
  await world.patch("edgecontainers", "web", { metadata: { annotations: { "edge.drayage.dev/restartedAt": "now" } } });
  await world.condition("web", "Ready", "False", "RunContainerError");
  await world.patch("edgecontainers", "web", { spec: { image: "registry.example/sleeper:2" } });
  await world.condition("web", "Ready", "True", "Running");
  expect(existing(site)).toMatchObject([{ imageRef: "registry.example/sleeper:2" }]);
});

test("an object that is deleted while its container is being created leaves nothing, and no error", async () => {
  const site = await world.site("press", { pullMs: 1_000 });
  const operator = world.operator();
  await world.container("web", site);
  await world.until(
    () => site.device.commands().some(({ operation }) => operation === "createWithConfig"),
    "the create",
  );
  await world.delete("edgecontainers", "web");
  await world.gone("edgecontainers", "web");
  expect(existing(site)).toEqual([]);
  expect(operator.logs.filter(({ level }) => level === "error")).toEqual([]);
});

test("an EdgeDevice that is deleted and made again under its name has one session", async () => {
  const site = await world.site("press");
  const operator = world.operator();
  await world.until(async () => conditionOf(await world.getDevice("press"), "Ready")?.status === "True", "the device");
  operator.kill("SIGSTOP");
  await world.patch("edgedevices", "press", { metadata: { finalizers: null } });
  await world.delete("edgedevices", "press");
  await world.gone("edgedevices", "press");
  await world.create("edgedevices", "press", {
    backendRef: { name: "press" },
    kanto: { thingId: "edge:press:edge:containers" },
  });
  operator.kill("SIGCONT");
  const next = world.operator();
  await world.until(
    async () => conditionOf(await world.getDevice("press"), "Ready")?.status === "True",
    "the new device",
  );
  await world.container("web", site);
  await world.condition("web", "Ready", "True");
  await world.until(
    async () => (await world.getBackend("press"))?.status?.devices?.total === 1,
    "one device to be counted",
  );
  expect(next.hasEnded).toBe(false);
});
