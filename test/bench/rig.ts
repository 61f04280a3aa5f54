/**
 * test/bench measures the shipped bundle against what is physically possible on the same machine in the same run: see
 * docs/benchmarks.md for what each figure means. main.ts is the command; one file per benchmark; bare*.ts are the yardsticks; this
 * file is what all of them stand on.
 *
 * A rig is a control plane of its own, an MQTT broker for each device in this process (so that the arrival of a command has the clock of
 * the load generator), all simulated devices as one process, and the operator as another, with the service account and the rights of
 * manifests/rbac and default options. All processes belong to the control plane's run: dispose ends them.
 */
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import type { EdgeContainerSpec } from "../../src/crds/edge-container.ts";
import { freePort, startControlPlane, type Component, type ControlPlane } from "../controlplane/index.ts";
import { applyCrds } from "../controlplane/manifests.ts";
import { edgePath, KubeAdmin, messageOf } from "../kube-admin.ts";
import { startBroker, type TestBroker } from "../mqtt/broker.ts";
import { LoadClient } from "./load-client.ts";
import { childrenNamed, ProcessorMeter } from "./machine.ts";
import { Operator } from "./operator.ts";
import { inParallel } from "./waiting.ts";

export const ROOT = join(import.meta.dirname, "../..");
export const OPERATOR_NAMESPACE = "drayage-system";
/** Requests of the load generator under way at a time, where it is only to be quick. */
const SETUP_CONCURRENCY = 16;

export interface RigOptions {
  /** Simulated devices, each with an EdgeDevice `device-<n>`, n from 1. */
  readonly devices: number;
  readonly log: (line: string) => void;
  /** Folder for processor profiles of the operator; none is made without it. */
  readonly profileDir: string | undefined;
}

export interface OperatorOptions {
  /** Name of its log, and of its lease where it differs from "drayage". */
  readonly name?: string;
  /** A kubeconfig instead of in-cluster credentials. */
  readonly kubeconfig?: string;
}

/** What one run of a benchmark stands on. */
export class Rig implements AsyncDisposable {
  readonly controlPlane: ControlPlane;
  /** For single questions. */
  readonly admin: KubeAdmin;
  /** For everything that is many or measured. */
  readonly load: LoadClient;
  /** One per device. */
  readonly brokers: readonly TestBroker[];
  readonly namespace = "bench";
  /** File with a token of the operator's service account. */
  readonly tokenFile: string;
  readonly #bundle: string;
  readonly #simulator: Component;
  readonly #options: RigOptions;
  readonly #arrivals: Map<string, number>;

  private constructor(options: RigOptions, parts: Parts) {
    this.#options = options;
    this.controlPlane = parts.controlPlane;
    this.admin = parts.admin;
    this.load = new LoadClient(parts.controlPlane.kubeconfig);
    this.brokers = parts.brokers;
    this.tokenFile = join(parts.controlPlane.dir, "pod", "token");
    this.#bundle = parts.bundle;
    this.#simulator = parts.simulator;
    this.#arrivals = parts.arrivals;
  }

  /** @throws MissingBinaries where no control plane can be had. */
  static async start(options: RigOptions): Promise<Rig> {
    const { log, devices } = options;
    const controlPlane = await startControlPlane({ log, controllerManager: false });
    const arrivals = new Map<string, number>();
    const brokers = await Promise.all(
      Array.from({ length: devices }, () =>
        startBroker({
          authorizePublish: (_client, topic) => {
            if (topic.includes("/req/")) arrivals.set(topic, performance.now());
            return true;
          },
        }),
      ),
    );
    try {
      // A copy, since the next build replaces dist under a run.
      cpSync(join(ROOT, "dist"), join(controlPlane.dir, "dist"), { recursive: true });
      const bundle = join(controlPlane.dir, "dist/drayage.mjs");
      await install(controlPlane);
      const admin = new KubeAdmin(controlPlane.kubeconfig);
      const simulator = await startDevices(controlPlane, brokers);
      const rig = new Rig(options, { controlPlane, admin, brokers, bundle, simulator, arrivals });
      await rig.#createDevices();
      return rig;
    } catch (error) {
      await controlPlane.stop();
      await closeAll(brokers);
      throw error;
    }
  }

  /** Starts the shipped bundle; resolves when it is ready. */
  async operator(options: OperatorOptions = {}): Promise<Operator> {
    const name = options.name ?? "drayage";
    return Operator.start({
      controlPlane: this.controlPlane,
      bundle: this.#bundle,
      name,
      address: `127.0.0.1:${await freePort()}`,
      serviceAccount: join(this.controlPlane.dir, "pod"),
      kubeconfig: options.kubeconfig,
      leaseNamespace: OPERATOR_NAMESPACE,
      profileDir: this.#options.profileDir,
    });
  }

  /** When each command (anything on a topic with /req/) arrived at the broker, ms of performance.now(), by topic. */
  get commandArrivals(): ReadonlyMap<string, number> {
    return this.#arrivals;
  }

  get devices(): number {
    return this.brokers.length;
  }

  /** Forgets the messages that the brokers keep. */
  clearMessages(): void {
    for (const { messages } of this.brokers) messages.length = 0;
    this.#arrivals.clear();
  }

  path(plural: string, name?: string): string {
    return edgePath(this.namespace, plural, name);
  }

