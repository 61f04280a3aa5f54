// A real Kubernetes control plane on this machine, for tests and the demo: etcd, kube-apiserver and, for garbage collection and the end of
// namespaces, kube-controller-manager, as child processes on free ports of 127.0.0.1, with a certificate authority of their own. It can be
// restarted, paused, killed, emptied and set back to an earlier state, since those are the faults an operator has to live through.
// binaries.ts finds the programs, component.ts runs one of them, runs.ts cleans up after runs that were killed.

import { cpSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ApiAccess, type AccessFacts } from "./access.ts";
import { ApiClient } from "./admin.ts";
import { findBinaries, type Binaries } from "./binaries.ts";
import { cacheDir } from "./cache.ts";
import { CertificateAuthority, serviceAccountKeys, type KeyPair } from "./certificates.ts";
import { Component, freePort, type ComponentOptions } from "./component.ts";
import { apiServerArgs, controllerManagerArgs, etcdArgs, type Files } from "./flags.ts";
import { writeKubeconfig } from "./kubeconfig.ts";
import { endLeftovers, RunDirectory } from "./runs.ts";

export type { ApiResponse, RequestOptions } from "./admin.ts";
export type { PolicyRule } from "./users.ts";
export { freePort, type Component, type ComponentOptions } from "./component.ts";
export { ApiAccess, attach, type AccessFacts, type KubectlResult, type UserOptions } from "./access.ts";

export interface ControlPlaneOptions {
  /** Kubernetes minor of versions.json ("1.36"); default its `default`. */
  version?: string;
  /** Also run kube-controller-manager: garbage collection, namespace deletion, service accounts, aggregated cluster roles. Default true. */
  controllerManager?: boolean;
  /** Folder for the run folders; default `runs` in the cache folder. */
  dir?: string;
  /** Further kube-apiserver flags; a later flag wins over ours. */
  apiServerFlags?: string[];
  /** Takes lines that say what happens; default: nowhere. */
  log?: (line: string) => void;
}

/**
 * Starts a control plane and waits until its API server is ready.
 * @throws MissingBinaries when the programs can neither be found nor made, with what to install; Error when one does not come up, with its log
 */
export async function startControlPlane(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
  const log = options.log ?? ((): void => undefined);
  const binaries = await findBinaries({
    ...(options.version === undefined ? {} : { version: options.version }),
    controllerManager: options.controllerManager ?? true,
    log,
  });
  const runs = options.dir ?? join(cacheDir(), "runs");
  for (const ended of endLeftovers(runs)) {
    log(`ended ${ended}, left behind by a killed run`);
  }
  for (let attempt = 1; ; attempt++) {
    try {
      return await startIn(new RunDirectory(runs), binaries, options);
    } catch (error) {
      // Another process took a port between our look at it and the program's start.
      if (attempt === 3 || !String(error).includes("address already in use")) {
        throw error;
      }
    }
  }
}

async function startIn(run: RunDirectory, binaries: Binaries, options: ControlPlaneOptions): Promise<ControlPlane> {
  const withManager = options.controllerManager ?? true;
  let controlPlane: ControlPlane | undefined;
  try {
    controlPlane = await ControlPlane.prepare(binaries, run, withManager, options.apiServerFlags ?? []);
    await controlPlane.start();
    return controlPlane;
  } catch (error) {
    await controlPlane?.stop();
    run.remove();
    throw error;
  }
}

/** A running control plane. `await using` stops it at the end of a scope. */
export class ControlPlane extends ApiAccess implements AsyncDisposable {
  /** Whether kube-controller-manager runs. */
  readonly hasControllerManager: boolean;

  readonly #run: RunDirectory;
  readonly #data: string;
  readonly #etcd: Component;
  readonly #apiServer: Component;
  readonly #manager: Component | undefined;
  readonly #programs: Component[] = [];
  #snapshots = 0;

