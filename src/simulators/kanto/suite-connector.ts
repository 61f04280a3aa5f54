// Eclipse Kanto's suite-connector in generic mode: between a device's broker and a plain MQTT broker in the cloud. As the real one it has
// three connections: one to the device's broker for its status and the identity, a second one there, with a kept session, for everything that
// goes up, and one to the cloud. The second stands only while the cloud does; meanwhile the device's broker keeps what is published, and lets
// it go in bulk afterwards. What is published in the moment in which the cloud breaks away is lost, as with the real one, which does not look
// whether a message could be sent. Requests are subscribed to with QoS 0, so a cloud broker keeps none of them for a connector that is away.
// Sources: suite-connector's cmd/connector/launcher.go, config/connections.go, routing/service.go.

import { connect, type IClientOptions, type MqttClient } from "mqtt";
import { sleep, systemClock, type Clock } from "../clock.ts";
import { readHeaders, ReplyFilter } from "./connector-filter.ts";
import {
  cloudEventTopic,
  cloudResponseTopic,
  isEvent,
  isResponse,
  LOCAL_FILTERS,
  localRequestTopics,
  requestFilter,
  type Naming,
} from "./connector-topics.ts";
import { IDENTITY_REQUEST, IDENTITY_RESPONSE } from "./daemon.ts";
import { isObject } from "./go-json.ts";
import type { Credentials, TlsOptions } from "./mqtt-socket.ts";

/** Retained on the device's broker; also the last will of the connector there. */
export const CONNECTOR_STATUS = "edge/connection/remote/status";

/** How a broker is reached. */
export interface BrokerAccess {
  /** `mqtt://` or `mqtts://` URL. */
  url: string;
  credentials?: Credentials;
  tls?: TlsOptions;
}

export interface SuiteConnectorOptions {
  local: BrokerAccess;
  cloud: BrokerAccess;
  /** The gateway's id, `<namespace>:<name>`. */
  deviceId: string;
  /** Default `t1`. */
  tenantId?: string;
  /** Default `edge:policy`. */
  policyId?: string;
  /** COMMAND_RESPONSE_TOPIC_PREFIX, EVENTS_TOPIC_PREFIX, TELEMETRY_TOPIC_PREFIX. Default none. */
  responsePrefix?: string;
  eventsPrefix?: string;
  telemetryPrefix?: string;
  /** First pause before the cloud is tried again, ms, doubling to four times this. Default 60000, as the real one's HUB_CONNECT_INIT. */
  reconnectMs?: number;
  /** Time by which a response is too late. Default the machine's. */
  clock?: Clock;
  log?: (message: string) => void;
}

/** What became of the messages so far. */
export interface ConnectorCounts {
  requests: number;
  responses: number;
  events: number;
  /** Responses that nobody in the cloud waits for (any more). */
  filtered: number;
  /** What could not be read, was of another gateway, or came while the cloud had just gone. */
  dropped: number;
}

export interface SuiteConnector {
  readonly deviceId: string;
  readonly cloudUp: boolean;
  readonly counts: Readonly<ConnectorCounts>;
  /** The cloud cannot be reached until `restoreCloud`; its connection breaks. */
  cutCloud(): void;
  restoreCloud(): void;
  /** The process is killed and started again at once: requests are forgotten, the last will is published. */
  restart(): void;
  /** Ends it with a farewell. */
  stop(): Promise<void>;
}

/** Starts a connector. Resolves when it has both brokers; a cloud that is away is waited for in the background. */
export async function startSuiteConnector(options: SuiteConnectorOptions): Promise<SuiteConnector> {
  const counts: ConnectorCounts = { requests: 0, responses: 0, events: 0, filtered: 0, dropped: 0 };
  const link = { cut: false };
  let process = new ConnectorProcess(options, counts, link);
  await process.start();
  return {
    deviceId: options.deviceId,
    counts,
    get cloudUp() {
      return process.cloudUp;
    },
    cutCloud: () => {
      link.cut = true;
      process.breakCloud();
    },
    restoreCloud: () => {
      link.cut = false;
      process.tryNow();
    },
    restart: () => {
      process.kill();
      process = new ConnectorProcess(options, counts, link);
      void process.start();
    },
    stop: async () => process.stop(),
  };
}

const RECONNECT_MS = 60_000;
const LONGEST_RECONNECT = 4;
const LOCAL_RECONNECT_MS = 500;

interface Upward {
  topic: string;
  payload: Buffer | string;
}

