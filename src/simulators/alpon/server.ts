// The vendor's HTTP API on loopback, with faults on demand. Paths beside the deploy's are a third party's word, not the vendor's.

import type { IncomingMessage, ServerResponse } from "node:http";
import { sleep, systemClock, type Clock } from "../clock.ts";
import { FaultRules, parseJson, readBody, serveLoopback, strike, tear } from "../http-server.ts";
import { Device, type Disturbance, type Fields, type StreamEvent } from "./device.ts";
import { listItem, readFields } from "./fields.ts";
import { EventWriter } from "./stream.ts";
import { httpStatusOf, textOf } from "./texts.ts";
import {
  DEFAULT_QUIRKS,
  type AlponOptions,
  type AssetOptions,
  type Effect,
  type Quirks,
  type RequestKind,
  type Rule,
  type SeenRequest,
} from "./types.ts";

const BASE = "/v1";
const STEP_MS = 200;

export interface AlponSimulator {
  /** `http://127.0.0.1:<port>/v1` */
  readonly url: string;
  readonly quirks: Quirks;
  devices(): readonly Device[];
  /** By any of its ids. @throws if there is none. */
  device(id: string): Device;
  addDevice(options: AssetOptions): Device;
  requests(): readonly SeenRequest[];
  /** How the key is taken: `ok`, or refused with 401 or 403 whatever it is. */
  authorize(how: "ok" | 401 | 403): void;
  setApiKey(key: string): void;
  /** Puts a rule in force; of several that match, the oldest acts. */
  fault(rule: Rule): { hits(): number; remove(): void };
  clearFaults(): void;
  /** The whole API is down. @returns how to open it again. */
  outage(): Promise<() => Promise<void>>;
  stop(): Promise<void>;
}

type MutableRequest = { -readonly [key in keyof SeenRequest]: SeenRequest[key] };

/** What a request is answered with, if it is no stream. */
interface Answer {
  status: number;
  body?: unknown;
}

interface Route {
  kind: RequestKind;
  id: string;
  name: string;
}

