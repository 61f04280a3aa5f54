// `npm test`: prepares the programs of the local control plane, then runs the unit and integration tests. Arguments go on to vitest
// (`npm test -- test/unit/kube`). The last line reads "N passed, N failed"; tests that could not run are listed before it with their reason.
// A file named by DRAYAGE_SUMMARY gets the same as JSON.

import { globSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { findBinaries, MissingBinaries } from "../test/controlplane/binaries.ts";
import { describe, failures, NOTHING, sum, UNEXPLAINED, type Results } from "./results.ts";
import { run } from "./setup/run.mjs";

const ROOT = join(import.meta.dirname, "..");

/** Vitest projects, and whether they need a Kubernetes API. */
const PROJECTS = { unit: false, brokers: false, integration: true, slow: true, daemon: true } as const;
type Project = keyof typeof PROJECTS;

/**
 * Runs vitest projects.
 * @param args further arguments for vitest
 * @param version Kubernetes minor of the control plane; default that of versions.json
 */
export async function runProjects(projects: Project[], args: string[], version?: string): Promise<Results> {
  const missing = projects.some((project) => PROJECTS[project]) ? await prepare(version) : undefined;
  const runnable = projects
    .map((project) => (project === "integration" && missing !== undefined ? "brokers" : project))
    .filter((project) => missing === undefined || !PROJECTS[project]);
  let results = runnable.length > 0 ? await vitest(runnable, args, version, missing !== undefined) : NOTHING;
  if (args.some((arg) => arg === "-t" || arg.startsWith("--testNamePattern"))) {
    // Those that the pattern leaves out are not worth a word.
    results = { ...results, notRun: results.notRun.filter(({ reason }) => reason !== UNEXPLAINED) };
  }
  for (const project of projects.filter((name) => !runnable.includes(name))) {
    const reason = `no Kubernetes API here: ${missing}`;
    const names = testNames(project, args);
    results = sum(results, { ...NOTHING, notRun: names.map((name) => ({ name, reason })) });
    if (process.env["CI"]) {
      results = sum(results, {
        ...NOTHING,
        problems: [`the ${project} tests did not run, as no API server could be had`],
      });
    }
  }
  return results;
}

/** Finds or makes etcd, kube-apiserver and the others. Returns why there is no control plane, undefined when there is one. */
async function prepare(version?: string): Promise<string | undefined> {
  const log = (line: string): void => void process.stderr.write(`set-up: ${line}\n`);
  try {
    const found = await findBinaries({ ...(version === undefined ? {} : { version }), log });
    log(`Kubernetes ${found.version} from ${found.kubeApiserver}`);
    if (found.kubeControllerManager === undefined) {
      log("without kube-controller-manager: tests of garbage collection and namespace deletion are not run");
    }
    return undefined;
  } catch (error) {
    if (error instanceof MissingBinaries) {
      process.stderr.write(`${error.message}\n`);
      return error.reasons.join("; ");
    }
    throw error;
  }
}

async function vitest(
  projects: Project[],
  args: string[],
  version: string | undefined,
  withoutKubernetes: boolean,
): Promise<Results> {
  const folder = mkdtempSync(join(tmpdir(), "drayage-test-"));
  const file = join(folder, "results.json");
  const env = {
    DRAYAGE_RESULTS: file,
    ...(withoutKubernetes ? { DRAYAGE_NO_KUBERNETES: "1" } : {}),
    ...(version === undefined ? {} : { DRAYAGE_TEST_KUBERNETES: version }),
  };
  // A part of the tests says nothing about how much of the code they cover.
  const coverage = args.length === 0 && projects.includes("unit") ? ["--coverage"] : [];
  try {
    const code = await run(
      process.execPath,
      [
        join(ROOT, "node_modules/vitest/vitest.mjs"),
        "run",
        ...projects.map((project) => `--project=${project}`),
        "--reporter=default",
        `--reporter=${join(ROOT, "scripts/results-reporter.ts")}`,
        ...coverage,
        ...args,
      ],
      { env },
    );
    const results = read(file) ?? { ...NOTHING, problems: [`vitest ended with ${code} before it had results`] };
    return code !== 0 && failures(results) === 0 ? { ...results, problems: [`vitest ended with ${code}`] } : results;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function read(file: string): Results | undefined {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Results;
  } catch {
    return undefined;
  }
}

/**
 * The tests of a project that cannot even be loaded without a control plane, by the names in their source.
 * @param args those for vitest: the paths among them choose files
 */
function testNames(project: Project, args: string[]): string[] {
  const paths = args.filter((arg) => arg.includes("/"));
  return globSync(`test/${project}/**/*.test.ts`, { cwd: ROOT })
    .filter((file) => !/^test\/integration\/(backends|simulators)\//.test(file))
    .filter((file) => paths.length === 0 || paths.some((path) => file.includes(path)))
    .toSorted()
    .flatMap((file) => {
      const source = readFileSync(join(ROOT, file), "utf8");
      const titles = [...source.matchAll(/^\s*(?:test|it)\b[^"'`\n]*\(\s*(["'`])(.*?)\1/gm)].map((match) => match[2]);
      return titles.map((title) => `${file} > ${title}`);
    });
}

// Not import.meta.main: Node 24.0 does not know it.
if (realpathSync(process.argv[1] ?? ".") === import.meta.filename) {
  const version = process.env["DRAYAGE_TEST_KUBERNETES"] || undefined;
  const results = await runProjects(["unit", "integration"], process.argv.slice(2), version);
  const summary = process.env["DRAYAGE_SUMMARY"];
  if (summary) {
    writeFileSync(summary, JSON.stringify(results));
  }
  process.stdout.write(`\n${describe(results).join("\n")}\n`);
  process.exitCode = failures(results) > 0 || results.passed === 0 ? 1 : 0;
}
