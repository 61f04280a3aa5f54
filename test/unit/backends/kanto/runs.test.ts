import { describe, expect, test } from "vitest";
import type { Run } from "../../../../src/backends/contract.ts";
import { addSample, MAX_RUNS, type RunSample } from "../../../../src/backends/kanto/runs.ts";

const at = (second: number): string => new Date(Date.UTC(2026, 0, 1, 0, 0, second)).toISOString();

function running(start: number, previousEnd?: number): RunSample {
  return {
    state: "Running",
    startedAt: at(start),
    ...(previousEnd !== undefined && { finishedAt: at(previousEnd) }),
    exitCode: 0,
    oomKilled: false,
  };
}

function exited(start: number, end: number, exitCode = 3): RunSample {
  return { state: "Exited", startedAt: at(start), finishedAt: at(end), exitCode, oomKilled: false };
}

function after(...samples: RunSample[]): readonly Run[] {
  return samples.reduce<readonly Run[]>(addSample, []);
}

describe("runs from samples", () => {
  test("a run is opened by RUNNING and closed by EXITED", () => {
    expect(after(running(1), exited(1, 2))).toEqual([{ startedAt: at(1), finishedAt: at(2), exitCode: 3 }]);
  });

  test("repeated samples add nothing, and the array stays the same", () => {
    const once = after(running(1), exited(1, 2));
    expect(addSample(once, exited(1, 2))).toBe(once);
    expect(addSample(once, running(1))).toBe(once);
  });

  test("a skipped end is closed by the next start, without an exit code", () => {
    expect(after(running(1), running(5, 4))).toEqual([{ startedAt: at(1), finishedAt: at(4) }, { startedAt: at(5) }]);
  });

  test("a skipped start is made up for by the end", () => {
    expect(after(exited(1, 2), exited(5, 6))).toEqual([
      { startedAt: at(1), finishedAt: at(2), exitCode: 3 },
      { startedAt: at(5), finishedAt: at(6), exitCode: 3 },
    ]);
  });

  test("the first end that was seen counts: a cancelled restart shows another one", () => {
    const cancelled: RunSample = { ...exited(1, 9, 0), state: "Stopped" };
    expect(after(running(1), exited(1, 2), cancelled)).toEqual([{ startedAt: at(1), finishedAt: at(2), exitCode: 3 }]);
  });

  test("a stop is told from an exit", () => {
    const stopped: RunSample = { ...exited(1, 2, 143), state: "Stopped" };
    expect(after(running(1), stopped)).toEqual([{ startedAt: at(1), finishedAt: at(2), exitCode: 143, stopped: true }]);
  });

  test("an out-of-memory kill is kept", () => {
    const killed: RunSample = { ...exited(1, 2, 137), oomKilled: true };
    expect(after(killed)).toEqual([{ startedAt: at(1), finishedAt: at(2), exitCode: 137, oomKilled: true }]);
  });

  test("a start that failed is no run", () => {
    const failed: RunSample = { state: "Stopped", finishedAt: at(3), exitCode: 0, oomKilled: false };
    expect(after(failed)).toEqual([]);
  });

  test("an end before the start of the open run belongs to an older one", () => {
    expect(after(running(5), running(7, 4))).toEqual([{ startedAt: at(5) }, { startedAt: at(7) }]);
  });

  test("a pause is the same run", () => {
    expect(after(running(1), { ...running(1), state: "Paused" }, running(1))).toEqual([{ startedAt: at(1) }]);
  });

  test("the newest are kept", () => {
    const samples = Array.from({ length: MAX_RUNS + 5 }, (_, index) => exited(2 * index + 1, 2 * index + 2));
    const runs = after(...samples);
    expect(runs).toHaveLength(MAX_RUNS);
    expect(runs.at(-1)?.startedAt).toBe(at(2 * (MAX_RUNS + 4) + 1));
  });
});
