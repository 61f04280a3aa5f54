// One process of the container-management daemon: identity, connection, dispatch. It is born with what is on disk and in the runtime, and ends
// by a clean stop, a kill or a panic; device.ts starts the next one. Source: things/client/client_internal.go (clientConnectHandler,
// handleThingResponse), containerm/things/things_containers_service_internal.go.

import { sleep } from "../clock.ts";
import type { Random } from "../random.ts";
import type { Creator } from "./books.ts";
import { handleCommand } from "./commands.ts";
import { Panic, ProcessEnded } from "./errors.ts";
import type { CommandEffect, EventRule, Moment, RuleList } from "./faults.ts";
import { isObject } from "./go-json.ts";
import { Manager, type ManagerOptions } from "./manager.ts";
import { Metrics } from "./metrics.ts";
import { Mutex } from "./mutex.ts";
import { MqttClient, type IncomingMessage, type MqttClientOptions } from "./mqtt-client.ts";
import { containerOperations, factoryOperations } from "./operations.ts";
import { SoftwareUpdatable } from "./software-updatable.ts";
import { Thing } from "./thing.ts";
import { thingId, type Envelope } from "./twin.ts";
import type { Container, CreateSpec } from "./types.ts";

export const IDENTITY_REQUEST = "edge/thing/request";
export const IDENTITY_RESPONSE = "edge/thing/response";

/** What a connector says about the device it stands on. */
export interface Identity {
  deviceId: string;
  tenantId: string;
  policyId: string;
}

/** A command as the books of the device keep it; `onCommand` fills in what becomes of it. */
export interface CommandObserver {
  received: (message: IncomingMessage) => void;
  started: (message: IncomingMessage) => void;
  finished: (message: IncomingMessage, status: number | undefined) => void;
  /** The fault that strikes this command, asked once before it is executed. */
  fault: (message: IncomingMessage) => CommandEffect | undefined;
}

export interface DaemonOptions extends Omit<ManagerOptions, "signal" | "emit"> {
  mqtt: Omit<MqttClientOptions, "onConnect" | "onArrival" | "onMessage" | "clientId">;
  random: Random;
  published: Set<string>;
  /** Whether the Metrics feature is enabled. */
  metricsEnabled: boolean;
  commands: CommandObserver;
  eventRules: RuleList<EventRule>;
  /** A connector on the device itself: answers each request, and announcements for other devices are not heard. */
  ownIdentity: { deviceId: string; answer: () => Identity | undefined } | undefined;
  onCreated: (container: Container, by: Creator) => void;
  /** Connected to the broker, again or for the first time. */
  onConnected: () => void;
  /** The process died by itself. */
  onPanic: (error: Error) => void;
  /** A fault rule asks for something that happens to the whole device. */
  onFault: (kind: "crash" | "reboot") => void;
}

export class Daemon {
  readonly manager: Manager;
  readonly #options: DaemonOptions;
  readonly #process = new AbortController();
  readonly #client: MqttClient;
  #identity: Identity | undefined;
  #thing: Thing | undefined;
  #metrics: Metrics | undefined;
  #heard = false;
  /** A reconnection and each announcement wait for the registration that is under way. */
  readonly #identityLock = new Mutex();
  #held: { envelopes: Envelope[]; count: number } | undefined;

