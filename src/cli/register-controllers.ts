/**
 * The one place where controllers come into the process. Called once, after the API server has been reached and before any
 * cache starts: builds backends and reconcilers and hands their caches, vendor sessions and controllers to the manager.
 */
import { createBackends } from "../backends/index.ts";
import { METRICS } from "../controller/metric-names.ts";
import { EventRecorder } from "../kube/events.ts";
import { loadHashKey } from "../reconcilers/hash-key.ts";
import { buildReconcilers } from "../reconcilers/index.ts";
import type { Runtime } from "./runtime.ts";
import { WebhookServer } from "./webhook-server.ts";

/** How long events that wait may take to be written when the process ends, ms. */
const EVENT_FLUSH_MS = 2_000;

/** Registers everything. Rejects with HashKeyError (fatal), ApiError or TransportError (tried again). */
export async function registerControllers(runtime: Runtime, signal: AbortSignal): Promise<void> {
  const { options, clock, log, metrics, client, manager, election } = runtime;
  const hashKey = await loadHashKey(client, options.leaseNamespace ?? client.namespace, signal);
  const dropped = metrics.counter(METRICS.eventsDropped);
  const recorder = new EventRecorder({
    client,
    controller: "drayage.dev/operator",
    instance: election.identity,
    onDrop: (reason) => dropped.inc({ reason }),
  });
  const backends = createBackends({
    clock,
    log,
    metrics: metrics.forBackends(["kanto", "hiveon", "alpon"]),
    fence: options.readOnly ? { valid: () => false } : election.fence,
    observeFence: election.fence,
    random: Math.random,
    timings: {
      ...(options.observeInterval !== undefined && { observeIntervalMs: options.observeInterval }),
      probeTimeoutMs: options.probeTimeout,
      reconnectInitialMs: options.reconnectInitial,
      reconnectMaxMs: options.reconnectMax,
      ...(options.settleTime !== undefined && { settleMs: options.settleTime }),
    },
    processId: election.identity,
  });
  const reconcilers = buildReconcilers({
    client,
    clock,
    log,
    metrics,
    expectations: runtime.expectations,
    statusWriter: runtime.statusWriter,
    events: {
      record: (object, type, reason, note) => recorder.record(object, { type, reason, note, action: "Reconcile" }),
    },
    hashKey,
    backends,
    installation: {
      ownerId: runtime.ownerId,
      ownerIdIsExplicit: runtime.ownerIdIsExplicit,
      readOnly: options.readOnly,
    },
    namespace: options.namespace,
    concurrency: options.concurrency,
  });
  const watches = new AbortController();
  let watching: Promise<void> = Promise.resolve();
  manager.addComponent({
    name: "events",
    start: () => undefined,
    stop: async () => {
      await recorder.close(EVENT_FLUSH_MS);
    },
  });
  manager.addComponent({
    name: "vendor sessions",
    start: () => {
      watching = reconcilers.runOptionalWatches(watches.signal);
    },
    stop: async () => {
      watches.abort();
      await Promise.all([watching, reconcilers.close()]);
    },
  });
  if (options.webhookAddress !== undefined) {
    const webhooks = new WebhookServer({
      address: options.webhookAddress,
      take: (backend, raw, headers) => reconcilers.webhook(backend, raw, headers),
      onListening: (address) => log.info({ address }, "listening for webhooks"),
    });
    manager.addComponent({ name: "webhooks", start: () => webhooks.start(), stop: () => webhooks.stop() });
  }
  for (const cache of reconcilers.caches) manager.addCache(cache);
  for (const controller of reconcilers.controllers) manager.addController(controller);
}
