import { randomUUID } from "node:crypto";
import type { Clock } from "../kube/clock.ts";
import { isConflict, isRetryable } from "../kube/errors.ts";
import { keyString } from "../kube/resource.ts";
import type { ObjectKey } from "../kube/types.ts";
import { parseKey } from "./key.ts";
import type { Logger } from "./logging.ts";
import type { AddOptions, WorkItem, WorkQueue } from "./work-queue.ts";

/**
 * How a pass ended well. `requeueAfterMs`: look at the key again after so many milliseconds, unless something asks for it
 * earlier; absent: only when something asks for it.
 */
export interface Result {
  readonly requeueAfterMs?: number;
}

/** What a pass gets beside its key. */
export interface ReconcileContext {
  /**
   * Aborted when the pass takes longer than the controller's timeout, and at shutdown a moment after it began. Hand it to
   * whatever waits; not to the write that records an effect which has already happened.
   */
  readonly signal: AbortSignal;
  /** Carries controller, namespace, name and reconcileId. */
  readonly log: Logger;
  /** Why the key runs, as given to {@link Controller.enqueue}. */
  readonly reason: string;
  readonly reconcileId: string;
}

/** One pass over one key. Rejects for what it did not expect; expected failures go into status and a {@link Result}. */
export type Reconcile = (key: ObjectKey, context: ReconcileContext) => Promise<Result>;

/** How a pass ended, in controller-runtime's words: the label `result` of controller_runtime_reconcile_total. */
export type ReconcileOutcome = "success" | "requeue_after" | "error";

/** Where a controller reports what it does; metrics.ts makes one per controller. */
export interface ControllerMetrics {
  reconciled(outcome: ReconcileOutcome, seconds: number): void;
  /** The error was a {@link TerminalError}. */
  terminalError(): void;
  /** The error looks like a mistake in the program. */
  panicked(): void;
  /** The pass was told to stop because it took too long. */
  timedOut(): void;
  workersChanged(change: 1 | -1): void;
  /** A run was put off because the cache had not caught up with our last write. */
  staleSkipped(): void;
}

/** An error that no retry will heal: logged and counted, and the key runs again only when something asks for it. */
export class TerminalError extends Error {
  override readonly name = "TerminalError";
}

/** Options of {@link Controller}. */
export interface ControllerOptions {
  /** Label `controller` of metrics and logs; lower case. */
  readonly name: string;
  readonly reconcile: Reconcile;
  readonly queue: WorkQueue;
  /** Most passes at a time, over different keys; a whole number of at least 1. Default 1. */
  readonly concurrency?: number;
  readonly clock: Clock;
  readonly log: Logger;
  /** Default: reports nowhere. */
  readonly metrics?: ControllerMetrics;
  /** After so many milliseconds a pass's signal is aborted; its key stays taken until it ends. 0: never. Default 120 000. */
  readonly timeoutMs?: number;
  /**
   * Whether the cache is still behind our own last write to the key (expectations.ts). Such a run is put off by
   * 100 ms (Cluster API's value, util/controller/consistency.go). Default: never.
   */
  readonly isStale?: (key: ObjectKey) => boolean;
}

/** How {@link Controller.stop} ends the passes that are running. */
export interface StopOptions {
  /** Passes may end by themselves for so long before their signal is aborted, in milliseconds. Default 500. */
  readonly abortAfterMs?: number;
  /** Give up waiting for them after so many milliseconds. */
  readonly graceMs: number;
}

/** A key whose cache is behind runs when its cache moves ({@link Controller.cacheMoved}), and looks again after this in any case. */
const STALE_RETRY_MS = 100;
/** Longest pause after an error of the API server or the way there: it will be over for all keys at once. */
const API_RETRY_MS = 30_000;

/**
 * Runs one reconcile function over the keys of one queue: at most `concurrency` passes at a time and one per key. A
 * rejected pass is logged once, counted and retried at the pace of the queue's rate limiter; it never ends the process.
 */
