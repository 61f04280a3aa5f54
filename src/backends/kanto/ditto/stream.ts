/**
 * One stream of change notifications, from its request to its end. A stream that says nothing, not even its heart-beat (once a second, empty),
 * is dead: proxies keep such connections open for ever.
 */
import { createParser } from "eventsource-parser";
import type { Dispatcher } from "undici";
import { exchange, type ExchangeResult } from "../../http/exchange.ts";
import type { BackendClock } from "../../contract.ts";

export interface StreamRequest {
  origin: string;
  path: string;
  headers: Readonly<Record<string, string>>;
  connectTimeoutMs: number;
  /** Until the head. */
  headersTimeoutMs: number;
  /** Silence after which the stream is dead. */
  idleTimeoutMs: number;
  signal: AbortSignal;
}

export interface StreamHandlers {
  /** The head has come: what changes from about now on will be told. */
  opened(): void;
  /** Data of one event, never empty. */
  data(text: string): void;
}

/** How a stream ended. */
export type StreamEnd = { message: string; status?: number; tls: boolean; body: string };

/** Longest event that is taken, characters; a thing has at most 100 kB by default (ditto-limits.conf). */
const MAX_EVENT = 4 * 1024 * 1024;
/** A stream is made anew this often, whatever it does, ms. */
const LONGEST_MS = 24 * 3_600_000;

/** Follows a stream until it ends; never rejects. */
export async function followStream(
  dispatcher: Dispatcher,
  request: StreamRequest,
  handlers: StreamHandlers,
  clock: BackendClock,
): Promise<StreamEnd> {
  const decoder = new TextDecoder();
  const parser = createParser({
    maxBufferSize: MAX_EVENT,
    onEvent: ({ data }) => {
      if (data !== "") handlers.data(data);
    },
    onError: (error) => {
      // Lines that are no fields are to be ignored (HTML standard, 9.2.6); a buffer that runs over is the end.
      if (error.type === "max-buffer-size-exceeded") throw error;
    },
  });
  const state = { wrongType: "" };
  const result = await exchange(
    dispatcher,
    {
      ...request,
      method: "GET",
      headers: { ...request.headers, accept: "text/event-stream", "cache-control": "no-cache" },
      totalTimeoutMs: LONGEST_MS,
      maxBytes: Number.MAX_SAFE_INTEGER,
      onHead: (status, contentType) => {
        if (status < 200 || status >= 300) return;
        if (/^text\/event-stream\b/i.test(contentType)) handlers.opened();
        else state.wrongType = contentType === "" ? "nothing" : contentType;
      },
      onData: (chunk) => {
        if (state.wrongType !== "") throw new Error(`answered ${state.wrongType} instead of text/event-stream`);
        parser.feed(decoder.decode(chunk, { stream: true }));
      },
    },
    clock,
  );
  return streamEnd(result);
}

function streamEnd(result: ExchangeResult): StreamEnd {
  switch (result.kind) {
    case "Answer":
      return result.status >= 200 && result.status < 300
        ? { message: "the stream of changes ended", tls: false, body: "" }
        : {
            message: `the stream of changes was refused with ${result.status}`,
            status: result.status,
            tls: false,
            body: result.body.toString("utf8"),
          };
    case "NotSent":
      return { message: result.message, tls: result.tls, body: "" };
    case "Broken":
      return { message: result.message, tls: false, body: "" };
    default:
      return result satisfies never;
  }
}
