import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { ControllerMetrics, ReconcileOutcome } from "./controller.ts";
import type { RequestObservation } from "../kube/requests.ts";
import { METRICS, type MetricDefinition } from "./metric-names.ts";
import type { StatusMetrics } from "./status-writer.ts";
import type { WorkQueue, WorkQueueMetrics } from "./work-queue.ts";

type LabelOf<D extends MetricDefinition> = D["labels"][number];

/** Options of {@link Metrics}. */
export interface MetricsOptions {
  /** Also export `process_*` and `nodejs_*`. Default false, since their collectors are global to the process. */
  readonly processMetrics?: boolean;
}

/**
 * All metrics of one process, in a registry of its own (none is global, so tests do not meet). A metric is registered when
 * it is first asked for. Whoever asks initialises its series to 0, so that `rate()` is right from the first event on.
 */
export class Metrics {
  readonly registry = new Registry();
  readonly #counters = new Map<string, Counter>();
  readonly #gauges = new Map<string, Gauge>();
  readonly #histograms = new Map<string, Histogram>();
  /** Run before the metrics are read, for values that are computed rather than counted. */
  readonly #collectors: (() => void)[] = [];

  constructor(options: MetricsOptions = {}) {
    if (options.processMetrics === true) collectDefaultMetrics({ register: this.registry });
  }

  /** The counter of a definition. @throws TypeError if the definition is of another kind. */
  counter<const D extends MetricDefinition>(definition: D): Counter<LabelOf<D>> {
    return getOrMake(this.#counters, definition, "counter", (shape) => new Counter(shape), this.registry);
  }

  /** The gauge of a definition. @throws TypeError if the definition is of another kind. */
  gauge<const D extends MetricDefinition>(definition: D): Gauge<LabelOf<D>> {
    return getOrMake(this.#gauges, definition, "gauge", (shape) => new Gauge(shape), this.registry);
  }

  /** The histogram of a definition. @throws TypeError if the definition is of another kind. */
  histogram<const D extends MetricDefinition>(definition: D): Histogram<LabelOf<D>> {
    const buckets = [...(definition.buckets ?? [])];
    return getOrMake(
      this.#histograms,
      definition,
      "histogram",
      (shape) => new Histogram({ ...shape, buckets }),
      this.registry,
    );
  }

  /** What {@link Controller} reports to; `concurrency` is exported as it is. */
  forController(controller: string, concurrency: number): ControllerMetrics {
    const total = this.counter(METRICS.reconcileTotal);
    for (const result of ["success", "requeue", "requeue_after", "error"]) total.inc({ controller, result }, 0);
    const plain = (definition: MetricDefinition): Counter.Internal => {
      const counter = this.counter(definition);
      counter.inc({ controller }, 0);
      return counter.labels({ controller });
    };
    const errors = plain(METRICS.reconcileErrors);
    const terminal = plain(METRICS.reconcileTerminalErrors);
    const panics = plain(METRICS.reconcilePanics);
    const timeouts = plain(METRICS.reconcileTimeouts);
    const stale = plain(METRICS.staleCacheSkips);
    const seconds = this.histogram(METRICS.reconcileSeconds);
    seconds.zero({ controller });
    const active = this.gauge(METRICS.activeWorkers).labels({ controller });
    active.set(0);
    this.gauge(METRICS.maxConcurrentReconciles).set({ controller }, concurrency);
    return {
      reconciled: (result: ReconcileOutcome, duration: number) => {
        total.inc({ controller, result });
        seconds.observe({ controller }, duration);
        if (result === "error") errors.inc();
      },
      terminalError: () => terminal.inc(),
      panicked: () => panics.inc(),
      timedOut: () => timeouts.inc(),
      staleSkipped: () => stale.inc(),
      workersChanged: (change) => active.inc(change),
    };
  }

  /** What {@link WorkQueue} reports to. Hand the finished queue to {@link watchQueue} as well. */
  forQueue(name: string): WorkQueueMetrics {
    const labels = { name, controller: name };
    const depth = this.gauge(METRICS.queueDepth);
    depth.set({ ...labels, priority: "0" }, 0);
    const adds = this.counter(METRICS.queueAdds).labels(labels);
    adds.inc(0);
    const retries = this.counter(METRICS.queueRetries).labels(labels);
    retries.inc(0);
    const queueSeconds = this.histogram(METRICS.queueSeconds);
    const workSeconds = this.histogram(METRICS.workSeconds);
    queueSeconds.zero(labels);
    workSeconds.zero(labels);
    return {
      added: () => adds.inc(),
      depthChanged: (priority, change) => depth.inc({ ...labels, priority: String(priority) }, change),
      started: (seconds) => queueSeconds.observe(labels, seconds),
      finished: (seconds) => workSeconds.observe(labels, seconds),
      retried: () => retries.inc(),
    };
  }

  /** Exports how long the running keys of a queue have run, computed when the metrics are read. */
  watchQueue(name: string, queue: WorkQueue): void {
    const labels = { name, controller: name };
    this.#collectors.push(() => {
      const timesMs = queue.runningTimesMs();
      const totalMs = timesMs.reduce((sum, timeMs) => sum + timeMs, 0);
      this.gauge(METRICS.unfinishedWorkSeconds).set(labels, totalMs / 1000);
      this.gauge(METRICS.longestRunningSeconds).set(labels, Math.max(0, ...timesMs) / 1000);
    });
  }