/** @throws when the port is taken. */
export async function startAlpon(options: AlponOptions): Promise<AlponSimulator> {
  const clock: Clock = options.clock ?? systemClock;
  const quirks: Quirks = { ...DEFAULT_QUIRKS, ...options.quirks };
  const stepMs = options.stepMs ?? STEP_MS;
  const devices = options.assets.map((asset) => new Device(asset, quirks, clock, stepMs));
  const seen: MutableRequest[] = [];
  const rules = new FaultRules<RequestKind, Effect>();
  const closing = new AbortController();
  /** What was last told of each path that is read. */
  const answers = new Map<string, Answer>();
  let apiKey = options.apiKey ?? "alpon-key";
  let authorization: "ok" | 401 | 403 = "ok";

  /** Answers what is no stream; a stream is answered by itself (undefined). */
  const work = (route: Route, body: unknown, response: ServerResponse, effect?: Effect): Answer | undefined => {
    if (route.kind === "other") return { status: 404, body: { detail: "Not Found" } };
    if (route.kind === "assets") return { status: 200, body: { data: devices.map(assetBody) } };
    const streams = route.kind === "deploy" || route.kind === "update";
    const refuse = (code: Parameters<typeof textOf>[0]): Answer | undefined => {
      if (!streams || quirks.errors === "http") return { status: httpStatusOf(code), body: { detail: textOf(code) } };
      const writer = new EventWriter(response, quirks, clock);
      writer.write({ status: "Fail", message: textOf(code), code });
      void writer.end();
      return undefined;
    };
    const device = devices.find((each) => each.is(route.id));
    if (device === undefined) return refuse("AssetNotFound");
    if (route.kind === "asset") return { status: 200, body: { data: assetBody(device) } };
    if (device.kind !== "alpon") return refuse("AssetNotAlponDevice");
    switch (route.kind) {
      case "status":
        return quirks.deviceStatus
          ? { status: 200, body: { data: { status: device.online ? "online" : "offline", bundle: device.bundle } } }
          : { status: 404, body: { detail: "Not Found" } };
      case "list": {
        if (quirks.unlistable !== false) return { status: quirks.unlistable, body: { detail: "Not permitted" } };
        const items = device.listed().map((container) => listItem(container, quirks));
        const { envelope } = quirks;
        return { status: 200, body: envelope === "array" ? items : { [envelope]: items } };
      }
      case "delete": {
        if (!device.online) return refuse("DeviceNotReachable");
        if (device.busy) return refuse("ErrorControlLoopAlreadyRunning");
        if (!device.remove(route.name) && quirks.deletedTwice === 404) return refuse("ContainerNotFound");
        return deleted(response);
      }
      case "deploy":
      case "update": {
        const read = readFields(body, quirks);
        if ("problem" in read) return { status: 422, body: { detail: [read.problem] } };
        const problem =
          route.kind === "deploy" ? device.deployProblem(read.fields) : device.updateProblem(route.name, read.fields);
        if (problem !== undefined) return refuse(problem);
        void stream(device, route, read.fields, response, effect);
        return undefined;
      }
      default:
        return route.kind satisfies never;
    }
  };

  const deleted = (response: ServerResponse): Answer | undefined => {
    if (quirks.deleted === "empty") return { status: 204 };
    if (quirks.deleted === "json") return { status: 200, body: { message: "The container has been deleted." } };
    const writer = new EventWriter(response, quirks, clock);
    writer.write({ status: "Success", message: "The container has been deleted successfully." });
    void writer.end();
    return undefined;
  };

  const stream = async (
    device: Device,
    route: Route,
    fields: Fields,
    response: ServerResponse,
    effect: Effect | undefined,
  ): Promise<void> => {
    const silent = effect !== undefined && ("when" in effect || effect.kind === "torn");
    const writer = silent ? undefined : new EventWriter(response, quirks, clock);
    const ends = effect?.kind === "cut" || effect?.kind === "stall" ? effect : undefined;
    const how: Disturbance = {
      ...(effect?.kind === "fail" && {
        fail: { code: effect.code, afterEvents: effect.afterEvents ?? 1, applied: effect.applied ?? false },
      }),
      ...(ends !== undefined && !ends.completes && { stopAfter: Math.max(1, ends.afterEvents) }),
    };
    let over = false;
    const held: StreamEvent[] = [];
    const emit = (event: StreamEvent): void => {
      if (writer === undefined || over) return;
      if (effect?.kind === "events") {
        const isLast = event.status === "Success" || event.status === "Fail";
        if (effect.how === "twice") for (let time = 0; time < 2; time++) writer.write(event);
        else if (!isLast) held.push(event);
        else for (const each of [...held.reverse(), event]) writer.write(each);
        return;
      }
      if (ends !== undefined && writer.count >= ends.afterEvents) {
        over = true;
        if (ends.kind === "stall") writer.stall();
        else if (ends.how === "end") void writer.end();
        else void writer.reset();
        return;
      }
      writer.write(event);
    };
    const run =
      route.kind === "deploy" ? device.deploy(fields, emit, how) : device.update(route.name, fields, emit, how);
    await run;
    if (over || writer === undefined) return;
    if (ends?.kind === "stall") writer.stall();
    else if (ends?.kind === "cut" && ends.how !== "end") await writer.reset();
    else await writer.end();
  };

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const route = routeOf(request);
    const text = await readBody(request);
    const body = parseJson(text);
    const entry: MutableRequest = {
      kind: route.kind,
      method: request.method ?? "",
      path: request.url ?? "",
      body,
      status: undefined,
    };
    seen.push(entry);
    response.once("close", () => {
      entry.status = response.headersSent ? response.statusCode : 0;
    });
    const effect = rules.take((match) => match === route.kind);
    options.log?.(`${entry.method} ${entry.path}${effect === undefined ? "" : ` fault ${effect.kind}`}`);
    if (effect?.kind === "delay") await sleep(clock, effect.ms, closing.signal);
    if (authorization === 403)
      return answer(response, { status: 403, body: { detail: "The API key doesn't have permissions" } });
    if (authorization === 401 || request.headers["x-api-key"] !== apiKey)
      return answer(response, { status: 401, body: { detail: "No valid API key provided" } });
    const isRead = route.kind !== "deploy" && route.kind !== "update" && route.kind !== "delete";
    switch (effect?.kind) {
      case "stale":
        answer(response, (isRead && answers.get(entry.path)) || { status: 404, body: { detail: "Not Found" } });
        return;
      case "torn": {
        const done = work(route, body, response, effect) ?? { status: 200, body: { status: "Success", message: "" } };
        if (!response.headersSent) tear(response, done.status, done.body);
        return;
      }
      case "twice":
        work(route, body, response, { kind: "hang", when: "after" });
        break;
      case "reset":
      case "answer":
      case "hang":
      case "endless":
      case "trickle":
      case "redirect":
        // Its effect, without its answer.
        if ("when" in effect && effect.when === "after") work(route, body, response, effect);
        strike(effect, request, response, {
          clock,
          closing: closing.signal,
          body: text,
          refuse: (status, detail) => answer(response, { status, body: { detail } }),
        });
        return;
      case "delay":
      case "cut":
      case "stall":
      case "fail":
      case "events":
      case undefined:
        break;
      default:
        effect satisfies never;
    }
    // The first of two was refused in a stream of its own.
    if (response.headersSent) return;
    const done = work(route, body, response, effect);
    if (done === undefined) return;
    answer(response, done);
    if (isRead) answers.set(entry.path, done);
  };

  const server = await serveLoopback(options.port ?? 0, handle);
  return {
    url: `http://127.0.0.1:${server.port}${BASE}`,
    quirks,
    devices: () => devices,
    device: (id) => {
      const found = devices.find((each) => each.is(id));
      if (found === undefined) throw new Error(`no asset ${id}`);
      return found;
    },
    addDevice: (asset) => {
      const device = new Device(asset, quirks, clock, stepMs);
      devices.push(device);
      return device;
    },
    requests: () => seen,
    authorize: (how) => {
      authorization = how;
    },
    setApiKey: (key) => {
      apiKey = key;
    },
    fault: (rule) => rules.add(rule),
    clearFaults: () => rules.clear(),
    outage: () => server.outage(),
    stop: async () => {
      closing.abort();
      await server.stop();
    },
  };
}

