import * as fc from "fast-check";
import { expect, test } from "vitest";
import { ManualClock, sleep, systemClock } from "../../../src/simulators/clock.ts";
import { createRandom } from "../../../src/simulators/random.ts";

test("timers run at their time, in order, and not when they were cleared; one set by another runs in the same advance", async () => {
  const clock = new ManualClock(1000);
  const ran: string[] = [];
  clock.setTimeout(() => ran.push(`b ${clock.now()}`), 20);
  clock.setTimeout(() => {
    ran.push(`a ${clock.now()}`);
    clock.setTimeout(() => ran.push(`a2 ${clock.now()}`), 5);
  }, 10);
  clock.clearTimeout(clock.setTimeout(() => ran.push("never"), 15));
  expect(clock.nextMs).toBe(10);
  await clock.advance(19);
  expect(ran).toEqual(["a 1010", "a2 1015"]);
  await clock.advance(1);
  expect(ran).toEqual(["a 1010", "a2 1015", "b 1020"]);
  expect([clock.monotonic(), clock.pending, clock.nextMs]).toEqual([20, 0, undefined]);
});

test("a sleep tells whether its time passed, and leaves no timer behind", async () => {
  const clock = new ManualClock();
  const abort = new AbortController();
  const slept = sleep(clock, 100, abort.signal);
  const woken = sleep(clock, 200, abort.signal);
  await clock.advance(100);
  abort.abort();
  expect([await slept, await woken, await sleep(clock, 1, abort.signal)]).toEqual([true, false, false]);
  expect(clock.pending).toBe(0);
  expect(await sleep(systemClock, 1)).toBe(true);
});

test("the same seed gives the same numbers, another seed others; a shuffle keeps every item", () => {
  fc.assert(
    fc.property(fc.string(), fc.array(fc.integer()), (seed, items) => {
      const [one, two] = [createRandom(seed), createRandom(seed)];
      expect(one.uuid()).toBe(two.uuid());
      expect(one.uuid()).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
      const byValue = (a: number, b: number): number => a - b;
      expect(one.shuffle(items).toSorted(byValue)).toEqual(items.toSorted(byValue));
      expect(createRandom(`${seed}x`).uuid()).not.toBe(createRandom(seed).uuid());
    }),
  );
});
