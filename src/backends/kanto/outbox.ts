/**
 * Everything that is sent to one device, numbered in the order of sending.
 *
 * The daemon handles messages strictly one after the other (container-management uses paho's Order=true, and its handlers for commands and
 * for the identity run in the same goroutine). So an answer to message n proves that every message before n has been handled, or was lost
 * on the way: nothing sent before n can still happen. That proof is what frees a command's slot when its own answer does not come.
 *
 * The daemon also queues badly: with about four messages behind a running one it loses its connection. So messages that it has not
 * provably handled are counted, and no more than a few are ever sent.
 */
import { randomUUID } from "node:crypto";
import type { BackendClock } from "../contract.ts";
import type { PublishResult } from "./connection.ts";
import { requestPayload, type Operation } from "./envelope.ts";
import type { KantoTarget, KantoTopics } from "./topics.ts";

/** What may wait at the daemon: three were handled well behind a 40 s create, six killed its connection. */
const MAX_UNHANDLED = 3;

/** The pause between messages beyond that grows to this many of the first. */
const LONGEST_WHILES = 6;

/** Writes to the broker; false if nothing left this process. */
export type Publish = (topic: string, payload: string, done: (result: PublishResult) => void) => boolean;

/** A request that was sent. */
export interface SentRequest {
  requestId: string;
  /** Its number. */
  seq: number;
}

export class Outbox {
  readonly #target: KantoTarget;
  readonly #topics: KantoTopics;
  readonly #publish: Publish;
  readonly #clock: BackendClock;
  #sent = 0;
  #proven = 0;
  #unhandled: number[] = [];
  #lastSentMs = Number.NEGATIVE_INFINITY;

  constructor(target: KantoTarget, topics: KantoTopics, publish: Publish, clock: BackendClock) {
    this.#target = target;
    this.#topics = topics;
    this.#publish = publish;
    this.#clock = clock;
  }

  /** Number of the last message sent. */
  get sent(): number {
    return this.#sent;
  }

  /** Every message with a number below this one has been handled, or never arrived. */
  get proven(): number {
    return this.#proven;
  }

  /**
   * Whether another message may be put behind what the daemon has not provably handled. With too many of them one more is allowed after a
   * while all the same, since they may as well be lost; the whiles double.
   *
   * @param whileMs the first of them.
   */
  hasRoom(whileMs: number): boolean {
    const over = this.#unhandled.length - MAX_UNHANDLED;
    if (over < 0) return true;
    return this.#clock.monotonic() - this.#lastSentMs >= whileMs * Math.min(2 ** over, LONGEST_WHILES);
  }

  /**
   * Sends a request with a fresh id.
   *
   * @param idPrefix begins the id, for people who read the broker's log.
   * @throws RangeError if it cannot be encoded safely.
   */
  request(
    idPrefix: string,
    operation: Operation,
    done: (result: PublishResult) => void = () => undefined,
  ): SentRequest | undefined {
    const requestId = `${idPrefix.replaceAll(/[^A-Za-z0-9._-]/g, "_")}-${randomUUID()}`;
    const payload = requestPayload(this.#target.thingId, requestId, operation);
    const seq = this.#send(this.#topics.command(requestId, operation.operation), payload, done);
    return seq === undefined ? undefined : { requestId, seq };
  }

  /** Publishes an identity announcement; returns its number. */
  announce(payload: string): number | undefined {
    return this.#send(this.#topics.identityResponse, payload, () => undefined);
  }

  /** The daemon answered message `seq`. */
  answered(seq: number): void {
    this.#proven = Math.max(this.#proven, seq);
    this.#unhandled = this.#unhandled.filter((waiting) => waiting > seq);
  }

  /** The daemon has just gone through a registration: nothing sent before can be waiting in it. */
  registered(): void {
    this.#unhandled = [];
  }

  #send(topic: string, payload: string, done: (result: PublishResult) => void): number | undefined {
    if (!this.#publish(topic, payload, done)) return undefined;
    this.#sent += 1;
    this.#unhandled.push(this.#sent);
    this.#lastSentMs = this.#clock.monotonic();
    return this.#sent;
  }
}
