import { describe, expect, test } from "vitest";
import { findCondition } from "../../../../src/controller/conditions.ts";
import type { EdgeContainer } from "../../../../src/crds/edge-container.ts";
import type { EdgeDevice } from "../../../../src/crds/edge-device.ts";
import { planChildren } from "../../../../src/reconcilers/edge-stack/plan.ts";
import { computeStackStatus, type StackStanding } from "../../../../src/reconcilers/edge-stack/status.ts";
import { stackProblems } from "../../../../src/reconcilers/edge-stack/validate.ts";
import { childOf, condition, container, existing, READY, stackOf, TARGET } from "./objects.ts";

const NOW = Date.parse("2026-03-04T05:06:07Z");
const stack = stackOf([container("a"), container("b")]);

function statusWith(b: EdgeContainer | undefined, more: Partial<StackStanding> = {}) {
  const objects = [childOf(stack, "a", { status: READY }), ...(b === undefined ? [] : [b])];
  const { views } = planChildren(stack, TARGET, existing(...objects));
  return computeStackStatus(stack, { views, ...more }, NOW);
}

const b = (phase: NonNullable<EdgeContainer["status"]>["phase"], ...conditions: ReturnType<typeof condition>[]) =>
  childOf(stack, "b", { status: { observedGeneration: 2, ...(phase && { phase }), conditions } });

/** What kstatus, Flux and Argo CD go by. */
const told = ({ conditions, phase, ready }: ReturnType<typeof statusWith>) => [
  phase,
  ready,
  ...["Ready", "Reconciling", "Stalled"].map((type) => {
    const found = findCondition(conditions, type);
    return found === undefined ? "-" : `${found.status} ${found.reason}`;
  }),
];

describe("a stack", () => {
  test.each<[string, EdgeContainer | undefined, string[]]>([
    [
      "of ready containers is ready",
      childOf(stack, "b", { status: READY }),
      ["Ready", "2/2", "True AllReady", "-", "-"],
    ],
    [
      "with one missing is making it",
      undefined,
      ["Progressing", "1/2", "False ChildrenNotReady", "True Creating", "-"],
    ],
    [
      "with one not looked at is updating it",
      childOf(stack, "b"),
      ["Progressing", "1/2", "False ChildrenNotReady", "True Updating", "-"],
    ],
    [
      "reconciles for the reason that its container does",
      b("Pulling", condition("Ready", "False", "Progressing"), condition("Reconciling", "True", "PullingImage")),
      ["Progressing", "1/2", "False ChildrenNotReady", "True PullingImage", "-"],
    ],
    [
      "is stalled where only its own spec helps its container",
      b("Failed", condition("Ready", "False", "Rejected"), condition("Stalled", "True", "UnsupportedField")),
      ["Stalled", "1/2", "False ChildrenNotReady", "-", "True UnsupportedField"],
    ],
    [
      "in a crash loop neither reconciles nor is stalled",
      b("CrashLoopBackOff", condition("Ready", "False", "CrashLoopBackOff")),
      ["Progressing", "1/2", "False ChildrenNotReady", "-", "-"],
    ],
    [
      "on a device that is away is unknown",
      b("Running", condition("Ready", "Unknown", "DeviceUnreachable")),
      ["Unknown", "1/2", "Unknown ChildrenNotReady", "-", "-"],
    ],
    [
      "waits for a name that somebody else has",
      childOf(stack, "b", { metadata: { ownerReferences: [] } }),
      ["Progressing", "1/2", "False ChildrenNotReady", "True WaitingForRelease", "-"],
    ],
  ])("%s", (_, object, expected) => {
    expect(told(statusWith(object))).toEqual(expected);
  });

  test("is stalled by a name conflict that lasts, and by what the API server refuses", () => {
    const foreign = childOf(stack, "b", { metadata: { ownerReferences: [] } });
    expect(told(statusWith(foreign, { conflictIsOld: true }))).toEqual([
      "Stalled",
      "1/2",
      "False ChildrenNotReady",
      "-",
      "True NameConflict",
    ]);
    const refused = statusWith(undefined, { refused: new Map([["b", "422: ports is wrong"]]) });
    expect(told(refused)).toEqual(["Stalled", "1/2", "False ChildrenNotReady", "-", "True InvalidSpec"]);
    expect(findCondition(refused.conditions, "Stalled")?.message).toBe("container b: 422: ports is wrong");
  });

  test("is not ready while one that has gone from the spec is still there", () => {
    const { views } = planChildren(
      stackOf([container("a")]),
      TARGET,
      existing(childOf(stack, "a", { status: READY }), childOf(stack, "b", { status: READY })),
    );
    const status = computeStackStatus(stackOf([container("a")]), { views }, NOW);
    expect(told(status)).toEqual(["Progressing", "1/1", "False ChildrenNotReady", "True Removing", "-"]);
  });

  test("suspended says so, and does not claim to be at work", () => {
    expect(told(statusWith(undefined, { suspendedBy: "spec.suspend is set" }))).toEqual([
      "Suspended",
      "1/2",
      "False ChildrenNotReady",
      "-",
      "-",
    ]);
  });

  test("refused says so alone; deleted it is removing, whatever is wrong with it", () => {
    const problems = [{ reason: "InvalidSpec" as const, message: "containers: a circle" }];
    const refused = statusWith(undefined, { problems });
    expect(told(refused)).toEqual(["Stalled", "1/2", "False Rejected", "-", "True InvalidSpec"]);
    expect(findCondition(refused.conditions, "Accepted")).toMatchObject({ status: "False", reason: "Rejected" });
    expect(told(statusWith(undefined, { problems, deletion: "waits" }))[3]).toBe("True Removing");
  });

  test("deleted it is not Ready, whatever its containers still are, and once none is left", () => {
    const leaving = statusWith(childOf(stack, "b", { status: READY }), { deletion: "volumes are being removed" });
    const bare = computeStackStatus(stack, { views: [], deletion: "volumes are being removed" }, NOW);
    for (const status of [leaving, bare])
      expect(findCondition(status.conditions, "Ready")).toMatchObject({
        status: "False",
        reason: "ChildrenNotReady",
        message: "volumes are being removed",
      });
  });

  test("says the same twice: nothing moves by itself", () => {
    const first = statusWith(childOf(stack, "b", { status: READY }));
    const { views } = planChildren(
      stack,
      TARGET,
      existing(childOf(stack, "a", { status: READY }), childOf(stack, "b", { status: READY })),
    );
    expect(computeStackStatus({ ...stack, status: first }, { views }, NOW + 60_000)).toEqual(first);
  });
});

