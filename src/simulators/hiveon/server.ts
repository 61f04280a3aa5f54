// The vendor's HTTP API on loopback, with faults on demand. Paths: https://clore-docs.hiveon.ai/api-endpoints. There is no list of deployments,
// no restart and no log: a client that comes to depend on one gets 404.

import type { IncomingMessage, ServerResponse } from "node:http";
import { sleep, systemClock, type Clock } from "../clock.ts";
import { FaultRules, parseJson as parse, readBody, serveLoopback, strike, tear } from "../http-server.ts";
import { Platform, type Answer } from "./platform.ts";
import {
  DEFAULT_QUIRKS,
  type Effect,
  type HiveonOptions,
  type Quirks,
  type Rental,
  type Rule,
  type SeenRequest,
} from "./types.ts";
import { Webhooks } from "./webhooks.ts";

const BASE = "/vendors/v1/machines/deployments";

export interface HiveonSimulator {
  /** `http://127.0.0.1:<port>` */
  readonly url: string;
  readonly platform: Platform;
  readonly quirks: Quirks;
  readonly webhooks: Webhooks | undefined;
  rentals(): Rental[];
  /** All requests so far. */
  requests(): readonly SeenRequest[];
  /** How the key is taken: `ok`, or refused with 401 or 403 whatever it is. */
  authorize(how: "ok" | 401 | 403): void;
  /** The only key that is taken from now on, and whose it is. Default: the same customer's as before. */
  setApiKey(key: string, account?: string): void;
  /** Puts a rule in force; of several that match, the oldest acts. @returns how often it has struck. */
  fault(rule: Rule): { hits(): number; remove(): void };
  clearFaults(): void;
  /** The whole API is down: the port is closed and every connection reset. @returns how to open it again. */
  outage(): Promise<() => Promise<void>>;
  stop(): Promise<void>;
}

interface MutableRequest extends SeenRequest {
  status: number | undefined;
}

