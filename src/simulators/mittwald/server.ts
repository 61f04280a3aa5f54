// The vendor's HTTP API on loopback: tokens, limits, the wait for events, and faults on demand. Paths are below /v2, as on api.mittwald.de.

import type { IncomingMessage, ServerResponse } from "node:http";
import { sleep, systemClock, type Clock } from "../clock.ts";
import {
  FaultRules,
  parseJson,
  readBody,
  serveLoopback,
  strike,
  type ActiveFault,
  type HttpEffect,
} from "../http-server.ts";
import { createRandom } from "../random.ts";
import { failure, invalid, Refusal, type Answer } from "./answers.ts";
import { handlersOf } from "./handlers.ts";
import { Human } from "./human.ts";
import { RateLimit } from "./limits.ts";
import { routeOf, writes, type Route } from "./operations.ts";
import { Platform } from "./platform.ts";
import { Reads } from "./reads.ts";
import {
  DEFAULT_QUIRKS,
  type Effect,
  type Match,
  type MittwaldOptions,
  type Quirks,
  type Rule,
  type SeenRequest,
} from "./types.ts";
import { Query } from "./validation.ts";

export interface MittwaldSimulator {
  /** `http://127.0.0.1:<port>`, without `/v2`. */
  readonly url: string;
  /** All that there is, and what is seen of it. */
  readonly platform: Platform;
  readonly quirks: Quirks;
  /** Somebody at mStudio, or a pipeline, who works on the same stacks. */
  readonly human: Human;
  /** All requests so far. */
  requests(): readonly SeenRequest[];
  /** How the token is taken: `ok`, or refused with 401 or 403 whatever it is. */
  authorize(how: "ok" | 401 | 403): void;
  /** The only token that may write, from now on. */
  setToken(token: string): void;
  /** Puts a rule in force; of several that match, the oldest acts. */
  fault(rule: Rule): ActiveFault;
  clearFaults(): void;
  /** The whole API is down: the port is closed and every connection reset. @returns how to open it again. */
  outage(): Promise<() => Promise<void>>;
  stop(): Promise<void>;
}

type MutableRequest = { -readonly [key in keyof SeenRequest]: SeenRequest[key] };

