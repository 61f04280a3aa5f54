import { Writable } from "node:stream";
import { describe, expect, test } from "vitest";
import {
  Controller,
  type ControllerMetrics,
  type ControllerOptions,
  TerminalError,
} from "../../../src/controller/controller.ts";
import { createLogger } from "../../../src/controller/logging.ts";
import { WorkQueue } from "../../../src/controller/work-queue.ts";
import { ApiError, TransportError } from "../../../src/kube/errors.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { settle } from "./settle.ts";

const A = { namespace: "ns", name: "a" };
const B = { namespace: "ns", name: "b" };

type Line = Record<string, unknown> & { level: string; msg: string };

async function setUp(options: Pick<ControllerOptions, "reconcile"> & Partial<ControllerOptions>) {
  const clock = new FakeClock();
  const lines: Line[] = [];
  const destination = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(JSON.parse(chunk.toString()) as Line);
      done();
    },
  });
  const log = await createLogger({ level: "debug", format: "json", destination });
  const counts: Record<string, number> = {};
  const count = (name: string): void => {
    counts[name] = (counts[name] ?? 0) + 1;
  };
  let workers = 0;
  let mostWorkers = 0;
  const metrics: ControllerMetrics = {
    reconciled: (outcome) => count(outcome),
    terminalError: () => count("terminal"),
    panicked: () => count("panic"),
    timedOut: () => count("timeout"),
    staleSkipped: () => count("stale"),
    workersChanged: (change) => {
      workers += change;
      mostWorkers = Math.max(mostWorkers, workers);
    },
  };
  const queue = new WorkQueue({ clock });
  const controller = new Controller({ name: "test", queue, clock, log, metrics, ...options });
  return { clock, queue, controller, lines, counts, mostWorkers: () => mostWorkers };
}

describe("passes", () => {
  test("keys enqueued before the start run once it starts, with their reason and a log that names them", async () => {
    const seen: string[] = [];
    const { controller, lines } = await setUp({
      reconcile: (key, context) => {
        seen.push(`${key.namespace}/${key.name}: ${context.reason}`);
        context.log.info("hello");
        return Promise.resolve({});
      },
    });
    controller.enqueue(A, { reason: "spec changed" });
    await settle();
    expect(seen).toEqual([]);
    controller.start();
    await settle();
    expect(seen).toEqual(["ns/a: spec changed"]);
    expect(lines[0]).toMatchObject({ controller: "test", namespace: "ns", name: "a", trigger: "spec changed" });
    expect(lines[0]?.["reconcileId"]).toMatch(/^[0-9a-f-]{36}$/);
  });

  test("at most `concurrency` passes run at a time", async () => {
    const gate = Promise.withResolvers<void>();
    let started = 0;
    const { controller, mostWorkers } = await setUp({
      concurrency: 3,
      reconcile: async () => {
        started++;
        await gate.promise;
        return {};
      },
    });
    for (let index = 0; index < 10; index++) controller.enqueue({ namespace: "ns", name: String(index) });
    controller.start();
    await settle();
    expect(started).toBe(3);
    gate.resolve();
    await settle();
    expect(started).toBe(10);
    expect(mostWorkers()).toBe(3);
  });

  test("requeueAfterMs brings the key back at that time", async () => {
    let passes = 0;
    const { controller, clock, counts } = await setUp({
      reconcile: () => Promise.resolve(++passes === 1 ? { requeueAfterMs: 1000 } : {}),
    });
    controller.enqueue(A);
    controller.start();
    await clock.advanceAsync(999);
    expect(passes).toBe(1);
    await clock.advanceAsync(100_000);
    expect(passes).toBe(2);
    expect(counts).toEqual({ requeue_after: 1, success: 1 });
  });

  test("a key whose cache is behind our own write is put off, without a pass, until it has caught up", async () => {
    let stale = true;
    let passes = 0;
    const { controller, clock, counts } = await setUp({
      isStale: () => stale,
      reconcile: () => Promise.resolve({ requeueAfterMs: ++passes * 1e9 }),
    });
    controller.enqueue(A);
    controller.start();
    await clock.advanceAsync(250);
    expect(passes).toBe(0);
    expect(counts).toEqual({ stale: 3 });
    stale = false;
    await clock.advanceAsync(50);
    expect(passes).toBe(1);
  });

  test("a key whose cache is behind runs at the moment the cache has caught up; one that does not wait is not run", async () => {
    let stale = true;
    let passes = 0;
    const { controller, clock } = await setUp({
      isStale: () => stale,
      reconcile: () => Promise.resolve({ requeueAfterMs: ++passes * 1e9 }),
    });
    controller.enqueue(A);
    controller.start();
    await clock.advanceAsync(1);
    controller.cacheMoved(A);
    await clock.advanceAsync(1);
    expect(passes, "it has moved, but not far enough").toBe(0);
    stale = false;
    controller.cacheMoved(A);
    await clock.advanceAsync(1);
    expect(passes).toBe(1);
    controller.cacheMoved(A);
    await clock.advanceAsync(1000);
    expect(passes, "nothing waits any more").toBe(1);
  });

  test("a concurrency or timeout out of range is refused", async () => {
    const reconcile = () => Promise.resolve({});
    await expect(setUp({ reconcile, concurrency: 0 })).rejects.toThrow("controller test: concurrency");
    await expect(setUp({ reconcile, concurrency: 1.5 })).rejects.toThrow("controller test: concurrency");
    await expect(setUp({ reconcile, timeoutMs: Number.NaN })).rejects.toThrow("controller test: timeoutMs");
  });
});

