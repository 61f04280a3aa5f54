/** One EdgeBackend of type Kanto: its transport and the sessions of its devices. */
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
import { AccountListeners } from "../account-listeners.ts";
import { TargetError } from "../errors.ts";
import { connectorDialect } from "./connector-link.ts";
import { DittoTransport } from "./ditto/index.ts";
import { LOCAL } from "./local-link.ts";
import { endpointOf, MqttTransport } from "./mqtt-transport.ts";
import { KantoSession } from "./session.ts";
import { kantoTarget, type KantoTarget } from "./topics.ts";
import { Turnstile } from "./turnstile.ts";
import type { KantoSpec, Link, LinkHandlers, Transport, TransportDeps, TransportOptions } from "./transport.ts";

/** Default of BackendTimings.probeTimeoutMs. */
const PROBE_TIMEOUT_MS = 10_000;

/** Longest topic that is logged. */
const LONGEST_LOGGED = 200;

export class KantoAccount implements Account {
  readonly endpoint: string;
  readonly #spec: EdgeBackendSpec;
  readonly #kanto: KantoSpec;
  readonly #deps: BackendDeps;
  readonly #transport: Transport;
  /** By topic prefix and thing. */
  readonly #sessions = new Map<string, KantoSession>();
  readonly #listeners = new AccountListeners();
  /** Kinds of malformed messages that were told of, by device; "" for those that are of none. */
  readonly #malformed = new Map<string, Set<string>>();
  readonly #turnstile: Turnstile;
  #closed = false;

