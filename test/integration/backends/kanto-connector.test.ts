/** What is particular to a device behind a connector: its reply filter, its cloud link, and thousands of devices on one connection. */
import { connectAsync } from "mqtt";
import { afterEach, describe, expect, test } from "vitest";
import type { Account, DeviceSession } from "../../../src/backends/contract.ts";
import { createKantoBackend } from "../../../src/backends/kanto/index.ts";
import { systemClock } from "../../../src/kube/clock.ts";
import { container, createOnce, desired, MARKER, run, succeed, synced, until } from "../../conformance/harness.ts";
import { startMqttFaultProxy } from "../../faults/mqtt-proxy.ts";
import { startBroker } from "../../mqtt/broker.ts";
import { findMosquitto, startMosquitto } from "../../mqtt/mosquitto.ts";
import { startKantoWorld, type KantoWorld, type KantoWorldOptions } from "./kanto-harness.ts";

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

async function behindConnector(options: KantoWorldOptions = {}): Promise<KantoWorld> {
  const world = await startKantoWorld(await startMosquitto(), { deviceBroker: await startBroker(), ...options });
  closing.push(async () => world.close());
  return world;
}

function connectorOf(world: KantoWorld) {
  if (world.connector === undefined) throw new Error("no connector");
  return world.connector;
}

const create = (world: KantoWorld, image: "sleeper" | "slow" = "sleeper") => ({
  kind: "Create" as const,
  desired: desired(world.image(image)),
  marker: MARKER,
});

/** A clock on which a pull of 600 ms takes two minutes. */
const HASTE = 200;
const hasty: typeof systemClock = { ...systemClock, monotonic: () => systemClock.monotonic() * HASTE };

describe.skipIf(findMosquitto() === undefined)("a device behind a connector (mosquitto as the cloud's broker)", () => {
  test("answers a pull that takes longer than the connector keeps replies by default", async () => {
    const world = await behindConnector({ connector: { clock: hasty }, backend: { createTimeoutSeconds: 1800 } });
    const ours = await world.start();
    await synced(ours);
    const outcome = await run(ours, create(world, "slow"));
    expect(outcome).toMatchObject({ result: "Succeeded" });
    const id = outcome.externalId ?? "";
    expect(container(ours, id)).toMatchObject({ name: "web" });
    const answers = world.proxy.packets({ direction: "toClient", type: "PUBLISH", topic: /\/res\/.*\/200$/ });
    expect(answers).toHaveLength(1);
  });

  test("whose connector restarts during a create makes it once: the reply is lost with what the connector knew", async () => {
    const world = await behindConnector();
    const ours = await world.start();
    await synced(ours);
    const making = createOnce(ours, desired(world.image("slow")));
    await until(() => world.received().length > 0, "the create");
    connectorOf(world).restart();
    const id = await making;
    expect(world.everCreated().map(({ externalId }) => externalId)).toEqual([id]);
    expect(world.proxy.packets({ direction: "toClient", type: "PUBLISH", topic: /\/res\/.*\/200$/ })).toHaveLength(0);
  });

  test("goes Offline with its connector's cloud link, keeps its inventory, and is followed again by what comes in bulk", async () => {
    const world = await behindConnector();
    const ours = await world.start();
    await synced(ours);
    const id = await succeed(ours, create(world));
    const connections = world.device.connections;
    connectorOf(world).cutCloud();
    await until(() => ours.session.snapshot().connection === "Offline", "Offline");
    expect(ours.session.snapshot()).toMatchObject({ synced: false });
    const theirs = await world.human.create("theirs");
    await world.human.remove(id);
    connectorOf(world).restoreCloud();
    await synced(ours);
    expect(container(ours, theirs)).toMatchObject({ name: "theirs" });
    expect(container(ours, id)).toBeUndefined();
    // Nothing but the kept events told it.
    expect(world.device.connections).toBe(connections);
    await succeed(ours, { kind: "Stop", externalId: theirs, signal: "SIGTERM", timeoutSeconds: 1, force: true });
  });

  test("is not in sync for a new process before it has registered, and says how to make it", async () => {
    const world = await behindConnector();
    const first = await world.start();
    await synced(first);
    await succeed(first, create(world));
    await first.kill();
    const account = first.backend.connect(
      {
        kanto: {
          url: `mqtt://127.0.0.1:${world.proxy.port}`,
          tenant: "t1",
          transport: "Connector",
          connector: { responsePrefix: "up/res", eventPrefix: "up/ev" },
        },
      },
      {},
    );
    closing.push(async () => account.close());
    const session = account.openDevice({ backendRef: { name: "b" }, kanto: { thingId: "edge:device" } });
    await until(() => session.snapshot().connection === "Connected", "Connected");
    await until(() => session.snapshot().message?.includes("systemctl restart") === true, "what to do");
    expect(session.snapshot()).toMatchObject({ synced: false, containers: [] });
    expect(session.execute({ ...create(world), commandId: "op-2.1", key: "a" })).toMatchObject({
      sent: false,
      reason: "NotSynced",
    });
    world.device.faults.crash();
    await until(() => session.snapshot().synced, "the inventory");
    expect(session.snapshot().containers).toMatchObject([{ name: "web", marker: MARKER }]);
  });

  test("is Offline when its connector says so where that can be read, and asked at once when it says the contrary", async () => {
    const world = await behindConnector({ statusTopic: "status/{tenant}/{deviceId}" });
    const ours = await world.start();
    await synced(ours);
    const bridge = await connectAsync(`mqtt://127.0.0.1:${world.proxy.port}`);
    closing.push(async () => bridge.endAsync(true));
    const say = async (status: object): Promise<void> => {
      await bridge.publishAsync("status/t1/edge:device", JSON.stringify(status), { qos: 1, retain: true });
    };
    const events = (): string[] => ours.events.flatMap((event) => (event.type === "Connection" ? [event.state] : []));
    await say({ connected: false, cause: "CONNECTION_UNKNOWN" });
    await until(() => events().includes("Offline"), "Offline");
    await say({ connected: true, timestamp: 1 });
    await until(
      () => ours.session.snapshot().connection === "Connected" && ours.session.snapshot().synced,
      "its return",
    );
    expect(ours.malformed).toEqual([]);
  });
});

