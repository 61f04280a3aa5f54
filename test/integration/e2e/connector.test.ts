/** EdgeContainers on devices that are reached through Kanto's suite connector and a broker in the cloud. */
import { afterEach, beforeEach, expect, inject, test } from "vitest";
import { startBroker, type TestBroker } from "../../mqtt/broker.ts";
import { everCreated, existing, World, type Site } from "../../support/world.ts";

let world: World;
let cloud: TestBroker;
beforeEach(async () => {
  world = await World.create({ kubeconfig: inject("controlPlane").kubeconfig });
  cloud = await startBroker();
});
afterEach(async () => {
  await world[Symbol.asyncDispose]();
  await cloud.close();
});

/** The device is there for the operator, and has published nothing yet since the operator listens. */
async function connected(name: string): Promise<void> {
  await world.until(
    async () => (await world.getDevice(name))?.status?.connection?.state === "Connected",
    `${name} to be connected`,
  );
}

/** What an administrator does once: systemctl restart container-management. */
async function restartDaemon({ device }: Site): Promise<void> {
  const before = device.daemonStarts;
  device.faults.crash();
  await world.until(() => device.daemonStarts > before && device.commandsHeard, "the daemon's next start");
}

test("containers of two devices behind one broker in the cloud are made, changed and removed", async () => {
  const [press, mill] = [await world.site("press", { cloud }), await world.site("mill", { cloud })];
  world.operator();
  await world.container("web", press);
  await world.container("tool", mill);
  for (const site of [press, mill]) {
    await connected(site.name);
    await restartDaemon(site);
  }
  await world.condition("web", "Ready", "True", "Running");
  await world.condition("tool", "Ready", "True", "Running");
  await world.patch("edgecontainers", "web", { spec: { image: "registry.example/sleeper:2" } });
  await world.until(
    () => existing(press, "web").some(({ imageRef }) => imageRef === "registry.example/sleeper:2"),
    "the new image",
  );
  await world.condition("web", "Ready", "True", "Running");
  expect(existing(press).map(({ imageRef }) => imageRef)).toEqual(["registry.example/sleeper:2"]);
  expect(everCreated(press, "web")).toHaveLength(2);
  await world.delete("edgecontainers", "web");
  await world.gone("edgecontainers", "web");
  expect(existing(press)).toEqual([]);
  expect(existing(mill, "tool")).toHaveLength(1);
  // Nothing but the connector ever told a device who it is.
  expect(press.broker.messages.filter(({ topic }) => topic === "edge/thing/response").length).toBeGreaterThan(0);
  expect(cloud.messages.some(({ topic }) => topic.startsWith("edge/"))).toBe(false);
});

test("nothing is made before the device has published what it has, and the object says what to do", async () => {
  const site = await world.site("press", { cloud });
  world.operator();
  await world.container("web", site);
  await connected("press");
  await world.until(async () => {
    const { status } = (await world.getDevice("press")) ?? {};
    return JSON.stringify(status?.conditions ?? []).includes("systemctl restart container-management");
  }, "the way out in the device's conditions");
  const waiting = await world.condition("web", "Ready", "Unknown", "DeviceUnreachable");
  expect(JSON.stringify(waiting.status?.conditions)).toContain("systemctl restart container-management");
  expect(everCreated(site, "web")).toEqual([]);
  await restartDaemon(site);
  await world.condition("web", "Ready", "True", "Running");
  expect(everCreated(site, "web")).toHaveLength(1);
});

test("after a restart of the operator nothing is claimed of a container before the device has published it again", async () => {
  const site = await world.site("press", { cloud });
  const first = world.operator();
  await world.container("web", site);
  await connected("press");
  await restartDaemon(site);
  await world.condition("web", "Ready", "True", "Running");
  first.kill("SIGTERM");
  await first.exit;
  world.operator();
  await world.condition("web", "Ready", "Unknown", "DeviceUnreachable");
  await restartDaemon(site);
  await world.condition("web", "Ready", "True", "Running");
  expect(everCreated(site, "web")).toHaveLength(1);
});

test("a device whose connector loses its cloud is unreachable, and gets the newest generation when it is back", async () => {
  const site = await world.site("press", { cloud, observeIntervalSeconds: 1 });
  world.operator();
  await world.container("web", site);
  await connected("press");
  await restartDaemon(site);
  await world.condition("web", "Ready", "True", "Running");
  site.connector?.cutCloud();
  await world.condition("web", "Ready", "Unknown", "DeviceUnreachable");
  for (const tag of ["2", "3"])
    await world.patch("edgecontainers", "web", { spec: { image: `registry.example/sleeper:${tag}` } });
  await world.condition("web", "Reconciling", "True", "WaitingForDevice");
  site.connector?.restoreCloud();
  await world.condition("web", "Ready", "True", "Running");
  expect(existing(site, "web").map(({ imageRef }) => imageRef)).toEqual(["registry.example/sleeper:3"]);
  expect(everCreated(site, "web")).toHaveLength(2);
});
