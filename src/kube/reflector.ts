/**
 * Keeps a Store equal to a collection of the API server, for ever: carries out what reflector-machine.ts decides. Runs on
 * its own connections. Nothing that the network or the server does ends it; only its signal does.
 */

import type { KubeClient } from "./client.ts";
import type { Timer } from "./clock.ts";
import { ApiError, isAborted, isExpired, isInvalid, isTooManyRequests, TransportError } from "./errors.ts";
import { lean } from "./lean.ts";
import { initialState, step } from "./reflector-machine.ts";
import {
  DEFAULT_REFLECTOR_TIMES,
  type Failure,
  type ReflectorAction,
  type ReflectorInput,
  type ReflectorState,
  type ReflectorTimes,
} from "./reflector-types.ts";
import { resourceName, type Resource } from "./resource.ts";
import { Store } from "./store.ts";
import type { KubeObject } from "./types.ts";
import type { WatchEvent } from "./watch-stream.ts";

export interface ReflectorOptions<T extends KubeObject> {
  client: KubeClient;
  resource: Resource<T>;
  /** Only this namespace. Default: all. */
  namespace?: string | undefined;
  labelSelector?: string | undefined;
  fieldSelector?: string | undefined;
  /** Follow metadata only: for Secrets and ConfigMaps, whose data must not be held. Default false. */
  metadataOnly?: boolean;
  /** Where the objects go. Default: a new store. */
  store?: Store<T>;
  /** Makes an object smaller before it is kept, after managedFields and kubectl's annotation went. Must be pure. */
  transform?: (object: T) => T;
  /** Changes to the default times. */
  times?: Partial<ReflectorTimes>;
  /** Ask for the first list as a stream (KEP-3157), paged only where the server refuses. Default true. */
  watchList?: boolean;
  /** Objects per page where the list is paged. Default 500. */
  pageSize?: number;
  /** Between 0 and 1; default Math.random. */
  random?: () => number;
  /**
   * Told of every failure before the reflector waits and goes on, and of what a listener or index function of the default
   * store threw. For logs and metrics; must not throw.
   */
  onFailure?: (error: unknown) => void;
}

/** The annotation that ends the initial events (KEP-3157). */
const INITIAL_EVENTS_END = "k8s.io/initial-events-end";

/** Codes of attempts that reached no server: they cost nobody anything. A refused certificate is not among them. */
const NOBODY_THERE = /^(?:ECONN|EHOST|ENET|ETIMEDOUT|ENOTFOUND|EAI_|UND_ERR_CONNECT|UND_ERR_SOCKET)/;

export class Reflector<T extends KubeObject> {
  readonly store: Store<T>;
  readonly #options: ReflectorOptions<T>;
  readonly #client: KubeClient;
  readonly #times: ReflectorTimes;
  readonly #syncWaiters = new Set<() => void>();
  #state: ReflectorState;
  #synced = false;
  #lastContactAt: number | undefined;
  #lastError: unknown;
  #running = false;
  /** Signal of the run; aborted outside of a run. */
  #signal: AbortSignal = AbortSignal.abort();
  #stream: AbortController | undefined;
  #timer: Timer | undefined;
  /** Objects that the step under way is about. */
  #inHand: readonly T[] = [];
  #lists = 0;

  constructor(options: ReflectorOptions<T>) {
    this.#options = options;
    this.#client = options.client;
    this.store = options.store ?? new Store<T>(options.onFailure === undefined ? {} : { onError: options.onFailure });
    this.#times = { ...DEFAULT_REFLECTOR_TIMES, ...options.times };
    this.#state = initialState({ watchList: options.watchList ?? true });
  }