  /** What the API client reports its requests to (`onRequest`). */
  forClient(host: string): (observation: RequestObservation) => void {
    const requests = this.counter(METRICS.restRequests);
    const seconds = this.histogram(METRICS.restSeconds);
    for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE"]) {
      requests.inc({ code: "200", method, host }, 0);
      requests.inc({ code: "<error>", method, host }, 0);
      seconds.zero({ verb: method, host });
    }
    return ({ code, method, host: toHost, durationMs }) => {
      requests.inc({ code, method, host: toHost });
      seconds.observe({ verb: method, host: toHost }, durationMs / 1000);
    };
  }

  /** What a {@link StatusWriter} reports to; `resources` are the collections whose series start at 0. */
  forStatus(resources: readonly string[]): StatusMetrics {
    const writes = this.counter(METRICS.statusWrites);
    const saved = this.counter(METRICS.statusWritesSaved);
    for (const resource of resources) {
      for (const result of ["written", "conflict", "gone", "error"]) writes.inc({ resource, result }, 0);
      saved.inc({ resource }, 0);
    }
    return {
      wrote: (resource, result) => writes.inc({ resource, result }),
      saved: (resource) => saved.inc({ resource }),
    };
  }

  /**
   * Exports the state of a cache, computed when the metrics are read. The function it returns counts a failed list or watch
   * (the reflector's `onFailure`).
   */
  forCache(
    resource: string,
    cache: { readonly synced: boolean; readonly store: { readonly size: number } },
  ): () => void {
    this.#collectors.push(() => {
      this.gauge(METRICS.cacheSynced).set({ resource }, cache.synced ? 1 : 0);
      this.gauge(METRICS.cacheObjects).set({ resource }, cache.store.size);
    });
    const failures = this.counter(METRICS.cacheFailures).labels({ resource });
    failures.inc(0);
    return () => failures.inc();
  }

  /** What the backends report to (BackendMetrics of the backends' contract); `backends` are those whose series start at 0. */
  forBackends(backends: readonly string[]): {
    command(backend: string, kind: string, result: string): void;
    malformed(backend: string, kind: string): void;
    reconnect(backend: string): void;
  } {
    const commands = this.counter(METRICS.backendCommands);
    const malformed = this.counter(METRICS.backendMalformed);
    const reconnects = this.counter(METRICS.backendReconnects);
    for (const backend of backends) reconnects.inc({ backend }, 0);
    return {
      command: (backend, kind, result) => commands.inc({ backend, kind, result }),
      malformed: (backend, kind) => malformed.inc({ backend, kind }),
      reconnect: (backend) => reconnects.inc({ backend }),
    };
  }

  /** Has something run before each reading of the metrics, for values that are computed rather than counted. */
  beforeReading(collect: () => void): void {
    this.#collectors.push(collect);
  }

  /** All metrics in the Prometheus text format, and its content type. */
  async expose(): Promise<{ readonly contentType: string; readonly text: string }> {
    for (const collect of this.#collectors) collect();
    return { contentType: this.registry.contentType, text: await this.registry.metrics() };
  }
}

interface MetricShape {
  readonly name: string;
  readonly help: string;
  readonly labelNames: string[];
  readonly registers: Registry[];
}

function getOrMake<M>(
  known: Map<string, M>,
  definition: MetricDefinition,
  kind: MetricDefinition["kind"],
  make: (shape: MetricShape) => M,
  registry: Registry,
): M {
  if (definition.kind !== kind) throw new TypeError(`${definition.name} is a ${definition.kind}, not a ${kind}`);
  let metric = known.get(definition.name);
  if (metric === undefined) {
    const { name, help, labels } = definition;
    metric = make({ name, help, labelNames: [...labels], registers: [registry] });
    known.set(name, metric);
  }
  return metric;
}
