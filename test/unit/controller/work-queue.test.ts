import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LOW_PRIORITY, WorkQueue } from "../../../src/controller/work-queue.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { settle } from "./settle.ts";

function setUp() {
  const clock = new FakeClock();
  const queue = new WorkQueue({ clock });
  /** Takes the next key and ends its run at once; undefined if none is ready. */
  const next = async (): Promise<string | undefined> => {
    if (queue.depth === 0) return undefined;
    const item = await queue.get();
    if (item !== undefined) queue.done(item.key);
    return item?.key;
  };
  return { clock, queue, next };
}

describe("one run per key", () => {
  test("a key added many times before its run comes out once", async () => {
    const { queue, next } = setUp();
    for (let count = 0; count < 5; count++) queue.add("a");
    expect(await next()).toBe("a");
    expect(queue.depth).toBe(0);
  });

  test("a key that runs is not handed to a second worker; any number of adds meanwhile cause exactly one more run", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 20 }), async (adds) => {
        const { queue } = setUp();
        queue.add("a");
        await queue.get();
        for (let count = 0; count < adds; count++) queue.add("a");
        let second: string | undefined;
        void queue.get().then((item) => (second = item?.key));
        await settle();
        expect(second).toBeUndefined();
        queue.done("a");
        await settle();
        expect(second).toBe("a");
        queue.done("a");
        expect(queue.depth).toBe(0);
      }),
    );
  });

  test("done of a key that does not run changes nothing", async () => {
    const { queue, next } = setUp();
    queue.add("a");
    queue.done("a");
    queue.done("b");
    expect(await next()).toBe("a");
  });

  test("a worker that waits gets the key the moment it is added", async () => {
    const { queue } = setUp();
    let got: string | undefined;
    void queue.get().then((item) => (got = item?.key));
    await settle();
    expect(got).toBeUndefined();
    queue.add("a");
    await settle();
    expect(got).toBe("a");
  });
});

describe("order", () => {
  test("higher priority first, then first in first out", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.constantFrom(-100, 0, 7), { maxLength: 40 }), async (priorities) => {
        const { queue, next } = setUp();
        const keys = priorities.map((priority, index) => ({ key: String(index), priority }));
        for (const { key, priority } of keys) queue.add(key, { priority });
        const expected = keys.toSorted((a, b) => b.priority - a.priority).map(({ key }) => key);
        const got: (string | undefined)[] = [];
        while (queue.depth > 0) got.push(await next());
        expect(got).toEqual(expected);
      }),
    );
  });

  test("a user's change overtakes 1000 keys of the initial list, also where its own key waits among them", async () => {
    const { queue, next } = setUp();
    for (let index = 0; index < 1000; index++) queue.add(`key-${index}`, { priority: LOW_PRIORITY });
    queue.add("key-900");
    queue.add("new");
    expect([await next(), await next(), await next()]).toEqual(["key-900", "new", "key-0"]);
  });

  test("a raised key goes to the end of its new level, and a lower priority lowers nothing", async () => {
    const { queue, next } = setUp();
    queue.add("low", { priority: LOW_PRIORITY });
    queue.add("first");
    queue.add("low");
    queue.add("first", { priority: LOW_PRIORITY });
    expect([await next(), await next()]).toEqual(["first", "low"]);
  });

  test("the reason of the highest priority is told, and among equals the newest", async () => {
    const { queue } = setUp();
    queue.add("a", { reason: "spec changed" });
    queue.add("a", { reason: "device answered" });
    queue.add("a", { reason: "resync", priority: LOW_PRIORITY });
    expect(await queue.get()).toEqual({ key: "a", priority: 0, reason: "device answered" });
  });
});

describe("delays", () => {
  test("the earliest time wins, whatever the order of the adds", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 1, maxLength: 8 }), async (delays) => {
        const { clock, queue } = setUp();
        for (const afterMs of delays) queue.add("a", { afterMs });
        await clock.advanceAsync(Math.min(...delays) - 1);
        expect(queue.depth).toBe(0);
        await clock.advanceAsync(1);
        expect(queue.depth).toBe(1);
        expect(queue.waitingCount).toBe(0);
        expect(clock.pending).toBe(0);
      }),
    );
  });

  test("an immediate add takes the place of a delayed one", async () => {
    const { clock, queue, next } = setUp();
    queue.add("a", { afterMs: 50 });
    queue.add("a");
    expect(await next()).toBe("a");
    await clock.advanceAsync(1000);
    expect(queue.depth).toBe(0);
  });

  test("a key that falls due during its run waits for the end of the run", async () => {
    const { clock, queue } = setUp();
    queue.add("a");
    await queue.get();
    queue.add("a", { afterMs: 10 });
    await clock.advanceAsync(20);
    expect(queue.depth).toBe(0);
    queue.done("a");
    expect(queue.depth).toBe(1);
  });

  test("a delay longer than a timer can hold is waited out in pieces", async () => {
    const delays: number[] = [];
    class RecordingClock extends FakeClock {
      override setTimeout(callback: () => void, delayMs: number) {
        delays.push(delayMs);
        return super.setTimeout(callback, delayMs);
      }
    }
    const clock = new RecordingClock();
    const queue = new WorkQueue({ clock });
    const days = 24 * 60 * 60 * 1000;
    queue.add("a", { afterMs: 30 * days });
    await clock.advanceAsync(29 * days);
    expect(queue.depth).toBe(0);
    await clock.advanceAsync(days);
    expect(queue.depth).toBe(1);
    // Node fires a longer timer at once.
    expect(Math.max(...delays)).toBeLessThan(2 ** 31);
  });
});

