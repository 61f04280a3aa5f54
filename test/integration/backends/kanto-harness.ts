/**
 * The conformance suite's world for Kanto: a real broker, the MQTT fault proxy before it, and a simulated device; with transport Connector the
 * device has a broker of its own, and a simulated suite-connector carries its messages to the first one, the cloud's.
 */
import { connectAsync } from "mqtt";
import type { BackendClock, BackendTimings, SessionEvent } from "../../../src/backends/contract.ts";
import type { EdgeBackendSpec } from "../../../src/crds/edge-backend.ts";
import { createKantoBackend } from "../../../src/backends/kanto/index.ts";
import { systemClock } from "../../../src/kube/clock.ts";
import {
  startKantoDevice,
  startSuiteConnector,
  type ContainerTruth,
  type KantoDevice,
  type KantoDeviceOptions,
  type ReceivedCommand,
  type SuiteConnector,
  type SuiteConnectorOptions,
} from "../../../src/simulators/kanto/index.ts";
import {
  until,
  type ConformanceProcess,
  type ConformanceWorld,
  type VendorContainer,
} from "../../conformance/harness.ts";
import { startMqttFaultProxy, type MqttFaultProxy, type PacketRuleHandle } from "../../faults/mqtt-proxy.ts";

/** A broker, whoever made it. */
export interface Broker {
  readonly port: number;
  close(): Promise<void>;
}

export interface KantoWorldOptions {
  mqttVersion?: "3.1.1" | "5";
  topicPrefix?: string;
  backend?: Partial<EdgeBackendSpec>;
  device?: Partial<KantoDeviceOptions>;
  /** Our processes' time. Default the machine's. */
  clock?: BackendClock;
  timings?: BackendTimings;
  /** Transport Connector: the device's own broker, closed with the world. */
  deviceBroker?: Broker;
  /** Further settings of the simulated connector. */
  connector?: Partial<SuiteConnectorOptions>;
  /** spec.kanto.connector beside the prefixes. */
  statusTopic?: string;
}

const SLOW_MS = 600;
/** The device's MQTT client waits 30 s for an acknowledgement that a broken connection swallowed: its time passes faster. */
const HURRY = 10;
const HURRIED: typeof systemClock = {
  now: () => systemClock.now(),
  monotonic: () => systemClock.monotonic() * HURRY,
  setTimeout: (callback, delayMs) => systemClock.setTimeout(callback, delayMs / HURRY),
  clearTimeout: (timer) => systemClock.clearTimeout(timer),
};
const THING = "edge:device:edge:containers";
/** Topics of creates. */
export const CREATE = /\/req\/[^/]+\/createWithConfig$/;
/** Operations that change something. */
export const MUTATING = new Set([
  "createWithConfig",
  "start",
  "stopWithOptions",
  "pause",
  "resume",
  "rename",
  "update",
  "remove",
]);

export interface KantoWorld extends ConformanceWorld {
  readonly device: KantoDevice;
  readonly proxy: MqttFaultProxy;
  /** With transport Connector. */
  readonly connector: SuiteConnector | undefined;
  containers(): VendorContainer[];
  everCreated(): VendorContainer[];
}

/** Prefixes of the world's connector: the one without, the other with a slash at its end. */
const PREFIXES = { responsePrefix: "up/res", eventPrefix: "up/ev/" };