  constructor(spec: EdgeBackendSpec, kanto: KantoSpec, credentials: AccountCredentials, deps: BackendDeps) {
    this.#spec = spec;
    this.#kanto = kanto;
    this.#deps = deps;
    this.#turnstile = new Turnstile(deps.clock);
    this.#transport = createTransport(
      { spec, kanto, credentials },
      {
        ...deps,
        metrics: deps.metrics,
        onStatus: (status) => this.#listeners.changed(status),
        onNotice: (notice) => this.#listeners.notice(notice),
        malformed: (kind, where) => this.#onMalformed(kind, where),
      },
    );
    this.endpoint = this.#transport.endpoint;
    this.#transport.start();
  }

  status(): AccountStatus {
    return this.#transport.status;
  }

  subscribe(listener: (status: AccountStatus) => void, notice?: (notice: AccountNotice) => void): () => void {
    return this.#listeners.subscribe(listener, notice);
  }

  openDevice(device: EdgeDeviceSpec): DeviceSession {
    if (device.kanto === undefined) {
      throw new TargetError("WrongDeviceKind", "the EdgeBackend is of type kanto: set spec.kanto.thingId");
    }
    const { topicPrefix, tenant } = device.kanto;
    const target = kantoTarget(device.kanto.thingId, topicPrefix, tenant);
    if (target === undefined) {
      throw new TargetError(
        "InvalidSpec",
        `spec.kanto.thingId ${device.kanto.thingId} has no namespace: write <namespace>:<name>:edge:containers`,
      );
    }
    const { transport = BACKEND_DEFAULTS.kanto.transport } = this.#kanto;
    if (topicPrefix !== undefined && transport !== "Local") {
      throw new TargetError(
        "InvalidSpec",
        `spec.kanto.topicPrefix counts only with transport Local: leave it out (the EdgeBackend has transport ${transport})`,
      );
    }
    return this.#sessions.get(sessionKey(target)) ?? this.#open(target);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#turnstile.close();
    // The connection first: its end ends every subscription.
    const closed = this.#transport.close();
    await Promise.all([...this.#sessions.values()].map((session) => session.close("Ending")));
    await closed;
    this.#listeners.clear();
  }

  #open(target: KantoTarget): DeviceSession {
    const { timings } = this.#deps;
    const spec = this.#spec;
    const seconds = spec.observeIntervalSeconds ?? BACKEND_DEFAULTS.kantoObserveIntervalSeconds;
    const targetKey = targetKeyOf(this.#kanto, target);
    const session = new KantoSession(
      {
        target,
        targetKey,
        tenant: target.tenant ?? this.#kanto.tenant,
        answerIdentity: this.#kanto.answerIdentity ?? true,
        observeIntervalMs: timings.observeIntervalMs ?? seconds * 1000,
        probeTimeoutMs: timings.probeTimeoutMs ?? PROBE_TIMEOUT_MS,
        commandTimeoutMs: (spec.commandTimeoutSeconds ?? BACKEND_DEFAULTS.commandTimeoutSeconds) * 1000,
        createTimeoutMs: (spec.createTimeoutSeconds ?? BACKEND_DEFAULTS.createTimeoutSeconds) * 1000,
      },
      {
        ...this.#deps,
        metrics: this.#deps.metrics,
        attach: (device, handlers) => this.#attach(device, handlers),
        brokerMessage: () => this.#brokerMessage(),
        malformed: (kind, topic) => this.#onMalformed(kind, topic, targetKey),
        notice: (notice) => this.#listeners.notice(notice),
        closed: (closed) => this.#onSessionClosed(closed),
      },
    );
    this.#sessions.set(sessionKey(target), session);
    session.subscribe(({ type }) => void (type === "Synced" && this.#turnstile.leave(sessionKey(target))));
    return session;
  }

  /** A device that can be reached is told so when it is its turn; where nothing is asked for, at once. */
  #attach(target: KantoTarget, handlers: LinkHandlers): Link {
    const key = sessionKey(target);
    const link = this.#transport.attach(target, {
      ...handlers,
      up: (resumed) => {
        if (link.traits.inventory === "Watch") handlers.up(resumed);
        else this.#turnstile.enter(key, () => handlers.up(resumed));
      },
      down: () => {
        if (this.#turnstile.leave(key)) handlers.down();
      },
    });
    return link;
  }

  #onSessionClosed(session: KantoSession): void {
    const key = sessionKey(session.target);
    if (this.#sessions.get(key) !== session) return;
    this.#sessions.delete(key);
    this.#turnstile.leave(key);
    this.#malformed.delete(session.targetKey);
  }

  /**
   * Counted each time, told once per kind and device: whoever sends rubbish shall not fill the log, or this process's memory.
   *
   * @param targetKey of the device; empty for what has not got as far as one.
   */
  #onMalformed(kind: string, topic: string, targetKey = ""): void {
    this.#deps.metrics.malformed("kanto", kind);
    const told = this.#malformed.get(targetKey) ?? new Set();
    if (told.has(kind)) return;
    this.#malformed.set(targetKey, told.add(kind));
    this.#deps.log.warn(
      { endpoint: this.endpoint, kind, topic: topic.slice(0, LONGEST_LOGGED) },
      "a message was dropped as malformed (told once per kind and device)",
    );
  }

  #brokerMessage(): string {
    const { status } = this.#transport;
    if (status.state === "Connected") return `${this.endpoint} takes no message for this device at present`;
    return status.state === "Failed" ? status.message : `connecting to ${this.endpoint}`;
  }
}

/** What carries the envelopes, by EdgeBackend.spec.kanto.transport; index.ts refuses what is not there. */
export function createTransport(options: TransportOptions, deps: TransportDeps): Transport {
  const transport = options.kanto.transport ?? BACKEND_DEFAULTS.kanto.transport;
  switch (transport) {
    case "Local":
      return new MqttTransport(options, LOCAL, deps);
    case "Connector":
      return new MqttTransport(options, connectorDialect(options.kanto), deps);
    case "Ditto":
      return new DittoTransport(options, deps);
    default:
      return transport satisfies never;
  }
}

function sessionKey({ topicPrefix, thingId, tenant = "" }: KantoTarget): string {
  return `${tenant} ${topicPrefix}${thingId}`;
}

/**
 * Identity of a device: the endpoint without its scheme, since TLS or not it is the same, and what its topics begin with. On its own topics
 * the tenant does not tell devices apart; on a connector's it does.
 */
export function targetKeyOf(kanto: KantoSpec, target: KantoTarget): string {
  const endpoint = endpointOf(kanto.url).replace(/^[a-z]+:\/\//, "");
  const { transport = BACKEND_DEFAULTS.kanto.transport } = kanto;
  const local = transport === "Local";
  return `kanto ${endpoint} ${local ? target.topicPrefix : `${target.tenant ?? kanto.tenant}/`}${target.thingId}`;
}
