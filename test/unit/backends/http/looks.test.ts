import { describe, expect, test } from "vitest";
import { Looks } from "../../../../src/backends/http/looks.ts";
import { FakeClock } from "../../../support/fake-clock.ts";

function bench(delayMs: { now: number | undefined } = { now: 1_000 }) {
  const clock = new FakeClock();
  const ends: ((known: boolean) => void)[] = [];
  const looks = new Looks({
    clock,
    random: () => 0.5,
    read: () => new Promise((resolve) => ends.push(resolve)),
    delayMs: () => delayMs.now,
  });
  return { clock, looks, ends };
}

describe("looks", () => {
  test("never overlap, and everybody who asks during one shares the next", async () => {
    const { clock, looks, ends } = bench();
    const first = looks.now();
    const during = [looks.now(), looks.now(), looks.now()];
    expect(ends.length).toBe(1);
    ends[0]?.(false);
    expect(await first).toBe(false);
    await clock.advanceAsync(0);
    expect(ends.length).toBe(2);
    ends[1]?.(true);
    expect(await Promise.all(during)).toEqual([true, true, true]);
    expect(ends.length).toBe(2);
  });

  test("come again after the interval, counted from the end of the last", async () => {
    const { clock, looks, ends } = bench();
    void looks.now();
    await clock.advanceAsync(5_000);
    expect(ends.length).toBe(1);
    ends[0]?.(true);
    await clock.advanceAsync(999);
    expect(ends.length).toBe(1);
    await clock.advanceAsync(1);
    expect(ends.length).toBe(2);
  });

  test("rest while there is nothing to look at, until a plan is made anew", async () => {
    const delayMs: { now: number | undefined } = { now: undefined };
    const { clock, looks, ends } = bench(delayMs);
    looks.schedule();
    expect(clock.pending).toBe(0);
    delayMs.now = 10;
    looks.schedule();
    await clock.advanceAsync(10);
    expect(ends.length).toBe(1);
  });

  test("end with a close, also in the middle of one", async () => {
    const { clock, looks, ends } = bench();
    const under = looks.now();
    looks.close();
    ends[0]?.(true);
    await under;
    await clock.advanceAsync(10_000);
    expect(await looks.now()).toBe(false);
    expect([ends.length, clock.pending]).toEqual([1, 0]);
  });
});
