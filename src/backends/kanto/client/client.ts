/**
 * Single operations on a device, for people and tests: each is sent at most once, answered or not, and nothing is decided from it. What the
 * operator does with commands (the slot, the journal, the inventory) is in session.ts; this shares its connection and its encoder.
 *
 * Before anything else is sent, a harmless probe asks whether the device takes commands at all. So an operation that stays unanswered was
 * most probably received, and a device that is switched off is told from one whose answer was lost.
 */
import type { EdgeBackendSpec } from "../../../crds/edge-backend.ts";
import type { AccountCredentials, AccountStatus, BackendClock, BackendDeps } from "../../contract.ts";
import type { BackendFailure } from "../../errors.ts";
import { createTransport } from "../account.ts";
import { FACTORY_FEATURE, PROBE_OPERATION, readAnswer, type Answer, type Operation } from "../envelope.ts";
import { Outbox } from "../outbox.ts";
import type { KantoTarget } from "../topics.ts";
import type { Inbound, Transport } from "../transport.ts";
import { wireOperation, type Call } from "./operations.ts";

export interface KantoClientOptions {
  /** The endpoint and how it is spoken to, as an EdgeBackend has it; already validated. */
  spec: EdgeBackendSpec;
  credentials: AccountCredentials;
  target: KantoTarget;
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
  | { kind: "Refused"; requestId: string; reason: string; denied: boolean }
  | { kind: "NotSent" };

/** How long a device may take to show that it takes commands, ms; as in the operator. */
const PROBE_TIMEOUT_MS = 10_000;

/** A connection to one device's endpoint, for a few calls. */
export class KantoClient {
  readonly #clock: BackendClock;
  readonly #probeTimeoutMs: number;
  readonly #transport: Transport;
  readonly #outbox: Outbox;
  readonly #waiting = new Map<string, (answer: Answer) => void>();
  readonly #opening = Promise.withResolvers<BackendFailure | undefined>();
  /** Answers will reach us. */
  #up = false;

  /** @param deps neither fence is asked: whoever calls by hand decides for himself. */
  constructor({ spec, credentials, target }: KantoClientOptions, deps: BackendDeps) {
    const { kanto } = spec;
    if (kanto === undefined) throw new RangeError("not an EdgeBackend of type kanto");
    this.#clock = deps.clock;
    this.#probeTimeoutMs = deps.timings.probeTimeoutMs ?? PROBE_TIMEOUT_MS;
    this.#transport = createTransport(
      { spec, kanto, credentials },
      {
        ...deps,
        onStatus: (status) => this.#onStatus(status),
        onNotice: () => undefined,
        malformed: (kind) => deps.metrics.malformed("kanto", kind),
      },
    );
    const link = this.#transport.attach(target, {
      up: () => {
        this.#up = true;
        this.#opening.resolve(undefined);
      },
      down: () => void (this.#up = false),
      refused: (message) => this.#opening.resolve({ class: "Unauthorized", message }),
      receive: (inbound) => this.#onInbound(inbound),
    });
    this.#outbox = new Outbox(target, link, deps.clock);
  }

  /**
   * Connects. Unlike the operator it does not keep at it: the first failure is told.
   *
   * @returns why it could not; undefined if calls can be made.
   */
  open(signal?: AbortSignal): Promise<BackendFailure | undefined> {
    const { promise, resolve } = this.#opening;
    const onAbort = (): void => resolve({ class: "Unreachable", message: "stopped before the broker was connected" });
    signal?.addEventListener("abort", onAbort);
    if (signal?.aborted === true) onAbort();
    else this.#transport.start();
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
    const sign = await this.#request("probe", probe, this.#probeTimeoutMs, signal);
    if (sign.kind !== "Answer") return { result: "NotSent", failure: noSign(sign) };
    let reply: Reply;
    try {
      reply = await this.#request("call", wireOperation(call), timeoutMs, signal);
    } catch (error) {
      // Thrown by the encoder, before anything was sent.
      if (!(error instanceof RangeError)) throw error;
      return { result: "NotSent", failure: { class: "Invalid", reason: "InvalidSpec", message: error.message } };
    }
    switch (reply.kind) {
      case "NotSent":
        return { result: "NotSent", failure: lostBefore };
      case "Refused":
        return { result: "NotSent", failure: endpointRefuses(reply) };
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
    return this.#transport.close();
  }

  #request(prefix: string, operation: Operation, timeoutMs: number, signal?: AbortSignal): Promise<Reply> {
    const { promise, resolve } = Promise.withResolvers<Reply>();
    if (!this.#up) return Promise.resolve({ kind: "NotSent" });
    const sent = this.#outbox.request(prefix, operation, timeoutMs, (result) => {
      // An unconfirmed one may have arrived: its answer is waited for.
      if (sent === undefined || result.kind !== "Refused") return;
      resolve({ ...result, requestId: sent.requestId });
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

  #onInbound(inbound: Inbound): void {
    // Everything else is for others.
    if (inbound.kind !== "Response") return;
    const { requestId, status, payload } = inbound;
    const damaged = { status, message: "", value: undefined, refused: false };
    this.#waiting.get(requestId)?.(readAnswer(status, payload) ?? damaged);
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
      return endpointRefuses(reply);
    case "Silence":
      return {
        class: "Unreachable",
        message: `the device does not show that it takes commands (${reply.why}): it is off or disconnected, nobody has told it its identity, or it is busy with another command`,
      };
    default:
      return reply satisfies never;
  }
}

function endpointRefuses({ reason, denied }: Reply & { kind: "Refused" }): BackendFailure {
  const message = `commands are not passed on: ${reason}`;
  return denied ? { class: "Unauthorized", message } : { class: "Transient", message };
}
