/** Several devices on one broker, by topic prefix, as mosquitto bridges put them there; and what is refused without one. */
import { afterEach, describe, expect, test } from "vitest";
import { connectAsync } from "mqtt";
import type { Account, BackendDeps, DeviceSession } from "../../../src/backends/contract.ts";
import { TargetError } from "../../../src/backends/errors.ts";
import { createKantoBackend } from "../../../src/backends/kanto/index.ts";
import type { EdgeDeviceSpec } from "../../../src/crds/edge-device.ts";
import { systemClock } from "../../../src/kube/clock.ts";
import { startKantoDevice, type KantoDevice } from "../../../src/simulators/kanto/index.ts";
import { desired, MARKER, until } from "../../conformance/harness.ts";
import { startBroker } from "../../mqtt/broker.ts";
import { findMosquitto, startMosquitto } from "../../mqtt/mosquitto.ts";

const open: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).toReversed()) await close();
});

const malformed: string[] = [];
const log = (): void => undefined;
const DEPS: BackendDeps = {
  clock: systemClock,
  log: { debug: log, info: log, warn: log, error: log },
  metrics: { command: log, malformed: (_backend, kind) => void malformed.push(kind), reconnect: log },
  fence: { valid: () => true },
  random: Math.random,
  timings: { observeIntervalMs: 2_000, probeTimeoutMs: 500, reconnectInitialMs: 20 },
  processId: "process",
};

function account(url: string): Account {
  const made = createKantoBackend(DEPS).connect({ kanto: { url, tenant: "t1" } }, {});
  open.push(() => made.close());
  return made;
}

async function device(brokerUrl: string, deviceId: string): Promise<KantoDevice> {
  const made = await startKantoDevice({ brokerUrl, deviceId, startMs: 0, reconnectMs: 50 });
  open.push(() => made.stop());
  return made;
}

const spec = (thingId: string, topicPrefix?: string): EdgeDeviceSpec => ({
  backendRef: { name: "b" },
  kanto: { thingId, ...(topicPrefix !== undefined && { topicPrefix }) },
});

async function create(session: DeviceSession, name: string): Promise<string> {
  await until(() => session.snapshot().synced, `the inventory for ${name}`);
  const wanted = desired("registry.example/test/sleeper:1", {}, name);
  const dispatch = session.execute({
    kind: "Create",
    desired: wanted,
    marker: { ...MARKER, operation: name },
    commandId: `${name}.1`,
    key: name,
  });
  if (!dispatch.sent) throw new Error(`refused: ${dispatch.reason}`);
  const outcome = await dispatch.outcome;
  expect(outcome.result).toBe("Succeeded");
  return outcome.externalId ?? "";
}

describe("one broker", () => {
  test("belongs to one gateway; a second one is refused with the fix", async () => {
    const broker = await startBroker();
    open.push(() => broker.close());
    const ours = account(broker.url);
    const first = ours.openDevice(spec("edge:device"));
    expect(ours.openDevice(spec("edge:device:edge:containers"))).toBe(first);
    expect(() => ours.openDevice(spec("edge:other"))).toThrow(TargetError);
    expect(() => ours.openDevice(spec("edge:other"))).toThrow(/topicPrefix/);
    expect(() => ours.openDevice(spec("nonsense"))).toThrow(TargetError);
    expect(() => ours.openDevice({ backendRef: { name: "b" }, alpon: { assetId: "a" } })).toThrow(/kanto/);
    expect(ours.openDevice(spec("edge:other", "site-8/")).targetKey).not.toBe(first.targetKey);
    await first.close();
    expect(ours.openDevice(spec("edge:other")).targetKey).toContain("edge:other");
  });

  test("leftovers that somebody retained on a device's topics are not taken for news", async () => {
    const broker = await startBroker();
    open.push(() => broker.close());
    await device(broker.url, "edge:device");
    const stranger = await connectAsync(broker.url);
    const feature = {
      properties: { status: { name: "ghost", imageRef: "x", config: {}, state: { status: "RUNNING" } } },
    };
    await stranger.publishAsync(
      "e/t1/edge:device:edge:containers",
      JSON.stringify({
        topic: "edge/device:edge:containers/things/twin/commands/modify",
        path: "/features/Container:ghost",
        value: feature,
      }),
      { qos: 1, retain: true },
    );
    await stranger.endAsync();
    malformed.length = 0;
    const session = account(broker.url).openDevice(spec("edge:device"));
    await until(() => session.snapshot().synced, "the inventory");
    expect(session.snapshot().containers).toEqual([]);
    expect(malformed).toContain("Retained");
  });
});

const mosquitto = findMosquitto();

describe.skipIf(mosquitto === undefined)(
  `bridges of mosquitto (${mosquitto ?? "not run: the mosquitto binary is not installed"})`,
  () => {
    test("carry several devices of the same name, each below its prefix, and nobody hears another's commands", async () => {
      const central = await startMosquitto();
      open.push(() => central.close());
      const site = async (prefix: string): Promise<KantoDevice> => {
        const local = await startMosquitto({
          config: [
            "connection central",
            `address 127.0.0.1:${central.port}`,
            "restart_timeout 1",
            `topic # both 1 "" ${prefix}`,
          ],
        });
        open.push(() => local.close());
        return device(local.url, "edge:device");
      };
      const seven = await site("site-7/");
      const eight = await site("site-8/");
      const ours = account(central.url);
      const first = ours.openDevice(spec("edge:device", "site-7/"));
      const second = ours.openDevice(spec("edge:device", "site-8/"));
      const [a, b] = await Promise.all([create(first, "a"), create(second, "b")]);
      expect(seven.containers().map(({ id, name }) => `${name} ${id}`)).toEqual([`a ${a}`]);
      expect(eight.containers().map(({ id, name }) => `${name} ${id}`)).toEqual([`b ${b}`]);
      expect(first.snapshot().containers.map(({ name }) => name)).toEqual(["a"]);
      expect(second.snapshot().containers.map(({ name }) => name)).toEqual(["b"]);
    });
  },
);
