import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { type AddressInfo, isIPv6 } from "node:net";

/** Where to listen. */
export interface ListenAddress {
  /** "" for all interfaces. */
  readonly host: string;
  /** 0 for any free port. */
  readonly port: number;
}

/** What a route answers. */
export interface HttpAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

/** Answers a request; gets the path below the route ("" for the route itself, else without its leading slash) and the query. */
export type HttpHandler = (subPath: string, query: URLSearchParams) => HttpAnswer | Promise<HttpAnswer>;

/** Options of {@link HttpServer}. */
export interface HttpServerOptions {
  /** What it serves, for messages; such as `metrics`. */
  readonly name: string;
  readonly address: ListenAddress;
  /** By first path segment, such as `/healthz`. */
  readonly routes: Readonly<Record<string, HttpHandler>>;
  /** Told of what a handler throws; the client gets a bare 500. Default: not told. */
  readonly onError?: ((error: unknown) => void) | undefined;
  /** Told where it listens, with the port that the system chose. Default: not told. */
  readonly onListening?: ((name: string, address: string) => void) | undefined;
}

/** The server cannot listen; the message names the address and the cause. */
export class ListenError extends Error {
  override readonly name = "ListenError";
}

/** controller-runtime's values (pkg/internal/httpserver/server.go). */
const HEADERS_TIMEOUT_MS = 32_000;
const KEEP_ALIVE_TIMEOUT_MS = 90_000;

/** A small HTTP server for probes and scrapers: GET and HEAD only, no request bodies. */
export class HttpServer {
  readonly name: string;
  readonly #options: HttpServerOptions;
  readonly #server: Server;

  constructor(options: HttpServerOptions) {
    this.name = options.name;
    this.#options = options;
    this.#server = createServer((request, response) => void this.#handle(request, response));
    this.#server.headersTimeout = HEADERS_TIMEOUT_MS;
    this.#server.requestTimeout = HEADERS_TIMEOUT_MS;
    this.#server.keepAliveTimeout = KEEP_ALIVE_TIMEOUT_MS;
  }

  /** Listens. @throws ListenError, such as when the port is taken. */
  async start(): Promise<void> {
    const { host, port } = this.#options.address;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const onError = (error: NodeJS.ErrnoException): void => {
      const message = `cannot listen on ${formatAddress(this.#options.address)} for ${this.name}: ${explainListen(error)}`;
      reject(new ListenError(message, { cause: error }));
    };
    this.#server.once("error", onError);
    try {
      this.#server.listen({ port, ...(host === "" ? {} : { host }) }, resolve);
      await promise;
    } finally {
      this.#server.off("error", onError);
    }
    this.#server.on("error", (error) => this.#options.onError?.(error));
    const { address } = this;
    if (address !== undefined) this.#options.onListening?.(this.name, formatAddress(address));
  }

  /** Stops listening and ends all connections. */
  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    this.#server.closeAllConnections();
    await promise;
  }

  /** Where it listens, with the port that the system chose; undefined while it does not. */
  get address(): ListenAddress | undefined {
    const address = this.#server.address();
    return isAddressInfo(address) ? { host: address.address, port: address.port } : undefined;
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const answer = await this.#answer(request);
    response.writeHead(answer.status, {
      "content-type": answer.contentType,
      "content-length": Buffer.byteLength(answer.body),
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
      ...(answer.status === 405 ? { allow: "GET, HEAD" } : {}),
    });
    response.end(request.method === "HEAD" ? undefined : answer.body);
  }

  async #answer(request: IncomingMessage): Promise<HttpAnswer> {
    if (request.method !== "GET" && request.method !== "HEAD") return textAnswer(405, "method not allowed\n");
    const [rawPath = "/", rawQuery = ""] = (request.url ?? "/").split("?", 2);
    const [, first = "", ...rest] = rawPath.split("/");
    const routes = this.#options.routes;
    const handler = routes[`/${first}`];
    if (handler === undefined)
      return textAnswer(404, `not found; this port serves ${Object.keys(routes).join(", ")}\n`);
    try {
      return await handler(rest.join("/"), new URLSearchParams(rawQuery));
    } catch (error) {
      this.#options.onError?.(error);
      return textAnswer(500, "internal error\n");
    }
  }
}

/** A plain text answer. */
export function textAnswer(status: number, body: string): HttpAnswer {
  return { status, contentType: "text/plain; charset=utf-8", body };
}

/** `host:port`, an IPv6 host in brackets; `:port` for all interfaces. */
export function formatAddress(address: ListenAddress): string {
  return `${isIPv6(address.host) ? `[${address.host}]` : address.host}:${address.port}`;
}

function isAddressInfo(address: AddressInfo | string | null): address is AddressInfo {
  return typeof address === "object" && address !== null;
}

function explainListen(error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case "EADDRINUSE":
      return "the port is taken by another process";
    case "EACCES":
      return "permission denied (ports below 1024 need a privilege)";
    case "EADDRNOTAVAIL":
      return "this machine has no such address";
    case "ENOTFOUND":
      return "the host name is unknown";
    default:
      return error.message;
  }
}
