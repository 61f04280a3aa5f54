/**
 * src/reconcilers decides: what is wanted (API objects) against what is there (devices), one folder per kind. plan() in
 * edge-container/plan is the pure heart; everything around it is thin. This file puts the parts together: caches with their
 * indexes, live accounts, and (wiring.ts) who wakes whom. It starts nothing; the caller (src/cli) runs what it returns.
 */
import { randomUUID } from "node:crypto";
import type { Backend, BackendType } from "../backends/contract.ts";
import { Controller } from "../controller/controller.ts";
import type { Expectations } from "../controller/expectations.ts";
import type { Logger } from "../controller/logging.ts";
import type { Cache } from "../controller/manager.ts";
import type { Metrics } from "../controller/metrics.ts";
import type { StatusWriter } from "../controller/status-writer.ts";
import { WorkQueue } from "../controller/work-queue.ts";
import type { KubeClient } from "../kube/client.ts";
import type { Clock } from "../kube/clock.ts";
import { Reflector } from "../kube/reflector.ts";
import { resourceName, type Resource } from "../kube/resource.ts";
import type { Store } from "../kube/store.ts";
import type { KubeObject } from "../kube/types.ts";
import { Accounts, type AccountsListener } from "./accounts.ts";
import { reconcileBackend } from "./edge-backend/reconcile.ts";
import { Memories } from "./edge-container/memory.ts";
import { reconcileContainer } from "./edge-container/reconcile.ts";
import { reconcileDevice } from "./edge-device/reconcile.ts";
import { reconcileRegistry } from "./edge-registry/reconcile.ts";
import { StackMemories } from "./edge-stack/memory.ts";
import { reconcileStack } from "./edge-stack/reconcile.ts";
import type { Environment, EventSink, InstallationOptions } from "./environment.ts";
import type { HashKey } from "./hash.ts";
import { reconcilerMetrics } from "./metrics.ts";
import { References } from "./references.ts";
import { NAMESPACES, RESOURCES } from "./resources.ts";
import { SlotWaiters } from "./slots.ts";
import { addIndexes, referenceKey, type Stores } from "./stores.ts";
import { uninstallCheck } from "./uninstall.ts";
import { ApiValueSource } from "./values-source.ts";
import { exportUsage, usageOf } from "./usage.ts";
import { Wiring } from "./wiring.ts";

/** What the reconcilers are built from. */
export interface ReconcilerDeps {
  client: KubeClient;
  clock: Clock;
  log: Logger;
  metrics: Metrics;
  expectations: Expectations;
  statusWriter: StatusWriter;
  events: EventSink;
  hashKey: HashKey;
  /** The vendors of this build. */
  backends: Partial<Record<BackendType, Backend>>;
  installation: InstallationOptions;
  /** Watch only this namespace; undefined for all. */
  namespace?: string | undefined;
  /** Passes at a time, per kind. */
  concurrency: number;
}

/** What is to be run. */
export interface Reconcilers {
  /** Caches that must be complete before the first pass. */
  caches: Cache[];
  controllers: Controller[];
  /** Watches that may lack permission; run in the background until the signal aborts, never awaited for readiness. */
  runOptionalWatches(signal: AbortSignal): Promise<void>;
  /** Takes a vendor's webhook for an EdgeBackend. */
  webhook: Accounts["webhook"];
  /** Ends all vendor sessions. */
  close(): Promise<void>;
}

