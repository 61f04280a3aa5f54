import type { Clock, Timer } from "../kube/clock.ts";
import { type HeapElement, IndexedHeap } from "./heap.ts";
import { FailureRateLimiter } from "./rate-limiter.ts";

/** Priority of work that nobody is waiting for: keys of the initial list and of resyncs. User changes have 0. */
export const LOW_PRIORITY = -100;

/** Where a queue reports what it does; metrics.ts makes one per queue. Times are in seconds, as Prometheus wants them. */
export interface WorkQueueMetrics {
  added(): void;
  /** Keys ready to run at one priority changed by `change`. */
  depthChanged(priority: number, change: 1 | -1): void;
  /** A key that had been ready for `seconds` was handed to a worker. */
  started(seconds: number): void;
  /** A worker that had a key for `seconds` gave it back. */
  finished(seconds: number): void;
  retried(): void;
}

/** How {@link WorkQueue.add} treats a key. */
export interface AddOptions {
  /** Higher runs first. Default 0; {@link LOW_PRIORITY} for initial lists and resyncs. */
  readonly priority?: number;
  /** Not before this many milliseconds from now. Default 0: as soon as a worker is free. */
  readonly afterMs?: number;
  /** Why, for the log line of the run. Where several adds collapse into one run, that of the highest priority counts, and
   * among equals the newest. Default "". */
  readonly reason?: string;
}

/** What a worker gets for one run. */
export interface WorkItem {
  readonly key: string;
  readonly priority: number;
  readonly reason: string;
}

/**
 * - waiting: asked for at a later time;
 * - ready: will be handed to the next free worker (client-go's `queue` and `dirty`);
 * - parked: due, but the key is running; becomes ready at `done` (client-go's `dirty` without `queue`).
 */
type PendingState = "waiting" | "ready" | "parked";

interface Pending extends HeapElement {
  readonly key: string;
  state: PendingState;
  priority: number;
  reason: string;
  /** Monotonic milliseconds from which the key may run. */
  dueAtMs: number;
  /** Waits because of an unexpected error, not because somebody chose that time. */
  isRetry: boolean;
  /** Monotonic milliseconds at which it became ready or parked; for the metric of time spent in the queue. */
  readySinceMs: number;
  /** Order of becoming ready, or of being asked for while waiting: the tie-break that makes equals first in, first out. */
  sequence: number;
}

/** What an add asks for. */
interface Wanted {
  readonly priority: number;
  readonly reason: string;
  readonly dueAtMs: number;
  readonly nowMs: number;
  readonly isRetry: boolean;
}

/** Node's timers hold a signed 32-bit count of milliseconds; a longer delay would fire at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Options of {@link WorkQueue}. */
export interface WorkQueueOptions {
  readonly clock: Clock;
  /** Default: reports nowhere. */
  readonly metrics?: WorkQueueMetrics;
  /** Default: a {@link FailureRateLimiter} with its defaults. */
  readonly limiter?: FailureRateLimiter;
}

/**
 * The work queue: client-go's semantics (util/workqueue/queue.go), with controller-runtime's priorities and delays
 * (pkg/controller/priorityqueue).
 *
 * Guarantees:
 * - a key is with at most one worker at a time;
 * - any number of adds of a key during its run cause exactly one more run;
 * - no add is lost: each is followed by a run that starts after it (until `shutDown`);
 * - ready keys come out by priority, then in the order in which they became ready; a key raised to a higher priority goes
 *   to the end of its new level;
 * - a key is pending once, at the earliest time and the highest priority that anyone asked for. So an immediate add
 *   takes the place of a delayed one: the run it causes decides anew when to come back.
 */
export class WorkQueue {
  readonly #clock: Clock;
  readonly #metrics: WorkQueueMetrics | undefined;
  readonly #limiter: FailureRateLimiter;

