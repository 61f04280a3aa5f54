/**
 * Starts and stops the parts of the process in order, and decides when it ends. Start: HTTP servers, preparations, caches,
 * wait for the caches, components, the lease, controllers. Stop: the reverse, the lease released last, since another
 * process may act from that moment on. An API server that is away, at the start or later, is waited for, and readiness says so.
 * (Order and times: controller-runtime, pkg/manager/internal.go.)
 */
import { type Clock, sleep } from "../kube/clock.ts";
import type { Election, LeadershipEnd } from "../kube/lease.ts";
import type { Controller } from "./controller.ts";
import type { Checks } from "./health.ts";
import { describeError, type Logger } from "./logging.ts";
import { endWithin } from "./within.ts";

/** A part that runs from before the election until after the controllers: HTTP servers, vendor sessions. */
export interface Component {
  readonly name: string;
  /** Resolves when it is up; rejects if it never will be, which ends the process. */
  start(): Promise<void> | void;
  stop(): Promise<void> | void;
}

/** A local copy of a collection; a Reflector is one. */
export interface Cache {
  readonly name: string;
  readonly synced: boolean;
  readonly state: string;
  readonly lastError: unknown;
  run(signal: AbortSignal): Promise<void>;
  /** Resolves with false if the signal aborted first. */
  whenSynced(signal: AbortSignal): Promise<boolean>;
}

/** Something to find out or set up once the probes answer and before the caches start. */
export interface Preparation {
  readonly name: string;
  /** Run again, with growing pauses, until it succeeds: an API server that is away is waited for. */
  run(signal: AbortSignal): Promise<void>;
  /** Whether this error will not heal by waiting; the process then ends with it. */
  isFatal(error: unknown): boolean;
}

/** Options of {@link Manager}. */
export interface ManagerOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** Readiness checks; the manager adds its own. */
  readonly ready: Checks;
  /** How long running passes may take to end after a stop, in milliseconds. Default 30 000. */
  readonly shutdownGraceMs?: number;
}

/** The lease was lost: whatever is not finished is fenced off, and the process must end so that another one can begin afresh. */
export class LeaseLostError extends Error {
  override readonly name = "LeaseLostError";
}

/** Pauses between the tries of a preparation, in milliseconds; the last one repeats. */
const PREPARATION_PAUSES_MS = [250, 500, 1000, 2000, 4000];
/** How often to say in the log what is still waited for. */
const WAITING_LOG_INTERVAL_MS = 15_000;
/** What stops without having to finish anything gets so long, in milliseconds. */
const QUICK_STOP_MS = 4000;
/** The same after a failure, such as a lost lease: the process must end soon. */
const FAILED_STOP_MS = 1000;
/** The release is one request with a timeout of its own; this only guards against a hang. */
const LEASE_RELEASE_MS = 10_000;

export class Manager {
  readonly #options: ManagerOptions;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #graceMs: number;
  readonly #servers: Component[] = [];
  readonly #preparations: Preparation[] = [];
  readonly #caches: Cache[] = [];
  readonly #components: Component[] = [];
  readonly #controllers: Controller[] = [];
  #election: Election | undefined;
  #electing: Promise<void> = Promise.resolve();
  #leading: (() => void) | undefined;
  #lost: ((error: LeaseLostError) => void) | undefined;
  #phase: "idle" | "starting" | "running" | "stopping" = "idle";
  #waitingFor: string | undefined = "the start";
  #hasFailed = false;

  constructor(options: ManagerOptions) {
    this.#options = options;
    this.#log = options.log;
    this.#clock = options.clock;
    this.#graceMs = options.shutdownGraceMs ?? 30_000;
    options.ready.add("manager", () =>
      this.#waitingFor === undefined ? undefined : `waiting for ${this.#waitingFor}`,
    );
  }

  /** Adds an HTTP server: up first, down last. */
  addServer(server: Component): void {
    this.#servers.push(server);
  }

  /** Adds a preparation; it may add caches, components and controllers itself. They run in the order in which they were added. */
  addPreparation(preparation: Preparation): void {
    this.#preparations.push(preparation);
  }

  /** Adds a cache and the readiness check `cache-<name>`. */
  addCache(cache: Cache): void {
    this.#caches.push(cache);
    this.#options.ready.add(`cache-${cache.name}`, () => cacheProblem(cache));
  }

