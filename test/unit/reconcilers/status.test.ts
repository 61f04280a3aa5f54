import { describe, expect, test } from "vitest";
import type { DeviceSession, DeviceSnapshot, ObservedContainer, RunState } from "../../../src/backends/contract.ts";
import type { BackendFailure } from "../../../src/backends/errors.ts";
import { SCHEMAS } from "../../../src/crds/parse.ts";
import type {
  EdgeContainer,
  EdgeContainerSpec,
  EdgeContainerStatus,
  Operation,
} from "../../../src/crds/edge-container.ts";
import type { Plan, Step } from "../../../src/reconcilers/edge-container/plan/types.ts";
import { urgencyOf, wakeInMs } from "../../../src/reconcilers/edge-container/report.ts";
import type { Scope } from "../../../src/reconcilers/edge-container/scope.ts";
import { settingsOf } from "../../../src/reconcilers/edge-container/settings.ts";
import { computeStatus } from "../../../src/reconcilers/edge-container/status.ts";
import { modelPlanner } from "./model-device.ts";

const NOW = Date.parse("2026-06-01T12:00:00Z");
const STARTED = "2026-06-01T11:00:00Z";

function container(state: RunState, change: Partial<ObservedContainer> = {}): ObservedContainer {
  return {
    externalId: "c1",
    name: "web",
    image: "r/a:1",
    state,
    runs: [],
    stateSinceMs: NOW - 3_600_000,
    hostPorts: [],
    config: { image: "r/a:1", args: "", policy: "Always" },
    ...(state !== "Created" && { startedAt: STARTED }),
    ...change,
  };
}

interface Situation {
  spec?: Partial<EdgeContainerSpec>;
  status?: EdgeContainerStatus;
  annotations?: Record<string, string>;
  snapshot?: Partial<DeviceSnapshot>;
  step?: Step;
  primary?: ObservedContainer;
  differences?: Plan["differences"];
  drifted?: boolean;
  rolledBack?: boolean;
  scope?: Partial<Scope>;
}

/** A scope as the phases before status leave it: connected, synced, a container that runs, nothing to do. */
function scopeOf(situation: Situation): Scope {
  const spec: EdgeContainerSpec = {
    deviceRef: { name: "press" },
    image: "r/a:1",
    restartPolicy: { type: "Always" },
    ...situation.spec,
  };
  const object: EdgeContainer = {
    apiVersion: "edge.drayage.dev/v1alpha1",
    kind: "EdgeContainer",
    metadata: {
      name: "web",
      namespace: "line",
      uid: "u1",
      resourceVersion: "5",
      generation: 3,
      ...(situation.annotations !== undefined && { annotations: situation.annotations }),
    },
    spec,
    ...(situation.status !== undefined && { status: situation.status }),
  };
  const snapshot: DeviceSnapshot = {
    connection: "Connected",
    synced: true,
    syncCount: 1,
    containers: [],
    ...situation.snapshot,
  };
  const primary = "primary" in situation ? situation.primary : container("Running");
  return {
    object,
    settings: settingsOf(spec),
    nowMs: NOW,
    readOnly: false,
    acceptance: { accepted: true },
    ignored: [],
    exposed: [],
    keepsReadiness: false,
    target: {
      planner: modelPlanner,
      session: {} as DeviceSession,
      snapshot,
      account: { state: "Connected" },
      settleMs: 0,
    },
    desired: { name: "web", image: spec.image ?? "", state: spec.desiredState ?? "Running", env: [], spec },
    hash: "k:3",
    plan: {
      step: situation.step ?? { type: "None" },
      differences: situation.differences ?? [],
      drifted: situation.drifted ?? false,
      ...(primary !== undefined && { primary }),
      ...(situation.rolledBack === true && { rolledBack: true }),
    },
    ...(primary !== undefined && {
      runs: { restartCount: 0, crashCount: 0, crashLooping: false, settled: true },
    }),
    ...situation.scope,
  };
}

