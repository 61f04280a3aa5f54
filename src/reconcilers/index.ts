/**
 * src/reconcilers decides: what is wanted (API objects) against what is there (devices), one folder per kind. plan() in
 * edge-container/plan is the pure heart; everything around it is thin. This file puts the parts together: caches with their
 * indexes, live accounts, and who wakes whom. It starts nothing; the caller (src/cli) runs what it returns.
 */
import { randomUUID } from "node:crypto";
import type { Backend, BackendType, SessionEvent } from "../backends/contract.ts";
import { Controller } from "../controller/controller.ts";
import type { Expectations } from "../controller/expectations.ts";
import type { Logger } from "../controller/logging.ts";
import { METRICS } from "../controller/metric-names.ts";
import type { Cache } from "../controller/manager.ts";
import type { Metrics } from "../controller/metrics.ts";
import { enqueueFrom } from "../controller/sources.ts";
import type { StatusWriter } from "../controller/status-writer.ts";
import { LOW_PRIORITY, WorkQueue } from "../controller/work-queue.ts";
import { ANNOTATIONS } from "../crds/group.ts";
import type { EdgeContainer } from "../crds/edge-container.ts";
import type { EdgeDevice } from "../crds/edge-device.ts";
import type { KubeClient } from "../kube/client.ts";
import type { Clock } from "../kube/clock.ts";
import { Reflector } from "../kube/reflector.ts";
import { keyOf, keyString, resourceName, type Resource } from "../kube/resource.ts";
import type { Store, StoreEvent } from "../kube/store.ts";
import type { KubeObject, ObjectKey } from "../kube/types.ts";
import { Accounts, type AccountsListener } from "./accounts.ts";
import { backendKeyOf } from "./allowed-namespaces.ts";
import { reconcileBackend } from "./edge-backend/reconcile.ts";
import { Memories } from "./edge-container/memory.ts";
import { reconcileContainer } from "./edge-container/reconcile.ts";
import { reconcileDevice } from "./edge-device/reconcile.ts";
import type { Environment, EventSink, InstallationOptions, Wake } from "./environment.ts";
import type { HashKey } from "./hash.ts";
import type { ReconcilerMetrics } from "./metrics.ts";
import { References } from "./references.ts";
import { NAMESPACES, RESOURCES } from "./resources.ts";
import { SlotWaiters } from "./slots.ts";
import {
  addIndexes,
  BY_BACKEND,
  BY_DEVICE,
  BY_REFERENCE,
  BY_TARGET,
  referenceKey,
  targetIndexKey,
  type Stores,
} from "./stores.ts";
import { uninstallCheck } from "./uninstall.ts";
import { ApiValueSource } from "./values-source.ts";
import { exportUsage, usageOf } from "./usage.ts";
import { wakeCommandKey } from "./wake.ts";

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
  };
  wiring.start(controllers);
  return {
    caches: [backends, devices, containers],
    controllers: [controllers.backend, controllers.device, controllers.container],
    runOptionalWatches: async (signal) => {
      await Promise.all([values.run(signal), namespace === undefined ? namespaces.run(signal) : undefined]);
    },
    webhook: (backend, raw, headers) => accounts.webhook(backend, raw, headers),
    close: () => accounts.close(),
  };
}

/** How long a backend waits before it counts its devices anew, ms: where one comes back, often all do. */
const BACKEND_COUNT_MS = 250;

type Controllers = Record<"backend" | "device" | "container", Controller>;

/** Who wakes whom. */
class Wiring {
  readonly #stores: Stores;
  #controllers: Controllers | undefined;
  #env: Environment | undefined;
  #memories: Memories | undefined;

  constructor(stores: Stores) {
    this.#stores = stores;
  }

  readonly wake: Wake = {
    container: (key, reason) => this.#controllers?.container.enqueue(key, { reason }),
    device: (key, reason) => this.#controllers?.device.enqueue(key, { reason }),
    backend: (key, reason) => this.#controllers?.backend.enqueue(key, { reason }),
  };

  connect(env: Environment, memories: Memories): void {
    this.#env = env;
    this.#memories = memories;
  }

