/**
 * Tells people what happened, as events.k8s.io/v1 Events that `kubectl describe` shows. Never in anybody's way: `record`
 * returns at once, failures are counted and forgotten, and what would flood is dropped and counted.
 *
 * The same thing happening again within six minutes becomes one event with a series (count and last time), as in client-go
 * (tools/events/event_broadcaster.go); the first repetition is written at once, later ones at most once a minute. New events
 * about one object are limited to 25 at once and then one in five minutes (client-go, tools/record/events_cache.go).
 */

import type { KubeClient } from "./client.ts";
import { sleep, type Clock, type Timer } from "./clock.ts";
import { isAlreadyExists, isNamespaceTerminating, isNotFound, isRetryable } from "./errors.ts";
import { EVENTS, newEvent, type EventInput, type KubeEvent } from "./event-record.ts";
import { microTime } from "./lease-record.ts";
import { TokenBucket } from "./token-bucket.ts";
import type { KubeObject } from "./types.ts";

export interface EventRecorderOptions {
  client: KubeClient;
  /** Who reports, a qualified name such as "drayage.dev/operator". */
  controller: string;
  /** Which process of it, such as the election identity. At most 128 characters are kept. */
  instance: string;
  /** A thing is the same series if it happens again within this time. Default 6 min. */
  seriesMs?: number;
  /** Least time between two updates of one series. Default 1 min. */
  seriesUpdateMs?: number;
  /** New events about one object: so many at once. Default 25. */
  objectBurst?: number;
  /** ... and then one in this time. Default 5 min. */
  objectRefillMs?: number;
  /** Requests of all events: so many at once. Default 50. */
  burst?: number;
  /** ... and then one in this time. Default 100 ms. */
  refillMs?: number;
  /** Events that wait to be sent. More are dropped. Default 1000. */
  maxQueue?: number;
  /** Tries for one event while the server does not take it. Default 6, with waits of 1 s doubling. */
  maxTries?: number;
  /** Told of each event that was dropped. For metrics. */
  onDrop?: (reason: DropReason, error?: unknown) => void;
}

export type DropReason =
  /** Too many about one object. */
  | "spam"
  /** The queue is full. */
  | "queue"
  /** The server would not take it. */
  | "failed"
  /** The recorder is closed, or was closed before it could be sent. */
  | "closed";

interface Series {
  key: string;
  event: KubeEvent;
  count: number;
  lastMs: number;
  lastWallMs: number;
  /** Count that the server knows. */
  sentCount: number;
  /** Monotonic time of the last write that was begun. */
  sentAtMs: number;
  queued: boolean;
}

/** Series and buckets that are remembered at most; the oldest go first. */
const REMEMBERED = 4096;
const FIRST_RETRY_MS = 1_000;

export class EventRecorder {
  readonly #client: KubeClient;
  readonly #clock: Clock;
  readonly #options: Required<Omit<EventRecorderOptions, "client" | "onDrop">>;
  readonly #onDrop: EventRecorderOptions["onDrop"];
  /** In order of the last happening, oldest first. */
  readonly #series = new Map<string, Series>();
  readonly #buckets = new Map<string, TokenBucket>();
  readonly #global: TokenBucket;
  readonly #stop = new AbortController();
  /** Ends waits early, without ending requests. */
  readonly #hurry = new AbortController();
  #queue: Series[] = [];
  #pumping: Promise<void> | undefined;
  #updateTimer: Timer | undefined;
  #closed = false;
  #dropped = 0;

