import { describe, expect, test } from "vitest";
import type { DesiredContainer, ObservedContainer, Planner } from "../../../src/backends/contract.ts";
import type { BackendFailure } from "../../../src/backends/errors.ts";
import type { EdgeContainer, EdgeContainerSpec, Operation } from "../../../src/crds/edge-container.ts";
import { strategyProblems } from "../../../src/reconcilers/edge-container/desire.ts";
import { judgeTrial } from "../../../src/reconcilers/edge-container/plan/trial.ts";
import type { PlanInput } from "../../../src/reconcilers/edge-container/plan/types.ts";
import { settingsOf } from "../../../src/reconcilers/edge-container/settings.ts";
import { mayEqual, standingFailed } from "../../../src/reconcilers/edge-container/standing.ts";
import { modelPlanner } from "./model-device.ts";

const NOW = Date.parse("2026-06-01T12:00:00Z");
const at = (seconds: number) => new Date(NOW + seconds * 1000).toISOString();

describe("updateStrategy", () => {
  const alone: Planner = { ...modelPlanner, type: "mittwald", coexistence: false };
  test.each<[string, Planner, EdgeContainerSpec["updateStrategy"], object[]]>([
    ["Swap is taken where two containers can exist", modelPlanner, { type: "Swap", rollbackOnFailure: true }, []],
    ["left out is no problem anywhere", alone, undefined, []],
    [
      "Swap is refused where two cannot exist",
      alone,
      { type: "Swap" },
      [{ kind: "Unsupported", path: "updateStrategy.type" }],
    ],
    [
      "rollbackOnFailure is refused where there is nothing to go back to",
      alone,
      { rollbackOnFailure: true },
      [{ kind: "Unsupported", path: "updateStrategy.rollbackOnFailure" }],
    ],
    ["rollbackOnFailure: false is what happens anyway", alone, { rollbackOnFailure: false }, []],
    [
      "rollbackOnFailure that another type cannot keep is listed as ignored",
      modelPlanner,
      { type: "Recreate", rollbackOnFailure: true },
      [{ kind: "Ignored", path: "updateStrategy.rollbackOnFailure" }],
    ],
  ])("%s", (_what, planner, updateStrategy, problems) => {
    const spec: EdgeContainerSpec = {
      deviceRef: { name: "d" },
      image: "r/a:1",
      ...(updateStrategy !== undefined && { updateStrategy }),
    };
    expect(strategyProblems(spec, planner)).toMatchObject(problems);
    expect(strategyProblems(spec, planner)).toHaveLength(problems.length);
  });
});

describe("a spec that was rolled back", () => {
  const failed = { hash: "k:1", generation: 3, reason: "CrashLoopBackOff", time: at(0) };
  const object = (generation: number, annotations: Record<string, string> = {}): EdgeContainer => ({
    apiVersion: "edge.drayage.dev/v1alpha1",
    kind: "EdgeContainer",
    metadata: { name: "web", namespace: "line", uid: "u", resourceVersion: "1", generation, annotations },
    spec: { deviceRef: { name: "d" }, image: "r/a:1" },
    status: { failed, lastHandled: { retry: "1" } },
  });

  test("stays so until the generation or the retry annotation changes", () => {
    expect(standingFailed(object(3))).toEqual(failed);
    expect(standingFailed(object(3, { "edge.drayage.dev/retry": "1" }))).toEqual(failed);
    expect(standingFailed(object(3, { "edge.drayage.dev/retry": "2" }))).toBeUndefined();
    expect(standingFailed(object(4))).toBeUndefined();
  });

  test("is another one under another hash; under another key a hash says nothing", () => {
    expect(mayEqual("k:1", "k:1")).toBe(true);
    expect(mayEqual("k:1", "k:2")).toBe(false);
    expect(mayEqual("k:1", "other:2")).toBe(true);
  });
});