function routeOf(request: IncomingMessage): Route {
  const { pathname } = new URL(request.url ?? "/", "http://localhost");
  const other: Route = { kind: "other", id: "", name: "" };
  if (!pathname.startsWith(`${BASE}/assets`)) return other;
  const [, id, alpon, containers, name, ...more] = pathname
    .slice(BASE.length + 1)
    .split("/")
    .map(decodeURIComponent);
  const { method } = request;
  if (more.length > 0) return other;
  if (id === undefined) return method === "GET" ? { ...other, kind: "assets" } : other;
  if (alpon === undefined) return method === "GET" ? { ...other, kind: "asset", id } : other;
  if (alpon !== "alpon") return other;
  if (containers === undefined) return method === "GET" ? { ...other, kind: "status", id } : other;
  if (containers !== "containers") return other;
  if (name === undefined) {
    const kind = method === "GET" ? "list" : method === "POST" ? "deploy" : "other";
    return { ...other, kind, id };
  }
  return { kind: method === "PATCH" ? "update" : method === "DELETE" ? "delete" : "other", id, name };
}

function assetBody({ ids, kind }: Device): object {
  return {
    uuid: ids.uuid,
    serial_number: ids.serial,
    sim: { sid: ids.sid, iccid: ids.iccid },
    type: kind,
  };
}

function answer(response: ServerResponse, { status, body }: Answer): void {
  if (response.headersSent || response.destroyed) return;
  response.writeHead(status, body === undefined ? {} : { "content-type": "application/json" });
  response.end(body === undefined ? undefined : JSON.stringify(body));
}
