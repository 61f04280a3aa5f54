/**
 * The load generator's way to the API server: undici over HTTP/1.1, one request per connection at a time, as the operator and the bare
 * loops have it. (undici offers HTTP/2 by default, and over few multiplexed connections a hundred PATCHes per second wait for each other.)
 */
import { readFileSync } from "node:fs";
import { Agent, request } from "undici";

export interface LoadAnswer {
  readonly status: number;
  readonly text: string;
}

export class LoadClient implements AsyncDisposable {
  readonly #server: string;
  readonly #agent: Agent;

  /** @param kubeconfig in JSON with everything embedded, as the test control plane writes it. */
  constructor(kubeconfig: string) {
    const config = JSON.parse(readFileSync(kubeconfig, "utf8"));
    const { cluster } = config.clusters[0];
    const { user } = config.users[0];
    const decode = (text: string): string => Buffer.from(text, "base64").toString("utf8");
    this.#server = cluster.server;
    this.#agent = new Agent({
      connections: 64,
      pipelining: 1,
      allowH2: false,
      connect: {
        ca: decode(cluster["certificate-authority-data"]),
        cert: decode(user["client-certificate-data"]),
        key: decode(user["client-key-data"]),
      },
    });
  }

  async create(path: string, body: object): Promise<LoadAnswer> {
    return this.#send("POST", path, "application/json", body);
  }

  /** A merge patch. */
  async patch(path: string, body: object): Promise<LoadAnswer> {
    return this.#send("PATCH", path, "application/merge-patch+json", body);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.destroy();
  }

  async #send(method: "POST" | "PATCH", path: string, contentType: string, body: object): Promise<LoadAnswer> {
    const response = await request(`${this.#server}${path}`, {
      method,
      dispatcher: this.#agent,
      headers: { accept: "application/json", "content-type": contentType },
      body: JSON.stringify(body),
    });
    return { status: response.statusCode, text: await response.body.text() };
  }
}
