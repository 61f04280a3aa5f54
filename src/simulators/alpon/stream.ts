// Writes events into a body in every framing that the vendor's pages allow, and cuts the bytes as no proxy is too bad to do.

import type { ServerResponse } from "node:http";
import { sleep, type Clock } from "../clock.ts";
import type { StreamEvent } from "./device.ts";
import type { Quirks } from "./types.ts";

const PING_MS = 15_000;

export class EventWriter {
  readonly #response: ServerResponse;
  readonly #quirks: Quirks;
  readonly #clock: Clock;
  #held: Buffer[] = [];
  #queue: Promise<unknown> = Promise.resolve();
  #ping: object | undefined;
  #last: StreamEvent | undefined;
  #ended = false;
  /** Events that were written. */
  count = 0;

  constructor(response: ServerResponse, quirks: Quirks, clock: Clock) {
    this.#response = response;
    this.#quirks = { ...quirks };
    this.#clock = clock;
    response.writeHead(200, { "content-type": this.#quirks.contentType });
    response.flushHeaders();
    if (this.#quirks.framing === "sse-crlf-ping") {
      this.#bytes(`: ping - the first\r\n\r\n`);
      this.#armPing();
    }
  }

  write(event: StreamEvent): void {
    if (this.#ended) return;
    this.count += 1;
    this.#last = event;
    if (this.#quirks.framing !== "single-json") this.#bytes(frame(event, this.#quirks));
  }

  /** The end of the body, in order. */
  async end(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    this.#clock.clearTimeout(this.#ping);
    if (this.#quirks.framing === "single-json" && this.#last !== undefined)
      this.#bytes(JSON.stringify(shown(this.#last, this.#quirks)));
    if (this.#quirks.chunks === "all") this.#send(Buffer.concat(this.#held));
    await this.#queue;
    this.#response.end();
  }

  /** Nothing more is written, and the connection stays open. */
  stall(): void {
    this.#ended = true;
    this.#clock.clearTimeout(this.#ping);
  }

  /** The connection is reset once what was written has gone out. */
  async reset(): Promise<void> {
    this.stall();
    await this.#queue;
    this.#response.socket?.resetAndDestroy();
  }

  #armPing(): void {
    this.#ping = this.#clock.setTimeout(() => {
      this.#bytes(": ping - again {not an event}\r\n\r\n");
      this.#armPing();
    }, PING_MS);
  }

  #bytes(text: string): void {
    const bytes = Buffer.from(text);
    switch (this.#quirks.chunks) {
      case "event":
        this.#send(bytes);
        return;
      case "all":
        this.#held.push(bytes);
        return;
      case "bytes":
        for (const byte of bytes) this.#send(Buffer.from([byte]));
        return;
      case "middle": {
        const middle = Math.floor(bytes.length / 2);
        this.#send(bytes.subarray(0, middle));
        this.#send(bytes.subarray(middle));
        return;
      }
      default:
        this.#quirks.chunks satisfies never;
    }
  }

  #send(bytes: Buffer): void {
    this.#queue = this.#sendAfter(this.#queue, bytes);
  }

  async #sendAfter(before: Promise<unknown>, bytes: Buffer): Promise<void> {
    await before;
    if (!this.#response.destroyed) this.#response.write(bytes);
    // So that two pieces are two packets.
    if (this.#quirks.chunks !== "event") await sleep(this.#clock, 0);
  }
}

function shown({ code, ...event }: StreamEvent, { codeKey }: Quirks): object {
  return { ...event, ...(codeKey !== undefined && code !== undefined && { [codeKey]: code }) };
}

function frame(event: StreamEvent, quirks: Quirks): string {
  const json = JSON.stringify(shown(event, quirks));
  switch (quirks.framing) {
    case "sse-lf":
      return `data: ${json}\n\n`;
    case "sse-crlf-ping":
      return `event: message\r\ndata: ${json}\r\n\r\n`;
    case "ndjson":
      return `${json}\n`;
    case "concatenated":
    case "single-json":
      return json;
    default:
      return quirks.framing satisfies never;
  }
}
