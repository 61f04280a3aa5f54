/**
 * One request to the API server from the credentials to the parsed failure: what every verb of client.ts goes through.
 * Sends a second time only where that is surely right: a read that the server put off, and any request after a 401 when
 * there are newer credentials (a 401 had no effect).
 */

import type { ClusterAccess } from "./access.ts";
import { sleep, type Clock } from "./clock.ts";
import { ApiError, TransportError, type Status } from "./errors.ts";
import { retryAfterMs, type RawRequest, type RawResponse, type RequestObservation } from "./requests.ts";
import { Transport, type Exchange } from "./transport.ts";

/** client-go gives a read up to 10 retries when the server names a time (rest/request.go). */
const READ_RETRIES = 10;
/** A server that wants more patience than this gets its answer handed on instead. */
const MAX_ASKED_DELAY_MS = 30_000;

export interface RequesterOptions {
  access: ClusterAccess;
  clock: Clock;
  userAgent: string;
  requestTimeoutMs: number;
  maxResponseBytes: number;
  onRequest: ((observation: RequestObservation) => void) | undefined;
  onWarning: ((text: string) => void) | undefined;
}

/** What a request is for, for errors, metrics and retries. */
export interface Purpose {
  verb: RequestObservation["verb"];
  resource: string;
  where: string;
  idempotentRead: boolean;
}

/** The parts of a streamed request. */
export interface StreamPart {
  headTimeoutMs?: number;
  onController?: (abort: (reason: Error) => void) => void;
  onOpen?: () => void;
  onData?: (chunk: Buffer) => void;
}

export class Requester {
  readonly #options: RequesterOptions;
  readonly #transport: Transport;
  readonly #host: string;

  constructor(options: RequesterOptions) {
    this.#options = options;
    this.#transport = new Transport(options.access, options.clock);
    this.#host = new URL(options.access.server).host;
  }

  /** Ends all connections. */
  close(): Promise<void> {
    return this.#transport.close();
  }

  /** Sends, and sends again where that is surely right: a read put off by the server, or new credentials after a 401. */
  async send(purpose: Purpose, request: RawRequest & StreamPart): Promise<RawResponse> {
    let credentialsRenewed = false;
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await this.#sendOnce(purpose, request);
      } catch (error) {
        if (isCredentialProblem(error) && !credentialsRenewed) {
          credentialsRenewed = true;
          if (await this.#options.access.refresh().catch(() => false)) {
            continue;
          }
        }
        const delayMs =
          purpose.idempotentRead && attempt < (request.readRetries ?? READ_RETRIES) ? askedDelayMs(error) : undefined;
        if (delayMs === undefined || !(await sleep(this.#options.clock, delayMs, request.signal))) {
          throw error;
        }
      }
    }
  }

  async #sendOnce(purpose: Purpose, request: RawRequest & StreamPart): Promise<RawResponse> {
    const startedAt = this.#options.clock.monotonic();
    const { verb, resource, where } = purpose;
    const { method } = request;
    let observed = false;
    const observe = (code: string): void => {
      if (!observed) {
        observed = true;
        const durationMs = this.#options.clock.monotonic() - startedAt;
        this.#options.onRequest?.({ verb, method, resource, host: this.#host, code, durationMs });
      }
    };
    let status = 0;
    let headers: RawResponse["headers"] = {};
    const chunks: Buffer[] = [];
    let bytes = 0;
    try {
      const authorization = await this.#options.access.authHeader();
      const exchange: Exchange = {
        where,
        lane: request.lane ?? "requests",
        method,
        path: request.path,
        headers: {
          "user-agent": this.#options.userAgent,
          ...request.headers,
          ...(authorization === undefined ? {} : { authorization }),
        },
        body: request.body,
        signal: request.signal,
        timeoutMs: request.timeoutMs ?? this.#options.requestTimeoutMs,
        headTimeoutMs: request.headTimeoutMs ?? 0,
        onHead: (code, head) => {
          status = code;
          headers = head;
          this.#reportWarnings(head.warning);
          if (code < 300 && request.onData !== undefined) {
            observe(String(code));
            request.onOpen?.();
          }
        },
        onData: (chunk) => {
          if (status < 300 && request.onData !== undefined) {
            request.onData(chunk);
            return;
          }
          bytes += chunk.length;
          if (bytes > this.#options.maxResponseBytes) {
            const limit = this.#options.maxResponseBytes;
            throw new TransportError(where, "TooLarge", "unknown", `the answer is larger than ${limit} bytes`);
          }
          chunks.push(chunk);
        },
        ...(request.onController === undefined ? {} : { onController: request.onController }),
      };
      await this.#transport.send(exchange);
    } catch (error) {
      observe("<error>");
      throw error;
    }
    observe(String(status));
    const body = chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks);
    if (status >= 300) {
      throw new ApiError(
        where,
        status,
        parseStatus(body),
        retryAfterMs(headers["retry-after"], this.#options.clock.now()),
      );
    }
    return { status, headers, body };
  }

  /** Reads `299 - "text"` (RFC 7234, section 5.5; KEP-1693). */
  #reportWarnings(header: string | string[] | undefined): void {
    if (this.#options.onWarning === undefined || header === undefined) {
      return;
    }
    for (const line of Array.isArray(header) ? header : [header]) {
      for (const match of line.matchAll(/299 \S+ "((?:[^"\\]|\\.)*)"/g)) {
        this.#options.onWarning((match[1] ?? "").replace(/\\(.)/g, "$1"));
      }
    }
  }
}

/** A 401, or a TLS failure that new certificates may cure. */
function isCredentialProblem(error: unknown): boolean {
  if (error instanceof ApiError) {
    return error.status === 401;
  }
  return error instanceof TransportError && error.sent === "no" && /CERT|SSL|TLS|ISSUER|SIGNATURE/.test(error.code);
}

/** How long the server asks a reader to wait; undefined when it did not ask. */
function askedDelayMs(error: unknown): number | undefined {
  if (!(error instanceof ApiError) || (error.status !== 429 && error.status < 500)) {
    return undefined;
  }
  return error.retryAfterMs !== undefined && error.retryAfterMs <= MAX_ASKED_DELAY_MS ? error.retryAfterMs : undefined;
}

function parseStatus(body: Buffer): Status | undefined {
  try {
    const parsed = JSON.parse(body.toString("utf8")) as Status;
    return parsed.kind === "Status" ? parsed : undefined;
  } catch {
    // A proxy's HTML page or nothing at all; the HTTP status says enough.
    return undefined;
  }
}
