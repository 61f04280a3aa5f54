// An HTTP endpoint on loopback through which another process (a demo, a shell) looks at the devices and throws switches. JSON in, JSON out; no
// authentication, hence loopback only. The paths are listed in docs/simulators.md.

import { z } from "zod";
import {
  action,
  commonActions,
  GATEWAY_EFFECTS,
  HTTP_EFFECTS,
  RULE_COUNTS,
  serveControl,
  type Action,
  type Control,
} from "../http-control.ts";
import type { AlponSimulator } from "./server.ts";
import { ERROR_TEXTS, type ErrorCode } from "./texts.ts";

const count = z.int().nonnegative();
const rule = z.strictObject({
  match: z.enum(["deploy", "update", "delete", "list", "status", "asset", "assets", "other"]).exactOptional(),
  ...RULE_COUNTS,
  effect: z.discriminatedUnion("kind", [
    ...HTTP_EFFECTS,
    ...GATEWAY_EFFECTS,
    z.strictObject({ kind: z.literal("events"), how: z.enum(["twice", "reversed"]) }),
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

const id = z.string().min(1);

/** `POST /<action>` */
const actions: Readonly<Record<string, Action<AlponSimulator>>> = {
  ...commonActions(rule),
  quirks: action(quirks, (vendor, { keys, ...body }) => {
    Object.assign(vendor.quirks, body);
    if (keys !== undefined) vendor.quirks.keys = { ...vendor.quirks.keys, ...keys };
  }),
  "api-key": action(z.strictObject({ key: z.string().min(1) }), (vendor, body) => vendor.setApiKey(body.key)),
  online: action(z.strictObject({ id, online: z.boolean().default(true) }), (vendor, body) => {
    vendor.device(body.id).online = body.online;
  }),
  reboot: action(
    z.strictObject({ id, downMs: z.number().nonnegative().default(1_000), resumes: z.boolean().default(false) }),
    (vendor: AlponSimulator, { id: asset, ...how }) => vendor.device(asset).reboot(how),
  ),
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

export type { Control } from "../http-control.ts";

/** @throws when the port is taken. */
export async function startControl(vendor: AlponSimulator, port: number): Promise<Control> {
  return serveControl(vendor, port, actions, views);
}
