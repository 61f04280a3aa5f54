/** Ditto's change notifications as Kanto's twin commands. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readEvent } from "../../../../../src/backends/kanto/envelope.ts";
import { readNotification, readThing } from "../../../../../src/backends/kanto/ditto/notifications.ts";

const THING = "edge:device:edge:containers";
const TOPIC = "edge/device:edge:containers/things/twin/events";

function told(action: string, path: string, value: unknown = null) {
  const context = { topic: `${TOPIC}/${action}`, path, value };
  return readNotification(JSON.stringify({ thingId: THING, _revision: 7, _context: context }));
}

describe("a change of a path that Kanto writes is that event", () => {
  test.each([
    ["created", "/features/Container:c1", { properties: {} }, { kind: "Container", externalId: "c1" }],
    ["modified", "/features/Container:c1", { properties: {} }, { kind: "Container", externalId: "c1" }],
    ["deleted", "/features/Container:c1", null, { kind: "Removed", externalId: "c1" }],
    ["modified", "/features/Container:c1/properties/status/state", { status: "RUNNING" }, { kind: "State" }],
    ["created", "/features/Container:c1/properties/status/config", {}, { kind: "Config" }],
    ["modified", "/features/Container:c1/properties/status/name", "web", { kind: "Name", name: "web" }],
    ["modified", "/features/ContainerFactory", { definition: [] }, { kind: "Factory" }],
    ["modified", "/features/SoftwareUpdatable/properties/status/installedDependencies", {}, { kind: "Listed" }],
  ])("%s %s", (action, path, value, event) => {
    const notification = told(action, path, value);
    expect(notification).toMatchObject({ kind: "Event", thingId: THING, revision: 7 });
    expect(readEvent(THING, notification?.kind === "Event" ? notification.payload : "")).toMatchObject(event);
  });
});

test.each([
  ["modified", "/", "Whole"],
  ["created", "/", "Replaced"],
  ["deleted", "/", "Replaced"],
  ["modified", "/features", "Whole"],
  ["merged", "/features/Container:c1", "Whole"],
  ["modified", "/features/Container:c1/properties", "Whole"],
  ["modified", "/features/Container:c1/properties/status/state/status", "Whole"],
  ["deleted", "/features/Container:c1/properties/status/config", "Whole"],
  ["modified", "/attributes/place", "Other"],
  ["modified", "/policyId", "Other"],
])("%s %s is %s", (action, path, kind) => {
  expect(told(action, path, {})?.kind).toBe(kind);
});

test.each([
  ["no JSON", "{"],
  ["no object", "[]"],
  ["no thing", JSON.stringify({ _revision: 1, _context: { topic: `${TOPIC}/modified`, path: "/" } })],
  ["no revision", JSON.stringify({ thingId: THING, _context: { topic: `${TOPIC}/modified`, path: "/" } })],
  ["no context", JSON.stringify({ thingId: THING, _revision: 1 })],
  ["an error of Ditto's", JSON.stringify({ status: 500, error: "signalenrichment.failed", message: "m" })],
  [
    "a live event",
    JSON.stringify({ thingId: THING, _revision: 1, _context: { topic: "a/b/things/live/events/x", path: "/" } }),
  ],
])("%s is no notification", (_what, text) => {
  expect(readNotification(text)).toBeUndefined();
});

test("total: any JSON", () => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      readNotification(text);
      readThing(JSON.parse(text));
    }),
  );
});

test("a thing needs its revision; without features it has none", () => {
  expect(readThing({ thingId: THING, _revision: 3 })).toEqual({ revision: 3, features: {} });
  expect(readThing({ thingId: THING, features: {} })).toBeUndefined();
  expect(readThing({ thingId: THING, _revision: 3, features: [] })).toBeUndefined();
});
