import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Store, type StoreEvent } from "../../../src/kube/store.ts";
import type { KubeObject } from "../../../src/kube/types.ts";

function thing(name: string, version: number, uid = name, labels: Record<string, string> = {}): KubeObject {
  return {
    apiVersion: "v1",
    kind: "Thing",
    metadata: { name, namespace: "ns", uid, resourceVersion: String(version), labels },
  };
}

function recorded(store: Store<KubeObject>): string[] {
  const events: string[] = [];
  store.onEvent((event: StoreEvent<KubeObject>) => {
    const { uid, resourceVersion } = event.object.metadata;
    events.push(`${event.type} ${uid}@${resourceVersion}${event.initial ? " initial" : ""}`);
  });
  return events;
}

function listInto(store: Store<KubeObject>, objects: readonly KubeObject[], version: number): void {
  store.beginList();
  for (const object of objects) {
    store.stage(object);
  }
  store.commitList(String(version));
}

describe("a store", () => {
  test("says of the first list's objects that they are initial, and of later lists' changes that they are not", () => {
    const store = new Store<KubeObject>();
    const events = recorded(store);
    listInto(store, [thing("a", 1), thing("b", 2), thing("c", 3)], 5);
    expect(events.splice(0)).toEqual(["added a@1 initial", "added b@2 initial", "added c@3 initial"]);
    listInto(store, [thing("a", 1), thing("b", 7), thing("d", 8)], 9);
    expect(events).toEqual(["deleted c@3", "updated b@7", "added d@8"]);
    expect(store.resourceVersion).toBe("9");
  });

  test("delivers a delete and a create when an object was replaced by another of the same name", () => {
    const store = new Store<KubeObject>();
    listInto(store, [thing("a", 1, "old")], 1);
    const events = recorded(store);
    listInto(store, [thing("a", 4, "new")], 4);
    store.apply("MODIFIED", thing("a", 6, "newer"));
    expect(events).toEqual(["deleted old@1", "added new@4", "deleted new@4", "added newer@6"]);
  });

  test("keeps what it has until a list is complete", () => {
    const store = new Store<KubeObject>();
    listInto(store, [thing("a", 1)], 1);
    const events = recorded(store);
    store.beginList();
    store.stage(thing("b", 2));
    store.discardList();
    expect(store.list().map((each) => each.metadata.name)).toEqual(["a"]);
    expect(events).toEqual([]);
  });

  test("tells of a relist when its events are out", () => {
    const store = new Store<KubeObject>();
    const seen: number[] = [];
    store.onRelist(() => seen.push(store.size));
    listInto(store, [thing("a", 1), thing("b", 2)], 2);
    listInto(store, [], 1);
    expect(seen).toEqual([2, 0]);
    expect(store.resourceVersion).toBe("1");
  });

  test("goes on when a listener throws, and says so", () => {
    const errors: unknown[] = [];
    const store = new Store<KubeObject>({ onError: (error) => errors.push(error) });
    store.onEvent(() => {
      throw new Error("listener");
    });
    const events = recorded(store);
    store.apply("ADDED", thing("a", 1));
    expect(events).toEqual(["added a@1"]);
    expect(errors).toHaveLength(1);
  });

  test("ends a listener when asked to", () => {
    const store = new Store<KubeObject>();
    const seen: string[] = [];
    const end = store.onEvent((event) => seen.push(event.type));
    store.apply("ADDED", thing("a", 1));
    end();
    store.apply("DELETED", thing("a", 2));
    expect(seen).toEqual(["added"]);
  });

  test("whatever happens, its indexes say what a search of all objects says, and events replayed give its content", () => {
    const names = fc.constantFrom("a", "b", "c", "d");
    const object = fc.record({
      name: names,
      uid: fc.nat({ max: 2 }),
      version: fc.nat({ max: 5 }),
      team: fc.constantFrom("x", "y", "z"),
    });
    const operation = fc.oneof(
      fc.record({ kind: fc.constantFrom("ADDED" as const, "MODIFIED" as const, "DELETED" as const), object }),
      fc.record({
        kind: fc.constant("list" as const),
        objects: fc.uniqueArray(object, { selector: (each) => each.name }),
      }),
    );
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 30 }), (operations) => {
        const store = new Store<KubeObject>();
        const teams = (each: KubeObject): string[] => Object.keys(each.metadata.labels ?? {});
        const replayed = new Map<string, KubeObject>();
        store.addIndex("team", teams);
        store.onEvent((event) => {
          if (event.type === "deleted") {
            expect(replayed.delete(event.object.metadata.name)).toBe(true);
          } else {
            expect(replayed.has(event.object.metadata.name)).toBe(event.type === "updated");
            replayed.set(event.object.metadata.name, event.object);
          }
        });
        const make = (from: { name: string; uid: number; version: number; team: string }): KubeObject =>
          thing(from.name, from.version, `${from.name}${from.uid}`, { [from.team]: "", all: "" });
        for (const each of operations) {
          if (each.kind === "list") {
            listInto(store, each.objects.map(make), 9);
          } else {
            store.apply(each.kind, make(each.object));
          }
          const byName = (objects: KubeObject[]): KubeObject[] =>
            objects.sort((a, b) => a.metadata.name.localeCompare(b.metadata.name));
          expect(byName([...replayed.values()])).toEqual(byName(store.list()));
          for (const team of ["x", "y", "z", "all", "none"]) {
            const expected = store.list().filter((object) => teams(object).includes(team));
            expect(byName(store.byIndex("team", team))).toEqual(byName(expected));
          }
        }
      }),
    );
  });

  test("refuses an index that is not there, and one that is there already", () => {
    const store = new Store<KubeObject>();
    store.addIndex("one", () => []);
    expect(() => store.byIndex("two", "x")).toThrow('no index "two"');
    expect(() => store.addIndex("one", () => [])).toThrow('index "one" already');
  });
});
