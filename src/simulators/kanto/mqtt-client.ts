// The daemon's MQTT client: paho.mqtt.golang 1.4 as its users meet it, on MQTT 3.1.1 with a clean session. mqtt.js cannot stand in for it:
// it reads one packet at a time, while paho goes on reading acknowledgements and pings during a long handler until a third message waits, and
// only then stops. What is reproduced: handlers one by one, PUBACK after the handler; an overfull reader that loses its connection by
// its own keepalive; no reconnection before all handlers are done; publishes kept in a store and sent again after a reconnection.
// Source: paho's router.go (matchAndDispatch), net.go, client.go (reconnect, resume), and measurements of the real daemon.

import type { Socket } from "node:net";
import { generate, parser as createParser, type IConnackPacket, type IPublishPacket, type Packet } from "mqtt-packet";
import { sleep, type Clock, type Timer } from "../clock.ts";
import { KEEPALIVE_S, openSocket, type ConnectionOptions } from "./mqtt-socket.ts";

export interface IncomingMessage {
  topic: string;
  payload: Buffer;
}

export interface MqttClientOptions extends ConnectionOptions {
  /** Time on the network: keepalive, acknowledgement, reconnection. */
  clock: Clock;
  /** First delay before a reconnection, doubling up to `maxReconnectMs`. Default 1000, as paho's. */
  reconnectMs?: number;
  /** Default 10000 (paho: ten minutes). */
  maxReconnectMs?: number;
  /** Put before every topic on the wire and taken off what arrives, as a bridge between two brokers does. Default none. */
  topicPrefix?: string;
  /** After each CONNACK; runs beside the handlers. */
  onConnect: () => void;
  /** A message came in and waits for its turn. */
  onArrival?: (message: IncomingMessage) => void;
  /** One message at a time; its PUBACK goes out when the promise settles. Must not reject. */
  onMessage: (message: IncomingMessage) => Promise<void>;
  log?: (message: string) => void;
}

interface Outgoing {
  id: number;
  topic: string;
  payload: string;
  acknowledged: () => void;
}

/**
 * One being handled, two waiting in paho's channels, and one in the hands of the reader, which reads nothing more until it is rid of it: no
 * acknowledgement and no ping either. Measured: behind a create of two seconds two requests are answered at once, and three cost 15 s,
 * the daemon's limit for the acknowledgement of the create's answer; four cost 30 s.
 */
const READ_AHEAD = 4;
const PING_TIMEOUT_MS = 10_000;
const ACKNOWLEDGE_TIMEOUT_MS = 15_000;
const BLOCKED_PUBLISH_MS = 30_000;
const CONNECT_TIMEOUT_MS = 30_000;

export class MqttClient {
  readonly #options: MqttClientOptions;
  readonly #prefix: string;
  readonly #end = new AbortController();
  /** Unacknowledged publishes, in order; survives the connection. */
  readonly #store = new Map<number, Outgoing>();
  readonly #subscriptions = new Map<number, (error?: Error) => void>();
  readonly #inbox: { handle: () => Promise<void>; acknowledge: () => void }[] = [];
  #packets: Packet[] = [];
  #socket: Socket | undefined;
  #connected = false;
  #handling = false;
  /** The connection was lost while a handler ran: until the handlers are done nothing can be sent and no connection is made. */
  #draining = false;
  /** The handler that ran when the connection was lost; its response is the one that never arrives. */
  #interrupted = false;
  #network: "up" | "down" | "silent" = "up";
  #lastId = 0;
  #pingTimer: Timer | undefined;
  #pongTimer: Timer | undefined;

  /** @throws TypeError when the URL is none */
  constructor(options: MqttClientOptions) {
    new URL(options.url);
    this.#options = options;
    this.#prefix = options.topicPrefix ?? "";
  }

  get connected(): boolean {
    return this.#connected;
  }

  /** Messages that wait behind the one being handled. */
  get waiting(): number {
    return this.#inbox.length;
  }

  /** Connects, and again after each loss, until `end`. */
  start(): void {
    void this.#connectionLoop();
  }

  /**
   * Ends the client. Graceful sends DISCONNECT first; else the connection just breaks, as when the process dies. Nothing is handled or sent
   * afterwards.
   */
  end(graceful: boolean): void {
    this.#end.abort();
    this.#inbox.length = 0;
    const socket = this.#socket;
    if (graceful && this.#connected && socket && this.#network === "up") {
      socket.end(generate({ cmd: "disconnect" }));
    } else {
      socket?.destroy();
    }
    this.#lost();
  }

  /** Breaks the connection without a farewell; reconnection follows by its own rules. */
  cut(): void {
    this.#socket?.destroy();
  }

