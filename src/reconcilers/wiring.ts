/** Who wakes whom: events of the caches and of the devices become passes. */
import type { SessionEvent } from "../backends/contract.ts";
import type { Controller } from "../controller/controller.ts";
import { enqueueFrom } from "../controller/sources.ts";
import { LOW_PRIORITY } from "../controller/work-queue.ts";
import { ANNOTATIONS } from "../crds/group.ts";
import type { EdgeContainer } from "../crds/edge-container.ts";
import type { EdgeDevice } from "../crds/edge-device.ts";
import type { EdgeStack } from "../crds/edge-stack.ts";
import type { EdgeRegistry } from "../crds/edge-registry.ts";
import { keyOf, keyString } from "../kube/resource.ts";
import type { StoreEvent } from "../kube/store.ts";
import type { KubeObject, ObjectKey } from "../kube/types.ts";
import { backendKeyOf } from "./allowed-namespaces.ts";
import type { Memories } from "./edge-container/memory.ts";
import { isPullRegistry } from "./edge-registry/pull-secrets.ts";
import { stackOwnerOf } from "./edge-stack/child.ts";
import { ownDeviceName } from "./edge-stack/own-plan.ts";
import type { Environment, Wake } from "./environment.ts";
import {
  BY_BACKEND,
  BY_CHILD,
  BY_DEVICE,
  BY_REFERENCE,
  BY_REGISTRY,
  BY_TARGET,
  referenceKey,
  targetIndexKey,
  type Stores,
} from "./stores.ts";
import { wakeCommandKey } from "./wake.ts";

/** How long a backend waits before it counts its devices anew, ms: where one comes back, often all do. */
const BACKEND_COUNT_MS = 250;

export type Controllers = Record<"backend" | "device" | "container" | "registry" | "stack", Controller>;

