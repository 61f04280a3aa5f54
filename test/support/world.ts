/**
 * A whole world for end-to-end tests: a namespace on the run's real API server, a broker and a simulated Kanto device for each
 * EdgeDevice, and the real `drayage run` as a process. Tests apply objects, do things to devices, kill the operator, and look at
 * two truths: what the API server says, and what the device has in its books.
 */
import { randomUUID } from "node:crypto";
import { DrayageProcess, runArgs } from "../integration/cli/drayage-process.ts";
import { KubeAdmin } from "../kube-admin.ts";
import { startBroker, type TestBroker } from "../mqtt/broker.ts";
import {
  startKantoDevice,
  startSuiteConnector,
  type KantoDevice,
  type KantoDeviceOptions,
  type SuiteConnector,
} from "../../src/simulators/kanto/index.ts";
import type { EdgeContainer, EdgeContainerSpec } from "../../src/crds/edge-container.ts";
import type { EdgeDevice } from "../../src/crds/edge-device.ts";
import type { EdgeBackend } from "../../src/crds/edge-backend.ts";
import type { EdgeStack, EdgeStackSpec } from "../../src/crds/edge-stack.ts";
import { KINDS } from "../../src/crds/group.ts";
import { setTimeout as delay } from "node:timers/promises";

const ROOT = "/apis/edge.drayage.dev/v1alpha1";
/** Guards a hang; nothing takes so long when all is well. */
const HANG_MS = 90_000;

/** Times of a real process, shortened by documented options; no test's verdict depends on them. */
export const SHORT_TIMES = [
  // Long enough for a machine that is busy with other tests: who loses its lease ends.
  "--lease-duration=10s",
  "--renew-deadline=8s",
  "--retry-period=300ms",
  "--probe-timeout=1s",
  "--reconnect-initial=100ms",
  "--reconnect-max=500ms",
  "--settle-time=500ms",
  "--status-interval=200ms",
];

export interface WorldOptions {
  kubeconfig: string;
  /** Added to every operator's command line. */
  operatorArgs?: readonly string[];
  /** How the operator reaches the API server, if not by `kubeconfig` (a fault proxy). */
  operatorKubeconfig?: string;
}

/** One device with its broker. */
export interface Site {
  name: string;
  broker: TestBroker;
  device: KantoDevice;
  /** Of a site behind a broker in the cloud. */
  connector?: SuiteConnector;
}

interface Route {
  kanto: object;
  observeIntervalSeconds: number;
  deviceSpec: object;
}

export class World implements AsyncDisposable {
  readonly admin: KubeAdmin;
  readonly namespace: string;
  /** The same for every operator of this world, as a chart value would be. */
  readonly ownerId = `test-${randomUUID().slice(0, 8)}`;
  readonly #options: WorldOptions;
  readonly #sites: Site[] = [];
  readonly #routes = new Map<string, Route>();
  readonly #operators: DrayageProcess[] = [];

  private constructor(options: WorldOptions, admin: KubeAdmin, namespace: string) {
    this.#options = options;
    this.admin = admin;
    this.namespace = namespace;
  }

  static async create(options: WorldOptions): Promise<World> {
    const admin = new KubeAdmin(options.kubeconfig);
    return new World(options, admin, await admin.namespace("world"));
  }

