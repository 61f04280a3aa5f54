/**
 * A Transport over one MQTT broker, for any number of devices on one connection. What their topics look like is a dialect's business:
 * the device's own (local-link.ts), or those of a connector in the cloud (connector-link.ts).
 */
import { createHash } from "node:crypto";
import PQueue from "p-queue";
import { BACKEND_DEFAULTS } from "../../crds/default-values.ts";
import type { AccountStatus } from "../contract.ts";
import { TargetError } from "../errors.ts";
import { BrokerConnection, LONGEST_MESSAGE } from "./connection.ts";
import type { KantoTarget, Route } from "./topics.ts";
import type {
  Inbound,
  Link,
  LinkHandlers,
  LinkTraits,
  PublishResult,
  Request,
  Transport,
  TransportDeps,
  TransportOptions,
} from "./transport.ts";

/** How devices are spoken to on a broker. */
export interface TopicDialect {
  readonly traits: LinkTraits;
  /** Version that is tried first, unless the EdgeBackend says otherwise. */
  readonly mqttVersion: "3.1.1" | "5";
  /** How long the broker is to keep what comes for us after a lost connection (MQTT 5), s; unset: not at all. */
  readonly sessionExpirySeconds?: number;
  /** What a device is known by in topics: two devices with one address cannot be told apart. */
  address(target: KantoTarget): string;
  /** Why a device cannot be attached beside another one with the same address; for people. */
  clash(attached: KantoTarget): string;
  /** What to subscribe to: this device only, never a broad wildcard. */
  filters(target: KantoTarget): readonly string[];
  /** The topic of a request. */
  request(target: KantoTarget, request: Request): string;
  /** The topic on which an identity is announced; only with inventory Announce. */
  announcement?(target: KantoTarget): string;
  /** The device that a received topic is of. Called for each message: no walk over all devices. */
  find<T>(topic: string, attached: ReadonlyMap<string, T>): T | undefined;
  /** What a received topic means for a device; undefined if nothing. */
  route(target: KantoTarget, topic: string): Route | undefined;
}

const RECONNECT_INITIAL_MS = 1_000;
const RECONNECT_MAX_MS = 60_000;
/** Pause before a refused subscription is tried again, ms. */
const SUBSCRIBE_RETRY_MS = 60_000;
/** Subscriptions that wait for the broker's word at the same time: thousands at once would be a burst that brokers throttle or drop. */
const SUBSCRIBE_CONCURRENCY = 16;

/** Longest topic of a device: prefix, thing id and request id are far shorter. */
const LONGEST_TOPIC = 1_024;

/** Tells transports of one process apart in their client ids. */
let transports = 0;

interface Attached {
  target: KantoTarget;
  handlers: LinkHandlers;
  filters: readonly string[];
  /** The broker knows our subscription. */
  subscribed: boolean;
  up: boolean;
  /** What the device said since its last `up` may have been lost: the broker had no subscription of ours for a while. */
  missed: boolean;
}

export class MqttTransport implements Transport {
  readonly endpoint: string;
  readonly #dialect: TopicDialect;
  readonly #deps: TransportDeps;
  readonly #connection: BrokerConnection;
  /** By address. */
  readonly #attached = new Map<string, Attached>();
  readonly #retries = new Set<unknown>();
  readonly #subscribing = new PQueue({ concurrency: SUBSCRIBE_CONCURRENCY });
  /** Unsubscriptions that the broker has not confirmed, by address. */
  readonly #leaving = new Map<string, Promise<void>>();
  /** Subscriptions of devices that were detached while there was no connection. */
  readonly #left = new Map<string, readonly string[]>();
  /** Connections so far. */
  #opens = 0;
  #closed = false;