/** Knows the controllers once they are there, and the index of each cache that leads to the objects concerned. */
export class Wiring {
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
    registry: (key, reason) => this.#controllers?.registry.enqueue(key, { reason }),
    stack: (key, reason) => this.#controllers?.stack.enqueue(key, { reason }),
  };

  connect(env: Environment, memories: Memories): void {
    this.#env = env;
    this.#memories = memories;
  }

  /** From now on events of the stores become passes. */
  start(controllers: Controllers): void {
    this.#controllers = controllers;
    const { backends, devices, containers, stacks } = this.#stores;
    enqueueFrom(backends, controllers.backend, { predicate: isNews });
    enqueueFrom(devices, controllers.device, { predicate: isNews });
    enqueueFrom(containers, controllers.container, { predicate: isNews });
    enqueueFrom(stacks, controllers.stack, { predicate: isNews });
    // The echo of our own write asks for no pass, but may be what one waits for.
    backends.onEvent(({ object }) => controllers.backend.cacheMoved(keyOf(object)));
    devices.onEvent(({ object }) => controllers.device.cacheMoved(keyOf(object)));
    containers.onEvent(({ object }) => controllers.container.cacheMoved(keyOf(object)));
    stacks.onEvent(({ object }) => controllers.stack.cacheMoved(keyOf(object)));
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
    this.#startRegistries(controllers);
    enqueueFrom(containers, controllers.stack, {
      predicate: concernsItsStack,
      mapTo: (container) => this.#stacksOf(container),
      reason: "container changed",
    });
    // A stack of its own at the vendor was made, or is cleared away: its EdgeDevice is needed, or others may not use it.
    enqueueFrom(stacks, controllers.device, {
      predicate: (event) => event.type !== "updated" || externalOf(event.object) !== externalOf(event.old),
      mapTo: (stack) => this.#devicesOf(stack),
      reason: "stack changed",
    });
    enqueueFrom(devices, controllers.stack, {
      predicate: concernsDependents,
      mapTo: (device) => {
        const owner = stackOwnerOf(device);
        const using = stacks.byIndex(BY_DEVICE, keyString(keyOf(device))).map(keyOf);
        return owner === undefined
          ? using
          : [...using, { namespace: device.metadata.namespace ?? "", name: owner.name }];
      },
      reason: "device changed",
    });
    // An older device of the same target may have gone: the next one takes over.
    devices.onEvent((event) => {
      if (event.type !== "deleted") return;
      for (const device of devices.byIndex(BY_TARGET, targetIndexKey(event.object))) this.#wakeIfStalled(device);
    });
  }

  #startRegistries(controllers: Controllers): void {
    const { backends, devices, containers, registries } = this.#stores;
    enqueueFrom(registries, controllers.registry, { predicate: isNews });
    registries.onEvent(({ object }) => controllers.registry.cacheMoved(keyOf(object)));
    enqueueFrom(backends, controllers.registry, {
      predicate: concernsDependents,
      mapTo: (backend) => registries.byIndex(BY_BACKEND, keyString(keyOf(backend))).map(keyOf),
      reason: "backend changed",
    });
    // A device brings a project with it, or takes it away, also by being refused.
    enqueueFrom(devices, controllers.registry, {
      predicate: concernsDependents,
      mapTo: (device) =>
        registries
          .byIndex(BY_BACKEND, keyString(backendKeyOf(device)))
          .filter(({ metadata }) => metadata.namespace === device.metadata.namespace)
          .map(keyOf),
      reason: "device changed",
    });
    enqueueFrom(registries, controllers.container, {
      predicate: (event) => isNews(event) || hasMoved(event),
      mapTo: (registry) => [
        ...containers.byIndex(BY_REGISTRY, keyString(keyOf(registry))).map(keyOf),
        ...(isPullRegistry(registry) ? containers.byIndex(BY_REFERENCE, secretKeyOf(registry)).map(keyOf) : []),
      ],
      reason: "registry changed",
    });
    // One that was made for pull secrets goes with the last container that needs it.
    enqueueFrom(containers, controllers.registry, {
      predicate: isNews,
      mapTo: ({ metadata, spec }) =>
        (spec.imagePullSecrets ?? []).flatMap(({ name }) =>
          registries
            .byIndex(BY_REFERENCE, referenceKey("Secret", metadata.namespace ?? "", name))
            .filter(isPullRegistry)
            .map(keyOf),
        ),
      reason: "container changed",
    });
    // A backend that is to go waits for the logins on it.
    enqueueFrom(registries, controllers.backend, {
      predicate: (event) => comesOrGoes(event) || hasMoved(event),
      mapTo: backendsOf,
      reason: "registry changed",
    });
    registries.onEvent((event) => {
      if (event.type !== "deleted") return;
      for (const other of registries.list())
        if (other.status?.projects?.some(({ state }) => state === "Conflict") === true)
          this.wake.registry(keyOf(other), "another registry has gone");
    });
  }

  wakeRegistriesOf(backend: ObjectKey, reason: string): void {
    for (const registry of this.#stores.registries.byIndex(BY_BACKEND, keyString(backend)))
      this.wake.registry(keyOf(registry), reason);
  }

  wakeDevicesOf(backend: ObjectKey, reason: string): void {
    for (const device of this.#stores.devices.byIndex(BY_BACKEND, keyString(backend))) {
      this.wake.device(keyOf(device), reason);
      for (const container of this.#containersOf(keyOf(device))) this.wake.container(keyOf(container), reason);
      for (const stack of this.#stores.stacks.byIndex(BY_DEVICE, keyString(keyOf(device))))
        this.wake.stack(keyOf(stack), reason);
    }
  }

  onNamespace(name: string): void {
    for (const device of this.#stores.devices.list()) {
      if (device.metadata.namespace !== name || backendKeyOf(device).namespace === name) continue;
      this.wake.device(keyOf(device), "namespace changed");
      for (const container of this.#containersOf(keyOf(device)))
        this.wake.container(keyOf(container), "namespace changed");
    }
    for (const registry of this.#stores.registries.list())
      if (registry.metadata.namespace === name) this.wake.registry(keyOf(registry), "namespace changed");
  }

  onReference(key: string): void {
    for (const object of this.#stores.containers.byIndex(BY_REFERENCE, key))
      this.wake.container(keyOf(object), "value changed");
    for (const object of this.#stores.backends.byIndex(BY_REFERENCE, key))
      this.wake.backend(keyOf(object), "value changed");
    for (const object of this.#stores.registries.byIndex(BY_REFERENCE, key))
      this.wake.registry(keyOf(object), "value changed");
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
        this.#wakeMakers(device, event.type.toLowerCase());
        return;
      default:
        return event satisfies never;
    }
  }

  /** EdgeStacks whose own stack at the vendor is made only once their EdgeDevice is known to stand for what it names. */
  #wakeMakers(device: ObjectKey, reason: string): void {
    if (this.#stores.devices.get(device)?.spec.mittwald === undefined) return;
    for (const stack of this.#stores.stacks.byIndex(BY_DEVICE, keyString(device)))
      if (externalOf(stack) === undefined) this.wake.stack(keyOf(stack), reason);
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

  /** The EdgeDevice that stands for its own stack, and those that name that stack. */
  #devicesOf(stack: EdgeStack): ObjectKey[] {
    const { namespace = "" } = stack.metadata;
    const id = externalOf(stack);
    const naming =
      id === undefined ? [] : this.#stores.devices.list().filter(({ spec }) => spec.mittwald?.stackId === id);
    const own = this.#stores.devices.get({ namespace, name: ownDeviceName(stack) });
    return [...(own === undefined ? [] : [own]), ...naming].map(keyOf);
  }

  /** The EdgeStack that it belongs to, and those that want its name. */
  #stacksOf(container: EdgeContainer): ObjectKey[] {
    const wanting = this.#stores.stacks.byIndex(BY_CHILD, keyString(keyOf(container))).map(keyOf);
    const owner = stackOwnerOf(container);
    const { namespace = "" } = container.metadata;
    return owner === undefined ? wanting : [...wanting, { namespace, name: owner.name }];
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

/** Whether containers that wait for a registry's login may have got it, or backends that wait for its end. */
function hasMoved(event: StoreEvent<EdgeRegistry>): boolean {
  if (event.type !== "updated") return true;
  const shown = ({ status }: EdgeRegistry) => {
    const ready = status?.conditions?.find(({ type }) => type === "Ready");
    return JSON.stringify([ready?.status, ready?.reason, status?.projects ?? []]);
  };
  return shown(event.object) !== shown(event.old);
}

function secretKeyOf({ metadata, spec }: EdgeRegistry): string {
  return referenceKey("Secret", metadata.namespace ?? "", spec.credentialsSecretRef.name);
}

function backendsOf({ status }: EdgeRegistry): ObjectKey[] {
  return (status?.projects ?? []).map(({ backendNamespace, backendName }) => ({
    namespace: backendNamespace,
    name: backendName,
  }));
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

function externalOf({ status }: EdgeStack): string | undefined {
  return status?.external?.id;
}

/** What a stack says of its containers, or has to set right about them. */
function concernsItsStack(event: StoreEvent<EdgeContainer>): boolean {
  if (event.type !== "updated") return true;
  const told = ({ metadata, status }: EdgeContainer) =>
    JSON.stringify([
      metadata.generation,
      metadata.deletionTimestamp,
      metadata.labels,
      metadata.ownerReferences,
      status?.observedGeneration,
      status?.phase,
      status?.conditions,
    ]);
  return told(event.object) !== told(event.old);
}

function pendingOf(object: KubeObject): string {
  const { status } = object as KubeObject & { status?: { pendingRemovals?: unknown[] } };
  return JSON.stringify(status?.pendingRemovals ?? []);
}

function stalledOf(object: KubeObject): string {
  const { status } = object as KubeObject & { status?: { conditions?: { type: string; reason: string }[] } };
  return status?.conditions?.find((condition) => condition.type === "Stalled")?.reason ?? "";
}
