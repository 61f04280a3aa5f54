/**
 * Single operations on a device, for people and tests: each is sent at most once, answered or not, and nothing is decided from it. What the
 * operator does with commands (the slot, the journal, the inventory) is in session.ts; this shares its connection and its encoder.
 *
 * Before anything else is sent, a harmless probe asks whether the device takes commands at all. So an operation that stays unanswered was
 * most probably received, and a device that is switched off is told from one whose answer was lost.
 */
import type { AccountCredentials, AccountStatus, BackendClock, BackendLog } from "../../contract.ts";
import type { BackendFailure } from "../../errors.ts";
import { BrokerConnection } from "../connection.ts";
import { FACTORY_FEATURE, PROBE_OPERATION, readAnswer, type Answer, type Operation } from "../envelope.ts";
import { Outbox } from "../outbox.ts";
import { kantoTopics, routeTopic, type KantoTarget, type KantoTopics } from "../topics.ts";
import { wireOperation, type Call } from "./operations.ts";

export interface KantoClientOptions {
  /** mqtt://, mqtts://, ws:// or wss://, without credentials. */
  url: string;
  target: KantoTarget;
  credentials: AccountCredentials;
  /** Expected in the broker's certificate. Default: the host of the url. */
  serverName?: string;
  /** Default 4 (3.1.1). */
  mqttVersion?: 4 | 5;
  /** Client id at the broker; another connection with the same one would be thrown off. */
  clientId: string;
  /** How long a device may take to show that it takes commands, ms. Default 10 s, as in the operator. */
  probeTimeoutMs?: number;
}

export interface KantoClientDeps {
  clock: BackendClock;
  log: BackendLog;
  random(): number;
}

/** How a call ended. */
export type CallResult =
  /** The device says that it did it. `value`: the id of a created container. */
  | { result: "Done"; requestId: string; status: number; value?: unknown }
  /** The device says that it did not; `message` is its text. */
  | { result: "Refused"; requestId: string; status: number; message: string }
  /** It was sent, and no answer came: whether it was carried out is unknown. */
  | { result: "Unanswered"; requestId: string; failure: BackendFailure & { class: "Ambiguous" } }
  /** It never left this process. */
  | { result: "NotSent"; failure: BackendFailure };

type Reply =
  | { kind: "Answer"; requestId: string; answer: Answer }
  | { kind: "Silence"; requestId: string; why: string }
  | { kind: "Refused"; requestId: string; code: number }
  | { kind: "NotSent" };

const PROBE_TIMEOUT_MS = 10_000;
const RECONNECT_INITIAL_MS = 500;
const RECONNECT_MAX_MS = 10_000;

/** A connection to one device's broker, for a few calls. */
export class KantoClient {
  readonly #options: KantoClientOptions;
  readonly #clock: BackendClock;
  readonly #topics: KantoTopics;
  readonly #connection: BrokerConnection;
  readonly #outbox: Outbox;
  readonly #waiting = new Map<string, (answer: Answer) => void>();
  readonly #opening = Promise.withResolvers<BackendFailure | undefined>();
  /** Answers will reach us. */
  #subscribed = false;

