/**
 * The optional listener for vendors' webhooks: POST /<namespace>/<name of the EdgeBackend>. Whoever sends one is known by its signature alone, so all
 * that is done before that is checked is bounded, and nothing is told about what exists.
 */
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { WebhookVerdict } from "../backends/contract.ts";
import { formatAddress, ListenError, type ListenAddress } from "../controller/http-server.ts";

/** Events are a few hundred bytes. */
const LARGEST_BODY = 65_536;
const PATIENCE_MS = 10_000;
const MOST_CONNECTIONS = 64;

export interface WebhookServerOptions {
  address: ListenAddress;
  /** @returns undefined if there is no such backend, or it takes no webhooks. */
  take(
    backend: { namespace: string; name: string },
    raw: Buffer,
    headers: Readonly<Record<string, string | string[] | undefined>>,
  ): WebhookVerdict | undefined;
  onListening?: (address: string) => void;
}

/** A forged event and a backend that does not exist look alike. */
const STATUSES: Readonly<Record<WebhookVerdict, number>> = {
  Accepted: 204,
  // It was heard: sending it again is of no use.
  Repeated: 204,
  Unsigned: 404,
  Unconfigured: 404,
  Malformed: 400,
};

export class WebhookServer {
  readonly #options: WebhookServerOptions;
  readonly #server: Server;

  constructor(options: WebhookServerOptions) {
    this.#options = options;
    this.#server = createServer((request, response) => {
      void this.#answer(request).then(
        (status) => response.writeHead(status, { connection: "close" }).end(),
        () => request.socket.destroy(),
      );
    });
    this.#server.headersTimeout = PATIENCE_MS;
    this.#server.requestTimeout = PATIENCE_MS;
    this.#server.maxConnections = MOST_CONNECTIONS;
  }

  /** Listens. @throws ListenError, such as when the port is taken. */
  async start(): Promise<void> {
    const { host, port } = this.#options.address;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const onError = (error: Error): void => {
      const where = formatAddress(this.#options.address);
      reject(new ListenError(`cannot listen on ${where} for webhooks: ${error.message}`, { cause: error }));
    };
    this.#server.once("error", onError);
    this.#server.listen({ port, ...(host === "" ? {} : { host }) }, resolve);
    try {
      await promise;
    } finally {
      this.#server.off("error", onError);
    }
    const address = this.#server.address();
    if (typeof address === "object" && address !== null)
      this.#options.onListening?.(formatAddress({ host: address.address, port: address.port }));
  }

  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    this.#server.closeAllConnections();
    await promise;
  }

  async #answer(request: IncomingMessage): Promise<number> {
    if (request.method !== "POST") return 405;
    const [, namespace = "", name = "", ...more] = (request.url ?? "/").split("?")[0]?.split("/") ?? [];
    if (namespace === "" || name === "" || more.length > 0) return 404;
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of request as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > LARGEST_BODY) return 413;
      chunks.push(chunk);
    }
    const verdict = this.#options.take({ namespace, name }, Buffer.concat(chunks), request.headers);
    return verdict === undefined ? 404 : STATUSES[verdict];
  }
}