  readonly #pending = new Map<string, Pending>();
  readonly #ready = new IndexedHeap<Pending>((a, b) =>
    a.priority === b.priority ? a.sequence < b.sequence : a.priority > b.priority,
  );
  readonly #waiting = new IndexedHeap<Pending>((a, b) =>
    a.dueAtMs === b.dueAtMs ? a.sequence < b.sequence : a.dueAtMs < b.dueAtMs,
  );
  /** Running keys, and since when (monotonic milliseconds). */
  readonly #processing = new Map<string, number>();

  #getters: ((item: WorkItem | undefined) => void)[] = [];
  #drainWaiters: (() => void)[] = [];
  #sequence = 0;
  #shuttingDown = false;
  #timer: { readonly handle: Timer; readonly dueAtMs: number } | undefined;

  constructor(options: WorkQueueOptions) {
    this.#clock = options.clock;
    this.#metrics = options.metrics;
    this.#limiter = options.limiter ?? new FailureRateLimiter();
  }

  /** Keys that are ready to run and not running. */
  get depth(): number {
    return this.#ready.size;
  }

  /** Keys that wait for their time. */
  get waitingCount(): number {
    return this.#waiting.size;
  }

  /** Keys that are running. */
  get processingCount(): number {
    return this.#processing.size;
  }

  get isShuttingDown(): boolean {
    return this.#shuttingDown;
  }

  /** For each running key, how long it has run, in milliseconds. */
  runningTimesMs(): number[] {
    const nowMs = this.#clock.monotonic();
    return Array.from(this.#processing.values(), (sinceMs) => nowMs - sinceMs);
  }

  /** Asks for a run of `key`. Ignored once the queue shuts down. */
  add(key: string, options: AddOptions = {}): void {
    this.#add(key, options, false);
  }

  /**
   * Asks for a run of `key` after an unexpected error: not before its rate limiter says so.
   *
   * @param options.longestMs a cap on the wait, in milliseconds, below the limiter's own.
   */
  addRateLimited(key: string, options: Omit<AddOptions, "afterMs"> & { readonly longestMs?: number } = {}): void {
    if (this.#shuttingDown) return;
    this.#metrics?.retried();
    this.#add(key, { ...options, afterMs: this.#limiter.nextDelayMs(key, options.longestMs) }, true);
  }

  /**
   * Makes all keys due that wait because of an unexpected error, and forgets their failures: what they all failed at (the
   * API server was away) is over.
   */
  retryNow(): void {
    const retries = Array.from(this.#pending.values()).filter(({ state, isRetry }) => state === "waiting" && isRetry);
    for (const pending of retries) {
      this.#limiter.forget(pending.key);
      this.#waiting.remove(pending);
      this.#makeDue(pending);
    }
    this.#dispatch();
    this.#schedule();
  }

  /** Tells the rate limiter that `key` is well, or that nothing will retry it. */
  forget(key: string): void {
    this.#limiter.forget(key);
  }

  /** Unexpected errors in a row of `key`. */
  failures(key: string): number {
    return this.#limiter.failures(key);
  }

  /**
   * Waits for the next key and marks it as running; the caller must call {@link done} with it, whatever happens.
   * Resolves with undefined once the queue is shut down and no key is ready or running.
   */
  get(): Promise<WorkItem | undefined> {
    const { promise, resolve } = Promise.withResolvers<WorkItem | undefined>();
    this.#getters.push(resolve);
    this.#dispatch();
    return promise;
  }

  /** Ends the run of `key`; if it was added meanwhile it becomes ready again. Without a run, nothing happens. */
  done(key: string): void {
    const sinceMs = this.#processing.get(key);
    if (sinceMs === undefined) return;
    this.#processing.delete(key);
    this.#metrics?.finished((this.#clock.monotonic() - sinceMs) / 1000);
    const pending = this.#pending.get(key);
    if (pending?.state === "parked") this.#makeReady(pending);
    this.#dispatch();
  }

  /**
   * Takes no more keys. Those that wait for their time are dropped; those that are ready are still handed out unless
   * `discardReady`, which suits a process that ends: the next one starts from a full list, so nothing is lost.
   */
  shutDown(options: { readonly discardReady?: boolean } = {}): void {
    this.#shuttingDown = true;
    const dropped = Array.from(this.#pending.values()).filter(
      (pending) => pending.state === "waiting" || options.discardReady === true,
    );
    for (const pending of dropped) this.#drop(pending);
    this.#cancelTimer();
    this.#dispatch();
  }

  /** Shuts down and resolves when no key is ready or running any more. */
  async shutDownAndDrain(options: { readonly discardReady?: boolean } = {}): Promise<void> {
    this.shutDown(options);
    if (this.#isDrained()) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#drainWaiters.push(resolve);
    await promise;
  }

  #add(key: string, options: AddOptions, isRetry: boolean): void {
    if (this.#shuttingDown) return;
    const nowMs = this.#clock.monotonic();
    const wanted = {
      priority: options.priority ?? 0,
      reason: options.reason ?? "",
      dueAtMs: nowMs + Math.max(0, options.afterMs ?? 0),
      nowMs,
      isRetry,
    };
    const pending = this.#pending.get(key);
    if (pending === undefined) this.#insert(key, wanted);
    else this.#merge(pending, wanted);
    this.#dispatch();
    this.#schedule();
  }

  #insert(key: string, wanted: Wanted): void {
    this.#metrics?.added();
    const pending: Pending = {
      key,
      state: "waiting",
      priority: wanted.priority,
      reason: wanted.reason,
      dueAtMs: wanted.dueAtMs,
      isRetry: wanted.isRetry,
      readySinceMs: wanted.nowMs,
      sequence: this.#sequence++,
      heapIndex: -1,
    };
    this.#pending.set(key, pending);
    if (wanted.dueAtMs > wanted.nowMs) this.#waiting.push(pending);
    else this.#makeDue(pending);
  }

  #merge(pending: Pending, wanted: Wanted): void {
    if (wanted.priority >= pending.priority) pending.reason = wanted.reason;
    if (wanted.priority > pending.priority) this.#raise(pending, wanted.priority);
    if (pending.state !== "waiting" || wanted.dueAtMs >= pending.dueAtMs) return;
    pending.dueAtMs = wanted.dueAtMs;
    pending.isRetry = wanted.isRetry;
    if (wanted.dueAtMs > wanted.nowMs) {
      this.#waiting.update(pending);
      return;
    }
    this.#waiting.remove(pending);
    this.#makeDue(pending);
  }

  #raise(pending: Pending, priority: number): void {
    if (pending.state !== "ready") {
      pending.priority = priority;
      return;
    }
    this.#metrics?.depthChanged(pending.priority, -1);
    pending.priority = priority;
    pending.sequence = this.#sequence++;
    this.#ready.update(pending);
    this.#metrics?.depthChanged(priority, 1);
  }

  /** Its time has come. */
  #makeDue(pending: Pending): void {
    pending.readySinceMs = this.#clock.monotonic();
    if (this.#processing.has(pending.key)) pending.state = "parked";
    else this.#makeReady(pending);
  }

  #makeReady(pending: Pending): void {
    pending.state = "ready";
    pending.sequence = this.#sequence++;
    this.#ready.push(pending);
    this.#metrics?.depthChanged(pending.priority, 1);
  }

  #drop(pending: Pending): void {
    this.#pending.delete(pending.key);
    switch (pending.state) {
      case "waiting":
        this.#waiting.remove(pending);
        return;
      case "ready":
        this.#ready.remove(pending);
        this.#metrics?.depthChanged(pending.priority, -1);
        return;
      case "parked":
        return;
    }
  }

  /** Hands ready keys to waiting workers; ends the workers and the drain when there is nothing left to come. */
  #dispatch(): void {
    while (this.#getters.length > 0 && this.#ready.size > 0) {
      const getter = this.#getters.shift();
      const pending = this.#ready.pop();
      if (getter === undefined || pending === undefined) break;
      const nowMs = this.#clock.monotonic();
      this.#pending.delete(pending.key);
      this.#processing.set(pending.key, nowMs);
      this.#metrics?.depthChanged(pending.priority, -1);
      this.#metrics?.started((nowMs - pending.readySinceMs) / 1000);
      getter({ key: pending.key, priority: pending.priority, reason: pending.reason });
    }
    if (!this.#shuttingDown) return;
    // A parked key may still become ready, so workers end only when nothing is running either.
    if (!this.#isDrained()) return;
    const getters = this.#getters;
    const drainWaiters = this.#drainWaiters;
    this.#getters = [];
    this.#drainWaiters = [];
    for (const getter of getters) getter(undefined);
    for (const resolve of drainWaiters) resolve();
  }

  #isDrained(): boolean {
    return this.#ready.size === 0 && this.#processing.size === 0;
  }

  /** One timer for the earliest waiting key. */
  #schedule(): void {
    const next = this.#waiting.peek();
    if (this.#timer !== undefined && this.#timer.dueAtMs === next?.dueAtMs) return;
    this.#cancelTimer();
    if (next === undefined) return;
    const delayMs = Math.min(Math.max(0, next.dueAtMs - this.#clock.monotonic()), LONGEST_TIMER_MS);
    const handle = this.#clock.setTimeout(() => {
      this.#timer = undefined;
      this.#releaseDue();
    }, delayMs);
    this.#timer = { handle, dueAtMs: next.dueAtMs };
  }

  #releaseDue(): void {
    const nowMs = this.#clock.monotonic();
    for (let next = this.#waiting.peek(); next !== undefined && next.dueAtMs <= nowMs; next = this.#waiting.peek()) {
      this.#waiting.remove(next);
      this.#makeDue(next);
    }
    this.#dispatch();
    this.#schedule();
  }

  #cancelTimer(): void {
    this.#clock.clearTimeout(this.#timer?.handle);
    this.#timer = undefined;
  }
}
