// An HTTP endpoint on loopback through which another process (a demo, a shell) looks at the devices and throws switches. JSON in, JSON out; no
// authentication, hence loopback only. The paths are listed in docs/simulators.md.

import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import { z } from "zod";
import type { AlponSimulator } from "./server.ts";
import { ERROR_TEXTS, type ErrorCode } from "./texts.ts";

const when = z.enum(["before", "after"]);
const count = z.int().nonnegative();
const rule = z.strictObject({
  match: z.enum(["deploy", "update", "delete", "list", "status", "asset", "assets", "other"]).exactOptional(),
  skip: count.exactOptional(),
  times: z.union([z.int().positive(), z.literal("all")]).exactOptional(),
  effect: z.discriminatedUnion("kind", [
    z.strictObject({ kind: z.literal("reset"), when }),
    z.strictObject({
      kind: z.literal("answer"),
      when,
      status: z.int().min(200).max(599),
      retryAfterS: count.exactOptional(),
      html: z.boolean().exactOptional(),
    }),
    z.strictObject({ kind: z.literal("hang"), when }),
    z.strictObject({ kind: z.literal("delay"), ms: z.number().nonnegative() }),
    z.strictObject({ kind: z.literal("endless") }),
    z.strictObject({ kind: z.literal("redirect"), to: z.string() }),
    z.strictObject({
      kind: z.literal("cut"),
      afterEvents: count,
      completes: z.boolean(),
      how: z.enum(["reset", "end"]).exactOptional(),
    }),
    z.strictObject({ kind: z.literal("stall"), afterEvents: count, completes: z.boolean() }),
    z.strictObject({
      kind: z.literal("fail"),
      code: z.custom<ErrorCode>(
        (value) => typeof value === "string" && Object.hasOwn(ERROR_TEXTS, value),
        "no such code",
      ),
      afterEvents: count.exactOptional(),
      applied: z.boolean().exactOptional(),
    }),
  ]),
});
const key = z.string().min(1).exactOptional();
const quirks = z.strictObject({
  framing: z.enum(["sse-lf", "sse-crlf-ping", "ndjson", "concatenated", "single-json"]).exactOptional(),
  chunks: z.enum(["event", "all", "bytes", "middle"]).exactOptional(),
  contentType: z.string().exactOptional(),
  errors: z.enum(["stream", "http"]).exactOptional(),
  codeKey: z.string().exactOptional(),
  unlistable: z.union([z.literal(false), z.literal(403), z.literal(404), z.literal(405)]).exactOptional(),
  deviceStatus: z.boolean().exactOptional(),
  envelope: z.enum(["array", "data", "containers"]).exactOptional(),
  echo: z
    .strictObject({ image: z.boolean(), environments: z.boolean(), config: z.boolean(), state: z.boolean() })
    .exactOptional(),
  visibleAfterMs: z.number().nonnegative().exactOptional(),
  lingersMs: z.number().nonnegative().exactOptional(),
  deleted: z.enum(["json", "stream", "empty"]).exactOptional(),
  deletedTwice: z.union([z.literal(200), z.literal(404)]).exactOptional(),
  failedUpdate: z.enum(["old", "new"]).exactOptional(),
  unknownFields: z.enum(["ignore", "refuse"]).exactOptional(),
  keys: z
    .strictObject({
      portHost: key,
      portContainer: key,
      volumeHost: key,
      volumeContainer: key,
      hostNetwork: key,
      privileged: key,
    })
    .exactOptional(),
});

type Action = (vendor: AlponSimulator, body: unknown) => unknown;

function action<T extends z.ZodType>(schema: T, run: (vendor: AlponSimulator, body: z.output<T>) => unknown): Action {
  return (vendor, body) => run(vendor, schema.parse(body ?? {}));
}

const id = z.string().min(1);

