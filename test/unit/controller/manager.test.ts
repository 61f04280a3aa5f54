import { describe, expect, test, vi } from "vitest";
import { Controller } from "../../../src/controller/controller.ts";
import { Checks } from "../../../src/controller/health.ts";
import { silentLogger } from "../../../src/controller/logging.ts";
import { type Cache, LeaseLostError, Manager } from "../../../src/controller/manager.ts";
import { WorkQueue } from "../../../src/controller/work-queue.ts";
import { type Election, type LeadershipEnd, NoLease } from "../../../src/kube/lease.ts";
import { OPEN_FENCE } from "../../../src/kube/fence.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { settle } from "./settle.ts";

/** A cache that fills when the test says so. */
class TestCache implements Cache {
  readonly name = "edgedevices";
  synced = false;
  state = "Listing";
  lastError: unknown;
  readonly #events: string[];
  #waiters: (() => void)[] = [];

  constructor(events: string[]) {
    this.#events = events;
  }

  async run(signal: AbortSignal): Promise<void> {
    this.#events.push("cache up");
    const { promise, resolve } = Promise.withResolvers<void>();
    signal.addEventListener("abort", () => resolve(), { once: true });
    await promise;
    this.#events.push("cache down");
  }

  async whenSynced(signal: AbortSignal): Promise<boolean> {
    if (!this.synced) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiters.push(resolve);
      signal.addEventListener("abort", () => resolve(), { once: true });
      await promise;
    }
    return this.synced;
  }

  fill(): void {
    this.synced = true;
    this.state = "Watching";
    for (const resolve of this.#waiters) resolve();
  }
}

/** An election that the test decides. */
class TestElection implements Election {
  readonly identity = "me";
  readonly fence = OPEN_FENCE;
  readonly #events: string[];
  readonly #callbacks: Manager["leadershipCallbacks"];
  #end = Promise.withResolvers<LeadershipEnd>();
  #leading = false;
  /** What the release of the lease waits for. */
  release: Promise<void> = Promise.resolve();

  constructor(events: string[], callbacks: Manager["leadershipCallbacks"]) {
    this.#events = events;
    this.#callbacks = callbacks;
  }

  isLeader(): boolean {
    return this.#leading;
  }

