import { expect, test } from "vitest";
import { Patience } from "../../../../src/backends/http/patience.ts";

test("pauses grow while nothing is told, up to the longest, and are short again after a word", () => {
  const patience = new Patience(1_000, 5_000);
  const untold = [1, 2, 3, 4, 5].map(() => patience.nextMs(false));
  expect(untold).toEqual([1_000, 2_000, 4_000, 5_000, 5_000]);
  expect(patience.nextMs(true)).toBe(1_000);
  expect(patience.nextMs(true)).toBe(1_000);
  expect(patience.nextMs(false)).toBe(1_000);
});

test("a longest pause below the first is the first", () => {
  const patience = new Patience(1_000, 10);
  expect([patience.nextMs(false), patience.nextMs(false)]).toEqual([1_000, 1_000]);
});
