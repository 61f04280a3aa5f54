/**
 * The API server as an administrator sees it, for tests: plain JSON over undici with the client certificate of a kubeconfig, kept
 * connections, and the server's Warning headers. It shares nothing with src/kube, so what it sees is no echo of the code under test.
 */
import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { Agent, request } from "undici";

/** Any JSON object of the API. */
export interface AnyObject {
  apiVersion?: string;
  kind?: string;
  metadata?: { name?: string; namespace?: string; [field: string]: unknown };
  [field: string]: unknown;
}

/** One answer; every HTTP status is an answer, not an error. */
export interface Answer<T = AnyObject> {
  status: number;
  body: T;
  /** Texts of the Warning headers. */
  warnings: string[];
}

/** The media types of a PATCH. */
const PATCH_TYPES = {
  merge: "application/merge-patch+json",
  json: "application/json-patch+json",
  apply: "application/apply-patch+yaml",
} as const;

/** A client with an administrator's rights. Close it when the test file ends. */
export class KubeAdmin implements AsyncDisposable {
  readonly #server: string;
  readonly #agent: Agent;

  /** @param kubeconfig path of a kubeconfig in JSON with everything embedded, as the test control plane writes it. */
  constructor(kubeconfig: string) {
    const config = JSON.parse(readFileSync(kubeconfig, "utf8"));
    const cluster = config.clusters[0].cluster;
    const user = config.users[0].user;
    const decode = (text: string): string => Buffer.from(text, "base64").toString("utf8");
    this.#server = cluster.server;
    this.#agent = new Agent({
      connections: 16,
      // One connection per request under way: a reset ends one request, not all of them.
      allowH2: false,
      connect: {
        ca: decode(cluster["certificate-authority-data"]),
        cert: decode(user["client-certificate-data"]),
        key: decode(user["client-key-data"]),
      },
    });
  }

  /** @param path from the root, with query. */
  async request<T = AnyObject>(
    method: string,
    path: string,
    body?: unknown,
    contentType = "application/json",
  ): Promise<Answer<T>> {
    const response = await request(`${this.#server}${path}`, {
      method,
      dispatcher: this.#agent,
      headers: { accept: "application/json", ...(body !== undefined && { "content-type": contentType }) },
      body: body === undefined ? null : JSON.stringify(body),
    });
    const text = await response.body.text();
    const header = response.headers["warning"] ?? [];
    return {
      status: response.statusCode,
      body: parse(text),
      warnings: (Array.isArray(header) ? header : [header]).map(warningText),
    };
  }

  async get<T = AnyObject>(path: string): Promise<Answer<T>> {
    return this.request("GET", path);
  }

  async create<T = AnyObject>(path: string, body: unknown): Promise<Answer<T>> {
    return this.request("POST", path, body);
  }

  async replace<T = AnyObject>(path: string, body: unknown): Promise<Answer<T>> {
    return this.request("PUT", path, body);
  }

  /** A merge patch unless said otherwise. */
  async patch<T = AnyObject>(
    path: string,
    body: unknown,
    type: keyof typeof PATCH_TYPES = "merge",
  ): Promise<Answer<T>> {
    return this.request("PATCH", path, body, PATCH_TYPES[type]);
  }

  async delete(path: string, body?: unknown): Promise<Answer> {
    return this.request("DELETE", path, body);
  }

  /** A forced server-side apply; the path is that of the object itself. */
  async apply<T = AnyObject>(path: string, body: unknown): Promise<Answer<T>> {
    return this.patch(`${path}?fieldManager=test&force=true`, body, "apply");
  }

  /**
   * Makes a namespace with a name of its own.
   * @returns its name
   */
  async namespace(prefix: string): Promise<string> {
    const answer = await this.create("/api/v1/namespaces", { metadata: { generateName: `${prefix}-` } });
    const name = answer.body.metadata?.name;
    if (answer.status !== 201 || name === undefined) throw new Error(`no namespace: ${messageOf(answer)}`);
    return name;
  }

  /**
   * Asks until `done` accepts the answer.
   * @throws after `withinMs` (default 60 s, which only guards against a hang), with the last answer
   */
  async until<T = AnyObject>(
    path: string,
    done: (answer: Answer<T>) => boolean,
    withinMs = 60_000,
  ): Promise<Answer<T>> {
    const deadline = performance.now() + withinMs;
    for (;;) {
      const answer = await this.get<T>(path);
      if (done(answer)) return answer;
      if (performance.now() > deadline) throw new Error(`${path} did not come to it: ${JSON.stringify(answer)}`);
      await delay(50);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.close();
  }
}

/** Path of a list, or of one object, of Drayage's kinds. */
export function edgePath(namespace: string, plural: string, name?: string): string {
  return `/apis/edge.drayage.dev/v1alpha1/namespaces/${namespace}/${plural}${name === undefined ? "" : `/${name}`}`;
}

/** The message of a Status object, or the body as text. */
export function messageOf(answer: Answer<unknown>): string {
  const { body } = answer;
  const message = typeof body === "object" && body !== null && "message" in body ? body.message : undefined;
  return typeof message === "string" ? message : JSON.stringify(body);
}

/** RFC 7234: code, agent and quoted text. */
function warningText(header: string): string {
  return /^\d{3} \S+ "(.*)"$/.exec(header)?.[1] ?? header;
}

function parse<T>(text: string): T {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`not JSON: ${text.slice(0, 500)}`);
  }
}