/** Starts a world; the broker is closed with it. */
export async function startKantoWorld(broker: Broker, options: KantoWorldOptions = {}): Promise<KantoWorld> {
  const proxy = await startMqttFaultProxy({ upstreamPort: broker.port });
  const { deviceBroker } = options;
  const connector =
    deviceBroker === undefined
      ? undefined
      : await startSuiteConnector({
          local: { url: `mqtt://127.0.0.1:${deviceBroker.port}` },
          cloud: { url: `mqtt://127.0.0.1:${broker.port}` },
          deviceId: "edge:device",
          reconnectMs: 50,
          responsePrefix: PREFIXES.responsePrefix,
          eventsPrefix: PREFIXES.eventPrefix.slice(0, -1),
          ...options.connector,
        });
  const device = await startKantoDevice({
    brokerUrl: `mqtt://127.0.0.1:${(deviceBroker ?? broker).port}`,
    deviceId: "edge:device",
    startMs: 5,
    restartDelayMs: 200,
    reconnectMs: 100 * HURRY,
    networkClock: HURRIED,
    images: {
      "registry.example/test/slow": { pullMs: SLOW_MS, onSignal: 0 },
      "registry.example/test/crasher": { runMs: 50, exitCode: 3 },
    },
    ...options.device,
  });
  const processes = new Set<ConformanceProcess>();
  const command = (effect: Parameters<KantoDevice["faults"]["command"]>[0]["effect"]) =>
    device.faults.command({ operation: "createWithConfig", effect });
  const rules: PacketRuleHandle[] = [];
  const beforeCreate = (fault: "cut-before" | "cut-before-ack"): void => {
    rules.push(proxy.on({ match: { direction: "toBroker", type: "PUBLISH", topic: CREATE }, fault }));
  };
  /** Answers that reached our side for a command. */
  const answers = ({ requestId }: ReceivedCommand): number =>
    proxy.packets({ direction: "toClient", type: "PUBLISH", topic: `/res/${requestId}/` }).length;
  let count = 0;

  return {
    device,
    proxy,
    connector,
    slowMs: SLOW_MS,
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
    start: async (fence = { held: true }) => {
      count += 1;
      const started = startProcess(`mqtt://127.0.0.1:${proxy.port}`, count, fence, options);
      processes.add(started);
      if (connector !== undefined) {
        // Nothing else makes a device behind a connector tell everything: it has to register while somebody listens.
        await until(() => started.session.snapshot().connection === "Connected", "the device's first word");
        const before = device.connections;
        if (device.daemonRunning) device.faults.disconnect();
        await until(() => device.connections > before && device.commandsHeard, "the device's registration");
      }
      return started;
    },
    human: {
      create: (name) => device.human.create({ name, image: "registry.example/test/sleeper:1" }),
      remove: (externalId) => device.human.remove(externalId, true),
    },
    faults: {
      loseReply: () => command({ kind: "loseReply" }),
      duplicateReply: () => command({ kind: "duplicateReply" }),
      loseCommand: () => command({ kind: "lose" }),
      cutBeforeAcknowledgement: () => beforeCreate("cut-before-ack"),
      cutBeforeArrival: () => beforeCreate("cut-before"),
      cut: () => proxy.cutAll(),
      reboot: () => device.faults.reboot(),
      disconnectDevice: () => {
        if (device.daemonRunning) device.faults.disconnect();
      },
      offline: () => device.faults.offline(),
      online: () => device.faults.online(),
      holdPort: (port) => device.faults.holdPort({ port, proto: "tcp" }),
      malformed: async () => {
        const stranger = await connectAsync(`mqtt://127.0.0.1:${broker.port}`);
        for (const [topic, payload] of garbage(connector !== undefined))
          await stranger.publishAsync(topic, payload, { qos: 1 });
        await stranger.endAsync();
      },
    },
    struck: () =>
      rules.reduce((sum, rule) => sum + rule.hits, 0) +
      // A second answer ends at the connector.
      (connector?.counts.filtered ?? 0) +
      device
        .commands()
        .filter((each) => each.operation === "createWithConfig" && (each.progress === "lost" || answers(each) !== 1))
        .length,
    inventoriesForced: () =>
      proxy.packets({ direction: "toBroker", type: "PUBLISH", topic: /^edge\/thing\/response$/ }).length,
    close: async () => {
      const topics = proxy
        .packets({ direction: "toBroker", type: "PUBLISH", topic: /\/req\// })
        .map(({ topic }) => topic);
      await Promise.all([...processes].map((each) => each.kill()));
      await device.stop();
      await connector?.stop();
      await proxy.close();
      await broker.close();
      await deviceBroker?.close();
      // Request ids are fresh for each send: a topic that comes twice is a message that was sent again.
      if (new Set(topics).size !== topics.length) throw new Error("a command was written to the wire twice");
      // The daemon also dies of an event of its own between a reconnection and the answer to its request for an identity.
      const fatal = device.panics.filter((why) => !why.includes("event without a device"));
      if (fatal.length > 0) throw new Error(`the daemon died of what it was sent: ${fatal.join("; ")}`);
    },
  };
}

function toVendor(truth: ContainerTruth): VendorContainer {
  const { id, name, state, exists, processStarts } = truth;
  return { externalId: id, name, running: state["status"] === "RUNNING", exists, starts: processStarts };
}

/** Everything that can be wrong with a message on the topics that we read. */
export function garbage(throughConnector = false): [string, string][] {
  const cloud = "t1/edge:device/edge:containers";
  const event = throughConnector ? `${PREFIXES.eventPrefix}event/${cloud}` : `e/t1/${THING}`;
  const answer = throughConnector ? `${PREFIXES.responsePrefix}/command/${cloud}/res` : `command//${THING}/res`;
  const modify = "edge/device:edge:containers/things/twin/commands/modify";
  const path = "/features/Container:x";
  return [
    [event, ""],
    [event, "{"],
    [event, "null"],
    [event, "[1,2]"],
    [event, JSON.stringify({ topic: modify, path: 5, value: {} })],
    [event, JSON.stringify({ topic: modify, path, value: "text" })],
    [event, JSON.stringify({ topic: modify, path, value: { properties: { status: { name: 5 } } } })],
    [event, JSON.stringify({ topic: modify, path: `${path}/properties/status/state`, value: [] })],
    [`${answer}/somebody/204`, "{"],
    [`${answer}/somebody/not-a-status`, "{}"],
    [`${answer}/a/b/c`, "{}"],
    ["edge/thing/response", "garbage"],
    ["edge/thing/response", "{}"],
  ];
}

/** Starts one process of ours against a broker, with times fit for a test. */
export function startProcess(
  url: string,
  number: number,
  fence: { held: boolean },
  options: KantoWorldOptions,
): ConformanceProcess {
  const logged: string[] = [];
  const malformed: string[] = [];
  const log = (fields: object, text: string): void => void logged.push(JSON.stringify({ ...fields, text }));
  const backend = createKantoBackend({
    clock: options.clock ?? systemClock,
    log: { debug: log, info: log, warn: log, error: log },
    metrics: {
      command: () => undefined,
      malformed: (_backend, kind) => void malformed.push(kind),
      reconnect: () => undefined,
    },
    fence: { valid: () => fence.held },
    random: Math.random,
    timings: options.timings ?? {
      observeIntervalMs: 500,
      probeTimeoutMs: 250,
      reconnectInitialMs: 20,
      reconnectMaxMs: 200,
    },
    processId: `process-${number}`,
  });
  const account = backend.connect(
    {
      kanto: {
        url,
        tenant: "t1",
        ...(options.mqttVersion !== undefined && { mqttVersion: options.mqttVersion }),
        ...(options.deviceBroker !== undefined && {
          transport: "Connector",
          connector: { ...PREFIXES, ...(options.statusTopic !== undefined && { statusTopic: options.statusTopic }) },
        }),
      },
      commandTimeoutSeconds: 2,
      createTimeoutSeconds: 3,
      ...options.backend,
    },
    {},
  );
  const notices: ConformanceProcess["notices"] = [];
  account.subscribe(
    () => undefined,
    (notice) => void notices.push(notice),
  );
  const session = account.openDevice({ backendRef: { name: "backend" }, kanto: { thingId: THING } });
  const events: SessionEvent[] = [];
  session.subscribe((event) => void events.push(event));
  return { backend, account, session, fence, events, notices, logged, malformed, kill: () => account.close() };
}