const wait = (reason: Extract<Step, { type: "Wait" }>["reason"], message = "why"): Step => ({
  type: "Wait",
  reason,
  message,
});
const failed = (failure: BackendFailure): Partial<Scope> => ({
  failure: { failure, atMs: NOW, generation: 3 },
  backoff: { kind: "Operation", count: 1, nextRetryTime: "2026-06-01T12:00:10.000Z" },
});
const swap: Operation = {
  id: "op1",
  type: "Swap",
  generation: 3,
  attempt: 1,
  oldExternalId: "c0",
  newExternalId: "c1",
  savedRestartPolicy: "Always",
  startedAt: STARTED,
};
const afterFailure: Partial<Scope> = {
  failed: { hash: "k:3", generation: 3, reason: "CrashLoopBackOff", time: STARTED },
  failure: {
    failure: { class: "WorkloadFailed", reason: "Error", message: "the new container ended", exitCode: 3 },
    atMs: NOW,
    generation: 3,
    operationId: "op1",
  },
};
const image: Plan["differences"] = [{ path: "image", desired: "r/a:2", observed: "r/a:1", effect: "Recreate" }];
const readyBefore: EdgeContainerStatus = {
  observedGeneration: 3,
  phase: "Running",
  applied: { generation: 3, hash: "k:3", paths: [] },
  conditions: [
    {
      type: "Ready",
      status: "True",
      reason: "Running",
      message: "",
      observedGeneration: 3,
      lastTransitionTime: STARTED,
    },
  ],
};

