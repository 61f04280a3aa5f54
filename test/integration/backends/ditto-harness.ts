/** The conformance suite's world for Kanto behind Eclipse Ditto: a real broker, a simulated device on it, and a simulated Ditto before it. */
import { connectAsync } from "mqtt";
import type { AccountCredentials, SessionEvent } from "../../../src/backends/contract.ts";
import { createKantoBackend } from "../../../src/backends/kanto/index.ts";
import type { EdgeBackendSpec } from "../../../src/crds/edge-backend.ts";
import { systemClock } from "../../../src/kube/clock.ts";
import { startDitto, type Ditto, type MessageEffect } from "../../../src/simulators/ditto/index.ts";
import { startKantoDevice, type ContainerTruth, type KantoDevice } from "../../../src/simulators/kanto/index.ts";
import {
  until,
  type ConformanceProcess,
  type ConformanceWorld,
  type VendorContainer,
} from "../../conformance/harness.ts";
import { startBroker, type TestBroker } from "../../mqtt/broker.ts";

export const THING = "edge:device:edge:containers";
/** A second of Ditto's: messages wait at most 3 s, streams beat every 50 ms. */
export const SECOND_MS = 50;
const SLOW_MS = 600;
const HURRY = 10;
/** The device's MQTT client waits 30 s for an acknowledgement that a broken connection swallowed: its time passes faster. */
const HURRIED: typeof systemClock = {
  now: () => systemClock.now(),
  monotonic: () => systemClock.monotonic() * HURRY,
  setTimeout: (callback, delayMs) => systemClock.setTimeout(callback, delayMs / HURRY),
  clearTimeout: (timer) => systemClock.clearTimeout(timer),
};
const MUTATING = new Set([
  "createWithConfig",
  "start",
  "stopWithOptions",
  "pause",
  "resume",
  "rename",
  "update",
  "remove",
]);

export interface DittoWorld extends ConformanceWorld {
  readonly device: KantoDevice;
  readonly ditto: Ditto;
  readonly broker: TestBroker;
  startWith(options: ProcessOptions): ConformanceProcess;
}

export interface ProcessOptions {
  /** May look actively without the fence: a leader that is read-only. */
  observes?: boolean;
  /** Default 250 ms; how long a stream may be away without a word follows from it. */
  probeTimeoutMs?: number;
  fence?: { held: boolean };
  credentials?: AccountCredentials;
  spec?: Partial<EdgeBackendSpec>;
  url?: string;
  thingId?: string;
}

/** Starts a world with everything it needs; all of it ends with `close`. */
export async function startDittoWorld(options: { slowMs?: number; maxTimeoutS?: number } = {}): Promise<DittoWorld> {
  const broker = await startBroker();
  const slowMs = options.slowMs ?? SLOW_MS;
  const device = await startKantoDevice({
    brokerUrl: broker.url,
    deviceId: "edge:device",
    answerIdentity: true,
    startMs: 5,
    restartDelayMs: 200,
    reconnectMs: 100 * HURRY,
    networkClock: HURRIED,
    images: {
      "registry.example/test/slow": { pullMs: slowMs, onSignal: 0 },
      "registry.example/test/crasher": { runMs: 50, exitCode: 3 },
    },
  });
  await until(() => device.commandsHeard, "the device");
  const ditto = await startDitto({
    brokerUrl: broker.url,
    things: [THING],
    secondMs: SECOND_MS,
    reconnectMs: 100,
    users: {
      basic: { drayage: "pa55-word", reader: "pw" },
      bearer: { "t0ken-of-drayage": "iam:drayage" },
      preAuthenticated: true,
      rights: { "nginx:reader": { read: true, message: false }, "site:stranger": { read: false, message: false } },
    },
    ...(options.maxTimeoutS !== undefined && { maxTimeoutS: options.maxTimeoutS }),
  });
  // The device has registered before Ditto's connection heard it: have it publish everything once more.
  device.announce("edge:policy-2");
  await until(() => ditto.thing(THING)?.features["ContainerFactory"] !== undefined, "the twin");
  const processes = new Set<ConformanceProcess>();
  const onCreate = (effect: MessageEffect): void => ditto.faults.message({ subject: "createWithConfig", effect });
  let count = 0;
  const startWith = (process: ProcessOptions): ConformanceProcess => {
    count += 1;
    const started = startProcess(ditto.url, count, process);
    processes.add(started);
    return started;
  };

  return {
    device,
    ditto,
    broker,
    slowMs,
    startWith,
    image: (behaviour) => `registry.example/test/${behaviour === "broken" ? "nocommand" : behaviour}:1`,
    containers: () => device.containers().map(toVendor),
    everCreated: () =>
      device
        .everCreated()
        .filter((each) => each.createdBy === "remote")
        .map(toVendor),
    received: () =>
      device
        .commands()
        .filter((each) => MUTATING.has(each.operation))
        .map((each) => each.operation),
    start: (fence = { held: true }) => Promise.resolve(startWith({ fence })),
    human: {
      create: (name) => device.human.create({ name, image: "registry.example/test/sleeper:1" }),
      remove: (externalId) => device.human.remove(externalId, true),
    },
    faults: {
      loseReply: () => onCreate({ kind: "loseReply" }),
      duplicateReply: () =>
        device.faults.command({ operation: "createWithConfig", effect: { kind: "duplicateReply" } }),
      loseCommand: () => onCreate({ kind: "lose" }),
      cutBeforeAcknowledgement: () => onCreate({ kind: "cut", when: "answered" }),
      cutBeforeArrival: () => onCreate({ kind: "cut", when: "before" }),
      cut: () => ditto.cutAll(),
      reboot: () => device.faults.reboot(),
      disconnectDevice: () => {
        if (device.daemonRunning) device.faults.disconnect();
      },
      offline: () => device.faults.offline(),
      online: () => device.faults.online(),
      holdPort: (port) => device.faults.holdPort({ port, proto: "tcp" }),
      malformed: async () => {
        for (const text of garbage()) ditto.inject(text);
        const stranger = await connectAsync(broker.url);
        const event = `e/t1/${THING}`;
        for (const payload of ["", "{", "null", "[1,2]"]) await stranger.publishAsync(event, payload, { qos: 1 });
        await stranger.endAsync();
      },
    },
    struck: () =>
      ditto.droppedAnswers +
      ditto.messages.filter(({ subject, status }) => subject === "createWithConfig" && status !== 200).length,
    // A twin can be read without asking the device for anything.
    inventoriesForced: () => 0,
    close: async () => {
      const ids = ditto.messages.map(({ correlationId }) => correlationId);
      await Promise.all([...processes].map((each) => each.kill()));
      await ditto.close();
      await device.stop();
      await broker.close();
      // Correlation ids are fresh for each send: one that comes twice is a message that was sent again.
      if (new Set(ids).size !== ids.length) throw new Error("a message was sent twice");
      if (device.panics.length > 0) throw new Error(`the daemon died of what it was sent: ${device.panics.join("; ")}`);
    },
  };
}

