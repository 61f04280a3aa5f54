// An HTTP endpoint on loopback through which another process (a demo, a shell) looks at the vendor's books and throws its switches. JSON in,
// JSON out; no authentication, hence loopback only. The paths are listed in docs/simulators.md.

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
import type { HiveonSimulator } from "./server.ts";

const rule = z.strictObject({
  match: z.enum(["start", "stop", "status"]).exactOptional(),
  ...RULE_COUNTS,
  effect: z.discriminatedUnion("kind", [...HTTP_EFFECTS, ...GATEWAY_EFFECTS]),
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

/** `POST /<action>` */
const actions: Readonly<Record<string, Action<HiveonSimulator>>> = {
  ...commonActions(rule),
  quirks: action(quirks, (vendor, body) => Object.assign(vendor.quirks, body)),
  "api-key": action(
    z.strictObject({ key: z.string().min(1), account: z.string().min(1).exactOptional() }),
    (vendor, { key, account }) => vendor.setApiKey(key, account),
  ),
  lose: action(
    z.strictObject({ deploymentId: z.string(), lost: z.boolean().exactOptional() }),
    (vendor, { deploymentId, lost }) => vendor.platform.lose(deploymentId, lost),
  ),
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

export type { Control } from "../http-control.ts";

/** @throws when the port is taken. */
export async function startControl(vendor: HiveonSimulator, port: number): Promise<Control> {
  return serveControl(vendor, port, actions, views);
}
