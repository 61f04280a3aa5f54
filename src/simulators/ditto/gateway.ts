// Ditto's HTTP API, as far as a client of containers uses it: a thing, a list of things, change notifications, messages to a feature, and who am I.
// Sources: eclipse-ditto/ditto, gateway/service (MessagesRoute, ThingsSseRouteBuilder, AbstractHttpRequestActor) and its OpenAPI.

import { randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { sleep, type Clock } from "../clock.ts";
import { authenticate, type DittoUsers } from "./auth.ts";
import type { Bridge, LiveAnswer } from "./bridge.ts";
import {
  commandTimeout,
  errorOf,
  payloadTooLarge,
  Refused,
  sendNotAllowed,
  thingNotFound,
  timeoutInvalid,
  unauthenticated,
} from "./errors.ts";
import type { DittoFaults, MessageEffect } from "./faults.ts";
import { parseFields, select, thingJson } from "./json-fields.ts";
import type { Streams } from "./streams.ts";
import type { TwinStore } from "./twin-store.ts";
import type { Subject } from "./types.ts";

export interface GatewayOptions {
  clock: Clock;
  secondMs: number;
  users: DittoUsers;
  twins: TwinStore;
  bridge: Bridge;
  streams: Streams;
  faults: DittoFaults;
  /** ditto.gateway.message.max-timeout, s. */
  maxTimeoutS: number;
  /** ditto.gateway.message.default-timeout, s. */
  defaultTimeoutS: number;
  /** ditto.limits.messages.max-size, bytes. */
  maxMessageBytes: number;
  /** Path before `/api/2`, as behind a proxy. */
  basePath: string;
}

/** A message that was received, for the books. */
export interface ReceivedMessage {
  readonly at: number;
  readonly thingId: string;
  readonly featureId: string;
  readonly subject: string;
  readonly correlationId: string;
  readonly timeoutS: number;
  readonly originator: string;
  /** It was passed on towards the device. */
  forwarded: boolean;
  /** What the sender was answered; undefined while it waits, or if its connection broke. */
  status: number | undefined;
}

const MESSAGE_PATH = /^\/things\/([^/]+)\/features\/([^/]+)\/inbox\/messages\/([^/]+)$/;
const THING_PATH = /^\/things\/([^/]+)$/;

export class Gateway {
  readonly messages: ReceivedMessage[] = [];
  /** GETs of a thing so far. */
  reads = 0;
  readonly #options: GatewayOptions;

  constructor(options: GatewayOptions) {
    this.#options = options;
  }

  /** Answers one request; never rejects. */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      await this.#route(request, response);
    } catch (error) {
      const refused = error instanceof Refused ? error : errorOf(500);
      send(response, refused.body.status, refused.body, refused.headers);
    }
  }

  async #route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { users, faults, streams, basePath } = this.#options;
    const url = new URL(request.url ?? "/", "http://ditto");
    const prefix = `${basePath}/api/2`;
    if (!url.pathname.startsWith(`${prefix}/`)) {
      send(response, 404, undefined);
      return;
    }
    const path = url.pathname.slice(prefix.length);
    const subject = authenticate(request.headers, users);
    if (faults.outage) {
      throw errorOf(faults.outage.status, faults.outage.retryAfterS);
    }
    if (!subject) {
      throw unauthenticated();
    }
    if (request.method === "POST") {
      await this.#message(request, response, url, path, subject);
      return;
    }
    if (request.method !== "GET") {
      send(response, 405, undefined);
      return;
    }
    if (path === "/whoami") {
      send(response, 200, { defaultSubject: subject.id, subjects: [subject.id] });
      return;
    }
    if (path === "/things") {
      if ((request.headers.accept ?? "").includes("text/event-stream")) {
        streams.serve(response, url.searchParams, subject.read);
      } else {
        this.#list(response, url, subject);
      }
      return;
    }
    const [, thingId] = THING_PATH.exec(path) ?? [];
    if (thingId === undefined) {
      send(response, 404, undefined);
      return;
    }
    this.#thing(response, url, decodeURIComponent(thingId), subject);
  }

  #thing(response: ServerResponse, url: URL, thingId: string, subject: Subject): void {
    this.reads++;
    const thing = this.#options.twins.get(thingId);
    if (!thing || !subject.read) {
      throw thingNotFound(thingId);
    }
    const fields = url.searchParams.get("fields");
    const headers: Record<string, string> = fields === null ? { etag: `"rev:${thing.revision}"` } : {};
    send(response, 200, select(thingJson(thing), parseFields(fields ?? undefined)), headers);
  }

  /** Things that are not there or may not be seen are left out without a word. */
  #list(response: ServerResponse, url: URL, subject: Subject): void {
    const { twins } = this.#options;
    const ids = url.searchParams.get("ids")?.split(",") ?? twins.ids();
    const fields = parseFields(url.searchParams.get("fields") ?? undefined);
    const things = ids.flatMap((id) => twins.get(id) ?? []);
    send(response, 200, subject.read ? things.map((thing) => select(thingJson(thing), fields)) : []);
  }

  async #message(
    request: IncomingMessage,
    response: ServerResponse,
    url: URL,
    path: string,
    subject: Subject,
  ): Promise<void> {
    const { twins, maxTimeoutS, defaultTimeoutS, maxMessageBytes, clock, faults } = this.#options;
    const [, thingId = "", featureId = "", name = ""] = (MESSAGE_PATH.exec(path) ?? []).map(decodeURIComponent);
    if (name === "") {
      send(response, 404, undefined);
      return;
    }
    const given = url.searchParams.get("timeout") ?? String(defaultTimeoutS);
    const timeoutS = seconds(given);
    if (timeoutS === undefined || timeoutS > maxTimeoutS) {
      throw timeoutInvalid(given, maxTimeoutS);
    }
    const body = await readBody(request);
    if (body.length > maxMessageBytes) {
      throw payloadTooLarge(body.length, maxMessageBytes);
    }
    if (!twins.get(thingId) || (!subject.read && !subject.message)) {
      throw thingNotFound(thingId);
    }
    if (!subject.message) {
      throw sendNotAllowed(thingId);
    }
    const received: ReceivedMessage = {
      at: clock.now(),
      thingId,
      featureId,
      subject: name,
      correlationId: headerText(request, "correlation-id") ?? randomUUID(),
      timeoutS,
      originator: subject.id,
      forwarded: false,
      status: undefined,
    };
    this.messages.push(received);
    const payload = body.length === 0 ? undefined : body.toString("utf8");
    const contentType = headerText(request, "content-type") ?? "application/octet-stream";
    await this.#deliver(received, payload, contentType, response, faults.takeMessage(thingId, name));
  }

  async #deliver(
    received: ReceivedMessage,
    payload: string | undefined,
    contentType: string,
    response: ServerResponse,
    effect: MessageEffect | undefined,
  ): Promise<void> {
    const { bridge, clock, secondMs } = this.#options;
    const reply = (status: number, body: unknown, headers: Record<string, string> = {}): void => {
      received.status = status;
      send(response, status, body, { ...headers, "correlation-id": received.correlationId });
    };
    const refuse = ({ body, headers }: Refused): void => reply(body.status, body, headers);
    if (effect?.kind === "cut" && effect.when === "before") {
      response.socket?.resetAndDestroy();
      return;
    }
    if (effect?.kind === "status" && effect.when === "before") {
      refuse(errorOf(effect.status, effect.retryAfterS));
      return;
    }
    if (effect?.kind === "delay") {
      await sleep(clock, effect.ms);
    }
    const answered = Promise.withResolvers<LiveAnswer | undefined>();
    let stopWaiting = (): void => undefined;
    if (effect?.kind !== "lose") {
      received.forwarded = true;
      stopWaiting = bridge.send({ ...received, payload, contentType }, (answer) => answered.resolve(answer));
    }
    if (effect?.kind === "cut" && effect.when === "after") {
      response.socket?.resetAndDestroy();
      return;
    }
    if (effect?.kind === "status") {
      refuse(errorOf(effect.status, effect.retryAfterS));
      return;
    }
    if (received.timeoutS === 0) {
      reply(202, undefined);
      return;
    }
    const timer = clock.setTimeout(() => answered.resolve(undefined), received.timeoutS * secondMs);
    let answer = await answered.promise;
    if (effect?.kind === "loseReply" && answer !== undefined) {
      await sleep(clock, received.timeoutS * secondMs);
      answer = undefined;
    }
    clock.clearTimeout(timer);
    stopWaiting();
    if (effect?.kind === "cut") {
      response.socket?.resetAndDestroy();
      return;
    }
    if (effect?.kind === "delayReply") {
      await sleep(clock, effect.ms);
    }
    if (answer === undefined) {
      refuse(commandTimeout(received.timeoutS));
      return;
    }
    // A device's 502 is taken for a word of Ditto's own and becomes 200 (AbstractHttpRequestActor, handleMessageResponseMessage).
    const status = answer.status === 502 ? 200 : answer.status;
    if (status === 204 || answer.value === undefined) {
      reply(status, undefined);
      return;
    }
    reply(status, answer.value, { "content-type": answer.contentType ?? "application/octet-stream" });
  }
}

const UNITS: Readonly<Record<string, number>> = { ms: 0.001, s: 1, m: 60, h: 3600 };

/** `10`, `10s`, `500ms`, `1m`; undefined for anything else. */
function seconds(text: string): number | undefined {
  const [, amount, unit] = /^(\d+)(ms|s|m|h)?$/.exec(text) ?? [];
  if (amount === undefined) {
    return undefined;
  }
  return Number(amount) * (UNITS[unit ?? "s"] ?? 1);
}

function headerText(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return typeof value === "string" ? value : undefined;
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) {
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function send(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  if (response.destroyed || response.headersSent) {
    return;
  }
  response.writeHead(status, { ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers });
  response.end(body === undefined ? undefined : JSON.stringify(body));
}