/** Situation, then Ready (status and reason), Reconciling, Stalled, phase. */
const table: [string, Situation, string, string | undefined, string | undefined, string][] = [
  ["runs as specified", {}, "True Running", undefined, undefined, "Running"],
  [
    "runs, but not for minReadySeconds yet",
    { scope: { runs: { restartCount: 0, crashCount: 0, crashLooping: false, settled: false } } },
    "False Progressing",
    undefined,
    undefined,
    "Running",
  ],
  [
    "is stopped as specified",
    { spec: { desiredState: "Stopped" }, primary: container("Stopped") },
    "True Stopped",
    undefined,
    undefined,
    "Stopped",
  ],
  [
    "is paused as specified",
    { spec: { desiredState: "Paused" }, primary: container("Paused") },
    "True Paused",
    undefined,
    undefined,
    "Paused",
  ],
  [
    "ended with 0 and the policy leaves it so",
    { spec: { restartPolicy: { type: "No" } }, primary: container("Exited", { exitCode: 0 }) },
    "True Completed",
    undefined,
    undefined,
    "Succeeded",
  ],
  [
    "ended with 7 and the policy leaves it so",
    { spec: { restartPolicy: { type: "No" } }, primary: container("Exited", { exitCode: 7 }) },
    "False Failed",
    undefined,
    "ContainerFailed",
    "Failed",
  ],
  [
    "ended a moment ago and the device will restart it",
    { primary: container("Exited", { exitCode: 1, stateSinceMs: NOW - 1000 }) },
    "False Progressing",
    undefined,
    undefined,
    "Pending",
  ],
  [
    "ended, and the device has not restarted it for longer than it ever waits",
    { primary: container("Exited", { exitCode: 1, stateSinceMs: NOW - 600_000 }) },
    "False Failed",
    undefined,
    "ContainerFailed",
    "Failed",
  ],
  [
    "crash-loops",
    { scope: { runs: { restartCount: 4, crashCount: 5, crashLooping: true, settled: false } } },
    "False CrashLoopBackOff",
    undefined,
    undefined,
    "CrashLoopBackOff",
  ],
  [
    "is being created",
    { primary: undefined as never, step: wait("Operation") },
    "False Progressing",
    "Creating",
    undefined,
    "Pending",
  ],
  [
    "cannot be pulled",
    {
      primary: undefined as never,
      step: wait("BackingOff"),
      scope: failed({ class: "WorkloadFailed", reason: "ErrImagePull", message: "no" }),
    },
    "False ImagePullBackOff",
    "BackingOff",
    undefined,
    "ImagePullBackOff",
  ],
  [
    "cannot be started",
    {
      primary: container("Stopped"),
      step: wait("BackingOff"),
      scope: failed({ class: "WorkloadFailed", reason: "RunContainerError", message: "no" }),
    },
    "False RunContainerError",
    "BackingOff",
    undefined,
    "Failed",
  ],
  [
    "was refused by the vendor as invalid",
    { primary: undefined as never, scope: failed({ class: "Invalid", reason: "InvalidSpec", message: "no" }) },
    "False Rejected",
    undefined,
    "InvalidSpec",
    "Failed",
  ],
  [
    "meets a name that is taken",
    { primary: undefined as never, step: wait("NameConflict"), scope: { conflictSinceMs: NOW - 1000 } },
    "False Progressing",
    "WaitingForRelease",
    undefined,
    "Pending",
  ],
  [
    "meets a name that has been taken for two minutes",
    { primary: undefined as never, step: wait("NameConflict"), scope: { conflictSinceMs: NOW - 120_000 } },
    "False Rejected",
    undefined,
    "NameConflict",
    "Failed",
  ],
  [
    "waits for another object's removal, however long",
    { primary: undefined as never, step: wait("PendingRemoval"), scope: { conflictSinceMs: NOW - 900_000 } },
    "False Progressing",
    "WaitingForRelease",
    undefined,
    "Pending",
  ],
  [
    "may not be recreated",
    { step: { type: "Reject", reason: "RecreateNotAllowed", message: "no" } },
    "False Rejected",
    undefined,
    "RecreateNotAllowed",
    "Failed",
  ],
  [
    "is refused before anything is sent",
    {
      scope: {
        acceptance: {
          accepted: false,
          kind: "Rejected",
          reason: "Rejected",
          stalledReason: "UnsupportedField",
          message: "no",
        },
      },
    },
    "False Rejected",
    undefined,
    "UnsupportedField",
    "Failed",
  ],
  [
    "misses a Secret",
    { scope: { acceptance: { accepted: false, kind: "Waiting", reason: "SecretNotFound", message: "no" } } },
    "False Progressing",
    "WaitingForReference",
    undefined,
    "Running",
  ],
  [
    "has missed its EdgeDevice for two minutes",
    {
      primary: undefined as never,
      status: {
        observedGeneration: 3,
        conditions: [
          {
            type: "Accepted",
            status: "False",
            reason: "DeviceNotFound",
            message: "",
            observedGeneration: 3,
            lastTransitionTime: new Date(NOW - 120_000).toISOString(),
          },
        ],
      },
      scope: {
        target: undefined as never,
        acceptance: { accepted: false, kind: "Waiting", reason: "DeviceNotFound", message: "no such device" },
      },
    },
    "False Rejected",
    undefined,
    "DeviceNotFound",
    "Failed",
  ],
  [
    "was Ready when its device went offline",
    { status: readyBefore, snapshot: { connection: "Offline" } },
    "Unknown DeviceUnreachable",
    undefined,
    undefined,
    "Unknown",
  ],
  [
    "was Ready when its device went offline, and is to keep that",
    { status: readyBefore, snapshot: { connection: "Offline" }, scope: { keepsReadiness: true } },
    "True Running",
    undefined,
    undefined,
    "Running",
  ],
  [
    "was changed after its device went offline, and was to keep its readiness",
    {
      status: {
        ...readyBefore,
        observedGeneration: 2,
        conditions: readyBefore.conditions?.map((one) => ({ ...one, observedGeneration: 2 })) ?? [],
        applied: { generation: 2, hash: "k:2", paths: [] },
      },
      snapshot: { connection: "Offline" },
      scope: { keepsReadiness: true },
    },
    "Unknown DeviceUnreachable",
    "WaitingForDevice",
    undefined,
    "Unknown",
  ],
  [
    "was changed after its device went offline",
    {
      status: { ...readyBefore, applied: { generation: 2, hash: "k:2", paths: [] } },
      snapshot: { connection: "Offline" },
    },
    "Unknown DeviceUnreachable",
    "WaitingForDevice",
    undefined,
    "Unknown",
  ],
  [
    "was Ready when its backend went away",
    { status: readyBefore, scope: { target: undefined as never, backendProblem: "refused" } },
    "Unknown BackendUnreachable",
    undefined,
    undefined,
    "Unknown",
  ],
  [
    "was never Ready and its backend is away",
    { primary: undefined as never, scope: { target: undefined as never, backendProblem: "refused" } },
    "False Progressing",
    "WaitingForReference",
    undefined,
    "Pending",
  ],
  [
    "is being deleted",
    { scope: { deletion: { message: "removing" } } },
    "False Progressing",
    "Removing",
    undefined,
    "Removing",
  ],
  [
    "runs a new container that has to prove itself",
    { step: wait("Trial"), scope: { operation: swap } },
    "False Progressing",
    "Swapping",
    undefined,
    "Running",
  ],
  [
    "stops the old container of a swap",
    { step: { type: "Stop", action: { kind: "Start", externalId: "c0" } }, scope: { operation: swap } },
    "False Progressing",
    "Swapping",
    undefined,
    "Running",
  ],
  [
    "goes back to the old container",
    {
      step: { type: "Start", action: { kind: "Start", externalId: "c0" } },
      scope: { ...afterFailure, operation: { ...swap, step: "RollingBack" } },
    },
    "False OperationFailed",
    "Swapping",
    undefined,
    "Failed",
  ],
  [
    "was rolled back",
    { differences: image, rolledBack: true, scope: afterFailure },
    "False OperationFailed",
    undefined,
    "RolledBack",
    "Failed",
  ],
  [
    "was rolled back, and whose old container somebody has removed",
    { primary: undefined as never, rolledBack: true, scope: afterFailure },
    "False OperationFailed",
    undefined,
    "RolledBack",
    "Failed",
  ],
  [
    "was rolled back before its device went offline",
    {
      status: { ...readyBefore, applied: { generation: 2, hash: "k:2", paths: [] } },
      snapshot: { connection: "Offline" },
      scope: afterFailure,
    },
    "Unknown DeviceUnreachable",
    undefined,
    "RolledBack",
    "Unknown",
  ],
  [
    "takes longer than progressDeadlineSeconds",
    { primary: container("Created"), step: wait("Operation"), scope: { rolloutSinceMs: NOW - 600_000 } },
    "False Progressing",
    undefined,
    "ProgressDeadlineExceeded",
    "Creating",
  ],
];

