import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { setTimeout as delay } from "node:timers/promises";

const MAIN = fileURLToPath(new URL("../../../src/main.ts", import.meta.url));

/**
 * Node's compile cache (NODE_COMPILE_CACHE, module.enableCompileCache), keyed by content: half of what a start costs. A process that is killed
 * writes nothing there, one that ends by itself does.
 */
const COMPILED = fileURLToPath(new URL("../../../node_modules/.cache/drayage-compiled", import.meta.url));

/** Guards a hang; no test waits for so long when all is well. */
const HANG_MS = 110_000;

export type LogLine = Record<string, unknown> & { level: string; msg: string };

/** The real program as a child process in its own process group. Disposal kills it if it still runs. */
export class DrayageProcess implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #exit: Promise<number>;
  #hasEnded = false;
  #wasKilled = false;
  stdout = "";
  stderr = "";

  /** @param env added to a small environment that holds nothing else of Drayage or Kubernetes. */
  constructor(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    const { promise, resolve } = Promise.withResolvers<number>();
    this.#exit = promise;
    this.#child = spawn(process.execPath, [MAIN, ...args], {
      env: { PATH: process.env["PATH"] ?? "", HOME: "/nonexistent", NODE_COMPILE_CACHE: COMPILED, ...env },
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    this.#child.stdout?.setEncoding("utf8").on("data", (text: string) => (this.stdout += text));
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => (this.stderr += text));
    this.#child.once("close", (code, signal) => {
      this.#hasEnded = true;
      resolve(code ?? (signal === "SIGKILL" ? 137 : 1000));
    });
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Ended by itself, or by an error: not by a signal that `kill` sent. */
  get failed(): boolean {
    return this.#hasEnded && !this.#wasKilled;
  }

  /** The exit code; 137 after SIGKILL. */
  get exit(): Promise<number> {
    return this.#exit;
  }

  get logs(): LogLine[] {
    return this.stdout
      .split("\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line) as LogLine);
  }

  kill(signal: NodeJS.Signals): void {
    this.#wasKilled = true;
    this.#child.kill(signal);
  }

  /** Waits for a log line. */
  async log(msg: string): Promise<LogLine> {
    let found: LogLine | undefined;
    await this.until(
      () => (found = this.logs.find((line) => line.msg.includes(msg))) !== undefined,
      `log line "${msg}"`,
    );
    if (found === undefined) throw new Error("unreachable");
    return found;
  }

  /** Waits until something holds; fails with the program's output if it ends before or takes for ever. */
  async until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
    for (const deadline = performance.now() + HANG_MS; performance.now() < deadline; await delay(20)) {
      if (await holds()) return;
      if (this.#hasEnded && !(await holds())) break;
    }
    throw new Error(`never came: ${what}\n--- standard output\n${this.stdout}\n--- standard error\n${this.stderr}`);
  }

  /** Base URL of what it serves: "probes", "metrics" or "probes and metrics". */
  async url(name: string): Promise<string> {
    const { address } = await this.log(`serving ${name}`);
    return `http://${String(address)}`;
  }

  /** Waits until /readyz answers with this status, and a text like this; gives the text. */
  async readiness(status: 200 | 503, like = /./): Promise<string> {
    const url = await this.url("probes");
    let body = "";
    await this.until(
      async () => {
        const response = await fetch(`${url}/readyz?verbose`);
        body = await response.text();
        return response.status === status && like.test(body);
      },
      `/readyz with ${status} ${String(like)}`,
    );
    return body;
  }

  /** The value of a series of /metrics; undefined if there is none. */
  async metric(series: string): Promise<number | undefined> {
    const text = await (await fetch(`${await this.url("metrics")}/metrics`)).text();
    const line = text.split("\n").find((candidate) => candidate.startsWith(`${series} `));
    return line === undefined ? undefined : Number(line.slice(series.length + 1));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#hasEnded) this.kill("SIGKILL");
    await this.#exit;
  }
}

/** Options for a `drayage run` beside others: own ports, JSON logs. */
export function runArgs(kubeconfig: string, ...more: string[]): string[] {
  return [
    "run",
    `--kubeconfig=${kubeconfig}`,
    "--health-address=127.0.0.1:0",
    "--metrics-address=127.0.0.1:0",
    "--log-format=json",
    "--log-level=debug",
    ...more,
  ];
}