  private constructor(parts: Parts) {
    const { binaries, run, facts, authority } = parts;
    super(facts, authority);
    this.#run = run;
    this.#data = parts.data;
    this.#etcd = parts.etcd;
    this.#apiServer = new Component({
      name: "kube-apiserver",
      binary: binaries.kubeApiserver,
      args: parts.apiServerArgs,
      run,
      ready: async () => (await this.request("GET", "/readyz", { timeoutMs: 5000 })).status === 200,
    });
    this.#manager = parts.manager;
    this.hasControllerManager = parts.manager !== undefined;
  }

  /** Writes certificates and configuration into the run's folder; nothing runs yet. For startControlPlane. */
  static async prepare(
    binaries: Binaries,
    run: RunDirectory,
    withManager: boolean,
    extraFlags: string[],
  ): Promise<ControlPlane> {
    const [authority, etcdPort, etcdPeerPort, port] = await Promise.all([
      CertificateAuthority.create(),
      freePort(),
      freePort(),
      freePort(),
    ]);
    const server = `https://127.0.0.1:${port}`;
    const [serverKeys, adminKeys, managerKeys] = await Promise.all([
      authority.issueServer("kube-apiserver"),
      authority.issueClient("admin", ["system:masters"]),
      // Not with the narrow role of its name: that one only suffices with one service account per controller, a slower start.
      authority.issueClient("system:kube-controller-manager", ["system:masters"]),
    ]);
    const files = writeFiles(run.path, authority, serverKeys);
    const ca = authority.pem;
    writeKubeconfig(files.adminKubeconfig, { server, ca, user: "admin", credentials: adminKeys });
    writeKubeconfig(files.managerKubeconfig, { server, ca, user: "kube-controller-manager", credentials: managerKeys });
    const etcdUrl = `https://127.0.0.1:${etcdPort}`;
    const etcdHealth = new ApiClient(etcdUrl, ca, serverKeys);
    const etcd = new Component({
      name: "etcd",
      binary: binaries.etcd,
      args: etcdArgs(files, etcdPort, etcdPeerPort),
      run,
      ready: async () => (await etcdHealth.request("GET", "/health", { timeoutMs: 5000 })).status === 200,
    });
    const managerBinary = withManager ? binaries.kubeControllerManager : undefined;
    const manager =
      managerBinary === undefined
        ? undefined
        : new Component({
            name: "kube-controller-manager",
            binary: managerBinary,
            args: controllerManagerArgs(files),
            run,
            ready: async () => Promise.resolve(true), // It serves nobody; its work is waited for where it matters.
          });
    const args = [...apiServerArgs(files, etcdUrl, port), ...extraFlags];
    const facts: AccessFacts = {
      server,
      ca,
      dir: run.path,
      kubeconfig: files.adminKubeconfig,
      version: binaries.version,
      kubectlPath: binaries.kubectl,
    };
    return new ControlPlane({ binaries, run, facts, authority, data: files.data, etcd, apiServerArgs: args, manager });
  }

  /** Starts whatever does not run, in order. */
  async start(): Promise<void> {
    await this.#etcd.start();
    await this.#apiServer.start();
    await this.#manager?.start();
  }

  /**
   * A further program of this run, not started yet: its log lies beside the others, stop() ends it first, and when this process is killed the
   * next run ends it as it ends the control plane.
   */
  program(options: Omit<ComponentOptions, "run">): Component {
    const component = new Component({ ...options, run: this.#run });
    this.#programs.push(component);
    return component;
  }

  /**
   * Ends all programs in order (SIGTERM, then SIGKILL), further ones first, the latest before the others, and removes the run's folder. May
   * be called more than once.
   */
  async stop(): Promise<void> {
    for (const program of this.#programs.toReversed()) {
      await program.stop();
    }
    await this.#manager?.stop();
    await this.#apiServer.stop();
    await this.#etcd.stop();
    this.#run.remove();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** Ends the API server in order; requests are refused until startApiServer. */
  async stopApiServer(): Promise<void> {
    await this.#apiServer.stop();
  }

  /** kill -9 of the API server: open connections are reset; startApiServer brings it back. */
  async kill9ApiServer(): Promise<void> {
    await this.#apiServer.stop("SIGKILL");
  }

  /** Starts the API server again on its port and waits until it is ready. */
  async startApiServer(): Promise<void> {
    await this.#apiServer.start();
  }

  /** stopApiServer, then startApiServer. */
  async restartApiServer(): Promise<void> {
    await this.#apiServer.stop();
    await this.#apiServer.start();
  }

  /** SIGSTOP: connections stay open, new ones are accepted by the kernel, nothing is answered. */
  pauseApiServer(): void {
    this.#apiServer.pause();
  }

  resumeApiServer(): void {
    this.#apiServer.resume();
  }

  /**
   * Restarts etcd under the running API server; with `empty` all data are lost, so the API server and the controller manager are stopped
   * before and started after it, as in a rebuilt cluster.
   */
  async restartEtcd(options: { empty?: boolean } = {}): Promise<void> {
    if (options.empty) {
      await this.#replaceData((data) => rmSync(data, { recursive: true, force: true }));
    } else {
      await this.#killEtcd();
      await this.#etcd.start();
    }
  }

  /**
   * Keeps a copy of etcd's data as they are now; etcd is away for a moment.
   * @returns its path, for restore()
   */
  async snapshot(): Promise<string> {
    const copy = join(this.dir, `snapshot-${++this.#snapshots}`);
    await this.#killEtcd();
    cpSync(this.#data, copy, { recursive: true });
    await this.#etcd.start();
    return copy;
  }

  /** Sets etcd back to a snapshot, as an administrator does from a backup: resourceVersions go backwards. */
  async restore(snapshot: string): Promise<void> {
    await this.#replaceData((data) => {
      rmSync(data, { recursive: true, force: true });
      cpSync(snapshot, data, { recursive: true });
    });
  }

  /**
   * In order, etcd waits seven seconds for its clients. Killed, it loses nothing that it acknowledged: that was handed to the kernel, and
   * only a crash of the machine would lose it (--unsafe-no-fsync).
   */
  async #killEtcd(): Promise<void> {
    await this.#etcd.stop("SIGKILL");
  }

  async #replaceData(replace: (data: string) => void): Promise<void> {
    await this.#manager?.stop();
    await this.#apiServer.stop();
    await this.#etcd.stop();
    replace(this.#data);
    await this.start();
  }
}

