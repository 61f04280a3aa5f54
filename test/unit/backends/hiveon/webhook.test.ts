import { createHmac } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { WebhookReader } from "../../../../src/backends/hiveon/webhook.ts";

const SECRET = "webhook-secret";
const NOW = Date.UTC(2026, 0, 1);
const sign = (body: string, secret = SECRET) => `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`;
const event = (over: object = {}) =>
  JSON.stringify({
    version: "1.0",
    event_id: "e1",
    event_type: "EVENT_TYPE_DEPLOYMENT_UPDATED",
    data: { deployment_id: "d1", external_deployment_id: "x1" },
    timestamp: new Date(NOW).toISOString(),
    ...over,
  });

describe("a webhook", () => {
  test("with the right signature names the deployments to look at, once", () => {
    const reader = new WebhookReader(SECRET);
    const body = event();
    expect(reader.read(Buffer.from(body), sign(body), NOW)).toEqual({ verdict: "Accepted", ids: ["d1", "x1"] });
    expect(reader.read(Buffer.from(body), sign(body), NOW)).toEqual({ verdict: "Repeated", ids: [] });
  });

  test.each([
    ["no signature", undefined],
    ["another secret", sign(event(), "other")],
    ["63 digits, as in the vendor's sample", sign(event()).slice(0, -1)],
    ["another algorithm", sign(event()).replace("sha256", "sha1")],
    ["the signature of other white space", sign(` ${event()}`)],
  ])("with %s is nobody's", (_what, signature) => {
    const reader = new WebhookReader(SECRET);
    expect(reader.read(Buffer.from(event()), signature, NOW)).toEqual({ verdict: "Unsigned", ids: [] });
  });

  test.each([
    ["too old", event({ timestamp: new Date(NOW - 601_000).toISOString() }), "Repeated"],
    ["from the future", event({ timestamp: new Date(NOW + 601_000).toISOString() }), "Repeated"],
    ["without an id", event({ event_id: undefined }), "Malformed"],
    ["without a time", event({ timestamp: "yesterday" }), "Malformed"],
    ["no JSON", "{", "Malformed"],
    ["a list", "[]", "Malformed"],
  ])("that is %s says nothing", (_what, body, verdict) => {
    const reader = new WebhookReader(SECRET);
    expect(reader.read(Buffer.from(body), sign(body), NOW)).toEqual({ verdict, ids: [] });
  });

  test("about a machine names no deployment; without a secret none is taken", () => {
    const body = event({ data: { machine_id: "m" } });
    expect(new WebhookReader(SECRET).read(Buffer.from(body), sign(body), NOW)).toEqual({
      verdict: "Accepted",
      ids: [],
    });
    expect(new WebhookReader(undefined).read(Buffer.from(body), sign(body), NOW).verdict).toBe("Unconfigured");
  });

  test("of whatever bytes never throws and is never believed without the secret", () => {
    const reader = new WebhookReader(SECRET);
    fc.assert(
      fc.property(fc.uint8Array(), fc.string(), (bytes, signature) => {
        expect(reader.read(Buffer.from(bytes), signature, NOW).verdict).toBe("Unsigned");
      }),
    );
  });
});
