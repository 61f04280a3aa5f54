/**
 * One HTTP request and its answer over an open dispatcher. Settles exactly once, and says whether any byte of the request may have
 * reached the vendor: undici calls onRequestStart in the same turn in which it writes to an open socket (client-h1.js, writeH1), so
 * before that call nothing was sent, and the fence that is asked in it is asked in the turn of the write.
 */
import type { Dispatcher } from "undici";
import type { BackendClock, WriteFence } from "../contract.ts";

export type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

export interface ExchangeRequest {
  method: Method;
  origin: string;
  /** With query. */
  path: string;
  headers: Readonly<Record<string, string>>;
  body?: string;
  /** Asked in the turn of the write; absent for what changes nothing. */
  fence?: WriteFence;
  /** Until the request is handed to a connection, ms. */
  connectTimeoutMs: number;
  /** From then until the head of the answer, ms. */
  headersTimeoutMs: number;
  /** Between two pieces of the body, ms. */
  idleTimeoutMs: number;
  /** From the hand-over until the end of the body, ms. */
  totalTimeoutMs: number;
  /** Largest body, bytes. */
  maxBytes: number;
  signal: AbortSignal;
  /** Takes the body of a 2xx piece by piece instead of having it collected; a throw ends the exchange. */
  onData?: (chunk: Buffer) => void;
  /** Told once, when the head has come. */
  onHead?: (status: number, contentType: string) => void;
}

/** What came of it. */
export type ExchangeResult =
  /** A whole answer. `body` is empty where onData took it. */
  | { kind: "Answer"; status: number; headers: AnswerHeaders; body: Buffer }
  /** Proven: no byte of it left the process. */
  | { kind: "NotSent"; cause: "Connect" | "Fenced" | "Aborted"; tls: boolean; message: string }
  /** It was (perhaps partly) written, and no whole usable answer came. `status` if at least its head did. */
  | { kind: "Broken"; status?: number; message: string };

export type AnswerHeaders = Readonly<Record<string, string | string[] | undefined>>;

/** The value of a header that comes once; of several the first. */
export function headerOf(headers: AnswerHeaders, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value[0] : value;
}

export function exchange(
  dispatcher: Dispatcher,
  request: ExchangeRequest,
  clock: BackendClock,
): Promise<ExchangeResult> {
  return new Promise((resolve) => {
    let controller: Dispatcher.DispatchController | undefined;
    let head: { status: number; headers: AnswerHeaders } | undefined;
    let settled = false;
    let timer: unknown;
    let total: unknown;
    let size = 0;
    const chunks: Buffer[] = [];

    const settle = (result: ExchangeResult): void => {
      if (settled) return;
      settled = true;
      clock.clearTimeout(timer);
      clock.clearTimeout(total);
      request.signal.removeEventListener("abort", onAbort);
      resolve(result);
    };
    /** Ends it from this side. */
    const end = (message: string, cause: "Connect" | "Fenced" | "Aborted" = "Connect", error?: Error): void => {
      settle(
        controller === undefined
          ? { kind: "NotSent", cause, tls: error !== undefined && isTlsError(error), message }
          : { kind: "Broken", ...(head !== undefined && { status: head.status }), message },
      );
      controller?.abort(new Error(message));
    };
    const onAbort = (): void => end("given up by this side", "Aborted");
    const arm = (ms: number, what: string): void => {
      clock.clearTimeout(timer);
      timer = clock.setTimeout(() => end(`${what} within ${ms} ms`), ms);
    };
    const take = (chunk: Buffer): void => {
      size += chunk.length;
      if (size > request.maxBytes) return end(`the answer is larger than ${request.maxBytes} bytes`);
      const streams = request.onData !== undefined && head !== undefined && head.status >= 200 && head.status < 300;
      if (!streams) {
        chunks.push(chunk);
        return;
      }
      try {
        request.onData?.(chunk);
      } catch (error) {
        end(error instanceof Error ? error.message : "the answer cannot be read");
      }
    };

    if (request.signal.aborted) return onAbort();
    request.signal.addEventListener("abort", onAbort, { once: true });
    arm(request.connectTimeoutMs, "no connection");
    try {
      dispatcher.dispatch(
        {
          origin: request.origin,
          path: request.path,
          method: request.method,
          headers: request.headers,
          body: request.body ?? null,
          // A write is never sent again by the library: it does so only for what it takes to be repeatable.
          idempotent: request.fence === undefined,
          headersTimeout: 0,
          bodyTimeout: 0,
        },
        {
          onRequestStart(given) {
            // A second start would be a second send.
            if (settled || controller !== undefined) return given.abort(new Error("not sent twice"));
            if (request.fence?.valid() === false) {
              end("this process may not write now: it does not hold the lease, or runs with --read-only", "Fenced");
              return given.abort(new Error("fenced"));
            }
            controller = given;
            arm(request.headersTimeoutMs, "no answer");
            total = clock.setTimeout(
              () => end(`no complete answer within ${request.totalTimeoutMs} ms`),
              request.totalTimeoutMs,
            );
          },
          onResponseStart(_controller, status, headers) {
            if (status < 200 || settled) return;
            head = { status, headers };
            arm(request.idleTimeoutMs, "the answer goes no further: nothing came");
            const encoding = headerOf(headers, "content-encoding") ?? "identity";
            // None was offered. A small compressed body can stand for an endless one.
            if (encoding !== "identity") return end("the answer is compressed although that was not asked for");
            request.onHead?.(status, headerOf(headers, "content-type") ?? "");
          },
          onResponseData(_controller, chunk) {
            if (settled) return;
            arm(request.idleTimeoutMs, "the answer goes no further: nothing came");
            take(chunk);
          },
          onResponseEnd() {
            if (head === undefined) return end("the connection ended without an answer");
            settle({ kind: "Answer", ...head, body: Buffer.concat(chunks) });
          },
          onResponseError(_controller, error) {
            end(describe(error), "Connect", error);
          },
        },
      );
    } catch (error) {
      // Only options that are no request (a character that no header may have) or a closed dispatcher get here.
      const cause = error instanceof Error ? error : new Error("cannot be sent");
      end(describe(cause), "Connect", cause);
    }
  });
}

/** Codes of Node's TLS errors: certificates (X509_V_ERR_*), protocol (ERR_SSL_*), names (ERR_TLS_*). */
function isTlsError(error: Error): boolean {
  const code = codeOf(error);
  return (
    /^(ERR_SSL|ERR_TLS|CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|HOSTNAME_MISMATCH|INVALID_CA|EPROTO)/.test(code) ||
    (error.cause instanceof Error && isTlsError(error.cause))
  );
}

function codeOf(error: Error): string {
  const { code } = error as Error & { code?: unknown };
  return typeof code === "string" ? code : "";
}

/** A socket's or TLS's own words: hosts and certificates, never headers or bodies. */
function describe(error: Error): string {
  if (error instanceof AggregateError && error.message === "")
    return error.errors.map((each) => (each instanceof Error ? each.message : "")).join("; ");
  return error.message === "" ? codeOf(error) || error.name : error.message;
}