/** @throws when the port is taken. */
export async function startMittwald(options: MittwaldOptions = {}): Promise<MittwaldSimulator> {
  const clock: Clock = options.clock ?? systemClock;
  const quirks: Quirks = { ...DEFAULT_QUIRKS, ...options.quirks };
  const platform = new Platform(options, quirks, clock);
  const seen: MutableRequest[] = [];
  const rules = new FaultRules<Match, Effect>();
  const closing = new AbortController();
  const traces = createRandom(`${options.seed ?? "mittwald"} traces`);
  const limits = {
    all: new RateLimit(clock, () => ({ most: quirks.rateLimit, windowMs: quirks.rateWindowMs })),
    images: new RateLimit(clock, () => ({ most: quirks.imageConfigLimit, windowMs: quirks.rateWindowMs })),
  };
  let token = options.token ?? "mittwald-token";
  let authorization: "ok" | 401 | 403 = "ok";
  let port = 0;
  const handlers = handlersOf(platform, () => `http://127.0.0.1:${port}`);
  const reads = new Reads(platform);

  /** 401 or 403 for who may not, undefined for who may. */
  const refused = (request: IncomingMessage, { operation }: Route): Answer | undefined => {
    if (operation === "call-pull-image-webhook-for-service") return undefined;
    const given = tokenOf(request);
    const may = given === token ? "write" : given !== undefined && given === options.readToken ? "read" : undefined;
    if (authorization === 401 || may === undefined)
      return { status: 401, body: { type: "Unauthenticated", message: "unauthenticated" } };
    return authorization === 403 || (may === "read" && writes(operation)) ? failure(403) : undefined;
  };

  const perform = (route: Route, query: URLSearchParams, body: unknown): Answer => {
    try {
      return handlers[route.operation]({ path: route.path, query: new Query(query), body, by: "api" });
    } catch (error) {
      if (error instanceof Refusal) return error.answer;
      throw error;
    }
  };

  /** As it would be of a change that changes nothing. */
  const pretended = ({ path }: Route): Answer => ({
    status: 200,
    body: reads.written(platform.stack(path["stackId"] ?? "")),
    etag: platform.write(() => undefined).etag,
  });

  const send = (response: ServerResponse, entry: MutableRequest, answer: Answer, broken = false): void => {
    if (response.headersSent || response.destroyed) return;
    const { status, body, text, etag, headers } = answer;
    entry.etag = etag;
    for (const [name, value] of Object.entries({ ...limits.all.headers(), ...headers }))
      response.setHeader(name, value);
    if (etag !== undefined) response.setHeader("etag", etag);
    const traced =
      status >= 400 && typeof body === "object" ? { params: { traceId: trace(traces.next()) }, ...body } : body;
    const content = text ?? (traced === undefined ? "" : JSON.stringify(traced));
    if (content === "") {
      response.writeHead(status, text === undefined ? {} : { "content-type": "text/plain" });
      response.end();
      return;
    }
    const bytes = Buffer.from(content);
    response.writeHead(status, {
      "content-type": text === undefined ? "application/json" : "text/plain",
      "content-length": bytes.length,
    });
    if (!broken) {
      response.end(bytes);
      return;
    }
    const end = (): void => void response.socket?.resetAndDestroy();
    if (bytes.length < 2) end();
    else response.write(bytes.subarray(0, Math.floor(bytes.length / 2)), end);
  };

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? "/", "http://localhost");
    const route = routeOf(request.method ?? "", url.pathname);
    const raw = await readBody(request);
    const ifEventReached = headerOf(request, "if-event-reached");
    const entry: MutableRequest = {
      operation: route?.operation ?? "other",
      method: request.method ?? "",
      path: shownPath(url),
      body: raw === "" ? undefined : parseJson(raw),
      ifEventReached,
      etag: undefined,
      status: undefined,
    };
    seen.push(entry);
    response.once("close", () => {
      entry.status = response.writableFinished ? response.statusCode : 0;
      options.log?.(`${entry.method} ${entry.path} ${entry.status}`);
    });
    if (route === undefined) return send(response, entry, failure(404));
    const no =
      refused(request, route) ??
      limits.all.take() ??
      (route.operation === "get-container-image-config" ? limits.images.take() : undefined);
    if (no !== undefined) return send(response, entry, no);
    const kind = writes(route.operation) ? "writes" : "reads";
    const effect = rules.take((match) => match === route.operation || match === kind);
    if (effect?.kind === "delay") await sleep(clock, effect.ms, closing.signal);
    if (ifEventReached !== undefined) {
      const view = route.operation.startsWith("list-") && route.operation !== "list-stack-volumes" ? "list" : "stack";
      if (!(await platform.events.reached(view, ifEventReached, closing.signal)))
        return send(response, entry, {
          status: 412,
          body: { type: "EventNotReached", message: `event ${ifEventReached} was not reached in time` },
        });
    }
    const work = (): Answer => {
      if (raw !== "" && entry.body === undefined)
        return invalid([{ type: "format", path: "", message: "is not JSON" }]).answer;
      const answer = (): Answer => perform(route, url.searchParams, entry.body);
      const isAnyView = kind === "reads" && ifEventReached === undefined;
      return isAnyView ? platform.events.anyReplica(answer) : answer();
    };
    befall(effect, { request, response, entry, raw, route, work });
  };

  const again = async (ms: number, work: () => Answer): Promise<void> => {
    if (await sleep(clock, ms, closing.signal)) work();
  };

  interface Moment {
    request: IncomingMessage;
    response: ServerResponse;
    entry: MutableRequest;
    /** The request's body. */
    raw: string;
    route: Route;
    work: () => Answer;
  }

  const befall = (effect: Effect | undefined, { request, response, entry, raw, route, work }: Moment): void => {
    if (effect === undefined) {
      const broken = route.operation === "get-service-logs" && quirks.logTruncated;
      send(response, entry, work(), broken);
      return;
    }
    switch (effect.kind) {
      case "run":
        effect.run();
        send(response, entry, work());
        return;
      case "delay":
        send(response, entry, work());
        return;
      case "duplicate":
        send(response, entry, work());
        void again(effect.ms, work);
        return;
      case "cut":
        send(response, entry, work(), true);
        return;
      case "pretend": {
        const isChange = route.operation === "declare-stack" || route.operation === "update-stack";
        send(response, entry, isChange ? pretended(route) : work());
        return;
      }
      default:
        blow(effect, { request, response, entry, raw, route, work });
    }
  };

  const blow = (effect: HttpEffect, { request, response, entry, raw, work }: Moment): void => {
    if ("when" in effect && effect.when === "after") work();
    const refuse = (status: number, text: string): void => {
      const { body, ...answer } = failure(status);
      const isEcho = "echo" in effect && effect.echo === true && typeof body === "object";
      send(response, entry, { ...answer, body: isEcho ? { ...body, message: text } : body });
    };
    strike(effect, request, response, { clock, closing: closing.signal, body: raw, refuse });
  };

  const server = await serveLoopback(options.port ?? 0, handle);
  port = server.port;
  return {
    url: `http://127.0.0.1:${port}`,
    platform,
    quirks,
    human: new Human(platform, handlers),
    requests: () => seen,
    authorize: (how) => {
      authorization = how;
    },
    setToken: (next) => {
      token = next;
    },
    fault: (rule) => rules.add(rule),
    clearFaults: () => rules.clear(),
    outage: () => server.outage(),
    stop: async () => {
      closing.abort();
      platform.stop();
      await server.stop();
    },
  };
}

/** Either header will do. */
function tokenOf(request: IncomingMessage): string | undefined {
  const bearer = headerOf(request, "authorization");
  return (
    headerOf(request, "x-access-token") ?? (bearer === undefined ? undefined : /^bearer\s+(.+)$/i.exec(bearer)?.[1])
  );
}

function headerOf({ headers }: IncomingMessage, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value.join(", ") : value;
}

/** Without a webhook's token. */
function shownPath(url: URL): string {
  const shown = new URL(url);
  if (shown.searchParams.has("token")) shown.searchParams.set("token", "***");
  return `${shown.pathname}${shown.search}`;
}

function trace(random: number): string {
  return Math.floor(random * 2 ** 52)
    .toString(16)
    .padStart(16, "0");
}
