import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ObservedContainer, Run } from "../../../src/backends/contract.ts";
import { historyOf } from "../../../src/reconcilers/edge-container/observe.ts";
import { accountRuns, type RunHistory } from "../../../src/reconcilers/edge-container/runs.ts";
import type { Scope } from "../../../src/reconcilers/edge-container/scope.ts";

const T0 = Date.parse("2026-01-01T00:00:00Z");
const at = (seconds: number) => new Date(T0 + seconds * 1000).toISOString();
const POLICY = { minReadyMs: 10_000, resetAfterMs: 600_000, restarts: true };
const FRESH: RunHistory = { externalId: "c1", restartCount: 0, crashCount: 0 };

const run = (startedAt: number, finishedAt?: number, exitCode?: number): Run => ({
  startedAt: at(startedAt),
  ...(finishedAt !== undefined && { finishedAt: at(finishedAt), exitCode: exitCode ?? 0 }),
});

function container(state: ObservedContainer["state"], runs: Run[], stateSince: number): ObservedContainer {
  const last = runs.at(-1);
  return {
    externalId: "c1",
    name: "web",
    image: "r/a:1",
    state,
    runs,
    stateSinceMs: T0 + stateSince * 1000,
    hostPorts: [],
    config: {},
    ...(last !== undefined && { startedAt: last.startedAt }),
  };
}

/** What status keeps of a look, for the next one. */
function remember(
  before: RunHistory,
  observed: ObservedContainer,
  account: ReturnType<typeof accountRuns>,
): RunHistory {
  const last = observed.runs.at(-1);
  const { lastEnded } = account;
  return {
    externalId: observed.externalId,
    restartCount: account.restartCount,
    crashCount: account.crashCount,
    ...(last !== undefined && { lastStartedAt: last.startedAt }),
    ...(lastEnded?.finishedAt !== undefined
      ? { lastEnd: { startedAt: lastEnded.startedAt, finishedAt: lastEnded.finishedAt } }
      : before.lastEnd !== undefined && { lastEnd: before.lastEnd }),
  };
}

describe("a first run", () => {
  test("is no restart, and is ready after minReadySeconds", () => {
    const observed = container("Running", [run(0)], 0);
    const early = accountRuns(FRESH, observed, POLICY, T0 + 9_999);
    expect(early).toMatchObject({ restartCount: 0, crashLooping: false, settled: false, settlesAtMs: T0 + 10_000 });
    expect(accountRuns(FRESH, observed, POLICY, T0 + 10_000)).toMatchObject({ settled: true });
  });

  test("of a vendor that is asked from time to time is ready once it was seen after minReadySeconds", () => {
    const observed = container("Running", [run(0)], 0);
    const due = accountRuns(FRESH, { ...observed, seenMs: T0 + 9_999 }, POLICY, T0 + 30_000);
    expect(due).toMatchObject({ settled: false, needsLook: true });
    // Nothing is waited for but the look.
    expect(due.settlesAtMs).toBeUndefined();
    const seen = accountRuns(FRESH, { ...observed, seenMs: T0 + 10_000 }, POLICY, T0 + 30_000);
    expect(seen).toMatchObject({ settled: true });
    expect(seen.needsLook).toBeUndefined();
  });

  test("that was Ready before the operator restarted is Ready at once afterwards", () => {
    const observed = container("Running", [run(0)], 500);
    const history = { ...FRESH, lastStartedAt: at(0), readyRun: at(0) };
    expect(accountRuns(history, observed, POLICY, T0 + 500_000)).toMatchObject({ settled: true });
  });
});

describe("the run that status tells of was Ready", () => {
  const history = (conditions: object[], rest: object = {}) => {
    const status = { state: { running: { startedAt: at(0) } }, conditions, ...rest };
    return historyOf({ object: { metadata: { generation: 2 }, status } } as unknown as Scope).readyRun;
  };
  const ready = (status: string, observedGeneration = 2) => ({ type: "Ready", status, observedGeneration });

  test.each<[string, object[], object, boolean]>([
    ["if it says so", [ready("True")], {}, true],
    ["if it is out of sight since", [ready("Unknown")], {}, true],
    ["not if it says that it is not", [ready("False")], {}, false],
    ["not if it is out of sight in the middle of a change", [ready("Unknown"), { type: "Reconciling" }], {}, false],
    ["not if it is out of sight with an older spec", [ready("Unknown", 1)], {}, false],
    ["not if it is out of sight in a crash loop", [ready("Unknown")], { backoff: { kind: "Crash", count: 3 } }, false],
  ])("%s", (_case, conditions, rest, was) => {
    expect(history(conditions, rest)).toBe(was ? at(0) : undefined);
  });
});

