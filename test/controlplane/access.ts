// What a test does with a control plane that runs, whether this process started it or another one of the same test run: kubectl, plain
// requests as administrator, and further users.

import { execFile } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { ApiClient, type ApiResponse, type RequestOptions } from "./admin.ts";
import { CertificateAuthority } from "./certificates.ts";
import { readCredentials, writeKubeconfig } from "./kubeconfig.ts";
import { grant, untilGranted, type PolicyRule } from "./users.ts";

/** All that another process needs to know to use a running control plane; plain data. */
export interface AccessFacts {
  /** https://127.0.0.1:<port>; the same after every restart. */
  server: string;
  /** PEM of the certificate authority. */
  ca: string;
  /** The run's folder: certificates, data, logs. Gone when the control plane was stopped. */
  dir: string;
  /** Path of a kubeconfig whose user is in system:masters. */
  kubeconfig: string;
  /** Version of the API server: "1.36.3". */
  version: string;
  /** Path of the kubectl binary. */
  kubectlPath: string;
}

export interface KubectlResult {
  stdout: string;
  stderr: string;
  /** Exit code. */
  code: number;
}

export interface UserOptions {
  groups?: string[];
  /** What the user may do; without it nothing but what `groups` already may. */
  rules?: PolicyRule[];
  /** The rules hold in this namespace only (made if need be), and it is the kubeconfig's default. */
  namespace?: string;
}

/**
 * Access to a control plane that another process of this run started.
 * @param facts for test files: `inject("controlPlane")`
 */
export async function attach(facts: AccessFacts): Promise<ApiAccess> {
  return new ApiAccess(facts, await CertificateAuthority.load(facts.dir));
}

/** Uses a control plane without power over its processes. */
export class ApiAccess implements AccessFacts {
  readonly server: string;
  readonly ca: string;
  readonly dir: string;
  readonly kubeconfig: string;
  readonly version: string;
  readonly kubectlPath: string;
  readonly #authority: CertificateAuthority;
  readonly #admin: ApiClient;

  constructor(facts: AccessFacts, authority: CertificateAuthority) {
    this.server = facts.server;
    this.ca = facts.ca;
    this.dir = facts.dir;
    this.kubeconfig = facts.kubeconfig;
    this.version = facts.version;
    this.kubectlPath = facts.kubectlPath;
    this.#authority = authority;
    this.#admin = new ApiClient(facts.server, facts.ca, readCredentials(facts.kubeconfig));
  }

  /**
   * Makes a user with a client certificate and, with rules, the RBAC objects named test-user:<name>; waits until they hold.
   * @returns path of the user's kubeconfig
   */
  async user(name: string, options: UserOptions = {}): Promise<string> {
    const credentials = await this.#authority.issueClient(name, options.groups);
    if (options.rules) {
      await grant(this.#admin, name, options.rules, options.namespace);
      await untilGranted(new ApiClient(this.server, this.ca, credentials), options.rules, options.namespace);
    }
    const scope = options.namespace === undefined ? "" : `-${options.namespace}`;
    const path = join(this.dir, `${name.replaceAll(/[^A-Za-z0-9._-]/g, "_")}${scope}.kubeconfig`);
    writeKubeconfig(path, {
      server: this.server,
      ca: this.ca,
      user: name,
      credentials,
      ...(options.namespace === undefined ? {} : { namespace: options.namespace }),
    });
    return path;
  }

  /**
   * A request to the API server as administrator; every HTTP status is an answer.
   * @param path with query, from the root: /api/v1/namespaces?limit=1
   * @throws on transport errors and after options.timeoutMs of silence
   */
  async request(method: string, path: string, options?: RequestOptions): Promise<ApiResponse> {
    return this.#admin.request(method, path, options);
  }

  /**
   * Runs kubectl and waits for its end; a non-zero exit code is a result, not an error.
   * @param options.input text for its standard input (apply -f -)
   * @param options.kubeconfig another user's; default the administrator's
   */
  async kubectl(args: string[], options: { input?: string; kubeconfig?: string } = {}): Promise<KubectlResult> {
    const { promise, resolve, reject } = Promise.withResolvers<KubectlResult>();
    const env = { ...process.env, KUBECONFIG: options.kubeconfig ?? this.kubeconfig, HOME: this.dir };
    const settings = { env, maxBuffer: 64 * 1024 * 1024 };
    const child = execFile(this.kubectlPath, args, settings, (error, stdout, stderr) => {
      if (error && typeof error.code !== "number") {
        reject(error);
      } else {
        resolve({ stdout, stderr, code: typeof error?.code === "number" ? error.code : 0 });
      }
    });
    child.stdin?.on("error", () => undefined); // kubectl may end before it has read all of its input; its exit code tells.
    child.stdin?.end(options.input ?? "");
    return promise;
  }
}
