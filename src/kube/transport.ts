/**
 * One HTTP exchange over undici, with what the rest of the room needs from it: a deadline for the whole exchange, a
 * precise answer to "was it sent", and connections that are replaced when credentials change or when they stop answering.
 *
 * Three lanes, each with its own connections, so that a big list or a hung watch never delays a lease renewal.
 * HTTP/1.1 on purpose: with HTTP/2 one lost connection takes every request of the lane with it.
 */

import { Agent, ProxyAgent, type Dispatcher } from "undici";
import type { ClusterAccess, TlsMaterial } from "./access.ts";
import type { Clock, Timer } from "./clock.ts";
import { TransportError } from "./errors.ts";

/** Which connections a request uses. */
export type Lane = "requests" | "watches" | "lease";

export type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

export interface Exchange {
  /** Prefix of error texts; names the request without its body. */
  where: string;
  lane: Lane;
  method: Method;
  path: string;
  headers: Record<string, string>;
  body?: string | undefined;
  signal?: AbortSignal | undefined;
  /** Milliseconds for the whole exchange; 0 for none (watches guard themselves by their heartbeat). */
  timeoutMs: number;
  /** Milliseconds until the first byte of the answer; 0 for none. */
  headTimeoutMs: number;
  /** Called once with the answer's head. */
  onHead(status: number, headers: Readonly<Record<string, string | string[] | undefined>>): void;
  /** Called per piece of body. A throw ends the exchange and rejects with what was thrown. */
  onData(chunk: Buffer): void;
  /** Given once, before sending: ends the exchange from inside with an error. */
  onController?(abort: (reason: Error) => void): void;
}

/** Connections at most, per lane. Watches are unbounded: each holds one. */
const CONNECTIONS: Record<Lane, number | null> = { requests: 32, watches: null, lease: 2 };
/** The API server drops idle connections after 90 s (apiserver, secure_serving.go); we let go well before. */
const KEEP_ALIVE_MS = 30_000;
const CONNECT_TIMEOUT_MS = 10_000;
/** A lane that stopped answering gets fresh connections at most this often. */
const ROTATE_INTERVAL_MS = 5_000;

interface OpenLane {
  dispatcher: Dispatcher;
  tls: TlsMaterial;
  rotatedAt: number;
}

/** Errors whose code undici reports before any request was handed to a socket are recognised by `started` below. */
function codeOf(error: Error): string {
  const code = (error as Error & { code?: unknown }).code;
  if (typeof code === "string") {
    return code;
  }
  return error.cause instanceof Error ? codeOf(error.cause) : error.name;
}

export class Transport {
  readonly #access: ClusterAccess;
  readonly #clock: Clock;
  readonly #lanes = new Map<Lane, OpenLane>();
  readonly #origin: string;
  /** Path in front of all paths; "" for most servers. */
  readonly #prefix: string;
  #closed = false;

  constructor(access: ClusterAccess, clock: Clock) {
    this.#access = access;
    this.#clock = clock;
    const url = new URL(access.server);
    this.#origin = url.origin;
    this.#prefix = url.pathname === "/" ? "" : url.pathname;
  }