describe("a crash loop", () => {
  const crashes = [run(0, 1, 3), run(2, 3, 3), run(5, 6, 3)];

  test("is three failed exits within the reset time", () => {
    expect(accountRuns(FRESH, container("Exited", crashes.slice(0, 2), 3), POLICY, T0 + 4_000)).toMatchObject({
      crashCount: 2,
      crashLooping: false,
    });
    expect(accountRuns(FRESH, container("Exited", crashes, 6), POLICY, T0 + 7_000)).toMatchObject({
      crashCount: 3,
      crashLooping: true,
      restartCount: 2,
    });
  });

  test("goes on between two crashes while the process runs for a moment", () => {
    const running = container("Running", [...crashes, run(10)], 10);
    expect(accountRuns(FRESH, running, POLICY, T0 + 11_000)).toMatchObject({ crashLooping: true, settled: false });
  });

  test("is over once it has run twice as long as its last failed run, at least minReadySeconds", () => {
    const running = container("Running", [...crashes, run(10)], 10);
    expect(accountRuns(FRESH, running, POLICY, T0 + 20_000)).toMatchObject({
      crashLooping: false,
      settled: true,
      crashCount: 3,
    });
    const slow = container("Running", [run(0, 60, 1), run(61, 121, 1), run(122, 182, 1), run(190)], 190);
    expect(accountRuns(FRESH, slow, POLICY, T0 + 309_000)).toMatchObject({ crashLooping: true });
    expect(accountRuns(FRESH, slow, POLICY, T0 + 310_000)).toMatchObject({ crashLooping: false });
  });

  test("is over after resetAfterSeconds at the latest, however long its runs are", () => {
    const long = [run(0, 500, 3), run(501, 1_001, 3), run(1_002, 1_502, 3), run(1_503)];
    const policy = { ...POLICY, resetAfterMs: 600_000 };
    const observed = container("Running", long, 1_503);
    expect(accountRuns(FRESH, observed, policy, T0 + 2_000_000)).toMatchObject({ crashLooping: true, settled: false });
    expect(accountRuns(FRESH, observed, policy, T0 + 2_103_000)).toMatchObject({ crashLooping: false, settled: true });
  });

  test("is forgotten after resetAfterSeconds of running", () => {
    const running = container("Running", [...crashes, run(10)], 10);
    const account = accountRuns(FRESH, running, POLICY, T0 + 610_000);
    expect(account).toMatchObject({ crashCount: 0, settled: true });
    expect(account.forgetAtMs).toBeUndefined();
  });

  test("does not begin where runs are longer than the reset time", () => {
    const long = [run(0, 700, 1), run(701, 1401, 1), run(1402, 2102, 1)];
    expect(accountRuns(FRESH, container("Exited", long, 2102), POLICY, T0 + 2_103_000)).toMatchObject({
      crashCount: 1,
      crashLooping: false,
    });
  });

  test("is not made of stops that somebody asked for", () => {
    const stopped = crashes.map((one) => ({ ...one, stopped: true }));
    expect(accountRuns(FRESH, container("Stopped", stopped, 6), POLICY, T0 + 7_000)).toMatchObject({ crashCount: 0 });
  });

  test("is not made of clean ends that nothing restarts", () => {
    const done = [run(0, 1, 0), run(2, 3, 0), run(5, 6, 0)];
    const account = accountRuns(FRESH, container("Exited", done, 6), { ...POLICY, restarts: false }, T0 + 7_000);
    expect(account).toMatchObject({ crashCount: 0, crashLooping: false });
  });
});

test("an ordered stop and start is no restart, whoever ordered it", () => {
  const stopped: Run = { ...run(0, 5, 143), stopped: true };
  const history = { ...FRESH, lastStartedAt: at(0) };
  expect(accountRuns(history, container("Running", [stopped, run(6)], 6), POLICY, T0 + 7_000).restartCount).toBe(0);
  const crashed = [stopped, run(6, 7, 1), run(8)];
  expect(accountRuns(history, container("Running", crashed, 8), POLICY, T0 + 9_000).restartCount).toBe(1);
  expect(accountRuns(FRESH, container("Running", crashed, 8), POLICY, T0 + 9_000).restartCount).toBe(1);
  // Whatever came before is not listed any more: how it ended is not known, and it counts.
  expect(accountRuns(history, container("Running", [run(8)], 8), POLICY, T0 + 9_000).restartCount).toBe(1);
});

test("another container starts from nothing", () => {
  const history = { externalId: "c0", restartCount: 7, crashCount: 5, lastStartedAt: at(-10) };
  expect(accountRuns(history, container("Running", [run(0)], 0), POLICY, T0 + 1)).toMatchObject({
    restartCount: 0,
    crashCount: 0,
  });
});

test("a vendor's own count wins", () => {
  const observed = { ...container("Running", [run(0)], 0), restartCount: 42 };
  expect(accountRuns(FRESH, observed, POLICY, T0 + 1).restartCount).toBe(42);
});

test("counts are the same however often and at whatever moments one looks", () => {
  const exits = fc.array(
    fc.record({ pause: fc.integer({ min: 1, max: 20 }), length: fc.integer({ min: 1, max: 20 }) }),
    {
      minLength: 1,
      maxLength: 12,
    },
  );
  fc.assert(
    fc.property(exits, fc.array(fc.boolean()), (lengths, looks) => {
      let now = 0;
      const runs: Run[] = [];
      let history: RunHistory = FRESH;
      lengths.forEach(({ pause, length }, index) => {
        const startedAt = now + pause;
        now = startedAt + length;
        runs.push(run(startedAt, now, 1));
        if (looks[index] === true) {
          const observed = container("Exited", [...runs], now);
          history = remember(history, observed, accountRuns(history, observed, POLICY, T0 + now * 1000));
        }
      });
      const observed = container("Exited", runs, now);
      const last = accountRuns(history, observed, POLICY, T0 + now * 1000);
      expect(last.restartCount).toBe(lengths.length - 1);
      expect(last.crashCount).toBe(lengths.length);
      // And once more, as after a restart of the operator: nothing is counted twice.
      const again = accountRuns(remember(history, observed, last), observed, POLICY, T0 + now * 1000);
      expect(again).toMatchObject({ restartCount: last.restartCount, crashCount: last.crashCount });
    }),
  );
});
