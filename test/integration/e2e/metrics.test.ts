import { afterEach, beforeEach, expect, inject, test } from "vitest";
import { World } from "../../support/world.ts";

let world: World;
beforeEach(async () => {
  world = await World.create({ kubeconfig: inject("controlPlane").kubeconfig });
});
afterEach(async () => world[Symbol.asyncDispose]());

const KANTO = { thingId: "edge:press:edge:containers" };

test("what containers use is exported for as long as their device opts in, under the names of their objects", async () => {
  const site = await world.site("press", {
    device: { kanto: { ...KANTO, metrics: { enabled: true, frequencySeconds: 5 } } },
  });
  const operator = world.operator();
  const labels = (container: string): string =>
    `{namespace="${world.namespace}",device="press",container="${container}"}`;
  const value = (name: string, container = "web") => operator.metric(`drayage_container_${name}${labels(container)}`);

  await world.container("web", site, { name: "on-the-device", resources: { limits: { memory: "64Mi" } } });
  await world.condition("web", "Ready", "True");
  await site.device.human.create({ name: "by-hand", image: "registry.example/sleeper:1" });
  await world.until(async () => (await value("pids")) === 1, "the first figures");
  expect(await value("cpu_utilization_ratio")).toBe(0.0125);
  expect(await value("memory_limit_bytes")).toBe(64 * 1024 ** 2);
  // A report right behind the start has nothing to count yet.
  await world.until(async () => ((await value("network_receive_bytes_total")) ?? 0) > 0, "the first bytes");
  const text = await (await fetch(`${await operator.url("metrics")}/metrics`)).text();
  expect(text).toContain("# TYPE drayage_container_io_read_bytes_total counter");
  // Neither the name on the device nor a container of somebody else.
  expect(text).not.toContain("on-the-device");
  expect(text).not.toContain("by-hand");

  const read = await value("network_receive_bytes_total");
  await world.until(async () => ((await value("network_receive_bytes_total")) ?? 0) > (read ?? 0), "a counter to grow");

  const commands = site.device.commands().length;
  await world.patch("edgedevices", "press", { spec: { kanto: { metrics: { enabled: false } } } });
  await world.until(async () => (await value("pids")) === undefined, "the series to end");
  const operations = () =>
    site.device
      .commands()
      .slice(commands)
      .map(({ operation }) => operation);
  await world.until(() => operations().includes("request"), "the device to be told");

  await world.patch("edgedevices", "press", { spec: { kanto: { metrics: { enabled: true } } } });
  await world.until(async () => (await value("pids")) === 1, "the figures to come back");
  await world.delete("edgecontainers", "web");
  await world.gone("edgecontainers", "web");
  await world.until(async () => (await value("pids")) === undefined, "the series to end with the container");
});