  /** From now on events of the stores become passes. */
  start(controllers: Controllers): void {
    this.#controllers = controllers;
    const { backends, devices, containers } = this.#stores;
    enqueueFrom(backends, controllers.backend, { predicate: isNews });
    enqueueFrom(devices, controllers.device, { predicate: isNews });
    enqueueFrom(containers, controllers.container, { predicate: isNews });
    // The echo of our own write asks for no pass, but may be what one waits for.
    backends.onEvent(({ object }) => controllers.backend.cacheMoved(keyOf(object)));
    devices.onEvent(({ object }) => controllers.device.cacheMoved(keyOf(object)));
    containers.onEvent(({ object }) => controllers.container.cacheMoved(keyOf(object)));
    // A sibling's change may be what an object waits for.
    enqueueFrom(backends, controllers.device, {
      predicate: concernsDependents,
      mapTo: (backend) => devices.byIndex(BY_BACKEND, keyString(keyOf(backend))).map(keyOf),
      reason: "backend changed",
    });
    enqueueFrom(backends, controllers.container, {
      predicate: concernsDependents,
      mapTo: (backend) =>
        devices
          .byIndex(BY_BACKEND, keyString(keyOf(backend)))
          .flatMap((device) => this.#containersOf(keyOf(device)).map(keyOf)),
      reason: "backend changed",
    });
    enqueueFrom(devices, controllers.backend, {
      mapTo: (device) => [backendKeyOf(device)],
      predicate: comesOrGoes,
      reason: "device changed",
    });
    enqueueFrom(devices, controllers.container, {
      predicate: concernsDependents,
      mapTo: (device) => this.#containersOf(keyOf(device)).map(keyOf),
      reason: "device changed",
    });
    enqueueFrom(containers, controllers.device, {
      predicate: comesOrGoes,
      mapTo: (container) => [deviceKeyOf(container)],
      reason: "container changed",
    });
    // An older device of the same target may have gone: the next one takes over.
    devices.onEvent((event) => {
      if (event.type !== "deleted") return;
      for (const device of devices.byIndex(BY_TARGET, targetIndexKey(event.object))) this.#wakeIfStalled(device);
    });
  }

  wakeDevicesOf(backend: ObjectKey, reason: string): void {
    for (const device of this.#stores.devices.byIndex(BY_BACKEND, keyString(backend))) {
      this.wake.device(keyOf(device), reason);
      for (const container of this.#containersOf(keyOf(device))) this.wake.container(keyOf(container), reason);
    }
  }

  onNamespace(name: string): void {
    for (const device of this.#stores.devices.list()) {
      if (device.metadata.namespace !== name || backendKeyOf(device).namespace === name) continue;
      this.wake.device(keyOf(device), "namespace changed");
      for (const container of this.#containersOf(keyOf(device)))
        this.wake.container(keyOf(container), "namespace changed");
    }
  }

  onReference(key: string): void {
    for (const object of this.#stores.containers.byIndex(BY_REFERENCE, key))
      this.wake.container(keyOf(object), "value changed");
    for (const object of this.#stores.backends.byIndex(BY_REFERENCE, key))
      this.wake.backend(keyOf(object), "value changed");
  }

  onDevice(device: ObjectKey, event: SessionEvent): void {
    switch (event.type) {
      case "Outcome":
        if (this.#env !== undefined) this.#memories?.outcome(event.key, event.outcome, this.#env.clock.monotonic());
        wakeCommandKey(this.wake, event.key, "outcome");
        return;
      case "SlotFree":
        this.#slotFree(device);
        return;
      case "Container":
        this.wake.device(device, "inventory");
        this.#wakeFor(device, event.externalId, event.marker);
        return;
      case "Connection":
      case "Synced":
        if (event.type === "Connection") this.#wakeBackendOf(device);
        this.wake.device(device, event.type.toLowerCase());
        for (const container of this.#containersOf(device))
          this.#controllers?.container.enqueue(keyOf(container), {
            reason: event.type.toLowerCase(),
            priority: LOW_PRIORITY,
          });
        return;
      default:
        return event satisfies never;
    }
  }

  /** It counts its connected devices. */
  #wakeBackendOf(device: ObjectKey): void {
    const object = this.#stores.devices.get(device);
    if (object === undefined) return;
    const reason = "connection of a device";
    this.#controllers?.backend.enqueue(backendKeyOf(object), { reason, afterMs: BACKEND_COUNT_MS });
  }

  #slotFree(device: ObjectKey): void {
    const env = this.#env;
    const object = this.#stores.devices.get(device);
    const session = object === undefined ? undefined : env?.accounts.device(object.metadata.uid);
    if (env === undefined || session === undefined) return;
    const next = env.slots.next(session.targetKey);
    if (next !== undefined) wakeCommandKey(this.wake, next, "slot free");
  }

  /** The object whose container it is, by marker or recorded id; objects that may adopt it or wait for its name or port. */
  #wakeFor(device: ObjectKey, externalId: string, marker: { namespace: string; name: string } | undefined): void {
    for (const object of this.#containersOf(device)) {
      const { metadata, status, spec } = object;
      const marked = marker?.name === metadata.name && marker.namespace === metadata.namespace;
      const adopts = (spec.adoption?.policy ?? "Never") !== "Never" || spec.managementPolicy === "Observe";
      const waits = status?.conditions?.some(
        (condition) => condition.reason === "WaitingForRelease" || condition.reason.endsWith("Conflict"),
      );
      if (marked || status?.external?.id === externalId || waits === true || (adopts && marker === undefined))
        this.wake.container(keyOf(object), "inventory");
    }
  }

  #containersOf(device: ObjectKey): EdgeContainer[] {
    return this.#stores.containers.byIndex(BY_DEVICE, keyString(device));
  }

  #wakeIfStalled(device: EdgeDevice): void {
    if (device.status?.conditions?.some((condition) => condition.type === "Stalled") === true)
      this.wake.device(keyOf(device), "another device has gone");
  }
}