/** @throws when the port is taken. */
export async function startHiveon(options: HiveonOptions): Promise<HiveonSimulator> {
  const clock: Clock = options.clock ?? systemClock;
  const quirks: Quirks = { ...DEFAULT_QUIRKS, ...options.quirks };
  const webhooks = options.webhook === undefined ? undefined : new Webhooks(options.webhook, clock);
  const platform = new Platform(options, quirks, (event) => webhooks?.tell(event));
  const seen: MutableRequest[] = [];
  const rules = new FaultRules<SeenRequest["kind"], Effect>();
  const closing = new AbortController();
  /** What was last told of each path that is read. */
  const answers = new Map<string, Answer>();
  let apiKey = options.apiKey ?? "hiveon-key";
  let authorization: "ok" | 401 | 403 = "ok";

  const route = (request: IncomingMessage): { kind: SeenRequest["kind"]; run: (body: string) => Answer } => {
    const path = new URL(request.url ?? "/", "http://localhost").pathname;
    const { method } = request;
    const tail = path.startsWith(`${BASE}/`)
      ? path
          .slice(BASE.length + 1)
          .split("/")
          .map(decodeURIComponent)
      : [];
    const [id = "", action, ...more] = tail;
    if (method === "POST" && id === "start" && tail.length === 1)
      return { kind: "start", run: (body) => platform.start(parse(body)) };
    if (method === "POST" && action === "stop" && more.length === 0)
      return { kind: "stop", run: (body) => stop(platform, id, body) };
    const other = quirks.externalIdPath === undefined ? undefined : idIn(quirks.externalIdPath, path);
    if (method === "GET" && other !== undefined)
      return { kind: "status", run: () => platform.look(other, { own: false, external: true }) };
    if (method === "GET" && tail.length === 1 && id !== "")
      return {
        kind: "status",
        run: () => platform.look(id, { own: true, external: quirks.externalIdPath === undefined }),
      };
    return { kind: "other", run: () => ({ status: 404, error: "Not Found" }) };
  };

  const refused = (request: IncomingMessage): Answer | undefined => {
    if (authorization === 403) return { status: 403, error: "the caller lacks the role" };
    if (authorization === 401 || request.headers["x-api-key"] !== apiKey) return { status: 401, error: "Unauthorized" };
    return undefined;
  };

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { kind, run } = route(request);
    const entry: MutableRequest = { kind, method: request.method ?? "", path: request.url ?? "", status: undefined };
    seen.push(entry);
    const body = await readBody(request);
    const effect = rules.take((match) => match === kind);
    const work = (): Answer => refused(request) ?? run(body);
    const tell = (answer: Answer): void => {
      entry.status = answer.status;
      send(response, answer, quirks);
    };
    options.log?.(`${entry.method} ${entry.path}${effect === undefined ? "" : ` fault ${effect.kind}`}`);
    switch (effect?.kind) {
      case "stale": {
        const before = request.method === "GET" ? answers.get(entry.path) : undefined;
        tell(before ?? { status: 404, error: "deployment not found" });
        return;
      }
      case "torn": {
        entry.status = 0;
        const done = work();
        tear(response, done.status, "body" in done ? done.body : { error: done.error });
        return;
      }
      case "delay":
        await sleep(clock, effect.ms, closing.signal);
        break;
      case "twice":
        work();
        break;
      case undefined:
        break;
      case "reset":
      case "answer":
      case "hang":
      case "endless":
      case "trickle":
      case "redirect":
        if ("when" in effect && effect.when === "after") work();
        entry.status = effect.kind === "answer" ? effect.status : 0;
        strike(effect, request, response, {
          clock,
          closing: closing.signal,
          body,
          refuse: (status, error) => send(response, { status, error }, quirks),
        });
        return;
      default:
        effect satisfies never;
    }
    const done = work();
    if (request.method === "GET") answers.set(entry.path, done);
    tell(done);
  };

  const server = await serveLoopback(options.port ?? 0, handle);
  return {
    url: `http://127.0.0.1:${server.port}`,
    platform,
    quirks,
    webhooks,
    rentals: () => platform.rentals(),
    requests: () => seen,
    authorize: (how) => {
      authorization = how;
    },
    setApiKey: (key, account = platform.account) => {
      apiKey = key;
      platform.account = account;
    },
    fault: (rule) => rules.add(rule),
    clearFaults: () => rules.clear(),
    outage: () => server.outage(),
    stop: async () => {
      closing.abort();
      await server.stop();
      await webhooks?.close();
    },
  };
}

function stop(platform: Platform, id: string, body: string): Answer {
  const json = body === "" ? {} : parse(body);
  if (typeof json !== "object" || json === null || Array.isArray(json))
    return { status: 400, error: "the request body must be a JSON object" };
  const { metadata } = json as { metadata?: unknown };
  if (metadata !== undefined && (typeof metadata !== "object" || metadata === null))
    return { status: 400, error: "metadata must be an object" };
  return platform.stop(id);
}

/** The id in a path by a template with `{id}`. */
function idIn(template: string, path: string): string | undefined {
  const [before = "", after = ""] = template.split("{id}");
  if (!path.startsWith(before) || !path.endsWith(after)) return undefined;
  const id = path.slice(before.length, path.length - after.length);
  return id === "" || id.includes("/") ? undefined : decodeURIComponent(id);
}

/** gRPC's codes, as grpc-gateway writes them. */
const GRPC_CODES: Readonly<Record<number, number>> = {
  400: 3,
  401: 16,
  403: 7,
  404: 5,
  409: 6,
  429: 8,
  500: 13,
  503: 14,
};

function send(response: ServerResponse, answer: Answer, quirks: Quirks): void {
  if ("body" in answer) {
    response.writeHead(answer.status, { "content-type": "application/json" });
    response.end(JSON.stringify(answer.body));
    return;
  }
  const { status, error } = answer;
  if (quirks.errorBody === "empty") {
    response.writeHead(status);
    response.end();
    return;
  }
  const body = quirks.errorBody === "grpc" ? { code: GRPC_CODES[status] ?? 2, message: error, details: [] } : { error };
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}