  /** Adds a part that runs on a standby too, such as vendor sessions that only observe. */
  addComponent(component: Component): void {
    this.#components.push(component);
  }

  /** Adds a controller; it runs while this process leads. */
  addController(controller: Controller): void {
    this.#controllers.push(controller);
  }

  /** Sets who decides on the leadership; it must have been made with {@link leadershipCallbacks}. */
  setElection(election: Election): void {
    this.#election = election;
  }

  /** What the election must call. */
  readonly leadershipCallbacks = {
    onStartedLeading: (): void => this.#leading?.(),
    onStoppedLeading: (end: LeadershipEnd): void => {
      if (end === "lost") this.#loseLease();
    },
  };

  /** The API server answers again after it was away: what failed meanwhile is tried at once. */
  readonly apiServerIsBack = (): void => {
    for (const controller of this.#controllers) controller.retryNow();
  };

  /**
   * Runs until `signal` aborts, then stops in order.
   *
   * @throws LeaseLostError; what a server, a component or a preparation failed with. Everything is stopped before.
   */
  async run(signal: AbortSignal): Promise<void> {
    if (this.#phase !== "idle") throw new Error("a manager runs once");
    this.#phase = "starting";
    const election = this.#election;
    if (election === undefined) throw new Error("the manager has no election");

    // Ends the run from outside (signal) or from inside (the lease is lost); the first one counts.
    const ending = new AbortController();
    const end = (reason: unknown): void => ending.abort(reason);
    const onSignal = (): void => end(undefined);
    signal.addEventListener("abort", onSignal, { once: true });
    if (signal.aborted) onSignal();
    let failure: { readonly error: unknown } | undefined;
    this.#lost = (error) => {
      failure ??= { error };
      end(error);
    };
    // Deferred in the order of the start, so that disposal runs in the reverse: the lease goes last.
    const stack = new AsyncDisposableStack();
    try {
      await this.#start(stack, election, ending.signal);
      if (!ending.signal.aborted) await aborted(ending.signal);
    } catch (error) {
      // A part that fails because everything is being stopped has not failed.
      if (!ending.signal.aborted) failure ??= { error };
    } finally {
      signal.removeEventListener("abort", onSignal);
      this.#phase = "stopping";
      this.#waitingFor = "the shutdown";
      this.#hasFailed = failure !== undefined;
    }
    this.#log.info(failure === undefined ? "stopping" : "stopping after a failure");
    await stack.disposeAsync();
    this.#log.info("stopped");
    if (failure !== undefined) throw failure.error;
  }

  async #start(stack: AsyncDisposableStack, election: Election, signal: AbortSignal): Promise<void> {
    const leadership = new AbortController();
    const elected = Promise.withResolvers<void>();
    this.#leading = () => elected.resolve();
    stack.defer(async () => {
      // Released only now: while this process held work, nobody else could begin.
      leadership.abort();
      await this.#end("the release of the lease", this.#electing, LEASE_RELEASE_MS);
    });

    for (const server of this.#servers) await this.#startComponent(stack, server);
    for (const preparation of this.#preparations) {
      if (signal.aborted) return;
      await this.#prepare(preparation, signal);
    }
    if (signal.aborted) return;
    this.#startCaches(stack);
    if (!(await this.#waitForCaches(signal))) return;
    for (const component of this.#components) await this.#startComponent(stack, component);
    if (signal.aborted) return;

    this.#waitingFor = undefined;
    if (election.isAlone !== true) this.#log.info({ identity: election.identity }, "waiting for the lease");
    this.#electing = this.#elect(election, leadership.signal);
    const onEnd = (): void => elected.resolve();
    signal.addEventListener("abort", onEnd, { once: true });
    try {
      await elected.promise;
    } finally {
      signal.removeEventListener("abort", onEnd);
    }
    if (signal.aborted) return;
    this.#phase = "running";
    this.#log.info({ identity: election.identity, controllers: this.#controllers.map(({ name }) => name) }, "leading");
    stack.defer(() => this.#stopControllers());
    for (const controller of this.#controllers) controller.start();
  }

  async #elect(election: Election, signal: AbortSignal): Promise<void> {
    try {
      const end = await election.run(signal);
      if (end === "lost") this.#loseLease();
    } catch (error) {
      this.#lost?.(new LeaseLostError(`leader election failed: ${describeError(error)}`, { cause: error }));
    }
  }

  #loseLease(): void {
    // In the same turn of the event loop in which the fence closes: no new pass begins, running ones are told to end.
    for (const controller of this.#controllers) controller.abort("the lease is lost");
    this.#lost?.(
      new LeaseLostError("the lease was lost: it could not be renewed in time, or another process holds it"),
    );
  }

  async #startComponent(stack: AsyncDisposableStack, component: Component): Promise<void> {
    await component.start();
    const stop = async (): Promise<void> => component.stop();
    stack.defer(() => this.#end(component.name, stop(), this.#hasFailed ? FAILED_STOP_MS : QUICK_STOP_MS));
  }

  async #prepare(preparation: Preparation, signal: AbortSignal): Promise<void> {
    this.#waitingFor = preparation.name;
    for (let attempt = 0; !signal.aborted; attempt++) {
      try {
        await preparation.run(signal);
        return;
      } catch (error) {
        if (signal.aborted) return;
        if (preparation.isFatal(error)) throw error;
        this.#waitingFor = `${preparation.name}: ${describeError(error)}`;
        const isNews = attempt === 0 || attempt % 15 === 0;
        this.#log[isNews ? "warn" : "debug"](
          { err: error, attempt },
          `cannot do yet: ${preparation.name}; trying again`,
        );
        const pauseMs = PREPARATION_PAUSES_MS[attempt] ?? PREPARATION_PAUSES_MS.at(-1) ?? 0;
        await sleep(this.#clock, pauseMs, signal);
      }
    }
  }

  #startCaches(stack: AsyncDisposableStack): void {
    const stopCaches = new AbortController();
    const runs = this.#caches.map((cache) => cache.run(stopCaches.signal));
    stack.defer(async () => {
      stopCaches.abort();
      await this.#end("the caches", Promise.all(runs), QUICK_STOP_MS);
    });
  }

  /** @returns false if the signal aborted first. */
  async #waitForCaches(signal: AbortSignal): Promise<boolean> {
    const report = (): void => {
      const behind = this.#caches.filter((cache) => !cache.synced);
      this.#log.warn(
        { caches: Object.fromEntries(behind.map((cache) => [cache.name, cacheProblem(cache)])) },
        "still waiting for the caches",
      );
      timer = this.#clock.setTimeout(report, WAITING_LOG_INTERVAL_MS);
    };
    let timer = this.#clock.setTimeout(report, WAITING_LOG_INTERVAL_MS);
    this.#waitingFor = "the caches";
    try {
      await Promise.all(this.#caches.map((cache) => cache.whenSynced(signal)));
    } finally {
      this.#clock.clearTimeout(timer);
    }
    return !signal.aborted;
  }

  async #stopControllers(): Promise<void> {
    const leftOver = await Promise.all(
      this.#controllers.map(async (controller) => ({
        name: controller.name,
        passes: await controller.stop({ graceMs: this.#election?.isLeader() === true ? this.#graceMs : 0 }),
      })),
    );
    const unfinished = leftOver.filter(({ passes }) => passes > 0);
    if (unfinished.length > 0) {
      this.#log.warn(
        { unfinished },
        "some passes did not end within the grace; what they would still send is fenced off",
      );
    }
  }

  async #end(what: string, work: Promise<unknown>, withinMs: number): Promise<void> {
    const outcome = await endWithin(this.#clock, work, withinMs);
    if (outcome.end === "late") this.#log.warn(`${what} did not end within ${withinMs} ms`);
    if (outcome.end === "failed") this.#log.warn({ err: outcome.error }, `${what} did not end well`);
  }
}

function cacheProblem(cache: Cache): string | undefined {
  const why = cache.lastError === undefined ? "" : `: ${describeError(cache.lastError)}`;
  if (!cache.synced) return `not filled yet${why}`;
  return cache.state === "BackingOff" ? `cut off from the API server${why}` : undefined;
}

async function aborted(signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  signal.addEventListener("abort", () => resolve(), { once: true });
  await promise;
}