export class Controller {
  readonly name: string;
  readonly #options: ControllerOptions;
  readonly #queue: WorkQueue;
  readonly #concurrency: number;
  readonly #timeoutMs: number;
  readonly #running = new Set<AbortController>();
  /** Keys put off because the cache is behind our own write. */
  readonly #behind = new Set<string>();
  readonly #workers: Promise<void>[] = [];
  #stopping = false;

  /** @throws RangeError if concurrency or timeoutMs is out of range. */
  constructor(options: ControllerOptions) {
    this.name = options.name;
    this.#options = options;
    this.#queue = options.queue;
    this.#concurrency = options.concurrency ?? 1;
    this.#timeoutMs = options.timeoutMs ?? 120_000;
    if (!Number.isInteger(this.#concurrency) || this.#concurrency < 1) {
      throw new RangeError(`controller ${this.name}: concurrency must be a whole number of at least 1`);
    }
    if (!(this.#timeoutMs >= 0)) throw new RangeError(`controller ${this.name}: timeoutMs must be 0 or more`);
  }

  /** Most passes at a time. */
  get concurrency(): number {
    return this.#concurrency;
  }

  /** Asks for a pass over `key`; allowed before `start`, ignored after `stop`. */
  enqueue(key: ObjectKey, options: AddOptions = {}): void {
    this.#queue.add(keyString(key), options);
  }

  /** The cache has a newer version of `key`: if a pass waits for just that, it runs now. Any other key is left alone. */
  cacheMoved(key: ObjectKey): void {
    const name = keyString(key);
    if (!this.#behind.has(name) || this.#options.isStale?.(key) === true) return;
    this.#behind.delete(name);
    this.#queue.add(name, { reason: "cache caught up" });
  }

  /** Runs the keys now that wait because of an unexpected error: what they all failed at is over. */
  retryNow(): void {
    this.#queue.retryNow();
  }

  /** Starts the workers. Keys enqueued before wait in the queue. A second call does nothing. */
  start(): void {
    if (this.#workers.length > 0 || this.#stopping) return;
    for (let worker = 0; worker < this.#concurrency; worker++) this.#workers.push(this.#work());
  }

  /**
   * Takes no more keys, drops those that are queued (the next process starts from a full list) and waits for the running
   * passes.
   *
   * @returns how many passes were still running when the grace ended; 0 means that all ended.
   */
  async stop(options: StopOptions): Promise<number> {
    this.#stopping = true;
    const { clock } = this.#options;
    const { promise: graceOver, resolve: endGrace } = Promise.withResolvers<void>();
    const abort = clock.setTimeout(() => this.#abortAll("shutting down"), options.abortAfterMs ?? 500);
    const grace = clock.setTimeout(endGrace, options.graceMs);
    try {
      void this.#queue.shutDownAndDrain({ discardReady: true }).then(endGrace);
      await graceOver;
    } finally {
      clock.clearTimeout(abort);
      clock.clearTimeout(grace);
    }
    this.#abortAll("shutting down");
    return this.#running.size;
  }

  /** Aborts the running passes at once and takes no more keys: the lease is lost, another process may be leading. */
  abort(reason: string): void {
    this.#stopping = true;
    this.#queue.shutDown({ discardReady: true });
    this.#abortAll(reason);
  }

  async #work(): Promise<void> {
    for (let item = await this.#queue.get(); item !== undefined; item = await this.#queue.get()) {
      try {
        await this.#run(item);
      } finally {
        this.#queue.done(item.key);
      }
    }
  }

  async #run(item: WorkItem): Promise<void> {
    const { clock, metrics, isStale } = this.#options;
    const key = parseKey(item.key);
    if (isStale?.(key) === true) {
      metrics?.staleSkipped();
      this.#behind.add(item.key);
      this.#queue.add(item.key, { priority: item.priority, reason: item.reason, afterMs: STALE_RETRY_MS });
      return;
    }
    this.#behind.delete(item.key);
    const abortController = new AbortController();
    const context = new PassContext(this.name, this.#options.log, abortController.signal, key, item.reason);
    const startedMs = clock.monotonic();
    let timedOut = false;
    const timeout =
      this.#timeoutMs === 0
        ? undefined
        : clock.setTimeout(() => {
            timedOut = true;
            metrics?.timedOut();
            abortController.abort(new DOMException(`the pass took more than ${this.#timeoutMs} ms`, "TimeoutError"));
          }, this.#timeoutMs);
    this.#running.add(abortController);
    metrics?.workersChanged(1);
    let outcome: ReconcileOutcome;
    try {
      outcome = this.#succeeded(item, await this.#options.reconcile(key, context));
    } catch (error) {
      this.#failed(item, error, context, timedOut);
      outcome = "error";
    } finally {
      if (timeout !== undefined) clock.clearTimeout(timeout);
      this.#running.delete(abortController);
      metrics?.workersChanged(-1);
    }
    metrics?.reconciled(outcome, (clock.monotonic() - startedMs) / 1000);
  }

  #succeeded(item: WorkItem, result: Result): ReconcileOutcome {
    const { requeueAfterMs } = result;
    if (requeueAfterMs !== undefined && !(requeueAfterMs >= 0)) {
      throw new RangeError(`reconcile asked to be run again after ${requeueAfterMs} ms`);
    }
    this.#queue.forget(item.key);
    if (requeueAfterMs === undefined) return "success";
    this.#queue.add(item.key, { priority: item.priority, afterMs: requeueAfterMs, reason: "requeued" });
    return "requeue_after";
  }

  #failed(item: WorkItem, error: unknown, context: PassContext, timedOut: boolean): void {
    const { metrics } = this.#options;
    if (isProgrammingError(error)) metrics?.panicked();
    if (error instanceof TerminalError) {
      metrics?.terminalError();
      this.#queue.forget(item.key);
      context.log.error({ err: error }, "reconcile failed; no retry until something changes");
      return;
    }
    const mayPass = isRetryable(error);
    this.#queue.addRateLimited(item.key, {
      priority: item.priority,
      reason: "retry after an error",
      ...(mayPass ? { longestMs: API_RETRY_MS } : {}),
    });
    const failures = this.#queue.failures(item.key);
    if (this.#stopping && context.signal.aborted) {
      context.log.debug({ err: error }, "reconcile interrupted by shutdown");
    } else if (isConflict(error)) {
      // Someone else wrote first and their change is on its way to the cache: ordinary, unless it goes on.
      context.log[failures > 5 ? "warn" : "debug"]({ err: error, failures }, "reconcile met a conflict; it runs again");
    } else if (mayPass) {
      // Many keys fail alike while the API server is away: one line each.
      context.log[failures > 1 ? "debug" : "warn"](
        { err: error, failures },
        "reconcile could not reach the API server; it runs again",
      );
    } else {
      context.log.error({ err: error, failures, timedOut: timedOut || undefined }, "reconcile failed; it runs again");
    }
  }

  #abortAll(reason: string): void {
    for (const running of this.#running) running.abort(new DOMException(reason, "AbortError"));
  }
}

/** The log child is made on first use: most passes log nothing, and a child costs as much as a small pass. */
class PassContext implements ReconcileContext {
  readonly signal: AbortSignal;
  readonly reason: string;
  readonly reconcileId = randomUUID();
  readonly #controller: string;
  readonly #parentLog: Logger;
  readonly #key: ObjectKey;
  #log: Logger | undefined;

  constructor(controller: string, parentLog: Logger, signal: AbortSignal, key: ObjectKey, reason: string) {
    this.#controller = controller;
    this.#parentLog = parentLog;
    this.#key = key;
    this.signal = signal;
    this.reason = reason;
  }

  get log(): Logger {
    this.#log ??= this.#parentLog.child({
      controller: this.#controller,
      namespace: this.#key.namespace,
      name: this.#key.name,
      reconcileId: this.reconcileId,
      trigger: this.reason,
    });
    return this.#log;
  }
}

/** What in Go would be a panic: errors that the language raises for a mistake in the program, or a thrown non-error. */
function isProgrammingError(error: unknown): boolean {
  return (
    !(error instanceof Error) ||
    error instanceof TypeError ||
    error instanceof ReferenceError ||
    error instanceof RangeError ||
    error instanceof SyntaxError
  );
}
