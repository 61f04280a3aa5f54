/** The machine that a run was made on, and what its processes use: read from Linux's /proc. */
import { readdirSync, readFileSync } from "node:fs";
import os from "node:os";
import process from "node:process";

/** What a figure must be read with. */
export interface MachineFacts {
  readonly date: string;
  readonly platform: string;
  readonly processor: string;
  readonly cores: number;
  readonly memoryGb: number;
  readonly node: string;
  readonly kubernetes: string;
  /** Load averages over 1, 5 and 15 minutes when the run began: what else ran here. */
  readonly load: readonly number[];
}

export function machineFacts(kubernetes: string): MachineFacts {
  return {
    date: new Date().toISOString(),
    platform: `${os.platform()} ${os.release()} ${os.arch()}`,
    processor: os.cpus()[0]?.model ?? "unknown",
    cores: os.availableParallelism(),
    memoryGb: Number((os.totalmem() / 2 ** 30).toFixed(1)),
    node: process.version,
    kubernetes,
    load: os.loadavg().map((value) => Number(value.toFixed(2))),
  };
}

/** Resident memory of a process in MB (10^6 bytes), as `VmRSS` of proc(5) counts it: shared pages of the node binary included. */
export function residentMb(pid: number): number {
  const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  if (kibibytes === undefined) throw new Error(`/proc/${pid}/status has no VmRSS`);
  return (Number(kibibytes) * 1024) / 1e6;
}

/** USER_HZ of every Linux that Node runs on (proc(5)). */
const TICKS_PER_SECOND = 100;

/** Processor time a process has used so far, user and system, in seconds. */
function processorSeconds(pid: number): number {
  const [userTicks, systemTicks] = statFields(pid).slice(11, 13);
  return (Number(userTicks) + Number(systemTicks)) / TICKS_PER_SECOND;
}

/** Fields of /proc/<pid>/stat behind the name, which may hold spaces: [0] is the state, [1] the parent. */
function statFields(pid: number): string[] {
  const text = readFileSync(`/proc/${pid}/stat`, "utf8");
  return text.slice(text.lastIndexOf(")") + 2).split(" ");
}

/** Children of this process whose name begins so ("etcd"). The kernel keeps 15 characters of a name. */
export function childrenNamed(name: string): number[] {
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter((pid) => {
      try {
        const parent = Number(statFields(pid)[1]);
        return parent === process.pid && readFileSync(`/proc/${pid}/comm`, "utf8").startsWith(name.slice(0, 15));
      } catch {
        return false; // It has ended between the two looks.
      }
    });
}

/** Measures how many cores each of some processes keeps busy between `start` and `stop`. */
export class ProcessorMeter {
  readonly #pids: ReadonlyMap<string, number>;
  #startedMs = 0;
  #before = new Map<string, number>();

  /** @param pids by the name that the result has. */
  constructor(pids: Readonly<Record<string, number | undefined>>) {
    this.#pids = new Map(
      Object.entries(pids).filter((entry): entry is [string, number] => typeof entry[1] === "number"),
    );
  }

  start(): void {
    this.#startedMs = performance.now();
    this.#before = this.#read();
  }

  /** Cores by name, and under "seconds" how long it was measured. */
  stop(): Record<string, number> {
    const seconds = (performance.now() - this.#startedMs) / 1000;
    const after = this.#read();
    const cores = [...after].map(([name, used]) => {
      const busy = (used - (this.#before.get(name) ?? 0)) / seconds;
      return [name, Number(busy.toFixed(2))] as const;
    });
    return { ...Object.fromEntries(cores), seconds: Number(seconds.toFixed(1)) };
  }

  #read(): Map<string, number> {
    return new Map([...this.#pids].map(([name, pid]) => [name, processorSeconds(pid)]));
  }
}
