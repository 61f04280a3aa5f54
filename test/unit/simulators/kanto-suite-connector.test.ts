import { afterEach, describe, expect, test } from "vitest";
import { connectAsync, type MqttClient } from "mqtt";
import {
  CONNECTOR_STATUS,
  ManualClock,
  startSuiteConnector,
  type SuiteConnectorOptions,
} from "../../../src/simulators/kanto/index.ts";
import { timeoutSeconds } from "../../../src/simulators/kanto/connector-filter.ts";
import { startBroker } from "../../mqtt/broker.ts";
import { until } from "./replay.ts";

const THING = "edge:device:edge:containers";
const closing: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

interface Heard {
  topic: string;
  payload: string;
  retain: boolean;
}

async function listen(url: string, heard: Heard[]): Promise<MqttClient> {
  const client = await connectAsync(url);
  closing.push(async () => client.endAsync(true));
  client.on("message", (topic, payload, { retain }) =>
    heard.push({ topic, payload: payload.toString("utf8"), retain }),
  );
  await client.subscribeAsync("#", { qos: 1 });
  return client;
}

async function world(options: Partial<SuiteConnectorOptions> = {}) {
  const local = await startBroker();
  const cloud = await startBroker();
  closing.push(
    async () => local.close(),
    async () => cloud.close(),
  );
  const clock = new ManualClock();
  const connector = await startSuiteConnector({
    local: { url: local.url },
    cloud: { url: cloud.url },
    deviceId: "edge:device",
    reconnectMs: 20,
    clock,
    ...options,
  });
  closing.push(async () => connector.stop());
  const onDevice: Heard[] = [];
  const inCloud: Heard[] = [];
  const device = await listen(local.url, onDevice);
  const operator = await listen(cloud.url, inCloud);
  const request = async (correlationId: unknown, headers: object = {}, id = "r1"): Promise<void> => {
    const envelope = { topic: "x/y/things", headers: { "correlation-id": correlationId, ...headers }, path: "/" };
    await operator.publishAsync(`command/t1/edge:device/edge:containers/req/${id}/start`, JSON.stringify(envelope));
  };
  const respond = async (correlationId: string | undefined, id = "r1"): Promise<void> => {
    const envelope = { headers: correlationId === undefined ? {} : { "correlation-id": correlationId }, status: 204 };
    await device.publishAsync(`command//${THING}/res/${id}/204`, JSON.stringify(envelope), { qos: 1 });
  };
  const responses = (): string[] => inCloud.filter(({ topic }) => topic.includes("/res/")).map(({ topic }) => topic);
  return { local, cloud, clock, connector, device, operator, onDevice, inCloud, request, respond, responses };
}

