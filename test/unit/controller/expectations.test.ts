import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Expectations } from "../../../src/controller/expectations.ts";
import { Store } from "../../../src/kube/store.ts";
import type { KubeObject } from "../../../src/kube/types.ts";
import { FakeClock } from "../../support/fake-clock.ts";

const KEY = { namespace: "ns", name: "a" };
const RESOURCE = "edgecontainers.edge.drayage.dev";

function object(resourceVersion: string, name = "a", uid = "uid-1"): KubeObject {
  return { apiVersion: "v1", kind: "X", metadata: { namespace: "ns", name, uid, resourceVersion } };
}

function setUp() {
  const clock = new FakeClock();
  const expectations = new Expectations({ clock });
  const store = new Store<KubeObject>();
  const following = expectations.follow(RESOURCE, store);
  return { clock, expectations, store, following, isBehind: () => expectations.isBehind(RESOURCE, store, KEY) };
}

function fill(store: Store<KubeObject>, resourceVersion: string, ...objects: KubeObject[]): void {
  store.beginList();
  for (const each of objects) store.stage(each);
  store.commitList(resourceVersion);
}

describe("read-your-own-writes", () => {
  test("a key that we never wrote is never stale", () => {
    const { isBehind } = setUp();
    expect(isBehind()).toBe(false);
  });

  test("a key is stale until the cache shows our write, then never again", () => {
    const { expectations, store, isBehind } = setUp();
    fill(store, "100", object("100"));
    expectations.wrote(RESOURCE, KEY, "105");
    expect(isBehind()).toBe(true);
    store.apply("MODIFIED", object("104"));
    expect(isBehind()).toBe(true);
    store.apply("MODIFIED", object("105"));
    expect(isBehind()).toBe(false);
    expect(expectations.size).toBe(0);
  });

  test("a write that others overtook is seen with the later version", () => {
    const { expectations, store, isBehind } = setUp();
    fill(store, "100", object("100"));
    expectations.wrote(RESOURCE, KEY, "105");
    store.apply("MODIFIED", object("110"));
    expect(isBehind()).toBe(false);
  });

  test("versions beyond 2^53 and of different lengths are compared as numbers", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 1n, max: 2n ** 80n }), fc.bigInt({ min: 1n, max: 2n ** 80n }), (written, cached) => {
        const expectations = new Expectations({ clock: new FakeClock() });
        expectations.wrote(RESOURCE, KEY, String(written));
        const isStale = expectations.isStale(RESOURCE, KEY, { object: String(cached), collection: "" });
        expect(isStale).toBe(cached < written);
      }),
    );
  });

  test("of two writes answered out of order the later version is waited for", () => {
    const { expectations, store, isBehind } = setUp();
    fill(store, "100", object("100"));
    expectations.wrote(RESOURCE, KEY, "106");
    expectations.wrote(RESOURCE, KEY, "105");
    store.apply("MODIFIED", object("105"));
    expect(isBehind()).toBe(true);
  });

  test("a created object that the cache does not have yet is stale; other keys and resources are not", () => {
    const { expectations, store, isBehind } = setUp();
    fill(store, "100");
    expectations.wrote(RESOURCE, KEY, "105");
    expect(isBehind()).toBe(true);
    expect(expectations.isBehind(RESOURCE, store, { namespace: "ns", name: "b" })).toBe(false);
    expect(expectations.isBehind("other", store, KEY)).toBe(false);
  });

  test("the collection's own progress (a bookmark, another object's event) is enough", () => {
    const { expectations, store, isBehind } = setUp();
    fill(store, "100", object("100"));
    expectations.wrote(RESOURCE, KEY, "105");
    store.progress("107");
    expect(isBehind()).toBe(false);
  });

  test("a version that cannot be compared holds nothing back", () => {
    const { expectations, store, isBehind } = setUp();
    fill(store, "100", object("100"));
    expectations.wrote(RESOURCE, KEY, "opaque");
    expect(isBehind()).toBe(false);
  });
});

describe("what ends a record", () => {
  test("the deletion of the object, whatever its version", () => {
    const { expectations, store, isBehind } = setUp();
    fill(store, "100", object("100"));
    expectations.wrote(RESOURCE, KEY, "105");
    store.apply("DELETED", object("104"));
    expect(isBehind()).toBe(false);
    expect(expectations.size).toBe(0);
  });

  test("a complete list, even one of an etcd that was set back", () => {
    const { expectations, store, isBehind } = setUp();
    fill(store, "100", object("100"));
    expectations.wrote(RESOURCE, KEY, "105");
    fill(store, "50", object("50"));
    expect(isBehind()).toBe(false);
  });

  test("ten seconds", async () => {
    const { clock, expectations, store, isBehind } = setUp();
    fill(store, "100", object("100"));
    expectations.wrote(RESOURCE, KEY, "105");
    await clock.advanceAsync(9999);
    expect(isBehind()).toBe(true);
    await clock.advanceAsync(1);
    expect(isBehind()).toBe(false);
  });

  test("records of keys that nobody asks about again do not pile up", async () => {
    const { clock, expectations } = setUp();
    for (let index = 0; index < 100; index++)
      expectations.wrote(RESOURCE, { namespace: "ns", name: String(index) }, "1");
    await clock.advanceAsync(10_000);
    expectations.wrote(RESOURCE, KEY, "2");
    expect(expectations.size).toBe(1);
  });

  test("after disposal the store is no longer followed", () => {
    const { expectations, store, following, isBehind } = setUp();
    following[Symbol.dispose]();
    expectations.wrote(RESOURCE, KEY, "105");
    fill(store, "50", object("50"));
    expect(isBehind()).toBe(true);
  });
});

test("the echo of our own last write is recognised, a foreign version is not", () => {
  const { expectations } = setUp();
  expectations.wrote(RESOURCE, KEY, "105");
  expect(expectations.isOwnEcho(RESOURCE, object("105"))).toBe(true);
  expect(expectations.isOwnEcho(RESOURCE, object("106"))).toBe(false);
  expect(expectations.isOwnEcho(RESOURCE, object("105", "b"))).toBe(false);
});
