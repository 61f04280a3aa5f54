import { describe, expect, test } from "vitest";
import { OutageDetector } from "../../../src/controller/outage.ts";
import { FakeClock } from "../../support/fake-clock.ts";

function setUp() {
  const clock = new FakeClock();
  let calls = 0;
  const outage = new OutageDetector({ clock, onBack: () => calls++ });
  const observe = (...codes: string[]): number => {
    for (const code of codes) outage.observe(code);
    return calls;
  };
  return { clock, observe };
}

describe("the end of an outage", () => {
  test("is the first real answer after a request without one, once", () => {
    const { observe } = setUp();
    expect(observe("200", "409", "500", "200")).toBe(0);
    expect(observe("<error>", "<error>")).toBe(0);
    expect(observe("429", "503", "500")).toBe(0);
    expect(observe("404")).toBe(1);
    expect(observe("200", "201")).toBe(1);
  });

  test("is told at most every 5 s, but is not missed", () => {
    const { clock, observe } = setUp();
    expect(observe("<error>", "200")).toBe(1);
    expect(observe("<error>", "200", "<error>", "200")).toBe(1);
    clock.advance(5000);
    expect(observe("200")).toBe(2);
    clock.advance(60_000);
    expect(observe("200")).toBe(2);
  });
});
