// A real device: Eclipse Kanto's daemon with containerd and runc, behind walls of its own (namespaces.ts), with a registry of its own and a
// fault proxy on its way to a broker outside. Two truths are independent of what the daemon publishes: its files, and the events of
// containerd (books.ts).

import { execFile } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect, createServer, type Server } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { startMqttFaultProxy, type MqttFaultProxy } from "../faults/mqtt-proxy.ts";
import { Books } from "./books.ts";
import { programLayer } from "./image.ts";
import { Namespaces, type InsideProcess } from "./namespaces.ts";
import { workload, type DevicePrograms } from "./programs.ts";
import { startRegistry, type Registry } from "./registry.ts";

/** Guards a hang: the daemon is up within a second. */
const HANG_MS = 30_000;
const REGISTRY_PORT = 5000;
const BROKER_PORT = 1883;

export interface DeviceOptions {
  programs: DevicePrograms;
  /** Port of the broker on the host's loopback. */
  brokerPort: number;
  /** How long a pull of `slow` takes, ms. Default 600. */
  slowMs?: number;
}

export class Device implements AsyncDisposable {
  /** Between the daemon and the broker. */
  readonly proxy: MqttFaultProxy;
  readonly registry: Registry;
  readonly books: Books;
  readonly #programs: DevicePrograms;
  readonly #namespaces: Namespaces;
  readonly #road: Server;
  #daemon: InsideProcess | undefined;

