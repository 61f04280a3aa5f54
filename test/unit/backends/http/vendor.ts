/** A server for tests of the HTTP client: each request gets what the test's handler does to it, down to the raw socket. */
import { once } from "node:events";
import http, { type IncomingMessage, type ServerResponse } from "node:http";
import https from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { onTestFinished } from "vitest";
import { HttpClient, type HttpClientOptions } from "../../../../src/backends/http/client.ts";
import { systemClock } from "../../../../src/kube/clock.ts";

export interface Seen {
  method: string;
  url: string;
  headers: http.IncomingHttpHeaders;
  body: string;
}

export interface Vendor {
  url: string;
  seen: Seen[];
  connections(): number;
  /** Closes the port. */
  stop(): Promise<void>;
}

export type Handler = (request: Seen, response: ServerResponse, socket: Socket) => void | Promise<void>;

export async function startVendor(handler: Handler, tls?: https.ServerOptions): Promise<Vendor> {
  const seen: Seen[] = [];
  let connections = 0;
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const entry = {
      method: request.method ?? "",
      url: request.url ?? "",
      headers: request.headers,
      body: Buffer.concat(chunks).toString("utf8"),
    };
    seen.push(entry);
    await handler(entry, response, request.socket);
  };
  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    // A client that gives up in the middle is part of the game.
    handle(request, response).catch(() => request.socket.destroy());
  };
  const server = tls === undefined ? http.createServer(listener) : https.createServer(tls, listener);
  server.on("connection", () => (connections += 1));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const stop = async (): Promise<void> => {
    if (!server.listening) return;
    const closed = once(server, "close");
    server.close();
    server.closeAllConnections();
    await closed;
  };
  onTestFinished(stop);
  const { port } = server.address() as AddressInfo;
  return {
    url: `${tls === undefined ? "http" : "https"}://127.0.0.1:${port}`,
    seen,
    connections: () => connections,
    stop,
  };
}

export const KEY = "k3y-of-the-account";

export function clientOf(
  url: string,
  options: Partial<HttpClientOptions> = {},
  fence: { valid(): boolean } = { valid: () => true },
): HttpClient {
  const client = new HttpClient(
    {
      url,
      tls: {},
      authHeaders: { "x-api-key": KEY },
      limits: { requestsPerSecond: 1000, burst: 1000, concurrency: 4 },
      env: {},
      ...options,
    },
    { clock: systemClock, fence },
  );
  onTestFinished(() => client.close());
  return client;
}

export function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}
