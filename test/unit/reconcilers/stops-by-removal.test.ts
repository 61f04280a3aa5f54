import { expect, test } from "vitest";
import { alponPlanner } from "../../../src/backends/alpon/index.ts";
import type { DesiredContainer, ObservedContainer } from "../../../src/backends/contract.ts";
import type { Operation } from "../../../src/crds/edge-container.ts";
import { plan } from "../../../src/reconcilers/edge-container/plan/plan.ts";
import type { PlanInput, PlanMemory, PlanPolicy } from "../../../src/reconcilers/edge-container/plan/types.ts";

const ME = { owner: "o", namespace: "default", name: "web", uid: "u" };
const MARKER = { ...ME, operation: "op-1", hash: "k:1" };
const CONFIG = { image: "x/y:1", environments: {}, ports: [], volumes: [], hostNetwork: false, privileged: false };
const RESTART: Operation = {
  id: "op-r",
  type: "Restart",
  generation: 1,
  attempt: 1,
  startedAt: "2026-01-01T00:00:00Z",
};

function there(changes: Partial<ObservedContainer> = {}): ObservedContainer {
  const { image } = CONFIG;
  return {
    externalId: "web",
    name: "web",
    image,
    marker: MARKER,
    state: "Running",
    runs: [],
    stateSinceMs: 0,
    hostPorts: [],
    config: CONFIG,
    ...changes,
  };
}

function input(
  containers: ObservedContainer[],
  given: {
    state?: "Running" | "Stopped";
    name?: string;
    memory?: Partial<PlanMemory>;
    policy?: Partial<PlanPolicy>;
    hash?: string;
  } = {},
): PlanInput {
  const { state = "Running", name = "web", memory, policy, hash = "k:1" } = given;
  const desired: DesiredContainer = { name, image: "x/y:1", state, env: [], spec: { deviceRef: { name: "d" } } };
  return {
    now: 0,
    me: ME,
    generation: 1,
    desired,
    hash,
    planner: alponPlanner,
    policy: {
      managementPolicy: "Manage",
      driftPolicy: "Correct",
      updateStrategy: "Recreate",
      adoption: { policy: "Never" },
      stop: { signal: "SIGTERM", timeoutSeconds: 1, force: true },
      rollbackOnFailure: false,
      minReadyMs: 0,
      progressDeadlineMs: 600_000,
      resetAfterMs: 600_000,
      restartPatienceMs: 60_000,
      ...policy,
    },
    memory: {
      applied: { generation: 1, hash: "k:1", paths: ["image"] },
      wasStopped: false,
      reached: true,
      ...memory,
    },
    containers,
    synced: true,
    pending: [],
    claimed: new Set(),
    freshOperationId: "op-2",
  };
}
const step = (...args: Parameters<typeof input>) => plan(input(...args)).step;

test("Stopped removes what runs, also if it differs, and then rests", () => {
  const differing = there({ config: { ...CONFIG, image: "x/y:0" } });
  expect(step([differing], { state: "Stopped" })).toMatchObject({ type: "Remove" });
  expect(plan(input([], { state: "Stopped" }))).toMatchObject({ step: { type: "None" }, drifted: false });
});

test("a restart removes and then creates, whatever driftPolicy says of a removed container", () => {
  for (const driftPolicy of ["Correct", "Report"] as const) {
    const restart = {
      memory: { operation: { entry: RESTART, progress: { state: "Closed" } as const } },
      policy: { driftPolicy },
    };
    expect(step([there()], restart)).toMatchObject({ type: "Remove" });
    expect(step([], restart)).toMatchObject({ type: "Create", operation: { type: "Create" } });
  }
});

test("a container that somebody removed is made again, or only reported", () => {
  expect(step([])).toMatchObject({ type: "Create" });
  expect(plan(input([], { policy: { driftPolicy: "Report" } }))).toMatchObject({
    step: { type: "None" },
    drifted: true,
  });
});

test("another name is made only after the old one has gone", () => {
  expect(step([there()], { name: "other" })).toMatchObject({ type: "Remove", action: { externalId: "web" } });
  expect(step([], { name: "other" })).toMatchObject({ type: "Create" });
});

test("what the device tries to start is left to it", () => {
  const failing = there({ state: "Unknown", waiting: { reason: "CrashLoopBackOff", message: "" } });
  expect(step([failing])).toMatchObject({ type: "Wait", reason: "Observing" });
});

test("what cannot be seen is updated when the hash has changed, and only then", () => {
  const concealed = there({ config: { image: "x/y:1" } });
  expect(step([concealed])).toEqual({ type: "None" });
  expect(step([concealed], { hash: "k:2" })).toMatchObject({ type: "Update", differences: [{ path: "spec" }] });
  // Under another key a hash says nothing.
  expect(step([concealed], { hash: "other:2" })).toEqual({ type: "None" });
});
