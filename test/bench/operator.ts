/** The operator under measurement: the shipped bundle as its own process. */
import { join } from "node:path";
import process from "node:process";
import type { Component, ControlPlane } from "../controlplane/index.ts";
import { residentMb } from "./machine.ts";

export interface OperatorStart {
  readonly controlPlane: ControlPlane;
  /** Path of drayage.mjs. */
  readonly bundle: string;
  /** Name of its log and of its lease. */
  readonly name: string;
  /** host:port of its probes and metrics. */
  readonly address: string;
  /** Folder with token, ca.crt and namespace. */
  readonly serviceAccount: string;
  /** Used instead of the service account, if given. */
  readonly kubeconfig: string | undefined;
  readonly leaseNamespace: string;
  readonly profileDir: string | undefined;
}

export class Operator {
  readonly #program: Component;
  readonly #address: string;

  private constructor(program: Component, address: string) {
    this.#program = program;
    this.#address = address;
  }

  /** Resolves when its readiness probe says so. */
  static async start(options: OperatorStart): Promise<Operator> {
    const { controlPlane, address, kubeconfig, profileDir } = options;
    const server = new URL(controlPlane.server);
    const program = controlPlane.program({
      name: options.name,
      binary: process.execPath,
      args: [
        "--expose-gc",
        ...(profileDir === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${profileDir}`]),
        `--import=${join(import.meta.dirname, "in-pod.mjs")}`,
        options.bundle,
        "run",
        "--owner-id=bench",
        `--lease-name=${options.name}`,
        `--lease-namespace=${options.leaseNamespace}`,
        `--health-address=${address}`,
        `--metrics-address=${address}`,
        "--log-format=json",
        ...(kubeconfig === undefined ? [] : [`--kubeconfig=${kubeconfig}`]),
      ],
      env: {
        PATH: process.env["PATH"] ?? "",
        HOME: "/nonexistent",
        // As docs/install.md advises where the C library is glibc.
        MALLOC_ARENA_MAX: "1",
        ...(kubeconfig === undefined && {
          KUBERNETES_SERVICE_HOST: server.hostname,
          KUBERNETES_SERVICE_PORT: server.port,
          DRAYAGE_BENCH_SERVICE_ACCOUNT: options.serviceAccount,
        }),
      },
      ready: async () => (await fetch(`http://${address}/readyz`, { signal: AbortSignal.timeout(5000) })).ok,
    });
    await program.start();
    return new Operator(program, address);
  }

  /** @throws Error with the end of its log when it does not run any more. */
  get pid(): number {
    const { pid } = this.#program;
    if (pid === undefined) throw new Error(`the operator has ended:\n${this.#program.logTail()}`);
    return pid;
  }

  get residentMb(): number {
    return residentMb(this.pid);
  }

  /** Its metrics as Prometheus reads them. */
  async metrics(): Promise<string> {
    return (await fetch(`http://${this.#address}/metrics`)).text();
  }

  /** What V8 and Node say of themselves in /metrics, in MB: used and committed heap, and memory outside of it. */
  async heapMb(): Promise<{ used: number; committed: number; external: number }> {
    const text = await this.metrics();
    const megabytes = (series: string): number =>
      Number(new RegExp(`^${series} (\\S+)$`, "m").exec(text)?.[1] ?? Number.NaN) / 1e6;
    return {
      used: megabytes("nodejs_heap_size_used_bytes"),
      committed: megabytes("nodejs_heap_size_total_bytes"),
      external: megabytes("nodejs_external_memory_bytes"),
    };
  }

  /** Starts a collection of garbage; in-pod.mjs listens. */
  collectGarbage(): void {
    process.kill(this.pid, "SIGUSR2");
  }

  /** SIGTERM, and waits for its end. */
  async stop(): Promise<void> {
    await this.#program.stop();
  }
}
