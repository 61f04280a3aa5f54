import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { Controller } from "../../../src/controller/controller.ts";
import { silentLogger } from "../../../src/controller/logging.ts";
import { METRICS } from "../../../src/controller/metric-names.ts";
import { Metrics } from "../../../src/controller/metrics.ts";
import { LOW_PRIORITY, WorkQueue } from "../../../src/controller/work-queue.ts";
import { FakeClock } from "../../support/fake-clock.ts";

/** The lines of an exposition, without comments and buckets. */
async function lines(metrics: Metrics): Promise<string[]> {
  const { text } = await metrics.expose();
  return text.split("\n").filter((line) => line !== "" && !line.startsWith("#") && !line.includes("_bucket{"));
}

test("names and labels are frozen: dashboards and alerts depend on them", () => {
  const table = Object.values(METRICS).map(({ name, kind, labels }) => `${kind} ${name}{${labels.join(",")}}`);
  expect(table.sort()).toMatchInlineSnapshot(`
    [
      "counter controller_runtime_reconcile_errors_total{controller}",
      "counter controller_runtime_reconcile_panics_total{controller}",
      "counter controller_runtime_reconcile_timeouts_total{controller}",
      "counter controller_runtime_reconcile_total{controller,result}",
      "counter controller_runtime_terminal_reconcile_errors_total{controller}",
      "counter drayage_backend_commands_total{backend,kind,result}",
      "counter drayage_backend_malformed_total{backend,kind}",
      "counter drayage_backend_reconnects_total{backend}",
      "counter drayage_cache_failures_total{resource}",
      "counter drayage_container_io_read_bytes_total{namespace,device,container}",
      "counter drayage_container_io_written_bytes_total{namespace,device,container}",
      "counter drayage_container_network_receive_bytes_total{namespace,device,container}",
      "counter drayage_container_network_transmit_bytes_total{namespace,device,container}",
      "counter drayage_events_dropped_total{reason}",
      "counter drayage_operations_total{type}",
      "counter drayage_orphans_total{kind}",
      "counter drayage_rented_seconds_total{namespace}",
      "counter drayage_stale_cache_skips_total{controller}",
      "counter drayage_status_writes_saved_total{resource}",
      "counter drayage_status_writes_total{resource,result}",
      "counter leader_election_slowpath_total{name}",
      "counter rest_client_requests_total{code,method,host}",
      "counter workqueue_adds_total{name,controller}",
      "counter workqueue_retries_total{name,controller}",
      "gauge controller_runtime_active_workers{controller}",
      "gauge controller_runtime_max_concurrent_reconciles{controller}",
      "gauge drayage_build_info{version,node}",
      "gauge drayage_cache_objects{resource}",
      "gauge drayage_cache_synced{resource}",
      "gauge drayage_container_cpu_utilization_ratio{namespace,device,container}",
      "gauge drayage_container_memory_limit_bytes{namespace,device,container}",
      "gauge drayage_container_memory_used_bytes{namespace,device,container}",
      "gauge drayage_container_metrics_left_out{limit}",
      "gauge drayage_container_pids{namespace,device,container}",
      "gauge drayage_device_connected{namespace,device}",
      "gauge drayage_rental_start_time_seconds{namespace,container}",
      "gauge drayage_unmanaged_ours{namespace,device}",
      "gauge leader_election_master_status{name}",
      "gauge workqueue_depth{name,controller,priority}",
      "gauge workqueue_longest_running_processor_seconds{name,controller}",
      "gauge workqueue_unfinished_work_seconds{name,controller}",
      "histogram controller_runtime_reconcile_time_seconds{controller}",
      "histogram rest_client_request_duration_seconds{verb,host}",
      "histogram workqueue_queue_duration_seconds{name,controller}",
      "histogram workqueue_work_duration_seconds{name,controller}",
    ]
  `);
});

test("names are unique, well-formed, and ours begin with drayage_", () => {
  const names = Object.values(METRICS).map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  for (const { name, kind } of Object.values(METRICS)) {
    expect(name).toMatch(/^(controller_runtime|workqueue|rest_client|leader_election|drayage)_[a-z_]+$/);
    expect(name.endsWith("_total")).toBe(kind === "counter");
  }
});

test("docs/operations.md explains every metric", async () => {
  const text = await readFile(new URL("../../../docs/operations.md", import.meta.url), "utf8");
  for (const { name, kind, labels } of Object.values(METRICS)) {
    expect(text).toContain(`| \`${name}\` | ${kind} | ${labels.join(", ")} |`);
  }
});