describe("the status of an EdgeContainer that", () => {
  test.each(table)("%s", (_name, situation, ready, reconciling, stalled, phase) => {
    const status = computeStatus(scopeOf(situation));
    const find = (type: string) => status.conditions?.find((condition) => condition.type === type);
    expect(`${find("Ready")?.status} ${find("Ready")?.reason}`).toBe(ready);
    expect(find("Reconciling")?.reason).toBe(reconciling);
    expect(find("Stalled")?.reason).toBe(stalled);
    expect(status.phase).toBe(phase);
    expect(status.observedGeneration).toBe(3);
    for (const condition of status.conditions ?? []) expect(condition.observedGeneration).toBe(3);
    // kstatus: these are there only while True.
    for (const type of ["Reconciling", "Stalled", "Suspended"])
      expect([undefined, "True"]).toContain(find(type)?.status);
    expect(find("Reconciling") !== undefined && find("Stalled") !== undefined).toBe(false);
  });

  test.each(table)("%s is kept by the API server as it was written", (_name, situation) => {
    const scope = scopeOf(situation);
    const status = computeStatus(scope);
    // A field outside the schema would be pruned, and the difference written again in every pass.
    expect(SCHEMAS.EdgeContainer.status.parse(status)).toEqual(status);
  });

  test.each(table)("%s is the same when nothing has changed", (_name, situation) => {
    const first = computeStatus(scopeOf(situation));
    const again = scopeOf({ ...situation, status: first });
    // Later, and with what was written as the former status.
    const second = computeStatus({ ...again, nowMs: NOW + 1 });
    if (situation.status === undefined && first.phase !== "Unknown")
      expect(second.conditions).toEqual(first.conditions);
    expect(second.phase).toBe(first.phase);
  });
});