  async run(signal: AbortSignal): Promise<LeadershipEnd> {
    this.#events.push("candidate");
    signal.addEventListener("abort", () => this.#end.resolve("stopped"), { once: true });
    const end = await this.#end.promise;
    await this.release;
    if (this.#leading) {
      this.#leading = false;
      this.#callbacks.onStoppedLeading(end);
    }
    this.#events.push(end === "stopped" ? "lease released" : "lease lost");
    return end;
  }

  win(): void {
    this.#leading = true;
    this.#callbacks.onStartedLeading();
  }

  lose(): void {
    this.#end.resolve("lost");
  }
}

function setUp() {
  const events: string[] = [];
  const clock = new FakeClock();
  const ready = new Checks();
  const log = silentLogger();
  const manager = new Manager({ clock, log, ready, shutdownGraceMs: 5000 });
  const component = (name: string) => ({
    name,
    start: () => void events.push(`${name} up`),
    stop: () => void events.push(`${name} down`),
  });
  manager.addServer(component("http"));
  manager.addPreparation({
    name: "the API server",
    isFatal: () => false,
    run: () => {
      events.push("prepared");
      return Promise.resolve();
    },
  });
  const cache = new TestCache(events);
  manager.addCache(cache);
  manager.addComponent(component("sessions"));
  const election = new TestElection(events, manager.leadershipCallbacks);
  manager.setElection(election);
  let pass = (_signal: AbortSignal): Promise<void> => Promise.resolve();
  const queue = new WorkQueue({ clock });
  const controller = new Controller({
    name: "edgedevice",
    queue,
    clock,
    log,
    reconcile: async (_key, { signal }) => {
      events.push("pass begins");
      await pass(signal);
      events.push("pass ends");
      return {};
    },
  });
  manager.addController(controller);
  const stop = new AbortController();
  let result: unknown = "running";
  const run = (): void => {
    manager.run(stop.signal).then(
      () => (result = "ended"),
      (error: unknown) => (result = error),
    );
  };
  return {
    events,
    clock,
    ready,
    log,
    manager,
    cache,
    election,
    controller,
    run,
    stop,
    component,
    setPass: (next: typeof pass) => (pass = next),
    result: () => result,
  };
}

const UP = ["http up", "prepared", "cache up", "sessions up", "candidate"];
const DOWN = ["sessions down", "cache down", "http down", "lease released"];

describe("order", () => {
  test("of the start and, reversed, of the stop; work begins with the lease and the lease goes last", async () => {
    const { events, manager, cache, election, controller, run, stop, result } = setUp();
    controller.enqueue({ namespace: "ns", name: "a" });
    run();
    await settle();
    expect(events).toEqual(["http up", "prepared", "cache up"]);
    cache.fill();
    await settle();
    expect(events).toEqual(UP);
    election.win();
    await settle();
    expect(events).toEqual([...UP, "pass begins", "pass ends"]);
    stop.abort();
    await settle();
    expect(result()).toBe("ended");
    expect(events).toEqual([...UP, "pass begins", "pass ends", ...DOWN]);
    await expect(manager.run(stop.signal)).rejects.toThrow("a manager runs once");
  });

  test("a standby stops without ever having worked", async () => {
    const { events, cache, run, stop, result } = setUp();
    cache.fill();
    run();
    await settle();
    stop.abort();
    await settle();
    expect(result()).toBe("ended");
    expect(events).toEqual([...UP, ...DOWN]);
  });

  test("a stop while the caches still fill ends at once", async () => {
    const { events, run, stop, result, clock } = setUp();
    run();
    await settle();
    stop.abort();
    await settle();
    expect(result()).toBe("ended");
    expect(events).toEqual(["http up", "prepared", "cache up", "cache down", "http down"]);
    expect(clock.pending).toBe(0);
  });

  test("a stop before the start starts nothing that works", async () => {
    const { events, run, stop, result } = setUp();
    stop.abort();
    run();
    await settle();
    expect(result()).toBe("ended");
    expect(events).toEqual(["http up", "http down"]);
  });

  test("without a lease work begins at once", async () => {
    const { events, log, manager, cache, run, stop, controller, result } = setUp();
    const info = vi.spyOn(log, "info");
    manager.setElection(new NoLease(manager.leadershipCallbacks));
    cache.fill();
    controller.enqueue({ namespace: "ns", name: "a" });
    run();
    await settle();
    expect(events.at(-1)).toBe("pass ends");
    const said = info.mock.calls.map((call) => String(call[1]));
    expect(said).toContain("leading");
    expect(said).not.toContain("waiting for the lease");
    stop.abort();
    await settle();
    expect(result()).toBe("ended");
  });
});

describe("stop", () => {
  test("waits for a running pass within the grace, and tells it after half a second", async () => {
    const { events, cache, election, controller, run, stop, result, clock, setPass } = setUp();
    setPass(
      (signal) =>
        new Promise((resolve) => {
          signal.addEventListener("abort", () => resolve(), { once: true });
        }),
    );
    cache.fill();
    run();
    await settle();
    election.win();
    controller.enqueue({ namespace: "ns", name: "a" });
    await settle();
    stop.abort();
    await clock.advanceAsync(499);
    expect(events.at(-1)).toBe("pass begins");
    await clock.advanceAsync(1);
    expect(events.slice(-5)).toEqual(["pass ends", ...DOWN]);
    expect(result()).toBe("ended");
    expect(clock.pending).toBe(0);
  });

  test("does not wait longer than the grace, and releases the lease all the same", async () => {
    const { events, cache, election, controller, run, stop, result, clock, setPass } = setUp();
    setPass(() => new Promise(() => {}));
    cache.fill();
    run();
    await settle();
    election.win();
    controller.enqueue({ namespace: "ns", name: "a" });
    await settle();
    stop.abort();
    await clock.advanceAsync(4999);
    expect(result()).toBe("running");
    await clock.advanceAsync(1);
    expect(result()).toBe("ended");
    expect(events.slice(-5)).toEqual(["pass begins", ...DOWN]);
  });

  test("a component that fails or hangs while it stops does not keep the lease", async () => {
    const { events, manager, cache, run, stop, result, clock } = setUp();
    manager.addComponent({
      name: "rude",
      start: () => undefined,
      stop: () => {
        throw new Error("will not");
      },
    });
    manager.addComponent({ name: "slow", start: () => undefined, stop: () => new Promise(() => {}) });
    cache.fill();
    run();
    await settle();
    stop.abort();
    await clock.advanceAsync(4000);
    expect(result()).toBe("ended");
    expect(events.slice(-4)).toEqual(DOWN);
  });
});

test("the run ends only when the lease is released, but does not wait for ever", async () => {
  const { election, cache, run, stop, result, clock } = setUp();
  const released = Promise.withResolvers<void>();
  election.release = released.promise;
  cache.fill();
  run();
  await settle();
  election.win();
  await settle();
  stop.abort();
  await clock.advanceAsync(1000);
  expect(result()).toBe("running");
  released.resolve();
  await settle();
  expect(result()).toBe("ended");

  const other = setUp();
  other.election.release = new Promise(() => {});
  other.cache.fill();
  other.run();
  await settle();
  other.stop.abort();
  await other.clock.advanceAsync(10_000);
  expect(other.result()).toBe("ended");
});

describe("a lost lease", () => {
  test("ends the run with an error at once, tells running passes, and starts no other", async () => {
    const { events, cache, election, controller, run, result, clock, setPass } = setUp();
    let told = false;
    setPass(
      (signal) =>
        new Promise(() => {
          signal.addEventListener("abort", () => (told = true), { once: true });
        }),
    );
    cache.fill();
    run();
    await settle();
    election.win();
    controller.enqueue({ namespace: "ns", name: "a" });
    await settle();
    controller.enqueue({ namespace: "ns", name: "b" });
    election.lose();
    await settle();
    expect(told).toBe(true);
    await clock.advanceAsync(1);
    expect(result()).toBeInstanceOf(LeaseLostError);
    expect(events.filter((event) => event === "pass begins")).toHaveLength(1);
    expect(events.slice(-4)).toEqual(["lease lost", "sessions down", "cache down", "http down"]);
  });
});

describe("failures at the start", () => {
  test("of a server end the run with its error; what was up is stopped", async () => {
    const { events, manager, run, result } = setUp();
    manager.addServer({
      name: "metrics",
      start: () => Promise.reject(new Error("cannot listen")),
      stop: () => void events.push("never"),
    });
    run();
    await settle();
    expect(result()).toEqual(new Error("cannot listen"));
    expect(events).toEqual(["http up", "http down"]);
  });

  test("of a preparation are waited out, with the cause in readiness; a fatal one ends the run", async () => {
    const { manager, ready, run, result, clock, cache, events } = setUp();
    let failure: Error | undefined = new Error("connect ECONNREFUSED 127.0.0.1:6443");
    manager.addPreparation({
      name: "the owner id",
      isFatal: (error) => error instanceof RangeError,
      run: () => (failure === undefined ? Promise.resolve() : Promise.reject(failure)),
    });
    run();
    await clock.advanceAsync(60_000);
    expect(ready.problems().get("manager")).toBe("waiting for the owner id: connect ECONNREFUSED 127.0.0.1:6443");
    failure = undefined;
    cache.fill();
    await clock.advanceAsync(4000);
    expect(events).toEqual(UP);
    expect(ready.problems()).toEqual(new Map());
    expect(result()).toBe("running");

    const other = setUp();
    other.manager.addPreparation({
      name: "the owner id",
      isFatal: (error) => error instanceof RangeError,
      run: () => Promise.reject(new RangeError("never")),
    });
    other.run();
    await settle();
    expect(other.result()).toEqual(new RangeError("never"));
    expect(other.events).toEqual(["http up", "prepared", "http down"]);
  });

  test("a preparation may add caches and controllers", async () => {
    const { manager, run, cache, events, stop } = setUp();
    const second = new TestCache(events);
    manager.addPreparation({
      name: "more",
      isFatal: () => true,
      run: () => {
        manager.addCache(Object.assign(second, { name: "edgebackends" }));
        return Promise.resolve();
      },
    });
    cache.fill();
    run();
    await settle();
    expect(events).not.toContain("candidate");
    second.fill();
    await settle();
    expect(events).toContain("candidate");
    stop.abort();
    await settle();
  });
});

describe("readiness", () => {
  test("follows the start, the caches and the shutdown; a standby is ready", async () => {
    const { ready, cache, run, stop, election } = setUp();
    expect(ready.problems().get("manager")).toBe("waiting for the start");
    cache.lastError = new Error("404 page not found");
    run();
    await settle();
    expect(ready.problems()).toEqual(
      new Map([
        ["manager", "waiting for the caches"],
        ["cache-edgedevices", "not filled yet: 404 page not found"],
      ]),
    );
    cache.lastError = undefined;
    cache.fill();
    await settle();
    expect(ready.problems()).toEqual(new Map());
    election.win();
    await settle();
    cache.state = "BackingOff";
    cache.lastError = new Error("connect ECONNREFUSED");
    expect(ready.problems().get("cache-edgedevices")).toBe("cut off from the API server: connect ECONNREFUSED");
    stop.abort();
    await settle();
    expect(ready.problems().get("manager")).toBe("waiting for the shutdown");
  });
});