interface Parts {
  binaries: Binaries;
  run: RunDirectory;
  facts: AccessFacts;
  authority: CertificateAuthority;
  /** etcd's data folder. */
  data: string;
  etcd: Component;
  apiServerArgs: string[];
  manager: Component | undefined;
}

function writeFiles(dir: string, authority: CertificateAuthority, serverKeys: KeyPair): Files {
  const files: Files = {
    dir,
    data: join(dir, "etcd"),
    ca: join(dir, CertificateAuthority.certificateFile),
    cert: join(dir, "server.crt"),
    key: join(dir, "server.key"),
    serviceAccountKey: join(dir, "service-account.key"),
    serviceAccountPublicKey: join(dir, "service-account.pub"),
    adminKubeconfig: join(dir, "admin.kubeconfig"),
    managerKubeconfig: join(dir, "kube-controller-manager.kubeconfig"),
  };
  const tokens = serviceAccountKeys();
  authority.save(dir);
  writeFileSync(files.cert, serverKeys.cert);
  writeFileSync(files.key, serverKeys.key, { mode: 0o600 });
  writeFileSync(files.serviceAccountKey, tokens.privateKey, { mode: 0o600 });
  writeFileSync(files.serviceAccountPublicKey, tokens.publicKey);
  return files;
}
