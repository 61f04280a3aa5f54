import { expect, test } from "vitest";
import { Coalescer } from "../../../../src/backends/http/coalesce.ts";

test("however many ask, one works at a time per key, and one more after it", async () => {
  const coalescer = new Coalescer();
  const ends: (() => void)[] = [];
  let others = 0;
  const work = () => new Promise<void>((resolve) => ends.push(resolve));
  for (let i = 0; i < 1_000; i++) coalescer.run("a", work);
  coalescer.run("b", async () => void (others += 1));
  expect([ends.length, others]).toEqual([1, 1]);
  const settle = () => new Promise<void>((resolve) => setImmediate(resolve));
  ends[0]?.();
  await settle();
  expect(ends.length).toBe(2);
  ends[1]?.();
  await settle();
  expect(ends.length).toBe(2);
  coalescer.run("a", work);
  expect(ends.length).toBe(3);
});
