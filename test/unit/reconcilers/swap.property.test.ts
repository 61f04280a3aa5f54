import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { DesiredContainer } from "../../../src/backends/contract.ts";
import type { PlanPolicy } from "../../../src/reconcilers/edge-container/plan/types.ts";
import { ModelDevice } from "./model-device.ts";
import { ModelOperator, type Fate } from "./model-operator.ts";

const ME = { owner: "factory", namespace: "line", name: "web", uid: "u1" };
const MIN_READY_MS = 10_000;

const POLICY: PlanPolicy = {
  managementPolicy: "Manage",
  driftPolicy: "Correct",
  updateStrategy: "Swap",
  adoption: { policy: "Never" },
  stop: { signal: "SIGTERM", timeoutSeconds: 30, force: true },
  rollbackOnFailure: true,
  minReadyMs: MIN_READY_MS,
  progressDeadlineMs: 600_000,
  resetAfterMs: 600_000,
  restartPatienceMs: 90_000,
};

type RestartPolicy = "Always" | "OnFailure" | "No";

function desiredOf(image: string, policy: RestartPolicy, state: DesiredContainer["state"] = "Running") {
  return {
    name: "web",
    image,
    state,
    env: [],
    spec: { deviceRef: { name: "device" }, image, restartPolicy: { type: policy } },
  } satisfies DesiredContainer;
}

/** A device on which the first image runs, rolled out and ready. */
function rig(policy: RestartPolicy, change: Partial<PlanPolicy> = {}) {
  const device = new ModelDevice();
  const operator = new ModelOperator(device, ME, { ...POLICY, ...change }, desiredOf("r/good:1", policy));
  expect(settle(operator)).toBe(true);
  return { device, operator };
}

/** Passes and time until nothing happens any more; false if that never comes, as where an image cannot be had. */
function settle(operator: ModelOperator): boolean {
  for (let quiet = 0, pass = 0; quiet < 12; pass++) {
    if (pass > 300) return false;
    const { type } = operator.pass("Whole");
    quiet = type === "None" ? quiet + 1 : 0;
    if (type === "None" || type === "Wait") operator.device.tick(MIN_READY_MS / 2);
  }
  return true;
}

const running = (device: ModelDevice) => device.list().filter(({ state }) => state === "Running" || state === "Paused");

const policies = fc.constantFrom<RestartPolicy>("Always", "OnFailure", "No");
const images = fc.constantFrom("r/good:1", "r/good:2", "r/good:3", "r/crash:1", "r/nostart:1", "r/missing:1");
const fates = fc.constantFrom<Fate>("Whole", "Whole", "KilledBeforeEffect", "KilledAfterEffect", "LostReply");
const disturbance = fc.oneof(
  { weight: 6, arbitrary: fates.map((fate) => ({ do: "pass" as const, fate })) },
  { weight: 2, arbitrary: fc.constantFrom(1_000, 6_000, 20_000).map((ms) => ({ do: "tick" as const, ms })) },
  { weight: 1, arbitrary: fc.constant({ do: "reboot" as const }) },
  { weight: 1, arbitrary: images.map((image) => ({ do: "spec" as const, image })) },
);
const meddling = fc.oneof(
  { weight: 8, arbitrary: disturbance },
  { weight: 1, arbitrary: fc.nat(2).map((which) => ({ do: "remove" as const, which })) },
  { weight: 1, arbitrary: fc.nat(2).map((which) => ({ do: "stop" as const, which })) },
  { weight: 1, arbitrary: fc.nat(2).map((which) => ({ do: "start" as const, which })) },
);
type Act = typeof meddling extends fc.Arbitrary<infer T> ? T : never;

/** Does one thing; a pass is held to what no command of the operator's may do. */
function play(act: Act, operator: ModelOperator, policy: RestartPolicy): void {
  const { device } = operator;
  switch (act.do) {
    case "tick":
      device.tick(act.ms);
      return;
    case "reboot":
      device.reboot();
      return;
    case "spec":
      operator.want(desiredOf(act.image, policy));
      return;
    case "remove":
    case "stop":
    case "start": {
      const target = device.list()[act.which];
      if (target === undefined) return;
      const isRunning = target.state === "Running";
      if (act.do === "remove") device.containers.delete(target.externalId);
      else if (act.do === "stop" && isRunning) device.apply({ kind: "Stop", externalId: target.externalId } as never);
      else if (act.do === "start" && !isRunning) device.apply({ kind: "Start", externalId: target.externalId });
      return;
    }
    case "pass": {
      const before = running(device).length;
      operator.pass(act.fate);
      expect(running(device).length).toBeLessThanOrEqual(Math.max(1, before));
      const type = operator.status.operation?.type;
      const most = type === "Swap" || type === "Recreate" || act.fate !== "Whole" ? 2 : 1;
      expect(device.list().length).toBeLessThanOrEqual(most);
      return;
    }
    default:
      act satisfies never;
  }
}

