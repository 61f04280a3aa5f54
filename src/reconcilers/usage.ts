/**
 * Metrics of containers: what devices report (backends/contract.ts, `usage`) under the names of the EdgeContainers. Read when somebody
 * scrapes, from what is there then: a series ends with its container, its device, its opt-in or its last report, without bookkeeping.
 *
 * How many series there are is bounded: eight for each container, for so many containers of one device and of all, the first by name.
 * Containers without an EdgeContainer are not exported, since a device could invent any number of them.
 */
import type { ContainerUsage } from "../backends/contract.ts";
import { METRICS } from "../controller/metric-names.ts";
import type { Metrics } from "../controller/metrics.ts";
import { keyString } from "../kube/resource.ts";
import type { ObjectKey } from "../kube/types.ts";
import type { Accounts } from "./accounts.ts";
import { BY_DEVICE, type Stores } from "./stores.ts";

/** Containers of one device whose figures are exported. */
export const MOST_PER_DEVICE = 100;
/** Containers of all devices whose figures are exported. */
export const MOST_IN_TOTAL = 5_000;

/** What the EdgeContainers of one device use. */
export interface DeviceUsage {
  readonly device: ObjectKey;
  /** By name of the EdgeContainer. */
  readonly containers: ReadonlyMap<string, ContainerUsage>;
}

/** Puts the names of EdgeContainers to what the devices report. */
export function usageOf(accounts: Accounts, stores: Stores, ownerId: string): DeviceUsage[] {
  return Array.from(accounts.usages(), ({ device, session, usage }) => {
    const objects = stores.containers.byIndex(BY_DEVICE, keyString(device));
    // By marker, for those whose id is not recorded yet.
    const marked = new Map(
      session
        .snapshot()
        .containers.filter(({ marker }) => marker?.owner === ownerId && marker.namespace === device.namespace)
        .map(({ marker, externalId }) => [marker?.name, externalId]),
    );
    const containers = new Map<string, ContainerUsage>();
    for (const { metadata, status } of objects) {
      const figures = usage.get(status?.external?.id ?? "") ?? usage.get(marked.get(metadata.name) ?? "");
      if (figures !== undefined) containers.set(metadata.name, figures);
    }
    return { device, containers };
  });
}

/** Keeps to the limits. Pure. @returns what is exported, in a fixed order, and how many containers each limit leaves out. */
export function withinLimits(
  devices: readonly DeviceUsage[],
  mostPerDevice = MOST_PER_DEVICE,
  mostInTotal = MOST_IN_TOTAL,
): {
  exported: { namespace: string; device: string; container: string; usage: ContainerUsage }[];
  leftOut: { device: number; total: number };
} {
  const ordered = devices.toSorted((a, b) => compare(keyString(a.device), keyString(b.device)));
  const leftOut = { device: 0, total: 0 };
  const exported = [];
  for (const { device, containers } of ordered) {
    const named = [...containers].sort(([a], [b]) => compare(a, b));
    leftOut.device += Math.max(named.length - mostPerDevice, 0);
    for (const [container, usage] of named.slice(0, mostPerDevice)) {
      if (exported.length >= mostInTotal) leftOut.total += 1;
      else exported.push({ namespace: device.namespace, device: device.name, container, usage });
    }
  }
  return { exported, leftOut };
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

const GAUGES = [
  [METRICS.containerCpuRatio, "cpuRatio"],
  [METRICS.containerMemoryUsed, "memoryUsedBytes"],
  [METRICS.containerMemoryLimit, "memoryLimitBytes"],
  [METRICS.containerPids, "pids"],
] as const;

/** Counted by the device from the container's start: Prometheus takes a smaller value for a restart, as it should. */
const COUNTERS = [
  [METRICS.containerIoRead, "ioReadBytes"],
  [METRICS.containerIoWritten, "ioWrittenBytes"],
  [METRICS.containerNetworkReceived, "networkReceivedBytes"],
  [METRICS.containerNetworkTransmitted, "networkTransmittedBytes"],
] as const;

/** Exports the usage that `read` gives, each time the metrics are read. */
export function exportUsage(metrics: Metrics, read: () => readonly DeviceUsage[]): void {
  const gauges = GAUGES.map(([definition, field]) => ({ gauge: metrics.gauge(definition), field }));
  const counters = COUNTERS.map(([definition, field]) => ({ counter: metrics.counter(definition), field }));
  const leftOutGauge = metrics.gauge(METRICS.containerUsageLeftOut);
  metrics.beforeReading(() => {
    for (const { gauge } of gauges) gauge.reset();
    for (const { counter } of counters) counter.reset();
    const { exported, leftOut } = withinLimits(read());
    for (const { usage, ...labels } of exported) {
      for (const { gauge, field } of gauges) {
        const amount = usage[field];
        if (amount !== undefined) gauge.set(labels, amount);
      }
      for (const { counter, field } of counters) {
        const amount = usage[field];
        if (amount !== undefined) counter.inc(labels, amount);
      }
    }
    leftOutGauge.set({ limit: "device" }, leftOut.device);
    leftOutGauge.set({ limit: "total" }, leftOut.total);
  });
}
