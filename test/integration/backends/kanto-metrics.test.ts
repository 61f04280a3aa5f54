/** Metrics of containers over a real broker: a session asks, a simulated device reports. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { ContainerUsage } from "../../../src/backends/contract.ts";
import { MARKER, desired, succeed, synced, until, type ConformanceProcess } from "../../conformance/harness.ts";
import { startBroker, type BrokerMessage, type TestBroker } from "../../mqtt/broker.ts";
import { startKantoWorld, type KantoWorld } from "./kanto-harness.ts";

let broker: TestBroker;
let world: KantoWorld;
beforeEach(async () => {
  broker = await startBroker();
  world = await startKantoWorld(broker);
});
afterEach(async () => world.close());

function optIn({ session }: ConformanceProcess, enabled = true, frequencySeconds = 1): void {
  session.configure?.({
    backendRef: { name: "backend" },
    kanto: { thingId: "edge:device", metrics: { enabled, frequencySeconds } },
  });
}

function usage(process: ConformanceProcess): Record<string, ContainerUsage> {
  return Object.fromEntries(process.session.usage?.() ?? []);
}

/** Makes a container that runs. */
async function running(process: ConformanceProcess): Promise<string> {
  const container = desired(world.image("sleeper"), { resources: { limits: { memory: "64Mi" } } });
  const externalId = await succeed(process, { kind: "Create", desired: container, marker: MARKER });
  await succeed(process, { kind: "Start", externalId });
  return externalId;
}

async function reported(process: ConformanceProcess, externalId: string): Promise<ContainerUsage> {
  await until(() => usage(process)[externalId] !== undefined, "a report");
  return usage(process)[externalId] ?? {};
}

const asking = (): BrokerMessage[] =>
  broker.messages.filter(({ topic }) => topic.endsWith("/request") && topic.includes("/req/"));

/** Requests of the feature that the device has got: their frequencies. */
function requests(): unknown[] {
  return asking().map(
    ({ payload }) => (JSON.parse(payload.toString("utf8")) as { value: { frequency: string } }).value.frequency,
  );
}

describe("a device that is asked to report", () => {
  test("does, from the start of its first container to the end of its last", async () => {
    const process = await world.start();
    optIn(process);
    await synced(process);
    const externalId = await running(process);
    expect(await reported(process, externalId)).toMatchObject({
      cpuRatio: 0.0125,
      memoryLimitBytes: 64 * 1024 ** 2,
      memoryUsedBytes: 24 * 1024 ** 2,
      pids: 1,
    });
    await succeed(process, { kind: "Remove", externalId });
    expect(usage(process)).toEqual({});
    // One that is not answered for long is sent again.
    expect(new Set(requests())).toEqual(new Set(["1s"]));
  });

  test("does again after it has restarted, and after our connection broke", async () => {
    const process = await world.start();
    optIn(process);
    await synced(process);
    const externalId = await running(process);
    await reported(process, externalId);
    await world.faults.reboot();
    await until(() => requests().length >= 2, "another request after the restart");
    world.faults.cut();
    const before = requests().length;
    await until(() => requests().length > before, "another request after the cut");
    await synced(process);
    await reported(process, externalId);
  });

  test("is not asked while it carries out a command of ours, and the command does not suffer", async () => {
    const process = await world.start();
    await synced(process);
    const making = succeed(process, {
      kind: "Create",
      desired: desired(world.image("slow")),
      marker: MARKER,
    });
    await until(() => process.session.snapshot().inFlight?.kind === "Create", "the command under way");
    optIn(process);
    expect(process.session.snapshot().inFlight?.kind).toBe("Create");
    await making;
    await until(() => requests().length === 1, "the request");
    const heard = () => world.device.commands().map(({ operation }) => operation);
    await until(() => heard().includes("request"), "the request at the device");
    const operations = heard();
    expect(operations.indexOf("request")).toBeGreaterThan(operations.indexOf("createWithConfig"));
  });

  test("stops when the opt-in goes, and when it is given up", async () => {
    const process = await world.start();
    optIn(process);
    await synced(process);
    await reported(process, await running(process));
    optIn(process, false);
    expect(usage(process)).toEqual({});
    await until(() => requests().at(-1) === "0s", "the end");
    optIn(process);
    await until(() => requests().at(-1) === "1s", "a new beginning");
    await until(() => Object.keys(usage(process)).length === 1, "a report");
    await process.session.close();
    await until(() => requests().at(-1) === "0s", "the end for good");
  });

  test("is asked by a process that may only read, and by no standby", async () => {
    const standby = await world.start({ held: false });
    optIn(standby);
    await synced(standby);
    const leader = await world.start();
    await synced(leader);
    const externalId = await running(leader);
    expect(requests()).toEqual([]);
    optIn(leader);
    // What the leader asked for reaches the standby as well; who exports it is decided above.
    await reported(leader, externalId);
    await reported(standby, externalId);
    expect(new Set(requests())).toEqual(new Set(["1s"]));
    expect(new Set(asking().map(({ clientId }) => clientId)).size).toBe(1);
  });
});

test("a daemon without the feature is told once per session, and everything else works", async () => {
  await world.device.stop();
  await world.close();
  broker = await startBroker();
  world = await startKantoWorld(broker, { device: { metrics: false } });
  const process = await world.start();
  optIn(process);
  await synced(process);
  await until(() => process.notices.length === 1, "a notice");
  expect(process.notices).toMatchObject([{ reason: "MetricsRefused", type: "Warning" }]);
  await running(process);
  process.session.resync("test");
  await until(() => requests().length >= 2, "another try after the registration");
  await synced(process);
  expect(process.notices).toHaveLength(1);
});