  /** What it follows, as `plural.group`. */
  get name(): string {
    return resourceName(this.#options.resource);
  }

  /** Whether the store was complete once. Stays true through later failures: the store then is old, not empty. */
  get synced(): boolean {
    return this.#synced;
  }

  /** Wall clock of the last byte from the server that made sense; undefined before. */
  get lastContactAt(): number | undefined {
    return this.#lastContactAt;
  }

  /** Where the state machine stands. */
  get state(): ReflectorState["name"] {
    return this.#state.name;
  }

  /** Why it is backing off; undefined while all is well. */
  get lastError(): unknown {
    return this.#lastError;
  }

  /** Complete lists taken over so far. */
  get lists(): number {
    return this.#lists;
  }

  /**
   * Follows the collection until `signal` aborts. Never rejects. May be run again afterwards.
   * @throws Error when it is running already.
   */
  async run(signal: AbortSignal): Promise<void> {
    if (this.#running) {
      throw new Error(`the reflector of ${this.name} runs already`);
    }
    if (signal.aborted) {
      return;
    }
    this.#running = true;
    this.#signal = signal;
    this.#state = initialState({ watchList: this.#options.watchList ?? true });
    const { promise, resolve } = Promise.withResolvers<void>();
    const onAbort = (): void => resolve();
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      this.#feed({ kind: "start" });
      await promise;
    } finally {
      signal.removeEventListener("abort", onAbort);
      this.#client.clock.clearTimeout(this.#timer);
      this.#closeStream();
      this.store.discardList();
      this.#running = false;
    }
  }

  /** Waits for the first complete list. @returns false when `signal` aborted before. */
  whenSynced(signal: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      if (this.#synced || signal.aborted) {
        resolve(this.#synced);
        return;
      }
      const done = (): void => {
        this.#syncWaiters.delete(done);
        signal.removeEventListener("abort", done);
        resolve(this.#synced);
      };
      this.#syncWaiters.add(done);
      signal.addEventListener("abort", done, { once: true });
    });
  }

