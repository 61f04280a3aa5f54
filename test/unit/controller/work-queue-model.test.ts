import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type WorkItem, WorkQueue } from "../../../src/controller/work-queue.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { settle } from "./settle.ts";

/**
 * A second, slow and obvious implementation of the queue's rules: one list, sorted whenever somebody asks. The real queue
 * must hand out the same keys in the same order, whatever the history.
 */
class Model {
  readonly pending: { key: string; priority: number; reason: string; dueAt: number; order: number; isDue: boolean }[] =
    [];
  readonly running = new Set<string>();
  idleWorkers = 0;
  nowMs = 0;
  #order = 0;

  add(key: string, priority: number, afterMs: number, reason: string): void {
    const dueAt = this.nowMs + afterMs;
    const known = this.pending.find((entry) => entry.key === key);
    if (known === undefined) {
      this.pending.push({ key, priority, reason, dueAt, order: this.#order++, isDue: false });
    } else {
      if (priority >= known.priority) known.reason = reason;
      if (priority > known.priority) {
        known.priority = priority;
        if (known.isDue && !this.running.has(key)) known.order = this.#order++;
      }
      if (!known.isDue) known.dueAt = Math.min(known.dueAt, dueAt);
    }
    this.release();
  }

  release(): void {
    const due = this.pending
      .filter((entry) => !entry.isDue && entry.dueAt <= this.nowMs)
      .sort((a, b) => a.dueAt - b.dueAt || a.order - b.order);
    for (const entry of due) {
      entry.isDue = true;
      if (!this.running.has(entry.key)) entry.order = this.#order++;
    }
  }

  /** What the idle workers are handed, in order. */
  handOut(): WorkItem[] {
    const handed: WorkItem[] = [];
    while (this.idleWorkers > 0) {
      const [first] = this.pending
        .filter((entry) => entry.isDue && !this.running.has(entry.key))
        .sort((a, b) => b.priority - a.priority || a.order - b.order);
      if (first === undefined) break;
      this.pending.splice(this.pending.indexOf(first), 1);
      this.running.add(first.key);
      this.idleWorkers--;
      handed.push({ key: first.key, priority: first.priority, reason: first.reason });
    }
    return handed;
  }

  done(key: string): void {
    this.running.delete(key);
    const parked = this.pending.find((entry) => entry.key === key && entry.isDue);
    if (parked !== undefined) parked.order = this.#order++;
  }
}

type Step =
  | { do: "add"; key: string; priority: number; afterMs: number }
  | { do: "get" }
  | { do: "done"; which: number }
  | { do: "advance"; ms: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("add" as const),
      key: fc.constantFrom("a", "b", "c", "d", "e"),
      priority: fc.constantFrom(-100, 0, 0, 10),
      afterMs: fc.constantFrom(0, 0, 0, 5, 10, 10, 50),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("get" as const) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("done" as const), which: fc.nat(9) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("advance" as const), ms: fc.constantFrom(1, 5, 10, 60) }) },
);

describe("work queue against its model", () => {
  test("hands out the same keys in the same order for any history, and is empty after a drain", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const clock = new FakeClock();
        const queue = new WorkQueue({ clock });
        const model = new Model();
        const handed: WorkItem[] = [];
        const expected: WorkItem[] = [];
        const addedSinceStart = new Set<string>();
        let adds = 0;

        const get = (): void => {
          model.idleWorkers++;
          void queue.get().then((item) => {
            if (item !== undefined) handed.push(item);
          });
        };
        const check = async (): Promise<void> => {
          for (const item of model.handOut()) {
            expected.push(item);
            addedSinceStart.delete(item.key);
          }
          await settle();
          expect(handed).toEqual(expected);
          expect(queue.processingCount).toBe(model.running.size);
        };
        const advance = async (ms: number): Promise<void> => {
          // In steps of one, so that the model sees each time at which something falls due.
          for (let passed = 0; passed < ms; passed++) {
            await clock.advanceAsync(1);
            model.nowMs++;
            model.release();
            for (const item of model.handOut()) {
              expected.push(item);
              addedSinceStart.delete(item.key);
            }
          }
        };

        for (const each of steps) {
          switch (each.do) {
            case "add": {
              const reason = `add ${adds++}`;
              queue.add(each.key, { priority: each.priority, afterMs: each.afterMs, reason });
              model.add(each.key, each.priority, each.afterMs, reason);
              addedSinceStart.add(each.key);
              break;
            }
            case "get":
              get();
              break;
            case "done": {
              const running = Array.from(model.running);
              const key = running[each.which % Math.max(1, running.length)];
              if (key !== undefined) {
                queue.done(key);
                model.done(key);
              }
              break;
            }
            case "advance":
              await advance(each.ms);
              break;
          }
          await check();
        }

        // Drain: every add must be followed by a run that starts after it.
        for (let round = 0; round < 20; round++) {
          for (const key of Array.from(model.running)) {
            queue.done(key);
            model.done(key);
          }
          get();
          await advance(10);
          await check();
        }
        expect(addedSinceStart).toEqual(new Set());
        expect(queue.depth + queue.waitingCount).toBe(0);
        expect(clock.pending).toBe(0);
      }),
      { numRuns: 150 },
    );
  }, 60_000);
});