describe("a spec is refused", () => {
  const device = (vendor: object) =>
    ({ metadata: { name: "press" }, spec: { backendRef: { name: "b" }, ...vendor } }) as EdgeDevice;
  const kanto = device({ kanto: { thingId: "a:b" } });
  const hiveon = device({ hiveon: { machineId: "m", machinePriceId: "p" } });
  const reasons = (object: typeof stack, on: EdgeDevice | undefined) =>
    stackProblems(object, on).map(({ reason, message }) => `${reason} ${message.split(":")[0]}`);

  test.each<[string, typeof stack, EdgeDevice | undefined, string[]]>([
    ["never, when it is good", stack, kanto, []],
    [
      "for a circle",
      stackOf([container("a", [{ name: "b" }]), container("b", [{ name: "a" }])]),
      kanto,
      ["InvalidSpec containers"],
    ],
    [
      "for a name too long for a label",
      stackOf([container("a")], {}, { name: "x".repeat(64) }),
      kanto,
      ["InvalidSpec metadata.name"],
    ],
    [
      "for what admission cannot check inside a list",
      stackOf([
        container("a", undefined, {
          ports: [
            { containerPort: 1, hostPort: 80 },
            { containerPort: 2, hostPort: 80 },
          ],
        }),
      ]),
      kanto,
      ["InvalidSpec containers[0].template.ports"],
    ],
    ["on Hiveon with two containers", stack, hiveon, ["UnsupportedField containers"]],
    ["on Hiveon never with one", stackOf([container("a")]), hiveon, []],
    [
      "for named volumes where there are none",
      stackOf([container("a")], { volumes: [{ name: "v" }] }),
      kanto,
      ["UnsupportedField volumes"],
    ],
    ["not for what only the device could tell, while it is missing", stack, undefined, []],
  ])("%s", (_, object, on, expected) => {
    expect(reasons(object, on)).toEqual(expected);
  });
});
