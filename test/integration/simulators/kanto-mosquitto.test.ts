// The simulated device on a broker of another make than the one its other tests use, over TLS and with a password: what it needs of a broker
// is in the MQTT standard.

import { connectAsync } from "mqtt";
import { describe, expect, test } from "vitest";
import { startConnector, startKantoDevice } from "../../../src/simulators/kanto/index.ts";
import { findMosquitto, startMosquitto } from "../../mqtt/mosquitto.ts";
import { Remote, sleeper } from "../../unit/simulators/remote.ts";
import { until } from "../../unit/simulators/replay.ts";

const mosquitto = findMosquitto();

describe.skipIf(!mosquitto)(`on mosquitto (${mosquitto ?? "not run: the mosquitto binary is not installed"})`, () => {
  test("identity, commands and events; a restarted broker is found again", async () => {
    const broker = await startMosquitto();
    const device = await startKantoDevice({
      brokerUrl: broker.url,
      deviceId: "edge:device",
      startMs: 0,
      reconnectMs: 20,
    });
    const connector = await startConnector({ brokerUrl: broker.url, deviceId: "edge:device", reconnectMs: 20 });
    await connector.announce();
    await until(() => device.commandsHeard, "the device hears commands");
    const remote = await Remote.connect(broker.url);
    const id = await remote.create("a", sleeper);
    expect((await remote.request(`Container:${id}`, "start")).status).toBe(204);
    await until(() => remote.state(id)["status"] === "RUNNING", "the event");
    await remote.client.endAsync(true);

    await broker.restart();
    await until(() => device.commandsHeard, "the device is back");
    const again = await Remote.connect(broker.url);
    expect((await again.request(`Container:${id}`, "stop")).status).toBe(204);
    expect(device.container("a")).toMatchObject({ processStarts: 1, state: { status: "STOPPED" } });
    await again.client.endAsync(true);
    connector.stop();
    await device.stop();
    await broker.close();
  });

  test("mutual TLS and a password; a wrong password keeps it out", async () => {
    const broker = await startMosquitto({ mtls: true, users: { device: "secret", remote: "secret" } });
    const { ca, client } = broker.certificates ?? expect.unreachable("mtls gives certificates");
    const options = {
      brokerUrl: broker.url,
      deviceId: "edge:device",
      answerIdentity: true,
      reconnectMs: 20,
      tls: { ca, ...client },
    };
    const refused = await startKantoDevice({ ...options, credentials: { username: "device", password: "wrong" } });
    await until(() => broker.log().includes("not authorised") || broker.log().includes("bad user"), "the refusal");
    expect(refused.online).toBe(false);
    await refused.stop();
    const lines: string[] = [];
    const unreadable = await startKantoDevice({
      ...options,
      tls: { ca: "no certificate" },
      log: (line) => lines.push(line),
    });
    await until(() => lines.some((line) => line.includes("connection: ")), "the reason in the log");
    await unreadable.stop();
    const device = await startKantoDevice({ ...options, credentials: { username: "device", password: "secret" } });
    await until(() => device.commandsHeard, "the device hears commands");
    const five = await connectAsync(broker.url, {
      protocolVersion: 5,
      ca,
      ...client,
      username: "remote",
      password: "secret",
      reconnectPeriod: 0,
    });
    await five.endAsync();
    await device.stop();
    await broker.close();
  });
});
