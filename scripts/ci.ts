// `npm run ci`, and the greater part of .ci/run: the checks, the README's own test command, the slow tests, those on a real Kanto device where
// one can run, and the integration tests once more on the oldest supported Kubernetes. A summary stands at the end; its last line,
// "N passed, N failed", counts all suites together. It ends with 1 when anything failed, when no test ran, or when no API server could be
// started. `npm run ci -- --only slow` runs the suites whose name holds that word, to look into one that failed.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import versions from "../test/controlplane/versions.json" with { type: "json" };
import { describe, failures, NOTHING, sum, type Results } from "./results.ts";
import { run } from "./setup/run.mjs";
import { runProjects } from "./test.ts";

interface Suite {
  name: string;
  results: Results;
  minutes: number;
}

const { values: options } = parseArgs({ options: { only: { type: "string" } } });
const suites: Suite[] = [];

async function suite(name: string, work: () => Promise<Results>): Promise<void> {
  if (options.only !== undefined && !name.includes(options.only)) return;
  const began = performance.now();
  process.stdout.write(`\n===== ${name}\n`);
  let results: Results;
  try {
    results = await work();
  } catch (error) {
    results = { ...NOTHING, problems: [`${name}: ${error instanceof Error ? error.message : String(error)}`] };
  }
  suites.push({ name, results, minutes: (performance.now() - began) / 60_000 });
}

/** A command that has no tests to count: only its exit code matters. */
async function command(args: string[]): Promise<Results> {
  const code = await npm(args);
  return code === 0 ? NOTHING : { ...NOTHING, problems: [`npm ${args.join(" ")} ended with ${code}`] };
}

/** The README's command, exactly as a user types it. */
async function testCommand(): Promise<Results> {
  const folder = mkdtempSync(join(tmpdir(), "drayage-ci-"));
  const file = join(folder, "summary.json");
  try {
    const code = await npm(["test"], { DRAYAGE_SUMMARY: file });
    const results = JSON.parse(readFileSync(file, "utf8")) as Results;
    return code !== 0 && failures(results) === 0 ? { ...results, problems: [`npm test ended with ${code}`] } : results;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function npm(args: string[], env: NodeJS.ProcessEnv = {}): Promise<number> {
  const cli = process.env["npm_execpath"];
  return cli?.endsWith(".js")
    ? run(process.execPath, [cli, ...args], { env })
    : run(process.execPath, args, { env, command: "npm" });
}

// A test that cannot run here is a failure here.
process.env["CI"] = "true";
await suite("npm run check", async () => command(["run", "check"]));
await suite("npm test", testCommand);
await suite("slow tests", async () => runProjects(["slow"], ["--passWithNoTests"]));
await suite("tests on a real Kanto device", async () => runProjects(["daemon"], []));
// What needs a broker only is the same on every Kubernetes.
const BROKER_ONLY = ["backends", "simulators"].map((folder) => `--exclude=test/integration/${folder}/**`);
for (const version of Object.keys(versions.kubernetes).filter((minor) => minor !== versions.default)) {
  await suite(`integration tests on Kubernetes ${version}`, async () =>
    runProjects(["integration"], BROKER_ONLY, version),
  );
}

const total = suites.map(({ results }) => results).reduce(sum, NOTHING);
process.stdout.write("\n===== summary\n");
for (const { name, results, minutes } of suites) {
  process.stdout.write(`${name}: ${results.passed} passed, ${failures(results)} failed, ${minutes.toFixed(1)} min\n`);
}
process.stdout.write(`${describe(total).join("\n")}\n`);
process.exitCode = failures(total) > 0 || total.passed === 0 ? 1 : 0;