interface Fleet {
  account: Account;
  sessions: DeviceSession[];
}

function fleet(url: string, count: number): Fleet {
  const log = (): void => undefined;
  const backend = createKantoBackend({
    clock: systemClock,
    log: { debug: log, info: log, warn: log, error: log },
    metrics: { command: log, malformed: log, reconnect: log },
    fence: { valid: () => true },
    random: Math.random,
    timings: { observeIntervalMs: 60_000, probeTimeoutMs: 60_000, reconnectInitialMs: 20, reconnectMaxMs: 200 },
    processId: "fleet",
  });
  const account = backend.connect({ kanto: { url, tenant: "t1", transport: "Connector" } }, {});
  closing.push(async () => account.close());
  const sessions = Array.from({ length: count }, (_, n) =>
    account.openDevice({
      backendRef: { name: "b" },
      kanto: { thingId: `edge:device-${n}`, tenant: n === 0 ? "t2" : "t1" },
    }),
  );
  return { account, sessions };
}

describe.skipIf(findMosquitto() === undefined)("two thousand devices on one connection", () => {
  const COUNT = 2_000;

  test("are subscribed to each by its own topics, a few at a time, and not again after a short outage", async () => {
    const mosquitto = await startMosquitto({ config: ["max_queued_messages 10000"] });
    closing.push(async () => mosquitto.close());
    const proxy = await startMqttFaultProxy({ upstreamPort: mosquitto.port });
    closing.push(async () => proxy.close());
    fleet(`mqtt://127.0.0.1:${proxy.port}`, COUNT);
    const subscribed = (): number => proxy.packets({ direction: "toBroker", type: "SUBSCRIBE" }).length;
    const confirmed = (): number => proxy.packets({ direction: "toClient", type: "SUBACK" }).length;
    let most = 0;
    await until(() => {
      most = Math.max(most, subscribed() - confirmed());
      return confirmed() === COUNT;
    }, "all subscriptions");
    expect(subscribed()).toBe(COUNT);
    expect(most).toBeLessThanOrEqual(16);
    const probes = (): number =>
      proxy.packets({ direction: "toBroker", type: "PUBLISH", topic: /drayageProbe$/ }).length;
    await until(() => probes() >= COUNT, "a probe of each");
    proxy.cutAll();
    await until(() => probes() >= 2 * COUNT, "a probe of each again");
    expect(subscribed()).toBe(COUNT);
  });
});
