import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  countAfterHealth,
  crashLoopHealthyAfterMs,
  DEFAULT_BACKOFF,
  jitterOf,
  nextBackoff,
  remainingMs,
} from "../../../src/controller/backoff.ts";

describe("the curve", () => {
  test("is kubelet's: 10 s doubling up to 5 min", () => {
    const delays = [0, 1, 2, 3, 4, 5, 6, 7, 100, 5000].map((count) => nextBackoff({ count, ...DEFAULT_BACKOFF }, 0));
    expect(delays).toEqual([0, 10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000, 300_000, 300_000]);
  });

  test("never shrinks with more failures, and jitter moves a delay by at most a tenth", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 2000 }),
        fc.integer({ min: 1, max: 60_000 }),
        fc.integer({ min: 1, max: 3_600_000 }),
        fc.double({ min: -5, max: 5, noNaN: true }),
        (count, initialMs, maxMs, jitter) => {
          const plain = nextBackoff({ count, initialMs, maxMs }, 0);
          expect(nextBackoff({ count: count + 1, initialMs, maxMs }, 0)).toBeGreaterThanOrEqual(plain);
          expect(plain).toBeLessThanOrEqual(maxMs);
          const moved = nextBackoff({ count, initialMs, maxMs }, jitter);
          expect(Math.abs(moved - plain)).toBeLessThanOrEqual(plain * 0.1 + 0.5);
          expect(Number.isInteger(moved)).toBe(true);
        },
      ),
    );
  });
});

describe("jitter", () => {
  test("is fixed by uid and count, within [-1, 1)", () => {
    fc.assert(
      fc.property(fc.uuid(), fc.nat(1000), (uid, count) => {
        const jitter = jitterOf(uid, count);
        expect(jitterOf(uid, count)).toBe(jitter);
        expect(jitter).toBeGreaterThanOrEqual(-1);
        expect(jitter).toBeLessThan(1);
      }),
    );
  });

  test("spreads a fleet evenly, for one count over many objects and for one object over many counts", () => {
    const perObject = Array.from({ length: 4000 }, (_, index) =>
      jitterOf(`0b6f2c1e-0000-4000-8000-${String(index)}`, 3),
    );
    const perCount = Array.from({ length: 4000 }, (_, index) =>
      jitterOf("0b6f2c1e-0000-4000-8000-000000000000", index),
    );
    for (const values of [perObject, perCount]) {
      const tenths = Array.from({ length: 10 }, () => 0);
      for (const value of values) tenths[Math.floor((value + 1) * 5)]! += 1;
      for (const count of tenths) expect(count).toBeGreaterThan(300);
    }
  });
});

describe("reset", () => {
  const count = 7;
  test.each([
    { why: "not healthy", healthySinceMs: undefined, nowMs: 1e9, expected: 7 },
    { why: "healthy for less than the reset time", healthySinceMs: 0, nowMs: 599_999, expected: 7 },
    { why: "healthy for the reset time", healthySinceMs: 0, nowMs: 600_000, expected: 0 },
  ])("the count is $expected when $why", ({ healthySinceMs, nowMs, expected }) => {
    expect(countAfterHealth({ count, healthySinceMs, resetAfterMs: 600_000 }, nowMs)).toBe(expected);
  });

  test.each([
    { why: "twice the last failed run", lastFailedRunMs: 40_000, expected: 80_000 },
    { why: "at least minReady", lastFailedRunMs: 1000, expected: 10_000 },
    { why: "at most the reset time", lastFailedRunMs: 1e9, expected: 600_000 },
  ])("a crash loop is over after $expected ms: $why", ({ lastFailedRunMs, expected }) => {
    expect(crashLoopHealthyAfterMs({ lastFailedRunMs, minReadyMs: 10_000, resetAfterMs: 600_000 })).toBe(expected);
  });

  test("remaining time is never negative, and 0 without a next retry", () => {
    expect(remainingMs(undefined, 5)).toBe(0);
    expect(remainingMs(3, 5)).toBe(0);
    expect(remainingMs(8, 5)).toBe(3);
  });
});
