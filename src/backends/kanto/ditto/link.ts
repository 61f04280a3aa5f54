/**
 * The way to one device through Ditto: messages out, notifications in (stream.ts), and the twin to read.
 *
 * Ditto tells nothing again after a reconnection, and begins to tell a little after it has answered the request for a stream; so the twin is
 * read when a stream opens (twin-follower.ts), and its count is compared a moment later, and now and then.
 *
 * A message is handed to undici at once, which writes it in the next turn of the event loop at the soonest: an idle connection is first looked
 * at for its end, and without one a new one is opened, for a few seconds at most. The fence is asked in the turn of the write
 * (http/exchange.ts). What was not written by then never is, and counts as refused: proven unsent. Nothing is ever written twice.
 *
 * Messages have no order among each other but that of time: each has its own connection.
 *
 * A stream that breaks is made anew at once. Only when that takes long are answers and events said to reach us no more: a proxy that ends
 * streams every few minutes is no reason to doubt a device.
 */
import type { BackendClock, BackendLog } from "../../contract.ts";
import type { HttpResult } from "../../http/client.ts";
import type { ExchangeResult } from "../../http/exchange.ts";
import { PROBE_OPERATION, SOFTWARE_FEATURE } from "../envelope.ts";
import type { KantoTarget } from "../topics.ts";
import type { Link, LinkHandlers, LinkTraits, PublishResult, Request } from "../transport.ts";
import { judgeAnswer, type MessageVerdict } from "./answers.ts";
import { STREAM_FIELDS } from "./notifications.ts";
import type { StreamEnd, StreamHandlers } from "./stream.ts";
import { TwinFollower } from "./twin-follower.ts";

export interface DittoLinkOptions {
  reconnectInitialMs: number;
  reconnectMaxMs: number;
  /** How long a stream may be away before answers and events count as not reaching us, ms. */
  graceMs: number;
  /** How much later than a command a further message is sent at the soonest while that one is unanswered, ms. */
  orderMs: number;
  /** How long after a stream's head its subscription may take to hold, ms. */
  subscribeMs: number;
  /** Pause between looks at the count of the twin, ms. */
  refreshMs: number;
}

/** A message to a feature. */
export interface OutgoingMessage {
  path: string;
  correlationId: string;
  /** JSON. */
  body: string;
  /** It changes something: the fence must hold in the turn in which it is written. Whether a probe may be sent, the session has decided. */
  fenced: boolean;
  /** Until the head of its answer, ms. */
  answerTimeoutMs: number;
}

/** What a link needs of its transport. */
export interface DittoLinkHost {
  readonly clock: BackendClock;
  readonly log: BackendLog;
  random(): number;
  /** Longest `timeout` of a message that this Ditto takes, s. */
  maxTimeoutS(): number;
  lowerMaxTimeout(seconds: number): void;
  /** Whether Ditto has asked for patience. */
  paused(): boolean;
  read(path: string): Promise<HttpResult>;
  /** Sends a message once, or not at all; never rejects. */
  post(message: OutgoingMessage, signal: AbortSignal): Promise<ExchangeResult>;
  follow(path: string, signal: AbortSignal, handlers: StreamHandlers): Promise<StreamEnd>;
  malformed(kind: string, where: string): void;
  /** Ditto refuses the credentials. */
  unauthorized(message: string): void;
  /** A request got no answer. */
  doubt(): void;
  /** What a text of Ditto's may be shown as. */
  clean(text: string): string;
}

const TRAITS: LinkTraits = { inventory: "Fetch", replyFilter: false, confirmedByReply: true };
/** A stream that lasted this long was a success: the next delay begins anew. */
const STABLE_MS = 10_000;
/** A thing that Ditto refuses is asked for again this much later, ms. */
const REFUSED_RETRY_MS = 60_000;
/** Beyond its timeout a message's answer may be under way for so long, ms. */
const ANSWER_GRACE_MS = 10_000;

export class DittoLink implements Link {
  readonly traits = TRAITS;
  readonly where: string;
  readonly #target: KantoTarget;
  readonly #handlers: LinkHandlers;
  readonly #options: DittoLinkOptions;
  readonly #host: DittoLinkHost;
  readonly #thingPath: string;
  readonly #twin: TwinFollower;
  readonly #closing = new AbortController();
  readonly #timers = new Map<"retry" | "grace" | "subscribed" | "refresh", unknown>();
  #stream: AbortController | undefined;
  /** The stream's head has come. */
  #streaming = false;
  #up = false;
  #wanted = false;
  #closed = false;
  #failures = 0;
  #streamOpenedMs = 0;
  /** The last command, until it was answered; not a mark, which may come at any time. */
  #open: { requestId: string; sentMs: number } | undefined;

