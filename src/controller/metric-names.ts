/**
 * Every metric that Drayage exports. Names, labels and buckets are part of the API: dashboards and alerts depend on them,
 * so a test freezes this table. Where controller-runtime or client-go has a metric for the same thing, its name and labels
 * are used, so that existing dashboards work (controller-runtime: pkg/internal/controller/metrics, pkg/metrics;
 * client-go: util/workqueue/metrics.go). Everything else begins with `drayage_`. Process and Node.js metrics
 * (`process_*`, `nodejs_*`) come from prom-client under its own names.
 */

/** One metric: what it is called, what it counts and how it is split. */
export interface MetricDefinition {
  readonly name: string;
  readonly kind: "counter" | "gauge" | "histogram";
  readonly help: string;
  readonly labels: readonly string[];
  /** Upper bounds of a histogram's buckets, in seconds. */
  readonly buckets?: readonly number[];
}

/** controller-runtime's buckets for a pass. */
const RECONCILE_BUCKETS = [
  0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.25, 1.5, 1.75, 2,
  2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9, 10, 15, 20, 25, 30, 40, 50, 60,
];

/** Powers of ten from 10 ns, as client-go has them for its queues (exponential, 10 buckets; controller-runtime: 12). */
const QUEUE_BUCKETS = [1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 1, 10, 100, 1000];

/** component-base's buckets for requests to the API server. */
const REQUEST_BUCKETS = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60];