/** `POST /<action>` */
const actions: Readonly<Record<string, Action>> = {
  fault: action(rule, (vendor, body) => void vendor.fault(body)),
  "clear-faults": action(z.strictObject({}), (vendor) => vendor.clearFaults()),
  quirks: action(quirks, (vendor, { keys, ...body }) => {
    Object.assign(vendor.quirks, body);
    if (keys !== undefined) vendor.quirks.keys = { ...vendor.quirks.keys, ...keys };
  }),
  authorize: action(
    z.strictObject({ how: z.union([z.literal("ok"), z.literal(401), z.literal(403)]) }),
    (vendor, { how }) => vendor.authorize(how),
  ),
  "api-key": action(z.strictObject({ key: z.string().min(1) }), (vendor, body) => vendor.setApiKey(body.key)),
  online: action(z.strictObject({ id, online: z.boolean().default(true) }), (vendor, body) => {
    vendor.device(body.id).online = body.online;
  }),
  bundle: action(z.strictObject({ id, version: z.string() }), (vendor, body) => {
    vendor.device(body.id).bundle = body.version;
  }),
  "disk-full": action(
    z.strictObject({ id, how: z.enum(["no", "applied", "notApplied"]).default("notApplied") }),
    (vendor, body) => {
      vendor.device(body.id).diskFull = body.how;
    },
  ),
  orphan: action(z.strictObject({ id, name: z.string() }), (vendor, body) => {
    vendor.device(body.id).orphans.add(body.name);
  }),
  state: action(z.strictObject({ id, name: z.string(), state: z.string() }), (vendor, body) => {
    const container = vendor.device(body.id).containers.get(body.name);
    if (container === undefined) throw new Error(`no container ${body.name}`);
    container.state = body.state;
  }),
  remove: action(z.strictObject({ id, name: z.string() }), (vendor, body) => {
    if (!vendor.device(body.id).remove(body.name)) throw new Error(`no container ${body.name}`);
  }),
};

/** `GET /<view>`. Environments stay out: they may hold secrets. */
const views: Readonly<Record<string, (vendor: AlponSimulator) => unknown>> = {
  "": (vendor) => ({ url: vendor.url, devices: vendor.devices().length, requests: vendor.requests().length }),
  devices: (vendor) =>
    vendor.devices().map(({ ids, kind, online, bundle, diskFull, busy, containers, made }) => ({
      ...ids,
      kind,
      online,
      bundle,
      diskFull,
      busy,
      made: made.length,
      containers: [...containers.values()].map(({ environments: _hidden, ...container }) => container),
    })),
  requests: (vendor) => vendor.requests().map(({ kind, method, path, status }) => ({ kind, method, path, status })),
  quirks: (vendor) => vendor.quirks,
};

export interface Control {
  /** `http://127.0.0.1:<port>` */
  readonly url: string;
  close(): Promise<void>;
}

/** @throws when the port is taken. */
export async function startControl(vendor: AlponSimulator, port: number): Promise<Control> {
  const server = createServer((request, response) => {
    const reply = (status: number, body: unknown): void => {
      response.writeHead(status, body === undefined ? {} : { "content-type": "application/json" });
      response.end(body === undefined ? undefined : `${JSON.stringify(body)}\n`);
    };
    answer(vendor, request)
      .then(({ status, body }) => reply(status, body))
      .catch((error: unknown) => {
        const wrongInput = error instanceof z.ZodError || error instanceof SyntaxError;
        const text = error instanceof z.ZodError ? z.prettifyError(error) : error instanceof Error ? error.message : "";
        reply(wrongInput ? 400 : 409, { error: text });
      });
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  return {
    url: `http://127.0.0.1:${address === null || typeof address === "string" ? 0 : address.port}`,
    close: async () => {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

async function answer(vendor: AlponSimulator, request: IncomingMessage): Promise<{ status: number; body?: unknown }> {
  const name = new URL(request.url ?? "/", "http://localhost").pathname.slice(1);
  if (request.method === "GET") {
    const view = views[name];
    if (view !== undefined) return { status: 200, body: view(vendor) };
  }
  const run = request.method === "POST" ? actions[name] : undefined;
  if (run === undefined)
    return {
      status: 404,
      body: {
        error: `no ${request.method ?? ""} /${name}; actions: ${Object.keys(actions).join(", ")}; views: ${Object.keys(views).join(", ")}`,
      },
    };
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString("utf8").trim();
  const result = run(vendor, text === "" ? undefined : JSON.parse(text));
  return result === undefined ? { status: 204 } : { status: 200, body: result };
}
