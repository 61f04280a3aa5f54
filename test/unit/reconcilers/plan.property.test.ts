import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { DesiredContainer, Marker, RunState } from "../../../src/backends/contract.ts";
import { plan, planRemoval } from "../../../src/reconcilers/edge-container/plan/plan.ts";
import type { PlanInput } from "../../../src/reconcilers/edge-container/plan/types.ts";
import { ModelDevice, modelPlanner } from "./model-device.ts";

const ME = { owner: "factory", namespace: "line", name: "web", uid: "u1" };

const spec = fc.record({
  image: fc.constantFrom("r/a:1", "r/a:2"),
  args: fc.constantFrom<string[]>([], ["x"]),
  policy: fc.constantFrom("Always" as const, "UnlessStopped" as const, "OnFailure" as const, "No" as const),
  state: fc.constantFrom("Running" as const, "Stopped" as const, "Paused" as const),
  name: fc.constantFrom("web", "web2"),
});
type Spec = typeof spec extends fc.Arbitrary<infer T> ? T : never;

function desiredOf(value: Spec): DesiredContainer {
  return {
    name: value.name,
    image: value.image,
    state: value.state,
    env: [],
    spec: {
      deviceRef: { name: "device" },
      image: value.image,
      args: value.args,
      restartPolicy: { type: value.policy },
    },
  };
}

/** Whose a container is, as its marker says it. */
const owners = {
  mine: { ...ME, operation: "op-old", hash: "k:1" },
  mineBeforeRestore: { ...ME, uid: "u0", operation: "op-older", hash: "k:1" },
  sibling: { ...ME, name: "db", operation: "op-db", hash: "k:1" },
  otherInstallation: { ...ME, owner: "elsewhere", operation: "op-x", hash: "k:1" },
  nobody: undefined,
} satisfies Record<string, Marker | undefined>;

const container = fc.record({
  owner: fc.constantFrom(...(Object.keys(owners) as (keyof typeof owners)[])),
  state: fc.constantFrom<RunState>("Created", "Running", "Paused", "Stopped", "Exited"),
  image: fc.constantFrom("r/a:1", "r/a:2"),
  policy: fc.constantFrom("Always", "UnlessStopped", "OnFailure", "No"),
  name: fc.constantFrom("web", "other"),
});

interface World {
  device: ModelDevice;
  foreign: string[];
  mine: string[];
}

function worldOf(containers: (typeof container extends fc.Arbitrary<infer T> ? T : never)[]): World {
  const device = new ModelDevice();
  const world: World = { device, foreign: [], mine: [] };
  for (const { owner, state, image, policy, name } of containers) {
    const marker = owners[owner];
    const id = device.put({
      name,
      image,
      state,
      config: { image, args: "", policy },
      createdAt: "2026-01-01T00:00:00Z",
      ...(state !== "Created" && { startedAt: "2026-01-01T00:00:01Z" }),
      ...(state === "Exited" && { exitCode: 0 }),
      ...(marker !== undefined && { marker }),
    });
    (owner === "mine" || owner === "mineBeforeRestore" ? world.mine : world.foreign).push(id);
  }
  return world;
}

function inputFor(device: ModelDevice, desired: DesiredContainer, change: Partial<PlanInput> = {}): PlanInput {
  return {
    now: 1_000_000,
    me: ME,
    generation: 2,
    desired,
    hash: "k:2",
    planner: modelPlanner,
    policy: {
      managementPolicy: "Manage",
      driftPolicy: "Correct",
      updateStrategy: "Recreate",
      adoption: { policy: "Never" },
      stop: { signal: "SIGTERM", timeoutSeconds: 30, force: true },
      rollbackOnFailure: true,
      minReadyMs: 0,
      progressDeadlineMs: 600_000,
      resetAfterMs: 600_000,
      restartPatienceMs: 90_000,
    },
    memory: { wasStopped: false, reached: false },
    containers: device.list(),
    synced: true,
    pending: [],
    claimed: new Set(),
    freshOperationId: `op-${device.creates + 1}`,
    ...change,
  };
}