describe("the simulated suite-connector", () => {
  test("brings a request down in both forms, and its response up, with the gateway's id as a level of its own", async () => {
    const w = await world();
    await w.request("c1");
    await until(() => w.onDevice.filter(({ topic }) => topic.includes("r1")).length === 2, "the request");
    expect(w.onDevice.map(({ topic }) => topic)).toEqual(
      expect.arrayContaining([`command//${THING}/req/r1/start`, `c//${THING}/q/r1/start`]),
    );
    await w.respond("c1");
    await until(() => w.responses().length === 1, "the response");
    expect(w.responses()).toEqual(["command/t1/edge:device/edge:containers/res/r1/204"]);
  });

  test("stamps events, leaves telemetry alone, and puts its prefixes before what goes up", async () => {
    const w = await world({ responsePrefix: "res", eventsPrefix: "ev", telemetryPrefix: "te" });
    await w.device.publishAsync(`e/t1/${THING}`, JSON.stringify({ headers: { a: "b" }, path: "/" }), { qos: 1 });
    await w.device.publishAsync(`t/t1/${THING}`, JSON.stringify({ headers: {} }), { qos: 1 });
    await w.request("c1");
    await until(() => w.connector.counts.requests === 1, "the request");
    await w.respond("c1");
    await until(() => w.inCloud.length >= 4, "all");
    const event = w.inCloud.find(({ topic }) => topic === "ev/event/t1/edge:device/edge:containers");
    expect(JSON.parse(event?.payload ?? "")).toEqual({
      headers: { a: "b", "x-timestamp": expect.any(Number) as number },
      path: "/",
    });
    expect(w.inCloud.find(({ topic }) => topic === "te/telemetry/t1/edge:device/edge:containers")?.payload).toBe(
      '{"headers":{}}',
    );
    expect(w.responses()).toEqual(["res/command/t1/edge:device/edge:containers/res/r1/204"]);
  });

  test.each([
    ["without a timeout header", undefined, 65],
    ["with a timeout header", "30m", 1805],
    ["with one of an hour, which is out of range", "60m", 65],
  ])("lets a response pass until its time and five seconds are over, %s", async (_what, timeout, seconds) => {
    const w = await world();
    const headers = timeout === undefined ? {} : { timeout };
    await w.request("in-time", headers, "r1");
    await w.request("late", headers, "r2");
    await until(() => w.connector.counts.requests === 2, "the requests");
    await w.clock.advance(seconds * 1000);
    await w.respond("in-time", "r1");
    await until(() => w.responses().length === 1, "the response in time");
    await w.clock.advance(1);
    await w.respond("late", "r2");
    await until(() => w.connector.counts.filtered === 1, "the late response");
    expect(w.responses()).toHaveLength(1);
  });

  test("lets one response pass for each request, none for a stranger's, and none where none is wanted", async () => {
    const w = await world();
    await w.request("once");
    await w.request("never", { timeout: "0" }, "r2");
    await until(() => w.connector.counts.requests === 2, "the requests");
    for (const id of ["once", "once", "never", "stranger", undefined]) await w.respond(id);
    await until(() => w.connector.counts.filtered === 4 && w.responses().length > 0, "the rest");
    expect(w.responses()).toHaveLength(1);
  });

  test("drops a request whose headers are no text, and of other gateways everything", async () => {
    const w = await world();
    await w.request("c1", { timeout: 60 });
    await w.request(5);
    await w.device.publishAsync("e/t1/edge:other:edge:containers", "{}", { qos: 1 });
    await until(() => w.connector.counts.dropped === 3, "three drops");
    expect(w.connector.counts).toMatchObject({ requests: 0, events: 0 });
  });

  test("says retained on the device's broker whether it has its cloud, and answers identity requests only then", async () => {
    const w = await world();
    const status = (): unknown => {
      const last = w.onDevice.findLast(({ topic }) => topic === CONNECTOR_STATUS);
      return last === undefined ? undefined : JSON.parse(last.payload);
    };
    const answers = (): number => w.onDevice.filter(({ topic }) => topic === "edge/thing/response").length;
    await until(() => status() !== undefined, "a status");
    expect(status()).toEqual({ connected: true, timestamp: expect.any(Number) as number });
    expect(w.onDevice.find(({ topic }) => topic === CONNECTOR_STATUS)?.retain).toBe(true);
    await w.device.publishAsync("edge/thing/request", "");
    await until(() => answers() === 1, "an answer");
    w.connector.cutCloud();
    await until(() => !w.connector.cloudUp, "the cut");
    await until(() => (status() as { connected: boolean }).connected === false, "the status");
    expect(status()).toMatchObject({ cause: "CONNECTION_ERROR" });
    const before = answers();
    await w.device.publishAsync("edge/thing/request", "", { qos: 1 });
    expect(answers()).toBe(before);
    w.connector.restoreCloud();
    await until(() => w.connector.cloudUp && answers() === before + 1, "its own announcement");
    w.connector.restart();
    await until(
      () => w.onDevice.some(({ payload }) => payload === '{"connected":false,"cause":"CONNECTION_UNKNOWN"}'),
      "the last will",
    );
  });

  test("lets go in bulk what the device said while the cloud was away, and loses what the cloud asked meanwhile", async () => {
    const w = await world();
    await w.request("before");
    await until(() => w.connector.counts.requests === 1, "the request");
    w.connector.cutCloud();
    await until(() => !w.connector.cloudUp, "the cut");
    await w.request("lost", {}, "r2");
    for (let n = 0; n < 20; n++) await w.device.publishAsync(`e/t1/${THING}`, `{"n":${n}}`, { qos: 1 });
    await w.respond("before");
    w.connector.restoreCloud();
    await until(() => w.connector.counts.events === 20 && w.responses().length === 1, "everything");
    const told = w.inCloud.filter(({ topic }) => topic.startsWith("event/")).map(({ payload }) => JSON.parse(payload));
    expect(told.map(({ n }: { n: number }) => n)).toEqual(Array.from({ length: 20 }, (_, n) => n));
    expect(w.onDevice.some(({ topic }) => topic.includes("r2"))).toBe(false);
  });

  test("forgets the requests it knew when it is restarted", async () => {
    const w = await world();
    await w.request("c1");
    await until(() => w.connector.counts.requests === 1, "the request");
    w.connector.restart();
    await until(() => w.connector.cloudUp, "the next process");
    await w.respond("c1");
    await until(() => w.connector.counts.filtered === 1, "the response");
    expect(w.responses()).toEqual([]);
  });
});

test.each([
  ["", 60],
  ["90", 90],
  ["90s", 90],
  ["1500ms", 1.5],
  ["30m", 1800],
  ["0", 0],
  ["3599s", 3599],
  ["3600", 60],
  ["60m", 60],
  ["-1", 60],
  ["1h", 60],
  ["1.5m", 60],
])("the timeout %j is %d s", (text, seconds) => expect(timeoutSeconds(text)).toBe(seconds));
