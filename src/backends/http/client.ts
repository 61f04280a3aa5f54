/**
 * src/backends/http is what the vendors with an HTTP API share: one client per account. It reuses connections, limits requests (limiter.ts),
 * bounds every answer in size and time, checks its content type, follows no redirect, repeats nothing, and says of each request what is
 * proven: that it was never sent, that it was answered, or that nobody knows (exchange.ts). What an answer means is the vendor's business
 * (failures.ts has the common part); when the account as a whole may be used is gate.ts's. account.ts puts the two together with the sessions
 * of the account's devices, which share when they look (looks.ts), how one command is in flight (command-slot.ts), which operations are over
 * (settlements.ts) and what is refused before anything is sent (admission.ts).
 *
 * A secret leaves this folder only in a request: neither the key nor a request's body is in any error text (text.ts).
 */
import type { Dispatcher } from "undici";
import type { BackendClock, WriteFence } from "../contract.ts";
import { parseJson } from "../guards.ts";
import { createDispatcher, type HttpTls, type ProxyEnvironment } from "./dispatcher.ts";
import { exchange, headerOf, type AnswerHeaders, type ExchangeResult, type Method } from "./exchange.ts";
import { Limiter, retryAfterMs, type LimiterOptions, type Urgency } from "./limiter.ts";
import { errorText, oneLine, redact } from "./text.ts";

export interface HttpClientOptions {
  /** Address of the API; paths of requests are appended. */
  url: string;
  tls: HttpTls;
  /** Sent with every request; values may be secret and are taken out of every text. */
  authHeaders: Readonly<Record<string, string>>;
  /** The secret itself, where a header's value is more than it. */
  secrets?: readonly string[];
  limits: LimiterOptions;
  /** Default 10 s. */
  connectTimeoutMs?: number;
  /** Default 30 s. */
  headersTimeoutMs?: number;
  /** Between two pieces of a body. Default 15 s. */
  idleTimeoutMs?: number;
  /** For a whole answer. Default 60 s. */
  totalTimeoutMs?: number;
  /** Largest answer, bytes. Default 1 MiB. */
  maxBytes?: number;
  /** Longest pause that a Retry-After may ask for, ms. Default 10 min. */
  maxRetryAfterMs?: number;
  /** A pause that the vendor asks for in headers of its own, ms; undefined for none. Asked of every answer. */
  restMs?: (status: number, headers: AnswerHeaders) => number | undefined;
  /** Where proxies are read. Default: process.env. */
  env?: ProxyEnvironment;
}

export interface HttpClientDeps {
  clock: BackendClock;
  /** Refuses writes while false. */
  fence: WriteFence;
}

export interface HttpRequest {
  method: Method;
  /** Below the url; begins with /. Parts that come from anywhere else are encoded by the caller. */
  path: string;
  /** Sent as JSON. */
  json?: unknown;
  /** It changes something: it is fenced. GET never is. */
  write: boolean;
  /** What must not appear in any text although it is in the body. */
  secrets?: readonly string[];
  /** Default: Urgent for a write, else Routine. */
  urgency?: Urgency;
  headers?: Readonly<Record<string, string>>;
  headersTimeoutMs?: number;
  idleTimeoutMs?: number;
  totalTimeoutMs?: number;
  maxBytes?: number;
  /** Media types that a 2xx may have. Default: JSON. */
  accept?: readonly string[];
  /** Streams the body of a 2xx; the answer then has neither json nor text. A throw ends the request as Broken. */
  onData?: (chunk: Buffer) => void;
  onHead?: (status: number, contentType: string) => void;
  /** Its answer may take minutes: once its head is here it is not counted among the requests under way, and has a connection beside theirs. */
  isLong?: boolean;
  /** The vendor counts these apart: a pause that their answers ask for is theirs alone. */
  isCountedApart?: boolean;
  /** Ends the wait for a turn, or the request. */
  signal?: AbortSignal;
  /** How long it may wait for its turn, ms: then it is given up unsent, since what it was decided upon is too old. Default: without end. */
  turnWithinMs?: number;
}

/** A whole answer. */
export interface HttpAnswer {
  kind: "Answer";
  status: number;
  headers: AnswerHeaders;
  /** The parsed body, of whatever status; undefined if it is empty or no JSON. */
  json: unknown;
  /** What an error body says, short and without secrets; "" for a 2xx. */
  message: string;
  /** Retry-After, ms. */
  retryAfterMs?: number;
}

