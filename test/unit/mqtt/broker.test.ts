import { connectAsync, type MqttClient } from "mqtt";
import { afterEach, describe, expect, test } from "vitest";
import { startBroker, type TestBroker } from "../../mqtt/broker.ts";
import { issueCertificates } from "../../mqtt/certificates.ts";
import { findMosquitto, startMosquitto } from "../../mqtt/mosquitto.ts";

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) {
    await cleanup();
  }
});

async function embedded(...options: Parameters<typeof startBroker>): Promise<TestBroker> {
  const broker = await startBroker(...options);
  cleanups.push(async () => broker.close());
  return broker;
}

async function client(url: string, options: Parameters<typeof connectAsync>[1] = {}): Promise<MqttClient> {
  const connected = await connectAsync(url, { reconnectPeriod: 0, ...options });
  cleanups.push(async () => connected.endAsync(true));
  return connected;
}

async function received(subscriber: MqttClient, topic: string, publish: () => Promise<unknown>): Promise<string> {
  await subscriber.subscribeAsync(topic, { qos: 1 });
  const message = new Promise<string>((resolve) =>
    subscriber.once("message", (_topic, payload) => resolve(payload.toString())),
  );
  await publish();
  return message;
}

describe("embedded broker", () => {
  test("delivers, records, drops connections and comes back on the same port", async () => {
    const broker = await embedded();
    const one = await client(broker.url, { clientId: "one" });
    expect(await received(one, "a/b", async () => one.publishAsync("a/b", "hello", { qos: 1 }))).toBe("hello");
    expect(broker.messages).toEqual([
      { clientId: "one", topic: "a/b", payload: Buffer.from("hello"), qos: 1, retain: false },
    ]);
    expect(broker.clientIds()).toEqual(["one"]);
    const closed = new Promise<void>((resolve) => one.once("close", () => resolve()));
    expect(broker.dropClients((id) => id === "other")).toBe(0);
    expect(broker.dropClients((id) => id === "one")).toBe(1);
    await closed;
    await broker.pause();
    await expect(connectAsync(broker.url, { reconnectPeriod: 0 })).rejects.toThrow("ECONNREFUSED");
    await broker.resume();
    await client(broker.url, { clientId: "two" });
    expect(broker.clientIds()).toEqual(["two"]);
  });

  test("refuses a wrong password and, with TLS and a client CA, a client without certificate", async () => {
    const open = await embedded({ authenticate: (name, password) => name === "u" && password === "right" });
    await client(open.url, { username: "u", password: "right" });
    await expect(
      connectAsync(open.url, { reconnectPeriod: 0, username: "u", password: "wrong" }),
    ).rejects.toMatchObject({ code: 4 });

    const { ca, server, client: identity } = await issueCertificates();
    const secured = await embedded({ tls: { ...server, clientCa: ca } });
    await client(secured.url, { ca, ...identity });
    await expect(connectAsync(secured.url, { reconnectPeriod: 0, ca })).rejects.toThrow();
  });
});

const mosquitto = findMosquitto();
describe.skipIf(!mosquitto)(`mosquitto (${mosquitto ?? "not run: the mosquitto binary is not installed"})`, () => {
  test("speaks MQTT 5 over mutual TLS with users", async () => {
    const broker = await startMosquitto({ mtls: true, users: { u: "secret" } });
    cleanups.push(async () => broker.close());
    const { ca, client: identity } = broker.certificates ?? expect.unreachable("mtls gives certificates");
    const five = await client(broker.url, { protocolVersion: 5, ca, ...identity, username: "u", password: "secret" });
    expect(await received(five, "x", async () => five.publishAsync("x", "5", { qos: 1 }))).toBe("5");
    await expect(
      connectAsync(broker.url, { reconnectPeriod: 0, ca, username: "u", password: "secret" }),
    ).rejects.toThrow();
  });

  test("comes back on the same port after a kill", async () => {
    const broker = await startMosquitto();
    cleanups.push(async () => broker.close());
    const before = await client(broker.url);
    const closed = new Promise<void>((resolve) => before.once("close", () => resolve()));
    await broker.restart();
    await closed;
    await client(broker.url);
    expect(broker.log()).toContain("Opening ipv4 listen socket");
  });
});
