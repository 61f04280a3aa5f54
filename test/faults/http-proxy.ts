/**
 * test/faults holds proxies that stand between the program and what it talks to and do to the traffic what networks and
 * servers do on bad days. The program needs no hooks: it gets an address. Every request or packet has a number, so that a
 * plan can be repeated.
 *
 * This one is for HTTP/1.1, made for the API server: it ends the client's connection (plain, or TLS with a given
 * certificate), and speaks TLS to the server.
 */

import { EventEmitter, once } from "node:events";
import http from "node:http";
import https from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { HttpExchange, type SeenRequest } from "./http-exchange.ts";
import { matches, RuleBook, type FaultRule, type RequestMatch, type RuleHandle } from "./http-rules.ts";

export type { SeenRequest } from "./http-exchange.ts";
export type { Fault, FaultRule, RequestMatch, RuleHandle } from "./http-rules.ts";

export interface HttpFaultProxyOptions {
  /** URL of the server. */
  upstream: string;
  /** PEM authority of the server's certificate. Without it an https server's certificate is not verified. */
  ca?: string;
  /** Name to verify in the server's certificate. */
  servername?: string;
  /** PEM client certificate and key by which the proxy is known to the server. */
  cert?: string;
  key?: string;
  /** Bearer token for requests that bring no Authorization of their own. */
  token?: string;
  /** Listen with TLS, with this certificate. Default: plain. */
  listen?: { cert: string; key: string; ca: string };
}

export interface HttpFaultProxy {
  /** Where the client should go. */
  readonly url: string;
  readonly port: number;
  /** A kubeconfig that leads here, as text. `token` is sent by the client. */
  kubeconfig(options?: { token?: string; namespace?: string }): string;
  /** All requests so far, oldest first. */
  requests(match?: RequestMatch): SeenRequest[];
  /** The next request that matches and is not among `requests` yet. */
  next(match: RequestMatch): Promise<SeenRequest>;
  /** Puts a rule in force. Of several that match, the oldest is applied. */
  on(rule: FaultRule): RuleHandle;
  /** Closes the port and resets all connections, as a server that ends. @returns what opens the same port again. */
  outage(): Promise<() => Promise<void>>;
  /** Resets all connections and ends the proxy. */
  close(): Promise<void>;
}

/** Starts a proxy on a free port of the loopback. */
export async function startHttpFaultProxy(options: HttpFaultProxyOptions): Promise<HttpFaultProxy> {
  const secure = options.upstream.startsWith("https:");
  const upstreamAgent = secure ? new https.Agent({ keepAlive: true }) : new http.Agent({ keepAlive: true });
  const rules = new RuleBook();
  const seen: SeenRequest[] = [];
  const arrivals = new EventEmitter();
  arrivals.setMaxListeners(0);
  const sockets = new Set<Socket>();

  const handle = (request: http.IncomingMessage, response: http.ServerResponse): void => {
    const exchange = new HttpExchange(seen.length + 1, request, response, {
      upstream: options.upstream,
      agent: upstreamAgent,
      tls: {
        ...(options.ca === undefined ? { rejectUnauthorized: false } : { ca: options.ca }),
        ...(options.servername === undefined ? {} : { servername: options.servername }),
        ...(options.cert === undefined ? {} : { cert: options.cert }),
        ...(options.key === undefined ? {} : { key: options.key }),
      },
      token: options.token,
    });
    seen.push(exchange);
    const rule = rules.take(exchange);
    arrivals.emit("request", exchange);
    void exchange.run(rule);
  };

  const listen = async (port: number): Promise<http.Server> => {
    const { listen: tls } = options;
    const made =
      tls === undefined ? http.createServer(handle) : https.createServer({ cert: tls.cert, key: tls.key }, handle);
    made.on("connection", (socket: Socket) => {
      sockets.add(socket);
      socket.on("close", () => sockets.delete(socket));
      // A reset by the client is part of the game.
      socket.on("error", () => undefined);
    });
    made.listen(port, "127.0.0.1");
    await once(made, "listening");
    return made;
  };

  let server = await listen(0);
  const { port } = server.address() as AddressInfo;
  const url = `${options.listen === undefined ? "http" : "https"}://127.0.0.1:${port}`;

  const shut = async (): Promise<void> => {
    if (server.listening) {
      const closed = once(server, "close");
      server.close();
      for (const socket of sockets) {
        socket.resetAndDestroy();
      }
      await closed;
    }
  };

  return {
    url,
    port,
    kubeconfig: (given = {}) => kubeconfigText(url, options.listen?.ca, given),
    requests: (match) => (match === undefined ? [...seen] : seen.filter((each) => matches(match, each))),
    next: (match) =>
      new Promise((resolve) => {
        const onRequest = (request: SeenRequest): void => {
          if (matches(match, request)) {
            arrivals.off("request", onRequest);
            resolve(request);
          }
        };
        arrivals.on("request", onRequest);
      }),
    on: (rule) => rules.add(rule),
    async outage() {
      await shut();
      return async () => {
        server = await listen(port);
      };
    },
    async close() {
      rules.releaseAll();
      await shut();
      upstreamAgent.destroy();
    },
  };
}

/** JSON is YAML. For a plain address @kubernetes/client-node insists on insecure-skip-tls-verify. */
function kubeconfigText(server: string, ca: string | undefined, given: { token?: string; namespace?: string }): string {
  const cluster =
    ca === undefined
      ? { server, "insecure-skip-tls-verify": true }
      : { server, "certificate-authority-data": Buffer.from(ca).toString("base64") };
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "proxy", cluster }],
    users: [{ name: "user", user: given.token === undefined ? {} : { token: given.token } }],
    contexts: [{ name: "proxy", context: { cluster: "proxy", user: "user", namespace: given.namespace ?? "default" } }],
    "current-context": "proxy",
  });
}
