/**
 * One broker, connected for as long as it is wanted, by mqtt.js.
 *
 * Guarantee: a publish is written to an open connection in the same turn of the event loop, at most once, or not at all. mqtt.js by
 * itself sends an unacknowledged QoS 1 publish again after its own reconnect, on a clean session too, and queues while offline. So here
 * each connection has a client object of its own that never reconnects and has a store that stores nothing; a new connection is a new
 * object, which knows nothing of the old one's publishes.
 *
 * The client id stays the same over all connections of one account: the broker then drops what it has not yet read from an older
 * connection when the newer one takes over, so that nothing overtakes.
 */
import { connect as connectMqtt, Store, type IClientOptions, type MqttClient, type Packet } from "mqtt";
import type { AccountCredentials, AccountNotice, AccountStatus, BackendClock, BackendLog } from "../contract.ts";
import { classifyConnectError, closedBeforeAnswer, type ConnectionFailure } from "./mqtt-errors.ts";
import type { PublishResult } from "./transport.ts";

export interface ConnectionOptions {
  /** mqtt://, mqtts://, ws:// or wss:// */
  url: string;
  version: 4 | 5;
  clientId: string;
  credentials: AccountCredentials;
  serverName?: string;
  /**
   * MQTT 5 only: the broker keeps our subscriptions, and what comes for them, for so long after a lost connection. Never over the end of
   * this process, which begins with a clean session. Unset: it keeps nothing.
   */
  sessionExpirySeconds?: number;
  /** First and largest delay before reconnecting, ms; doubling, ±20 %. */
  reconnectInitialMs: number;
  reconnectMaxMs: number;
}

export interface ConnectionHandlers {
  /** A connection is open. @param resumed the broker has kept the subscriptions, and what came meanwhile; else nothing is subscribed. */
  opened(resumed: boolean): void;
  /** The open connection is gone. */
  closed(): void;
  message(topic: string, payload: Buffer, retained: boolean): void;
  status(status: AccountStatus): void;
  notice(notice: AccountNotice): void;
  /** A connection was opened again after an earlier one. */
  reconnected(): void;
}

export interface ConnectionDeps {
  clock: BackendClock;
  log: BackendLog;
  random(): number;
}

/**
 * Longest message that is read, bytes. The longest that a daemon has to say is a container's configuration: of ours at most 1 MiB (the
 * planner sees to it), which Go's JSON can make six times as long.
 */
export const LONGEST_MESSAGE = 8 * 2 ** 20;

/** What a packet may hold beside its payload, bytes. */
const PACKET_OVERHEAD = 2 ** 16;

const KEEPALIVE_SECONDS = 30;
const CONNECT_TIMEOUT_MS = 20_000;
/** How long a farewell may take, ms. */
const CLOSE_GRACE_MS = 1_000;
/** A connection that lasted this long was a success: the next delay begins anew. */
const STABLE_MS = 10_000;
/** PUBACK reason code "No matching subscribers" (MQTT 5, 3.4.2.1). */
const NO_SUBSCRIBER = 0x10;
/** PUBACK reason code "Not authorized" (MQTT 5, 3.4.2.1). */
const NOT_AUTHORIZED = 0x87;

/** mqtt.js must put a QoS 1 publish somewhere before it writes it; here it keeps nothing, so nothing can ever be sent again. */
class NoStore extends Store {
  override put(_packet: Packet, done: () => void): this {
    done();
    return this;
  }
  override del(_packet: Pick<Packet, "messageId">, done: (error?: Error, packet?: Packet) => void): this {
    done();
    return this;
  }
}

/** A client object and what waits for its acknowledgements. */
interface Attempt {
  client: MqttClient;
  version: 4 | 5;
  open: boolean;
  openedAtMs: number;
  failure?: ConnectionFailure;
  waiting: Map<number, (result: PublishResult) => void>;
}

export class BrokerConnection {
  /** The url without anything secret; urls with credentials are refused before. */
  readonly endpoint: string;
  readonly #options: ConnectionOptions;
  readonly #handlers: ConnectionHandlers;
  readonly #deps: ConnectionDeps;
  #attempt: Attempt | undefined;
  #status: AccountStatus = { state: "Connecting" };
  #version: 4 | 5;
  #fallbackTold = false;
  #failures = 0;
  #opens = 0;
  #timer: unknown;
  #closed = false;

  constructor(options: ConnectionOptions, handlers: ConnectionHandlers, deps: ConnectionDeps) {
    this.endpoint = options.url;
    this.#options = options;
    this.#version = options.version;
    this.#handlers = handlers;
    this.#deps = deps;
  }

  get status(): AccountStatus {
    return this.#status;
  }

  get isOpen(): boolean {
    const attempt = this.#attempt;
    return attempt !== undefined && attempt.open && attempt.client.connected && !attempt.client.disconnecting;
  }