export const METRICS = {
  reconcileTotal: {
    name: "controller_runtime_reconcile_total",
    kind: "counter",
    help: "Passes by controller and by how they ended.",
    labels: ["controller", "result"],
  },
  reconcileErrors: {
    name: "controller_runtime_reconcile_errors_total",
    kind: "counter",
    help: "Passes that ended with an unexpected error, by controller.",
    labels: ["controller"],
  },
  reconcileTerminalErrors: {
    name: "controller_runtime_terminal_reconcile_errors_total",
    kind: "counter",
    help: "Passes that ended with an error that is not retried, by controller.",
    labels: ["controller"],
  },
  reconcilePanics: {
    name: "controller_runtime_reconcile_panics_total",
    kind: "counter",
    help: "Passes that ended with an error which points to a mistake in the program, by controller.",
    labels: ["controller"],
  },
  reconcileTimeouts: {
    name: "controller_runtime_reconcile_timeouts_total",
    kind: "counter",
    help: "Passes that were told to stop because they took too long, by controller.",
    labels: ["controller"],
  },
  reconcileSeconds: {
    name: "controller_runtime_reconcile_time_seconds",
    kind: "histogram",
    help: "Duration of a pass, by controller.",
    labels: ["controller"],
    buckets: RECONCILE_BUCKETS,
  },
  maxConcurrentReconciles: {
    name: "controller_runtime_max_concurrent_reconciles",
    kind: "gauge",
    help: "Most passes at a time, by controller.",
    labels: ["controller"],
  },
  activeWorkers: {
    name: "controller_runtime_active_workers",
    kind: "gauge",
    help: "Passes running now, by controller.",
    labels: ["controller"],
  },
  queueDepth: {
    name: "workqueue_depth",
    kind: "gauge",
    help: "Keys ready to run, by queue and priority.",
    labels: ["name", "controller", "priority"],
  },
  queueAdds: {
    name: "workqueue_adds_total",
    kind: "counter",
    help: "Keys added to the queue; an add of a key that is pending already is not counted.",
    labels: ["name", "controller"],
  },
  queueSeconds: {
    name: "workqueue_queue_duration_seconds",
    kind: "histogram",
    help: "How long a key was ready before a worker took it.",
    labels: ["name", "controller"],
    buckets: QUEUE_BUCKETS,
  },
  workSeconds: {
    name: "workqueue_work_duration_seconds",
    kind: "histogram",
    help: "How long a worker had a key.",
    labels: ["name", "controller"],
    buckets: QUEUE_BUCKETS,
  },
  unfinishedWorkSeconds: {
    name: "workqueue_unfinished_work_seconds",
    kind: "gauge",
    help: "Sum of the running times of the passes that run now; one that grows steadily shows a pass that hangs.",
    labels: ["name", "controller"],
  },
  longestRunningSeconds: {
    name: "workqueue_longest_running_processor_seconds",
    kind: "gauge",
    help: "Running time of the longest of the passes that run now.",
    labels: ["name", "controller"],
  },
  queueRetries: {
    name: "workqueue_retries_total",
    kind: "counter",
    help: "Keys added again by the rate limiter, after an unexpected error.",
    labels: ["name", "controller"],
  },
  restRequests: {
    name: "rest_client_requests_total",
    kind: "counter",
    help: "Requests to the API server, by status code (<error> where there was no answer), method and host.",
    labels: ["code", "method", "host"],
  },
  restSeconds: {
    name: "rest_client_request_duration_seconds",
    kind: "histogram",
    help: "Time to the answer of a request to the API server, by verb and host.",
    labels: ["verb", "host"],
    buckets: REQUEST_BUCKETS,
  },
  leaderStatus: {
    name: "leader_election_master_status",
    kind: "gauge",
    help: "1 while this process holds the lease, else 0.",
    labels: ["name"],
  },
  leaderSlowpath: {
    name: "leader_election_slowpath_total",
    kind: "counter",
    help: "Tries to take or renew the lease that did not go through at once.",
    labels: ["name"],
  },
  buildInfo: {
    name: "drayage_build_info",
    kind: "gauge",
    help: "Always 1; the labels say what runs.",
    labels: ["version", "node"],
  },
  staleCacheSkips: {
    name: "drayage_stale_cache_skips_total",
    kind: "counter",
    help: "Passes put off because the cache had not caught up with our last write to the object, by controller.",
    labels: ["controller"],
  },
  statusWrites: {
    name: "drayage_status_writes_total",
    kind: "counter",
    help: "Status writes sent to the API server, by resource and by how they ended (written, conflict, gone, error).",
    labels: ["resource", "result"],
  },
  statusWritesSaved: {
    name: "drayage_status_writes_saved_total",
    kind: "counter",
    help: "Passes that needed no status write because nothing had changed, by resource.",
    labels: ["resource"],
  },
  cacheSynced: {
    name: "drayage_cache_synced",
    kind: "gauge",
    help: "1 once the cache of a resource holds a complete list, else 0.",
    labels: ["resource"],
  },
  cacheObjects: {
    name: "drayage_cache_objects",
    kind: "gauge",
    help: "Objects in the cache, by resource.",
    labels: ["resource"],
  },
  cacheFailures: {
    name: "drayage_cache_failures_total",
    kind: "counter",
    help: "Lists and watches that failed and were begun again, by resource.",
    labels: ["resource"],
  },
  backendCommands: {
    name: "drayage_backend_commands_total",
    kind: "counter",
    help: "Commands sent to devices, by backend, kind of command and how they ended.",
    labels: ["backend", "kind", "result"],
  },
  backendMalformed: {
    name: "drayage_backend_malformed_total",
    kind: "counter",
    help: "Messages from devices that could not be understood and were dropped, by backend and kind.",
    labels: ["backend", "kind"],
  },
  backendReconnects: {
    name: "drayage_backend_reconnects_total",
    kind: "counter",
    help: "Connections to a backend that were lost and begun again, by backend.",
    labels: ["backend"],
  },
  operations: {
    name: "drayage_operations_total",
    kind: "counter",
    help: "Journalled operations that were opened, by type.",
    labels: ["type"],
  },
  orphans: {
    name: "drayage_orphans_total",
    kind: "counter",
    help: "Objects that were let go although their containers may still exist, by kind.",
    labels: ["kind"],
  },
  rentalStart: {
    name: "drayage_rental_start_time_seconds",
    kind: "gauge",
    help: "Since when something is rented for an EdgeContainer, in seconds since 1970; absent while nothing is.",
    labels: ["namespace", "container"],
  },
  rentedSeconds: {
    name: "drayage_rented_seconds_total",
    kind: "counter",
    help: "Durations of the rentals that have ended while this process watched.",
    labels: ["namespace"],
  },
  unmanagedOurs: {
    name: "drayage_unmanaged_ours",
    kind: "gauge",
    help: "Containers on a device with this installation's marker for which there is no object.",
    labels: ["namespace", "device"],
  },
  deviceConnected: {
    name: "drayage_device_connected",
    kind: "gauge",
    help: "1 while the device is connected (or busy with a command of ours), else 0.",
    labels: ["namespace", "device"],
  },
  containerCpuRatio: {
    name: "drayage_container_cpu_utilization_ratio",
    kind: "gauge",
    help: "Processor time of the container since the device's report before, as a share of all processors of the device.",
    labels: ["namespace", "device", "container"],
  },
  containerMemoryUsed: {
    name: "drayage_container_memory_used_bytes",
    kind: "gauge",
    help: "Memory that the container uses, without what could be reclaimed at once.",
    labels: ["namespace", "device", "container"],
  },
  containerMemoryLimit: {
    name: "drayage_container_memory_limit_bytes",
    kind: "gauge",
    help: "Memory limit of the container, or the device's memory where that is less.",
    labels: ["namespace", "device", "container"],
  },
  containerIoRead: {
    name: "drayage_container_io_read_bytes_total",
    kind: "counter",
    help: "Bytes the container has read from block devices since its start.",
    labels: ["namespace", "device", "container"],
  },
  containerIoWritten: {
    name: "drayage_container_io_written_bytes_total",
    kind: "counter",
    help: "Bytes the container has written to block devices since its start.",
    labels: ["namespace", "device", "container"],
  },
  containerNetworkReceived: {
    name: "drayage_container_network_receive_bytes_total",
    kind: "counter",
    help: "Bytes the container has received over the network since its start.",
    labels: ["namespace", "device", "container"],
  },
  containerNetworkTransmitted: {
    name: "drayage_container_network_transmit_bytes_total",
    kind: "counter",
    help: "Bytes the container has sent over the network since its start.",
    labels: ["namespace", "device", "container"],
  },
  containerPids: {
    name: "drayage_container_pids",
    kind: "gauge",
    help: "Processes and threads of the container.",
    labels: ["namespace", "device", "container"],
  },
  containerUsageLeftOut: {
    name: "drayage_container_metrics_left_out",
    kind: "gauge",
    help: "Containers whose reported figures are not exported because too many are, by limit (device, total).",
    labels: ["limit"],
  },
  eventsDropped: {
    name: "drayage_events_dropped_total",
    kind: "counter",
    help: "Kubernetes events that were not written, by reason (spam, queue, failed, closed).",
    labels: ["reason"],
  },
} as const satisfies Record<string, MetricDefinition>;
