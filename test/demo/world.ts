// Everything the demo runs on: the local control plane, three sites with a simulated device each, three simulated vendors, and the operator as its
// own process with the rights of manifests/rbac and no others. All child processes belong to the control plane's run: stop() ends them, and what a killed demo leaves
// behind is ended by the next one.

import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { findBinaries } from "../controlplane/binaries.ts";
import { freePort, startControlPlane, type Component, type ControlPlane } from "../controlplane/index.ts";
import { applyCrds } from "../controlplane/manifests.ts";
import { Board } from "./board.ts";
import { SimulatedDevice } from "./device.ts";
import { SimulatedVendor, VENDORS, type VendorName } from "./vendor.ts";

const ROOT = join(import.meta.dirname, "../..");
const DIST = join(ROOT, "dist");
const PROGRAM = "drayage.mjs";
export const SITES = ["berlin", "lyon", "porto"] as const;
export type Site = (typeof SITES)[number];

/** The service account of manifests/rbac/operator.yaml; a client certificate with this name has its rights. */
const OPERATOR = "system:serviceaccount:drayage-system:drayage";

export interface WorldEvents {
  /** Says what the set-up does. */
  progress: (line: string) => void;
  /** A kubectl command that is being run, as one would type it. */
  command: (line: string) => void;
  /** Something on the board has changed. */
  changed: () => void;
}

export class World implements AsyncDisposable {
  readonly board = new Board();
  readonly controlPlane: ControlPlane;
  readonly devices: ReadonlyMap<Site, SimulatedDevice>;
  readonly vendors: ReadonlyMap<VendorName, SimulatedVendor>;
  /** kubeconfig of an administrator with namespace demo as its default. */
  readonly kubeconfig: string;
  /** http://127.0.0.1:<port> of the operator's probes and metrics. */
  readonly operatorUrl: string;
  readonly #operator: Component;
  readonly #events: WorldEvents;
  readonly #watches = new AbortController();
  readonly #watching: Promise<void>;

  private constructor(parts: Parts) {
    this.controlPlane = parts.controlPlane;
    this.devices = parts.devices;
    this.vendors = parts.vendors;
    this.kubeconfig = parts.kubeconfig;
    this.operatorUrl = parts.operatorUrl;
    this.#operator = parts.operator;
    this.#events = parts.events;
    this.#watching = this.board.watch(this.controlPlane, parts.events.changed, this.#watches.signal);
  }

  /**
   * Starts everything.
   * @param signal ends it, between the parts and while programs are fetched or built; then it throws the signal's reason
   * @throws MissingBinaries where no control plane can be had; Error with the end of a log where a program does not come up
   */
  static async start(events: WorldEvents, signal: AbortSignal): Promise<World> {
    if (!existsSync(join(DIST, PROGRAM))) {
      throw new Error(`${join(DIST, PROGRAM)} is not there: run \`npm run demo\`, or \`npm run build\` first`);
    }
    const { progress } = events;
    const binaries = await unlessAborted(findBinaries({ log: progress }), signal);
    const manager = binaries.kubeControllerManager === undefined ? "" : ", kube-controller-manager";
    progress(`starting Kubernetes ${binaries.version}: etcd, kube-apiserver${manager}`);
    const controlPlane = await startControlPlane({ log: progress });
    const devices = new Map<Site, SimulatedDevice>();
    const vendors = new Map<VendorName, SimulatedVendor>();
    try {
      signal.throwIfAborted();
      // A copy, since the next build replaces dist under a demo that runs on.
      cpSync(DIST, join(controlPlane.dir, "dist"), { recursive: true });
      const bundle = join(controlPlane.dir, "dist", PROGRAM);
      progress("installing Drayage: manifests/crds, manifests/rbac");
      await install(controlPlane);
      const kubeconfig = await controlPlane.user("demo", { groups: ["system:masters"], namespace: "demo" });
      signal.throwIfAborted();
      progress(`starting an MQTT broker and a simulated Kanto device at each site: ${SITES.join(", ")}`);
      const env = plainEnvironment();
      progress(
        "starting three simulated vendors: Sixfab's API with an ALPON device, Hiveon's with a machine for rent, mittwald's with a project",
      );
      const started = await Promise.allSettled([
        ...SITES.map(async (site) => devices.set(site, await SimulatedDevice.start(controlPlane, site, bundle, env))),
        ...VENDORS.map(async (name) => vendors.set(name, await SimulatedVendor.start(controlPlane, name, bundle, env))),
      ]);
      for (const result of started) {
        if (result.status === "rejected") {
          throw result.reason;
        }
      }
      signal.throwIfAborted();
      progress("starting the operator: drayage run");
      const { operator, operatorUrl } = await startOperator(controlPlane, bundle, env);
      return new World({ controlPlane, devices, vendors, kubeconfig, operator, operatorUrl, events });
    } catch (error) {
      await endAll(controlPlane, devices);
      throw error;
    }
  }