  constructor(options: KantoClientOptions, deps: KantoClientDeps) {
    const { target } = options;
    this.#options = options;
    this.#clock = deps.clock;
    this.#topics = kantoTopics(target);
    this.#connection = new BrokerConnection(
      {
        url: options.url,
        version: options.mqttVersion ?? 4,
        clientId: options.clientId,
        credentials: options.credentials,
        ...(options.serverName !== undefined && { serverName: options.serverName }),
        reconnectInitialMs: RECONNECT_INITIAL_MS,
        reconnectMaxMs: RECONNECT_MAX_MS,
      },
      {
        opened: () => void this.#subscribe(),
        closed: () => void (this.#subscribed = false),
        message: (topic, payload, retained) => this.#onMessage(topic, payload, retained),
        status: (status) => this.#onStatus(status),
        notice: () => undefined,
        reconnected: () => undefined,
      },
      deps,
    );
    this.#outbox = new Outbox(
      target,
      this.#topics,
      (topic, payload, done) => this.#subscribed && this.#connection.publish(topic, payload, done),
      deps.clock,
    );
  }

  /**
   * Connects and subscribes. Unlike the operator it does not keep at it: the first failure is told.
   *
   * @returns why it could not; undefined if calls can be made.
   */
  open(signal?: AbortSignal): Promise<BackendFailure | undefined> {
    const { promise, resolve } = this.#opening;
    const onAbort = (): void => resolve({ class: "Unreachable", message: "stopped before the broker was connected" });
    signal?.addEventListener("abort", onAbort);
    if (signal?.aborted === true) onAbort();
    else this.#connection.start();
    return promise.finally(() => signal?.removeEventListener("abort", onAbort));
  }

  /**
   * Sends one operation, at most once, and waits for its answer. A connection that is lost meanwhile is opened again, since the answer may
   * still come; the operation is not sent again.
   *
   * @param timeoutMs how long the answer may take; see patienceMs.
   */
  async call(call: Call, timeoutMs: number, signal?: AbortSignal): Promise<CallResult> {
    const probe = { feature: FACTORY_FEATURE, operation: PROBE_OPERATION, value: {} };
    const sign = await this.#request("probe", probe, this.#options.probeTimeoutMs ?? PROBE_TIMEOUT_MS, signal);
    if (sign.kind !== "Answer") return { result: "NotSent", failure: noSign(sign) };
    const reply = await this.#request("call", wireOperation(call), timeoutMs, signal);
    switch (reply.kind) {
      case "NotSent":
        return { result: "NotSent", failure: lostBefore };
      case "Refused":
        return { result: "NotSent", failure: brokerRefuses(reply.code) };
      case "Silence": {
        const { requestId, why } = reply;
        return { result: "Unanswered", requestId, failure: { class: "Ambiguous", message: why } };
      }
      case "Answer": {
        const { requestId } = reply;
        const { status, value, message } = reply.answer;
        if (status < 200 || status >= 300) return { result: "Refused", requestId, status, message };
        return { result: "Done", requestId, status, ...(value !== undefined && { value }) };
      }
      default:
        return reply satisfies never;
    }
  }

  /** Ends the connection; a call that waits stays unanswered by its own timeout. */
  close(): Promise<void> {
    return this.#connection.close();
  }

  #request(prefix: string, operation: Operation, timeoutMs: number, signal?: AbortSignal): Promise<Reply> {
    const { promise, resolve } = Promise.withResolvers<Reply>();
    const sent = this.#outbox.request(prefix, operation, (result) => {
      // An unconfirmed one may have arrived: its answer is waited for.
      if (sent !== undefined && result.kind === "Refused") {
        resolve({ kind: "Refused", requestId: sent.requestId, code: result.code });
      }
    });
    if (sent === undefined) return Promise.resolve({ kind: "NotSent" });
    const { requestId, seq } = sent;
    this.#waiting.set(requestId, (answer) => {
      this.#outbox.answered(seq);
      resolve({ kind: "Answer", requestId, answer });
    });
    const silence = (why: string): void => resolve({ kind: "Silence", requestId, why });
    const timer = this.#clock.setTimeout(() => silence(`no answer within ${timeoutMs / 1000} s`), timeoutMs);
    const onAbort = (): void => silence("stopped before an answer came");
    signal?.addEventListener("abort", onAbort);
    if (signal?.aborted === true) onAbort();
    return promise.finally(() => {
      this.#clock.clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      this.#waiting.delete(requestId);
    });
  }

  async #subscribe(): Promise<void> {
    try {
      await this.#connection.subscribe(this.#topics.filters);
    } catch (error) {
      const cause = error instanceof Error ? error.message : "unknown error";
      const filters = this.#topics.filters.join(", ");
      this.#opening.resolve({
        class: "Unauthorized",
        message: `the broker refuses the subscription to this device's topics (${cause}): allow ${filters}`,
      });
      return;
    }
    this.#subscribed = true;
    this.#opening.resolve(undefined);
  }

  #onMessage(topic: string, payload: Buffer, retained: boolean): void {
    const route = routeTopic(this.#options.target, topic);
    // Everything else on these topics is for others; a retained answer is somebody's leftover.
    if (route?.kind !== "Response" || retained) return;
    const { requestId, status } = route;
    const damaged = { status, message: "", value: undefined, refused: false };
    this.#waiting.get(requestId)?.(readAnswer(status, payload.toString("utf8")) ?? damaged);
  }

  #onStatus(status: AccountStatus): void {
    if (status.state !== "Failed") return;
    // A lower version of MQTT is about to be tried.
    if (status.nextTryMs !== undefined && status.nextTryMs <= this.#clock.now()) return;
    const failureClass = status.reason === "Unauthorized" ? "Unauthorized" : "Unreachable";
    this.#opening.resolve({ class: failureClass, message: status.message });
  }
}

const lostBefore: BackendFailure = {
  class: "Unreachable",
  message: "the connection to the broker was lost before it was sent",
};

/** Why the device was not sent what was wanted of it. */
function noSign(reply: Exclude<Reply, { kind: "Answer" }>): BackendFailure {
  switch (reply.kind) {
    case "NotSent":
      return lostBefore;
    case "Refused":
      return brokerRefuses(reply.code);
    case "Silence":
      return {
        class: "Unreachable",
        message: `the device does not show that it takes commands (${reply.why}): it is off or disconnected, nobody has told it its identity, or it is busy with another command`,
      };
    default:
      return reply satisfies never;
  }
}

/** MQTT 5: the PUBACK's reason code (3.4.2.1). */
function brokerRefuses(code: number): BackendFailure {
  const message = `the broker refuses to pass commands on (reason 0x${code.toString(16)})`;
  return { class: "Unauthorized", message };
}
