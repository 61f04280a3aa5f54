// Plain HTTPS requests to the API server of a test control plane, over node:https and nothing else: what tests the operator's own client
// must not go through that client. One connection per request, so a restarted or paused server leaves nothing half-open here.

import { request as httpsRequest } from "node:https";
import type { KeyPair } from "./certificates.ts";

export interface ApiResponse {
  status: number;
  /** Parsed JSON; a string where the body is none. */
  body: unknown;
}

export interface RequestOptions {
  /** Sent as JSON. */
  body?: unknown;
  /** Content-Type of the body; default application/json. */
  contentType?: string;
  /** Silence after which the request is given up, in milliseconds; default 30 000. */
  timeoutMs?: number;
}

/** Requests with one client certificate. */
export class ApiClient {
  readonly #server: string;
  readonly #ca: string;
  readonly #credentials: KeyPair;

  constructor(server: string, ca: string, credentials: KeyPair) {
    this.#server = server;
    this.#ca = ca;
    this.#credentials = credentials;
  }

  /**
   * One request; every HTTP status is an answer, not an error.
   * @param path with query, from the root: /api/v1/namespaces?limit=1
   * @throws on transport errors and after timeoutMs of silence
   */
  async request(method: string, path: string, options: RequestOptions = {}): Promise<ApiResponse> {
    const { promise, resolve, reject } = Promise.withResolvers<ApiResponse>();
    const body = options.body === undefined ? undefined : JSON.stringify(options.body);
    const outgoing = httpsRequest(
      new URL(path, this.#server),
      {
        method,
        agent: false,
        ca: this.#ca,
        cert: this.#credentials.cert,
        key: this.#credentials.key,
        headers: {
          accept: "application/json",
          ...(body === undefined ? {} : { "content-type": options.contentType ?? "application/json" }),
        },
      },
      (incoming) => {
        let text = "";
        incoming.setEncoding("utf8");
        incoming.on("data", (chunk: string) => (text += chunk));
        incoming.on("error", reject);
        incoming.on("end", () => resolve({ status: incoming.statusCode ?? 0, body: parse(text) }));
      },
    );
    outgoing.setTimeout(options.timeoutMs ?? 30_000, () => outgoing.destroy(new Error(`${method} ${path}: no answer`)));
    outgoing.on("error", reject);
    outgoing.end(body);
    return promise;
  }

  /**
   * Creates or changes the object by a forced server-side apply with field manager "controlplane".
   * @param path of the object itself
   * @throws unless the answer is 200 or 201
   */
  async apply(path: string, object: unknown): Promise<unknown> {
    const answer = await this.request("PATCH", `${path}?fieldManager=controlplane&force=true`, {
      body: object, // JSON is YAML.
      contentType: "application/apply-patch+yaml",
    });
    if (answer.status !== 200 && answer.status !== 201) {
      throw new Error(`applying ${path}: ${answer.status} ${messageOf(answer.body)}`);
    }
    return answer.body;
  }
}

/** The message of a Kubernetes Status object, or the body as text. */
export function messageOf(body: unknown): string {
  if (typeof body === "object" && body !== null && "message" in body && typeof body.message === "string") {
    return body.message;
  }
  return typeof body === "string" ? body : JSON.stringify(body);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
