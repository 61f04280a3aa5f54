// `npm run bench`: measures the shipped bundle; docs/benchmarks.md says what the figures mean.
//
//     npm run bench -- [--only <name>]... [--quick] [--json <file>] [--profile <folder>]
//
// Exits with 0 when everything was measured, whether or not a budget is met: a figure is a figure. 1: something could not be measured.
// 2: an option is wrong.

import { mkdirSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { findBinaries } from "../controlplane/binaries.ts";
import type { BenchmarkContext } from "./benchmark.ts";
import { figureLines, isMet, round, type BenchmarkResult, type Details, type Figure } from "./figures.ts";
import { machineFacts } from "./machine.ts";
import { benchFleet } from "./fleet.ts";
import { benchLatency } from "./latency.ts";
import { benchMemory } from "./memory.ts";
import { benchReconciles } from "./reconciles.ts";
import { benchUpdates } from "./updates.ts";
import { benchWrites } from "./writes.ts";

const BENCHMARKS: Readonly<Record<string, (context: BenchmarkContext) => Promise<BenchmarkResult>>> = {
  reconciles: benchReconciles,
  updates: benchUpdates,
  latency: benchLatency,
  memory: benchMemory,
  writes: benchWrites,
  fleet: benchFleet,
};

const USAGE = `usage: npm run bench -- [options]

  --only <name>       ${Object.keys(BENCHMARKS).join(", ")}; may be given more than once. Default: all
  --quick             few objects and rounds: to see that it works, not to record
  --json <file>       also write figures, details and machine facts to a file
  --profile <folder>  write processor profiles of the operator (.cpuprofile); they cost a little speed themselves
  --help              print this
`;

async function main(): Promise<number> {
  let flags;
  try {
    ({ values: flags } = parseArgs({
      options: {
        only: { type: "string", multiple: true },
        quick: { type: "boolean", default: false },
        json: { type: "string" },
        profile: { type: "string" },
        help: { type: "boolean", short: "h", default: false },
      },
    }));
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error));
  }
  if (flags.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const chosen = flags.only ?? Object.keys(BENCHMARKS);
  const unknown = chosen.find((name) => !Object.hasOwn(BENCHMARKS, name));
  if (unknown !== undefined) return refuse(`there is no benchmark "${unknown}"`);
  if (process.platform !== "linux") return refuse("the benchmarks read /proc and run on Linux only");
  const profileDir = flags.profile === undefined ? undefined : resolve(flags.profile);
  if (profileDir !== undefined) mkdirSync(profileDir, { recursive: true });

  const log = (line: string): void => void process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${line}\n`);
  const { version } = await findBinaries({ log, controllerManager: false });
  const machine = machineFacts(version);
  const context: BenchmarkContext = { quick: flags.quick, log, profileDir };
  const figures: Figure[] = [];
  const details: Record<string, Details> = {};
  const failed: string[] = [];
  for (const name of chosen) {
    log(`${name}: starts`);
    try {
      const result = await BENCHMARKS[name]?.(context);
      figures.push(...(result?.figures ?? []));
      details[name] = result?.details ?? {};
    } catch (error) {
      failed.push(name);
      log(`${name}: FAILED: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    }
  }
  const { platform, processor, cores, memoryGb, node, kubernetes, load, date } = machine;
  print([
    "",
    `${date}${flags.quick ? ", QUICK: these figures say little" : ""}`,
    `${platform}; ${processor}, ${cores} cores, ${memoryGb} GB; Node ${node}; Kubernetes ${kubernetes}; load before ${load.join(" ")}`,
    "",
    ...figureLines(figures),
    "",
    ...Object.entries(details).map(([name, detail]) => `${name}: ${JSON.stringify(detail, roundNumbers)}`),
    ...failed.map((name) => `${name}: could not be measured, see above`),
  ]);
  if (flags.json !== undefined) {
    const report = { machine, quick: flags.quick, figures: figures.map(withVerdict), details, failed };
    writeFileSync(flags.json, `${JSON.stringify(report, roundNumbers, 2)}\n`);
  }
  return failed.length === 0 ? 0 : 1;
}

function refuse(why: string): number {
  process.stderr.write(`bench: ${why}\n${USAGE}`);
  return 2;
}

function print(lines: readonly string[]): void {
  process.stdout.write(`${lines.join("\n")}\n`);
}

function roundNumbers(_key: string, value: unknown): unknown {
  return typeof value === "number" ? round(value) : value;
}

function withVerdict(figure: Figure): object {
  const met = isMet(figure);
  return { ...figure, ...(met !== undefined && { met }) };
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  // The exit hook of test/controlplane/component.ts kills what runs.
  process.on(signal, () => process.exit(130));
}
process.exit(await main());