  async create(kind: string, plural: string, name: string, spec: object): Promise<void> {
    const { status, text } = await this.load.create(this.path(plural), {
      apiVersion: "edge.drayage.dev/v1alpha1",
      kind,
      metadata: { name },
      spec,
    });
    if (status !== 201) throw new Error(`${kind} ${name}: ${status} ${text}`);
  }

  async createContainer(name: string, spec: EdgeContainerSpec): Promise<void> {
    await this.create("EdgeContainer", "edgecontainers", name, spec);
  }

  /** Creates EdgeContainers `c-<n>`, n from `from` to below `to`, over all devices in turn. */
  async createContainers(from: number, to: number, spec: Partial<EdgeContainerSpec> = {}): Promise<void> {
    const numbers = Array.from({ length: to - from }, (_, index) => from + index);
    await inParallel(numbers, SETUP_CONCURRENCY, (number) =>
      this.createContainer(containerName(number), this.containerSpec(number, spec)),
    );
  }

  /** What a container of the benchmarks looks like: image, two variables, a limit, a policy. */
  containerSpec(number: number, more: Partial<EdgeContainerSpec> = {}): EdgeContainerSpec {
    return {
      deviceRef: { name: `device-${(number % this.devices) + 1}` },
      image: "registry.example/team/sleeper:1.4.2",
      env: [
        { name: "SITE", value: `site-${number}` },
        { name: "LOG_LEVEL", value: "info" },
      ],
      resources: { limits: { memory: "65536Ki" } },
      restartPolicy: { type: "UnlessStopped" },
      stop: { timeoutSeconds: 1 },
      updateStrategy: { minReadySeconds: 0 },
      ...more,
    };
  }

  async patch(plural: string, name: string, body: object): Promise<void> {
    const { status, text } = await this.load.patch(this.path(plural, name), body);
    if (status !== 200) throw new Error(`${plural}/${name}: ${status} ${text}`);
  }

  /** Measures all processes of the rig; `more` by name. */
  processorMeter(more: Readonly<Record<string, number | undefined>> = {}): ProcessorMeter {
    return new ProcessorMeter({
      ...more,
      "kube-apiserver": childrenNamed("kube-apiserver")[0],
      etcd: childrenNamed("etcd")[0],
      devices: this.#simulator.pid,
      "load generator and broker": process.pid,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.controlPlane.stop();
    await this.admin[Symbol.asyncDispose]();
    await this.load[Symbol.asyncDispose]();
    await closeAll(this.brokers);
  }

  async #createDevices(): Promise<void> {
    const answer = await this.admin.create("/api/v1/namespaces", { metadata: { name: this.namespace } });
    if (answer.status !== 201) throw new Error(`namespace: ${answer.status} ${messageOf(answer)}`);
    await inParallel([...this.brokers.entries()], SETUP_CONCURRENCY, async ([index, { url }]) => {
      const name = `device-${index + 1}`;
      await this.create("EdgeBackend", "edgebackends", name, { kanto: { url, tenant: "t1" } });
      await this.create("EdgeDevice", "edgedevices", name, {
        backendRef: { name },
        kanto: { thingId: `edge:${name}:edge:containers` },
      });
    });
  }
}

interface Parts {
  controlPlane: ControlPlane;
  admin: KubeAdmin;
  brokers: readonly TestBroker[];
  bundle: string;
  simulator: Component;
  arrivals: Map<string, number>;
}

export function containerName(number: number): string {
  return `c-${number}`;
}

/** What docs/install.md tells to do on a cluster, and the files that the kubelet would mount into the pod. */
export async function install(controlPlane: ControlPlane): Promise<void> {
  await applyCrds(controlPlane, join(ROOT, "manifests/crds"));
  for (const args of [
    ["create", "namespace", OPERATOR_NAMESPACE],
    ["apply", "-f", join(ROOT, "manifests/rbac")],
  ]) {
    const { code, stderr } = await controlPlane.kubectl(args);
    if (code !== 0) throw new Error(`kubectl ${args.join(" ")} ended with ${code}: ${stderr.trim()}`);
  }
  const token = await controlPlane.kubectl(["create", "token", "drayage", "-n", OPERATOR_NAMESPACE, "--duration=3h"]);
  if (token.code !== 0) throw new Error(`no token for the service account: ${token.stderr.trim()}`);
  const pod = join(controlPlane.dir, "pod");
  mkdirSync(pod);
  writeFileSync(join(pod, "token"), token.stdout.trim(), { mode: 0o600 });
  writeFileSync(join(pod, "ca.crt"), controlPlane.ca);
  writeFileSync(join(pod, "namespace"), OPERATOR_NAMESPACE);
}

async function startDevices(controlPlane: ControlPlane, brokers: readonly TestBroker[]): Promise<Component> {
  const simulator: Component = controlPlane.program({
    name: "devices",
    binary: process.execPath,
    args: [join(import.meta.dirname, "devices.ts"), ...brokers.map(({ url }) => url)],
    env: { PATH: process.env["PATH"] ?? "" },
    ready: async () => Promise.resolve(simulator.logTail().includes("simulated devices")),
  });
  await simulator.start();
  return simulator;
}

async function closeAll(brokers: readonly TestBroker[]): Promise<void> {
  await Promise.all(brokers.map((broker) => broker.close()));
}
