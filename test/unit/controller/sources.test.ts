import { describe, expect, test } from "vitest";
import {
  allOf,
  annotationsChanged,
  anyOf,
  deletionRequested,
  enqueueFrom,
  finalizersChanged,
  generationChanged,
  labelsChanged,
  not,
  type Predicate,
} from "../../../src/controller/sources.ts";
import { type AddOptions, LOW_PRIORITY } from "../../../src/controller/work-queue.ts";
import { keyString } from "../../../src/kube/resource.ts";
import { Store } from "../../../src/kube/store.ts";
import type { KubeObject, ObjectKey, ObjectMeta } from "../../../src/kube/types.ts";

interface Device extends KubeObject {
  spec: { backend: string };
}

let version = 0;

function device(name: string, metadata: Partial<ObjectMeta> = {}, backend = "one"): Device {
  const resourceVersion = String(++version);
  return {
    apiVersion: "v1",
    kind: "Device",
    metadata: { namespace: "ns", name, uid: name, resourceVersion, generation: 1, ...metadata },
    spec: { backend },
  };
}

function setUp() {
  const store = new Store<Device>();
  const seen: string[] = [];
  const target = {
    enqueue: (key: ObjectKey, options: AddOptions = {}) =>
      void seen.push(`${keyString(key)} ${options.reason} ${options.priority}`),
  };
  return { store, seen, target };
}

function fill(store: Store<Device>, ...objects: Device[]): void {
  store.beginList();
  for (const object of objects) store.stage(object);
  store.commitList(String(++version));
}

describe("enqueueFrom", () => {
  test("the initial list and what the store holds already come at low priority, later changes at 0", () => {
    const { store, seen, target } = setUp();
    fill(store, device("before"));
    const source = enqueueFrom(store, target);
    store.apply("ADDED", device("after"));
    store.apply("MODIFIED", device("before"));
    store.apply("DELETED", device("before"));
    expect(seen).toEqual([
      `ns/before added ${LOW_PRIORITY}`,
      "ns/after added 0",
      "ns/before updated 0",
      "ns/before deleted 0",
    ]);
    source[Symbol.dispose]();
    store.apply("ADDED", device("late"));
    expect(seen).toHaveLength(4);
  });

  test("an empty store that fills counts as the initial list", () => {
    const { store, seen, target } = setUp();
    enqueueFrom(store, target, { reason: "device" });
    fill(store, device("a"));
    expect(seen).toEqual([`ns/a device ${LOW_PRIORITY}`]);
  });

  test("a mapping names other keys; a reference that moves away wakes both its old and its new target", () => {
    const { store, seen, target } = setUp();
    enqueueFrom(store, target, {
      reason: "device",
      mapTo: (object) => [{ namespace: object.metadata.namespace ?? "", name: object.spec.backend }],
    });
    store.apply("ADDED", device("a", {}, "one"));
    store.apply("MODIFIED", device("a", {}, "two"));
    expect(seen).toEqual(["ns/one device 0", "ns/two device 0", "ns/one device 0"]);
  });
});

describe("predicates", () => {
  const cases: { name: string; predicate: Predicate<Device>; change: Partial<ObjectMeta>; passes: boolean }[] = [
    { name: "generation", predicate: generationChanged, change: { generation: 2 }, passes: true },
    { name: "generation, status write", predicate: generationChanged, change: {}, passes: false },
    {
      name: "deletion",
      predicate: deletionRequested,
      change: { deletionTimestamp: "2026-01-01T00:00:00Z" },
      passes: true,
    },
    { name: "deletion, other change", predicate: deletionRequested, change: { generation: 2 }, passes: false },
    { name: "any annotation", predicate: annotationsChanged(), change: { annotations: { x: "1" } }, passes: true },
    { name: "named annotation", predicate: annotationsChanged("x"), change: { annotations: { x: "1" } }, passes: true },
    {
      name: "another annotation",
      predicate: annotationsChanged("x"),
      change: { annotations: { y: "1" } },
      passes: false,
    },
    { name: "labels", predicate: labelsChanged, change: { labels: { x: "1" } }, passes: true },
    { name: "labels, other change", predicate: labelsChanged, change: { annotations: { x: "1" } }, passes: false },
    { name: "finalizers", predicate: finalizersChanged, change: { finalizers: ["f"] }, passes: true },
    { name: "finalizers, other change", predicate: finalizersChanged, change: { generation: 2 }, passes: false },
    {
      name: "any of",
      predicate: anyOf(generationChanged, labelsChanged),
      change: { labels: { x: "1" } },
      passes: true,
    },
    { name: "all of", predicate: allOf(generationChanged, labelsChanged), change: { generation: 2 }, passes: false },
    { name: "not", predicate: not(generationChanged), change: {}, passes: true },
  ];
  test.each(cases)("$name: an update passes = $passes", ({ predicate, change, passes }) => {
    const old = device("a");
    expect(predicate({ type: "updated", object: device("a", change), old, initial: false })).toBe(passes);
  });

  test("coming and going always pass", () => {
    const all: Predicate<Device>[] = [
      generationChanged,
      deletionRequested,
      annotationsChanged("x"),
      labelsChanged,
      finalizersChanged,
    ];
    for (const predicate of all) {
      expect(predicate({ type: "added", object: device("a"), initial: false })).toBe(true);
      expect(predicate({ type: "deleted", object: device("a"), initial: false })).toBe(true);
    }
  });
});