describe("a Swap", () => {
  test("ends with the new container alone, the old one kept until it has run for minReadySeconds", () => {
    fc.assert(
      fc.property(policies, (policy) => {
        const { device, operator } = rig(policy);
        const [old] = device.list();
        operator.want(desiredOf("r/good:2", policy));
        let provenMs = 0;
        for (let pass = 0; pass < 100 && device.containers.has(old?.externalId ?? ""); pass++) {
          const { type } = operator.pass("Whole");
          const fresh = device.list().find(({ image, state }) => image === "r/good:2" && state === "Running");
          provenMs = fresh === undefined ? 0 : device.nowMs - fresh.stateSinceMs;
          if (type === "Wait") device.tick(1_000);
        }
        expect(provenMs).toBeGreaterThanOrEqual(MIN_READY_MS);
        expect(settle(operator)).toBe(true);
        expect(device.list()).toMatchObject([{ image: "r/good:2", state: "Running", config: { policy } }]);
        expect(operator.status).toMatchObject({ applied: { generation: 2 } });
        expect(operator.status.operation).toBeUndefined();
      }),
    );
  });

  test.each(["r/crash:1", "r/nostart:1"])(
    "to %s ends with the old container, its policy and its process back",
    (image) => {
      fc.assert(
        fc.property(policies, (policy) => {
          const { device, operator } = rig(policy);
          const [old] = device.list();
          operator.want(desiredOf(image, policy));
          expect(settle(operator)).toBe(true);
          expect(device.list()).toMatchObject([{ externalId: old?.externalId, state: "Running", config: { policy } }]);
          expect(operator.status.failed).toMatchObject({ generation: 2 });
          expect(operator.status.operation).toBeUndefined();
          expect(operator.status.applied).toMatchObject({ generation: 1 });
          // Not tried again by itself, but with the next spec.
          const { creates } = device;
          device.tick(3_600_000);
          expect(settle(operator)).toBe(true);
          expect(device.creates).toBe(creates);
          operator.want(desiredOf("r/good:3", policy));
          expect(settle(operator)).toBe(true);
          expect(device.list()).toMatchObject([{ image: "r/good:3", state: "Running", config: { policy } }]);
          expect(operator.status.failed).toBeUndefined();
        }),
      );
    },
  );

  test("without rollbackOnFailure leaves the failing container, and the old one stopped beside it", () => {
    const { device, operator } = rig("Always", { rollbackOnFailure: false });
    operator.want(desiredOf("r/crash:1", "Always"));
    for (let pass = 0; pass < 60; pass++) if (operator.pass("Whole").type !== "Start") device.tick(1_000);
    expect(device.list()).toMatchObject([{ image: "r/good:1", state: "Stopped" }, { image: "r/crash:1" }]);
    expect(operator.status.operation).toMatchObject({ type: "Swap" });
    operator.want(desiredOf("r/good:1", "Always"));
    expect(settle(operator)).toBe(true);
    expect(device.list()).toMatchObject([{ image: "r/good:1", state: "Running", config: { policy: "Always" } }]);
  });

  test("whose image cannot be pulled never touches the old container", () => {
    fc.assert(
      fc.property(policies, fc.array(fates, { maxLength: 30 }), (policy, course) => {
        const { device, operator } = rig(policy);
        const before = device.list();
        device.touched.clear();
        operator.want(desiredOf("r/missing:1", policy));
        for (const fate of course) operator.pass(fate);
        expect(device.list()).toEqual(before);
        expect([...device.touched]).toEqual([]);
      }),
    );
  });

  test("killed, unanswered, rebooted or overtaken at any step comes to one running container, and never runs two", () => {
    fc.assert(
      fc.property(policies, fc.array(disturbance, { maxLength: 60 }), (policy, acts) => {
        const { device, operator } = rig(policy);
        for (const act of acts) {
          play(act, operator, policy);
          expect(running(device).length).toBeLessThanOrEqual(1);
        }
        if (settle(operator) && operator.status.failed !== undefined) {
          expect(operator.status.operation).toBeUndefined();
          expect(device.list()).toMatchObject([{ state: "Running", config: { policy } }]);
        }
        operator.want(desiredOf("r/good:3", policy));
        expect(settle(operator)).toBe(true);
        expect(device.list()).toMatchObject([{ image: "r/good:3", state: "Running", config: { policy } }]);
        expect(operator.status.operation).toBeUndefined();
        expect(operator.status.failed).toBeUndefined();
      }),
      { numRuns: 600 },
    );
  });

  test("with a hand on the device at any step runs no second process by itself, and ends with one container", () => {
    fc.assert(
      fc.property(policies, fc.array(meddling, { maxLength: 60 }), (policy, acts) => {
        const { device, operator } = rig(policy);
        for (const act of acts) play(act, operator, policy);
        operator.want(desiredOf("r/good:3", policy));
        expect(settle(operator)).toBe(true);
        expect(device.list()).toMatchObject([{ image: "r/good:3", state: "Running", config: { policy } }]);
        expect(operator.status.operation).toBeUndefined();
      }),
      { numRuns: 600 },
    );
  });
});
