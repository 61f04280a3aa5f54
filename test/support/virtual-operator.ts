/**
 * The operator without an API server: its own reconcilers of all three kinds over objects in memory, driven pass by pass in a test's own time. What it
 * says, in log lines, events and status, is kept, so that a test can look through all of it.
 */
import pino from "pino";
import type { Account, Backend, BackendDeps, BackendType, DeviceSession } from "../../src/backends/contract.ts";
import type { ReconcileContext, Result } from "../../src/controller/controller.ts";
import { Expectations } from "../../src/controller/expectations.ts";
import type { JsonPatchStep } from "../../src/controller/json-patch.ts";
import { StatusWriter } from "../../src/controller/status-writer.ts";
import type { EdgeBackend } from "../../src/crds/edge-backend.ts";
import type { EdgeContainer } from "../../src/crds/edge-container.ts";
import type { EdgeDevice } from "../../src/crds/edge-device.ts";
import type { KubeClient } from "../../src/kube/client.ts";
import { keyString, type Resource } from "../../src/kube/resource.ts";
import { Store } from "../../src/kube/store.ts";
import type { KubeObject, ObjectKey } from "../../src/kube/types.ts";
import { Accounts } from "../../src/reconcilers/accounts.ts";
import { reconcileBackend } from "../../src/reconcilers/edge-backend/reconcile.ts";
import { Memories } from "../../src/reconcilers/edge-container/memory.ts";
import { reconcileContainer } from "../../src/reconcilers/edge-container/reconcile.ts";
import { reconcileDevice } from "../../src/reconcilers/edge-device/reconcile.ts";
import type { Environment } from "../../src/reconcilers/environment.ts";
import { HashKey } from "../../src/reconcilers/hash.ts";
import { References } from "../../src/reconcilers/references.ts";
import { RESOURCES } from "../../src/reconcilers/resources.ts";
import { SlotWaiters } from "../../src/reconcilers/slots.ts";
import { addIndexes, type Stores } from "../../src/reconcilers/stores.ts";
import type { FakeClock } from "./fake-clock.ts";

const NAMESPACE = "default";
/** What is done in one moment ends; more passes than this in it are a loop. */
const MOST_PASSES_AT_ONCE = 50;

type Data = Readonly<Record<string, string>>;

/** What outlives every process of the operator: the objects, as an API server has them, and Secrets. */
export class Cluster {
  readonly stores: Stores;
  readonly client: KubeClient;
  /** By name, in the one namespace. */
  readonly secrets: Record<string, Data>;
  /** Everything that was ever written or said, in order. */
  readonly told: string[] = [];
  /** True while the store tells of a write of the operator itself. */
  isWriting = false;
  #version = 1;

  constructor(secrets: Record<string, Data>) {
    this.secrets = secrets;
    this.stores = {
      backends: new Store<EdgeBackend>(),
      devices: new Store<EdgeDevice>(),
      containers: new Store<EdgeContainer>(),
      registries: new Store(),
      stacks: new Store(),
      namespaceLabels: () => ({}),
    };
    addIndexes(this.stores);
    // Of the client the reconcilers use these two only; anything else would fail loudly.
    const parts: Partial<Record<keyof KubeClient, unknown>> = {
      get: async (resource: Resource, key: ObjectKey) => this.#storeOf(resource).get(key),
      patch: async (resource: Resource, key: ObjectKey, patch: PatchRequest) => this.#patch(resource, key, patch),
    };
    this.client = parts as KubeClient;
  }

