import fc from "fast-check";
import { expect, test } from "vitest";
import type { ContainerUsage } from "../../../src/backends/contract.ts";
import { Metrics } from "../../../src/controller/metrics.ts";
import { exportUsage, withinLimits, type DeviceUsage } from "../../../src/reconcilers/usage.ts";

function device(name: string, containers: Readonly<Record<string, ContainerUsage>>): DeviceUsage {
  return { device: { namespace: "plant", name }, containers: new Map(Object.entries(containers)) };
}

async function series(metrics: Metrics): Promise<string[]> {
  const { text } = await metrics.expose();
  return text.split("\n").filter((line) => line.startsWith("drayage_container_"));
}

const LEFT_OUT = (perDevice: number, total: number): string[] => [
  `drayage_container_metrics_left_out{limit="device"} ${perDevice}`,
  `drayage_container_metrics_left_out{limit="total"} ${total}`,
];

test("figures have the names and units of Prometheus, and what was not reported has no series", async () => {
  const metrics = new Metrics();
  const usage = {
    cpuRatio: 0.25,
    memoryUsedBytes: 1_048_576,
    memoryLimitBytes: 8_589_934_592,
    ioReadBytes: 1,
    ioWrittenBytes: 2,
    networkReceivedBytes: 3,
    networkTransmittedBytes: 4,
    pids: 5,
  };
  exportUsage(metrics, () => [device("press", { web: usage, db: { pids: 1 } })]);
  const labels = 'namespace="plant",device="press"';
  expect((await series(metrics)).sort()).toEqual([
    `drayage_container_cpu_utilization_ratio{${labels},container="web"} 0.25`,
    `drayage_container_io_read_bytes_total{${labels},container="web"} 1`,
    `drayage_container_io_written_bytes_total{${labels},container="web"} 2`,
    `drayage_container_memory_limit_bytes{${labels},container="web"} 8589934592`,
    `drayage_container_memory_used_bytes{${labels},container="web"} 1048576`,
    ...LEFT_OUT(0, 0),
    `drayage_container_network_receive_bytes_total{${labels},container="web"} 3`,
    `drayage_container_network_transmit_bytes_total{${labels},container="web"} 4`,
    `drayage_container_pids{${labels},container="db"} 1`,
    `drayage_container_pids{${labels},container="web"} 5`,
  ]);
});

test("a series ends with its container, and a counter that the device began anew is smaller", async () => {
  const metrics = new Metrics();
  let now = [device("press", { web: { ioReadBytes: 100 }, db: { pids: 1 } })];
  exportUsage(metrics, () => now);
  await series(metrics);
  now = [device("press", { web: { ioReadBytes: 7 } })];
  expect(await series(metrics)).toEqual(
    [
      ...LEFT_OUT(0, 0),
      'drayage_container_io_read_bytes_total{namespace="plant",device="press",container="web"} 7',
    ].sort((a, b) => (a.includes("left_out") ? 1 : 0) - (b.includes("left_out") ? 1 : 0)),
  );
  now = [];
  expect(await series(metrics)).toEqual(LEFT_OUT(0, 0));
});

test("how many are exported is bounded, the first by name, and the rest is counted", () => {
  const one = { pids: 1 };
  const devices = [device("b", { x: one, y: one }), device("a", { z: one, x: one, y: one })];
  const { exported, leftOut } = withinLimits(devices, 2, 3);
  expect(exported.map((each) => `${each.device}/${each.container}`)).toEqual(["a/x", "a/y", "b/x"]);
  expect(leftOut).toEqual({ device: 1, total: 1 });
});

test("whatever is reported, the bounds hold and nothing is lost without being counted", () => {
  const containers = fc.dictionary(
    fc.string({ minLength: 1, maxLength: 4 }),
    fc.constant<ContainerUsage>({ pids: 1 }),
    { noNullPrototype: true },
  );
  const devices = fc.uniqueArray(fc.tuple(fc.string({ minLength: 1, maxLength: 3 }), containers), {
    selector: ([name]) => name,
  });
  fc.assert(
    fc.property(devices, fc.nat(5), fc.nat(12), (given, perDevice, total) => {
      const fleet = given.map(([name, each]) => device(name, each));
      const { exported, leftOut } = withinLimits(fleet, perDevice, total);
      const all = fleet.reduce((sum, each) => sum + each.containers.size, 0);
      expect(exported.length).toBeLessThanOrEqual(total);
      expect(exported.length + leftOut.device + leftOut.total).toBe(all);
      for (const { device: key } of fleet) {
        expect(exported.filter((each) => each.device === key.name).length).toBeLessThanOrEqual(perDevice);
      }
    }),
  );
});
