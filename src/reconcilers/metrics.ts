/** Metrics of what the operator does for its users, beside the machinery's own. */
import { METRICS } from "../controller/metric-names.ts";
import type { Metrics } from "../controller/metrics.ts";

/** Where reconcilers count; no-ops in unit tests. */
export interface ReconcilerMetrics {
  /** drayage_operations_total{type}: journalled operations that were opened. */
  operationOpened(type: string): void;
  /** drayage_orphans_total{kind}: objects let go of although their container may still exist. */
  orphaned(kind: "EdgeContainer" | "EdgeDevice" | "EdgeBackend" | "EdgeRegistry" | "EdgeStack"): void;
  /**
   * drayage_rental_start_time_seconds{namespace,container} and, when a rental ends, drayage_rented_seconds_total{namespace}.
   *
   * @param sinceMs since when something is rented, ms since the epoch; undefined: nothing is.
   */
  rented(namespace: string, container: string, sinceMs: number | undefined, nowMs: number): void;
  /** drayage_unmanaged_ours{namespace,device}: containers with our marker for which there is no object. */
  unmanagedOurs(namespace: string, device: string, count: number): void;
  /** drayage_device_connected{namespace,device}: 1 while Connected or Busy. */
  deviceConnected(namespace: string, device: string, connected: boolean): void;
  /** Forgets a device's series. */
  deviceGone(namespace: string, device: string): void;
}

/** Counts in the process's registry. */
export function reconcilerMetrics(metrics: Metrics): ReconcilerMetrics {
  const operations = metrics.counter(METRICS.operations);
  for (const type of ["Create", "Recreate", "Swap", "Restart", "CreateStack"]) operations.inc({ type }, 0);
  const orphans = metrics.counter(METRICS.orphans);
  for (const kind of ["EdgeContainer", "EdgeDevice", "EdgeBackend", "EdgeRegistry", "EdgeStack"])
    orphans.inc({ kind }, 0);
  const rentalStart = metrics.gauge(METRICS.rentalStart);
  const rentedSeconds = metrics.counter(METRICS.rentedSeconds);
  /** Since when, by container. */
  const rentals = new Map<string, number>();
  const unmanaged = metrics.gauge(METRICS.unmanagedOurs);
  const connected = metrics.gauge(METRICS.deviceConnected);
  return {
    operationOpened: (type) => operations.inc({ type }),
    orphaned: (kind) => orphans.inc({ kind }),
    rented: (namespace, container, sinceMs, nowMs) => {
      const key = `${namespace}/${container}`;
      const before = rentals.get(key);
      if (before === sinceMs) return;
      if (before !== undefined) rentedSeconds.inc({ namespace }, Math.max(0, nowMs - before) / 1000);
      if (sinceMs === undefined) {
        rentals.delete(key);
        rentalStart.remove({ namespace, container });
        return;
      }
      rentals.set(key, sinceMs);
      rentalStart.set({ namespace, container }, sinceMs / 1000);
    },
    unmanagedOurs: (namespace, device, count) => unmanaged.set({ namespace, device }, count),
    deviceConnected: (namespace, device, isConnected) => connected.set({ namespace, device }, isConnected ? 1 : 0),
    deviceGone: (namespace, device) => {
      unmanaged.remove({ namespace, device });
      connected.remove({ namespace, device });
    },
  };
}
