// One program of the control plane as a child process: started in its own process group (so that Ctrl-C in a terminal reaches only the
// test run, which then stops its children in order), logging into the run's folder, stopped, killed, paused and started again.

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import type { RunDirectory } from "./runs.ts";

const running = new Set<ChildProcess>();

// Last resort for a process that ends without having stopped its control planes (an uncaught error, process.exit).
process.on("exit", () => {
  for (const child of running) {
    signalGroup(child, "SIGKILL");
  }
});

export interface ComponentOptions {
  /** Name of the log file and in messages: "kube-apiserver". */
  name: string;
  binary: string;
  args: string[];
  run: RunDirectory;
  /** Its environment; default that of this process. */
  env?: NodeJS.ProcessEnv;
  /** Whether it serves; asked every 25 ms after a start. It may throw: that means not yet. */
  ready: () => Promise<boolean>;
}

/** How long a program may take to come up on a very busy machine, and to end after SIGTERM. */
const START_MS = 120_000;
const STOP_MS = 15_000;

export class Component {
  readonly #options: ComponentOptions;
  #child: ChildProcess | undefined;

  constructor(options: ComponentOptions) {
    this.#options = options;
  }

  get running(): boolean {
    return this.#child !== undefined && !hasEnded(this.#child);
  }

  get pid(): number | undefined {
    return this.running ? this.#child?.pid : undefined;
  }

  /** The path of the log; a restart appends. */
  get logFile(): string {
    return join(this.#options.run.path, `${this.#options.name}.log`);
  }

  /**
   * Starts the program and waits until it serves.
   * @throws when it ends or does not serve within two minutes; the message holds the end of its log
   */
  async start(): Promise<void> {
    if (this.running) {
      return;
    }
    const { name, binary, args, run, env = process.env } = this.#options;
    const log = openSync(this.logFile, "a", 0o600);
    let child: ChildProcess;
    try {
      child = spawn(binary, args, { detached: true, stdio: ["ignore", log, log], cwd: run.path, env });
    } finally {
      closeSync(log);
    }
    const failed = once(child, "error").then(([error]) => error as Error);
    if (child.pid === undefined) {
      throw new Error(`${name} could not be started: ${(await failed).message}`);
    }
    this.#child = child;
    running.add(child);
    child.once("exit", () => running.delete(child));
    run.addChild(name, child.pid);
    for (const deadline = performance.now() + START_MS; performance.now() < deadline; await delay(25)) {
      if (hasEnded(child)) {
        throw new Error(`${name} ended with ${child.exitCode ?? child.signalCode} while starting:\n${this.logTail()}`);
      }
      if (await this.#options.ready().catch(() => false)) {
        return;
      }
    }
    await this.stop("SIGKILL");
    throw new Error(`${name} did not serve within ${START_MS / 1000} s:\n${this.logTail()}`);
  }

  /** Ends the program with the signal, after 15 s with SIGKILL, and waits until it is gone. Nothing happens when it does not run. */
  async stop(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<void> {
    const child = this.#child;
    if (!child || hasEnded(child)) {
      return;
    }
    const exited = once(child, "exit");
    signalGroup(child, "SIGCONT"); // A paused process takes SIGTERM only when it goes on.
    signalGroup(child, signal);
    const timer = setTimeout(() => signalGroup(child, "SIGKILL"), STOP_MS);
    try {
      await exited;
    } finally {
      clearTimeout(timer);
    }
    this.#options.run.removeChild(this.#options.name);
  }

  /** SIGSTOP: its connections stay open and nothing is answered. */
  pause(): void {
    this.#signal("SIGSTOP");
  }

  /** SIGCONT. */
  resume(): void {
    this.#signal("SIGCONT");
  }

  /** The last lines of the log. */
  logTail(lines = 20): string {
    try {
      return readFileSync(this.logFile, "utf8").trimEnd().split("\n").slice(-lines).join("\n");
    } catch (error) {
      return `(no log: ${String(error)})`;
    }
  }

  #signal(signal: NodeJS.Signals): void {
    if (!this.#child || hasEnded(this.#child)) {
      throw new Error(`${this.#options.name} does not run`);
    }
    signalGroup(this.#child, signal);
  }
}

/**
 * A port of 127.0.0.1 that nobody listens on now, outside the ranges from which systems pick ports by themselves (Linux from 32768, macOS
 * from 49152), so that it is still free when a stopped server comes back to it.
 */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 50; attempt++) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    if (await canListen(port)) {
      return port;
    }
  }
  throw new Error("no free port found between 20000 and 32000 on 127.0.0.1");
}

async function canListen(port: number): Promise<boolean> {
  const server = createServer();
  try {
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    server.close();
    await once(server, "close");
    return true;
  } catch {
    return false;
  }
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined || hasEnded(child)) {
    return;
  }
  try {
    process.kill(-child.pid, signal);
  } catch {
    child.kill(signal); // The group is not there yet, or gone already: kill() on an ended child is harmless.
  }
}
