import { createServer, type AddressInfo, type Socket } from "node:net";
import fc from "fast-check";
import mqttPacket from "mqtt-packet";
import { afterEach, describe, expect, test, vi } from "vitest";
import mqtt from "mqtt";
import { MqttPacketReader } from "../../faults/mqtt-packet-reader.ts";
import { startMqttFaultProxy, type MqttFaultProxy } from "../../faults/mqtt-proxy.ts";

const soon = { timeout: 10_000, interval: 5 };
const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) {
    await cleanup();
  }
});

/** The least of a broker: accepts everybody, acknowledges everything, sends each publish to all who are connected. */
async function setUp(): Promise<{ proxy: MqttFaultProxy; published: string[]; connected: () => number }> {
  const published: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => undefined);
    let version = 4;
    const parser = mqttPacket.parser();
    const write = (to: Socket, packet: mqttPacket.Packet): void => {
      to.write(mqttPacket.generate(packet, { protocolVersion: version }));
    };
    parser.on("packet", (packet) => {
      switch (packet.cmd) {
        case "connect":
          version = packet.protocolVersion ?? 4;
          write(socket, { cmd: "connack", returnCode: 0, reasonCode: 0, sessionPresent: false });
          break;
        case "publish":
          published.push(`${packet.topic} ${String(packet.payload)}`);
          if (packet.qos === 1) {
            write(socket, { cmd: "puback", messageId: packet.messageId ?? 0 });
          }
          for (const each of sockets) {
            write(each, {
              cmd: "publish",
              topic: packet.topic,
              payload: packet.payload,
              qos: 0,
              dup: false,
              retain: false,
            });
          }
          break;
        case "subscribe":
          write(socket, { cmd: "suback", messageId: packet.messageId ?? 0, granted: [0] });
          break;
        default:
          break;
      }
    });
    socket.on("data", (chunk) => parser.parse(chunk));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const proxy = await startMqttFaultProxy({ upstreamPort: (server.address() as AddressInfo).port });
  cleanups.push(async () => {
    await proxy.close();
    for (const socket of sockets) {
      socket.destroy();
    }
    await new Promise((resolve) => {
      server.close(resolve);
    });
  });
  return { proxy, published, connected: () => sockets.size };
}

interface Client {
  client: mqtt.MqttClient;
  got: string[];
  closed: () => boolean;
}

async function connect(proxy: MqttFaultProxy, clientId: string, protocolVersion: 4 | 5 = 4): Promise<Client> {
  const client = mqtt.connect({ host: "127.0.0.1", port: proxy.port, clientId, protocolVersion, reconnectPeriod: 0 });
  const got: string[] = [];
  let closed = false;
  client.on("message", (topic, payload) => got.push(`${topic} ${payload.toString()}`));
  client.on("close", () => {
    closed = true;
  });
  client.on("error", () => undefined);
  cleanups.push(async () => {
    await client.endAsync(true);
  });
  await vi.waitFor(() => expect(client.connected).toBe(true), soon);
  return { client, got, closed: () => closed };
}

/** Publishes at QoS 1; says later whether it was acknowledged. */
function publish(client: mqtt.MqttClient, topic: string, payload: string): { acknowledged: boolean } {
  const state = { acknowledged: false };
  client.publish(topic, payload, { qos: 1 }, (error) => {
    state.acknowledged = !error;
  });
  return state;
}