  /** Begins to connect and keeps at it until `close`. */
  start(): void {
    if (this.#closed || this.#attempt !== undefined) return;
    const { version } = this;
    let client: MqttClient;
    try {
      client = connectMqtt(clientOptions(this.#options, version, this.#opens > 0));
    } catch (error) {
      // Malformed PEM throws here, before there is a socket.
      this.#failed({ ...classifyConnectError(this.endpoint, error), reason: "TLSFailed" });
      return;
    }
    const attempt: Attempt = { client, version, open: false, openedAtMs: 0, waiting: new Map() };
    this.#attempt = attempt;
    // Each unsubscription that is under way listens for the end of the connection.
    client.setMaxListeners(0);
    client.on("connect", ({ sessionPresent }) => this.#opened(attempt, sessionPresent && this.#opens > 0));
    client.on("message", (topic, payload, packet) => {
      if (this.#attempt === attempt) this.#handlers.message(topic, payload, packet.retain);
    });
    client.on("packetreceive", (packet) => settlePuback(attempt, packet));
    client.on("error", (error) => {
      attempt.failure ??= classifyConnectError(this.endpoint, error);
      // After a refused CONNACK mqtt.js has closed the stream; after other errors it has not always.
      client.end(true);
    });
    client.on("close", () => this.#ended(attempt));
  }

  get version(): 4 | 5 {
    return this.#version;
  }

  /** Whether what is published now would be refused, since the socket has a backlog. */
  get congested(): boolean {
    return this.isOpen && this.#attempt?.client.stream.writableNeedDrain === true;
  }

  /** Resolves once the socket takes more, or its connection has ended. Look again then: somebody else may have been faster. */
  async drained(): Promise<void> {
    const stream = this.#attempt?.client.stream;
    if (stream === undefined || !this.congested) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const done = (): void => {
      stream.off("drain", done);
      stream.off("close", done);
      resolve();
    };
    stream.on("drain", done);
    stream.on("close", done);
    await promise;
  }

  /**
   * Publishes with QoS 1, not retained.
   *
   * @returns false if there is no open connection: then nothing left this process, and `done` is not called.
   */
  publish(topic: string, payload: string, done: (result: PublishResult) => void): boolean {
    const attempt = this.#attempt;
    // A socket with a backlog would hold the message back to an unknown time, past what the fence was checked for.
    if (attempt === undefined || !this.isOpen || attempt.client.stream.writableNeedDrain) return false;
    const { client, waiting } = attempt;
    client.publish(topic, payload, { qos: 1, retain: false }, () => undefined);
    waiting.set(client.getLastMessageId(), done);
    return true;
  }

  /**
   * Subscribes with QoS 1 on the open connection.
   *
   * @throws Error if there is none, it ends, or the broker refuses a filter.
   */
  async subscribe(filters: readonly string[]): Promise<void> {
    const attempt = this.#attempt;
    if (attempt === undefined || !this.isOpen) throw new Error("not connected");
    await attempt.client.subscribeAsync([...filters], { qos: 1 });
  }

  /**
   * Unsubscribes if connected. Resolves, and never rejects, once the broker has answered or the connection has ended, which
   * ends a subscription too: only then may the same filters be subscribed again, since a broker need not take the two in order.
   */
  unsubscribe(filters: readonly string[]): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const client = this.isOpen ? this.#attempt?.client : undefined;
    if (client === undefined) return Promise.resolve();
    const done = (): void => {
      client.off("close", done);
      resolve();
    };
    client.once("close", done);
    client.unsubscribe([...filters], done);
    return promise;
  }

  /** Says farewell and stops reconnecting. Resolves when the socket is closed. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#deps.clock.clearTimeout(this.#timer);
    const attempt = this.#attempt;
    if (attempt === undefined) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    attempt.client.once("close", () => resolve());
    // A farewell only where somebody listens; else the socket is destroyed.
    const forget = attempt.version === 5 && this.#options.sessionExpirySeconds !== undefined;
    attempt.client.end(
      !attempt.open || attempt.waiting.size > 0,
      forget ? { properties: { sessionExpiryInterval: 0 } } : {},
    );
    if (attempt.client.stream.destroyed) resolve();
    // A peer that has silently gone would never close its end.
    const grace = this.#deps.clock.setTimeout(() => attempt.client.stream.destroy(), CLOSE_GRACE_MS);
    await promise;
    this.#deps.clock.clearTimeout(grace);
  }

  #opened(attempt: Attempt, resumed: boolean): void {
    if (this.#attempt !== attempt || this.#closed) return;
    attempt.open = true;
    attempt.openedAtMs = this.#deps.clock.monotonic();
    this.#opens += 1;
    if (this.#opens > 1) this.#handlers.reconnected();
    const fellBack = attempt.version !== this.#options.version;
    if (fellBack && !this.#fallbackTold) {
      this.#fallbackTold = true;
      this.#handlers.notice({
        reason: "MQTTVersionFallback",
        message: `${this.endpoint} does not speak MQTT 5: connected with 3.1.1 (set spec.kanto.mqttVersion to 3.1.1)`,
        type: "Normal",
      });
    }
    this.#setStatus({ state: "Connected", ...(fellBack && { note: "MQTT 3.1.1; the broker does not speak MQTT 5" }) });
    this.#deps.log.info(
      { endpoint: this.endpoint, mqtt: attempt.version === 5 ? "5" : "3.1.1" },
      "connected to the broker",
    );
    this.#handlers.opened(resumed);
  }

  #ended(attempt: Attempt): void {
    if (this.#attempt !== attempt) return;
    this.#attempt = undefined;
    attempt.client.end(true);
    for (const done of attempt.waiting.values()) done({ kind: "Unconfirmed" });
    attempt.waiting.clear();
    if (attempt.open) {
      attempt.open = false;
      if (this.#deps.clock.monotonic() - attempt.openedAtMs >= STABLE_MS) this.#failures = 0;
      this.#handlers.closed();
    }
    if (this.#closed) return;
    const lost: ConnectionFailure = {
      reason: "ConnectionFailed",
      message: `the connection to ${this.endpoint} was lost`,
      versionRefused: false,
    };
    this.#failed(
      attempt.failure ?? (attempt.openedAtMs > 0 ? lost : closedBeforeAnswer(this.endpoint, attempt.version)),
    );
  }

  #failed(failure: ConnectionFailure): void {
    const wanted = this.#options.version;
    const tryLower = failure.versionRefused && this.#version === 5;
    // Without success in 3.1.1 either, the version was not the matter: begin with the wanted one again.
    this.#version = tryLower ? 4 : this.#fallbackTold ? this.#version : wanted;
    const delayMs = tryLower ? 0 : this.#nextDelayMs();
    this.#setStatus({
      state: "Failed",
      reason: failure.reason,
      message: failure.message,
      nextTryMs: this.#deps.clock.now() + delayMs,
    });
    this.#deps.log.warn({ endpoint: this.endpoint, reason: failure.reason, delayMs }, failure.message);
    this.#timer = this.#deps.clock.setTimeout(() => this.start(), delayMs);
  }

  #nextDelayMs(): number {
    const { reconnectInitialMs, reconnectMaxMs } = this.#options;
    const base = Math.min(reconnectInitialMs * 2 ** Math.min(this.#failures, 30), reconnectMaxMs);
    this.#failures += 1;
    return Math.round(base * (0.8 + 0.4 * this.#deps.random()));
  }

  #setStatus(status: AccountStatus): void {
    this.#status = status;
    this.#handlers.status(status);
  }
}

function settlePuback(attempt: Attempt, packet: Packet): void {
  if (packet.cmd !== "puback" || packet.messageId === undefined) return;
  const done = attempt.waiting.get(packet.messageId);
  if (done === undefined) return;
  attempt.waiting.delete(packet.messageId);
  const code = packet.reasonCode ?? 0;
  if (code < 0x80) {
    done({ kind: "Acknowledged", noSubscriber: code === NO_SUBSCRIBER });
    return;
  }
  const reason = `the broker refuses to pass commands on (reason 0x${code.toString(16)})`;
  done({ kind: "Refused", denied: code === NOT_AUTHORIZED, reason });
}

/** Schemes of a broker's url; index.ts refuses others. */
const PROTOCOLS = ["mqtt", "mqtts", "ws", "wss"] as const;

function clientOptions(options: ConnectionOptions, version: 4 | 5, again: boolean): IClientOptions {
  const url = new URL(options.url);
  const { sessionExpirySeconds } = options;
  const keeps = version === 5 && sessionExpirySeconds !== undefined;
  const { username, password, ca, clientCert, clientKey } = options.credentials;
  const protocol = PROTOCOLS.find((each) => url.protocol === `${each}:`) ?? "mqtt";
  return {
    protocol,
    // IPv6 addresses stand in brackets in a url, and without them in a socket address.
    hostname: url.hostname.replace(/^\[|\]$/g, ""),
    ...(url.port !== "" && { port: Number(url.port) }),
    ...(protocol.startsWith("ws") && { path: url.pathname }),
    protocolVersion: version,
    // Version 5 can say that nothing longer is wanted; with 3.1.1 it is dropped when it has come (mqtt-transport.ts).
    ...(version === 5 && {
      properties: {
        maximumPacketSize: LONGEST_MESSAGE + PACKET_OVERHEAD,
        ...(keeps && { sessionExpiryInterval: sessionExpirySeconds }),
      },
    }),
    clientId: options.clientId,
    clean: !(keeps && again),
    keepalive: KEEPALIVE_SECONDS,
    connectTimeout: CONNECT_TIMEOUT_MS,
    reconnectPeriod: 0,
    resubscribe: false,
    queueQoSZero: false,
    outgoingStore: new NoStore(),
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    rejectUnauthorized: true,
    ...(ca !== undefined && { ca }),
    ...(clientCert !== undefined && { cert: clientCert }),
    ...(clientKey !== undefined && { key: clientKey }),
    ...(options.serverName !== undefined && { servername: options.serverName }),
  };
}
