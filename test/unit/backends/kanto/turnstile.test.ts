import fc from "fast-check";
import { expect, test } from "vitest";
import { Turnstile } from "../../../../src/backends/kanto/turnstile.ts";
import { FakeClock } from "../../../support/fake-clock.ts";

function turnstile(most: number) {
  const clock = new FakeClock();
  const admitted: string[] = [];
  const gate = new Turnstile(clock, most);
  return { clock, admitted, gate, enter: (key: string) => gate.enter(key, () => void admitted.push(key)) };
}

test("so many are admitted at a time, in the order in which they came, the next when one is done", () => {
  const { admitted, gate, enter } = turnstile(2);
  for (const key of ["a", "b", "c", "d"]) enter(key);
  expect(admitted).toEqual(["a", "b"]);
  expect(gate.leave("b")).toBe(true);
  expect(admitted).toEqual(["a", "b", "c"]);
  gate.leave("b");
  expect(admitted).toEqual(["a", "b", "c"]);
});

test("one that does not answer holds nobody up for longer than a moment", () => {
  const { clock, admitted, enter } = turnstile(1);
  enter("a");
  enter("b");
  clock.advance(999);
  expect(admitted).toEqual(["a"]);
  clock.advance(1);
  expect(admitted).toEqual(["a", "b"]);
});

test("one that goes while it waits was never admitted, and is not admitted later", () => {
  const { clock, admitted, gate, enter } = turnstile(1);
  enter("a");
  enter("b");
  expect(gate.leave("b")).toBe(false);
  clock.advance(10_000);
  expect(admitted).toEqual(["a"]);
});

test("one that comes again begins anew, and after the end nobody is admitted", () => {
  const { clock, admitted, gate, enter } = turnstile(1);
  enter("a");
  enter("a");
  expect(admitted).toEqual(["a", "a"]);
  enter("b");
  gate.close();
  clock.advance(10_000);
  expect(admitted).toEqual(["a", "a"]);
});

test("whatever comes and goes, everybody who stays is admitted once", () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant("leave" as const), key: fc.nat(20) }),
    fc.record({ kind: fc.constant("advance" as const), key: fc.nat(1500) }),
  );
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 }), fc.array(step), (most, steps) => {
      const { clock, admitted, gate, enter } = turnstile(most);
      const gone = new Set<string>();
      for (let index = 0; index <= 20; index++) enter(String(index));
      for (const { kind, key } of steps) {
        if (kind === "advance") clock.advance(key);
        else if (!gate.leave(String(key))) gone.add(String(key));
      }
      clock.advance(60_000);
      expect(new Set(admitted).size).toBe(admitted.length);
      expect(admitted.length + gone.size).toBe(21);
    }),
  );
});
