import { expect, test } from "vitest";
import type { ObservedContainer } from "../../../src/backends/contract.ts";
import type { EdgeContainer } from "../../../src/crds/edge-container.ts";
import { takeInventory } from "../../../src/reconcilers/edge-device/inventory.ts";

function container(externalId: string, marker?: { owner: string; name: string }): ObservedContainer {
  return {
    externalId,
    name: externalId,
    image: "r/a:1",
    state: "Running",
    runs: [],
    stateSinceMs: 0,
    hostPorts: [],
    config: {},
    ...(marker !== undefined && {
      marker: { ...marker, namespace: "line", uid: "u", operation: "o", hash: "h" },
    }),
  };
}

function object(name: string, externalId?: string): EdgeContainer {
  return {
    apiVersion: "edge.drayage.dev/v1alpha1",
    kind: "EdgeContainer",
    metadata: { name, namespace: "line", uid: name, resourceVersion: "1" },
    spec: { deviceRef: { name: "press" }, image: "r/a:1" },
    ...(externalId !== undefined && { status: { external: { id: externalId } } }),
  };
}

test("containers of objects are managed, by marker or recorded id; all others are listed, ours first", () => {
  const inventory = takeInventory(
    [
      container("human"),
      container("made", { owner: "me", name: "web" }),
      container("adopted"),
      container("lost", { owner: "me", name: "gone" }),
      container("elsewhere", { owner: "other", name: "web" }),
      { ...container("dying", { owner: "me", name: "gone" }), state: "Dead" },
    ],
    [object("web"), object("db", "adopted")],
    [],
    "me",
  );
  expect(inventory.managed).toBe(2);
  expect(inventory.ours).toBe(1);
  expect(inventory.unmanaged.map(({ externalId, ours }) => `${externalId} ${ours}`)).toEqual([
    "lost true",
    "elsewhere false",
    "human false",
  ]);
});

test("a container whose removal is pending is neither managed nor missed", () => {
  const pending = [{ uid: "u", namespace: "line", name: "gone", policy: "Remove" as const }];
  const inventory = takeInventory([container("leaving", { owner: "me", name: "gone" })], [], pending, "me");
  expect(inventory).toEqual({ managed: 0, unmanaged: [], ours: 0 });
});

test("the list is cut at 50, the count of ours is not", () => {
  const many = Array.from({ length: 80 }, (_, index) => container(`c${index}`, { owner: "me", name: `n${index}` }));
  const inventory = takeInventory(many, [], [], "me");
  expect(inventory.unmanaged).toHaveLength(50);
  expect(inventory.ours).toBe(80);
});