  private constructor(
    programs: DevicePrograms,
    namespaces: Namespaces,
    parts: { proxy: MqttFaultProxy; registry: Registry; road: Server },
  ) {
    this.#programs = programs;
    this.#namespaces = namespaces;
    this.proxy = parts.proxy;
    this.registry = parts.registry;
    this.#road = parts.road;
    this.books = new Books(this.#path("home"), this.#path("events.log"));
  }

  static async start(options: DeviceOptions): Promise<Device> {
    const { programs, brokerPort, slowMs = 600 } = options;
    const program = await workload();
    const namespaces = await Namespaces.start(programs, program, {
      [`127.0.0.1:${BROKER_PORT}`]: "broker.sock",
      [`127.0.0.1:${REGISTRY_PORT}`]: "registry.sock",
    });
    const layer = programLayer("workload", readFileSync(program));
    const proxy = await startMqttFaultProxy({ upstreamPort: brokerPort });
    const registry = await startRegistry({ socket: join(namespaces.folder, "registry.sock"), layer, slowMs });
    const road = await startRoad(join(namespaces.folder, "broker.sock"), proxy.port);
    const device = new Device(programs, namespaces, { proxy, registry, road });
    try {
      await device.#startContainerd();
      await device.startDaemon();
    } catch (error) {
      await device[Symbol.asyncDispose]();
      throw error;
    }
    return device;
  }

  /** A reference that the device's registry serves (registry.ts says what each repository gives). */
  image(repository: string, tag = "1"): string {
    return `localhost:${REGISTRY_PORT}/test/${repository}:${tag}`;
  }

  /** What the daemon and containerd logged so far. */
  log(): string {
    return ["daemon.log", "containerd.log"]
      .map((name) => this.#path(name))
      .map((path) => (existsSync(path) ? readFileSync(path, "utf8") : ""))
      .join("\n");
  }

  get daemonRunning(): boolean {
    return this.#daemon?.ended === false;
  }

  /** Starts the daemon, and waits until it can be spoken to on the device. */
  async startDaemon(): Promise<void> {
    this.#daemon = await this.#namespaces.spawn(
      this.#programs["container-management"],
      ["--cfg-file", this.#path("daemon.json")],
      "daemon.out",
    );
    await this.#ready(async () => (await this.cli("list"), true), "the daemon's socket");
  }

  /** Ends the daemon by a signal; what it runs goes on after SIGKILL and is stopped by it on SIGTERM. */
  async endDaemon(signal: "SIGKILL" | "SIGTERM"): Promise<void> {
    await this.#daemon?.kill(signal);
    this.#daemon = undefined;
  }

  /** kanto-cm on the device, as a person there uses it. @returns what it printed. */
  async cli(...args: string[]): Promise<string> {
    const address = ["--host", this.#path("daemon.sock")];
    const { stdout } = await promisify(execFile)(this.#programs["kanto-cm"], [...address, ...args]);
    return stdout.trim();
  }

  /** What a published port answers on the device, reached from the device's own bridge; undefined if nobody does. */
  async ask(port: number): Promise<string | undefined> {
    const script = `require("net").connect(${port}, "172.17.0.1").on("error", () => process.exit(1)).pipe(process.stdout)`;
    const { stdout } = await this.#namespaces.run(process.execPath, ["-e", script]);
    return stdout.trim() || undefined;
  }

  /** The memory limit of a container as the kernel has it, bytes. */
  memoryLimit(id: string): number {
    return this.#namespaces.memoryLimit(id);
  }

  /** Runs something inside that holds a TCP port until it is told to end. */
  async holdPort(port: number): Promise<InsideProcess> {
    return this.#namespaces.spawn(await workload(), ["listen", String(port)], "port.out");
  }

  async #startContainerd(): Promise<void> {
    const { name } = this.#namespaces;
    for (const folder of ["home", "exec"]) mkdirSync(this.#path(folder));
    writeFileSync(
      this.#path("containerd.toml"),
      containerdSettings((file) => this.#path(file)),
    );
    writeFileSync(this.#path("daemon.json"), JSON.stringify(daemonSettings(name, (file) => this.#path(file))));
    await this.#namespaces.spawn(
      this.#programs.containerd,
      ["--config", this.#path("containerd.toml")],
      "containerd.log",
    );
    await this.#ready(async () => {
      await promisify(execFile)(this.#programs.ctr, ["--address", this.#path("containerd.sock"), "version"]);
      return true;
    }, "containerd's socket");
    const listen = ["--address", this.#path("containerd.sock"), "--namespace", name, "events"];
    await this.#namespaces.spawn(this.#programs.ctr, listen, "events.log");
    await this.#ready(async () => {
      // Proof that the listener listens: something happens, and it says so.
      const args = ["--address", this.#path("containerd.sock"), "namespaces", "label", name, `at=${performance.now()}`];
      await promisify(execFile)(this.#programs.ctr, args);
      return readFileSync(this.#path("events.log"), "utf8").includes("/namespaces/");
    }, "containerd's events");
  }

  /** Waits until a look succeeds. */
  async #ready(look: () => Promise<boolean>, what: string): Promise<void> {
    let last = "";
    for (const deadline = performance.now() + HANG_MS; performance.now() < deadline; await delay(20)) {
      if (await look().catch((error: unknown) => ((last = String(error)), false))) return;
      if (this.#daemon?.ended === true) break;
    }
    throw new Error(`never came: ${what}: ${last}\n${this.log()}`);
  }

  #path(file: string): string {
    return join(this.#namespaces.folder, file);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#namespaces[Symbol.asyncDispose]();
    await this.registry.close();
    await this.proxy.close();
    this.#road.close();
  }
}

/** Leads a unix socket to a port of the loopback. */
async function startRoad(socket: string, port: number): Promise<Server> {
  const road = createServer((inside) => {
    const outside = connect(port, "127.0.0.1");
    inside.on("error", () => outside.resetAndDestroy()).pipe(outside);
    outside.on("error", () => inside.destroy()).pipe(inside);
    outside.on("close", () => inside.destroy());
  });
  road.listen(socket);
  await once(road, "listening");
  return road;
}

/** github.com/containerd/containerd, docs/man/containerd-config.toml.5.md. What the daemon does not use is off. */
function containerdSettings(path: (file: string) => string): string {
  return [
    "version = 2",
    `root = "${path("containerd")}"`,
    `state = "${path("containerd-state")}"`,
    'disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper"]',
    "[grpc]",
    `address = "${path("containerd.sock")}"`,
    "",
  ].join("\n");
}

/** The daemon's JSON configuration (eclipse.dev/kanto, "Container management configuration"); all else as it comes. */
function daemonSettings(name: string, path: (file: string) => string): object {
  const folders = { home_dir: path("home"), exec_root_dir: path("exec") };
  return {
    log: { log_file: path("daemon.log"), log_level: "DEBUG", log_file_size: 50 },
    manager: { ...folders, default_ctrs_stop_timeout: "2s" },
    containers: { ...folders, default_ns: name, address_path: path("containerd.sock") },
    network: { ...folders, type: "bridge" },
    grpc_server: { protocol: "unix", address_path: path("daemon.sock") },
    things: { enable: true, home_dir: path("home") },
    deployment: { enable: false },
    connection: { broker_url: `tcp://127.0.0.1:${BROKER_PORT}` },
  };
}
