// The walls of a device: network, mount and pid namespaces of its own (namespaces(7)), so that it has its own loopback, bridge, iptables
// rules, /run and mounts, and is gone as a whole, processes, mounts and interfaces, when its first process is killed. Only its cgroups
// outlive it as empty folders; they carry the device's name and are removed with it, or by the next run if this one is killed.

import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, openSync, readdirSync, readFileSync, rmdirSync } from "node:fs";
import { basename, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { cacheDir } from "../controlplane/cache.ts";
import { endLeftovers, RunDirectory } from "../controlplane/runs.ts";
import type { DevicePrograms } from "./programs.ts";

/** Guards a hang; all of it takes milliseconds. */
const HANG_MS = 20_000;
const PREFIX = "drayage-";

/** A program that runs inside. */
export interface InsideProcess {
  /** As the host sees it. */
  readonly pid: number;
  readonly ended: boolean;
  kill(signal: NodeJS.Signals): Promise<void>;
}

export class Namespaces implements AsyncDisposable {
  /** A folder of the device's own, the same inside and outside; it is removed with the device. */
  readonly folder: string;
  /** Unique on this machine: its cgroups, and its namespace in containerd, have this name. */
  readonly name: string;
  readonly #programs: DevicePrograms;
  readonly #run: RunDirectory;
  #first: ChildProcess | undefined;
  #firstPid = 0;

  private constructor(programs: DevicePrograms) {
    this.#programs = programs;
    const runs = join(cacheDir(), "daemon", "runs");
    endLeftovers(runs);
    removeCgroups((name) => !existsSync(join(runs, name.slice(PREFIX.length))));
    this.#run = new RunDirectory(runs);
    this.folder = this.#run.path;
    this.name = PREFIX + basename(this.folder);
  }

  /**
   * @param init the program whose `init` is the first process (test/daemon/workload)
   * @param routes TCP addresses inside to unix sockets outside, for what is not in there
   */
  static async start(programs: DevicePrograms, init: string, routes: Record<string, string>): Promise<Namespaces> {
    const namespaces = new Namespaces(programs);
    const args = Object.entries(routes).map(([address, file]) => `${address}=${join(namespaces.folder, file)}`);
    try {
      await namespaces.#start([init, "init", ...args]);
    } catch (error) {
      await namespaces[Symbol.asyncDispose]();
      throw error;
    }
    return namespaces;
  }

  async #start(init: readonly string[]): Promise<void> {
    const walls = ["--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child=SIGKILL"];
    const first = spawn(this.#programs.unshare, [...walls, "--", ...init], {
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    this.#first = first;
    let said = "";
    first.stdout.setEncoding("utf8").on("data", (text: string) => (said += text));
    first.stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
    await once(first, "spawn");
    this.#run.addChild("device", first.pid ?? 0);
    await until(
      () => said.includes("ready") || first.exitCode !== null,
      () => `the device's namespaces: ${said}`,
    );
    if (first.exitCode !== null) throw new Error(`the device's namespaces cannot be made: ${said}`);
    this.#firstPid = await onlyChild(first.pid ?? 0);
  }

  /** Starts a program inside; what it says goes to a file of the device's folder. */
  async spawn(program: string, args: readonly string[], logFile: string): Promise<InsideProcess> {
    const log = openSync(join(this.folder, logFile), "a");
    const child = spawn(this.#programs.nsenter, [...this.#entry(), program, ...args], { stdio: ["ignore", log, log] });
    closeSync(log);
    const exited = once(child, "exit");
    exited.catch(() => undefined);
    const pid = await onlyChild(child.pid ?? 0);
    return {
      pid,
      get ended() {
        return child.exitCode !== null || child.signalCode !== null;
      },
      kill: async (signal) => {
        if (child.exitCode === null && child.signalCode === null) process.kill(pid, signal);
        await exited;
      },
    };
  }

  /** Runs a program inside to its end. */
  async run(program: string, args: readonly string[]): Promise<{ stdout: string }> {
    return promisify(execFile)(this.#programs.nsenter, [...this.#entry(), program, ...args]).catch(
      (error: { stdout?: string }) => ({ stdout: error.stdout ?? "" }),
    );
  }

  /** The memory limit of one of our cgroups, bytes; cgroups(7), version 1 or 2. */
  memoryLimit(group: string): number {
    const files = ["memory.limit_in_bytes", "memory.max"];
    const paths = cgroupMounts().flatMap((mount) => files.map((file) => join(mount, this.name, group, file)));
    const path = paths.find((candidate) => existsSync(candidate));
    if (path === undefined) throw new Error(`no memory cgroup of ${group}`);
    const text = readFileSync(path, "utf8").trim();
    return text === "max" ? Number.POSITIVE_INFINITY : Number(text);
  }

  #entry(): string[] {
    return ["--target", String(this.#firstPid), "--mount", "--net", "--pid", "--"];
  }

  /** Pulls the plug: every process inside ends at once. */
  async [Symbol.asyncDispose](): Promise<void> {
    const first = this.#first;
    if (first?.pid !== undefined && first.exitCode === null && first.signalCode === null) {
      const exited = once(first, "exit");
      process.kill(this.#firstPid || first.pid, "SIGKILL");
      await exited;
    }
    this.#run.remove();
    await until(
      () => removeCgroups((name) => name === this.name),
      () => `an end of the cgroups of ${this.name}`,
    );
  }
}

/** A program that forks itself away has one child. */
async function onlyChild(pid: number): Promise<number> {
  let child = 0;
  const look = (): boolean => {
    child = Number(readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ")[0]);
    return child > 0;
  };
  await until(look, () => `a child of ${pid}`);
  return child;
}

async function until(holds: () => boolean, what: () => string): Promise<void> {
  for (const deadline = performance.now() + HANG_MS; !holds(); await delay(5)) {
    if (performance.now() > deadline) throw new Error(`never came: ${what()}`);
  }
}

/** Where the hierarchies of cgroups are mounted: one per controller in version 1. */
function cgroupMounts(): string[] {
  return readFileSync("/proc/mounts", "utf8")
    .split("\n")
    .map((line) => line.split(" "))
    .filter(([, , type]) => type === "cgroup" || type === "cgroup2")
    .map(([, path]) => path ?? "");
}

/** Removes the cgroups of devices that the filter names, in every hierarchy. False: there is still a process in one. */
function removeCgroups(which: (name: string) => boolean): boolean {
  let gone = true;
  for (const mount of cgroupMounts()) {
    const names = readdirSync(mount).filter((name) => name.startsWith(PREFIX) && which(name));
    for (const name of names) gone = removeTree(join(mount, name)) && gone;
  }
  return gone;
}

/** cgroups(7): files in there cannot be removed and need not be; folders can, from the leaves, when no process is left. */
function removeTree(folder: string): boolean {
  try {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (entry.isDirectory() && !removeTree(join(folder, entry.name))) return false;
    }
    rmdirSync(folder);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return true;
    if (code === "EBUSY") return false;
    throw error;
  }
}