/** Plans and applies until the plan says None or waits. Returns the last step's type. */
function drive(
  device: ModelDevice,
  desired: DesiredContainer,
  memory: PlanInput["memory"] = { wasStopped: false, reached: false },
): string {
  let operation = memory.operation;
  let { restartRequest } = memory;
  for (let pass = 0; pass < 40; pass++) {
    const { operation: _former, restartRequest: _request, ...rest } = memory;
    const input = inputFor(device, desired, {
      memory: {
        ...rest,
        ...(operation !== undefined && { operation }),
        ...(restartRequest !== undefined && { restartRequest }),
      },
    });
    const { step, operation: entry } = plan(input);
    operation = entry === undefined ? undefined : { entry, progress: { state: "Closed" } };
    switch (step.type) {
      case "None":
      case "Wait":
      case "Reject":
        return step.type === "Wait" ? `Wait ${step.reason}` : step.type;
      case "Create":
      case "Recreate":
      case "Swap":
        device.create(desired, { ...ME, operation: step.operation.id, hash: input.hash });
        break;
      case "Restart":
        restartRequest = undefined;
        break;
      case "Adopt":
      case "Close":
      case "RollBack":
        break;
      default:
        device.apply(step.action);
    }
  }
  return "no end after 40 passes";
}

const reached = (device: ModelDevice, desired: DesiredContainer, ids: string[]) => {
  const mine = ids.map((id) => device.containers.get(id)).filter((found) => found !== undefined);
  expect(mine).toHaveLength(1);
  const [only] = mine;
  expect(only?.image).toBe(desired.image);
  expect(only?.name).toBe(desired.name);
  return only;
};

const mineOn = (device: ModelDevice) =>
  device
    .list()
    .filter(({ marker }) => marker?.owner === ME.owner && marker.namespace === ME.namespace && marker.name === ME.name)
    .map(({ externalId }) => externalId);