/** Puts the reconcilers together. */
export function buildReconcilers(deps: ReconcilerDeps): Reconcilers {
  const { client, clock, log, metrics, namespace } = deps;
  const reflect = <T extends KubeObject>(resource: Resource<T>): Reflector<T> => {
    const counter: { failed?: () => void } = {};
    const reflector = new Reflector<T>({
      client,
      resource,
      namespace,
      onFailure: (error) => {
        counter.failed?.();
        log.warn({ err: error, resource: resourceName(resource) }, "watching failed; it goes on after a pause");
      },
    });
    counter.failed = metrics.forCache(resourceName(resource), reflector);
    deps.expectations.follow(resourceName(resource), reflector.store);
    return reflector;
  };
  const backends = reflect(RESOURCES.backends);
  const devices = reflect(RESOURCES.devices);
  const containers = reflect(RESOURCES.containers);
  const registries = reflect(RESOURCES.registries);
  const stacks = reflect(RESOURCES.stacks);
  const namespaces = new Reflector<KubeObject>({
    client,
    resource: NAMESPACES,
    metadataOnly: true,
    onFailure: (error) =>
      log.debug({ err: error }, "namespaces cannot be watched; allowedNamespaces.from Selector matches none"),
  });
  const stores: Stores = {
    backends: backends.store,
    devices: devices.store,
    containers: containers.store,
    registries: registries.store,
    stacks: stacks.store,
    namespaceLabels: (name) =>
      namespaces.synced ? (namespaces.store.get({ namespace: "", name })?.metadata.labels ?? {}) : undefined,
  };
  addIndexes(stores);
  // allowedNamespaces.from Selector looks at labels: theirs may change, or become known later than the objects.
  namespaces.store.onEvent((event) => wiring.onNamespace(event.object.metadata.name));

  const wiring = new Wiring(stores);
  const listener: AccountsListener = {
    onAccount: (key) => {
      wiring.wake.backend(key, "connection");
      wiring.wakeDevicesOf(key, "connection");
      wiring.wakeRegistriesOf(key, "connection");
    },
    onNotice: (key, notice) => {
      const object = stores.backends.get(key);
      if (object !== undefined) deps.events.record(object, notice.type, notice.reason, notice.message);
    },
    onDevice: (key, event) => wiring.onDevice(key, event),
  };
  const accounts = new Accounts(deps.backends, listener, () => clock.monotonic());
  const values = new ApiValueSource(client, {
    namespace,
    onChange: (kind, key) => {
      references.invalidate(kind, key);
      wiring.onReference(referenceKey(kind, key.namespace, key.name));
    },
    onFailure: (kind, error) => log.debug({ err: error, kind }, "cannot be watched; read again from time to time"),
  });
  const references = new References(values, clock);
  const memories = new Memories();
  const stackMemories = new StackMemories();
  let leaderSinceMs: number | undefined;
  const env: Environment = {
    client,
    clock,
    log,
    stores,
    resources: RESOURCES,
    accounts,
    references,
    hashKey: deps.hashKey,
    statusWriter: deps.statusWriter,
    expectations: deps.expectations,
    events: deps.events,
    metrics: reconcilerMetrics(metrics),
    slots: new SlotWaiters(),
    wake: wiring.wake,
    options: deps.installation,
    leaderSinceMs: () => leaderSinceMs,
    newId: randomUUID,
    isUninstalling: uninstallCheck(client, clock, log),
  };
  wiring.connect(env, memories);
  // Only the leader exports: a standby beside it would have every series twice.
  exportUsage(metrics, () => (leaderSinceMs === undefined ? [] : usageOf(accounts, stores, deps.installation.ownerId)));

  const controller = <T extends KubeObject>(
    name: string,
    resource: Resource<T>,
    store: Store<T>,
    reconcile: ConstructorParameters<typeof Controller>[0]["reconcile"],
  ): Controller => {
    const queue = new WorkQueue({ clock, metrics: metrics.forQueue(name) });
    metrics.watchQueue(name, queue);
    return new Controller({
      name,
      queue,
      clock,
      log,
      concurrency: deps.concurrency,
      metrics: metrics.forController(name, deps.concurrency),
      isStale: (key) => deps.expectations.isBehind(resourceName(resource), store, key),
      reconcile: (key, context) => {
        // Controllers start when this process becomes the leader; the first pass marks that moment.
        leaderSinceMs ??= clock.monotonic();
        return reconcile(key, context);
      },
    });
  };
  const controllers = {
    backend: controller("edgebackend", RESOURCES.backends, stores.backends, (key, context) =>
      reconcileBackend(key, context, env),
    ),
    device: controller("edgedevice", RESOURCES.devices, stores.devices, (key, context) =>
      reconcileDevice(key, context, memories, env),
    ),
    container: controller("edgecontainer", RESOURCES.containers, stores.containers, (key, context) =>
      reconcileContainer(key, context, memories, env),
    ),
    registry: controller("edgeregistry", RESOURCES.registries, stores.registries, (key, context) =>
      reconcileRegistry(key, context, env),
    ),
    stack: controller("edgestack", RESOURCES.stacks, stores.stacks, (key, context) =>
      reconcileStack(key, context, stackMemories, env),
    ),
  };
  wiring.start(controllers);
  return {
    caches: [backends, devices, containers, registries, stacks],
    controllers: [
      controllers.backend,
      controllers.device,
      controllers.container,
      controllers.registry,
      controllers.stack,
    ],
    runOptionalWatches: async (signal) => {
      await Promise.all([values.run(signal), namespace === undefined ? namespaces.run(signal) : undefined]);
    },
    webhook: (backend, raw, headers) => accounts.webhook(backend, raw, headers),
    close: () => accounts.close(),
  };
}
