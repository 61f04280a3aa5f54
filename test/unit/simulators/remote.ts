// The remote side in the simulator's tests: a plain MQTT client that speaks the daemon's protocol by hand, sharing nothing with the simulator or
// with the project's own client, and a stage with broker, device and clock.

import { randomUUID } from "node:crypto";
import { connectAsync, type MqttClient } from "mqtt";
import {
  ManualClock,
  startKantoDevice,
  type KantoDevice,
  type KantoDeviceOptions,
} from "../../../src/simulators/kanto/index.ts";
import { vi } from "vitest";
import { startBroker, type TestBroker } from "../../mqtt/broker.ts";
import { until } from "./replay.ts";

// Generous: it only guards against a hang, on a machine that may be busy with other tests.
vi.setConfig({ testTimeout: 60_000 });

export interface Message {
  topic: string;
  payload: { path?: string; value?: unknown; status?: number; headers?: Record<string, unknown> };
}

export interface Answer {
  status: number;
  value: unknown;
  path: string | undefined;
  headers: Record<string, unknown> | undefined;
}

const THING = "edge:device:edge:containers";

export const sleeper = "reg.test:5000/app/sleeper:1";
export const stubborn = "reg.test:5000/app/stubborn:1";
export const crasher = "reg.test:5000/app/crasher:1";

export class Remote {
  readonly messages: Message[] = [];
  readonly client: MqttClient;

  private constructor(client: MqttClient) {
    this.client = client;
    client.on("message", (topic, payload) => {
      this.messages.push({ topic, payload: JSON.parse(payload.toString()) as Message["payload"] });
    });
  }

  static async connect(url: string): Promise<Remote> {
    const remote = new Remote(await connectAsync(url, { reconnectPeriod: 0 }));
    await remote.client.subscribeAsync(["command//+/res/#", "e/#", "edge/#"], { qos: 1 });
    return remote;
  }

  /** Publishes raw bytes as a command. */
  async raw(requestId: string, payload: string, subject = "x"): Promise<void> {
    await this.client.publishAsync(`command//${THING}/req/${requestId}/${subject}`, payload, { qos: 1 });
  }

  /** Publishes a request in proper form and returns its id; `overrides` replaces parts of the envelope. */
  async send(
    feature: string,
    operation: string,
    value: unknown = {},
    overrides: Record<string, unknown> = {},
  ): Promise<string> {
    const id = randomUUID();
    const envelope = {
      topic: `edge/device:edge:containers/things/live/messages/${operation}`,
      headers: { "response-required": true, "content-type": "application/json", "correlation-id": id },
      path: `/features/${feature}/inbox/messages/${operation}`,
      value,
      ...overrides,
    };
    await this.raw(id, JSON.stringify(envelope), operation);
    return id;
  }

  /** The answer to a request; undefined while there is none. */
  answer(id: string): Answer | undefined {
    const message = this.answers(id)[0];
    return (
      message && {
        status: message.payload.status ?? 0,
        value: message.payload.value,
        path: message.payload.path,
        headers: message.payload.headers,
      }
    );
  }

  answers(id: string): Message[] {
    return this.messages.filter(({ topic }) => topic.includes(`/res/${id}/`));
  }

  /** Sends a request and waits, in real time, for its answer. */
  async request(
    feature: string,
    operation: string,
    value: unknown = {},
    overrides: Record<string, unknown> = {},
  ): Promise<Answer> {
    const id = await this.send(feature, operation, value, overrides);
    await until(() => this.answer(id) !== undefined, `answer to ${operation}`);
    return this.answer(id) as Answer;
  }

  /** Creates a container, waits for its feature to be registered and returns its id. */
  async create(name: string, imageRef: string, config: Record<string, unknown> = {}): Promise<string> {
    const { status, value } = await this.request("ContainerFactory", "createWithConfig", { imageRef, name, config });
    if (status !== 200) {
      throw new Error(`create: ${JSON.stringify(value)}`);
    }
    await until(
      () => this.events(`/features/Container:${String(value)}/properties/status/state`).length > 0,
      "the feature",
    );
    return String(value);
  }

  /** Values of the twin events with this path, oldest first. */
  events(path: string): unknown[] {
    return this.messages
      .filter((message) => message.topic.startsWith("e/") && message.payload.path === path)
      .map(({ payload }) => payload.value);
  }

  /** Last state of a container that the twin was told. */
  state(id: string): Record<string, unknown> {
    return (this.events(`/features/Container:${id}/properties/status/state`).at(-1) ?? {}) as Record<string, unknown>;
  }

  /** Paths of all twin events so far. */
  paths(): string[] {
    return this.messages.filter(({ topic }) => topic.startsWith("e/")).map(({ payload }) => payload.path ?? "");
  }
}

export interface Stage extends AsyncDisposable {
  broker: TestBroker;
  device: KantoDevice;
  clock: ManualClock;
  remote: Remote;
  /** Moves the device's time on in small steps until the condition holds. */
  advanceUntil: (condition: () => boolean, what: string) => Promise<void>;
}

/** A broker, a device that knows who it is and hears commands, and a remote client. `startMs` is 0 so that only what a test is about takes time. */
export async function stage(options: Partial<KantoDeviceOptions> = {}): Promise<Stage> {
  const broker = await startBroker();
  const clock = new ManualClock();
  const remote = await Remote.connect(broker.url);
  const device = await startKantoDevice({
    brokerUrl: broker.url,
    deviceId: "edge:device",
    clock,
    answerIdentity: true,
    startMs: 0,
    reconnectMs: 10,
    restartDelayMs: 1000,
    ...options,
  });
  await until(() => device.commandsHeard, "the device hears commands");
  return {
    broker,
    device,
    clock,
    remote,
    advanceUntil: async (condition, what) => {
      await until(() => {
        void clock.advance(50);
        return condition();
      }, what);
    },
    [Symbol.asyncDispose]: async () => {
      await device.stop();
      await remote.client.endAsync(true);
      await broker.close();
    },
  };
}
