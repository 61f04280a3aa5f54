/**
 * Transport Ditto: devices spoken to through the HTTP API of Eclipse Ditto, version 2. Commands are messages to features; state is read from
 * the twin, and followed by server-sent events. Sources: eclipse-ditto/ditto, documentation pages httpapi-messages, httpapi-sse and
 * httpapi-concepts, and gateway/service (MessagesRoute, ThingsSseRouteBuilder, AbstractHttpRequestActor).
 *
 * What a twin is: what the device said last, as far as it arrived. It says nothing of whether the device is there, so presence is found out by
 * messages that the device answers, and twin-sync.ts decides when a twin counts as complete.
 */
import type { Dispatcher } from "undici";
import type { AccountStatus, WriteFence } from "../../contract.ts";
import { BACKEND_DEFAULTS } from "../../../crds/default-values.ts";
import { TargetError } from "../../errors.ts";
import { HttpClient, type HttpResult } from "../../http/client.ts";
import { isReadable, plainHttp, tlsOf } from "../../http/account.ts";
import { createDispatcher } from "../../http/dispatcher.ts";
import { exchange } from "../../http/exchange.ts";
import { AccountGate, type ProbeResult } from "../../http/gate.ts";
import { oneLine, redact } from "../../http/text.ts";
import type { KantoTarget } from "../topics.ts";
import type { Link, LinkHandlers, Transport, TransportDeps, TransportOptions } from "../transport.ts";
import { authentication, type Authentication } from "./credentials.ts";
import { DittoLink, type DittoLinkHost, type DittoLinkOptions } from "./link.ts";
import { followStream } from "./stream.ts";

/** Defaults of BackendTimings, ms. */
const PROBE_TIMEOUT_MS = 10_000;
const RECONNECT_INITIAL_MS = 1_000;
const RECONNECT_MAX_MS = 60_000;
const CONNECT_TIMEOUT_MS = 10_000;
/** Longest silence of a stream, in probe timeouts: 20 s with 10 s; heart-beats come once a second, and proxies hold them back for a while. */
const IDLE_TIMES = 2;
/** A subscription that is spread over Ditto's nodes holds within so much of the probe timeout: 2 s of 10 s. */
const SUBSCRIBE_PART = 5;
/** A message is through Ditto's gateway, or lost, within so much of the probe timeout: 5 s of 10 s. */
const ORDER_PART = 2;
/** Pause between looks at the count of a twin, ms: what a stream has lost in silence is found out this late. */
const REFRESH_MS = 60_000;
/** How long a message may wait for a connection, ms; then it is not sent. */
const MESSAGE_CONNECT_MS = 3_000;
const ANSWER_IDLE_MS = 15_000;
/** Ditto's own maximum (gateway.conf, message.max-timeout). */
const MAX_TIMEOUT_S = 60;
/** Largest answer that is read, bytes. */
const MAX_BYTES = 4 * 1024 * 1024;

/** Of what changes nothing; a message that is fenced at all is never taken for repeatable. */
const UNFENCED: WriteFence = { valid: () => true };

export class DittoTransport implements Transport {
  readonly endpoint: string;
  readonly #deps: TransportDeps;
  readonly #client: HttpClient;
  readonly #gate: AccountGate;
  readonly #authentication: Authentication;
  readonly #linkOptions: DittoLinkOptions;
  readonly #linkHost: DittoLinkHost;
  readonly #connections: Dispatcher;
  /** By thing. */
  readonly #links = new Map<string, DittoLink>();
  readonly #idleTimeoutMs: number;
  #maxTimeoutS = MAX_TIMEOUT_S;
  #opens = 0;
  #closed = false;

