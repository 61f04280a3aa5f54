// What the simulators of HTTP APIs share: a server on loopback that can go away and come back on its port, rules that let something befall
// a request, and the blows that need nothing of the vendor. What a vendor answers stays with the vendor.

import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Clock } from "./clock.ts";

const LARGEST_BODY = 10_000_000;

/** What befalls a request whatever the vendor is. `before`: nothing was done. `after`: it was done first. */
export type HttpEffect =
  | { kind: "reset"; when: "before" | "after" }
  /** `echo`: its text repeats the credentials and the body of the request, as a careless gateway does. */
  | { kind: "answer"; when: "before" | "after"; status: number; retryAfterS?: number; html?: boolean; echo?: boolean }
  /** No answer, and the connection stays open. */
  | { kind: "hang"; when: "before" | "after" }
  | { kind: "delay"; ms: number }
  /** A body without end. */
  | { kind: "endless" }
  /** A body of one byte at a time, without end. */
  | { kind: "trickle"; everyMs: number }
  | { kind: "redirect"; to: string };

/** What a gateway before the vendor may do; a simulator has to help with it. */
export type GatewayEffect =
  /** Done, and the connection ends in the middle of the answer. */
  | { kind: "torn" }
  /** It was sent on twice, and the second answer is given. */
  | { kind: "twice" }
  /** Something that is read is as it was when it was last asked for. */
  | { kind: "stale" };

export interface FaultRule<Match, Effect> {
  match?: Match;
  /** Leave so many alone first. Default 0. */
  skip?: number;
  /** Default 1. */
  times?: number | "all";
  effect: Effect;
}

/** A rule in force. */
export interface ActiveFault {
  /** How often it has struck. */
  hits(): number;
  remove(): void;
}

/** The rules in force; of several that match, the oldest acts. */
export class FaultRules<Match, Effect> {
  readonly #active = new Set<{ rule: FaultRule<Match, Effect>; seen: number; hits: number }>();

  add(rule: FaultRule<Match, Effect>): ActiveFault {
    const active = { rule, seen: 0, hits: 0 };
    this.#active.add(active);
    return { hits: () => active.hits, remove: () => void this.#active.delete(active) };
  }

  clear(): void {
    this.#active.clear();
  }

  /** What befalls this request, if anything. @param matches whether a rule's `match` means it; not asked where a rule has none */
  take(matches: (match: Match) => boolean): Effect | undefined {
    for (const active of this.#active) {
      const { match, skip = 0, times = 1, effect } = active.rule;
      if (match !== undefined && !matches(match)) continue;
      if (times !== "all" && active.hits >= times) continue;
      if (active.seen++ < skip) continue;
      active.hits += 1;
      return effect;
    }
    return undefined;
  }
}

export interface LoopbackServer {
  readonly port: number;
  /** The port is closed and every connection reset. @returns how to open it again. */
  outage(): Promise<() => Promise<void>>;
  stop(): Promise<void>;
}

/**
 * Serves on 127.0.0.1. A handler that throws has its connection cut.
 * @param wanted port; 0 for a free one
 * @throws when the port is taken
 */
export async function serveLoopback(
  wanted: number,
  handle: (request: IncomingMessage, response: ServerResponse) => Promise<void>,
): Promise<LoopbackServer> {
  const listen = async (port: number): Promise<Server> => {
    const made = createServer((request, response) => {
      handle(request, response).catch(() => request.socket.destroy());
    });
    made.listen(port, "127.0.0.1");
    await once(made, "listening");
    return made;
  };
  let server = await listen(wanted);
  const address = server.address();
  const port = address === null || typeof address === "string" ? 0 : address.port;
  const shut = async (): Promise<void> => {
    if (!server.listening) return;
    const closed = once(server, "close");
    server.close();
    server.closeAllConnections();
    await closed;
  };
  return {
    port,
    outage: async () => {
      await shut();
      return async () => {
        server = await listen(port);
      };
    },
    stop: shut,
  };
}

/** @throws when it is larger than 10 MB, or breaks off. */
export async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > LARGEST_BODY) throw new Error("body too large");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** The JSON of a body; undefined where it is none. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What a blow is dealt with. */
export interface Blow {
  clock: Clock;
  /** Aborts when the server stops. */
  closing: AbortSignal;
  /** Of the request. */
  body: string;
  /** Writes the vendor's own body of an error. */
  refuse: (status: number, text: string) => void;
}

/** Answers as `effect` says. A delay is the caller's business, here it does nothing. */
export function strike(
  effect: HttpEffect,
  request: IncomingMessage,
  response: ServerResponse,
  { clock, closing, body, refuse }: Blow,
): void {
  switch (effect.kind) {
    case "reset":
      request.socket.resetAndDestroy();
      return;
    case "answer":
      if (response.headersSent) return;
      if (effect.retryAfterS !== undefined) response.setHeader("retry-after", String(effect.retryAfterS));
      if (effect.html === true) {
        response.writeHead(effect.status, { "content-type": "text/html" });
        response.end("<html><head><title>Gateway</title></head><body>something in between</body></html>");
        return;
      }
      refuse(effect.status, effect.echo === true ? echoed(request, body) : "internal error");
      return;
    case "endless":
      pour(response, closing);
      return;
    case "trickle": {
      response.writeHead(200, { "content-type": "application/json" });
      const drip = (): void => {
        if (response.destroyed || closing.aborted) return;
        response.write(" ");
        clock.setTimeout(drip, effect.everyMs);
      };
      drip();
      return;
    }
    case "redirect":
      response.writeHead(302, { location: effect.to });
      response.end();
      return;
    case "hang":
    case "delay":
      return;
    default:
      effect satisfies never;
  }
}

/** Answers with half of `body`, as if all of it were to come, and ends the connection. */
export function tear(response: ServerResponse, status: number, body: unknown): void {
  const text = JSON.stringify(body ?? {});
  response.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(text) });
  response.write(text.slice(0, text.length / 2), () => response.destroy());
}

function echoed({ headers }: IncomingMessage, body: string): string {
  const credentials = headers["x-api-key"] ?? headers.authorization ?? headers["x-access-token"];
  return `internal error: ${body} for ${String(credentials)}`;
}

function pour(response: ServerResponse, closing: AbortSignal): void {
  response.writeHead(200, { "content-type": "application/json" });
  const more = (): void => {
    let room = true;
    while (room && !response.destroyed && !closing.aborted) room = response.write(" ".repeat(65_536));
    if (!response.destroyed && !closing.aborted) response.once("drain", more);
  };
  more();
}
