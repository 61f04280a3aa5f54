/** One request on its way through the HTTP fault proxy, with what was ordered for it. */

import http from "node:http";
import https from "node:https";
import { setTimeout as delay } from "node:timers/promises";
import type { ActiveRule, Fault } from "./http-rules.ts";

/** A request that came by, and what can still be done to it. */
export interface SeenRequest {
  /** Position among all requests, from 1. */
  readonly n: number;
  readonly method: string;
  /** With query. */
  readonly path: string;
  readonly watch: boolean;
  readonly headers: http.IncomingHttpHeaders;
  /** Status passed on to the client; undefined before. */
  readonly status: number | undefined;
  /** Whether it was passed on to the server. */
  readonly forwarded: boolean;
  /** Whether the client's side is over, in whatever way. */
  readonly closed: boolean;
  /** Lines of a watch passed on so far. */
  readonly lines: number;
  /** Body that the client sent; complete once the server answered. */
  readonly body: string;
  /** From now on nothing passes to the client, and the connection stays: half-open. */
  stall(): void;
  /** Resets the client's connection. */
  reset(): void;
  /** Ends the answer in order. */
  finish(): void;
  /** Puts a line into the answer. */
  insert(line: object): void;
}

export interface ExchangeOptions {
  upstream: string;
  agent: http.Agent;
  tls: https.RequestOptions;
  token: string | undefined;
}

const NEWLINE = 0x0a;
/** Headers that belong to one connection, not to the request (RFC 9110, section 7.6.1). */
const HOP_BY_HOP = new Set(["connection", "keep-alive", "transfer-encoding", "upgrade", "host"]);

export class HttpExchange implements SeenRequest {
  readonly n: number;
  readonly method: string;
  readonly path: string;
  readonly watch: boolean;
  readonly #request: http.IncomingMessage;
  readonly #response: http.ServerResponse;
  readonly #options: ExchangeOptions;
  #upstream: http.ClientRequest | undefined;
  #fault: Fault | undefined;
  #stalled = false;
  #forwarded = false;
  #status: number | undefined;
  #lines = 0;
  #partial = Buffer.alloc(0);
  #body = "";

  constructor(n: number, request: http.IncomingMessage, response: http.ServerResponse, options: ExchangeOptions) {
    this.n = n;
    this.method = request.method ?? "";
    this.path = request.url ?? "";
    this.watch = /[?&]watch=(true|1)\b/.test(this.path);
    this.#request = request;
    this.#response = response;
    this.#options = options;
  }

  get headers(): http.IncomingHttpHeaders {
    return this.#request.headers;
  }

  get status(): number | undefined {
    return this.#status;
  }

  get forwarded(): boolean {
    return this.#forwarded;
  }

  get closed(): boolean {
    return this.#response.closed || this.#response.writableFinished;
  }

  get lines(): number {
    return this.#lines;
  }

  get body(): string {
    return this.#body;
  }

  stall(): void {
    this.#stalled = true;
  }

  reset(): void {
    this.#request.socket.resetAndDestroy();
  }

  finish(): void {
    this.#response.end();
  }

  insert(line: object): void {
    this.#response.write(`${JSON.stringify(line)}\n`);
  }