  create(resource: Resource, name: string, spec: object): void {
    const { plural, kind } = resource;
    this.#put(resource, {
      apiVersion: "edge.drayage.dev/v1alpha1",
      kind,
      metadata: { name, namespace: NAMESPACE, uid: `uid-${plural}-${name}`, generation: 1, resourceVersion: "" },
      spec,
    } as KubeObject);
  }

  /** A user's edit: of the spec, which is a new generation, or of an annotation. */
  edit(name: string, change: { spec?: Partial<EdgeContainer["spec"]>; annotations?: Data }): void {
    const object = this.container(name);
    if (object === undefined) throw new Error(`no EdgeContainer ${name}`);
    const { metadata, spec } = object;
    const generation = (metadata.generation ?? 0) + (change.spec === undefined ? 0 : 1);
    const annotations = { ...metadata.annotations, ...change.annotations };
    this.#put(RESOURCES.containers, {
      ...object,
      metadata: { ...metadata, generation, annotations },
      spec: { ...spec, ...change.spec },
    } as EdgeContainer);
  }

  /** A user's deletion, at this time. */
  delete(name: string, nowMs: number): void {
    const object = this.container(name);
    if (object === undefined) throw new Error(`no EdgeContainer ${name}`);
    const metadata = { ...object.metadata, deletionTimestamp: new Date(nowMs).toISOString() };
    this.#put(RESOURCES.containers, { ...object, metadata });
  }

  container(name: string): EdgeContainer | undefined {
    return this.stores.containers.get({ namespace: NAMESPACE, name });
  }

  #storeOf(resource: Resource): Store<KubeObject> {
    const store = { EdgeBackend: "backends", EdgeDevice: "devices", EdgeContainer: "containers" } as const;
    return this.stores[store[resource.kind as keyof typeof store]] as unknown as Store<KubeObject>;
  }

  #put(resource: Resource, object: KubeObject): KubeObject {
    const stored = { ...object, metadata: { ...object.metadata, resourceVersion: String(++this.#version) } };
    const store = this.#storeOf(resource);
    const { deletionTimestamp, finalizers = [], name } = stored.metadata;
    const isGone = deletionTimestamp !== undefined && finalizers.length === 0;
    const isNew = store.get({ namespace: NAMESPACE, name }) === undefined;
    store.apply(isGone ? "DELETED" : isNew ? "ADDED" : "MODIFIED", stored);
    return stored;
  }

  #patch(resource: Resource, key: ObjectKey, patch: PatchRequest): KubeObject {
    const current = this.#storeOf(resource).get(key);
    if (current === undefined) throw new Error(`a write to ${keyString(key)}, which is gone`);
    this.told.push(JSON.stringify(patch.body));
    const merged = (): KubeObject => {
      const { metadata, ...rest } = patch.body as Partial<KubeObject>;
      return { ...current, ...rest, metadata: { ...current.metadata, ...metadata } };
    };
    this.isWriting = true;
    try {
      return this.#put(resource, patch.type === "json" ? patched(current, patch.body) : merged());
    } finally {
      this.isWriting = false;
    }
  }
}

type PatchRequest = { type: "json"; body: readonly JsonPatchStep[] } | { type: "merge"; body: Partial<KubeObject> };

export interface OperatorOptions {
  cluster: Cluster;
  clock: FakeClock;
  type: BackendType;
  readonly backend: (deps: BackendDeps) => Backend;
  /** In [0, 1). */
  readonly random: () => number;
}

/** One process of the operator. */
export class VirtualOperator {
  readonly fence = { held: true };
  readonly #cluster: Cluster;
  readonly #accounts: Accounts;
  readonly #passes: readonly Passes[];
  readonly #unsubscribe: () => void;