  /** The network under the client. `silent`: the connection looks alive and nothing passes. Back to `up` from there breaks it. */
  setNetwork(network: "up" | "down" | "silent"): void {
    const before = this.#network;
    this.#network = network;
    if (network === "down" || (network === "up" && before === "silent")) {
      this.#socket?.destroy();
    }
  }

  /** Keeps the one handler busy with `work`, after what already waits, as a message that takes long would. */
  occupy(work: () => Promise<void>): void {
    this.#inbox.push({ handle: work, acknowledge: () => undefined });
    void this.#handleInbox();
  }

  /** Resolves with the SUBACK. @throws Error after 15 s without one, or when the connection is lost */
  async subscribe(topic: string): Promise<void> {
    const id = this.#nextId();
    return this.#acknowledged(id, () =>
      this.#send({ cmd: "subscribe", messageId: id, subscriptions: [{ topic: this.#prefix + topic, qos: 1 }] }),
    );
  }

  async unsubscribe(topic: string): Promise<void> {
    const id = this.#nextId();
    return this.#acknowledged(id, () =>
      this.#send({ cmd: "unsubscribe", messageId: id, unsubscriptions: [this.#prefix + topic] }),
    );
  }

  /**
   * Publishes with QoS 1, not retained, and waits for the PUBACK.
   * @param fromHandler the publisher is a message handler, so its message is lost if the connection broke under that handler
   * @throws Error after 15 s without a PUBACK (the message stays in the store and goes out after a reconnection), or 30 s while nothing can be sent
   */
  async publish(topic: string, payload: string, fromHandler = false): Promise<void> {
    const id = this.#nextId();
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const outgoing: Outgoing = { id, topic, payload, acknowledged: () => resolve(true) };
    this.#store.set(id, outgoing);
    if (this.#draining) {
      if (fromHandler && this.#interrupted) {
        this.#store.delete(id);
      }
      await sleep(this.#options.clock, BLOCKED_PUBLISH_MS, this.#end.signal);
      throw new Error("publish was broken by timeout");
    }
    this.#sendPublish(outgoing, false);
    const timer = this.#options.clock.setTimeout(() => resolve(false), ACKNOWLEDGE_TIMEOUT_MS);
    const onEnd = (): void => resolve(false);
    this.#end.signal.addEventListener("abort", onEnd, { once: true });
    try {
      if (!(await promise)) {
        throw new Error("publish timeout");
      }
    } finally {
      this.#options.clock.clearTimeout(timer);
      this.#end.signal.removeEventListener("abort", onEnd);
    }
  }

  async #connectionLoop(): Promise<void> {
    const { clock, reconnectMs = 1000, maxReconnectMs = 10_000 } = this.#options;
    let delayMs = reconnectMs;
    while (!this.#end.signal.aborted) {
      const lost = await this.#connect();
      if (lost) {
        delayMs = reconnectMs;
        await lost.promise;
      }
      await this.#drained();
      await sleep(clock, delayMs, this.#end.signal);
      delayMs = Math.min(delayMs * 2, maxReconnectMs);
    }
  }

  /** One attempt. Resolves, boxed, with the promise of its loss, or with undefined when it failed. */
  async #connect(): Promise<{ promise: Promise<void> } | undefined> {
    const { log, onConnect } = this.#options;
    if (this.#network !== "up") {
      return undefined;
    }
    let socket: Socket;
    try {
      socket = openSocket(this.#options);
    } catch (error) {
      // A key or certificate that cannot be read. The daemon, too, goes on trying.
      log?.(`connection: ${error instanceof Error ? error.message : String(error)}`);
      return undefined;
    }
    this.#socket = socket;
    this.#packets = [];
    const lost = Promise.withResolvers<void>();
    const accepted = Promise.withResolvers<boolean>();
    socket.on("error", (error) => log?.(`connection: ${error.message}`));
    socket.once("close", () => {
      accepted.resolve(false);
      this.#lost();
      lost.resolve();
    });
    this.#read(socket, (connack) => accepted.resolve(connack.returnCode === 0));
    const timer = this.#options.clock.setTimeout(() => socket.destroy(), CONNECT_TIMEOUT_MS);
    try {
      if (!(await accepted.promise)) {
        socket.destroy();
        return undefined;
      }
    } finally {
      this.#options.clock.clearTimeout(timer);
    }
    log?.("connected");
    for (const outgoing of this.#store.values()) {
      this.#sendPublish(outgoing, true);
    }
    this.#schedulePing();
    onConnect();
    return { promise: lost.promise };
  }

  #read(socket: Socket, onConnack: (packet: IConnackPacket) => void): void {
    const parser = createParser();
    parser.on("packet", (packet) => {
      if (packet.cmd === "connack") {
        this.#connected = packet.returnCode === 0;
        onConnack(packet);
      } else {
        this.#packets.push(packet);
      }
    });
    parser.on("error", (error: unknown) => socket.destroy(error instanceof Error ? error : undefined));
    socket.on("data", (chunk: Buffer) => {
      if (this.#network === "silent") {
        return;
      }
      parser.parse(chunk);
      this.#takePackets();
    });
  }

  /** Works through what was read, up to the message that fills the channels. */
  #takePackets(): void {
    while (this.#packets.length > 0) {
      const full = this.#inbox.length + (this.#handling ? 1 : 0) >= READ_AHEAD;
      const packet = this.#packets[0];
      if (!packet || full) {
        this.#socket?.pause();
        return;
      }
      this.#packets.shift();
      this.#take(packet);
    }
    this.#socket?.resume();
  }

  #take(packet: Packet): void {
    switch (packet.cmd) {
      case "publish":
        if (this.#socket) {
          const message = { topic: packet.topic.slice(this.#prefix.length), payload: Buffer.from(packet.payload) };
          this.#enqueue(message, packet, this.#socket);
          this.#options.onArrival?.(message);
          void this.#handleInbox();
        }
        break;
      case "puback": {
        const outgoing = this.#store.get(packet.messageId ?? 0);
        this.#store.delete(packet.messageId ?? 0);
        outgoing?.acknowledged();
        break;
      }
      case "suback":
      case "unsuback":
        this.#subscriptions.get(packet.messageId ?? 0)?.();
        break;
      case "pingresp":
        this.#options.clock.clearTimeout(this.#pongTimer);
        break;
      default:
        this.#options.log?.(`unexpected packet ${packet.cmd}`);
    }
  }

  #enqueue(message: IncomingMessage, { qos, messageId }: IPublishPacket, socket: Socket): void {
    this.#inbox.push({
      handle: async () => this.#options.onMessage(message),
      acknowledge: () => {
        if (qos > 0 && messageId !== undefined && socket === this.#socket) {
          this.#send({ cmd: "puback", messageId });
        }
      },
    });
  }

  async #handleInbox(): Promise<void> {
    if (this.#handling) {
      return;
    }
    this.#handling = true;
    for (let next = this.#inbox.shift(); next; next = this.#inbox.shift()) {
      await next.handle();
      this.#interrupted = false;
      next.acknowledge();
      this.#takePackets();
    }
    this.#handling = false;
    this.#draining = false;
    this.#onDrained?.();
  }

  #onDrained: (() => void) | undefined;

  async #drained(): Promise<void> {
    if (this.#draining && !this.#end.signal.aborted) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#onDrained = resolve;
      this.#end.signal.addEventListener("abort", () => resolve(), { once: true });
      await promise;
      this.#onDrained = undefined;
    }
  }

  #lost(): void {
    const { clock } = this.#options;
    clock.clearTimeout(this.#pingTimer);
    clock.clearTimeout(this.#pongTimer);
    this.#packets = [];
    this.#socket = undefined;
    if (this.#connected) {
      this.#connected = false;
      this.#draining = this.#handling;
      this.#interrupted = this.#handling;
      this.#options.log?.("connection lost");
    }
    for (const settle of this.#subscriptions.values()) {
      settle(new Error("connection lost"));
    }
    this.#subscriptions.clear();
  }

  #schedulePing(): void {
    const { clock, keepaliveS = KEEPALIVE_S } = this.#options;
    this.#pingTimer = clock.setTimeout(() => {
      this.#send({ cmd: "pingreq" });
      this.#pongTimer = clock.setTimeout(() => this.#socket?.destroy(), PING_TIMEOUT_MS);
      this.#schedulePing();
    }, keepaliveS * 1000);
  }

  async #acknowledged(id: number, send: () => void): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#subscriptions.set(id, (error) => (error ? reject(error) : resolve()));
    const timer = this.#options.clock.setTimeout(() => reject(new Error("subscribe timeout")), ACKNOWLEDGE_TIMEOUT_MS);
    try {
      send();
      await promise;
    } finally {
      this.#options.clock.clearTimeout(timer);
      this.#subscriptions.delete(id);
    }
  }

  #sendPublish({ id, topic, payload }: Outgoing, dup: boolean): void {
    this.#send({ cmd: "publish", messageId: id, topic: this.#prefix + topic, payload, qos: 1, dup, retain: false });
  }

  #send(packet: Packet): void {
    if (this.#connected && this.#network === "up") {
      this.#socket?.write(generate(packet));
    }
  }

  #nextId(): number {
    do {
      this.#lastId = (this.#lastId % 65_535) + 1;
    } while (this.#store.has(this.#lastId) || this.#subscriptions.has(this.#lastId));
    return this.#lastId;
  }
}