  /** Carries the exchange out; settles when it was handed on. */
  async run(rule: ActiveRule | undefined): Promise<void> {
    this.#fault = rule?.fault;
    // The server's side ends with the client's, or a watch would live on in the server for minutes.
    this.#response.on("close", () => this.#upstream?.destroy());
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of this.#request) {
        chunks.push(chunk as Buffer);
      }
    } catch {
      return;
    }
    const body = Buffer.concat(chunks);
    this.#body = body.toString("utf8");
    const fault = this.#fault;
    switch (fault?.do) {
      case "reset":
        if (fault.when === "before") {
          this.reset();
          return;
        }
        break;
      case "answer":
        this.#answer(fault);
        return;
      case "delay":
        await delay(fault.ms);
        break;
      case "hold":
        await rule?.released;
        break;
      case "stall":
        this.#stalled = fault.afterLines === 0;
        break;
      case "swallow":
      case "cut":
      case "insert":
      case "lines":
      case undefined:
        break;
      default:
        fault satisfies never;
    }
    if (!this.closed) {
      this.#forward(body);
    }
  }

  #forward(body: Buffer): void {
    const { upstream, agent, tls, token } = this.#options;
    const url = new URL(upstream);
    const headers: http.OutgoingHttpHeaders = {};
    for (const [name, value] of Object.entries(this.#request.headers)) {
      if (value !== undefined && !HOP_BY_HOP.has(name)) {
        headers[name] = value;
      }
    }
    if (token !== undefined && headers.authorization === undefined) {
      headers.authorization = `Bearer ${token}`;
    }
    const options = {
      ...tls,
      method: this.method,
      path: this.path,
      host: url.hostname,
      port: url.port,
      headers,
      agent,
    };
    this.#forwarded = true;
    this.#upstream = url.protocol === "https:" ? https.request(options) : http.request(options);
    this.#upstream.on("response", (answer) => this.#passOn(answer));
    this.#upstream.on("error", () => {
      // The server is away: the client sees what it would see without us.
      if (!this.closed && !this.#stalled) {
        this.reset();
      }
    });
    this.#upstream.end(body);
  }

  #passOn(answer: http.IncomingMessage): void {
    const fault = this.#fault;
    const mute = fault?.do === "swallow" || (fault?.do === "reset" && fault.when === "after");
    if (!mute && !this.#stalled) {
      this.#status = answer.statusCode ?? 0;
      const headers = Object.entries(answer.headers).filter(([name]) => !HOP_BY_HOP.has(name));
      const changes = fault?.do === "lines" || fault?.do === "insert";
      this.#response.writeHead(
        this.#status,
        Object.fromEntries(headers.filter(([name]) => !changes || name !== "content-length")),
      );
      this.#response.flushHeaders();
    }
    answer.on("data", (chunk: Buffer) => {
      if (!mute) {
        this.#data(chunk);
      }
    });
    answer.on("end", () => {
      if (fault?.do === "reset" && fault.when === "after") {
        this.reset();
      } else if (!mute && !this.#stalled) {
        this.#response.end(this.#partial);
      }
    });
    answer.on("error", () => {
      if (!mute && !this.#stalled) {
        this.reset();
      }
    });
  }

  #data(chunk: Buffer): void {
    const byLine = this.watch || this.#fault?.do === "cut" || this.#fault?.do === "lines";
    if (this.#stalled || this.closed) {
      return;
    }
    if (!byLine) {
      this.#response.write(chunk);
      return;
    }
    let rest = Buffer.concat([this.#partial, chunk]);
    for (let end = rest.indexOf(NEWLINE); end !== -1; end = rest.indexOf(NEWLINE)) {
      if (!this.#line(rest.subarray(0, end + 1))) {
        return;
      }
      rest = rest.subarray(end + 1);
    }
    const fault = this.#fault;
    if (fault?.do === "cut" && this.#lines >= fault.afterLines && rest.length >= fault.partialBytes) {
      this.#cut(rest.subarray(0, fault.partialBytes), fault.how);
      return;
    }
    this.#partial = rest;
  }

  /** Passes one line on. @returns whether there may be more. */
  #line(line: Buffer): boolean {
    const fault = this.#fault;
    if (fault?.do === "insert" && this.#lines === fault.afterLines) {
      this.insert(fault.line);
    }
    if (fault?.do === "cut" && this.#lines === fault.afterLines) {
      this.#cut(line.subarray(0, Math.min(fault.partialBytes, line.length - 1)), fault.how);
      return false;
    }
    if (fault?.do === "lines") {
      const edited = fault.edit(line.toString("utf8"), this.#lines);
      this.#lines += 1;
      if (edited !== undefined) {
        this.#response.write(edited.endsWith("\n") ? edited : `${edited}\n`);
      }
      return true;
    }
    this.#response.write(line);
    this.#lines += 1;
    if (fault?.do === "stall" && this.#lines >= fault.afterLines) {
      this.#stalled = true;
      return false;
    }
    return true;
  }

  #cut(piece: Buffer, how: "fin" | "reset" | "end"): void {
    this.#stalled = true;
    this.#upstream?.destroy();
    if (how === "end") {
      this.#response.end(piece);
      return;
    }
    this.#response.write(piece, () => {
      if (how === "fin") {
        this.#request.socket.end();
      } else {
        this.reset();
      }
    });
  }

  #answer(fault: Fault & { do: "answer" }): void {
    const { status, reason, message, retryAfterSeconds } = fault;
    this.#status = status;
    const body =
      fault.body ??
      JSON.stringify({
        kind: "Status",
        apiVersion: "v1",
        metadata: {},
        status: "Failure",
        code: status,
        reason: reason ?? http.STATUS_CODES[status]?.replaceAll(" ", ""),
        message: message ?? `injected by the fault proxy (${status})`,
        ...(retryAfterSeconds === undefined ? {} : { details: { retryAfterSeconds } }),
      });
    this.#response.writeHead(status, {
      "content-type": "application/json",
      ...(retryAfterSeconds === undefined ? {} : { "retry-after": String(retryAfterSeconds) }),
    });
    this.#response.end(body);
  }
}