  constructor({ spec, kanto, credentials }: TransportOptions, deps: TransportDeps) {
    this.#deps = deps;
    const { origin, pathname } = new URL(kanto.url);
    const basePath = pathname.replace(/\/+$/, "");
    this.endpoint = `${origin}${basePath}`;
    this.#authentication = authentication(credentials);
    if (isReadable(kanto.url)) deps.onNotice(plainHttp(this.endpoint));
    const { headers, secrets } = this.#authentication;
    const { timings } = deps;
    const probeTimeoutMs = timings.probeTimeoutMs ?? PROBE_TIMEOUT_MS;
    this.#idleTimeoutMs = probeTimeoutMs * IDLE_TIMES;
    const tls = tlsOf(spec, credentials);
    const limits = { ...BACKEND_DEFAULTS.rateLimit, ...spec.rateLimit };
    this.#client = new HttpClient(
      { url: kanto.url, tls, authHeaders: headers, secrets, limits, maxBytes: MAX_BYTES },
      deps,
    );
    const reconnectInitialMs = timings.reconnectInitialMs ?? RECONNECT_INITIAL_MS;
    const reconnectMaxMs = timings.reconnectMaxMs ?? RECONNECT_MAX_MS;
    this.#gate = new AccountGate(
      deps.clock,
      { initialMs: reconnectInitialMs, maxMs: reconnectMaxMs },
      { probe: () => this.#probe(), changed: (status) => this.#onStatus(status), random: () => deps.random() },
    );
    const connection = { env: process.env, connectTimeoutMs: CONNECT_TIMEOUT_MS };
    // A stream for each device, and a connection for each message that waits for its answer.
    this.#connections = createDispatcher(origin, tls, { ...connection, connections: Number.MAX_SAFE_INTEGER });
    this.#linkOptions = {
      reconnectInitialMs,
      reconnectMaxMs,
      graceMs: probeTimeoutMs,
      orderMs: probeTimeoutMs / ORDER_PART,
      subscribeMs: probeTimeoutMs / SUBSCRIBE_PART,
      refreshMs: Math.min(REFRESH_MS, timings.observeIntervalMs ?? REFRESH_MS),
    };
    this.#linkHost = this.#makeLinkHost(origin, basePath);
  }

  get status(): AccountStatus {
    return this.#gate.status;
  }

  start(): void {
    this.#gate.check();
  }

  attach(target: KantoTarget, handlers: LinkHandlers): Link {
    if (target.topicPrefix !== "") {
      throw new TargetError("InvalidSpec", "a thing in Ditto has no topics: leave spec.kanto.topicPrefix out");
    }
    if (this.#links.has(target.thingId)) {
      throw new TargetError("InvalidSpec", `thing ${target.thingId} is followed already`);
    }
    const link = new DittoLink(target, handlers, this.#linkOptions, this.#linkHost);
    this.#links.set(target.thingId, link);
    // Nothing may be told before the caller has its link.
    queueMicrotask(() => {
      if (this.#links.get(target.thingId) === link && this.#gate.isOpen) link.start();
    });
    return {
      traits: link.traits,
      where: link.where,
      send: (request, done) => link.send(request, done),
      fetch: () => link.fetch(),
      close: () => {
        link.close();
        if (this.#links.get(target.thingId) === link) this.#links.delete(target.thingId);
      },
    };
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#gate.close();
    for (const link of this.#links.values()) link.close();
    this.#links.clear();
    await Promise.all([this.#client.close(), this.#connections.destroy()]);
  }

  #makeLinkHost(origin: string, basePath: string): DittoLinkHost {
    const { clock, log, fence } = this.#deps;
    const headers = { "user-agent": "drayage", ...this.#authentication.headers };
    return {
      clock,
      log,
      random: () => this.#deps.random(),
      maxTimeoutS: () => this.#maxTimeoutS,
      lowerMaxTimeout: (seconds) => this.#lowerMaxTimeout(seconds),
      paused: () => this.#client.pausedMs > 0,
      read: (path) => this.#client.send({ method: "GET", path, write: false }),
      post: (message, signal) =>
        exchange(
          this.#connections,
          {
            method: "POST",
            origin,
            path: `${basePath}${message.path}`,
            headers: {
              ...headers,
              accept: "application/json",
              "content-type": "application/json",
              "correlation-id": message.correlationId,
            },
            body: message.body,
            fence: message.fenced ? fence : UNFENCED,
            connectTimeoutMs: MESSAGE_CONNECT_MS,
            headersTimeoutMs: message.answerTimeoutMs,
            idleTimeoutMs: ANSWER_IDLE_MS,
            totalTimeoutMs: message.answerTimeoutMs + ANSWER_IDLE_MS,
            maxBytes: MAX_BYTES,
            signal,
          },
          clock,
        ),
      follow: (path, signal, handlers) =>
        followStream(
          this.#connections,
          {
            origin,
            path: `${basePath}${path}`,
            headers,
            connectTimeoutMs: CONNECT_TIMEOUT_MS,
            headersTimeoutMs: this.#idleTimeoutMs,
            idleTimeoutMs: this.#idleTimeoutMs,
            signal,
          },
          handlers,
          clock,
        ),
      malformed: (kind, where) => this.#deps.malformed(kind, where),
      unauthorized: (message) => this.#gate.refused(message),
      doubt: () => this.#gate.doubt(),
      clean: (text) => oneLine(redact(text, this.#authentication.secrets)),
    };
  }

  #lowerMaxTimeout(seconds: number): void {
    if (seconds >= this.#maxTimeoutS) return;
    this.#maxTimeoutS = seconds;
    this.#deps.onNotice({
      reason: "DittoMessageTimeout",
      message: `${this.endpoint} waits at most ${seconds} s for the answer to a message (ditto.gateway.message.max-timeout): what takes longer, e.g. a pull that fails late, ends without the device's own error text`,
      type: "Normal",
    });
  }

  /** Harmless, cheap, and refused with wrong credentials. Old versions and strict proxies do not know it: 404 is an answer, too. */
  async #probe(): Promise<ProbeResult> {
    return probeResult(
      this.endpoint,
      await this.#client.send({ method: "GET", path: "/api/2/whoami", write: false, urgency: "Urgent" }),
    );
  }

  #onStatus(status: AccountStatus): void {
    if (this.#closed) return;
    if (status.state === "Connected") {
      this.#opens += 1;
      if (this.#opens > 1) this.#deps.metrics.reconnect("kanto");
      this.#deps.log.info({ endpoint: this.endpoint }, "connected to Ditto");
    } else if (status.state === "Failed") {
      this.#deps.log.warn({ endpoint: this.endpoint, reason: status.reason }, status.message);
    }
    for (const link of this.#links.values()) {
      if (status.state === "Connected") link.start();
      else link.stop();
    }
    this.#deps.onStatus(status);
  }
}

function probeResult(endpoint: string, result: HttpResult): ProbeResult {
  const failed = (reason: "ConnectionFailed" | "Unauthorized" | "TLSFailed", cause: string): ProbeResult => ({
    ok: false,
    reason,
    message: `cannot use ${endpoint}: ${cause}`,
  });
  switch (result.kind) {
    case "NotSent":
      return failed(result.tls ? "TLSFailed" : "ConnectionFailed", result.message);
    case "Broken":
      return failed("ConnectionFailed", result.message);
    case "Answer": {
      const { status } = result;
      if (status === 401) return failed("Unauthorized", "it refuses the credentials (401): check the Secret");
      if (status === 403) return failed("Unauthorized", `it refuses this user (403): ${result.message}`);
      if (status === 429 || status >= 500) return failed("ConnectionFailed", `it answers ${status}: ${result.message}`);
      return { ok: true };
    }
    default:
      return result satisfies never;
  }
}