  /**
   * Performs one exchange; resolves when the whole answer was delivered to `onHead` and `onData`.
   * @throws TransportError when no whole answer came; whatever `onData` threw.
   */
  send(exchange: Exchange): Promise<void> {
    const { where, signal } = exchange;
    if (this.#closed) {
      return Promise.reject(new TransportError(where, "Closed", "no", "the client is closed"));
    }
    if (signal?.aborted === true) {
      return Promise.reject(new TransportError(where, "Aborted", "no", "aborted before it was sent"));
    }
    const dispatcher = this.#dispatcherFor(exchange.lane);
    return new Promise((resolve, reject) => {
      let controller: Dispatcher.DispatchController | undefined;
      let started = false;
      let settled = false;
      let headSeen = false;
      let deadline: Timer | undefined;
      let headDeadline: Timer | undefined;

      const settle = (error?: Error): void => {
        if (settled) {
          return;
        }
        settled = true;
        this.#clock.clearTimeout(deadline);
        this.#clock.clearTimeout(headDeadline);
        signal?.removeEventListener("abort", onAbort);
        if (error === undefined) {
          resolve();
        } else {
          reject(error);
        }
      };
      // Ends the exchange from this side. Before a socket took it there is no controller; onRequestStart then aborts it.
      const end = (error: Error): void => {
        settle(error);
        controller?.abort(error);
      };
      const fail = (code: string, what: string, cause?: unknown): void => {
        end(new TransportError(where, code, started ? "unknown" : "no", what, cause));
      };
      const onAbort = (): void => fail("Aborted", started ? "aborted" : "aborted before it was sent");
      const onTimeout = (ms: number) => (): void => {
        if (!headSeen) {
          this.#rotate(exchange.lane, dispatcher);
        }
        fail("Timeout", `no ${headSeen ? "complete " : ""}answer within ${ms} ms`);
      };

      signal?.addEventListener("abort", onAbort, { once: true });
      if (exchange.timeoutMs > 0) {
        deadline = this.#clock.setTimeout(onTimeout(exchange.timeoutMs), exchange.timeoutMs);
      }
      if (exchange.headTimeoutMs > 0) {
        headDeadline = this.#clock.setTimeout(onTimeout(exchange.headTimeoutMs), exchange.headTimeoutMs);
      }
      exchange.onController?.(end);

      const handler: Dispatcher.DispatchHandler = {
        onRequestStart(given) {
          if (settled) {
            given.abort(new Error("no longer wanted"));
            return;
          }
          controller = given;
          started = true;
        },
        onResponseStart: (_controller, status, headers) => {
          if (status < 200 || settled) {
            return;
          }
          headSeen = true;
          this.#clock.clearTimeout(headDeadline);
          exchange.onHead(status, headers);
        },
        onResponseData(_controller, chunk) {
          if (settled) {
            return;
          }
          try {
            exchange.onData(chunk);
          } catch (error) {
            end(error instanceof Error ? error : new Error(String(error)));
          }
        },
        onResponseEnd: () => settle(),
        onResponseError: (_controller, error) => fail(codeOf(error), describe(error), error),
      };
      try {
        dispatcher.dispatch(
          {
            origin: this.#origin,
            path: this.#prefix + exchange.path,
            method: exchange.method,
            headers: exchange.headers,
            body: exchange.body ?? null,
            headersTimeout: 0,
            bodyTimeout: 0,
          },
          handler,
        );
      } catch (error) {
        const cause = error instanceof Error ? error : new Error(String(error));
        fail(codeOf(cause), describe(cause), cause);
      }
    });
  }

  /** Ends all connections, and with them all requests under way. */
  async close(): Promise<void> {
    this.#closed = true;
    const lanes = [...this.#lanes.values()];
    this.#lanes.clear();
    await Promise.all(lanes.map((lane) => lane.dispatcher.destroy()));
  }

  #dispatcherFor(lane: Lane): Dispatcher {
    const tls = this.#access.tls;
    const open = this.#lanes.get(lane);
    if (open !== undefined && open.tls === tls) {
      return open.dispatcher;
    }
    return this.#open(lane, tls, open);
  }

  #open(lane: Lane, tls: TlsMaterial, before: OpenLane | undefined): Dispatcher {
    const dispatcher = this.#createDispatcher(lane, tls);
    this.#lanes.set(lane, { dispatcher, tls, rotatedAt: this.#clock.monotonic() });
    // Requests under way may finish on the old connections; they close when the last one has.
    before?.dispatcher.close().catch(() => before.dispatcher.destroy());
    return dispatcher;
  }

  /**
   * After a request that got no answer at all: its connection, and probably its neighbours, lead nowhere (a firewall
   * that forgot them, a server that vanished). New requests get new connections instead of each timing out in turn.
   */
  #rotate(lane: Lane, dispatcher: Dispatcher): void {
    const open = this.#lanes.get(lane);
    if (open?.dispatcher === dispatcher && this.#clock.monotonic() - open.rotatedAt >= ROTATE_INTERVAL_MS) {
      this.#open(lane, open.tls, open);
    }
  }

  #createDispatcher(lane: Lane, tls: TlsMaterial): Dispatcher {
    const connect = {
      ...(tls.ca === undefined ? {} : { ca: tls.ca }),
      ...(tls.cert === undefined ? {} : { cert: tls.cert }),
      ...(tls.key === undefined ? {} : { key: tls.key }),
      ...(tls.servername === undefined ? {} : { servername: tls.servername }),
      rejectUnauthorized: tls.rejectUnauthorized,
      timeout: CONNECT_TIMEOUT_MS,
      keepAlive: true,
      keepAliveInitialDelay: 15_000,
    };
    const options = {
      allowH2: false,
      connections: CONNECTIONS[lane],
      pipelining: 1,
      keepAliveTimeout: KEEP_ALIVE_MS,
      keepAliveMaxTimeout: KEEP_ALIVE_MS,
      connect,
    };
    return this.#access.proxyUrl === undefined
      ? new Agent(options)
      : new ProxyAgent({ ...options, uri: this.#access.proxyUrl, requestTls: connect });
  }
}

/** A TLS or socket error's own words. They name hosts and certificates, never keys or headers. */
function describe(error: Error): string {
  const inner = error.cause instanceof Error ? ` (${error.cause.message})` : "";
  const nested = error instanceof AggregateError ? error.errors.map((each) => String(each)).join("; ") : "";
  return error.message === "" ? nested || codeOf(error) : `${error.message}${inner}`;
}