describe("what whoever is on call needs", () => {
  test("stands in lastFailure: class, reason, words, exit code, spec and operation", () => {
    const { lastFailure, failed: spec } = computeStatus(scopeOf({ rolledBack: true, scope: afterFailure }));
    expect(lastFailure).toEqual({
      class: "WorkloadFailed",
      reason: "Error",
      message: "the new container ended",
      exitCode: 3,
      generation: 3,
      operationId: "op1",
      time: "2026-06-01T12:00:00Z",
    });
    expect(spec).toMatchObject({ hash: "k:3", generation: 3, reason: "CrashLoopBackOff" });
  });

  test("says how long the vendor asked to wait", () => {
    const scope = failed({ class: "RateLimited", retryAfterMs: 1_500, message: "slow down" });
    expect(computeStatus(scopeOf({ scope })).lastFailure).toMatchObject({ retryAfterSeconds: 2 });
  });
});

test("what is applied stays what it was until a swap is over", () => {
  const status: EdgeContainerStatus = { ...readyBefore, applied: { generation: 2, hash: "k:2", paths: [] } };
  const during = computeStatus(scopeOf({ status, step: wait("Trial"), scope: { operation: swap } }));
  expect(during.applied).toMatchObject({ generation: 2 });
  expect(computeStatus(scopeOf({ status })).applied).toMatchObject({ generation: 3 });
});

describe("vendor texts of any length and content", () => {
  const long = "é\u0000\ud800".repeat(40_000);
  test("still make a status that the API server takes", () => {
    const scope = scopeOf({
      primary: container("Stopped", { error: long, name: long, image: long, exitCode: 1, finishedAt: STARTED }),
      differences: [{ path: "image", desired: long, observed: long, effect: "Recreate" }],
      drifted: true,
      scope: failed({ class: "WorkloadFailed", reason: "RunContainerError", message: long }),
    });
    const status = computeStatus(scope);
    const parsed = SCHEMAS.EdgeContainer.status.safeParse(status);
    expect(parsed.error?.issues.map(({ path, message }) => `${path.join(".")}: ${message}`) ?? []).toEqual([]);
  });
});

describe("a change of status", () => {
  const before = computeStatus(scopeOf({}));
  test("of the journal, Ready, a failure or its backoff is written at once", () => {
    const operation = { id: "op", type: "Create" as const, generation: 3, attempt: 1, startedAt: STARTED };
    expect(urgencyOf(before, { ...before, operation })).toBe("urgent");
    expect(urgencyOf(before, { ...before, backoff: { kind: "Pull", count: 1, nextRetryTime: STARTED } })).toBe(
      "urgent",
    );
    expect(urgencyOf(before, computeStatus(scopeOf({ primary: container("Stopped") })))).toBe("urgent");
    expect(urgencyOf({ ...before, observedGeneration: 2 }, before)).toBe("urgent");
  });

  test("of a count is coalesced, and more so in a crash loop", () => {
    expect(urgencyOf(before, { ...before, restartCount: 1 })).toBe("soon");
    const crashing = computeStatus(
      scopeOf({ scope: { runs: { restartCount: 4, crashCount: 5, crashLooping: true, settled: false } } }),
    );
    expect(urgencyOf(crashing, { ...crashing, restartCount: 9 })).toBe("lazy");
  });
});

test("an object at rest wakes nobody", () => {
  expect(wakeInMs(scopeOf({}))).toBeUndefined();
});

test("waiting for a moment wakes at the first of them", () => {
  const scope = scopeOf({
    scope: {
      backoff: { kind: "Pull", count: 1, nextRetryTime: new Date(NOW + 5_000).toISOString() },
      runs: { restartCount: 0, crashCount: 0, crashLooping: false, settled: false, settlesAtMs: NOW + 2_000 },
    },
  });
  expect(wakeInMs(scope)).toBe(2_000);
});
