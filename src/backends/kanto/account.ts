/** One EdgeBackend of type Kanto: its broker connection and the sessions of its devices. */
import { createHash } from "node:crypto";
import type { EdgeBackendSpec } from "../../crds/edge-backend.ts";
import type { EdgeDeviceSpec } from "../../crds/edge-device.ts";
import { BACKEND_DEFAULTS } from "../../crds/default-values.ts";
import type {
  Account,
  AccountCredentials,
  AccountNotice,
  AccountStatus,
  BackendDeps,
  DeviceSession,
} from "../contract.ts";
import { TargetError } from "../errors.ts";
import { BrokerConnection } from "./connection.ts";
import { KantoSession } from "./session.ts";
import { kantoTarget, routeTopic, type KantoTarget } from "./topics.ts";

/** Defaults of BackendTimings, ms. */
const PROBE_TIMEOUT_MS = 10_000;
const RECONNECT_INITIAL_MS = 1_000;
const RECONNECT_MAX_MS = 60_000;

/** Pause before a refused subscription is tried again, ms. */
const SUBSCRIBE_RETRY_MS = 60_000;

/** Tells accounts of one process apart in their client ids. */
let accounts = 0;

type KantoSpec = NonNullable<EdgeBackendSpec["kanto"]>;

export class KantoAccount implements Account {
  readonly endpoint: string;
  readonly #spec: EdgeBackendSpec;
  readonly #kanto: KantoSpec;
  readonly #deps: BackendDeps;
  readonly #connection: BrokerConnection;
  readonly #sessions = new Map<string, KantoSession>();
  readonly #listeners = new Set<(status: AccountStatus) => void>();
  readonly #noticeListeners = new Set<(notice: AccountNotice) => void>();
  readonly #notices: AccountNotice[] = [];
  readonly #malformed = new Set<string>();
  readonly #retries = new Set<unknown>();
  /** Unsubscriptions that the broker has not confirmed, by topic prefix. */
  readonly #leaving = new Map<string, Promise<void>>();
  /** Connections so far. */
  #opens = 0;
  #closed = false;