describe("errors", () => {
  test("an error is logged once with its key, counted and retried with growing delays until it heals", async () => {
    let passes = 0;
    const { controller, clock, counts, lines, queue } = await setUp({
      reconcile: () => (++passes < 4 ? Promise.reject(new Error("broken")) : Promise.resolve({})),
    });
    controller.enqueue(A);
    controller.start();
    await clock.advanceAsync(5 + 10 + 20 - 1);
    expect(passes).toBe(3);
    await clock.advanceAsync(1);
    expect(passes).toBe(4);
    expect(counts).toEqual({ error: 3, success: 1 });
    expect(lines.map(({ level, name, failures }) => ({ level, name, failures }))).toEqual([
      { level: "error", name: "a", failures: 1 },
      { level: "error", name: "a", failures: 2 },
      { level: "error", name: "a", failures: 3 },
    ]);
    expect(queue.failures("ns/a")).toBe(0);
  });

  test("a synchronous throw, a thrown non-error and a mistake in the program hit only their own key", async () => {
    const { controller, counts, clock } = await setUp({
      reconcile: (key) => {
        if (key.name === "a") throw new TypeError("undefined is not a function");
        // A library may do so.
        // oxlint-disable-next-line no-throw-literal, only-throw-error
        if (key.name === "c") throw "text";
        return Promise.resolve({});
      },
    });
    controller.start();
    for (const name of ["a", "b", "c", "d"]) controller.enqueue({ namespace: "ns", name });
    await clock.advanceAsync(1);
    expect(counts).toEqual({ error: 2, panic: 2, success: 2 });
  });

  test("a nonsensical requeue time is an error, not a hot loop", async () => {
    const { controller, counts, clock } = await setUp({
      reconcile: () => Promise.resolve({ requeueAfterMs: Number.NaN }),
    });
    controller.start();
    controller.enqueue(A);
    await clock.advanceAsync(1);
    expect(counts).toEqual({ error: 1, panic: 1 });
  });

  test("a terminal error is not retried", async () => {
    let passes = 0;
    const { controller, counts, clock } = await setUp({
      reconcile: () => {
        passes++;
        return Promise.reject(new TerminalError("hopeless"));
      },
    });
    controller.start();
    controller.enqueue(A);
    await clock.advanceAsync(10_000_000);
    expect(passes).toBe(1);
    expect(counts).toEqual({ error: 1, terminal: 1 });
  });

  test("a conflict is told at debug level and retried", async () => {
    let passes = 0;
    const { controller, lines, clock } = await setUp({
      reconcile: () =>
        ++passes === 1 ? Promise.reject(new ApiError("PATCH x", 409, { reason: "Conflict" })) : Promise.resolve({}),
    });
    controller.start();
    controller.enqueue(A);
    await clock.advanceAsync(10);
    expect(passes).toBe(2);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({ level: "debug", err: { status: 409, reason: "Conflict" } });
  });

  test("an API server that is away is told once per key, tried again at most every 30 s, and at once when it is back", async () => {
    let isAway = true;
    let passes = 0;
    const { controller, lines, clock } = await setUp({
      reconcile: () => {
        passes++;
        return isAway
          ? Promise.reject(new TransportError("patch x", "ECONNREFUSED", "no", "connect ECONNREFUSED"))
          : Promise.resolve({});
      },
    });
    controller.start();
    controller.enqueue(A);
    await clock.advanceAsync(3_600_000);
    const whileAway = passes;
    expect(whileAway).toBeGreaterThan(3600 / 30);
    expect(lines.filter(({ level }) => level !== "debug")).toHaveLength(1);
    await clock.advanceAsync(1000);
    isAway = false;
    controller.retryNow();
    await settle();
    expect(passes).toBeGreaterThan(whileAway);
    const afterwards = passes;
    await clock.advanceAsync(3_600_000);
    expect(passes).toBe(afterwards);
  });

  test("a pass that takes too long is told to stop; its key stays taken until it has ended", async () => {
    const seen: string[] = [];
    const end = Promise.withResolvers<void>();
    const { controller, clock, counts } = await setUp({
      timeoutMs: 1000,
      reconcile: async (_key, { signal }) => {
        seen.push("start");
        if (seen.length > 1) return {};
        signal.addEventListener("abort", () => seen.push(`abort: ${(signal.reason as Error).name}`), { once: true });
        await end.promise;
        signal.throwIfAborted();
        return {};
      },
    });
    controller.start();
    controller.enqueue(A);
    await clock.advanceAsync(5000);
    controller.enqueue(A);
    await settle();
    expect(seen).toEqual(["start", "abort: TimeoutError"]);
    end.resolve();
    await clock.advanceAsync(5);
    expect(seen).toEqual(["start", "abort: TimeoutError", "start"]);
    expect(counts).toEqual({ timeout: 1, error: 1, success: 1 });
    expect(clock.pending).toBe(0);
  });
});

