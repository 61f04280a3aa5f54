// An HTTP endpoint on loopback through which another process (a demo, a shell) looks at the vendor's books and throws its switches. JSON in,
// JSON out; no authentication, hence loopback only. The paths are listed in docs/simulators.md.

import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import { z } from "zod";
import type { HiveonSimulator } from "./server.ts";

const when = z.enum(["before", "after"]);
const rule = z.strictObject({
  match: z.enum(["start", "stop", "status"]).exactOptional(),
  skip: z.int().nonnegative().exactOptional(),
  times: z.union([z.int().positive(), z.literal("all")]).exactOptional(),
  effect: z.discriminatedUnion("kind", [
    z.strictObject({ kind: z.literal("reset"), when }),
    z.strictObject({
      kind: z.literal("answer"),
      when,
      status: z.int().min(200).max(599),
      retryAfterS: z.int().nonnegative().exactOptional(),
      html: z.boolean().exactOptional(),
    }),
    z.strictObject({ kind: z.literal("hang"), when }),
    z.strictObject({ kind: z.literal("delay"), ms: z.number().nonnegative() }),
    z.strictObject({ kind: z.literal("endless") }),
    z.strictObject({ kind: z.literal("redirect"), to: z.string() }),
  ]),
});
const quirks = z.strictObject({
  unavailableStatus: z.literal([400, 404, 409]).exactOptional(),
  stalePriceStatus: z.literal([400, 404]).exactOptional(),
  errorBody: z.enum(["error", "grpc", "empty"]).exactOptional(),
  releaseAfterFailed: z.boolean().exactOptional(),
  visibleAfterMs: z.number().nonnegative().exactOptional(),
  externalIdPath: z.string().exactOptional(),
  duplicates: z.enum(["second", "refuse", "same"]).exactOptional(),
  omitZero: z.boolean().exactOptional(),
  failReason: z.enum(["object", "string", "null", "missing"]).exactOptional(),
  unknownStatus: z.boolean().exactOptional(),
  extraFields: z.boolean().exactOptional(),
  unknownFields: z.enum(["refuse", "ignore"]).exactOptional(),
  stopTwice: z.literal([200, 400, 404, 409]).exactOptional(),
  echoMetadata: z.boolean().exactOptional(),
  guessSshAddress: z.boolean().exactOptional(),
  forgetAfterMs: z.number().nonnegative().exactOptional(),
});
const reason = z.strictObject({ code: z.int(), message: z.string() });

type Action = (vendor: HiveonSimulator, body: unknown) => unknown;

function action<T extends z.ZodType>(schema: T, run: (vendor: HiveonSimulator, body: z.output<T>) => unknown): Action {
  return (vendor, body) => run(vendor, schema.parse(body ?? {}));
}

/** `POST /<action>` */
const actions: Readonly<Record<string, Action>> = {
  fault: action(rule, (vendor, body) => void vendor.fault(body)),
  "clear-faults": action(z.strictObject({}), (vendor) => vendor.clearFaults()),
  quirks: action(quirks, (vendor, body) => Object.assign(vendor.quirks, body)),
  authorize: action(
    z.strictObject({ how: z.union([z.literal("ok"), z.literal(401), z.literal(403)]) }),
    (vendor, { how }) => vendor.authorize(how),
  ),
  "api-key": action(z.strictObject({ key: z.string().min(1) }), (vendor, { key }) => vendor.setApiKey(key)),
  fail: action(z.strictObject({ deploymentId: z.string(), reason: reason.exactOptional() }), (vendor, body) =>
    vendor.platform.fail(body.deploymentId, body.reason),
  ),
  end: action(z.strictObject({ deploymentId: z.string() }), (vendor, body) => vendor.platform.end(body.deploymentId)),
  "fail-image": action(z.strictObject({ image: z.string(), reason: reason.exactOptional() }), (vendor, body) =>
    vendor.platform.failImage(body.image, body.reason),
  ),
  "fail-stops": action(z.strictObject({ count: z.int().nonnegative().default(1) }), (vendor, { count }) =>
    vendor.platform.failStops(count),
  ),
  away: action(z.strictObject({ machineId: z.string(), away: z.boolean().default(true) }), (vendor, body) =>
    vendor.platform.setAway(body.machineId, body.away),
  ),
  prices: action(
    z.strictObject({
      machineId: z.string(),
      prices: z.array(z.strictObject({ id: z.string(), amount: z.string(), currency: z.string() })),
    }),
    (vendor, body) => vendor.platform.setPrices(body.machineId, body.prices),
  ),
  webhooks: action(
    z.strictObject({
      wrongSignature: z.boolean().exactOptional(),
      duplicate: z.boolean().exactOptional(),
      lose: z.boolean().exactOptional(),
      reorder: z.boolean().exactOptional(),
    }),
    (vendor, body) => {
      if (vendor.webhooks === undefined) throw new Error("started without a webhook url");
      Object.assign(vendor.webhooks.faults, body);
    },
  ),
};

/** `GET /<view>` */
const views: Readonly<Record<string, (vendor: HiveonSimulator) => unknown>> = {
  "": (vendor) => ({
    url: vendor.url,
    machines: vendor.platform.machines().length,
    rentals: vendor.rentals().length,
    rented: vendor.rentals().filter(({ rented }) => rented).length,
    cost: vendor.platform.cost(),
    requests: vendor.requests().length,
  }),
  machines: (vendor) => vendor.platform.machines(),
  rentals: (vendor) => vendor.rentals().map((rental) => ({ ...shown(rental) })),
  requests: (vendor) => vendor.requests(),
  quirks: (vendor) => vendor.quirks,
};

/** Without the request's body: it may hold a registry's password. */
function shown({
  deploymentId,
  externalId,
  machineId,
  priceId,
  image,
  status,
  rented,
  rentedMs,
  cost,
}: ReturnType<HiveonSimulator["rentals"]>[number]) {
  return { deploymentId, externalId, machineId, priceId, image, status, rented, rentedMs, cost };
}

export interface Control {
  /** `http://127.0.0.1:<port>` */
  readonly url: string;
  close(): Promise<void>;
}

/** @throws when the port is taken. */
export async function startControl(vendor: HiveonSimulator, port: number): Promise<Control> {
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

async function answer(vendor: HiveonSimulator, request: IncomingMessage): Promise<{ status: number; body?: unknown }> {
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
