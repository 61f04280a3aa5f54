import { describe, expect, test } from "vitest";
import type { EdgeContainer } from "../../../../src/crds/edge-container.ts";
import { correction, newChild, release } from "../../../../src/reconcilers/edge-stack/child.ts";
import { hasReached, planChildren, planRemoval } from "../../../../src/reconcilers/edge-stack/plan.ts";
import { childOf, condition, container, existing, IMAGE, READY, stackOf, TARGET } from "./objects.ts";

const steps = (plan: ReturnType<typeof planChildren>) =>
  plan.steps.map((step) => `${step.type} ${step.type === "Create" ? step.container.name : step.current.metadata.name}`);
const states = (plan: ReturnType<typeof planChildren>) => plan.views.map(({ name, state }) => `${name} ${state}`);

const PAIR = [container("web", [{ name: "db", condition: "Ready" }]), container("db")];

describe("a stack that is to be there", () => {
  test("makes what depends on nothing first, and the rest when what they wait for is reached", () => {
    const stack = stackOf(PAIR);
    const none = planChildren(stack, TARGET, existing());
    expect(steps(none)).toEqual(["Create db"]);
    expect(none.views).toMatchObject([
      { name: "web", state: "Waiting", message: "waits for db to be Ready" },
      { name: "db", state: "Missing" },
    ]);
    expect(steps(planChildren(stack, TARGET, existing(childOf(stack, "db"))))).toEqual([]);
    expect(steps(planChildren(stack, TARGET, existing(childOf(stack, "db", { status: READY }))))).toEqual([
      "Create web",
    ]);
  });

  test("wants nothing once all are as wanted", () => {
    const stack = stackOf(PAIR);
    const plan = planChildren(stack, TARGET, existing(childOf(stack, "db"), childOf(stack, "web")));
    expect(steps(plan)).toEqual([]);
    expect(states(plan)).toEqual(["web Present", "db Present"]);
  });

  test("corrects a container whose dependency fails: only creation is ordered", () => {
    const stack = stackOf(PAIR);
    const plan = planChildren(
      stack,
      TARGET,
      existing(childOf(stack, "db"), childOf(stack, "web", { spec: { tty: true } })),
    );
    expect(steps(plan)).toEqual(["Correct shop-web"]);
    expect(states(plan)).toEqual(["web Outdated", "db Present"]);
  });

  test.each<[string, Partial<EdgeContainer["metadata"]>, string[], string[]]>([
    ["somebody else's object of that name is left alone", { ownerReferences: [] }, [], ["a Foreign"]],
    [
      "another stack's too",
      {
        ownerReferences: [
          { apiVersion: "edge.drayage.dev/v1alpha1", kind: "EdgeStack", name: "other", uid: "o", controller: true },
        ],
      },
      [],
      ["a Foreign"],
    ],
    [
      "that of a former stack of the same name is taken over",
      {
        ownerReferences: [
          { apiVersion: "edge.drayage.dev/v1alpha1", kind: "EdgeStack", name: "shop", uid: "old", controller: true },
        ],
      },
      ["Correct shop-a"],
      ["a Outdated"],
    ],
    ["a label taken off comes back", { labels: {} }, ["Correct shop-a"], ["a Outdated"]],
    ["one that is being deleted is waited for", { deletionTimestamp: "2026-01-02T03:04:05Z" }, [], ["a Waiting"]],
  ])("%s", (_, metadata, wanted, seen) => {
    const stack = stackOf([container("a")]);
    const plan = planChildren(stack, TARGET, existing(childOf(stack, "a", { metadata })));
    expect(steps(plan)).toEqual(wanted);
    expect(states(plan)).toEqual(seen);
  });

  test("makes a former stack's container on another device anew, since a device never changes", () => {
    const stack = stackOf([container("a")]);
    const elsewhere = childOf(stack, "a", { spec: { deviceRef: { name: "other" } } });
    expect(steps(planChildren(stack, TARGET, existing(elsewhere)))).toEqual(["Delete shop-a"]);
  });

  test("deletes what has gone from the spec, once", () => {
    const stack = stackOf([container("a")]);
    const leaving = { metadata: { deletionTimestamp: "2026-01-02T03:04:05Z" } };
    const plan = planChildren(
      stack,
      TARGET,
      existing(childOf(stack, "a"), childOf(stack, "b"), childOf(stack, "c", leaving)),
    );
    expect(steps(plan)).toEqual(["Delete shop-b"]);
    expect(states(plan)).toEqual(["a Present", "b Leaving", "c Leaving"]);
  });

  test("suspended, only passes that on", () => {
    const stack = stackOf([container("a"), container("b", undefined, { tty: true })], { suspend: true });
    const plan = planChildren(stack, TARGET, existing(childOf(stack, "a"), childOf(stack, "old")));
    expect(plan.steps).toEqual([
      expect.objectContaining({ type: "Correct", spec: { image: IMAGE, deviceRef: { name: "press" }, suspend: true } }),
    ]);
    expect(states(plan)).toEqual(["a Outdated", "b Waiting", "old Leaving"]);
    const changed = childOf(stack, "b", { spec: { suspend: true } });
    expect(
      steps(planChildren(stack, TARGET, existing(childOf(stack, "a", { spec: { suspend: true } }), changed))),
    ).toEqual([]);
  });
});