function deviceKeyOf(container: EdgeContainer): ObjectKey {
  return { namespace: container.metadata.namespace ?? "", name: container.spec.deviceRef.name };
}

/** Anything but the echo of a status write: spec, deletion, finalizers, our annotations; and an etcd that was set back. */
function isNews<T extends KubeObject>(event: StoreEvent<T>): boolean {
  if (event.type !== "updated") return true;
  const { object, old } = event;
  const now = object.metadata;
  const before = old.metadata;
  return (
    now.generation !== before.generation ||
    now.deletionTimestamp !== before.deletionTimestamp ||
    JSON.stringify(now.finalizers ?? []) !== JSON.stringify(before.finalizers ?? []) ||
    Object.values(ANNOTATIONS).some((name) => now.annotations?.[name] !== before.annotations?.[name]) ||
    pendingOf(object) !== pendingOf(old)
  );
}

/** The object came or went, or is about to. */
function comesOrGoes<T extends KubeObject>(event: StoreEvent<T>): boolean {
  return event.type !== "updated" || event.object.metadata.deletionTimestamp !== event.old.metadata.deletionTimestamp;
}

/** What objects that refer to this one look at: its spec, that it exists, whether it is refused or releases something. */
function concernsDependents<T extends KubeObject>(event: StoreEvent<T>): boolean {
  if (event.type !== "updated") return true;
  return isNews(event) || stalledOf(event.object) !== stalledOf(event.old);
}

function pendingOf(object: KubeObject): string {
  const { status } = object as KubeObject & { status?: { pendingRemovals?: unknown[] } };
  return JSON.stringify(status?.pendingRemovals ?? []);
}

function stalledOf(object: KubeObject): string {
  const { status } = object as KubeObject & { status?: { conditions?: { type: string; reason: string }[] } };
  return status?.conditions?.find((condition) => condition.type === "Stalled")?.reason ?? "";
}

function reconcilerMetrics(metrics: Metrics): ReconcilerMetrics {
  const operations = metrics.counter(METRICS.operations);
  for (const type of ["Create", "Recreate", "Swap", "Restart"]) operations.inc({ type }, 0);
  const orphans = metrics.counter(METRICS.orphans);
  for (const kind of ["EdgeContainer", "EdgeDevice", "EdgeBackend"]) orphans.inc({ kind }, 0);
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