  /** Runs kubectl in namespace demo, as the user of the printed KUBECONFIG. @throws with what kubectl said unless it ends with 0 */
  async kubectl(args: string[], shown: string): Promise<string> {
    this.#events.command(`kubectl ${shown}`);
    const { stdout, stderr, code } = await this.controlPlane.kubectl(args, { kubeconfig: this.kubeconfig });
    if (code !== 0) {
      throw new Error(`kubectl ${shown} ended with ${code}: ${(stderr || stdout).trim()}`);
    }
    return stdout;
  }

  /** kubectl apply of a file of test/demo/manifests, with the addresses of the brokers and vendors filled in. */
  async apply(file: string): Promise<void> {
    const template = readFileSync(join(import.meta.dirname, "manifests", file), "utf8");
    const text = template
      .replaceAll(/\{broker-(\w+)\}/g, (_, site: string) => this.device(site as Site).broker.url)
      .replaceAll(/\{url-(\w+)\}/g, (_, name: string) => this.vendor(name as VendorName).url)
      .replaceAll(/\{project-(\w+)\}/g, (_, name: string) => this.vendor(name as VendorName).project)
      .replaceAll(/\{key-(\w+)\}/g, (_, name: string) => this.vendor(name as VendorName).apiKey);
    const folder = join(this.controlPlane.dir, "manifests");
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, file), text, { mode: 0o600 });
    await this.kubectl(["apply", "-f", join(folder, file)], `apply -f test/demo/manifests/${file}`);
  }

  device(site: Site): SimulatedDevice {
    const device = this.devices.get(site);
    if (device === undefined) {
      throw new Error(`no device at ${site}`);
    }
    return device;
  }

  vendor(name: VendorName): SimulatedVendor {
    const vendor = this.vendors.get(name);
    if (vendor === undefined) {
      throw new Error(`no vendor ${name}`);
    }
    return vendor;
  }

  /** A program that has ended without being told to; undefined when all run. */
  ended(): Component | undefined {
    const programs = [
      this.#operator,
      ...[...this.devices.values(), ...this.vendors.values()].map(({ program }) => program),
    ];
    return programs.find((program) => !program.running);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#watches.abort();
    await this.#watching;
    await endAll(this.controlPlane, this.devices);
  }
}

interface Parts {
  controlPlane: ControlPlane;
  devices: ReadonlyMap<Site, SimulatedDevice>;
  vendors: ReadonlyMap<VendorName, SimulatedVendor>;
  kubeconfig: string;
  operator: Component;
  operatorUrl: string;
  events: WorldEvents;
}

/** What README tells to do on a cluster. */
async function install(controlPlane: ControlPlane): Promise<void> {
  await applyCrds(controlPlane, join(ROOT, "manifests/crds"));
  for (const args of [
    ["create", "namespace", "drayage-system"],
    ["apply", "-f", join(ROOT, "manifests/rbac")],
  ]) {
    const { code, stderr } = await controlPlane.kubectl(args);
    if (code !== 0) {
      throw new Error(`kubectl ${args.join(" ")} ended with ${code}: ${stderr.trim()}`);
    }
  }
}

async function startOperator(
  controlPlane: ControlPlane,
  bundle: string,
  env: NodeJS.ProcessEnv,
): Promise<{ operator: Component; operatorUrl: string }> {
  const kubeconfig = await controlPlane.user(OPERATOR, { namespace: "drayage-system" });
  const address = `127.0.0.1:${await freePort()}`;
  const operatorUrl = `http://${address}`;
  const operator = controlPlane.program({
    name: "drayage",
    binary: process.execPath,
    args: [
      bundle,
      "run",
      `--kubeconfig=${kubeconfig}`,
      // Explicit, or nothing would be rented.
      "--owner-id=demo",
      `--health-address=${address}`,
      `--metrics-address=${address}`,
      "--probe-timeout=2s",
      // Shorter than a user's, so that the demo need not wait: progress is written at once, and a machine is rented soon after the start.
      "--status-interval=1s",
      "--settle-time=5s",
      "--log-format=json",
    ],
    env,
    ready: async () => (await fetch(`${operatorUrl}/readyz`, { signal: AbortSignal.timeout(5000) })).ok,
  });
  await operator.start();
  return { operator, operatorUrl };
}

/** The promise, or a rejection at once when the signal aborts. */
async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason);
  signal.addEventListener("abort", onAbort);
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/** Our environment without what would change Drayage's options or point it at another cluster. */
function plainEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith("DRAYAGE_") && name !== "KUBECONFIG"),
  );
}

async function endAll(controlPlane: ControlPlane, devices: ReadonlyMap<Site, SimulatedDevice>): Promise<void> {
  // The programs first: the operator says goodbye to its devices while their brokers are there.
  await controlPlane.stop();
  for (const { broker } of devices.values()) {
    await broker.close();
  }
}
