import { describe, expect, test } from "vitest";
import type { Command, CommandOutcome, SessionEvent } from "../../../../src/backends/contract.ts";
import { CommandSlot } from "../../../../src/backends/http/command-slot.ts";
import { FakeClock } from "../../../support/fake-clock.ts";

const create = (operation: string): Command => ({
  kind: "Create",
  commandId: `${operation}.1`,
  key: "n/web",
  desired: { name: "web", image: "i", state: "Running", env: [], spec: { deviceRef: { name: "d" } } },
  marker: { owner: "o", namespace: "n", name: "web", uid: "u", operation, hash: "k:1" },
});

function bench() {
  const clock = new FakeClock();
  const events: SessionEvent[] = [];
  const counted: string[] = [];
  const closing = new AbortController();
  const log = (): void => undefined;
  const slot = new CommandSlot(
    { type: "alpon", targetKey: "t", signal: closing.signal, emit: (event) => void events.push(event) },
    {
      clock,
      log: { debug: log, info: log, warn: log, error: log },
      metrics: {
        command: (_type, kind, result) => void counted.push(`${kind} ${result}`),
        malformed: () => undefined,
        reconnect: () => undefined,
      },
    },
  );
  const { promise, resolve } = Promise.withResolvers<CommandOutcome>();
  return { clock, slot, events, counted, closing, promise, end: resolve };
}

describe("the slot of a device's commands", () => {
  test("is held past the deadline, and freed by the end only, which everybody is told of", async () => {
    const { clock, slot, events, counted, promise, end } = bench();
    const run = slot.run(create("op"), 1_000, () => promise);
    expect([slot.isBusy, slot.operation, slot.inFlight?.overdue]).toEqual([true, "op", false]);
    await clock.advanceAsync(1_000);
    expect([slot.isBusy, slot.inFlight?.overdue]).toEqual([true, true]);
    end({ commandId: "op.1", kind: "Create", result: "Succeeded", externalId: "web" });
    await run;
    expect([slot.isBusy, slot.operation, slot.settlements.isClosed("op")]).toEqual([false, undefined, true]);
    expect(events.map(({ type }) => type)).toEqual(["Outcome", "SlotFree"]);
    expect(counted).toEqual(["Create Succeeded"]);
    expect(clock.pending).toBe(0);
  });

  test("a new send opens the operation again", async () => {
    const { slot, promise } = bench();
    slot.settlements.closed("op");
    void slot.run(create("op"), 1_000, () => promise);
    expect(slot.settlements.isClosed("op")).toBe(false);
  });

  test("tells nobody of a command that the session's end has abandoned", async () => {
    const { slot, events, closing, promise, end } = bench();
    const run = slot.run(create("op"), 1_000, () => promise);
    closing.abort();
    end({ commandId: "op.1", kind: "Create", result: "Lost" });
    await run;
    expect([events, slot.settlements.isClosed("op")]).toEqual([[], false]);
  });

  test("progress is news once, and only of the command in flight", async () => {
    const { slot, promise } = bench();
    expect(slot.progress({ stage: "Unpacking" })).toBe(false);
    void slot.run(create("op"), 1_000, () => promise);
    expect([slot.progress({ stage: "Unpacking" }), slot.progress({ stage: "Unpacking" })]).toEqual([true, false]);
    expect(slot.inFlight?.progress).toEqual({ stage: "Unpacking" });
  });

  test("operations that are over are remembered up to a limit", () => {
    const { slot } = bench();
    for (let i = 0; i < 5_000; i++) slot.settlements.closed(`op-${i}`);
    expect(slot.settlements.size).toBe(2_000);
    expect([slot.settlements.isClosed("op-0"), slot.settlements.isClosed("op-4999")]).toEqual([false, true]);
  });
});