describe.each([4, 5] as const)("the MQTT fault proxy, protocol level %i", (level) => {
  test("numbers the packets of each direction and reads what names them", async () => {
    const { proxy, published } = await setUp();
    const { client, got } = await connect(proxy, "one", level);
    const sent = publish(client, "a/b", "hello");
    await vi.waitFor(() => expect(sent.acknowledged).toBe(true), soon);
    await vi.waitFor(() => expect(got).toEqual(["a/b hello"]), soon);
    expect(published).toEqual(["a/b hello"]);
    const brief = proxy.packets().map((each) => `${each.direction} ${each.n} ${each.type} ${each.client}`);
    expect(brief.filter((each) => each.startsWith("toBroker"))).toEqual([
      "toBroker 1 CONNECT one",
      "toBroker 2 PUBLISH one",
    ]);
    const [packet] = proxy.packets({ type: "PUBLISH", direction: "toBroker" });
    expect(packet).toMatchObject({ topic: "a/b", qos: 1, dup: false, retain: false, connection: 1 });
    expect(packet?.payload?.toString()).toBe("hello");
    expect(proxy.packets({ type: "PUBACK" })[0]?.packetId).toBe(packet?.packetId);
  });

  test("drop-ack: the broker has the message, the client never learns it", async () => {
    const { proxy, published } = await setUp();
    const { client, got } = await connect(proxy, "one", level);
    const rule = proxy.on({ match: { topic: "k/2", direction: "toBroker" }, fault: "drop-ack" });
    const sent = ["k/1", "k/2", "k/3"].map((topic) => publish(client, topic, "x"));
    await vi.waitFor(() => expect(got).toHaveLength(3), soon);
    await vi.waitFor(() => expect(sent.map((each) => each.acknowledged)).toEqual([true, false, true]), soon);
    expect(published).toHaveLength(3);
    expect(rule.hits).toBe(1);
  });

  test("cut-before-ack: the connection ends between the effect and its acknowledgement", async () => {
    const { proxy, published, connected } = await setUp();
    const { client, closed } = await connect(proxy, "one", level);
    proxy.on({ match: { type: "PUBLISH", direction: "toBroker" }, skip: 1, fault: "cut-before-ack" });
    const first = publish(client, "k/1", "x");
    const second = publish(client, "k/2", "x");
    await vi.waitFor(() => expect(closed()).toBe(true), soon);
    expect([first.acknowledged, second.acknowledged]).toEqual([true, false]);
    expect(published).toEqual(["k/1 x", "k/2 x"]);
    await vi.waitFor(() => expect(connected()).toBe(0), soon);
    expect(proxy.connections).toBe(0);
  });
});

describe("the MQTT fault proxy", () => {
  test("cut-before: the message does not arrive; cut-after: it does; both end the connection", async () => {
    const { proxy, published } = await setUp();
    proxy.on({ match: { topic: "before", direction: "toBroker" }, fault: "cut-before" });
    proxy.on({ match: { topic: "after", direction: "toBroker" }, fault: "cut-after" });
    for (const topic of ["before", "after"]) {
      const { client, closed } = await connect(proxy, topic);
      publish(client, topic, "x");
      await vi.waitFor(() => expect(closed()).toBe(true), soon);
    }
    await vi.waitFor(() => expect(published).toEqual(["after x"]), soon);
  });

  test("drop and duplicate, in the direction named", async () => {
    const { proxy, published } = await setUp();
    const { client, got } = await connect(proxy, "one");
    proxy.on({ match: { type: "PUBLISH", topic: "1", direction: "toBroker" }, fault: "drop" });
    proxy.on({ match: { type: "PUBLISH", topic: "2", direction: "toBroker" }, fault: "duplicate" });
    proxy.on({ match: { type: "PUBLISH", topic: "3", direction: "toClient" }, fault: "drop" });
    for (const topic of ["t1", "t2", "t3", "t4"]) {
      publish(client, topic, "x");
    }
    await vi.waitFor(() => expect(published).toEqual(["t2 x", "t2 x", "t3 x", "t4 x"]), soon);
    await vi.waitFor(() => expect(got).toEqual(["t2 x", "t2 x", "t4 x"]), soon);
  });

  test("hold keeps the order of what comes after, and the other direction flows", async () => {
    const { proxy, published } = await setUp();
    const { client } = await connect(proxy, "one");
    const other = await connect(proxy, "two");
    const rule = proxy.on({ match: { topic: "t1", direction: "toBroker" }, fault: "hold" });
    const sent = [publish(client, "t1", "x"), publish(client, "t2", "x")];
    await vi.waitFor(() => expect(rule.hits).toBe(1), soon);
    const free = publish(other.client, "o1", "x");
    await vi.waitFor(() => expect(free.acknowledged).toBe(true), soon);
    expect(published).toEqual(["o1 x"]);
    rule.release();
    await vi.waitFor(() => expect(sent.every((each) => each.acknowledged)).toBe(true), soon);
    expect(published).toEqual(["o1 x", "t1 x", "t2 x"]);
  });

  test("frozen connections stay open and carry nothing; new ones work; refused ones end at once", async () => {
    const { proxy, published } = await setUp();
    const frozen = await connect(proxy, "frozen");
    proxy.freezeAll();
    const sent = publish(frozen.client, "t", "x");
    const fresh = await connect(proxy, "fresh");
    const through = publish(fresh.client, "u", "x");
    await vi.waitFor(() => expect(through.acknowledged).toBe(true), soon);
    expect([published, sent.acknowledged, frozen.closed()]).toEqual([["u x"], false, false]);
    proxy.accept(false);
    const refused = mqtt.connect({ host: "127.0.0.1", port: proxy.port, reconnectPeriod: 0 });
    cleanups.push(async () => {
      await refused.endAsync(true);
    });
    let closed = false;
    refused.on("error", () => undefined);
    refused.on("close", () => {
      closed = true;
    });
    await vi.waitFor(() => expect(closed).toBe(true), soon);
    proxy.accept(true);
    proxy.cutAll();
    await vi.waitFor(() => expect(fresh.closed()).toBe(true), soon);
  });
});