  constructor(spec: EdgeBackendSpec, kanto: KantoSpec, credentials: AccountCredentials, deps: BackendDeps) {
    this.#spec = spec;
    this.#kanto = kanto;
    this.#deps = deps;
    this.endpoint = endpointOf(kanto.url);
    const { timings } = deps;
    accounts += 1;
    const serverName = spec.tls?.serverName;
    this.#connection = new BrokerConnection(
      {
        url: kanto.url,
        version: kanto.mqttVersion === "5" ? 5 : 4,
        clientId: clientId(kanto.clientIdPrefix ?? BACKEND_DEFAULTS.kanto.clientIdPrefix, deps.processId, accounts),
        credentials,
        ...(serverName !== undefined && { serverName }),
        reconnectInitialMs: timings.reconnectInitialMs ?? RECONNECT_INITIAL_MS,
        reconnectMaxMs: timings.reconnectMaxMs ?? RECONNECT_MAX_MS,
      },
      {
        opened: () => this.#onOpened(),
        closed: () => this.#onClosed(),
        message: (topic, payload, retained) => this.#onMessage(topic, payload, retained),
        status: (status) => this.#onStatus(status),
        notice: (notice) => this.#onNotice(notice),
        reconnected: () => deps.metrics.reconnect("kanto"),
      },
      deps,
    );
    this.#connection.start();
  }

  status(): AccountStatus {
    return this.#connection.status;
  }

  subscribe(listener: (status: AccountStatus) => void, notice?: (notice: AccountNotice) => void): () => void {
    this.#listeners.add(listener);
    if (notice !== undefined) {
      this.#noticeListeners.add(notice);
      // What was said before anybody listened.
      for (const earlier of this.#notices.splice(0)) notice(earlier);
    }
    return () => {
      this.#listeners.delete(listener);
      if (notice !== undefined) this.#noticeListeners.delete(notice);
    };
  }

  openDevice(device: EdgeDeviceSpec): DeviceSession {
    if (device.kanto === undefined) {
      throw new TargetError("WrongDeviceKind", "the EdgeBackend is of type kanto: set spec.kanto.thingId");
    }
    const target = kantoTarget(device.kanto.thingId, device.kanto.topicPrefix);
    if (target === undefined) {
      throw new TargetError(
        "InvalidSpec",
        `spec.kanto.thingId ${device.kanto.thingId} has no namespace: write <namespace>:<name>:edge:containers`,
      );
    }
    const existing = this.#sessions.get(target.topicPrefix);
    if (existing === undefined) return this.#open(target);
    if (existing.target.thingId === target.thingId) return existing;
    // Announcements carry no address: two gateways below one prefix would each take the other's identity.
    const where = target.topicPrefix === "" ? "this broker" : `this broker below ${target.topicPrefix}`;
    throw new TargetError(
      "InvalidSpec",
      `${where} already belongs to gateway ${existing.target.gatewayId}: a broker carries one gateway, so give each device a broker of its own, or a spec.kanto.topicPrefix of its own with a bridge that adds it`,
    );
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const timer of this.#retries) this.#deps.clock.clearTimeout(timer);
    await Promise.all([...this.#sessions.values()].map((session) => session.close()));
    await this.#connection.close();
    this.#listeners.clear();
    this.#noticeListeners.clear();
  }

  #open(target: KantoTarget): DeviceSession {
    const { timings } = this.#deps;
    const spec = this.#spec;
    const seconds = spec.observeIntervalSeconds ?? BACKEND_DEFAULTS.kantoObserveIntervalSeconds;
    const session = new KantoSession(
      {
        target,
        targetKey: targetKeyOf(this.#kanto.url, target),
        tenant: this.#kanto.tenant,
        answerIdentity: this.#kanto.answerIdentity ?? true,
        observeIntervalMs: timings.observeIntervalMs ?? seconds * 1000,
        probeTimeoutMs: timings.probeTimeoutMs ?? PROBE_TIMEOUT_MS,
        commandTimeoutMs: (spec.commandTimeoutSeconds ?? BACKEND_DEFAULTS.commandTimeoutSeconds) * 1000,
        createTimeoutMs: (spec.createTimeoutSeconds ?? BACKEND_DEFAULTS.createTimeoutSeconds) * 1000,
      },
      {
        ...this.#deps,
        metrics: this.#deps.metrics,
        publish: (topic, payload, done) => this.#connection.publish(topic, payload, done),
        brokerMessage: () => this.#brokerMessage(),
        malformed: (kind, topic) => this.#onMalformed(kind, topic),
        notice: (notice) => this.#onNotice(notice),
        closed: (closed) => this.#onSessionClosed(closed),
      },
    );
    this.#sessions.set(target.topicPrefix, session);
    if (this.#connection.isOpen) void this.#subscribe(session);
    return session;
  }

  /** Nothing is asked of a device before the broker has confirmed that its answers will reach us. */
  async #subscribe(session: KantoSession): Promise<void> {
    const opens = this.#opens;
    const { topicPrefix } = session.target;
    // Another connection has its own call of this.
    const current = (): boolean =>
      this.#opens === opens && this.#connection.isOpen && this.#sessions.get(topicPrefix) === session;
    // A session that has just ended may have had the same topics.
    await this.#leaving.get(topicPrefix);
    if (!current()) return;
    this.#leaving.delete(topicPrefix);
    try {
      await this.#connection.subscribe(session.topics.filters);
    } catch (error) {
      if (current()) this.#onSubscribeFailed(session, error);
      return;
    }
    if (current()) session.opened();
  }

  #onSubscribeFailed(session: KantoSession, error: unknown): void {
    const cause = error instanceof Error ? error.message : "unknown error";
    const message = `the broker refuses the subscription to this device's topics (${cause}): allow ${session.topics.filters.join(", ")}`;
    this.#deps.log.warn({ target: session.targetKey }, message);
    session.refused(message);
    const timer = this.#deps.clock.setTimeout(() => {
      this.#retries.delete(timer);
      if (this.#sessions.get(session.target.topicPrefix) === session && this.#connection.isOpen) {
        void this.#subscribe(session);
      }
    }, SUBSCRIBE_RETRY_MS);
    this.#retries.add(timer);
  }

  #onOpened(): void {
    this.#opens += 1;
    for (const session of this.#sessions.values()) void this.#subscribe(session);
  }

  #onClosed(): void {
    for (const timer of this.#retries) this.#deps.clock.clearTimeout(timer);
    this.#retries.clear();
    for (const session of this.#sessions.values()) session.disconnected();
  }

  #onSessionClosed(session: KantoSession): void {
    if (this.#sessions.get(session.target.topicPrefix) !== session) return;
    this.#sessions.delete(session.target.topicPrefix);
    const { topicPrefix } = session.target;
    this.#leaving.set(topicPrefix, this.#connection.unsubscribe(session.topics.filters));
  }

  #onMessage(topic: string, payload: Buffer, retained: boolean): void {
    const session = this.#sessionOf(topic);
    const route = session === undefined ? undefined : routeTopic(session.target, topic);
    if (session === undefined || route === undefined) {
      this.#onMalformed("Topic", topic);
      return;
    }
    // The daemon retains nothing: a retained message is somebody's leftover, and says nothing about now.
    if (retained) {
      this.#onMalformed("Retained", topic);
      return;
    }
    session.message(route, payload.toString("utf8"));
  }

  #sessionOf(topic: string): KantoSession | undefined {
    // Few prefixes per broker, most often one; the longest that fits is the most particular.
    let found: KantoSession | undefined;
    for (const [prefix, session] of this.#sessions) {
      if (topic.startsWith(prefix) && prefix.length >= (found?.target.topicPrefix.length ?? 0)) found = session;
    }
    return found;
  }

  #onMalformed(kind: string, topic: string): void {
    this.#deps.metrics.malformed("kanto", kind);
    const seen = `${kind} ${topic.replace(/\/res\/.*/, "/res")}`;
    if (this.#malformed.has(seen)) return;
    this.#malformed.add(seen);
    this.#deps.log.warn(
      { endpoint: this.endpoint, kind, topic },
      "a message was dropped as malformed (told once per kind)",
    );
  }

  #onStatus(status: AccountStatus): void {
    for (const listener of this.#listeners) listener(status);
  }

  #onNotice(notice: AccountNotice): void {
    if (this.#noticeListeners.size === 0) this.#notices.push(notice);
    for (const listener of this.#noticeListeners) listener(notice);
  }

  #brokerMessage(): string {
    const { status } = this.#connection;
    return status.state === "Failed" ? status.message : `connecting to ${this.endpoint}`;
  }
}

/** Address of a broker in one spelling: scheme, host and port. */
export function endpointOf(url: string): string {
  const { protocol, hostname, port } = new URL(url);
  const defaults: Readonly<Record<string, string>> = { "mqtt:": "1883", "mqtts:": "8883", "ws:": "80", "wss:": "443" };
  return `${protocol}//${hostname.toLowerCase()}:${port === "" ? (defaults[protocol] ?? "") : port}`;
}

/** Identity of a device: the broker without its scheme, since TLS or not it is the same, and the topics. */
export function targetKeyOf(url: string, target: KantoTarget): string {
  return `kanto ${endpointOf(url).replace(/^[a-z]+:\/\//, "")} ${target.topicPrefix}${target.thingId}`;
}

/** Unique per process and account, and short: MQTT 3.1.1 brokers need not take more than 23 characters. */
function clientId(prefix: string, processId: string, account: number): string {
  const hash = createHash("sha256").update(`${processId} ${account}`).digest("hex").slice(0, 12);
  return `${prefix}-${hash}`;
}