  /** A broker, a device on it, and an EdgeBackend and EdgeDevice that lead there. */
  async site(
    name: string,
    options: Partial<KantoDeviceOptions> & {
      /** Puts something before the broker for the operator, the device is not told; gives its port. */
      throughProxy?: (port: number) => Promise<number>;
      /** The operator reaches the device through a suite-connector and this broker (transport Connector). */
      cloud?: TestBroker;
      observeIntervalSeconds?: number;
      device?: object;
    } = {},
  ): Promise<Site> {
    const { throughProxy, cloud, observeIntervalSeconds = 2, device: deviceSpec = {}, ...deviceOptions } = options;
    const broker = await startBroker();
    const gateway = `edge:${name}`;
    const connector =
      cloud && (await startSuiteConnector({ local: broker, cloud, deviceId: gateway, reconnectMs: 100 }));
    const device = await startKantoDevice({
      brokerUrl: broker.url,
      deviceId: gateway,
      answerIdentity: connector === undefined,
      reconnectMs: 100,
      restartDelayMs: 100,
      defaultStopTimeoutS: 1,
      startMs: 5,
      ...deviceOptions,
    });
    const site = { name, broker, device, ...(connector && { connector }) };
    this.#sites.push(site);
    const url = throughProxy === undefined ? broker.url : `mqtt://127.0.0.1:${await throughProxy(broker.port)}`;
    this.#routes.set(name, {
      kanto: cloud ? { url: cloud.url, tenant: "t1", transport: "Connector" } : { url, tenant: "t1" },
      observeIntervalSeconds,
      deviceSpec,
    });
    await this.#createRoute(name);
    return site;
  }

  /** An EdgeBackend and an EdgeDevice that lead to a device which somebody else starts and ends. */
  async route(name: string, url: string, observeIntervalSeconds = 5): Promise<{ name: string }> {
    this.#routes.set(name, { kanto: { url, tenant: "t1" }, observeIntervalSeconds, deviceSpec: {} });
    await this.#createRoute(name);
    return { name };
  }

  /** Makes namespace, EdgeBackend and EdgeDevice again after the API server has lost everything. */
  async restore(site: Site): Promise<void> {
    const answer = await this.admin.create("/api/v1/namespaces", { metadata: { name: this.namespace } });
    if (answer.status !== 201) throw new Error(`namespace: ${answer.status} ${JSON.stringify(answer.body)}`);
    await this.#createRoute(site.name);
  }

  async #createRoute(name: string): Promise<void> {
    const route = this.#routes.get(name);
    if (route === undefined) throw new Error(`no route to ${name}`);
    await this.create("edgebackends", name, {
      kanto: route.kanto,
      observeIntervalSeconds: route.observeIntervalSeconds,
      commandTimeoutSeconds: 5,
      createTimeoutSeconds: 20,
    });
    await this.create("edgedevices", name, {
      backendRef: { name },
      kanto: { thingId: `edge:${name}:edge:containers` },
      deletion: { graceSeconds: 5 },
      ...route.deviceSpec,
    });
  }

  /** Starts an operator; several may run at once. `--no-owner-id` leaves out the world's own. */
  operator(...given: string[]): DrayageProcess {
    const args = given.filter((arg) => arg !== "--no-owner-id");
    const owner = given.length === args.length ? [`--owner-id=${this.ownerId}`] : [];
    const operator = new DrayageProcess([
      ...runArgs(this.#options.operatorKubeconfig ?? this.#options.kubeconfig),
      ...SHORT_TIMES,
      ...owner,
      `--namespace=${this.namespace}`,
      `--lease-namespace=${this.namespace}`,
      ...(this.#options.operatorArgs ?? []),
      ...args,
    ]);
    this.#operators.push(operator);
    return operator;
  }

  path(plural: string, name: string): string {
    return `${ROOT}/namespaces/${this.namespace}/${plural}/${name}`;
  }

  async create(plural: string, name: string, spec: object, metadata: object = {}): Promise<void> {
    const kind = Object.values(KINDS).find((each) => each.plural === plural)?.kind;
    const answer = await this.admin.create(`${ROOT}/namespaces/${this.namespace}/${plural}`, {
      apiVersion: "edge.drayage.dev/v1alpha1",
      kind,
      metadata: { name, ...metadata },
      spec,
    });
    if (answer.status !== 201) throw new Error(`${plural}/${name}: ${answer.status} ${JSON.stringify(answer.body)}`);
  }

  /** An EdgeContainer on a site, quick to be Ready. */
  async container(
    name: string,
    site: { name: string },
    spec: Partial<EdgeContainerSpec> = {},
    metadata: object = {},
  ): Promise<void> {
    await this.create("edgecontainers", name, { ...this.containerSpec(site, spec) }, metadata);
  }

  containerSpec(site: { name: string }, spec: Partial<EdgeContainerSpec> = {}): EdgeContainerSpec {
    const { updateStrategy, ...rest } = spec;
    return {
      deviceRef: { name: site.name },
      image: "registry.example/sleeper:1",
      updateStrategy: { minReadySeconds: 0, ...updateStrategy },
      backoff: { initialSeconds: 1, maxSeconds: 2, resetAfterSeconds: 600 },
      stop: { timeoutSeconds: 1 },
      ...rest,
    };
  }

  /** An EdgeStack; its containers are quick to be Ready. */
  async stack(name: string, spec: EdgeStackSpec, metadata: object = {}): Promise<void> {
    await this.create("edgestacks", name, spec, metadata);
  }

  async patch(plural: string, name: string, body: object): Promise<void> {
    const answer = await this.admin.patch(this.path(plural, name), body);
    if (answer.status !== 200) throw new Error(`${plural}/${name}: ${answer.status} ${JSON.stringify(answer.body)}`);
  }

  async delete(plural: string, name: string): Promise<void> {
    const answer = await this.admin.delete(this.path(plural, name));
    if (answer.status !== 200 && answer.status !== 202)
      throw new Error(`${plural}/${name}: ${answer.status} ${JSON.stringify(answer.body)}`);
  }

  async get<T>(plural: string, name: string): Promise<T | undefined> {
    const answer = await this.admin.get(this.path(plural, name));
    return answer.status === 404 ? undefined : (answer.body as T);
  }

  readonly getContainer = (name: string) => this.get<EdgeContainer>("edgecontainers", name);
  readonly getStack = (name: string) => this.get<EdgeStack>("edgestacks", name);
  readonly getDevice = (name: string) => this.get<EdgeDevice>("edgedevices", name);
  readonly getBackend = (name: string) => this.get<EdgeBackend>("edgebackends", name);

  /** Waits for a condition of an EdgeContainer at its present generation; gives the object. */
  async condition(name: string, type: string, status: string, reason?: string): Promise<EdgeContainer> {
    return this.#condition<EdgeContainer>("edgecontainers", name, type, status, reason);
  }

  /** The same of an EdgeStack. */
  async stackCondition(name: string, type: string, status: string, reason?: string): Promise<EdgeStack> {
    return this.#condition<EdgeStack>("edgestacks", name, type, status, reason);
  }

  async #condition<T extends EdgeContainer | EdgeStack>(
    plural: string,
    name: string,
    type: string,
    status: string,
    reason?: string,
  ): Promise<T> {
    let last: T | undefined;
    await this.until(
      async () => {
        last = await this.get<T>(plural, name);
        const found = conditionOf(last, type);
        return (
          found?.status === status &&
          found.observedGeneration === last?.metadata.generation &&
          (reason === undefined || found.reason === reason)
        );
      },
      () =>
        `${name}: ${type}=${status}${reason === undefined ? "" : ` ${reason}`}; last seen ${JSON.stringify(last?.status, null, 1)}`,
    );
    if (last === undefined) throw new Error("unreachable");
    return last;
  }

  async gone(plural: string, name: string): Promise<void> {
    let last: unknown;
    await this.until(
      async () => (last = await this.get(plural, name)) === undefined,
      () => `${plural}/${name} to be gone; last seen ${JSON.stringify(last, null, 1)}`,
    );
  }

  /**
   * Waits until something holds; a failure tells what the operators last said.
   * @param goesOn whether to wait on; by default a deadline that only guards against a hang
   */
  async until(
    holds: () => boolean | Promise<boolean>,
    what: string | (() => string),
    goesOn: () => boolean = guardedBy(performance.now() + HANG_MS),
  ): Promise<void> {
    for (; goesOn(); await delay(20)) {
      if (await holds()) return;
      if (this.#operators.some((operator) => operator.failed)) break;
    }
    const logs = this.#operators
      .map((operator) => operator.stdout.split("\n").slice(-40).join("\n"))
      .join("\n--- next operator\n");
    const errors = this.#operators.map((operator) => operator.stderr).join("\n");
    throw new Error(`never came: ${typeof what === "string" ? what : what()}\n--- operators\n${logs}\n${errors}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#operators.map((operator) => operator[Symbol.asyncDispose]()));
    await Promise.all(
      this.#sites.map(async ({ device, broker, connector }) => {
        await device.stop();
        await connector?.stop();
        await broker.close();
      }),
    );
    // Let go of what is left, so that the namespace can be deleted.
    for (const plural of ["edgestacks", "edgecontainers", "edgeregistries", "edgedevices", "edgebackends"]) {
      const list = await this.admin.get<{ items?: { metadata: { name: string } }[] }>(
        `${ROOT}/namespaces/${this.namespace}/${plural}`,
      );
      for (const { metadata } of list.body.items ?? []) {
        await this.admin.patch(this.path(plural, metadata.name), { metadata: { finalizers: null } });
        await this.admin.delete(this.path(plural, metadata.name));
      }
    }
    await this.admin.delete(`/api/v1/namespaces/${this.namespace}`);
    await this.admin[Symbol.asyncDispose]();
  }
}

function guardedBy(deadline: number): () => boolean {
  return () => performance.now() < deadline;
}

export function conditionOf(object: { status?: { conditions?: { type: string }[] } } | undefined, type: string) {
  return (object?.status as EdgeContainer["status"])?.conditions?.find((condition) => condition.type === type);
}

/** Containers that exist on a device now, by name. */
export function existing(site: Site, name?: string) {
  return site.device
    .containers()
    .filter((container) => container.exists && (name === undefined || container.name === name));
}

/** Every container that was ever created under a name, removed ones included. */
export function everCreated(site: Site, name: string) {
  return site.device.everCreated().filter((container) => container.name === name);
}
