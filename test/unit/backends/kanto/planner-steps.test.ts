import { describe, expect, test } from "vitest";
import { kantoPlanner } from "../../../../src/backends/kanto/index.ts";
import { observed, wanted } from "./wanted.ts";

const STOP = { signal: "SIGTERM", timeoutSeconds: 30, force: true };
const HOLD = { kind: "Update", externalId: "id", payload: { restartPolicy: { type: "NO" } }, paths: ["restartPolicy"] };
const STOP_NOW = { kind: "Stop", externalId: "id", ...STOP };
const policy = (type: string) => ({ restartPolicy: { type } });
const RUNNING = { status: "RUNNING", startedAt: "2026-01-01T00:00:00Z" };
const ended = (status: string, exitCode: number) => ({
  status,
  startedAt: "2026-01-01T00:00:00Z",
  finishedAt: "2026-01-01T00:00:05Z",
  exitCode,
});

const PAUSED = { ...RUNNING, status: "PAUSED" };
const RESUME = { kind: "Resume", externalId: "id" };

describe("stop", () => {
  test.each([
    ["a running one under UNLESS_STOPPED is stopped", "UNLESS_STOPPED", RUNNING, STOP_NOW],
    ["a running one under NO is stopped", "NO", RUNNING, STOP_NOW],
    ["a running one under ALWAYS is held first", "ALWAYS", RUNNING, HOLD],
    ["a running one under ON_FAILURE is held first", "ON_FAILURE", RUNNING, HOLD],
    ["a paused one is resumed first, since it cannot act on a signal", "NO", PAUSED, RESUME],
    ["a stopped one under UNLESS_STOPPED stays so", "UNLESS_STOPPED", ended("STOPPED", 143), undefined],
    ["a stopped one under ALWAYS may be starting again", "ALWAYS", ended("STOPPED", 143), HOLD],
    ["an exited one in back-off is held", "UNLESS_STOPPED", ended("EXITED", 0), HOLD],
    ["an exited one that failed under ON_FAILURE is held", "ON_FAILURE", ended("EXITED", 3), HOLD],
    ["an exited one that did well under ON_FAILURE stays so", "ON_FAILURE", ended("EXITED", 0), undefined],
    ["an exited one under NO stays so", "NO", ended("EXITED", 3), undefined],
    ["one that was never started stays so", "ALWAYS", { status: "CREATED" }, undefined],
  ])("%s", (_what, type, state, action) => {
    expect(kantoPlanner.stop(observed(policy(type), state), STOP)).toEqual(action);
  });
});

describe("remove", () => {
  test("a running container: policy NO, then stop, then remove", () => {
    expect(kantoPlanner.remove(observed(policy("UNLESS_STOPPED")), STOP)).toEqual(HOLD);
    expect(kantoPlanner.remove(observed(policy("NO")), STOP)).toEqual(STOP_NOW);
    expect(kantoPlanner.remove(observed(policy("NO"), ended("STOPPED", 0)), STOP)).toEqual({
      kind: "Remove",
      externalId: "id",
    });
  });

  test("a paused one is resumed first, since it cannot act on a signal", () => {
    expect(kantoPlanner.remove(observed(policy("NO"), PAUSED), STOP)).toEqual(RESUME);
  });

  test("one in back-off is held, so that it cannot come back", () => {
    expect(kantoPlanner.remove(observed(policy("ALWAYS"), ended("EXITED", 3)), STOP)).toEqual(HOLD);
  });

  test("one that never ran is removed at once", () => {
    expect(kantoPlanner.remove(observed(policy("ALWAYS"), { status: "CREATED" }), STOP).kind).toBe("Remove");
  });
});

