// The road between Ditto and the devices on one broker: the cloud connector on the device, the messaging in between, and Ditto's connection to it,
// played as one. Messages go to the devices as commands on their MQTT topics; answers come back if their correlation id belongs to a message of
// the last `timeout` + 5 s (suite-connector, routing/commands.go), once; twin commands go to the twins. While the link of a device is down,
// what it says waits and arrives late and in order, and what is sent to it is lost: neither Ditto nor Hono keeps messages.

import { randomUUID } from "node:crypto";
import { sleep, type Clock } from "../clock.ts";
import { isObject } from "../kanto/go-json.ts";
import { MqttClient } from "../kanto/mqtt-client.ts";
import type { Credentials, TlsOptions } from "../kanto/mqtt-socket.ts";
import type { DittoFaults } from "./faults.ts";
import type { TwinStore } from "./twin-store.ts";
import type { Json } from "./types.ts";

/** A message on its way to a device. */
export interface LiveMessage {
  thingId: string;
  featureId: string;
  subject: string;
  correlationId: string;
  /** JSON text; undefined for a message without payload. */
  payload: string | undefined;
  contentType: string;
  /** Seconds; 0: no answer wanted. */
  timeoutS: number;
  /** Who sent it. */
  originator: string;
}

/** What a device answered. */
export interface LiveAnswer {
  status: number;
  value: unknown;
  contentType: string | undefined;
}

export interface BridgeOptions {
  brokerUrl: string;
  credentials?: Credentials;
  tls?: TlsOptions;
  networkClock: Clock;
  /** Length of a second of timeouts, ms. */
  secondMs: number;
  twins: TwinStore;
  faults: DittoFaults;
  reconnectMs?: number;
}

interface Pending {
  thingId: string;
  answer: (answer: LiveAnswer) => void;
  expiresAt: number;
}

const COMMAND_ANSWERS = "command//+/res/#";
const EVENTS = "e/+/+";
/** A connector goes on taking the answer to a command for so long after the command's own timeout, s. */
const FILTER_GRACE_S = 5;

export class Bridge {
  readonly #options: BridgeOptions;
  readonly #client: MqttClient;
  readonly #pending = new Map<string, Pending>();
  readonly #down = new Set<string>();
  /** What devices said while their links were down, per thing. */
  readonly #waiting = new Map<string, (() => void)[]>();
  readonly #ready = Promise.withResolvers<void>();
  readonly #end = new AbortController();
  #twinTail: Promise<void> = Promise.resolve();
  #dropped = 0;

