// Builds control plane programs from their published Go modules, pinned by the go.mod and go.sum files under modules/. Needs a Go toolchain
// of at least the version those files name; an older one from 1.21 on fetches it by itself, unless GOTOOLCHAIN forbids that (go.dev/doc/toolchain).

import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { announce } from "./announce.ts";

/** One call of `go build`. */
export interface GoModule {
  /** Folder that holds go.mod and go.sum. */
  folder: string;
  /** Version of what is built: "1.36.3". */
  version: string;
  /** Program name -> package. */
  packages: Record<string, string>;
  ldflags: string;
}

const MODULES = join(import.meta.dirname, "modules");

/** etcd. Its version stands in its source code, so no flag sets it. */
export function etcdModule(module: string, version: string): GoModule {
  return { folder: join(MODULES, module), version, packages: { etcd: "go.etcd.io/etcd/server/v3" }, ldflags: "-s -w" };
}

/** The programs of Kubernetes. Clients decide by the version a server reports, so it has to be the real one. */
export function kubernetesModule(module: string, version: string, programs: readonly string[]): GoModule {
  const [major, minor] = version.split(".");
  const values = { gitVersion: `v${version}`, gitMajor: major, gitMinor: minor, gitTreeState: "clean" };
  const settings = Object.entries(values).map(([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`);
  return {
    folder: join(MODULES, module),
    version,
    packages: Object.fromEntries(programs.map((program) => [program, `k8s.io/kubernetes/cmd/${program}`])),
    ldflags: ["-s -w", ...settings].join(" "),
  };
}

/** What the result depends on, short enough for a folder name: sources (go.mod, go.sum) and flags. */
export function wayOf(module: GoModule): string {
  const hash = createHash("sha256").update(module.ldflags);
  for (const file of ["go.mod", "go.sum"]) {
    hash.update(readFileSync(join(module.folder, file)));
  }
  return `go-${hash.digest("hex").slice(0, 12)}`;
}

/** A usable Go toolchain, or why there is none. */
export type GoToolchain = { go: string } | { reason: string };

/** Looks for `go` in PATH and in its usual place, and checks that it is or can become new enough for the module. */
export function findGo(module: GoModule, env: NodeJS.ProcessEnv = process.env, usualPlace = true): GoToolchain {
  const needed = /^go (\S+)$/m.exec(readFileSync(join(module.folder, "go.mod"), "utf8"))?.[1] ?? "1.26.0";
  let found: string | undefined;
  for (const go of ["go", ...(usualPlace ? ["/usr/local/go/bin/go"] : [])]) {
    // In a folder without go.mod, so that it does not switch to another toolchain already.
    const asked = spawnSync(go, ["env", "GOVERSION", "GOTOOLCHAIN"], {
      encoding: "utf8",
      cwd: "/",
      env,
      timeout: 30_000,
    });
    if (asked.status !== 0) {
      continue;
    }
    const [version = "", toolchain = ""] = asked.stdout.trim().split("\n");
    const own = version.replace(/^go/, "");
    if (compareVersions(own, needed) >= 0) {
      return { go };
    }
    if (compareVersions(own, "1.21") >= 0 && toolchain !== "local") {
      return { go };
    }
    found ??= `${go} is Go ${own}`;
  }
  return { reason: found === undefined ? `no Go toolchain (needs Go ${needed})` : `${found}, needed is Go ${needed}` };
}

/**
 * Builds the module's programs.
 * @param output folder that gets the programs
 * @throws when go fails; the message ends with what it said
 */
export async function goBuild(
  go: string,
  module: GoModule,
  output: string,
  log: (line: string) => void,
): Promise<void> {
  const names = Object.keys(module.packages).join(", ");
  const packages = Object.values(module.packages);
  const env = { ...process.env, CGO_ENABLED: "0", GOWORK: "off", GOFLAGS: withoutMod(process.env["GOFLAGS"]) };
  const run = async (args: string[], onLine: (line: string) => void): Promise<string> =>
    runGo(go, args, { cwd: module.folder, env }, onLine);

  let downloads = 0;
  await using progress = announce(log, () => `fetching Go modules: ${downloads} so far`);
  const listed = await run(["list", "-mod=readonly", "-deps", "-f", "{{.ImportPath}}", ...packages], (line) => {
    downloads += line.startsWith("go: downloading") ? 1 : 0;
  });
  const total = listed.trim().split("\n").length;
  let compiled = 0;
  progress.say(() => `building ${names} ${module.version}: ${compiled} of at most ${total} packages compiled`);
  const args = ["build", "-v", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", module.ldflags];
  // A program is named after its package's folder, which for etcd is "server": one alone gets its name here.
  const [only] = packages.length === 1 ? Object.keys(module.packages) : [];
  await run([...args, "-o", join(output, only ?? "/"), ...packages], (line) => {
    compiled += line.startsWith("go: ") ? 0 : 1;
  });
}

interface GoOptions {
  cwd: string;
  env: NodeJS.ProcessEnv;
}

/** Runs go to its end; standard error goes to onLine, line by line. */
async function runGo(go: string, args: string[], options: GoOptions, onLine: (line: string) => void): Promise<string> {
  // In a group of its own, so that its compilers end with it when this process is told to end meanwhile.
  const child = spawn(go, args, { ...options, stdio: ["ignore", "pipe", "pipe"], detached: true });
  const kill = (): void => {
    try {
      process.kill(-(child.pid ?? Number.NaN), "SIGKILL");
    } catch {
      // Already gone.
    }
  };
  process.on("exit", kill);
  const onExit = (): void => void child.kill("SIGKILL"); // Nobody would take the result of a build that outlives this process.
  process.once("exit", onExit);
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let output = "";
  const said: string[] = [];
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
  createInterface({ input: child.stderr }).on("line", (line) => {
    said.push(line);
    onLine(line);
  });
  child.on("error", reject);
  child.on("close", (code, signal) => {
    process.off("exit", onExit);
    if (code === 0) {
      resolve(output);
    } else {
      reject(new Error(`go ${args[0]} ended with ${code ?? signal}: ${said.slice(-6).join(" | ")}`));
    }
  });
  try {
    return await promise;
  } finally {
    process.off("exit", kill);
  }
}

/** Somebody's GOFLAGS stay in force, but for -mod, which is for his own modules. */
function withoutMod(flags = ""): string {
  return flags
    .split(/\s+/)
    .filter((flag) => !/^--?mod(=|$)/.test(flag))
    .join(" ");
}

/** Below 0, 0 or above 0, by number; "1.26rc1" counts as 1.26. */
export function compareVersions(a: string, b: string): number {
  const numbers = (version: string): number[] => version.split(".").map((part) => Number.parseInt(part, 10) || 0);
  const [left, right] = [numbers(a), numbers(b)];
  for (let index = 0; index < Math.max(left.length, right.length); index++) {
    const difference = (left[index] ?? 0) - (right[index] ?? 0);
    if (difference !== 0) {
      return difference;
    }
  }
  return 0;
}