describe("restarts", () => {
  const always = wanted({ restartPolicy: { type: "Always" } });
  const onFailure = wanted({ restartPolicy: { type: "OnFailure", maxRetries: 1 } });
  test.each([
    ["an exit under Always", always, ended("EXITED", 0), true],
    ["a stop under Always", always, ended("STOPPED", 143), true],
    ["a failed start under Always", always, { ...ended("STOPPED", 0), error: "exec: not found" }, false],
    ["an exit under the daemon's own policy", wanted(), ended("EXITED", 0), true],
    ["a stop under the daemon's own policy", wanted(), ended("STOPPED", 143), false],
    ["an exit under No", wanted({ restartPolicy: { type: "No" } }), ended("EXITED", 3), false],
    ["a good end under OnFailure", onFailure, ended("EXITED", 0), false],
    ["a failure under OnFailure", onFailure, ended("EXITED", 3), true],
    ["a running one", always, RUNNING, false],
  ])("%s: %#", (_what, desired, state, expected) => {
    expect(kantoPlanner.restarts(desired, observed({}, state))).toBe(expected);
  });

  test("OnFailure gives up after maxRetries", () => {
    const run = (second: number) => ({
      startedAt: `2026-01-01T00:00:0${second}Z`,
      finishedAt: `2026-01-01T00:00:0${second + 1}Z`,
      exitCode: 3,
    });
    const container = observed({}, ended("EXITED", 3));
    expect(kantoPlanner.restarts(onFailure, { ...container, runs: [run(1)] })).toBe(true);
    expect(kantoPlanner.restarts(onFailure, { ...container, runs: [run(1), run(3)] })).toBe(false);
  });
});

describe("update", () => {
  test("sends complete objects, and only those that differ", () => {
    const desired = wanted({
      resources: { limits: { memory: "64Mi" }, reservations: { memory: "32Mi" } },
      restartPolicy: { type: "OnFailure", maxRetries: 3, retryTimeoutSeconds: 10 },
    });
    expect(kantoPlanner.update(desired, observed(), [])).toMatchObject({
      kind: "Update",
      payload: {
        restartPolicy: { type: "ON_FAILURE", maxRetryCount: 3, retryTimeout: 10 },
        resources: { memory: "64M", memoryReservation: "32M", memorySwap: "128M" },
      },
      paths: ["resources.limits.memory", "resources.reservations.memory", "restartPolicy"],
    });
    const same = observed({
      ...policy("ON_FAILURE"),
      restartPolicy: { type: "ON_FAILURE", maxRetryCount: 3, retryTimeout: 10 },
    });
    expect(kantoPlanner.update(desired, same, [])).toMatchObject({
      payload: { resources: { memory: "64M", memoryReservation: "32M", memorySwap: "128M" } },
    });
  });

  test("limits that have left the spec are removed with an empty object", () => {
    const before = observed({ resources: { memory: "64M", memorySwap: "128M" } });
    const action = kantoPlanner.update(wanted(), before, ["resources.limits.memory"]);
    expect(action).toMatchObject({ payload: { resources: {} }, paths: ["resources.limits.memory"] });
  });

  test("limits that others set, and the spec never spoke of, are kept", () => {
    const before = observed({ resources: { memory: "64M", memorySwap: "128M" } });
    const action = kantoPlanner.update(wanted({ resources: { reservations: { memory: "16Mi" } } }), before, []);
    expect(action).toMatchObject({
      payload: { resources: { memory: "64M", memoryReservation: "16M", memorySwap: "128M" } },
    });
  });

  test("an unlimited swap is said aloud", () => {
    const desired = wanted({ resources: { limits: { memory: "64Mi" }, memorySwap: "Unlimited" } });
    expect(kantoPlanner.update(desired, observed(), [])).toMatchObject({
      payload: { resources: { memory: "64M", memorySwap: "-1" } },
    });
  });
});

describe("a restart policy that was written down", () => {
  const { policies } = kantoPlanner;
  const full = { restartPolicy: { type: "ON_FAILURE", maxRetryCount: 5, retryTimeout: 30 } };

  test.each([full, policy("ALWAYS"), policy("UNLESS_STOPPED")])("is given back as it was: %j", (config) => {
    const saved = policies?.save(observed(config)) ?? "";
    expect(saved.length).toBeLessThanOrEqual(256);
    expect(policies?.restore(observed(policy("NO")), saved)).toEqual({
      kind: "Update",
      externalId: "id",
      payload: config,
      paths: ["restartPolicy"],
    });
    expect(policies?.restore(observed(config), saved)).toBeUndefined();
  });

  test.each(["", "nonsense", "[]", "{}", '{"type":"SOMETIMES"}', "null"])(
    "and cannot be read is left alone: %s",
    (saved) => {
      expect(policies?.restore(observed(policy("NO")), saved)).toBeUndefined();
    },
  );
});
