import { describe, expect, test } from "vitest";
import { AccountGate, type ProbeResult } from "../../../../src/backends/http/gate.ts";
import { FakeClock } from "../../../support/fake-clock.ts";

const UNAUTHORIZED: ProbeResult = { ok: false, reason: "Unauthorized", message: "401" };

function bench(answer: { now: ProbeResult }) {
  const clock = new FakeClock();
  const states: string[] = [];
  let probes = 0;
  const gate = new AccountGate(
    clock,
    { initialMs: 1_000, maxMs: 8_000 },
    {
      probe: async () => {
        probes += 1;
        return answer.now;
      },
      changed: (status) => states.push(status.state === "Failed" ? status.reason : status.state),
      random: () => 0.5,
    },
  );
  return { clock, gate, states, probes: () => probes };
}

describe("the gate of an account", () => {
  test("opens with the first probe that succeeds", async () => {
    const { clock, gate, states } = bench({ now: { ok: true } });
    expect(gate.isOpen).toBe(false);
    gate.check();
    await clock.advanceAsync(0);
    expect(gate.isOpen).toBe(true);
    expect(states).toEqual(["Connected"]);
  });

  test("closes on one refusal for everybody, and asks again with growing pauses, one probe at a time", async () => {
    const answer: { now: ProbeResult } = { now: { ok: true } };
    const { clock, gate, probes } = bench(answer);
    gate.check();
    await clock.advanceAsync(0);
    answer.now = UNAUTHORIZED;
    for (let i = 0; i < 100; i++) gate.refused("401");
    expect(gate.isOpen).toBe(false);
    await clock.advanceAsync(1_000 + 2_000 + 4_000 + 8_000 + 8_000);
    expect(probes()).toBe(1 + 5);
    answer.now = { ok: true };
    await clock.advanceAsync(8_000);
    expect(gate.isOpen).toBe(true);
    await clock.advanceAsync(100_000);
    expect(probes()).toBe(7);
  });

  test("that the probe may pass and nothing else opens less and less often, until it stays open for a while", async () => {
    const { clock, gate, probes } = bench({ now: { ok: true } });
    gate.check();
    await clock.advanceAsync(0);
    for (const ms of [1_000, 2_000, 4_000, 8_000, 8_000]) {
      gate.refused("401");
      await clock.advanceAsync(ms - 1);
      expect(gate.isOpen).toBe(false);
      await clock.advanceAsync(1);
      expect(gate.isOpen).toBe(true);
    }
    expect(probes()).toBe(6);
    await clock.advanceAsync(8_000);
    gate.refused("401");
    await clock.advanceAsync(1_000);
    expect(gate.isOpen).toBe(true);
  });

  test("one request without an answer only makes it ask; the probe decides", async () => {
    const answer: { now: ProbeResult } = { now: { ok: true } };
    const { clock, gate, states, probes } = bench(answer);
    gate.check();
    await clock.advanceAsync(0);
    gate.doubt();
    gate.doubt();
    await clock.advanceAsync(0);
    expect(probes()).toBe(2);
    expect(states).toEqual(["Connected"]);
    answer.now = { ok: false, reason: "ConnectionFailed", message: "no answer" };
    gate.doubt();
    await clock.advanceAsync(0);
    expect(states).toEqual(["Connected", "ConnectionFailed"]);
  });

  test("asks nothing once closed", async () => {
    const { clock, gate, probes } = bench({ now: UNAUTHORIZED });
    gate.check();
    await clock.advanceAsync(0);
    gate.close();
    await clock.advanceAsync(100_000);
    expect(probes()).toBe(1);
  });
});
