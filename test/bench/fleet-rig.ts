/**
 * What the fleet benchmark stands on: a control plane, one MQTT broker in this process, all simulated devices as one process, and the
 * operator as another. In contrast to rig.ts there is one broker and one EdgeBackend for all devices: one connection carries the fleet.
 */
import { cpSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import type { EdgeDevice } from "../../src/crds/edge-device.ts";
import { freePort, startControlPlane, type Component, type ControlPlane } from "../controlplane/index.ts";
import { edgePath, KubeAdmin, messageOf } from "../kube-admin.ts";
import { startBroker, type TestBroker } from "../mqtt/broker.ts";
import { LoadClient } from "./load-client.ts";
import { childrenNamed, ProcessorMeter } from "./machine.ts";
import { Operator } from "./operator.ts";
import { install, OPERATOR_NAMESPACE, ROOT } from "./rig.ts";
import { inParallel, until } from "./waiting.ts";

const NAMESPACE = "bench";
const BACKEND = "central";
const SETUP_CONCURRENCY = 16;
/** Begins the client ids of the operator's connections (EdgeBackend.spec.kanto.clientIdPrefix). */
const OPERATOR_CLIENT = "drayage-";

export function gatewayId(number: number): string {
  return `edge:device-${number}`;
}

export function devicePrefix(number: number): string {
  return `site-${number}/`;
}

/** Publishes that the broker has taken. */
export interface Messages {
  readonly operator: number;
  readonly devices: number;
}

export interface FleetRigOptions {
  /** Simulated devices; EdgeDevices are made by `addDevices`. */
  readonly devices: number;
  readonly log: (line: string) => void;
  readonly profileDir: string | undefined;
}

export class FleetRig implements AsyncDisposable {
  readonly #options: FleetRigOptions;
  readonly #controlPlane: ControlPlane;
  readonly #admin: KubeAdmin;
  readonly #load: LoadClient;
  readonly #broker: TestBroker;
  readonly #messages = { operator: 0, devices: 0 };
  #simulator: Component | undefined;
  #devices = 0;

  private constructor(options: FleetRigOptions, controlPlane: ControlPlane, broker: TestBroker) {
    this.#options = options;
    this.#controlPlane = controlPlane;
    this.#broker = broker;
    this.#admin = new KubeAdmin(controlPlane.kubeconfig);
    this.#load = new LoadClient(controlPlane.kubeconfig);
  }

  /** @throws MissingBinaries where no control plane can be had. */
  static async start(options: FleetRigOptions): Promise<FleetRig> {
    const controlPlane = await startControlPlane({ log: options.log, controllerManager: false });
    let broker: TestBroker | undefined;
    try {
      const rig: { count?: (clientId: string) => void } = {};
      broker = await startBroker({
        authorizePublish: (clientId) => {
          rig.count?.(clientId);
          return true;
        },
      });
      const started = new FleetRig(options, controlPlane, broker);
      rig.count = (clientId) => started.#count(clientId);
      await started.#setUp();
      return started;
    } catch (error) {
      await controlPlane.stop();
      await broker?.close();
      throw error;
    }
  }

  /** Creates EdgeDevices until there are so many. */
  async addDevices(count: number): Promise<void> {
    const numbers = Array.from({ length: count - this.#devices }, (_, index) => this.#devices + 1 + index);
    await inParallel(numbers, SETUP_CONCURRENCY, (number) =>
      this.#create("EdgeDevice", "edgedevices", `device-${number}`, {
        backendRef: { name: BACKEND },
        kanto: { thingId: gatewayId(number), topicPrefix: devicePrefix(number) },
      }),
    );
    this.#devices = Math.max(count, this.#devices);
  }

  /** Starts the shipped bundle; resolves when it is ready. */
  async operator(): Promise<Operator> {
    return Operator.start({
      controlPlane: this.#controlPlane,
      bundle: join(this.#controlPlane.dir, "dist/drayage.mjs"),
      name: "drayage",
      address: `127.0.0.1:${await freePort()}`,
      serviceAccount: join(this.#controlPlane.dir, "pod"),
      kubeconfig: undefined,
      leaseNamespace: OPERATOR_NAMESPACE,
      profileDir: this.#options.profileDir,
    });
  }

  /** Publishes since the start of the rig; takes what the broker keeps of them out of memory. */
  messages(): Messages {
    this.#broker.messages.length = 0;
    return { ...this.#messages };
  }

  /** EdgeDevices that are Ready, with a complete inventory, in the API. */
  async readyDevices(): Promise<number> {
    const { body } = await this.#admin.get<{ items: EdgeDevice[] }>(edgePath(NAMESPACE, "edgedevices"));
    return body.items.filter(isReady).length;
  }

  /** Measures all processes of the rig; `more` by name. */
  processorMeter(more: Readonly<Record<string, number | undefined>>): ProcessorMeter {
    return new ProcessorMeter({
      ...more,
      "kube-apiserver": childrenNamed("kube-apiserver")[0],
      etcd: childrenNamed("etcd")[0],
      devices: this.#simulator?.pid,
      "benchmark and broker": process.pid,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#controlPlane.stop();
    await this.#admin[Symbol.asyncDispose]();
    await this.#load[Symbol.asyncDispose]();
    await this.#broker.close();
  }

  async #setUp(): Promise<void> {
    // A copy, since the next build replaces dist under a run.
    cpSync(join(ROOT, "dist"), join(this.#controlPlane.dir, "dist"), { recursive: true });
    await install(this.#controlPlane);
    const answer = await this.#admin.create("/api/v1/namespaces", { metadata: { name: NAMESPACE } });
    if (answer.status !== 201) throw new Error(`namespace: ${answer.status} ${messageOf(answer)}`);
    await this.#create("EdgeBackend", "edgebackends", BACKEND, { kanto: { url: this.#broker.url, tenant: "t1" } });
    await this.#startDevices();
  }

  async #startDevices(): Promise<void> {
    const { devices, log } = this.#options;
    const simulator: Component = this.#controlPlane.program({
      name: "devices",
      binary: process.execPath,
      args: [join(import.meta.dirname, "fleet-devices.ts"), this.#broker.url, String(devices)],
      env: { PATH: process.env["PATH"] ?? "" },
      ready: async () => Promise.resolve(simulator.logTail().includes("simulated devices")),
    });
    this.#simulator = simulator;
    await simulator.start();
    await until(
      () => Promise.resolve(this.#broker.clientIds().length >= devices),
      () => `${devices} devices to connect; ${this.#broker.clientIds().length} have`,
    );
    log(`fleet: ${devices} simulated devices are connected to the broker`);
  }

  async #create(kind: string, plural: string, name: string, spec: object): Promise<void> {
    const { status, text } = await this.#load.create(edgePath(NAMESPACE, plural), {
      apiVersion: "edge.drayage.dev/v1alpha1",
      kind,
      metadata: { name },
      spec,
    });
    if (status !== 201) throw new Error(`${kind} ${name}: ${status} ${text}`);
  }

  #count(clientId: string): void {
    if (clientId.startsWith(OPERATOR_CLIENT)) this.#messages.operator += 1;
    else this.#messages.devices += 1;
  }
}

function isReady({ status }: EdgeDevice): boolean {
  const ready = status?.conditions?.some(({ type, status: value }) => type === "Ready" && value === "True") === true;
  return ready && status?.unmanaged?.length === 1;
}
