import { describe, expect, test } from "vitest";
import { Limiter, retryAfterMs, type Urgency } from "../../../../src/backends/http/limiter.ts";
import { FakeClock } from "../../../support/fake-clock.ts";

const never = new AbortController().signal;

function bench(options: { requestsPerSecond: number; burst: number; concurrency: number }) {
  const clock = new FakeClock();
  const limiter = new Limiter(clock, options);
  const begun: string[] = [];
  const releases: (() => void)[] = [];
  const ask = (name: string, urgency: Urgency = "Routine", signal = never): void => {
    void limiter.turn(urgency, signal).then((release) => {
      begun.push(release === undefined ? `${name}: no` : name);
      if (release !== undefined) releases.push(release);
      return release;
    });
  };
  return { clock, limiter, begun, releases, ask };
}

describe("the limiter", () => {
  test("lets a burst through at once, then so many per second", async () => {
    const { clock, begun, ask } = bench({ requestsPerSecond: 2, burst: 3, concurrency: 100 });
    for (let i = 0; i < 6; i++) ask(String(i));
    await clock.advanceAsync(0);
    expect(begun).toHaveLength(3);
    await clock.advanceAsync(499);
    expect(begun).toHaveLength(3);
    await clock.advanceAsync(1);
    expect(begun).toHaveLength(4);
    await clock.advanceAsync(1000);
    expect(begun).toHaveLength(6);
  });

  test("serves what was just decided upon before what a user waits for, and that before polls", async () => {
    const { clock, begun, releases, ask } = bench({ requestsPerSecond: 1000, burst: 100, concurrency: 1 });
    ask("first");
    ask("poll");
    ask("look", "Urgent");
    ask("write", "Pressing");
    for (let served = 0; served < 3; served++) {
      await clock.advanceAsync(1);
      releases[served]?.();
    }
    await clock.advanceAsync(1);
    expect(begun).toEqual(["first", "write", "look", "poll"]);
  });

  test("pauses everybody, and a shorter pause does not end a longer one", async () => {
    const { clock, limiter, begun, ask } = bench({ requestsPerSecond: 1000, burst: 100, concurrency: 9 });
    limiter.pause(5_000);
    limiter.pause(1_000);
    ask("a");
    await clock.advanceAsync(4_999);
    expect(begun).toEqual([]);
    await clock.advanceAsync(2);
    expect(begun).toEqual(["a"]);
  });

  test("forgets who gave up, and a release counts once", async () => {
    const { clock, begun, releases, ask } = bench({ requestsPerSecond: 1000, burst: 100, concurrency: 1 });
    const patience = new AbortController();
    ask("first");
    ask("impatient", "Routine", patience.signal);
    ask("third");
    ask("fourth");
    await clock.advanceAsync(0);
    patience.abort();
    releases[0]?.();
    releases[0]?.();
    await clock.advanceAsync(1);
    expect(begun).toEqual(["first", "impatient: no", "third"]);
  });
});

test.each([
  ["5", 5_000],
  ["0", 1_000],
  ["99999999", 600_000],
  ["Thu, 01 Jan 2026 00:00:30 GMT", 30_000],
  ["Thu, 01 Jan 2015 00:00:30 GMT", 1_000],
  ["soon", undefined],
  [undefined, undefined],
])("Retry-After %s is %s ms", (header, ms) => {
  expect(retryAfterMs(header, Date.UTC(2026, 0, 1), 600_000)).toBe(ms);
});
