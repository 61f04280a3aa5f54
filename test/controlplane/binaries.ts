// Finds the programs of a control plane: etcd, kube-apiserver, kubectl and kube-controller-manager. In this order: what the environment names
// (KUBEBUILDER_ASSETS and TEST_ASSET_*, as for controller-runtime's envtest), our cache, the official envtest archive, a build from the Go
// modules. versions.json says which versions.

import { spawnSync } from "node:child_process";
import { accessSync, constants, rmSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { cacheDir } from "./cache.ts";
import { ARCHIVE_PROGRAMS, fetchArchive, findArchive } from "./envtest.ts";
import { etcdModule, findGo, goBuild, kubernetesModule, wayOf, type GoModule } from "./go-build.ts";
import { withLock } from "./lock.ts";
import { Store } from "./store.ts";
import versions from "./versions.json" with { type: "json" };

const KUBERNETES_PROGRAMS = ["kube-apiserver", "kubectl", "kube-controller-manager"] as const;
const REQUIRED = ["etcd", "kube-apiserver", "kubectl"] as const;
type Program = "etcd" | (typeof KUBERNETES_PROGRAMS)[number];

const VARIABLES: Record<Program, string> = {
  etcd: "TEST_ASSET_ETCD",
  "kube-apiserver": "TEST_ASSET_KUBE_APISERVER",
  kubectl: "TEST_ASSET_KUBECTL",
  "kube-controller-manager": "TEST_ASSET_KUBE_CONTROLLER_MANAGER",
};

/** Paths of the programs. */
export interface Binaries {
  /** Version that the API server reports: "1.36.3". */
  version: string;
  etcd: string;
  kubeApiserver: string;
  kubectl: string;
  /** Absent where it can neither be found nor built; the envtest archive does not have it. */
  kubeControllerManager?: string;
}

export interface FindOptions {
  /** Kubernetes minor of versions.json; default its `default`. */
  version?: string;
  /** Whether kube-controller-manager is wanted; default true. */
  controllerManager?: boolean;
  /** Takes what takes long, and why something was passed over. */
  log?: (line: string) => void;
  /** False: only look, do not download or build. Default true. */
  make?: boolean;
  /** Environment to read; default the process's own. */
  env?: NodeJS.ProcessEnv;
  /** Address of the envtest index; default the official one. */
  indexUrl?: string;
  /** Whether Go is also looked for where it is usually installed, not only in PATH; default true. */
  usualGo?: boolean;
}

/** No control plane can be had here; the message says what was tried and what to install. */
export class MissingBinaries extends Error {
  /** One line per way that was tried. */
  readonly reasons: string[];

  constructor(missing: readonly string[], reasons: string[]) {
    super(
      [
        `${missing.join(", ")} cannot be had on this machine:`,
        ...reasons.map((reason) => `  - ${reason}`),
        "Any of these helps: a network from which github.com can be reached; Go (https://go.dev/dl) in PATH; or",
        "KUBEBUILDER_ASSETS set to a folder with etcd, kube-apiserver, kubectl and, for garbage collection, kube-controller-manager.",
      ].join("\n"),
    );
    this.name = "MissingBinaries";
    this.reasons = reasons;
  }
}

/**
 * Finds or makes the programs.
 * @throws MissingBinaries when etcd, kube-apiserver or kubectl can neither be found nor made; Error when a TEST_ASSET_ variable names no program
 */
export async function findBinaries(options: FindOptions = {}): Promise<Binaries> {
  const search = new Search(options);
  const found = await search.run();
  const [etcd, kubeApiserver, kubectl] = [found.get("etcd"), found.get("kube-apiserver"), found.get("kubectl")];
  if (etcd === undefined || kubeApiserver === undefined || kubectl === undefined) {
    throw new MissingBinaries(
      REQUIRED.filter((program) => !found.has(program)),
      search.reasons,
    );
  }
  const manager = found.get("kube-controller-manager");
  return {
    version: versionOf(kubeApiserver),
    etcd,
    kubeApiserver,
    kubectl,
    ...(manager === undefined ? {} : { kubeControllerManager: manager }),
  };
}

/**
 * The version a Kubernetes server program reports: "Kubernetes v1.36.3" gives "1.36.3".
 * @throws when it does not run or says something else
 */
export function versionOf(program: string): string {
  const asked = spawnSync(program, ["--version"], { encoding: "utf8", timeout: 30_000 });
  const version = /^Kubernetes v(\d+\.\d+\.\d+\S*)/.exec(asked.stdout ?? "")?.[1];
  if (version === undefined) {
    const said = asked.error?.message ?? `${asked.stdout}${asked.stderr}`.trim().slice(0, 200);
    throw new Error(`${program} --version does not say a Kubernetes version: ${said}`);
  }
  return version;
}

/** One search: what was found so far and why the rest was not. */
class Search {
  readonly reasons: string[] = [];
  readonly #found = new Map<Program, string>();
  readonly #wanted: readonly Program[];
  readonly #minor: string;
  readonly #kubernetes: { version: string; module: string };
  readonly #options: FindOptions;
  readonly #env: NodeJS.ProcessEnv;
  readonly #log: (line: string) => void;
  readonly #store: Store;

  constructor(options: FindOptions) {
    this.#options = options;
    this.#env = options.env ?? process.env;
    this.#log = options.log ?? ((): void => undefined);
    this.#minor = options.version ?? versions.default;
    const pinned = Object.entries(versions.kubernetes).find(([minor]) => minor === this.#minor)?.[1];
    if (!pinned) {
      throw new Error(
        `Kubernetes ${this.#minor} is not in versions.json (${Object.keys(versions.kubernetes).join(", ")})`,
      );
    }
    this.#kubernetes = pinned;
    this.#wanted = options.controllerManager === false ? REQUIRED : [...REQUIRED, "kube-controller-manager"];
    this.#store = new Store(join(cacheDir(options.env), "controlplane"), this.#log);
  }

  async run(): Promise<ReadonlyMap<Program, string>> {
    this.#fromEnvironment();
    await this.#fromCache();
    if (this.#missing().length > 0 && this.#options.make !== false) {
      const onWait = (pid: number): void => this.#log(`waiting for process ${pid}, which prepares the same programs`);
      await withLock(this.#store.lockFile, onWait, async () => {
        this.#store.removeTemporary();
        await this.#fromCache();
        await this.#fromArchive();
        await this.#fromGo();
      });
    }
    return this.#found;
  }

  #missing(): Program[] {
    return this.#wanted.filter((program) => !this.#found.has(program));
  }

  #fromEnvironment(): void {
    const assets = this.#env["KUBEBUILDER_ASSETS"];
    const named = new Map<Program, string>();
    for (const program of this.#wanted) {
      const path = this.#env[VARIABLES[program]];
      if (path && !isExecutable(path)) {
        throw new Error(`${VARIABLES[program]} is ${path}, which is no program that can be run`);
      }
      const beside = assets ? join(assets, program) : undefined;
      if (path) {
        named.set(program, path);
      } else if (beside !== undefined && isExecutable(beside)) {
        named.set(program, beside);
      } else if (beside !== undefined) {
        this.reasons.push(`KUBEBUILDER_ASSETS: no ${program} in ${assets}`);
      }
    }
    const server = named.get("kube-apiserver");
    if (
      server !== undefined &&
      this.#options.version !== undefined &&
      !versionOf(server).startsWith(`${this.#minor}.`)
    ) {
      this.reasons.push(`the environment names Kubernetes ${versionOf(server)}, wanted is ${this.#minor}`);
      return;
    }
    for (const [program, path] of named) {
      this.#found.set(program, path);
    }
  }

  async #fromCache(): Promise<void> {
    await Promise.all(
      this.#missing().map(async (program) => {
        const { version } = this.#moduleFor([program]);
        const built = await this.#store.get({ program, version, way: wayOf(this.#moduleFor([program])) });
        // The archive's etcd is filed under the Kubernetes version it came with.
        const path = built ?? (await this.#store.getMinor(program, this.#minor, "envtest"));
        if (path !== undefined) {
          this.#found.set(program, path);
        }
      }),
    );
  }

  async #fromArchive(): Promise<void> {
    const wanted = this.#missing().filter((program) => ARCHIVE_PROGRAMS.some((name) => name === program));
    if (wanted.length === 0) {
      return;
    }
    const folder = this.#store.temporaryFolder();
    try {
      const archive = await findArchive(this.#minor, this.#options.indexUrl);
      await fetchArchive(archive, folder, this.#log);
      for (const program of wanted) {
        const key = { program, version: archive.version, way: "envtest" };
        this.#found.set(program, await this.#store.add(key, join(folder, program), archive.url));
      }
    } catch (error) {
      this.#pass(`the official envtest archive: ${reasonOf(error)}`);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }

  async #fromGo(): Promise<void> {
    const missing = this.#missing();
    const groups = [missing.filter((program) => program === "etcd"), missing.filter((program) => program !== "etcd")];
    for (const programs of groups.filter((group) => group.length > 0)) {
      const module = this.#moduleFor(programs);
      const toolchain = findGo(module, this.#env, this.#options.usualGo);
      if ("reason" in toolchain) {
        this.#pass(`building ${programs.join(", ")}: ${toolchain.reason}`);
        continue;
      }
      const folder = this.#store.temporaryFolder();
      try {
        this.#log(
          `building ${programs.join(", ")} ${module.version} from the published Go modules, for the local Kubernetes API of tests and demo; ` +
            "once, some minutes on few cores, about 4 GB in Go's own caches",
        );
        await goBuild(toolchain.go, module, folder, this.#log);
        for (const program of programs) {
          const key = { program, version: module.version, way: wayOf(module) };
          this.#found.set(program, await this.#store.add(key, join(folder, program), `go build in ${module.folder}`));
        }
      } catch (error) {
        this.#pass(`building ${programs.join(", ")}: ${reasonOf(error)}`);
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    }
  }

  #moduleFor(programs: readonly Program[]): GoModule {
    return programs.includes("etcd")
      ? etcdModule(versions.etcd.module, versions.etcd.version)
      : kubernetesModule(this.#kubernetes.module, this.#kubernetes.version, programs);
  }

  #pass(reason: string): void {
    this.reasons.push(reason);
    this.#log(reason);
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** fetch() says only "fetch failed"; its cause says why. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) {
    return String(error);
  }
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message || error.cause.name}` : error.message;
}