describe("stop", () => {
  test("waits for the running pass, drops the queued keys and leaves no timer", async () => {
    const gate = Promise.withResolvers<void>();
    const seen: string[] = [];
    const { controller, clock } = await setUp({
      reconcile: async (key, { signal }) => {
        seen.push(key.name);
        await gate.promise;
        seen.push(`aborted: ${signal.aborted}`);
        return { requeueAfterMs: 1 };
      },
    });
    controller.start();
    controller.enqueue(A);
    controller.enqueue(B);
    await settle();
    const stopped = controller.stop({ graceMs: 10_000 });
    gate.resolve();
    expect(await stopped).toBe(0);
    controller.enqueue(B);
    await clock.advanceAsync(1000);
    expect(seen).toEqual(["a", "aborted: false"]);
    expect(clock.pending).toBe(0);
  });

  test("aborts the signal of a pass that does not end by itself, and does not call that an error in the log", async () => {
    const { controller, clock, lines } = await setUp({
      reconcile: (_key, { signal }) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
        }),
    });
    controller.start();
    controller.enqueue(A);
    await settle();
    const stopped = controller.stop({ graceMs: 10_000, abortAfterMs: 500 });
    await clock.advanceAsync(500);
    expect(await stopped).toBe(0);
    expect(lines.map(({ level }) => level)).toEqual(["debug"]);
  });

  test("gives up on a pass that ignores its signal when the grace ends, and says how many are left", async () => {
    const { controller, clock } = await setUp({ reconcile: () => new Promise(() => {}) });
    controller.start();
    controller.enqueue(A);
    await settle();
    const stopped = controller.stop({ graceMs: 2000 });
    await clock.advanceAsync(2000);
    expect(await stopped).toBe(1);
  });

  test("a controller that was never started stops at once", async () => {
    const { controller } = await setUp({ reconcile: () => Promise.resolve({}) });
    controller.enqueue(A);
    expect(await controller.stop({ graceMs: 1000 })).toBe(0);
    controller.start();
    await settle();
  });
});