describe("a dependency", () => {
  const stack = stackOf([container("a")]);
  const with_ = (status: EdgeContainer["status"]) => childOf(stack, "a", status && { status });
  test.each<[string, EdgeContainer["status"], boolean, boolean]>([
    ["not looked at", undefined, false, false],
    ["running and ready", READY, true, true],
    ["running, not ready yet", { ...READY, conditions: [condition("Ready", "False", "Progressing")] }, true, false],
    [
      "at an older generation",
      {
        ...READY,
        observedGeneration: 1,
        conditions: [{ ...condition("Ready", "True", "Running"), observedGeneration: 1 }],
      },
      false,
      false,
    ],
    [
      "ended as it should",
      { observedGeneration: 2, phase: "Succeeded", conditions: [condition("Ready", "True", "Completed")] },
      true,
      true,
    ],
    [
      "stopped, as it should",
      { observedGeneration: 2, phase: "Stopped", conditions: [condition("Ready", "True", "Stopped")] },
      false,
      true,
    ],
    [
      "in a crash loop",
      {
        observedGeneration: 2,
        phase: "CrashLoopBackOff",
        conditions: [condition("Ready", "False", "CrashLoopBackOff")],
      },
      false,
      false,
    ],
  ])("%s", (_, status, running, ready) => {
    expect(hasReached(with_(status), "Running")).toBe(running);
    expect(hasReached(with_(status), "Ready")).toBe(ready);
  });
});

describe("a stack that is being deleted", () => {
  const stack = stackOf(PAIR);
  test("removes in the reverse order, and waits for each to be gone", () => {
    const both = [childOf(stack, "db"), childOf(stack, "web")];
    expect(steps(planRemoval(stack, TARGET, both, false))).toEqual(["Delete shop-web"]);
    const going = [
      childOf(stack, "db"),
      childOf(stack, "web", { metadata: { deletionTimestamp: "2026-01-02T03:04:05Z" } }),
    ];
    expect(steps(planRemoval(stack, TARGET, going, false))).toEqual([]);
    expect(steps(planRemoval(stack, TARGET, [childOf(stack, "db")], false))).toEqual(["Delete shop-db"]);
  });

  test("removes all at once when the grace is over", () => {
    const both = [childOf(stack, "db"), childOf(stack, "web")];
    expect(steps(planRemoval(stack, TARGET, both, true))).toEqual(["Delete shop-db", "Delete shop-web"]);
  });

  test("first tells each what is to become of its container, and nothing else", () => {
    const kept = stackOf([container("db", undefined, { tty: true })], { deletion: { policy: "Orphan" } });
    const plan = planRemoval(kept, TARGET, [childOf(kept, "db")], false);
    expect(plan.steps).toEqual([
      expect.objectContaining({
        type: "Correct",
        spec: { image: IMAGE, deviceRef: { name: "press" }, deletion: { policy: "Orphan" } },
      }),
    ]);
  });
});

describe("an EdgeContainer of a stack", () => {
  const stack = stackOf([container("a")], { deletion: { policy: "Stop", graceSeconds: 9 } });
  test("says what the template says, with the stack's device and deletion", () => {
    const [create] = planChildren(stack, TARGET, existing()).steps;
    if (create?.type !== "Create") throw new Error("nothing is made");
    expect(newChild(stack, create.container, create.spec)).toEqual({
      metadata: {
        name: "shop-a",
        namespace: "ns",
        labels: { "edge.drayage.dev/stack": "shop" },
        ownerReferences: [
          { apiVersion: "edge.drayage.dev/v1alpha1", kind: "EdgeStack", name: "shop", uid: "s1", controller: true },
        ],
      },
      spec: { image: IMAGE, deviceRef: { name: "press" }, deletion: { policy: "Stop", graceSeconds: 9 } },
    });
  });

  test("keeps a deletion of its own", () => {
    const own = stackOf([container("a", undefined, { deletion: { policy: "Orphan" } })], {
      deletion: { policy: "Stop" },
    });
    const [create] = planChildren(own, TARGET, existing()).steps;
    expect(create).toMatchObject({ spec: { deletion: { policy: "Orphan" } } });
  });

  test("has its name in the stack on a device that is the stack's own, unless it says another", () => {
    const two = stackOf([container("a"), container("b", undefined, { name: "chosen" })], {
      deletion: { policy: "Remove", deleteVolumes: true },
    });
    const made = planChildren(two, { device: "shop", own: true }, existing()).steps;
    // Volumes of a stack of its own go with the stack, not with the first who leaves.
    expect(made).toMatchObject([
      { spec: { name: "a", deviceRef: { name: "shop" }, deletion: { policy: "Remove" } } },
      { spec: { name: "chosen" } },
    ]);
    expect(JSON.stringify(made)).not.toMatch(/"spec":\{[^}]*deleteVolumes/);
  });

  test("is corrected and released only as it was read", () => {
    const child = childOf(stack, "a", { metadata: { labels: { team: "x" } } });
    const tests = [
      { op: "test", path: "/metadata/uid", value: "u-a" },
      { op: "test", path: "/metadata/resourceVersion", value: "7" },
    ];
    expect(correction(child, child.spec, stack)).toEqual([
      ...tests,
      { op: "add", path: "/spec", value: child.spec },
      { op: "add", path: "/metadata/labels", value: { team: "x", "edge.drayage.dev/stack": "shop" } },
      { op: "add", path: "/metadata/ownerReferences", value: child.metadata.ownerReferences },
    ]);
    expect(release(child)).toEqual([
      ...tests,
      { op: "add", path: "/metadata/labels", value: { team: "x" } },
      { op: "add", path: "/metadata/ownerReferences", value: [] },
    ]);
  });
});