function toVendor(truth: ContainerTruth): VendorContainer {
  const { id, name, state, exists, processStarts } = truth;
  return { externalId: id, name, running: state["status"] === "RUNNING", exists, starts: processStarts };
}

/** Everything that can be wrong with what a stream says; each ends its event, so that the next one stands on its own. */
function garbage(): string[] {
  const context = (path: unknown, value: unknown, topic = "edge/device:edge:containers/things/twin/events/modified") =>
    `data:${JSON.stringify({ thingId: THING, _revision: 1e9, _context: { topic, path, value } })}\n\n`;
  return [
    "data:\n\n",
    ": a comment\n\n",
    "nonsense\n\n",
    "data:{\n\n",
    "data:null\n\n",
    "data:[1]\n\n",
    `data:{"thingId":"${THING}"}\n\n`,
    `data:{"thingId":"${THING}","_revision":"x","_context":{}}\n\n`,
    context(5, {}),
    context("/features/Container:x", "text", "edge/device"),
  ];
}

function startProcess(url: string, number: number, options: ProcessOptions): ConformanceProcess {
  const fence = options.fence ?? { held: true };
  const logged: string[] = [];
  const malformed: string[] = [];
  const log = (fields: object, text: string): void => void logged.push(JSON.stringify({ ...fields, text }));
  const backend = createKantoBackend({
    clock: systemClock,
    log: { debug: log, info: log, warn: log, error: log },
    metrics: {
      command: () => undefined,
      malformed: (_backend, kind) => void malformed.push(kind),
      reconnect: () => undefined,
    },
    fence: { valid: () => fence.held },
    ...(options.observes === true && { observeFence: { valid: () => true } }),
    random: Math.random,
    timings: {
      observeIntervalMs: 500,
      probeTimeoutMs: options.probeTimeoutMs ?? 250,
      reconnectInitialMs: 20,
      reconnectMaxMs: 200,
    },
    processId: `process-${number}`,
  });
  const account = backend.connect(
    {
      kanto: { url: options.url ?? url, tenant: "t1", transport: "Ditto" },
      rateLimit: { requestsPerSecond: 1000, burst: 1000, concurrency: 16 },
      commandTimeoutSeconds: 2,
      createTimeoutSeconds: 3,
      ...options.spec,
    },
    options.credentials ?? { username: "drayage", password: "pa55-word" },
  );
  const notices: ConformanceProcess["notices"] = [];
  account.subscribe(
    () => undefined,
    (notice) => void notices.push(notice),
  );
  const session = account.openDevice({
    backendRef: { name: "backend" },
    kanto: { thingId: options.thingId ?? THING },
  });
  const events: SessionEvent[] = [];
  session.subscribe((event) => void events.push(event));
  return { backend, account, session, fence, events, notices, logged, malformed, kill: () => account.close() };
}
