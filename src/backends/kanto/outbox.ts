/**
 * Everything that is sent to one device, numbered in the order of sending.
 *
 * The daemon handles messages strictly one after the other (container-management uses paho's Order=true, and its handlers for commands and
 * for the identity run in the same goroutine). So an answer to message n proves that every message before n has been handled, or was lost
 * on the way: nothing sent before n can still happen. That proof is what frees a command's slot when its own answer does not come.
 *
 * The daemon also queues badly: with a third message behind a running one it reads nothing any more, stands still for 15 s at each answer
 * that it then wants acknowledged, and loses its connection by its own keepalive. So messages that it has not provably handled are counted,
 * and no more than a few are ever sent.
 */
import { randomUUID } from "node:crypto";
import type { BackendClock } from "../contract.ts";
import { requestPayload, type Operation } from "./envelope.ts";
import type { KantoTarget } from "./topics.ts";
import type { Link, PublishResult } from "./transport.ts";

/** What may wait at the daemon behind what it is doing, which may be a command of a former process. */
const MAX_WAITING = 2;

/** Numbers that are kept of them at most: more of them make no difference to hasRoom. */
const MOST_COUNTED = 64;

/** The pause between messages beyond that grows to this many of the first. */
const LONGEST_WHILES = 6;

/** A request that was sent. */
export interface SentRequest {
  requestId: string;
  /** Its number. */
  seq: number;
}

/** A connector keeps a reply for less than an hour, and takes any other value for its default of a minute (suite-connector, util/utils.go). */
const LONGEST_REPLY_S = 3_599;

/** How long a reply may take, for the `timeout` header: a string of whole seconds. "0" would mean that none is wanted. */
function replyTimeout(withinMs: number): string {
  return `${Math.min(Math.max(Math.ceil(withinMs / 1000), 1), LONGEST_REPLY_S)}s`;
}

export class Outbox {
  readonly #target: KantoTarget;
  readonly #link: Link;
  readonly #clock: BackendClock;
  #sent = 0;
  #proven = 0;
  #unhandled: number[] = [];
  #lastSentMs = Number.NEGATIVE_INFINITY;
  /** Number of the last message of the connection before this one: it may have been lost with it. */
  #formerly = 0;
  readonly #inFlight: () => number | undefined;

  /** @param inFlight number of the command that holds the device's slot, if one was sent. */
  constructor(
    target: KantoTarget,
    link: Link,
    clock: BackendClock,
    inFlight: () => number | undefined = () => undefined,
  ) {
    this.#target = target;
    this.#link = link;
    this.#clock = clock;
    this.#inFlight = inFlight;
  }

  /** Number of the last message sent. */
  get sent(): number {
    return this.#sent;
  }

  /** Every message with a number below this one has been handled, or never arrived. */
  get proven(): number {
    return this.#proven;
  }

  /** Nothing that was sent may still wait at the daemon. */
  get idle(): boolean {
    return this.#unhandled.length === 0;
  }

  /**
   * Whether another message may be put behind what the daemon has not provably handled. Behind a command in flight there is one on a
   * connection, however long that takes: its answer is the proof that is waited for, and a device that has been away speaks by itself when
   * it is back. A connector loses what it is sent while it is away, and the device behind it does not speak by itself when it is back: there
   * another one is allowed after a while. Else, with too many of them, one more is allowed after a while all the same, since they may as well
   * be lost; the whiles double.
   *
   * @param whileMs the first of them.
   */
  hasRoom(whileMs: number): boolean {
    if (this.#hasBarrier()) return false;
    // The command in flight is what the daemon is doing: it does not wait.
    const held = this.#inFlight();
    const over = this.#unhandled.filter((seq) => seq !== held).length - this.#limit();
    if (over < 0) return true;
    return this.#clock.monotonic() - this.#lastSentMs >= whileMs * Math.min(2 ** over, LONGEST_WHILES);
  }

  /**
   * Sends a request with a fresh id.
   *
   * @param idPrefix begins the id, for people who read the broker's log.
   * @param replyWithinMs how long its answer may take.
   * @throws RangeError if it cannot be encoded safely, or is larger than the link carries.
   */
  request(
    idPrefix: string,
    operation: Operation,
    replyWithinMs: number,
    done: (result: PublishResult) => void = () => undefined,
  ): SentRequest | undefined {
    const requestId = `${idPrefix.replaceAll(/[^A-Za-z0-9._-]/g, "_")}-${randomUUID()}`;
    const { replyFilter, maxBytes = Number.POSITIVE_INFINITY } = this.#link.traits;
    const payload = requestPayload(
      this.#target.thingId,
      requestId,
      operation,
      replyFilter ? { timeout: replyTimeout(replyWithinMs) } : {},
    );
    if (Buffer.byteLength(payload) > maxBytes) {
      throw new RangeError(
        `a ${operation.operation} of ${Buffer.byteLength(payload)} bytes is more than the ${maxBytes} that are carried to the device`,
      );
    }
    const seq = this.#count(this.#link.send({ requestId, operation, payload, replyWithinMs }, done));
    return seq === undefined ? undefined : { requestId, seq };
  }

  /** Publishes an identity announcement; returns its number. */
  announce(payload: string): number | undefined {
    return this.#count(this.#link.announce?.(payload) ?? false);
  }

  /** The daemon answered message `seq`. */
  answered(seq: number): void {
    this.#proven = Math.max(this.#proven, seq);
    this.#unhandled = this.#unhandled.filter((waiting) => waiting > seq);
  }

  /**
   * The daemon goes through a registration: nothing sent before it began can be waiting. What was sent since may be: a daemon that has
   * subscribed to commands before takes them all the while, and handles them after it. One that has just connected subscribes only at its
   * end, so whatever was sent to it before is lost.
   *
   * @param announcedSeq number of our announcement that made it register; 0 if it was not ours.
   * @param justConnected it has asked for its identity since the registration before.
   */
  registered(announcedSeq: number, justConnected: boolean): void {
    const keeps = announcedSeq > 0 && !justConnected;
    this.#unhandled = keeps ? this.#unhandled.filter((seq) => seq > announcedSeq) : [];
  }

  /** The connection has ended. */
  disconnected(): void {
    this.#formerly = this.#sent;
  }

  /** A message waits behind the command in flight already. What is read from a store beside the device waits for nothing. */
  #hasBarrier(): boolean {
    const held = this.#inFlight();
    if (held === undefined || this.#link.traits.inventory !== "Announce" || !this.#unhandled.includes(held))
      return false;
    return this.#unhandled.some((seq) => seq > Math.max(held, this.#formerly));
  }

  /** How many messages may wait without a pause. */
  #limit(): number {
    const held = this.#inFlight();
    const behind = this.#link.traits.inventory === "Watch" && held !== undefined && this.#unhandled.includes(held);
    return behind ? 1 : MAX_WAITING;
  }

  #count(sent: boolean): number | undefined {
    if (!sent) return undefined;
    this.#sent += 1;
    this.#unhandled.push(this.#sent);
    if (this.#unhandled.length > MOST_COUNTED) {
      // All but the command in flight: whether something waits behind it is asked by its number.
      const held = this.#inFlight();
      this.#unhandled.splice(this.#unhandled[0] === held ? 1 : 0, 1);
    }
    this.#lastSentMs = this.#clock.monotonic();
    return this.#sent;
  }
}