describe("a controller", () => {
  async function setUp() {
    const clock = new FakeClock();
    const metrics = new Metrics();
    const queue = new WorkQueue({ clock, metrics: metrics.forQueue("edgecontainer") });
    metrics.watchQueue("edgecontainer", queue);
    let gate = Promise.withResolvers<void>();
    const controller = new Controller({
      name: "edgecontainer",
      queue,
      clock,
      log: silentLogger(),
      concurrency: 2,
      metrics: metrics.forController("edgecontainer", 2),
      reconcile: async (key) => {
        await gate.promise;
        if (key.name === "bad") throw new Error("broken");
        return key.name === "again" ? { requeueAfterMs: 60_000 } : {};
      },
    });
    const open = (): void => {
      gate.resolve();
      gate = Promise.withResolvers();
    };
    return { clock, metrics, controller, open };
  }

  test("has all its series at 0 before anything happens", async () => {
    const { metrics } = await setUp();
    const got = await lines(metrics);
    for (const result of ["success", "requeue", "requeue_after", "error"]) {
      expect(got).toContain(`controller_runtime_reconcile_total{controller="edgecontainer",result="${result}"} 0`);
    }
    for (const name of ["reconcile_errors", "terminal_reconcile_errors", "reconcile_panics", "reconcile_timeouts"]) {
      expect(got).toContain(`controller_runtime_${name}_total{controller="edgecontainer"} 0`);
    }
    expect(got).toContain('controller_runtime_reconcile_time_seconds_count{controller="edgecontainer"} 0');
    expect(got).toContain('controller_runtime_max_concurrent_reconciles{controller="edgecontainer"} 2');
    expect(got).toContain('controller_runtime_active_workers{controller="edgecontainer"} 0');
    expect(got).toContain('drayage_stale_cache_skips_total{controller="edgecontainer"} 0');
    const queue = 'name="edgecontainer",controller="edgecontainer"';
    for (const name of ["adds_total", "retries_total", "queue_duration_seconds_count", "work_duration_seconds_count"]) {
      expect(got).toContain(`workqueue_${name}{${queue}} 0`);
    }
    for (const name of ["unfinished_work_seconds", "longest_running_processor_seconds"]) {
      expect(got).toContain(`workqueue_${name}{${queue}} 0`);
    }
    expect(got).toContain(`workqueue_depth{${queue},priority="0"} 0`);
  });

  test("counts what it does, and shows what is running while it runs", async () => {
    const { clock, metrics, controller, open } = await setUp();
    for (const name of ["good", "bad", "again"]) controller.enqueue({ namespace: "ns", name });
    controller.enqueue({ namespace: "ns", name: "later" }, { priority: LOW_PRIORITY });
    controller.start();
    await clock.advanceAsync(3000);
    const during = await lines(metrics);
    const queue = 'name="edgecontainer",controller="edgecontainer"';
    expect(during).toContain('controller_runtime_active_workers{controller="edgecontainer"} 2');
    expect(during).toContain(`workqueue_unfinished_work_seconds{${queue}} 6`);
    expect(during).toContain(`workqueue_longest_running_processor_seconds{${queue}} 3`);
    expect(during).toContain(`workqueue_depth{${queue},priority="0"} 1`);
    expect(during).toContain(`workqueue_depth{${queue},priority="-100"} 1`);
    open();
    await clock.advanceAsync(0);
    open();
    await clock.advanceAsync(0);
    const after = await lines(metrics);
    const total = (result: string): string =>
      `controller_runtime_reconcile_total{controller="edgecontainer",result="${result}"}`;
    expect(after).toContain(`${total("success")} 2`);
    expect(after).toContain(`${total("requeue_after")} 1`);
    expect(after).toContain(`${total("error")} 1`);
    expect(after).toContain('controller_runtime_reconcile_errors_total{controller="edgecontainer"} 1');
    expect(after).toContain(`workqueue_retries_total{${queue}} 1`);
    expect(after).toContain(`workqueue_depth{${queue},priority="0"} 0`);
    expect(after).toContain(`workqueue_depth{${queue},priority="-100"} 0`);
    expect(after).toContain('controller_runtime_reconcile_time_seconds_count{controller="edgecontainer"} 4');
  });
});

describe("requests to the API server", () => {
  test("are counted by code, method and host, with no answer as <error>", async () => {
    const metrics = new Metrics();
    const observe = metrics.forClient("10.0.0.1:6443");
    expect(await lines(metrics)).toContain(
      'rest_client_requests_total{code="200",method="PATCH",host="10.0.0.1:6443"} 0',
    );
    const base = { verb: "patch", method: "PATCH", resource: "x", host: "10.0.0.1:6443" } as const;
    observe({ ...base, code: "409", durationMs: 250 });
    observe({ ...base, code: "<error>", durationMs: 750 });
    const got = await lines(metrics);
    expect(got).toContain('rest_client_requests_total{code="409",method="PATCH",host="10.0.0.1:6443"} 1');
    expect(got).toContain('rest_client_requests_total{code="<error>",method="PATCH",host="10.0.0.1:6443"} 1');
    expect(got).toContain('rest_client_request_duration_seconds_sum{verb="PATCH",host="10.0.0.1:6443"} 1');
  });
});

test("a cache shows whether it is filled, its size and its failures", async () => {
  const metrics = new Metrics();
  const cache = { synced: false, store: { size: 0 } };
  const failed = metrics.forCache("edgedevices", cache);
  expect(await lines(metrics)).toContain('drayage_cache_synced{resource="edgedevices"} 0');
  cache.synced = true;
  cache.store.size = 7;
  failed();
  const got = await lines(metrics);
  expect(got).toContain('drayage_cache_synced{resource="edgedevices"} 1');
  expect(got).toContain('drayage_cache_objects{resource="edgedevices"} 7');
  expect(got).toContain('drayage_cache_failures_total{resource="edgedevices"} 1');
});

test("a definition used as another kind is refused", () => {
  const metrics = new Metrics();
  expect(() => metrics.gauge(METRICS.reconcileTotal)).toThrow(
    "controller_runtime_reconcile_total is a counter, not a gauge",
  );
});