export type HttpResult =
  | HttpAnswer
  /** Proven: nothing was sent. */
  | {
      kind: "NotSent";
      cause: "Connect" | "Fenced" | "Aborted" | "Closed";
      tls: boolean;
      message: string;
      /** It was given up in a pause that the vendor has asked for, which lasts for so long yet, ms. */
      retryAfterMs?: number;
    }
  /** It may have arrived; no usable answer came. For something that was read this is just a failure. */
  | { kind: "Broken"; status?: number; message: string };

const DEFAULTS = {
  connectTimeoutMs: 10_000,
  headersTimeoutMs: 30_000,
  idleTimeoutMs: 15_000,
  totalTimeoutMs: 60_000,
  maxBytes: 1_048_576,
  maxRetryAfterMs: 600_000,
};
const JSON_TYPES = ["application/json"];
/** Room for long answers beside the requests that are counted; connections are opened as they are needed. */
const LONG_CONNECTIONS = 256;

export class HttpClient {
  /** Scheme, host and port. */
  readonly origin: string;
  readonly #prefix: string;
  readonly #options: HttpClientOptions;
  readonly #deps: HttpClientDeps;
  readonly #limiter: Limiter;
  readonly #secrets: readonly string[];
  readonly #closing = new AbortController();
  #dispatcher: Dispatcher;

  /** @throws TypeError if the url is none, or Error if the TLS material cannot be read. */
  constructor(options: HttpClientOptions, deps: HttpClientDeps) {
    const url = new URL(options.url);
    this.origin = url.origin;
    this.#prefix = url.pathname.replace(/\/+$/, "");
    this.#options = options;
    this.#deps = deps;
    this.#limiter = new Limiter(deps.clock, options.limits);
    this.#secrets = [...Object.values(options.authHeaders), ...(options.secrets ?? [])];
    this.#dispatcher = this.#connect();
  }

  /** How long the vendor's Retry-After still lasts, ms. */
  get pausedMs(): number {
    return this.#limiter.pausedMs;
  }

