import { describe, expect, test } from "vitest";
import { checkSimulateOptions, simulateKanto } from "../../../src/simulators/kanto/cli.ts";
import type { KantoDevice } from "../../../src/simulators/kanto/index.ts";
import { startBroker } from "../../mqtt/broker.ts";
import { crasher, sleeper } from "./remote.ts";
import { until } from "./replay.ts";

interface Running extends AsyncDisposable {
  devices: readonly KantoDevice[];
  get: (path: string) => Promise<unknown>;
  post: (path: string, body?: unknown) => Promise<{ status: number; body: unknown }>;
}

async function simulation(count = 2): Promise<Running> {
  const broker = await startBroker();
  const stop = new AbortController();
  const ready = Promise.withResolvers<{ devices: readonly KantoDevice[]; controlUrl: string | undefined }>();
  const ended = simulateKanto(
    { brokerUrl: broker.url, devices: count, controlPort: 0, pullMs: 0, onReady: ready.resolve },
    stop.signal,
  );
  ended.catch(ready.reject);
  const { devices, controlUrl } = await ready.promise;
  await until(() => devices.every((device) => device.commandsHeard), "all devices are online");
  const read = async (response: Response): Promise<unknown> => {
    const text = await response.text();
    return text === "" ? undefined : (JSON.parse(text) as unknown);
  };
  return {
    devices,
    get: async (path) => read(await fetch(`${controlUrl}${path}`)),
    post: async (path, body) => {
      const response = await fetch(`${controlUrl}${path}`, {
        method: "POST",
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      return { status: response.status, body: await read(response) };
    },
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await ended;
      await broker.close();
    },
  };
}

const ID = encodeURIComponent("edge:device-1");

describe("devices behind suite-connectors", () => {
  test("are carried to the cloud, and their connectors cut off, restored and restarted over the control endpoint", async () => {
    const [local, cloud] = [await startBroker(), await startBroker()];
    const stop = new AbortController();
    const ready = Promise.withResolvers<{ devices: readonly KantoDevice[]; controlUrl: string | undefined }>();
    const ended = simulateKanto(
      {
        brokerUrl: local.url,
        cloud: { url: cloud.url },
        cloudReconnectMs: 20,
        devices: 1,
        controlPort: 0,
        onReady: ready.resolve,
      },
      stop.signal,
    );
    ended.catch(ready.reject);
    try {
      const { devices, controlUrl } = await ready.promise;
      const state = async (): Promise<{ connector: { cloudUp: boolean; events: number } }> =>
        (await (await fetch(`${controlUrl}/devices/${ID}`)).json()) as never;
      const post = async (path: string): Promise<number> =>
        (await fetch(`${controlUrl}/devices/${ID}/${path}`, { method: "POST" })).status;
      await until(() => devices[0]?.commandsHeard === true, "the connector told the device who it is");
      const factory = (): boolean =>
        cloud.messages.some(
          ({ topic, payload }) =>
            topic === "event/t1/edge:device-1/edge:containers" && payload.includes("ContainerFactory"),
        );
      await until(factory, "the registration in the cloud");
      expect((await state()).connector.cloudUp).toBe(true);
      expect(await post("connector/cut-cloud")).toBe(204);
      await until(() => cloud.clientIds().length === 0, "the cut");
      expect((await state()).connector.cloudUp).toBe(false);
      expect(await post("connector/restore-cloud")).toBe(204);
      await until(() => cloud.clientIds().length === 1, "the cloud again");
      expect(await post("connector/restart")).toBe(204);
      expect(await post("connector/explode")).toBe(404);
    } finally {
      stop.abort();
      await ended;
      await local.close();
      await cloud.close();
    }
  });
});

describe("the control endpoint", () => {
  test("lists devices, shows containers and commands, plays the human", async () => {
    await using s = await simulation();
    const created = await s.post(`/devices/${ID}/human/create`, {
      image: sleeper,
      name: "mine",
      config: { env: ["A=1"] },
    });
    expect(created).toEqual({ status: 200, body: { id: expect.any(String) as string } });
    expect(await s.get("/devices")).toMatchObject([
      { deviceId: "edge:device-1", online: true, containers: 1 },
      { deviceId: "edge:device-2", online: true, containers: 0 },
    ]);
    expect(await s.get(`/devices/${ID}`)).toMatchObject({
      containers: [{ name: "mine", createdBy: "human", processStarts: 1, config: { env: ["A=1"] } }],
    });
    expect(await s.get(`/devices/${ID}/commands`)).toEqual([]);
    expect((await s.post(`/devices/${ID}/human/stop`, { container: "mine" })).status).toBe(204);
    expect(
      (await s.post(`/devices/${ID}/human/update`, { container: "mine", resources: { memory: "64M" } })).status,
    ).toBe(204);
    expect((await s.post(`/devices/${ID}/human/remove`, { container: "mine" })).status).toBe(204);
    expect(s.devices[0]?.containers()).toEqual([]);
  });

  test("throws the switches", async () => {
    await using s = await simulation();
    const [device] = s.devices;
    expect((await s.post(`/devices/${ID}/offline`)).status).toBe(204);
    await until(() => device?.online === false, "offline");
    expect((await s.post(`/devices/${ID}/online`)).status).toBe(204);
    await until(() => device?.commandsHeard === true, "online");
    expect((await s.post(`/devices/${ID}/hold-port`, { port: 8080 })).status).toBe(204);
    const taken = await s.post(`/devices/${ID}/human/create`, {
      image: sleeper,
      config: { portMappings: [{ hostPort: 8080, containerPort: 80 }] },
    });
    expect(taken).toMatchObject({
      status: 409,
      body: { error: expect.stringContaining("port is already allocated") as string },
    });
    expect((await s.post(`/devices/${ID}/release-port`)).status).toBe(204);
    expect((await s.post(`/devices/${ID}/pull-failure`, { image: crasher, failure: "denied" })).status).toBe(204);
    expect((await s.post(`/devices/${ID}/human/create`, { image: crasher })).status).toBe(409);
    expect(
      (
        await s.post(`/devices/${ID}/human/create`, {
          image: sleeper,
          name: "loop",
          config: { restartPolicy: { type: "NO" } },
        })
      ).status,
    ).toBe(200);
    expect((await s.post(`/devices/${ID}/crash-loop`, { container: "loop", behaviour: { exitCode: 7 } })).status).toBe(
      204,
    );
    await until(() => device?.container("loop").state["exitCode"] === 7, "the exit");
    for (const [action, body] of [
      ["command", { operation: "start", times: "all", effect: { kind: "loseReply" } }],
      ["event", { effect: { kind: "reorder", count: 2 } }],
      ["clear-rules", undefined],
      ["image", { image: crasher, behaviour: { runMs: 5 } }],
      ["forget-image", { image: crasher }],
      ["announce", { policyId: "edge:new" }],
    ] as const) {
      expect(await s.post(`/devices/${ID}/${action}`, body), action).toMatchObject({ status: 204 });
    }
    expect((await s.post(`/devices/${ID}/crash`, { restart: false })).status).toBe(204);
    expect(await s.get("/devices")).toMatchObject([{ daemonRunning: false }, { daemonRunning: true }]);
    expect((await s.post(`/devices/${ID}/start-daemon`)).status).toBe(204);
    expect((await s.post(`/devices/${ID}/reboot`, { downMs: 10 })).status).toBe(204);
    await until(() => device?.commandsHeard === true && device.daemonStarts === 3, "back after the reboot");
  });

  test("says what is wrong", async () => {
    await using s = await simulation(1);
    expect(await s.post("/devices/nope/offline")).toMatchObject({ status: 404, body: { error: "no device nope" } });
    expect(await s.post(`/devices/${ID}/explode`)).toMatchObject({
      status: 404,
      body: { error: expect.stringContaining("actions: offline, online") as string },
    });
    expect(await s.post(`/devices/${ID}/hold-port`, { port: 0 })).toMatchObject({
      status: 400,
      body: { error: expect.stringContaining("port") as string },
    });
    expect(await s.post(`/devices/${ID}/command`, { effect: { kind: "explode" } })).toMatchObject({ status: 400 });
    expect(await s.post(`/devices/${ID}/exit`, { container: "nope", code: 1 })).toMatchObject({
      status: 409,
      body: { error: "no container nope on edge:device-1" },
    });
  });
});

test.each([
  [{ brokerUrl: "http://x" }, "broker URL must be mqtt://host:port or mqtts://host:port, not http://x"],
  [{ brokerUrl: "mqtt://x", devices: 0 }, "devices must be a whole number from 1 to 10000, not 0"],
  [
    { brokerUrl: "mqtt://x", deviceIdPrefix: "device-" },
    "device id prefix must have the form <namespace>:<name>, without / + # and spaces, not device-",
  ],
  [
    { brokerUrl: "mqtt://x", devices: 2, externalConnector: true },
    "an external connector can serve only one device: its announcement reaches every daemon on the broker",
  ],
  [{ brokerUrl: "mqtts://x:1", devices: 3 }, undefined],
])("options %j: %s", (options, message) => {
  expect(checkSimulateOptions(options)).toBe(message);
});