  constructor(target: KantoTarget, handlers: LinkHandlers, options: DittoLinkOptions, host: DittoLinkHost) {
    this.#target = target;
    this.#handlers = handlers;
    this.#options = options;
    this.#host = host;
    this.#thingPath = `/api/2/things/${encodeURIComponent(target.thingId)}`;
    this.where = `things/${target.thingId}`;
    this.#twin = new TwinFollower({
      thingId: target.thingId,
      read: (fields) => host.read(`${this.#thingPath}?fields=${fields}`),
      live: () => this.#up,
      receive: (inbound) => handlers.receive(inbound),
      malformed: (kind) => host.malformed(kind, this.where),
      failed: (status, message) => this.#onReadFailed(status, message),
    });
  }

  /** Ditto is in reach: connects, and keeps at it until `stop`. */
  start(): void {
    if (this.#closed || this.#wanted) return;
    this.#wanted = true;
    this.#connect();
  }

  /** Ditto is out of reach. */
  stop(): void {
    if (!this.#wanted) return;
    this.#wanted = false;
    this.#disconnect();
  }

  send(request: Request, done: (result: PublishResult) => void): boolean {
    const { operation, requestId } = request;
    const sentMs = this.#host.clock.monotonic();
    if (!this.#up || this.#host.paused()) return false;
    const probe = operation.operation === PROBE_OPERATION;
    // A mark changes no container: who may only look puts it, too.
    const harmless = probe || operation.feature === SOFTWARE_FEATURE;
    // Each message has a connection of its own, and two may overtake each other on their way into Ditto. The answer to a probe proves that
    // everything sent before has ended, so a probe must not be so close behind a command that it could come before it.
    if (probe && this.#open !== undefined && sentMs - this.#open.sentMs < this.#options.orderMs) return false;
    const timeoutS = this.#host.maxTimeoutS();
    const path = `${this.#thingPath}/features/${encodeURIComponent(operation.feature)}/inbox/messages/${operation.operation}?timeout=${timeoutS}`;
    const message: OutgoingMessage = {
      path,
      correlationId: requestId,
      body: JSON.stringify(operation.value),
      fenced: !harmless,
      answerTimeoutMs: timeoutS * 1000 + ANSWER_GRACE_MS,
    };
    if (!harmless) this.#open = { requestId, sentMs };
    void this.#send(request, message, done);
    return true;
  }

  fetch(): boolean {
    if (!this.#up) return false;
    this.#twin.fetch();
    return true;
  }

  close(): void {
    this.#closed = true;
    this.#wanted = false;
    this.#closing.abort();
    this.#disconnect();
  }

  // Messages.

  async #send(request: Request, message: OutgoingMessage, done: (result: PublishResult) => void): Promise<void> {
    const result = await this.#host.post(message, this.#closing.signal);
    if (this.#closed) return;
    const verdict = verdictOf(result);
    const { requestId, operation } = request;
    if (verdict.kind !== "Unknown" && this.#open?.requestId === requestId) this.#open = undefined;
    switch (verdict.kind) {
      case "Answered": {
        done({ kind: "Acknowledged", noSubscriber: false });
        const { status, value } = verdict;
        const payload = `{"status":${status}${value === "" ? "" : `,"value":${value}`}}`;
        this.#handlers.receive({ kind: "Response", requestId, status, payload });
        return;
      }
      case "Refused":
        if (verdict.maxTimeoutS !== undefined) this.#host.lowerMaxTimeout(verdict.maxTimeoutS);
        if (result.kind === "Answer" && result.status === 401)
          this.#host.unauthorized(this.#host.clean(verdict.reason));
        if (result.kind === "Answer" && (result.status === 403 || result.status === 404)) {
          this.#handlers.refused(this.#rights(this.#host.clean(verdict.reason)));
        }
        done({ kind: "Refused", denied: verdict.denied, reason: this.#host.clean(verdict.reason) });
        this.#handlers.receive({ kind: "NoReply", requestId });
        return;
      case "Unknown":
        this.#host.log.debug(
          { target: this.where, requestId, operation: operation.operation, reason: this.#host.clean(verdict.reason) },
          "a message got no answer of the device",
        );
        if (result.kind !== "Answer") this.#host.doubt();
        done({ kind: "Unconfirmed" });
        this.#handlers.receive({ kind: "NoReply", requestId });
        return;
      default:
        verdict satisfies never;
    }
  }

  // The stream.

  #connect(): void {
    this.#clear("retry");
    const stream = new AbortController();
    this.#stream = stream;
    void this.#follow(stream);
  }

  async #follow(stream: AbortController): Promise<void> {
    const query = new URLSearchParams({ ids: this.#target.thingId, fields: STREAM_FIELDS });
    const end = await this.#host.follow(`/api/2/things?${query.toString()}`, stream.signal, {
      opened: () => this.#onStreaming(stream),
      data: (text) => {
        if (this.#stream === stream) this.#twin.notified(text);
      },
    });
    if (this.#stream !== stream) return;
    this.#onStreamEnd(end);
  }

  #onStreaming(stream: AbortController): void {
    if (this.#stream !== stream) return;
    this.#streaming = true;
    this.#streamOpenedMs = this.#host.clock.monotonic();
    this.#clear("grace");
    // What changed between the head and the time from which Ditto tells shows in the count.
    this.#after("subscribed", this.#options.subscribeMs, () => void this.#twin.compare());
    this.#scheduleRefresh();
    if (this.#up) void this.#twin.read();
    else this.#rise();
  }

  #onStreamEnd(end: StreamEnd): void {
    const { clock, log } = this.#host;
    const lasted = this.#streaming && clock.monotonic() - this.#streamOpenedMs >= STABLE_MS;
    this.#stream = undefined;
    this.#streaming = false;
    this.#clear("subscribed");
    if (lasted) this.#failures = 0;
    const message = this.#host.clean(end.message);
    if (end.status === 401) {
      this.#host.unauthorized(message);
      return;
    }
    if (end.status === 403) this.#handlers.refused(`Ditto forbids the stream of changes: ${message}`);
    if (end.status === undefined && !lasted) this.#host.doubt();
    const delayMs = this.#nextDelayMs();
    log.debug({ target: this.where, delayMs, message }, "the stream of changes ended");
    if (this.#up && !this.#timers.has("grace")) this.#after("grace", this.#options.graceMs, () => this.#fall());
    this.#after("retry", delayMs, () => this.#connect());
  }

  #onReadFailed(status: number | undefined, message: string): void {
    const text = status === undefined ? message : `Ditto answers ${status}${message === "" ? "" : `: ${message}`}`;
    if (status === 401) {
      this.#host.unauthorized(text);
      return;
    }
    if (status === 403 || status === 404) {
      this.#handlers.refused(this.#rights(text));
      this.#disconnect();
      if (this.#wanted) this.#after("retry", REFUSED_RETRY_MS, () => this.#connect());
      return;
    }
    this.#host.log.debug({ target: this.where, message: this.#host.clean(text) }, "a read of the twin failed");
    this.#host.doubt();
  }

  #rights(text: string): string {
    return `${text}; is there a thing ${this.#target.thingId}, and may this user READ thing:/ and WRITE message:/ of it (policy of the thing)?`;
  }

  // Up and down.

  #rise(): void {
    if (this.#up || !this.#streaming || !this.#wanted) return;
    this.#up = true;
    this.#handlers.up(false);
    // For those who were told nothing while it was down.
    void this.#twin.read();
  }

  #fall(): void {
    if (!this.#up) return;
    this.#up = false;
    this.#handlers.down();
  }

  #disconnect(): void {
    for (const timer of this.#timers.keys()) this.#clear(timer);
    this.#stream?.abort();
    this.#stream = undefined;
    this.#streaming = false;
    this.#twin.reset();
    if (!this.#closed) this.#fall();
    this.#up = false;
  }

  #scheduleRefresh(): void {
    const jitter = 0.9 + 0.2 * this.#host.random();
    this.#after("refresh", this.#options.refreshMs * jitter, () => {
      void this.#twin.compare();
      this.#scheduleRefresh();
    });
  }

  #nextDelayMs(): number {
    const { reconnectInitialMs, reconnectMaxMs } = this.#options;
    const base = Math.min(reconnectInitialMs * 2 ** Math.min(this.#failures, 30), reconnectMaxMs);
    this.#failures += 1;
    return Math.round(base * (0.8 + 0.4 * this.#host.random()));
  }

  #after(timer: "retry" | "grace" | "subscribed" | "refresh", delayMs: number, run: () => void): void {
    this.#clear(timer);
    const handle = this.#host.clock.setTimeout(() => {
      this.#timers.delete(timer);
      run();
    }, delayMs);
    this.#timers.set(timer, handle);
  }

  #clear(timer: "retry" | "grace" | "subscribed" | "refresh"): void {
    this.#host.clock.clearTimeout(this.#timers.get(timer));
    this.#timers.delete(timer);
  }
}

function verdictOf(result: ExchangeResult): MessageVerdict {
  switch (result.kind) {
    case "Answer":
      return judgeAnswer(result.status, result.body.toString("utf8"));
    case "NotSent":
      return { kind: "Refused", denied: false, reason: `nothing was sent: ${result.message}` };
    case "Broken":
      return { kind: "Unknown", reason: result.message };
    default:
      return result satisfies never;
  }
}