describe("the new container of a Swap", () => {
  const entry: Operation = {
    id: "op",
    type: "Swap",
    generation: 2,
    attempt: 1,
    oldExternalId: "old",
    startedAt: at(-60),
  };
  const container = (change: Partial<ObservedContainer>): ObservedContainer => ({
    externalId: "new",
    name: "web",
    image: "r/a:2",
    state: "Running",
    runs: [{ startedAt: at(-5) }],
    startedAt: at(-5),
    stateSinceMs: NOW - 5_000,
    hostPorts: [],
    config: {},
    ...change,
  });
  const old = (seconds: number) =>
    container({ externalId: "old", state: "Stopped", stateSinceMs: NOW - seconds * 1000 });
  const crashes = [1, 2, 3].map((n) => ({ startedAt: at(n * 2 - 20), finishedAt: at(n * 2 - 19), exitCode: 3 }));
  const verdict = (
    fresh: Partial<ObservedContainer>,
    change: { policy?: "Always" | "No"; failure?: BackendFailure; of?: string; downSeconds?: number } = {},
  ) => {
    const spec: EdgeContainerSpec = {
      deviceRef: { name: "d" },
      image: "r/a:2",
      restartPolicy: { type: change.policy ?? "Always" },
    };
    const desired: DesiredContainer = { name: "web", image: "r/a:2", state: "Running", env: [], spec };
    const input = {
      now: NOW,
      desired,
      planner: modelPlanner,
      policy: settingsOf(spec).policy,
      memory: {
        wasStopped: false,
        reached: false,
        ...(change.failure !== undefined && {
          failure: { failure: change.failure, operationId: change.of ?? "op" },
        }),
      },
    } as unknown as PlanInput;
    return judgeTrial(input, entry, container(fresh), old(change.downSeconds ?? 10));
  };

  test.each<[string, ReturnType<typeof verdict>, object]>([
    ["has time until minReadySeconds", verdict({}), { verdict: "Pending", untilMs: NOW + 5_000 }],
    ["is healthy after minReadySeconds", verdict({ stateSinceMs: NOW - 10_000 }), { verdict: "Healthy" }],
    [
      "that ended with 0 and is not to run again has done its work",
      verdict(
        { state: "Exited", exitCode: 0, runs: [{ startedAt: at(-5), finishedAt: at(-1), exitCode: 0 }] },
        { policy: "No" },
      ),
      { verdict: "Healthy" },
    ],
    [
      "that ended otherwise and is not to run again has failed",
      verdict(
        { state: "Exited", exitCode: 7, runs: [{ startedAt: at(-5), finishedAt: at(-1), exitCode: 7 }] },
        { policy: "No" },
      ),
      { verdict: "Failing", because: { reason: "ContainerFailed", failure: { exitCode: 7 } } },
    ],
    [
      "that the device is about to restart has time",
      verdict({ state: "Exited", exitCode: 3, runs: crashes.slice(0, 1), stateSinceMs: NOW - 1_000 }),
      { verdict: "Pending" },
    ],
    [
      "in a crash loop has failed",
      verdict({ state: "Exited", exitCode: 3, runs: crashes, stateSinceMs: NOW - 1_000 }),
      { verdict: "Failing", because: { reason: "CrashLoopBackOff", failure: { reason: "Error", exitCode: 3 } } },
    ],
    [
      "that runs out of memory says so",
      verdict({
        state: "Exited",
        exitCode: 137,
        oomKilled: true,
        runs: crashes.map((run) => ({ ...run, exitCode: 137, oomKilled: true })),
        stateSinceMs: NOW - 1_000,
      }),
      { verdict: "Failing", because: { failure: { reason: "OOMKilled", exitCode: 137 } } },
    ],
    [
      "that cannot be started has failed",
      verdict(
        { state: "Stopped" },
        { failure: { class: "WorkloadFailed", reason: "RunContainerError", message: "no" } },
      ),
      { verdict: "Failing", because: { reason: "RunContainerError" } },
    ],
    [
      "that cannot have its port has failed",
      verdict({ state: "Created" }, { failure: { class: "Conflict", reason: "PortConflict", message: "no" } }),
      { verdict: "Failing", because: { reason: "PortConflict" } },
    ],
    [
      "is not blamed for the failure of another operation",
      verdict(
        { state: "Created" },
        { failure: { class: "WorkloadFailed", reason: "RunContainerError", message: "no" }, of: "op-before" },
      ),
      { verdict: "Pending" },
    ],
    [
      "is not blamed for a pull that went wrong before it was there",
      verdict({ state: "Created" }, { failure: { class: "WorkloadFailed", reason: "ErrImagePull", message: "no" } }),
      { verdict: "Pending" },
    ],
    [
      "whose start may yet work has time",
      verdict({ state: "Created" }, { failure: { class: "Transient", message: "busy" } }),
      { verdict: "Pending" },
    ],
    [
      "has no more of it than progressDeadlineSeconds, counted from when the old one was down",
      verdict({ state: "Created" }, { failure: { class: "Transient", message: "busy" }, downSeconds: 600 }),
      { verdict: "Failing", because: { reason: "ProgressDeadlineExceeded" } },
    ],
  ])("%s", (_what, is, expected) => {
    expect(is).toMatchObject(expected);
  });
});