  constructor(options: DaemonOptions) {
    this.#options = options;
    this.manager = new Manager({
      ...options,
      signal: this.#process.signal,
      emit: (action, container) => this.#thing?.event({ action, container }),
    });
    this.#client = new MqttClient({
      ...options.mqtt,
      clientId: options.random.uuid(),
      onConnect: () => {
        options.onConnected();
        this.#heard = false;
        this.#onConnect().catch((error: unknown) => this.#failed(error));
      },
      onArrival: (message) => options.commands.received(message),
      onMessage: async (message) => this.#onMessage(message).catch((error: unknown) => this.#failed(error)),
    });
  }

  get client(): MqttClient {
    return this.#client;
  }

  /** The identity it goes by; undefined before the first answer and after each reconnection until the next. */
  get identity(): Identity | undefined {
    return this.#identity;
  }

  /** Subscribed to its commands: what is sent from now on is heard. */
  get commandsHeard(): boolean {
    return this.#client.connected && this.#heard;
  }

  async start(): Promise<void> {
    await this.manager.restore();
    if (!this.#process.signal.aborted) {
      this.#client.start();
    }
  }

  async create(spec: CreateSpec, by: Creator): Promise<Container> {
    const container = await this.manager.create(spec);
    this.#options.onCreated(container, by);
    return container;
  }

  /** Handles no message for so long. */
  stall(ms: number): void {
    this.#client.occupy(async () => {
      await sleep(this.#options.clock, ms, this.#process.signal);
    });
  }

  /** SIGTERM: stops all containers, tells of it, says goodbye. */
  async stop(): Promise<void> {
    await this.manager.stopAll();
    await this.#thing?.idle();
    this.kill(true);
  }

  /** SIGKILL, or a panic: the process is gone from one instruction to the next. */
  kill(graceful = false): void {
    this.#process.abort();
    this.#metrics?.stop();
    this.#thing?.dispose();
    this.#client.end(graceful);
    this.#options.runtime.onExit = undefined;
  }

  /** As an announcement over the broker: takes its turn among the messages. */
  announce(identity: Identity): void {
    if (!this.#client.connected) {
      // It asks again when it has connected.
      return;
    }
    this.#enter(identity).catch((error: unknown) => this.#failed(error));
  }

  async #onConnect(): Promise<void> {
    await this.#identityLock.run(async () => {
      this.#identity = undefined;
      this.#heard = false;
      await this.#client.subscribe(IDENTITY_RESPONSE);
      await this.#client.publish(IDENTITY_REQUEST, JSON.stringify({ topic: "", headers: null, path: "" }));
    });
    const answer = this.#options.ownIdentity?.answer();
    if (answer) {
      await this.#enter(answer);
    }
  }

  async #onMessage(message: IncomingMessage): Promise<void> {
    if (message.topic === IDENTITY_RESPONSE) {
      const identity = parseIdentity(message.payload);
      const own = this.#options.ownIdentity;
      if (identity && (!own || own.deviceId === identity.deviceId)) {
        await this.#enter(identity);
      }
      return;
    }
    await this.#command(message);
  }

  /**
   * The features are published first and the commands subscribed to last, so a command sent at the sight of a feature can come too early and is
   * lost; a new policy alone publishes everything again and keeps the subscription.
   */
  async #enter(identity: Identity): Promise<void> {
    await this.#identityLock.run(async () => this.#enterLocked(identity));
  }

  async #enterLocked(identity: Identity): Promise<void> {
    const before = this.#identity;
    const sameDevice = before?.deviceId === identity.deviceId && before.tenantId === identity.tenantId;
    if (sameDevice && before.policyId === identity.policyId) {
      return;
    }
    if (before && !sameDevice) {
      this.#heard = false;
      await this.#client.unsubscribe(commandTopic(before));
    }
    this.#identity = identity;
    this.#thing?.dispose();
    this.#metrics?.stop();
    const thing = this.#createThing(identity);
    this.#thing = thing;
    await thing.register();
    if (!sameDevice) {
      await this.#client.subscribe(commandTopic(identity));
      this.#heard = true;
    }
  }

  #createThing(identity: Identity): Thing {
    const { random, published, clock, metricsEnabled } = this.#options;
    const thing: Thing = new Thing({
      id: thingId(identity.deviceId),
      publish: async (envelope) => this.#publishEvent(identity, envelope),
      list: () => this.manager.list(),
      published,
      order: (groups) => random.shuffle(groups),
      onError: (error) => this.#failed(error),
      handlers: {
        container: (id) => containerOperations(this.manager, id),
        factory: factoryOperations(this.manager, async (spec) => this.create(spec, "remote")),
        softwareUpdatable: async (operation, value) => software.handle(operation, value),
        metrics: metricsEnabled ? async (operation, value) => metrics.handle(operation, value) : undefined,
      },
    });
    const metrics = new Metrics({
      clock,
      thing: thing.id,
      list: () => this.manager.list(),
      publish: async (envelope) =>
        this.#publishEvent(identity, envelope).catch((error: unknown) => this.#failed(error)),
    });
    const software = new SoftwareUpdatable({
      manager: this.manager,
      random,
      create: async (spec) => this.create(spec, "software"),
      setProperty: async (path, value) =>
        thing.setProperty("SoftwareUpdatable", path, value).catch((error: unknown) => this.#failed(error)),
    });
    this.#metrics = metrics;
    return thing;
  }

  async #command(message: IncomingMessage): Promise<void> {
    const { commands, clock } = this.#options;
    const thing = this.#thing;
    if (!thing) {
      return;
    }
    commands.started(message);
    const effect = commands.fault(message);
    if (effect?.kind === "lose" || this.#strikes(effect, "received")) {
      return;
    }
    if (effect?.kind === "delay") {
      await sleep(clock, effect.ms, this.#process.signal);
    }
    const { answer } = await handleCommand(thing, message.topic, message.payload);
    commands.finished(message, answer?.envelope.status);
    if (this.#strikes(effect, "executed") || !answer || effect?.kind === "loseReply") {
      return;
    }
    const publish = async (): Promise<void> =>
      this.#client
        .publish(answer.topic, JSON.stringify(answer.envelope), true)
        .catch((error: unknown) => this.#failed(error));
    if (effect?.kind === "delayReply") {
      void sleep(clock, effect.ms, this.#process.signal).then(async (over) => (over ? publish() : undefined));
      return;
    }
    await publish();
    if (effect?.kind === "duplicateReply") {
      await publish();
    }
    this.#strikes(effect, "answered");
  }

  /** Returns whether the process, or its connection, is gone now. */
  #strikes(effect: CommandEffect | undefined, moment: Moment): boolean {
    if (!effect || !("when" in effect) || effect.when !== moment) {
      return false;
    }
    if (effect.kind === "disconnect") {
      this.#client.cut();
      // The handler runs on; only its words no longer reach the broker on this connection.
      return false;
    }
    this.#options.onFault(effect.kind);
    return true;
  }

  /** Any event while the identity is unknown after a reconnection dereferences a device that is not there. */
  async #publishEvent(identity: Identity, envelope: Envelope): Promise<void> {
    if (this.#process.signal.aborted) {
      throw new ProcessEnded("daemon ended");
    }
    if (!this.#identity) {
      throw new Panic("nil pointer dereference: event without a device");
    }
    const topic = `e/${identity.tenantId}/${thingId(identity.deviceId)}`;
    const send = async (one: Envelope): Promise<void> => this.#client.publish(topic, JSON.stringify(one));
    const held = this.#held;
    if (held) {
      held.envelopes.push(envelope);
      if (held.envelopes.length >= held.count) {
        this.#held = undefined;
        for (const late of held.envelopes.toReversed()) {
          await send(late);
        }
      }
      return;
    }
    const effect = this.#options.eventRules.take(
      ({ path }) => path === undefined || envelope.path.includes(path),
    )?.effect;
    switch (effect?.kind) {
      case undefined:
        return send(envelope);
      case "drop":
        return undefined;
      case "duplicate":
        await send(envelope);
        return send(envelope);
      case "delay":
        void sleep(this.#options.clock, effect.ms, this.#process.signal)
          .then(async (over) => (over ? send(envelope) : undefined))
          .catch((error: unknown) => this.#failed(error));
        return undefined;
      case "slow":
        await send(envelope);
        await sleep(this.#options.clock, effect.ms, this.#process.signal);
        return undefined;
      case "reorder":
        this.#held = { envelopes: [envelope], count: effect.count };
        return undefined;
      default:
        return effect satisfies never;
    }
  }

  #failed(error: unknown): void {
    if (error instanceof ProcessEnded || this.#process.signal.aborted) {
      return;
    }
    if (error instanceof Panic) {
      this.kill();
      this.#options.onPanic(error);
      return;
    }
    this.#options.mqtt.log?.(`dropped: ${error instanceof Error ? error.message : String(error)}`);
  }
}

const commandTopic = ({ deviceId }: Identity): string => `command//${thingId(deviceId)}/req/#`;

/**
 * What the daemon makes of an announcement: any JSON object is an identity, of an empty device if it says nothing, and so is null; a value of
 * another type than text, or what is no JSON object, is logged and passed over (things/client/client_local_config.go).
 */
function parseIdentity(payload: Buffer): Identity | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(payload.toString("utf8"));
  } catch {
    return undefined;
  }
  if (parsed !== null && !isObject(parsed)) {
    return undefined;
  }
  const { deviceId = "", tenantId = "", policyId = "" } = parsed ?? {};
  return typeof deviceId === "string" && typeof tenantId === "string" && typeof policyId === "string"
    ? { deviceId, tenantId, policyId }
    : undefined;
}
