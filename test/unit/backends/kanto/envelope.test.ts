import { assert, jsonValue, oneof, property, record, string } from "fast-check";
import { describe, expect, test } from "vitest";
import {
  containerFeature,
  identityPayload,
  readAnswer,
  readEvent,
  readIdentity,
  requestPayload,
} from "../../../../src/backends/kanto/envelope.ts";

const THING = "edge:device:edge:containers";

describe("requestPayload", () => {
  test("has everything the daemon's header check wants, with the right types", () => {
    const payload = requestPayload(THING, "r-1", { feature: containerFeature("c1"), operation: "start", value: {} });
    expect(JSON.parse(payload)).toEqual({
      topic: "edge/device:edge:containers/things/live/messages/start",
      headers: { "response-required": true, "content-type": "application/json", "correlation-id": "r-1" },
      path: "/features/Container:c1/inbox/messages/start",
      value: {},
    });
  });

  test.each([
    ["an empty request id", "", "c1", "start", {}],
    ["a request id with a slash", "a/b", "c1", "start", {}],
    ["no value", "r", "c1", "rename", undefined],
    ["a null value", "r", "c1", "rename", null],
    ["a feature with a slash", "r", "c/1", "start", {}],
    ["an operation that is no word", "r", "c1", "start/x", {}],
  ])("refuses %s, which would be unsafe to send", (_what, requestId, id, operation, value) => {
    expect(() => requestPayload(THING, requestId, { feature: containerFeature(id), operation, value })).toThrow(
      RangeError,
    );
  });
});

describe("readEvent", () => {
  const modify = "edge/device:edge:containers/things/twin/commands/modify";
  const event = (path: string, value?: unknown, topic = modify): string => JSON.stringify({ topic, path, value });

  test("tells features, states, configs, names and removals apart", () => {
    expect(readEvent(THING, event("/features/Container:a", { x: 1 }))).toEqual({
      kind: "Container",
      externalId: "a",
      feature: { x: 1 },
    });
    expect(
      readEvent(THING, event("/features/Container:a/properties/status/state", { status: "RUNNING" })),
    ).toMatchObject({
      kind: "State",
    });
    expect(readEvent(THING, event("/features/Container:a/properties/status/config", {}))).toMatchObject({
      kind: "Config",
    });
    expect(readEvent(THING, event("/features/Container:a/properties/status/name", "n"))).toEqual({
      kind: "Name",
      externalId: "a",
      name: "n",
    });
    const removed = event(
      "/features/Container:a",
      undefined,
      "edge/device:edge:containers/things/twin/commands/delete",
    );
    expect(readEvent(THING, removed)).toEqual({ kind: "Removed", externalId: "a" });
    expect(readEvent(THING, event("/features/ContainerFactory", {}))).toEqual({ kind: "Factory" });
    expect(readEvent(THING, event("/features/Metrics", {}))).toEqual({ kind: "Other" });
  });

  test.each([
    "",
    "null",
    "[]",
    "nonsense",
    "{}",
    event("features/Container:a", {}),
    event("/features/Container:", {}),
    event("/features/Container:a", "text"),
    event("/features/Container:a/properties/status/state", 5),
    event("/features/Container:a/properties/status/name", ""),
  ])("finds %j malformed", (payload) => expect(readEvent(THING, payload)).toBeUndefined());

  test("never throws, whatever it is given", () => {
    const json = jsonValue().map((value) => JSON.stringify(value));
    const damaged = record({ topic: jsonValue(), path: jsonValue(), value: jsonValue() }).map(
      (value) => JSON.stringify(value) ?? "",
    );
    assert(
      property(oneof(string(), json, damaged), (payload) => {
        readEvent(THING, payload);
        readAnswer(200, payload);
        readIdentity(payload);
      }),
    );
  });
});

describe("readAnswer", () => {
  test("gives the text of an error, and whether it was refused before it was tried", () => {
    const payload = JSON.stringify({
      path: "/features/Container:nope/inbox/messages/start",
      value: { error: "messages:parameter.invalid", status: 400, message: "feature [Container:nope] not found " },
    });
    expect(readAnswer(400, payload)).toMatchObject({
      status: 400,
      message: "feature [Container:nope] not found ",
      refused: true,
    });
  });

  test("gives the id of a created container", () => {
    expect(
      readAnswer(200, JSON.stringify({ path: "/features/ContainerFactory/outbox/messages/create", value: "id-1" })),
    ).toEqual({
      status: 200,
      message: "",
      value: "id-1",
      refused: false,
    });
  });

  test("is undefined for a damaged body", () => expect(readAnswer(204, "{")).toBeUndefined());
});

describe("identity", () => {
  test("survives a round trip", () => {
    const identity = { deviceId: "edge:device", tenantId: "t1", policyId: "edge:p" };
    expect(readIdentity(identityPayload(identity))).toEqual(identity);
  });

  test("without a device says nothing", () => expect(readIdentity('{"tenantId":"t1"}')).toBeUndefined());
});
