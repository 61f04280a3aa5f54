/** Metrics of what the operator does for its users, beside the machinery's own. */

/** Where reconcilers count; made in index.ts over the process's registry, no-ops in unit tests. */
export interface ReconcilerMetrics {
  /** drayage_operations_total{type}: journalled operations that were opened. */
  operationOpened(type: string): void;
  /** drayage_orphans_total{kind}: objects let go of although their container may still exist. */
  orphaned(kind: "EdgeContainer" | "EdgeDevice" | "EdgeBackend"): void;
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
