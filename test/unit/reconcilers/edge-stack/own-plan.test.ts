import { describe, expect, test } from "vitest";
import type { ObservedStack } from "../../../../src/backends/stack-contract.ts";
import type { EdgeDevice } from "../../../../src/crds/edge-device.ts";
import type { EdgeStackSpec } from "../../../../src/crds/edge-stack.ts";
import {
  clearStep,
  findOwn,
  foreignIn,
  missingVolumes,
  ownDeviceSpec,
  straysIn,
  wantsOwnStack,
} from "../../../../src/reconcilers/edge-stack/own-plan.ts";
import { childOf, container, stackOf } from "./objects.ts";

const WHO = { owner: "me", namespace: "ns", name: "shop", uid: "s1" };
const mark = (more: object = {}) => ({ ...WHO, operation: "op", ...more });
const service = (name: string, owner?: string) => ({
  id: `id-${name}`,
  name,
  ...(owner !== undefined && { marker: { owner, namespace: "ns", name: `shop-${name}` } }),
});

function observed(id: string, more: Partial<ObservedStack> = {}): ObservedStack {
  return { id, isDefault: false, marker: mark(), services: [], volumes: [], ...more };
}

describe("of a project's stacks, ours is", () => {
  const found = (stacks: ObservedStack[], known: Parameters<typeof findOwn>[2] = {}) => {
    const { found: one, others } = findOwn(stacks, WHO, known);
    return [one?.id, ...others.map(({ id }) => id)];
  };
  const open = { operation: { id: "op", type: "CreateStack" as const, startedAt: "2026-01-02T03:04:05Z" } };

  test.each<[string, ObservedStack[], Parameters<typeof findOwn>[2], (string | undefined)[]]>([
    ["none without a mark", [{ ...observed("a"), marker: undefined } as unknown as ObservedStack], {}, [undefined]],
    ["none of another installation", [observed("a", { marker: mark({ owner: "you" }) })], {}, [undefined]],
    ["none of another object", [observed("a", { marker: mark({ name: "other" }) })], {}, [undefined]],
    ["never the default one, whatever it says", [observed("a", { isDefault: true })], {}, [undefined]],
    ["that of a former object of the name", [observed("a", { marker: mark({ uid: "old" }) })], {}, ["a"]],
    ["the recorded one of two", [observed("a"), observed("b")], { external: { id: "b" } }, ["b", "a"]],
    [
      "the journalled one of two",
      [observed("a", { marker: mark({ operation: "x" }) }), observed("b")],
      open,
      ["b", "a"],
    ],
    ["this object's of two", [observed("a", { marker: mark({ uid: "old" }) }), observed("b")], {}, ["b", "a"]],
    ["else the one with more in it", [observed("a"), observed("b", { services: [service("x")] })], {}, ["b", "a"]],
    ["else always the same", [observed("b"), observed("a")], {}, ["a", "b"]],
  ])("%s", (_, stacks, known, expected) => {
    expect(found(stacks, known)).toEqual(expected);
  });
});

test("strays are without anybody's mark and under no name of the stack; what is of another installation is told apart", () => {
  const stack = stackOf([container("web"), container("db", undefined, { name: "database" })]);
  const owned = [childOf(stack, "old", { spec: { name: "leaving" } })];
  const services = [
    service("web"),
    service("database", "me"),
    service("leaving"),
    service("orphaned", "me"),
    service("theirs"),
    service("other", "you"),
  ];
  expect(straysIn(observed("a", { services }), stack, owned)).toEqual([{ id: "id-theirs", name: "theirs" }]);
  expect(foreignIn(observed("a", { services }), "me")).toEqual([{ name: "other", owner: "you" }]);
});

test("volumes of the spec are declared once", () => {
  const stack = stackOf([container("a")], { volumes: [{ name: "v" }, { name: "w" }] });
  expect(missingVolumes(observed("a", { volumes: [{ id: "1", name: "v" }] }), stack)).toEqual(["w"]);
});

describe("a removal", () => {
  const volumes = [
    { id: "v1", name: "data" },
    { id: "v2", name: "spare" },
  ];
  const destroy: Partial<EdgeStackSpec> = { deletion: { deleteVolumes: true } };
  test.each<[string, Partial<EdgeStackSpec>, ObservedStack | undefined, boolean, object]>([
    ["is done where the vendor has nothing", {}, undefined, false, { type: "Done", left: "" }],
    [
      "empties what is not empty",
      {},
      observed("a", { services: [service("x")] }),
      true,
      { type: "Empty", marker: mark() },
    ],
    ["detaches volumes", {}, observed("a", { volumes }), false, { type: "Empty" }],
    [
      "keeps them, by name",
      {},
      observed("a", { volumes }),
      true,
      { type: "Done", left: expect.stringMatching(/^stack a stays .*data, spare: deletion.deleteVolumes is not set/) },
    ],
    ["destroys them one by one", destroy, observed("a", { volumes }), true, { type: "RemoveVolume", id: "v1" }],
    ["then the stack", destroy, observed("a"), true, { type: "RemoveStack" }],
    ["never the default one", destroy, observed("a", { isDefault: true }), true, { type: "Done" }],
    [
      "never one that is no longer ours",
      destroy,
      observed("a", { marker: mark({ owner: "you" }) }),
      true,
      { type: "Done" },
    ],
    ["never another EdgeStack's", destroy, observed("a", { marker: mark({ name: "other" }) }), true, { type: "Done" }],
    [
      "never one of another namespace",
      destroy,
      observed("a", { marker: mark({ namespace: "other" }) }),
      true,
      { type: "Done" },
    ],
    [
      "never one with another installation's containers",
      destroy,
      observed("a", { services: [service("x", "you")] }),
      false,
      { type: "Done", left: expect.stringContaining("service x in it is of installation you") },
    ],
    [
      "never one with containers that were to stay",
      destroy,
      observed("a", { services: [service("x", "me")] }),
      false,
      { type: "Done", left: expect.stringContaining("still in it") },
    ],
    [
      "changes nothing under Orphan",
      { deletion: { policy: "Orphan" } },
      observed("a", { volumes }),
      false,
      { type: "Done" },
    ],
  ])("%s", (_, spec, seen, isEmptied, expected) => {
    expect(clearStep(stackOf([container("a")], spec), "a", seen, WHO, isEmptied, true)).toMatchObject(expected);
  });

  test("looks again before it believes right after a start that the stack is gone", () => {
    const stack = stackOf([container("a")], {});
    expect(clearStep(stack, "a", undefined, WHO, false, false)).toEqual({ type: "Look" });
    expect(clearStep(stack, "a", undefined, WHO, false, true)).toEqual({ type: "Done", left: "" });
    expect(clearStep(stack, "a", observed("a"), WHO, false, false)).toMatchObject({ type: "Done" });
  });
});

test("mode Own counts where the vendor has stacks; its device is the stack's, but for the target", () => {
  const device = {
    spec: { backendRef: { name: "b" }, suspend: false, mittwald: { projectId: "p", stackId: "shared" } },
  } as EdgeDevice;
  const kanto = { spec: { backendRef: { name: "b" }, kanto: { thingId: "a:b" } } } as EdgeDevice;
  expect(wantsOwnStack(stackOf([]), device)).toBe(true);
  expect(wantsOwnStack(stackOf([], { mode: "Own" }), kanto)).toBe(false);
  expect(wantsOwnStack(stackOf([], { mode: "Shared" }), device)).toBe(false);
  expect(ownDeviceSpec(device, "mine")).toEqual({ ...device.spec, mittwald: { projectId: "p", stackId: "mine" } });
});
