// Replays a recording of a real daemon against the simulated device, over a real broker, on a clock that runs with the recording: every
// request goes out at its recorded time, every recorded message must have arrived by its recorded time. What comes back is then compared in
// full, message by message, after replacing only what no two runs share (see `normalize`).

import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { connectAsync, type MqttClient } from "mqtt";
import {
  ManualClock,
  startConnector,
  startKantoDevice,
  type KantoDevice,
  type KantoDeviceOptions,
} from "../../../src/simulators/kanto/index.ts";
import { vi } from "vitest";
import { startBroker, type TestBroker } from "../../mqtt/broker.ts";

// Generous: it only guards against a hang, on a machine that may be busy with other tests.
vi.setConfig({ testTimeout: 60_000 });

/** One line of a recording. */
export interface Line {
  ms: number;
  topic: string;
  qos: number;
  retain: boolean;
  payload: Record<string, unknown>;
}

export function readTrace(name: string): Line[] {
  const file = new URL(`../../fixtures/kanto-traces/${name}.jsonl`, import.meta.url);
  return readFileSync(file, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Line);
}

export interface Scenario {
  broker: TestBroker;
  device: KantoDevice;
  clock: ManualClock;
}

export interface ReplayOptions {
  device?: Partial<KantoDeviceOptions>;
  /** Makes the containers that were there before the recording began; their names in the recording are matched. */
  before?: (scenario: Scenario) => Promise<void>;
  /** Things done to the device by hand, at ms of the recording. */
  actions?: { ms: number; run: (scenario: Scenario) => void | Promise<void> }[];
}

/** What the recording has, and what the simulator gave, by stream; equal when the exam is passed. */
export interface ReplayResult {
  recorded: Streams;
  replayed: Streams;
}

export async function replay(lines: readonly Line[], options: ReplayOptions = {}): Promise<ReplayResult> {
  const broker = await startBroker();
  const clock = new ManualClock();
  const received: Line[] = [];
  const device = await startKantoDevice({
    brokerUrl: broker.url,
    deviceId: "edge:device",
    clock,
    defaultStopTimeoutS: 5,
    reconnectMs: 20,
    ...options.device,
  });
  const connector = await startConnector({ brokerUrl: broker.url, deviceId: "edge:device" });
  await connector.announce();
  let client: MqttClient | undefined;
  try {
    await until(() => device.commandsHeard, "the device hears commands");
    const scenario = { broker, device, clock };
    await options.before?.(scenario);
    client = await connectAsync(broker.url, { reconnectPeriod: 0 });
    client.on("message", (topic, payload, { qos, retain }) => {
      received.push({
        ms: clock.monotonic(),
        topic,
        qos,
        retain,
        payload: JSON.parse(payload.toString()) as Line["payload"],
      });
    });
    await client.subscribeAsync("#", { qos: 1 });
    await play(lines, { ...scenario, client, received, actions: [...(options.actions ?? [])] });
    return { recorded: streams(lines), replayed: streams(received) };
  } finally {
    await client?.endAsync(true);
    connector.stop();
    await device.stop();
    await broker.close();
  }
}

interface Stage extends Scenario {
  client: MqttClient;
  received: Line[];
  actions: NonNullable<ReplayOptions["actions"]>;
}

async function play(lines: readonly Line[], stage: Stage): Promise<void> {
  const { device, clock, client, received, actions } = stage;
  const startMs = clock.monotonic();
  // Ids of the recording -> ids of the simulator.
  const ids = new Map<string, string>();
  for (const [index, line] of lines.entries()) {
    while (actions[0] && actions[0].ms <= line.ms) {
      const action = actions.shift();
      await clock.advance(Math.max(0, startMs + (action?.ms ?? 0) - clock.monotonic()));
      await action?.run(stage);
    }
    await clock.advance(Math.max(0, startMs + line.ms - clock.monotonic()));
    if (isRequest(line)) {
      matchIds(lines.slice(0, index), received, ids);
      await client.publishAsync(substitute(line.topic, ids), substitute(JSON.stringify(line.payload), ids), { qos: 1 });
    }
    await until(() => received.length > index, `message ${index + 1} of the recording (${line.topic})`);
  }
  // Whatever the simulator says too much has passed the broker when a last, unknown operation is answered, twice.
  for (const id of ["barrier-1", "barrier-2"]) {
    const payload = {
      topic: "edge/device:edge:containers/things/live/messages/barrier",
      headers: { "response-required": true, "correlation-id": id },
      path: "/features/ContainerFactory/inbox/messages/barrier",
    };
    await until(() => device.commandsHeard, "the device hears commands");
    await client.publishAsync(`command//edge:device:edge:containers/req/${id}/barrier`, JSON.stringify(payload), {
      qos: 1,
    });
    await until(() => received.some(({ topic }) => topic.endsWith(`/res/${id}/404`)), `answer to ${id}`);
  }
  const extra = received.filter(({ topic }) => !topic.includes("barrier-"));
  received.splice(0, received.length, ...extra);
}