describe("rate limit after unexpected errors", () => {
  test("5 ms doubling up to 1000 s, per key, and from the start again after a success", async () => {
    const { clock, queue, next } = setUp();
    for (let failure = 0; failure < 25; failure++) {
      const expectedMs = Math.min(5 * 2 ** failure, 1_000_000);
      queue.addRateLimited("a");
      await clock.advanceAsync(expectedMs - 1);
      expect(queue.depth).toBe(0);
      await clock.advanceAsync(1);
      expect(await next()).toBe("a");
    }
    expect(queue.failures("a")).toBe(25);
    expect(queue.failures("b")).toBe(0);
    queue.forget("a");
    queue.addRateLimited("a");
    await clock.advanceAsync(5);
    expect(await next()).toBe("a");
  });
});

describe("retryNow", () => {
  test("runs what waits after an error at once and forgets the failures; chosen times stay", async () => {
    const { clock, queue, next } = setUp();
    for (let failure = 0; failure < 20; failure++) {
      queue.addRateLimited("failed");
      await clock.advanceAsync(2_000_000);
      await next();
    }
    queue.addRateLimited("failed");
    queue.add("chosen", { afterMs: 60_000 });
    await clock.advanceAsync(30_000);
    expect(queue.depth).toBe(0);
    queue.retryNow();
    expect(await next()).toBe("failed");
    expect(queue.depth).toBe(0);
    expect(queue.waitingCount).toBe(1);
    expect(queue.failures("failed")).toBe(0);
    await clock.advanceAsync(30_000);
    expect(await next()).toBe("chosen");
  });

  test("a key that waits at a chosen time earlier than its retry keeps that time", async () => {
    const { clock, queue } = setUp();
    queue.add("a", { afterMs: 2 });
    queue.addRateLimited("a");
    queue.retryNow();
    expect(queue.depth).toBe(0);
    await clock.advanceAsync(2);
    expect(queue.depth).toBe(1);
  });

  test("a key that runs is not handed out a second time", async () => {
    const { queue } = setUp();
    queue.add("a");
    await queue.get();
    queue.addRateLimited("a");
    queue.retryNow();
    expect(queue.depth).toBe(0);
    queue.done("a");
    expect(queue.depth).toBe(1);
  });
});

describe("shutdown", () => {
  test("hands out what is ready, including a key that was added during its run, then ends the workers", async () => {
    const { clock, queue } = setUp();
    queue.add("running");
    queue.add("ready");
    queue.add("later", { afterMs: 10 });
    await queue.get();
    queue.add("running");
    let drained = false;
    void queue.shutDownAndDrain().then(() => (drained = true));
    queue.add("too late");
    expect((await queue.get())?.key).toBe("ready");
    queue.done("running");
    queue.done("ready");
    await settle();
    expect(drained).toBe(false);
    expect((await queue.get())?.key).toBe("running");
    queue.done("running");
    expect(await queue.get()).toBeUndefined();
    await settle();
    expect(drained).toBe(true);
    await clock.advanceAsync(100);
    expect(queue.depth).toBe(0);
    expect(clock.pending).toBe(0);
  });

  test("with discardReady only the running keys are waited for", async () => {
    const { queue } = setUp();
    queue.add("running");
    queue.add("ready");
    await queue.get();
    queue.add("running");
    const drained = queue.shutDownAndDrain({ discardReady: true });
    const waiting = queue.get();
    queue.done("running");
    await drained;
    expect(await waiting).toBeUndefined();
    expect(queue.depth).toBe(0);
  });
});

describe("metrics", () => {
  test("depth returns to zero at each priority, and adds that collapse are not counted", async () => {
    const clock = new FakeClock();
    const depth = new Map<number, number>();
    const counts = { added: 0, retried: 0, queueSeconds: 0, workSeconds: 0 };
    const queue = new WorkQueue({
      clock,
      metrics: {
        added: () => counts.added++,
        depthChanged: (priority, change) => depth.set(priority, (depth.get(priority) ?? 0) + change),
        started: (seconds) => (counts.queueSeconds += seconds),
        finished: (seconds) => (counts.workSeconds += seconds),
        retried: () => counts.retried++,
      },
    });
    queue.add("a", { priority: LOW_PRIORITY });
    queue.add("a");
    queue.add("b", { priority: LOW_PRIORITY });
    expect(depth).toEqual(
      new Map([
        [LOW_PRIORITY, 1],
        [0, 1],
      ]),
    );
    await clock.advanceAsync(2000);
    expect((await queue.get())?.key).toBe("a");
    await clock.advanceAsync(3000);
    expect(queue.runningTimesMs()).toEqual([3000]);
    queue.done("a");
    queue.addRateLimited("c");
    queue.shutDown({ discardReady: true });
    expect(counts).toEqual({ added: 3, retried: 1, queueSeconds: 2, workSeconds: 3 });
    expect(depth).toEqual(
      new Map([
        [LOW_PRIORITY, 0],
        [0, 0],
      ]),
    );
  });
});