class ConnectorProcess {
  readonly #options: SuiteConnectorOptions;
  readonly #naming: Naming;
  readonly #counts: ConnectorCounts;
  readonly #link: { readonly cut: boolean };
  readonly #filter: ReplyFilter;
  readonly #end = new AbortController();
  #status: MqttClient | undefined;
  #local: MqttClient | undefined;
  #cloud: MqttClient | undefined;
  #wake = new AbortController();
  /** Sent to the cloud and not acknowledged: sent again on the next connection. */
  readonly #unacknowledged = new Set<Upward>();

  constructor(options: SuiteConnectorOptions, counts: ConnectorCounts, link: { readonly cut: boolean }) {
    this.#options = options;
    this.#counts = counts;
    this.#link = link;
    this.#filter = new ReplyFilter(options.clock ?? systemClock);
    const { deviceId, tenantId = "t1", responsePrefix, eventsPrefix, telemetryPrefix } = options;
    this.#naming = {
      deviceId,
      tenantId,
      ...(responsePrefix === undefined ? {} : { responsePrefix }),
      ...(eventsPrefix === undefined ? {} : { eventsPrefix }),
      ...(telemetryPrefix === undefined ? {} : { telemetryPrefix }),
    };
  }

  get cloudUp(): boolean {
    return this.#cloud?.connected === true && this.#local?.connected === true;
  }

  async start(): Promise<void> {
    const { local, deviceId } = this.#options;
    this.#status = connect({
      ...access(local),
      clientId: `connector-${deviceId}`,
      reconnectPeriod: LOCAL_RECONNECT_MS,
      will: {
        topic: CONNECTOR_STATUS,
        payload: Buffer.from(JSON.stringify({ connected: false, cause: "CONNECTION_UNKNOWN" })),
        qos: 1,
        retain: true,
      },
    });
    this.#status.on("error", (error) => this.#log(error.message));
    const first = Promise.withResolvers<void>();
    void this.#cloudLoop(first.resolve);
    await first.promise;
  }

  breakCloud(): void {
    this.#cloud?.stream.destroy();
  }

  tryNow(): void {
    this.#wake.abort();
  }

  kill(): void {
    this.#end.abort();
    this.#wake.abort();
    for (const client of [this.#status, this.#local, this.#cloud]) {
      client?.removeAllListeners("close");
      client?.end(true);
    }
  }

  async stop(): Promise<void> {
    this.#end.abort();
    this.#wake.abort();
    this.#report("CONNECTION_CLOSED");
    await this.#local?.endAsync();
    await this.#cloud?.endAsync();
    await this.#status?.endAsync(this.#status?.connected !== true);
  }

  /** Connects to the cloud, again after each loss. */
  async #cloudLoop(settled: () => void): Promise<void> {
    const { reconnectMs = RECONNECT_MS } = this.#options;
    let pauseMs = reconnectMs;
    while (!this.#end.signal.aborted) {
      const gone = this.#link.cut ? undefined : await this.#connectCloud();
      settled();
      if (gone) {
        pauseMs = reconnectMs;
        await gone.ended;
        this.#dropLocal();
      }
      if (this.#end.signal.aborted) {
        return;
      }
      this.#report("CONNECTION_ERROR");
      this.#wake = new AbortController();
      await sleep(systemClock, pauseMs, this.#wake.signal);
      pauseMs = Math.min(pauseMs * 2, reconnectMs * LONGEST_RECONNECT);
    }
  }

  /** One attempt. Resolves, boxed, with the promise of the connection's end, or with undefined when it failed. */
  async #connectCloud(): Promise<{ ended: Promise<void> } | undefined> {
    const { cloud, deviceId } = this.#options;
    const client = connect({ ...access(cloud), clientId: `hub-${deviceId}`, reconnectPeriod: 0 });
    this.#cloud = client;
    const up = Promise.withResolvers<boolean>();
    const gone = Promise.withResolvers<void>();
    client.on("error", (error) => {
      this.#log(`cloud: ${error.message}`);
      client.end(true);
    });
    client.on("close", () => {
      up.resolve(false);
      gone.resolve();
    });
    client.on("message", (topic, payload) => this.#down(topic, payload));
    client.on("connect", () => {
      client.subscribe(requestFilter(this.#naming), { qos: 0 }, (error) => up.resolve(!error));
    });
    if (!(await up.promise)) {
      client.end(true);
      return undefined;
    }
    for (const message of this.#unacknowledged) {
      this.#send(client, message);
    }
    await this.#connectLocal();
    return { ended: gone.promise };
  }

  /** The second connection to the device's broker, which keeps its session while the cloud is away. */
  async #connectLocal(): Promise<void> {
    const { local, deviceId } = this.#options;
    const client = connect({
      ...access(local),
      clientId: `cloud-${deviceId}`,
      clean: false,
      reconnectPeriod: LOCAL_RECONNECT_MS,
    });
    this.#local = client;
    client.on("error", (error) => this.#log(`local: ${error.message}`));
    client.on("message", (topic, payload) => this.#up(topic, payload));
    const ready = Promise.withResolvers<void>();
    client.once("close", () => ready.resolve());
    client.on("connect", () => {
      client.subscribe([...LOCAL_FILTERS], { qos: 1 });
      client.subscribe(IDENTITY_REQUEST, { qos: 0 }, () => {
        this.#report();
        this.#announce();
        ready.resolve();
      });
    });
    await ready.promise;
  }

  /** With a farewell, after which the broker keeps what comes for its session. */
  #dropLocal(): void {
    this.#local?.removeAllListeners("message");
    this.#local?.end();
    this.#local = undefined;
  }

  /** A request from the cloud. */
  #down(topic: string, payload: Buffer): void {
    try {
      this.#filter.request(readHeaders(payload));
      for (const local of localRequestTopics(topic)) {
        this.#local?.publish(local, payload, { qos: 1 });
      }
      this.#counts.requests++;
    } catch (error) {
      this.#drop(topic, error);
    }
  }

  /** A message of the device. */
  #up(topic: string, payload: Buffer): void {
    if (topic === IDENTITY_REQUEST) {
      this.#announce();
      return;
    }
    try {
      if (isResponse(topic)) {
        if (!this.#filter.response(readHeaders(payload))) {
          this.#counts.filtered++;
          return;
        }
        this.#forward(cloudResponseTopic(this.#naming, topic), payload);
        this.#counts.responses++;
        return;
      }
      this.#forward(cloudEventTopic(this.#naming, topic), isEvent(topic) ? stamped(payload) : payload);
      this.#counts.events++;
    } catch (error) {
      this.#drop(topic, error);
    }
  }

  #forward(topic: string, payload: Buffer | string): void {
    const cloud = this.#cloud;
    if (cloud?.connected !== true) {
      throw new Error("not Connected");
    }
    const message = { topic, payload };
    this.#unacknowledged.add(message);
    this.#send(cloud, message);
  }

  #send(cloud: MqttClient, message: Upward): void {
    cloud.publish(message.topic, message.payload, { qos: 1 }, (error) => {
      if (!error) {
        this.#unacknowledged.delete(message);
      }
    });
  }

  /** Answers each request, and speaks by itself when the cloud is there; QoS 0, not retained. */
  #announce(): void {
    const { deviceId, tenantId = "t1", policyId = "edge:policy" } = this.#options;
    this.#status?.publish(IDENTITY_RESPONSE, JSON.stringify({ deviceId, tenantId, policyId }), { qos: 0 });
  }

  /** @param cause why there is no cloud; absent when there is one */
  #report(cause?: string): void {
    const status = { connected: cause === undefined, timestamp: Math.floor(Date.now() / 1000) };
    this.#status?.publish(CONNECTOR_STATUS, JSON.stringify(cause === undefined ? status : { ...status, cause }), {
      qos: 1,
      retain: true,
    });
    this.#log(cause === undefined ? "cloud connected" : `cloud: ${cause}`);
  }

  #drop(topic: string, error: unknown): void {
    this.#counts.dropped++;
    this.#log(`dropped ${topic}: ${error instanceof Error ? error.message : String(error)}`);
  }

  #log(message: string): void {
    this.#options.log?.(`${this.#options.deviceId} connector: ${message}`);
  }
}

/** The connector sets the time at which it forwards an event, ms; nothing says when it happened. Source: routing/timestamp.go. */
function stamped(payload: Buffer): string {
  const body: unknown = JSON.parse(payload.toString("utf8"));
  if (!isObject(body)) {
    throw new Error("not an object");
  }
  const headers = isObject(body["headers"]) ? body["headers"] : {};
  return JSON.stringify({ ...body, headers: { ...headers, "x-timestamp": Date.now() } });
}

/** Address and credentials, in parts: of a url in one piece the library makes Node print a warning about `url.parse`. */
function access({ url, credentials, tls = {} }: BrokerAccess): IClientOptions {
  const { protocol, hostname, port } = new URL(url);
  const { ca, cert, key, serverName } = tls;
  return {
    protocol: protocol === "mqtts:" ? "mqtts" : "mqtt",
    hostname: hostname.replace(/^\[|\]$/g, ""),
    ...(port === "" ? {} : { port: Number(port) }),
    protocolVersion: 4,
    resubscribe: false,
    ...(credentials ? { username: credentials.username, password: credentials.password } : {}),
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(serverName === undefined ? {} : { servername: serverName }),
  };
}