describe("plan", () => {
  test("reaches the desired state from any state of the device, then answers None", () => {
    fc.assert(
      fc.property(spec, fc.array(container, { maxLength: 5 }), (value, containers) => {
        const { device } = worldOf(containers);
        const desired = desiredOf(value);
        const blocked = device
          .list()
          .some((other) => other.name === desired.name && !mineOn(device).includes(other.externalId));
        const hadOne = mineOn(device).length > 0;
        const end = drive(device, desired);
        if (blocked && !hadOne) {
          expect(end).toBe("Wait NameConflict");
          return;
        }
        expect(end).toBe("None");
        const only = reached(device, desired, mineOn(device));
        const expected = {
          Running: ["Running", "Exited"],
          Stopped: ["Stopped", "Created", "Exited"],
          Paused: ["Paused", "Exited"],
        };
        expect(expected[value.state]).toContain(only?.state);
      }),
      { numRuns: 500 },
    );
  });

  test("never touches a container that is not this object's", () => {
    fc.assert(
      fc.property(spec, fc.array(container, { maxLength: 6 }), (value, containers) => {
        const { device, foreign } = worldOf(containers);
        const before = foreign.map((id) => device.containers.get(id));
        drive(device, desiredOf(value));
        expect(foreign.filter((id) => device.touched.has(id))).toEqual([]);
        expect(foreign.map((id) => device.containers.get(id))).toEqual(before);
      }),
      { numRuns: 500 },
    );
  });

  test("creates at most one container on the way", () => {
    fc.assert(
      fc.property(spec, fc.array(container, { maxLength: 5 }), (value, containers) => {
        const { device } = worldOf(containers);
        drive(device, desiredOf(value));
        expect(device.creates).toBeLessThanOrEqual(1);
      }),
      { numRuns: 300 },
    );
  });

  test("comes to the same end by way of another spec as directly, and back again", () => {
    fc.assert(
      fc.property(spec, spec, (a, b) => {
        const direct = new ModelDevice();
        drive(direct, desiredOf(b));
        const detour = new ModelDevice();
        drive(detour, desiredOf(a));
        drive(detour, desiredOf(b));
        const view = (device: ModelDevice) => device.list().map(({ name, image, config }) => ({ name, image, config }));
        // While Stopped, a policy may stay held at No: that is no difference of the desired state.
        if (b.state !== "Stopped") expect(view(detour)).toEqual(view(direct));
        expect(drive(detour, desiredOf(b))).toBe("None");
      }),
      { numRuns: 300 },
    );
  });

  test("is a function of its input: the same input gives the same answer", () => {
    fc.assert(
      fc.property(spec, fc.array(container, { maxLength: 5 }), (value, containers) => {
        const { device } = worldOf(containers);
        const input = inputFor(device, desiredOf(value));
        expect(plan(input)).toEqual(plan(input));
      }),
    );
  });

  test("sends nothing while an operation may still be under way", () => {
    fc.assert(
      fc.property(spec, fc.array(container, { maxLength: 5 }), (value, containers) => {
        const { device } = worldOf(containers);
        const entry = {
          id: "op-open",
          type: "Create" as const,
          generation: 1,
          attempt: 1,
          startedAt: "2026-01-01T00:00:00Z",
        };
        const { step, operation } = plan(
          inputFor(device, desiredOf(value), {
            memory: { wasStopped: false, reached: false, operation: { entry, progress: { state: "Open" } } },
          }),
        );
        expect(step).toMatchObject({ type: "Wait", reason: "Operation" });
        expect(operation).toEqual(entry);
      }),
    );
  });

  test("answers Wait and keeps the journal while the inventory is incomplete", () => {
    fc.assert(
      fc.property(spec, fc.array(container, { maxLength: 5 }), (value, containers) => {
        const { device } = worldOf(containers);
        const { step } = plan(inputFor(device, desiredOf(value), { synced: false }));
        expect(step).toMatchObject({ type: "Wait", reason: "Observing" });
      }),
    );
  });

  test("Observe never has an effect", () => {
    fc.assert(
      fc.property(spec, fc.array(container, { maxLength: 5 }), (value, containers) => {
        const { device } = worldOf(containers);
        const input = inputFor(device, desiredOf(value));
        const { step } = plan({ ...input, policy: { ...input.policy, managementPolicy: "Observe" } });
        expect(["None", "Wait", "Adopt"]).toContain(step.type);
      }),
    );
  });

  test("a restart ends the run that was there and begins exactly one new one", () => {
    fc.assert(
      fc.property(spec, (value) => {
        const desired = { ...desiredOf(value), state: "Running" as const };
        const device = new ModelDevice();
        drive(device, desired);
        const [before] = device.list();
        let starts = 0;
        const apply = device.apply.bind(device);
        device.apply = (action) => {
          const was = device.list()[0]?.startedAt;
          apply(action);
          if (device.list()[0]?.startedAt !== was) starts++;
        };
        expect(drive(device, desired, { wasStopped: false, reached: false, restartRequest: "now" })).toBe("None");
        const [after] = device.list();
        expect(after?.externalId).toBe(before?.externalId);
        expect(after?.startedAt).not.toBe(before?.startedAt);
        expect(after?.state).toBe("Running");
        expect(starts).toBe(1);
      }),
    );
  });
});

describe("planRemoval", () => {
  const removal = (device: ModelDevice, policy: "Remove" | "Stop", value: Spec): string => {
    for (let pass = 0; pass < 40; pass++) {
      const { step } = planRemoval(inputFor(device, desiredOf(value)), policy);
      if (step.type === "None" || step.type === "Wait") return step.type;
      if (!("action" in step)) return step.type;
      device.apply(step.action);
    }
    return "no end after 40 passes";
  };

  test("removes all of this object's containers and nothing else", () => {
    fc.assert(
      fc.property(spec, fc.array(container, { maxLength: 6 }), (value, containers) => {
        const { device, foreign } = worldOf(containers);
        expect(removal(device, "Remove", value)).toBe("None");
        expect(mineOn(device)).toEqual([]);
        expect(foreign.every((id) => device.containers.has(id) && !device.touched.has(id))).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  test("Stop leaves them there, none running", () => {
    fc.assert(
      fc.property(spec, fc.array(container, { maxLength: 6 }), (value, containers) => {
        const { device, mine } = worldOf(containers);
        expect(removal(device, "Stop", value)).toBe("None");
        expect(mineOn(device).sort()).toEqual(mine.sort());
        for (const id of mine) expect(["Created", "Stopped", "Exited"]).toContain(device.containers.get(id)?.state);
      }),
      { numRuns: 300 },
    );
  });
});