  constructor(options: BridgeOptions) {
    this.#options = options;
    const { brokerUrl, credentials, tls, networkClock, reconnectMs } = options;
    this.#client = new MqttClient({
      url: brokerUrl,
      clientId: `ditto-bridge-${randomUUID()}`,
      clock: networkClock,
      ...(credentials ? { credentials } : {}),
      ...(tls ? { tls } : {}),
      ...(reconnectMs === undefined ? {} : { reconnectMs }),
      onConnect: () => {
        Promise.all([this.#client.subscribe(COMMAND_ANSWERS), this.#client.subscribe(EVENTS)]).then(
          () => this.#ready.resolve(),
          // A subscription that failed with its connection is made again on the next one.
          () => undefined,
        );
      },
      onMessage: async ({ topic, payload }) => this.#onDeviceMessage(topic, payload.toString("utf8")),
    });
  }

  /** Connects; resolves when it hears the devices. */
  async start(): Promise<void> {
    this.#client.start();
    await this.#ready.promise;
  }

  stop(): void {
    this.#end.abort();
    this.#client.end(true);
  }

  /** Answers that came too late, twice, or to nobody. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Takes a device's link down. What the device says from now on waits; with `lose` it is lost instead, as when the connector restarts. */
  linkDown(thingId: string, lose = false): void {
    this.#down.add(thingId);
    if (lose) {
      this.#waiting.delete(thingId);
    } else if (!this.#waiting.has(thingId)) {
      this.#waiting.set(thingId, []);
    }
  }

  /** Brings it back; what waited arrives now, in order. */
  linkUp(thingId: string): void {
    this.#down.delete(thingId);
    const waiting = this.#waiting.get(thingId) ?? [];
    this.#waiting.delete(thingId);
    for (const deliver of waiting) {
      deliver();
    }
  }

  isLinkUp(thingId: string): boolean {
    return !this.#down.has(thingId);
  }

  /**
   * Sends a message to a device.
   * @param answer called at most once, if an answer gets through
   * @returns how to stop waiting
   */
  send(message: LiveMessage, answer: (answer: LiveAnswer) => void): () => void {
    const { thingId, correlationId, timeoutS, subject } = message;
    const { networkClock, secondMs } = this.#options;
    if (this.#down.has(thingId) || !this.#client.connected) {
      return () => undefined;
    }
    const wanted = timeoutS > 0;
    if (wanted) {
      const expiresAt = networkClock.monotonic() + (timeoutS + FILTER_GRACE_S) * secondMs;
      this.#pending.set(correlationId, { thingId, answer, expiresAt });
    }
    const requestId = wanted ? correlationId : "";
    this.#client
      .publish(`command//${thingId}/req/${requestId}/${subject}`, JSON.stringify(envelope(message)))
      // Not acknowledged: nobody tells the sender, who waits for an answer that does not come.
      .catch(() => undefined);
    return () => {
      const pending = this.#pending.get(correlationId);
      if (pending) {
        pending.answer = () => undefined;
      }
    };
  }

  #onDeviceMessage(topic: string, payload: string): void {
    const [kind, tenantOrEmpty, thingId = "", role] = topic.split("/");
    if (kind === "command" && tenantOrEmpty === "" && role === "res") {
      const status = Number(topic.split("/").at(-1));
      this.#overLink(thingId, () => this.#answered(status, payload));
    } else if (kind === "e") {
      this.#overLink(thingId, () => this.#twinCommand(payload));
    }
  }

  #overLink(thingId: string, deliver: () => void): void {
    if (!this.#down.has(thingId)) {
      deliver();
      return;
    }
    this.#waiting.get(thingId)?.push(deliver);
  }

  #answered(status: number, payload: string): void {
    const body = parse(payload);
    const headers = isObject(body?.["headers"]) ? body["headers"] : {};
    const { "correlation-id": id, "content-type": contentType } = headers;
    const correlationId = typeof id === "string" ? id : "";
    const pending = this.#pending.get(correlationId);
    if (!pending || pending.expiresAt < this.#options.networkClock.monotonic()) {
      this.#dropped++;
      return;
    }
    this.#pending.delete(correlationId);
    pending.answer({
      status,
      value: body?.["value"],
      contentType: typeof contentType === "string" ? contentType : undefined,
    });
  }

  async #inTurn(work: () => Promise<void>): Promise<void> {
    await this.#twinTail;
    await work();
  }

  #twinCommand(payload: string): void {
    const { faults, twins, networkClock } = this.#options;
    const body = parse(payload);
    const [namespace, name, group, channel, criterion, action] = String(body?.["topic"]).split("/");
    if (!body || group !== "things" || channel !== "twin" || criterion !== "commands") {
      return;
    }
    if (action !== "modify" && action !== "delete") {
      return;
    }
    const thingId = `${namespace}:${name}`;
    const path = String(body["path"]);
    const times = faults.takeTwin(path);
    const dueAt = networkClock.monotonic() + faults.twinLagMs;
    this.#twinTail = this.#inTurn(async () => {
      const waitMs = dueAt - networkClock.monotonic();
      if (waitMs > 0) {
        await sleep(networkClock, waitMs, this.#end.signal);
      }
      await faults.twinGate(this.#end.signal);
      for (let time = 0; time < times && !this.#end.signal.aborted; time++) {
        twins.apply(thingId, action, path, body["value"]);
      }
    });
  }
}

/** The envelope as a device gets it: Ditto adds headers of its own, which the daemon ignores. */
function envelope({
  thingId,
  featureId,
  subject,
  correlationId,
  payload,
  contentType,
  timeoutS,
  originator,
}: LiveMessage) {
  const colon = thingId.indexOf(":");
  const value: unknown = payload === undefined ? undefined : JSON.parse(payload);
  return {
    topic: `${thingId.slice(0, colon)}/${thingId.slice(colon + 1)}/things/live/messages/${subject}`,
    headers: {
      "correlation-id": correlationId,
      "response-required": timeoutS > 0,
      version: 2,
      timeout: String(timeoutS),
      "ditto-originator": originator,
      ...(timeoutS > 0 ? { "requested-acks": ["live-response"] } : {}),
      ...(value === undefined ? {} : { "content-type": contentType }),
    },
    path: `/features/${featureId}/inbox/messages/${subject}`,
    ...(value === undefined ? {} : { value }),
  };
}

function parse(payload: string): Json | undefined {
  try {
    const value: unknown = JSON.parse(payload);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