describe("reading MQTT", () => {
  test("gives the same packets however the bytes are cut", () => {
    const packet = fc.record({
      topic: fc.stringMatching(/^[a-zé/]{1,40}$/),
      payload: fc.uint8Array({ maxLength: 300 }),
      qos: fc.constantFrom(0 as const, 1 as const, 2 as const),
      messageId: fc.integer({ min: 1, max: 65_535 }),
      retain: fc.boolean(),
    });
    const cuts = fc.array(fc.nat({ max: 3_000 }), { maxLength: 20 });
    fc.assert(
      fc.property(fc.array(packet, { maxLength: 8 }), cuts, fc.constantFrom(4, 5), (packets, positions, level) => {
        const reader = new MqttPacketReader();
        reader.protocolLevel = level;
        const bytes = Buffer.concat(
          packets.map((each) =>
            mqttPacket.generate(
              { cmd: "publish", ...each, payload: Buffer.from(each.payload), dup: false },
              { protocolVersion: level },
            ),
          ),
        );
        const at = [0, ...positions.filter((each) => each < bytes.length).sort((a, b) => a - b), bytes.length];
        const read = at.slice(1).flatMap((end, index) => reader.push(bytes.subarray(at[index], end)));
        expect(
          read.map(({ type, topic, qos, retain, payload, packetId }) => ({
            type,
            topic,
            qos,
            retain,
            payload: [...(payload ?? [])],
            packetId,
          })),
        ).toEqual(
          packets.map((each) => ({
            type: "PUBLISH",
            topic: each.topic,
            qos: each.qos,
            retain: each.retain,
            payload: [...each.payload],
            packetId: each.qos === 0 ? undefined : each.messageId,
          })),
        );
        expect(Buffer.concat(read.map((each) => each.bytes))).toEqual(bytes);
      }),
    );
  });

  test("refuses what is not MQTT", () => {
    expect(() => new MqttPacketReader().push(Buffer.from([0x30, 0xff, 0xff, 0xff, 0xff, 0x01]))).toThrow("not MQTT");
    expect(() => new MqttPacketReader().push(Buffer.from([0x00, 0x00]))).toThrow("not an MQTT packet");
  });
});