  constructor({ spec, kanto, credentials }: TransportOptions, dialect: TopicDialect, deps: TransportDeps) {
    this.#dialect = dialect;
    this.#deps = deps;
    this.endpoint = endpointOf(kanto.url);
    const { timings } = deps;
    transports += 1;
    const serverName = spec.tls?.serverName;
    this.#connection = new BrokerConnection(
      {
        url: kanto.url,
        version: (kanto.mqttVersion ?? dialect.mqttVersion) === "5" ? 5 : 4,
        clientId: clientId(kanto.clientIdPrefix ?? BACKEND_DEFAULTS.kanto.clientIdPrefix, deps.processId, transports),
        credentials,
        ...(serverName !== undefined && { serverName }),
        ...(dialect.sessionExpirySeconds !== undefined && { sessionExpirySeconds: dialect.sessionExpirySeconds }),
        reconnectInitialMs: timings.reconnectInitialMs ?? RECONNECT_INITIAL_MS,
        reconnectMaxMs: timings.reconnectMaxMs ?? RECONNECT_MAX_MS,
      },
      {
        opened: (resumed) => this.#onOpened(resumed),
        closed: () => this.#onClosed(),
        message: (topic, payload, retained) => this.#onMessage(topic, payload, retained),
        status: (status) => deps.onStatus(status),
        notice: (notice) => deps.onNotice(notice),
        reconnected: () => deps.metrics.reconnect("kanto"),
      },
      deps,
    );
  }

  get status(): AccountStatus {
    return this.#connection.status;
  }

  start(): void {
    this.#connection.start();
  }

  attach(target: KantoTarget, handlers: LinkHandlers): Link {
    const dialect = this.#dialect;
    const address = dialect.address(target);
    const other = this.#attached.get(address);
    if (other !== undefined) throw new TargetError("InvalidSpec", dialect.clash(other.target));
    const attached: Attached = {
      target,
      handlers,
      filters: dialect.filters(target),
      subscribed: false,
      up: false,
      missed: true,
    };
    this.#attached.set(address, attached);
    if (this.#connection.isOpen) this.#subscribe(address, attached);
    const announcement = dialect.announcement?.(target);
    return {
      traits: dialect.traits,
      where: attached.filters[0] ?? address,
      send: (request, done) => this.#publish(dialect.request(target, request), request.payload, done),
      ...(announcement !== undefined && {
        announce: (payload: string) => this.#publish(announcement, payload, () => undefined),
      }),
      close: () => this.#detach(address, attached),
    };
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#subscribing.clear();
    for (const timer of this.#retries) this.#deps.clock.clearTimeout(timer);
    this.#attached.clear();
    await this.#connection.close();
  }

  #publish(topic: string, payload: string, done: (result: PublishResult) => void): boolean {
    return this.#connection.publish(topic, payload, done);
  }

  #detach(address: string, attached: Attached): void {
    if (this.#attached.get(address) !== attached) return;
    this.#attached.delete(address);
    if (!this.#connection.isOpen && attached.subscribed) this.#left.set(address, attached.filters);
    this.#unsubscribe(address, attached.filters);
  }

  #unsubscribe(address: string, filters: readonly string[]): void {
    const left = this.#connection.unsubscribe(filters);
    this.#leaving.set(address, left);
    void left.finally(() => {
      if (this.#leaving.get(address) === left) this.#leaving.delete(address);
    });
  }

  #subscribe(address: string, attached: Attached): void {
    void this.#subscribing.add(() => this.#subscribeNow(address, attached));
  }

  /** Nothing is asked of a device before the broker has confirmed that its answers will reach us. */
  async #subscribeNow(address: string, attached: Attached): Promise<void> {
    const opens = this.#opens;
    // Another connection has its own call of this.
    const current = (): boolean =>
      this.#opens === opens && this.#connection.isOpen && this.#attached.get(address) === attached && !attached.up;
    if (!current()) return;
    // A device that has just left may have had the same topics.
    await this.#leaving.get(address);
    if (!current()) return;
    try {
      await this.#connection.subscribe(attached.filters);
    } catch (error) {
      if (current()) this.#onSubscribeFailed(address, attached, error);
      return;
    }
    if (!current()) return;
    attached.subscribed = true;
    await this.#bringUp(address, attached);
  }

  /** A device that is up is asked something at once; thousands of them would make a backlog in the socket, which refuses the rest. */
  async #bringUp(address: string, attached: Attached): Promise<void> {
    const opens = this.#opens;
    while (this.#connection.congested) await this.#connection.drained();
    if (this.#opens !== opens || !this.#connection.isOpen || this.#attached.get(address) !== attached) return;
    const { missed } = attached;
    attached.up = true;
    attached.missed = false;
    attached.handlers.up(!missed);
  }

  #onSubscribeFailed(address: string, attached: Attached, error: unknown): void {
    const cause = error instanceof Error ? error.message : "unknown error";
    const message = `the broker refuses the subscription to this device's topics (${cause}): allow ${attached.filters.join(", ")}`;
    this.#deps.log.warn({ endpoint: this.endpoint, address }, message);
    attached.handlers.refused(message);
    const timer = this.#deps.clock.setTimeout(() => {
      this.#retries.delete(timer);
      if (this.#attached.get(address) === attached && this.#connection.isOpen) this.#subscribe(address, attached);
    }, SUBSCRIBE_RETRY_MS);
    this.#retries.add(timer);
  }

  #onOpened(resumed: boolean): void {
    this.#opens += 1;
    for (const [address, filters] of this.#left) {
      if (resumed) this.#unsubscribe(address, filters);
    }
    this.#left.clear();
    for (const [address, attached] of this.#attached) {
      attached.missed ||= !resumed || !attached.subscribed;
      attached.subscribed &&= resumed;
      if (attached.subscribed) void this.#subscribing.add(() => this.#bringUp(address, attached));
      else this.#subscribe(address, attached);
    }
  }

  #onClosed(): void {
    for (const timer of this.#retries) this.#deps.clock.clearTimeout(timer);
    this.#retries.clear();
    this.#subscribing.clear();
    for (const attached of this.#attached.values()) {
      if (!attached.up) continue;
      attached.up = false;
      attached.handlers.down();
    }
  }

  #onMessage(topic: string, payload: Buffer, retained: boolean): void {
    // To find the device takes a look at each of its levels.
    const attached = topic.length > LONGEST_TOPIC ? undefined : this.#dialect.find(topic, this.#attached);
    const route = attached === undefined ? undefined : this.#dialect.route(attached.target, topic);
    if (attached === undefined || route === undefined) {
      this.#deps.malformed("Topic", topic);
      return;
    }
    // The daemon retains nothing: a retained message is somebody's leftover, and says nothing about now.
    if (retained && route.kind !== "ConnectorStatus") {
      this.#deps.malformed("Retained", topic);
      return;
    }
    if (payload.length > LONGEST_MESSAGE) {
      this.#deps.malformed("TooLong", topic);
      return;
    }
    const inbound: Inbound = { ...route, payload: payload.toString("utf8") };
    attached.handlers.receive(inbound);
  }
}

/** Address of a broker in one spelling: scheme, host and port. */
export function endpointOf(url: string): string {
  const { protocol, hostname, port } = new URL(url);
  const defaults: Readonly<Record<string, string>> = { "mqtt:": "1883", "mqtts:": "8883", "ws:": "80", "wss:": "443" };
  return `${protocol}//${hostname.toLowerCase()}:${port === "" ? (defaults[protocol] ?? "") : port}`;
}

/** Unique per process and transport, and short: MQTT 3.1.1 brokers need not take more than 23 characters. */
function clientId(prefix: string, processId: string, transport: number): string {
  const hash = createHash("sha256").update(`${processId} ${transport}`).digest("hex").slice(0, 12);
  return `${prefix}-${hash}`;
}