  /** Never rejects and never throws for anything that a server does. */
  async send(request: HttpRequest): Promise<HttpResult> {
    const signal =
      request.signal === undefined ? this.#closing.signal : AbortSignal.any([this.#closing.signal, request.signal]);
    const release = await this.#turn(request, signal);
    if (release === undefined) return this.#neverBegun(signal.aborted ? undefined : request.turnWithinMs);
    try {
      const dispatcher = this.#dispatcher;
      const result = await this.#exchange(
        dispatcher,
        request.isLong === true ? freeing(request, release) : request,
        signal,
      );
      if (result.kind === "Broken" && result.status === undefined && !signal.aborted) this.#replace(dispatcher);
      return this.#judge(request, result);
    } finally {
      release();
    }
  }

  /** Ends all connections, and with them all requests under way. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#limiter.close();
    await this.#dispatcher.destroy();
  }

  async #turn(request: HttpRequest, signal: AbortSignal): Promise<(() => void) | undefined> {
    const { turnWithinMs, urgency = request.write ? "Urgent" : "Routine" } = request;
    if (turnWithinMs === undefined) return this.#limiter.turn(urgency, signal);
    const { clock } = this.#deps;
    const patience = new AbortController();
    const timer = clock.setTimeout(() => patience.abort(), turnWithinMs);
    try {
      return await this.#limiter.turn(urgency, AbortSignal.any([signal, patience.signal]));
    } finally {
      clock.clearTimeout(timer);
    }
  }

  /** @param waitedMs where it was given up since it had waited for so long. */
  #neverBegun(waitedMs: number | undefined): HttpResult {
    const closed = this.#closing.signal.aborted;
    const { pausedMs } = this;
    return {
      kind: "NotSent",
      cause: closed ? "Closed" : "Aborted",
      tls: false,
      message: closed
        ? "the account was closed"
        : waitedMs === undefined
          ? "given up before its turn"
          : `its turn did not come within ${waitedMs} ms`,
      ...(!closed && waitedMs !== undefined && pausedMs > 0 && { retryAfterMs: pausedMs }),
    };
  }

  #exchange(dispatcher: Dispatcher, request: HttpRequest, signal: AbortSignal): Promise<ExchangeResult> {
    const { clock, fence } = this.#deps;
    const options = { ...DEFAULTS, ...this.#options };
    const accept = request.accept ?? JSON_TYPES;
    return exchange(
      dispatcher,
      {
        method: request.method,
        origin: this.origin,
        path: this.#prefix + request.path,
        headers: {
          accept: accept.join(", "),
          "user-agent": "drayage",
          ...(request.json !== undefined && { "content-type": "application/json" }),
          ...request.headers,
          ...this.#options.authHeaders,
        },
        ...(request.json !== undefined && { body: JSON.stringify(request.json) }),
        ...(request.write && { fence }),
        connectTimeoutMs: options.connectTimeoutMs,
        headersTimeoutMs: request.headersTimeoutMs ?? options.headersTimeoutMs,
        idleTimeoutMs: request.idleTimeoutMs ?? options.idleTimeoutMs,
        totalTimeoutMs: request.totalTimeoutMs ?? options.totalTimeoutMs,
        maxBytes: request.maxBytes ?? options.maxBytes,
        signal,
        ...(request.onData !== undefined && { onData: request.onData }),
        ...(request.onHead !== undefined && { onHead: request.onHead }),
      },
      clock,
    );
  }

  #judge(request: HttpRequest, result: ExchangeResult): HttpResult {
    const secrets = [...this.#secrets, ...(request.secrets ?? [])];
    const clean = (text: string): string => oneLine(redact(text, secrets));
    if (result.kind === "NotSent") {
      const closed = result.cause === "Aborted" && this.#closing.signal.aborted;
      return { ...result, cause: closed ? "Closed" : result.cause, message: clean(result.message) };
    }
    if (result.kind === "Broken") return { ...result, message: clean(result.message) };
    const { status, headers } = result;
    const longestMs = this.#options.maxRetryAfterMs ?? DEFAULTS.maxRetryAfterMs;
    const restMs = this.#options.restMs?.(status, headers);
    const wait =
      retryAfterMs(headerOf(headers, "retry-after"), this.#deps.clock.now(), longestMs) ??
      (restMs === undefined ? undefined : Math.min(restMs, longestMs));
    // 503 with a time is a pause for everybody, too (RFC 9110, 15.6.4).
    const isAsked = status === 429 || status === 503 || restMs !== undefined;
    if (wait !== undefined && isAsked && request.isCountedApart !== true) this.#limiter.pause(wait);
    if (status >= 300 && status < 400) {
      const to = redirectTarget(headerOf(headers, "location"), this.origin);
      return { kind: "Broken", status, message: clean(`redirected to ${to}, which is not followed: correct the url`) };
    }
    const text = result.body.toString("utf8");
    const ok = status < 300;
    const streamed = request.onData !== undefined && ok;
    const json = parseJson(text);
    const type = (headerOf(headers, "content-type") ?? "").split(";")[0]?.trim().toLowerCase() ?? "";
    if (ok && status !== 204 && (text !== "" || streamed) && !isAcceptable(type, request.accept ?? JSON_TYPES))
      return {
        kind: "Broken",
        status,
        message: clean(
          `answered ${type || "without a content type"} instead of ${(request.accept ?? JSON_TYPES).join(" or ")}`,
        ),
      };
    if (ok && !streamed && text !== "" && json === undefined && request.accept === undefined)
      return { kind: "Broken", status, message: "the answer is no JSON" };
    return {
      kind: "Answer",
      status,
      headers,
      json: json ?? undefined,
      message: ok ? "" : errorText(text, secrets),
      ...(wait !== undefined && { retryAfterMs: wait }),
    };
  }

  /** A connection that gave no answer leads nowhere, and its neighbours with it: new requests get new ones. */
  #replace(dispatcher: Dispatcher): void {
    if (this.#dispatcher !== dispatcher || this.#closing.signal.aborted) return;
    this.#dispatcher = this.#connect();
    dispatcher.close().catch(() => dispatcher.destroy());
  }

  #connect(): Dispatcher {
    const { tls, limits, connectTimeoutMs = DEFAULTS.connectTimeoutMs, env = process.env } = this.#options;
    return createDispatcher(this.origin, tls, {
      connections: limits.concurrency + LONG_CONNECTIONS,
      connectTimeoutMs,
      env,
    });
  }
}

/** A request that gives its turn back with the head of its answer. */
function freeing(request: HttpRequest, release: () => void): HttpRequest {
  const { onHead } = request;
  return {
    ...request,
    onHead: (status, contentType) => {
      release();
      onHead?.(status, contentType);
    },
  };
}

/** `application/problem+json` is JSON, too. */
function isAcceptable(type: string, accept: readonly string[]): boolean {
  return accept.some(
    (wanted) => type === wanted || (wanted === "application/json" && /^application\/[^;]*\+json$/.test(type)),
  );
}

/** Host of a redirect; its path and query may hold tokens. */
function redirectTarget(location: string | undefined, origin: string): string {
  if (location === undefined || !URL.canParse(location, origin)) return "nowhere";
  const target = new URL(location, origin);
  return target.origin === origin ? "another path" : target.origin;
}