  constructor(options: EventRecorderOptions) {
    this.#client = options.client;
    this.#clock = options.client.clock;
    this.#onDrop = options.onDrop;
    this.#options = {
      controller: options.controller,
      instance: options.instance,
      seriesMs: options.seriesMs ?? 360_000,
      seriesUpdateMs: options.seriesUpdateMs ?? 60_000,
      objectBurst: options.objectBurst ?? 25,
      objectRefillMs: options.objectRefillMs ?? 300_000,
      burst: options.burst ?? 50,
      refillMs: options.refillMs ?? 100,
      maxQueue: options.maxQueue ?? 1000,
      maxTries: options.maxTries ?? 6,
    };
    this.#global = new TokenBucket(this.#clock, this.#options.burst, this.#options.refillMs);
  }

  /** Events dropped so far, for whatever reason. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Notes that something happened to `regarding`. Returns at once and never throws. */
  record(regarding: KubeObject, input: EventInput): void {
    if (this.#closed) {
      this.#drop("closed");
      return;
    }
    const nowMs = this.#clock.monotonic();
    const { uid } = regarding.metadata;
    const key = JSON.stringify([uid, input.type, input.reason, input.action, input.note, input.related?.metadata.uid]);
    const known = this.#series.get(key);
    if (known !== undefined && nowMs - known.lastMs < this.#options.seriesMs) {
      this.#repeat(known, nowMs);
      return;
    }
    this.#series.delete(key);
    if (this.#bucketOf(uid).take() > 0) {
      this.#drop("spam");
      return;
    }
    if (this.#queue.length >= this.#options.maxQueue) {
      this.#drop("queue");
      return;
    }
    const wallMs = this.#clock.now();
    const { controller, instance } = this.#options;
    const event = newEvent(regarding, input, { controller, instance }, wallMs);
    const series: Series = {
      key,
      event,
      count: 1,
      lastMs: nowMs,
      lastWallMs: wallMs,
      sentCount: 0,
      sentAtMs: nowMs,
      queued: false,
    };
    this.#remember(series);
    this.#enqueue(series);
  }

  /**
   * Sends what waits and ends the recorder; later events are dropped.
   * @param timeoutMs how long to try.
   * @returns whether everything was sent.
   */
  async close(timeoutMs: number): Promise<boolean> {
    if (this.#closed) {
      return this.#queue.length === 0;
    }
    this.#closed = true;
    this.#clock.clearTimeout(this.#updateTimer);
    for (const series of this.#series.values()) {
      if (series.count > series.sentCount) {
        this.#enqueue(series);
      }
    }
    this.#hurry.abort();
    const deadline = this.#clock.setTimeout(() => this.#stop.abort(), timeoutMs);
    try {
      while (this.#pumping !== undefined && !this.#stop.signal.aborted) {
        await this.#pumping;
      }
    } finally {
      this.#clock.clearTimeout(deadline);
    }
    const left = this.#queue.length;
    for (let each = 0; each < left; each += 1) {
      this.#drop("closed");
    }
    this.#queue = [];
    return left === 0;
  }

  #repeat(series: Series, nowMs: number): void {
    series.count += 1;
    series.lastMs = nowMs;
    series.lastWallMs = this.#clock.now();
    this.#remember(series);
    if (series.count === 2 || nowMs - series.sentAtMs >= this.#options.seriesUpdateMs) {
      this.#enqueue(series);
    } else {
      this.#updateLater();
    }
  }

  /** One timer for all series that have a count the server does not know yet. */
  #updateLater(): void {
    this.#updateTimer ??= this.#clock.setTimeout(() => {
      this.#updateTimer = undefined;
      const nowMs = this.#clock.monotonic();
      let waiting = false;
      for (const series of this.#series.values()) {
        if (series.count > series.sentCount && !series.queued) {
          if (nowMs - series.sentAtMs >= this.#options.seriesUpdateMs) {
            this.#enqueue(series);
          } else {
            waiting = true;
          }
        }
      }
      if (waiting) {
        this.#updateLater();
      }
    }, this.#options.seriesUpdateMs);
  }

  #enqueue(series: Series): void {
    if (series.queued) {
      return;
    }
    series.queued = true;
    this.#queue.push(series);
    this.#pumping ??= this.#pump().finally(() => {
      this.#pumping = undefined;
    });
  }

  async #pump(): Promise<void> {
    // Lets `record` return before anything is sent.
    await Promise.resolve();
    for (let series = this.#queue[0]; series !== undefined; series = this.#queue[0]) {
      for (let waitMs = this.#global.take(); waitMs > 0 && !this.#closed; waitMs = this.#global.take()) {
        await sleep(this.#clock, waitMs, this.#hurry.signal);
      }
      await this.#send(series);
      if (this.#stop.signal.aborted) {
        return;
      }
      this.#queue.shift();
      series.queued = false;
      if (series.count > series.sentCount && !this.#closed) {
        // It happened again while it was being sent. The first repetition does not wait.
        if (series.sentCount === 1) {
          this.#enqueue(series);
        } else {
          this.#updateLater();
        }
      }
    }
  }

  /** Sends one event or its series until the server takes it, refuses it, or the tries are used up. */
  async #send(series: Series): Promise<void> {
    const signal = this.#stop.signal;
    for (let tries = 1; ; tries += 1) {
      const count = series.count;
      series.sentAtMs = this.#clock.monotonic();
      try {
        if (series.sentCount === 0) {
          await this.#create(series, count, signal);
        } else {
          await this.#update(series, count, signal);
        }
        series.sentCount = count;
        return;
      } catch (error) {
        if (signal.aborted) {
          return;
        }
        if (isNotFound(error) && series.sentCount > 0) {
          // The server forgets events after an hour: begin a new one.
          series.sentCount = 0;
          continue;
        }
        if (!isRetryable(error) || tries >= this.#options.maxTries) {
          series.sentCount = series.count;
          this.#series.delete(series.key);
          this.#drop("failed", isNamespaceTerminating(error) ? undefined : error);
          return;
        }
        await sleep(this.#clock, FIRST_RETRY_MS * 2 ** (tries - 1), this.#closed ? signal : this.#hurry.signal);
      }
    }
  }

  async #create(series: Series, count: number, signal: AbortSignal): Promise<void> {
    const object = count > 1 ? { ...series.event, series: seriesOf(series, count) } : series.event;
    try {
      await this.#client.create(EVENTS, object, { signal });
    } catch (error) {
      // An earlier try went through although its answer was lost.
      if (!isAlreadyExists(error)) {
        throw error;
      }
    }
  }

  async #update(series: Series, count: number, signal: AbortSignal): Promise<void> {
    const { name, namespace = "default" } = series.event.metadata;
    const body = { series: seriesOf(series, count) };
    await this.#client.patch(EVENTS, { namespace, name }, { type: "merge", body }, { signal });
  }

  #bucketOf(uid: string): TokenBucket {
    let bucket = this.#buckets.get(uid);
    if (bucket === undefined) {
      if (this.#buckets.size >= REMEMBERED) {
        this.#forgetBuckets();
      }
      bucket = new TokenBucket(this.#clock, this.#options.objectBurst, this.#options.objectRefillMs);
      this.#buckets.set(uid, bucket);
    }
    return bucket;
  }

  #forgetBuckets(): void {
    for (const [uid, bucket] of this.#buckets) {
      if (bucket.full) {
        this.#buckets.delete(uid);
      }
    }
    // All in use: the oldest goes, and its object may be loud once more.
    const oldest = this.#buckets.keys().next().value;
    if (this.#buckets.size >= REMEMBERED && oldest !== undefined) {
      this.#buckets.delete(oldest);
    }
  }

  #remember(series: Series): void {
    this.#series.delete(series.key);
    this.#series.set(series.key, series);
    const oldest = this.#series.keys().next().value;
    if (this.#series.size > REMEMBERED && oldest !== undefined) {
      this.#series.delete(oldest);
    }
  }

  #drop(reason: DropReason, error?: unknown): void {
    this.#dropped += 1;
    this.#onDrop?.(reason, error);
  }
}

function seriesOf(series: Series, count: number): { count: number; lastObservedTime: string } {
  return { count, lastObservedTime: microTime(series.lastWallMs) };
}