const isRequest = ({ topic, payload }: Line): boolean =>
  topic.includes("/req/") || (topic === "edge/thing/response" && payload["policyId"] !== "edge:policy");

/** The n-th container that the recording shows is the n-th that the simulator shows. */
function matchIds(recorded: readonly Line[], received: readonly Line[], ids: Map<string, string>): void {
  const theirs = createdIds(received);
  for (const [index, id] of createdIds(recorded).entries()) {
    const match = theirs[index];
    if (match !== undefined) {
      ids.set(id, match);
    }
  }
}

function createdIds(lines: readonly Line[]): string[] {
  return lines.flatMap(({ payload: { path, value } }) => {
    const id = /^\/features\/Container:([^/]+)$/.exec(String(path))?.[1];
    return id === undefined || value === undefined ? [] : [id];
  });
}

function substitute(text: string, ids: ReadonlyMap<string, string>): string {
  let result = text;
  for (const [from, to] of ids) {
    result = result.replaceAll(from, to);
  }
  return result;
}

/** Messages in order, by what orders them: a feature's own events, answers, identity. Answers and events of different features race. */
export type Streams = Record<string, unknown[]>;

export function streams(lines: readonly Line[]): Streams {
  const names = containerNames(lines);
  const result: Streams = {};
  for (const line of lines) {
    const key = streamOf(line);
    const named = JSON.parse(substitute(JSON.stringify({ ...line, ms: 0 }), names)) as Line;
    (result[substitute(key, names)] ??= []).push(named);
  }
  return Object.fromEntries(Object.entries(result).map(([key, messages]) => [key, normalize(messages)]));
}

function streamOf({ topic, payload }: Line): string {
  if (topic.startsWith("e/")) {
    return /^\/features\/([^/]+)/.exec(String(payload["path"]))?.[1] ?? "other events";
  }
  return topic.includes("/res/") ? "answers" : topic.includes("/req/") ? "requests" : "identity";
}

/** id -> `<name #n>`, n counting containers of one name in the order of their creation. An id that is its own name counts as nameless. */
function containerNames(lines: readonly Line[]): Map<string, string> {
  const counts = new Map<string, number>();
  const names = new Map<string, string>();
  const see = (id: string, name: string): void => {
    if (!names.has(id)) {
      const count = (counts.get(name) ?? 0) + 1;
      counts.set(name, count);
      names.set(id, `<${name === id ? "nameless" : name} #${count}>`);
    }
  };
  for (const { payload } of lines) {
    const id = /^\/features\/Container:([^/]+)$/.exec(String(payload["path"]))?.[1];
    const value = payload["value"] as { properties?: { status?: { name?: string } } } | undefined;
    if (id !== undefined && value?.properties?.status?.name !== undefined) {
      see(id, value.properties.status.name);
    }
  }
  return names;
}

const TIME_KEYS = new Set(["createdAt", "startedAt", "finishedAt"]);
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/;

/**
 * Replaces what differs from run to run, and no more: times that have the daemon's form, and pids of running processes, each by a number in the
 * order of their first appearance in the stream, so that equal values stay equal and different ones different; the address of the resolver in a
 * failed lookup; generated policy ids.
 */
function normalize(messages: readonly unknown[]): unknown[] {
  const seen = new Map<string, string>();
  const number = (kind: string, value: string): string => {
    const key = `${kind} ${value}`;
    if (!seen.has(key)) {
      seen.set(key, `<${kind} ${[...seen.keys()].filter((other) => other.startsWith(`${kind} `)).length + 1}>`);
    }
    return seen.get(key) ?? "";
  };
  const visit = (value: unknown, key: string): unknown => {
    if (typeof value === "string") {
      if (TIME_KEYS.has(key) && TIME.test(value)) {
        return number("time", value);
      }
      return value.replace(/ on [\d.]+:53: no such host/, " on <resolver>: no such host");
    }
    if (typeof value === "number" && key === "pid" && value > 0) {
      return number("pid", String(value));
    }
    if (Array.isArray(value)) {
      return value.map((item) => visit(item, ""));
    }
    if (typeof value === "object" && value !== null) {
      return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, visit(item, name)]));
    }
    return value;
  };
  return messages.map((message) => visit(message, ""));
}

/** Waits for a condition that real sockets bring about; the deadline only guards against a hang. */
export async function until(condition: () => boolean, what: string, deadlineMs = 30_000): Promise<void> {
  for (const end = Date.now() + deadlineMs; !condition();) {
    if (Date.now() > end) {
      throw new Error(`waited ${deadlineMs} ms for: ${what}`);
    }
    await delay(2);
  }
}