  #feed(input: ReflectorInput, objects: readonly T[] = []): void {
    if (this.#signal.aborted) {
      return;
    }
    const random = this.#options.random ?? Math.random;
    const context = { nowMs: this.#client.clock.monotonic(), random: random(), times: this.#times };
    const [next, actions] = step(this.#state, input, context);
    this.#state = next;
    this.#inHand = objects;
    for (const action of actions) {
      this.#perform(action);
    }
    this.#inHand = [];
  }

  #perform(action: ReflectorAction): void {
    const { store } = this;
    switch (action.do) {
      case "beginList":
        store.beginList();
        return;
      case "discardList":
        store.discardList();
        return;
      case "stage":
        for (const object of this.#inHand) {
          store.stage(this.#shrink(object));
        }
        return;
      case "unstage":
        for (const object of this.#inHand) {
          store.unstage(object);
        }
        return;
      case "commitList":
        this.#lists += 1;
        this.#lastError = undefined;
        store.commitList(action.resourceVersion);
        this.#synced = true;
        for (const waiter of this.#syncWaiters) {
          waiter();
        }
        return;
      case "apply":
        for (const object of this.#inHand) {
          store.apply(action.type, this.#shrink(object));
        }
        return;
      case "progress":
        store.progress(action.resourceVersion);
        return;
      case "listPage":
        void this.#listPage({
          continueToken: action.continueToken,
          limit: action.paged ? (this.#options.pageSize ?? 500) : 0,
        });
        return;
      case "probe":
        void this.#listPage({ limit: 1, metadataOnly: true });
        return;
      case "openWatchList":
        void this.#openWatch("", true, action.timeoutSeconds);
        return;
      case "openWatch":
        void this.#openWatch(action.resourceVersion, undefined, action.timeoutSeconds);
        return;
      case "closeStream":
        this.#closeStream();
        return;
      case "wait":
        this.#client.clock.clearTimeout(this.#timer);
        this.#timer = this.#client.clock.setTimeout(() => this.#feed({ kind: "timer" }), action.delayMs);
        return;
      default:
        action satisfies never;
    }
  }

  #shrink(object: T): T {
    const small = lean(object, this.#options.resource);
    return this.#options.transform?.(small) ?? small;
  }

  async #listPage(part: { continueToken?: string; limit: number; metadataOnly?: boolean }): Promise<void> {
    const { resource, namespace, labelSelector, fieldSelector, metadataOnly } = this.#options;
    const signal = this.#signal;
    try {
      const page = await this.#client.listPage(resource, {
        namespace,
        labelSelector,
        fieldSelector,
        metadataOnly,
        ...part,
        // The machine spaces its requests itself.
        readRetries: 0,
        signal,
      });
      this.#heard();
      const { resourceVersion } = page;
      this.#feed({ kind: "page", continueToken: page.continueToken, resourceVersion }, page.items);
    } catch (error) {
      this.#failed(error, signal);
    }
  }

  async #openWatch(resourceVersion: string, initial: true | undefined, timeoutSeconds: number): Promise<void> {
    this.#closeStream();
    const stream = new AbortController();
    this.#stream = stream;
    const { resource, namespace, labelSelector, fieldSelector, metadataOnly } = this.#options;
    const signal = this.#signal;
    /** What an ERROR event said; it ends the stream. */
    let refusal: ApiError | undefined;
    try {
      await this.#client.watch(
        resource,
        {
          namespace,
          labelSelector,
          fieldSelector,
          metadataOnly,
          resourceVersion,
          sendInitialEvents: initial,
          timeoutSeconds,
          silenceMs: this.#times.silenceMs,
          signal: stream.signal,
        },
        {
          onOpen: () => {
            if (this.#stream === stream) {
              this.#heard();
              this.#lastError = undefined;
              this.#feed({ kind: "opened" });
            }
          },
          onEvent: (event) => {
            if (this.#stream !== stream) {
              return;
            }
            this.#heard();
            if (event.type === "ERROR") {
              refusal = new ApiError(`watch ${this.name}`, event.status.code ?? 500, event.status);
              throw refusal;
            }
            this.#event(event);
          },
        },
      );
      if (this.#stream === stream) {
        this.#stream = undefined;
        this.#feed({ kind: "ended" });
      }
    } catch (error) {
      if (this.#stream === stream) {
        this.#stream = undefined;
        this.#failed(refusal ?? error, signal);
      }
    }
  }

  #event(event: Exclude<WatchEvent<T>, { type: "ERROR" }>): void {
    const { metadata } = event.object;
    const initialEnd = event.type === "BOOKMARK" && metadata.annotations?.[INITIAL_EVENTS_END] === "true";
    if (event.type !== "BOOKMARK") {
      this.#lastError = undefined;
    }
    const { resourceVersion } = metadata;
    this.#feed({ kind: "event", type: event.type, resourceVersion, initialEnd }, [event.object]);
  }

  #failed(error: unknown, signal: AbortSignal): void {
    if (signal.aborted || isAborted(error)) {
      return;
    }
    this.#lastError = error;
    this.#options.onFailure?.(error);
    this.#feed({ kind: "failed", failure: classify(error) });
  }

  #heard(): void {
    this.#lastContactAt = this.#client.clock.now();
  }

  #closeStream(): void {
    const stream = this.#stream;
    this.#stream = undefined;
    stream?.abort();
  }
}

/** Reduces an error to what the next move depends on. */
function classify(error: unknown): Failure {
  if (error instanceof ApiError) {
    if (isExpired(error)) {
      return { kind: "expired" };
    }
    if (isTooManyRequests(error)) {
      return { kind: "throttled", retryAfterMs: error.retryAfterMs };
    }
    if (error.details?.causes?.some((cause) => cause.reason === "ResourceVersionTooLarge") === true) {
      return { kind: "ahead", retryAfterMs: error.retryAfterMs };
    }
    return { kind: isInvalid(error) ? "refused" : "other", retryAfterMs: error.retryAfterMs };
  }
  if (error instanceof TransportError) {
    switch (error.code) {
      case "Silent":
        return { kind: "silent" };
      case "Garbled":
        return { kind: "garbled" };
      default:
        return { kind: error.sent === "no" && NOBODY_THERE.test(error.code) ? "unreachable" : "other" };
    }
  }
  return { kind: "other" };
}