  constructor({ cluster, clock, type, backend, random }: OperatorOptions, number: number) {
    this.#cluster = cluster;
    const { told, stores, client } = cluster;
    const log = pino({ level: "debug", base: null, timestamp: false }, { write: (line) => void told.push(line) });
    const nothing = (): void => undefined;
    const made = backend({
      clock,
      log,
      metrics: { command: nothing, malformed: nothing, reconnect: nothing },
      fence: { valid: () => this.fence.held },
      random,
      timings: {},
      processId: `process-${number}`,
    });
    const memories = new Memories();
    const wake = (): void => this.wake();
    this.#accounts = new Accounts(
      { [type]: made },
      {
        onAccount: wake,
        onNotice: (_key, notice) => void told.push(JSON.stringify(notice)),
        onDevice: (_key, event) => {
          told.push(JSON.stringify(event));
          if (event.type === "Outcome") memories.outcome(event.key, event.outcome, clock.monotonic());
          this.wake();
        },
      },
      () => clock.monotonic(),
    );
    const expectations = new Expectations({ clock });
    const startedMs = clock.monotonic();
    let ids = 0;
    const env: Environment = {
      client,
      clock,
      log,
      stores,
      resources: RESOURCES,
      accounts: this.#accounts,
      references: new References(
        {
          read: async (_kind, { name }) => ({
            data: new Map(Object.entries(cluster.secrets[name] ?? {})),
            resourceVersion: "1",
          }),
          watchedVersion: (_kind, { name }) => (name in cluster.secrets ? "1" : null),
          isWatched: () => true,
        },
        clock,
        { random },
      ),
      hashKey: new HashKey(Buffer.alloc(32, 7)),
      statusWriter: new StatusWriter({ client, clock, expectations }),
      expectations,
      events: { record: (_object, kind, reason, note) => void told.push(`${kind} ${reason} ${note}`) },
      metrics: {
        operationOpened: nothing,
        orphaned: nothing,
        rented: nothing,
        unmanagedOurs: nothing,
        deviceConnected: nothing,
        deviceGone: nothing,
      },
      slots: new SlotWaiters(),
      wake: { container: wake, device: wake, backend: wake, registry: wake, stack: wake },
      options: { ownerId: "owner-1", ownerIdIsExplicit: true, readOnly: false },
      leaderSinceMs: () => startedMs,
      newId: () => `id-${number}-${++ids}`,
      isUninstalling: async () => false,
    };
    const context = (reason: string): ReconcileContext => ({
      signal: new AbortController().signal,
      log,
      reason,
      reconcileId: reason,
    });
    this.#passes = [
      new Passes(clock, stores.backends, (key) => reconcileBackend(key, context("backend"), env)),
      new Passes(clock, stores.devices, (key) => reconcileDevice(key, context("device"), memories, env)),
      new Passes(clock, stores.containers, (key) => reconcileContainer(key, context("container"), memories, env)),
    ];
    const stops = [stores.backends, stores.devices, stores.containers].map((store, index) =>
      store.onEvent(() => {
        // As the controllers do: what a pass has written is no news to the passes over that kind.
        for (const [other, passes] of this.#passes.entries())
          if (!cluster.isWriting || other !== index) passes.isDue = true;
      }),
    );
    this.#unsubscribe = () => {
      for (const stop of stops) stop();
    };
    this.wake();
  }

  get account(): Account | undefined {
    const [backend] = this.#cluster.stores.backends.list();
    return backend === undefined ? undefined : this.#accounts.account(backend.metadata.uid);
  }

  get session(): DeviceSession | undefined {
    const [device] = this.#cluster.stores.devices.list();
    return device === undefined ? undefined : this.#accounts.device(device.metadata.uid);
  }

  /** Something happened: everything is looked at again. */
  wake(): void {
    for (const passes of this.#passes) passes.isDue = true;
  }

  /** Runs all passes that are due now. @returns whether there were any. */
  async run(): Promise<boolean> {
    let ran = false;
    for (let count = 0; this.#passes.some(({ isDue }) => isDue); count++) {
      if (count > MOST_PASSES_AT_ONCE) throw new Error("the passes wake each other without end");
      for (const passes of this.#passes) ran = (await passes.run()) || ran;
    }
    return ran;
  }

  /** Closes the device's session and opens another one, as when the EdgeDevice is edited. */
  reopen(): void {
    for (const { metadata } of this.#cluster.stores.devices.list()) this.#accounts.dropDevice(metadata.uid);
    this.wake();
  }

  /** Ends the process as a kill would: nothing is recalled. */
  async kill(): Promise<void> {
    this.#unsubscribe();
    for (const passes of this.#passes) passes.stop();
    await this.#accounts.close();
  }
}

/** The passes over the objects of one kind. */
class Passes {
  readonly #clock: FakeClock;
  readonly #store: Pick<Store<KubeObject>, "list">;
  readonly #reconcile: (key: ObjectKey) => Promise<Result>;
  readonly #known = new Map<string, ObjectKey>();
  readonly #timers = new Set<object>();
  isDue = false;

  constructor(
    clock: FakeClock,
    store: Pick<Store<KubeObject>, "list">,
    reconcile: (key: ObjectKey) => Promise<Result>,
  ) {
    this.#clock = clock;
    this.#store = store;
    this.#reconcile = reconcile;
  }

  async run(): Promise<boolean> {
    if (!this.isDue) return false;
    this.isDue = false;
    const listed = this.#store.list().map(({ metadata: { namespace = "", name } }) => ({ namespace, name }));
    for (const key of listed) this.#known.set(keyString(key), key);
    this.stop();
    // Those that are gone since have one more pass, which cleans up after them.
    const keys = [...this.#known.values()];
    this.#known.clear();
    for (const key of listed) this.#known.set(keyString(key), key);
    for (const key of keys) {
      const { requeueAfterMs } = await this.#reconcile(key);
      if (requeueAfterMs === undefined) continue;
      if (requeueAfterMs === 0) this.isDue = true;
      else this.#timers.add(this.#clock.setTimeout(() => (this.isDue = true), requeueAfterMs));
    }
    return true;
  }

  stop(): void {
    for (const timer of this.#timers) this.#clock.clearTimeout(timer);
    this.#timers.clear();
  }
}

/** Applies a JSON patch as json-patch.ts makes them: lists are replaced whole. @throws Error where a test fails. */
function patched(object: KubeObject, steps: readonly JsonPatchStep[]): KubeObject {
  const copy = structuredClone(object) as unknown as Record<string, unknown>;
  for (const step of steps) {
    const path = step.path
      .split("/")
      .slice(1)
      .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
    const last = path.pop() ?? "";
    const parent = path.reduce<Record<string, unknown>>((at, part) => at[part] as Record<string, unknown>, copy);
    if (step.op === "test") {
      if (JSON.stringify(parent[last]) !== JSON.stringify(step.value))
        throw new Error(`${step.path} is ${JSON.stringify(parent[last])}, not ${JSON.stringify(step.value)}`);
    } else if (step.op === "remove") delete parent[last];
    else parent[last] = step.value;
  }
  return copy as unknown as KubeObject;
}
