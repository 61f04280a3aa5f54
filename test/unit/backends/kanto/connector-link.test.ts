import { describe, expect, test } from "vitest";
import { connectorDialect } from "../../../../src/backends/kanto/connector-link.ts";
import { kantoTarget, type KantoTarget } from "../../../../src/backends/kanto/topics.ts";

const spec = { url: "mqtts://cloud.example", tenant: "t1", transport: "Connector" } as const;

function target(thingId: string, tenant?: string): KantoTarget {
  const found = kantoTarget(thingId, "", tenant);
  if (found === undefined) throw new Error(`no target for ${thingId}`);
  return found;
}

const device = target("edge:device");
const request = {
  requestId: "r1",
  operation: { feature: "ContainerFactory", operation: "create", value: {} },
  payload: "{}",
  replyWithinMs: 1,
};

describe("the topics of a connector in generic mode", () => {
  const plain = connectorDialect(spec);

  test("name tenant, gateway and thing as levels, each device's own", () => {
    expect(plain.filters(device)).toEqual([
      "command/t1/edge:device/edge:containers/res/#",
      "event/t1/edge:device/edge:containers",
    ]);
    expect(plain.request(device, request)).toBe("command/t1/edge:device/edge:containers/req/r1/create");
    expect(plain.filters(target("edge:device", "t2"))[1]).toBe("event/t2/edge:device/edge:containers");
  });

  test.each(["pre/fix", "pre/fix/"])("begin with the connector's prefixes, requests aside (%s)", (prefix) => {
    const dialect = connectorDialect({ ...spec, connector: { responsePrefix: prefix, eventPrefix: "ev" } });
    expect(dialect.filters(device)).toEqual([
      "pre/fix/command/t1/edge:device/edge:containers/res/#",
      "ev/event/t1/edge:device/edge:containers",
    ]);
    expect(dialect.request(device, request)).toBe("command/t1/edge:device/edge:containers/req/r1/create");
    expect(dialect.route(device, "pre/fix/command/t1/edge:device/edge:containers/res/r1/204")).toEqual({
      kind: "Response",
      requestId: "r1",
      status: 204,
    });
    expect(dialect.route(device, "event/t1/edge:device/edge:containers")).toBeUndefined();
  });

  test("find the device of a topic, and no other's", () => {
    const attached = new Map([
      [plain.address(device), "device"],
      [plain.address(target("edge:device-1")), "device-1"],
      [plain.address(target("edge:device", "t2")), "other tenant"],
    ]);
    expect(plain.find("event/t1/edge:device/edge:containers", attached)).toBe("device");
    expect(plain.find("event/t1/edge:device-1/edge:containers", attached)).toBe("device-1");
    expect(plain.find("command/t2/edge:device/edge:containers/res/r/200", attached)).toBe("other tenant");
    expect(plain.find("event/t1/edge:device-10/edge:containers", attached)).toBeUndefined();
  });

  test.each([
    "event/t1/edge:device/edge:other",
    "event/t1/edge:device/edge:containers/more",
    "event/t1/edge:device",
    "command/t1/edge:device/edge:containers/req/r1/create",
    "command/t1/edge:device/edge:containers/res/r1",
    "command/t1/edge:device/edge:containers/res/r1/ok",
    "command/t1/edge:device/edge:containers/res/r1/200/x",
    "telemetry/t1/edge:device/edge:containers",
    "",
  ])("have no meaning for %j", (topic) => expect(plain.route(device, topic)).toBeUndefined());

  test("read a connector's status where it is brought to the cloud", () => {
    const dialect = connectorDialect({ ...spec, connector: { statusTopic: "sites/{tenant}/{deviceId}/a.b/status" } });
    expect(dialect.filters(device)[2]).toBe("sites/t1/edge:device/a.b/status");
    expect(dialect.route(device, "sites/t1/edge:device/a.b/status")).toEqual({ kind: "ConnectorStatus" });
    expect(dialect.route(device, "sites/t1/edge:device/axb/status")).toBeUndefined();
    const attached = new Map([[dialect.address(device), "device"]]);
    expect(dialect.find("sites/t1/edge:device/a.b/status", attached)).toBe("device");
    expect(dialect.find("sites/t2/edge:device/a.b/status", attached)).toBeUndefined();
    const byDevice = connectorDialect({ ...spec, connector: { statusTopic: "{deviceId}/status" } });
    expect(byDevice.find("edge:device/status", attached)).toBe("device");
  });
});
