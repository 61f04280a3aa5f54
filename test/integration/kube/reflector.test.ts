import { describe, expect, inject, test, vi } from "vitest";
import { Reflector } from "../../../src/kube/reflector.ts";
import { CONFIG_MAPS, follow, setting, SHORT, type ConfigMap, type Setting } from "./support.ts";

const controlPlane = inject("controlPlane");
const start = (): Promise<Setting> => setting(controlPlane);
/** Only guards against a hang. */
const soon = { timeout: 30_000, interval: 10 };

describe("a reflector", () => {
  test("streams the first list, marks it as initial, and then follows changes on the same connection", async () => {
    const { namespace, proxy, through, put, direct } = await start();
    await put("a", "1");
    await put("b", "1");
    const { events, reflector } = follow(await through(), namespace);
    await vi.waitFor(() => expect(events).toEqual(["added! a=1", "added! b=1"]), soon);
    await put("b", "2");
    await put("c", "1");
    await direct.delete(CONFIG_MAPS, { namespace, name: "a" });
    const all = ["added! a=1", "added! b=1", "updated b=2", "added c=1", "deleted a=1"];
    await vi.waitFor(() => expect(events).toEqual(all), soon);
    expect(proxy.requests().map((each) => each.watch)).toEqual([true]);
    expect(reflector.state).toBe("Watching");
    expect(reflector.synced).toBe(true);
  });

  test("keeps objects without managedFields and kubectl's copy of the manifest", async () => {
    const { namespace, direct, through } = await start();
    const annotations = { "kubectl.kubernetes.io/last-applied-configuration": "{}", kept: "yes" };
    await direct.create(CONFIG_MAPS, { metadata: { namespace, name: "a", annotations }, data: { value: "1" } });
    const { reflector } = follow(await through(), namespace);
    await reflector.whenSynced(new AbortController().signal);
    const object = reflector.store.get({ namespace, name: "a" });
    expect(object?.metadata).not.toHaveProperty("managedFields");
    expect(object?.metadata.annotations).toEqual({ kept: "yes" });
    expect(object).toMatchObject({ apiVersion: "v1", kind: "ConfigMap", data: { value: "1" } });
  });

  test("of metadata only never holds, nor is ever sent, the data", async () => {
    const { namespace, proxy, through, put } = await start();
    await put("a", "sekrit");
    let wire = "";
    proxy.on({
      match: { path: "configmaps" },
      times: 9,
      fault: { do: "lines", edit: (line) => ((wire += line), line) },
    });
    for (const watchList of [true, false]) {
      const { reflector } = follow(await through(), namespace, { metadataOnly: true, watchList });
      await reflector.whenSynced(new AbortController().signal);
      const object = reflector.store.get({ namespace, name: "a" });
      expect(object).toMatchObject({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "a" } });
      expect(object).not.toHaveProperty("data");
    }
    expect(wire).toContain("PartialObjectMetadata");
    expect(wire).not.toContain("sekrit");
  });

  test("reads a large collection in pages where the server has no streamed lists", async () => {
    const { namespace, proxy, through, put } = await start();
    for (const name of ["a", "b", "c", "d", "e"]) {
      await put(name, "1");
    }
    proxy.on({
      match: { path: "sendInitialEvents" },
      times: 9,
      fault: { do: "answer", status: 422, reason: "Invalid" },
    });
    const { events, content } = follow(await through(), namespace, { pageSize: 2 });
    await vi.waitFor(() => expect(content()).toEqual(["a=1", "b=1", "c=1", "d=1", "e=1"]), soon);
    await put("a", "2");
    await vi.waitFor(() => expect(events.at(-1)).toBe("updated a=2"), soon);
    const paths = proxy.requests().map((each) => each.path);
    expect(paths.filter((path) => path.includes("sendInitialEvents"))).toHaveLength(1);
    expect(paths.filter((path) => path.includes("limit=2")).length).toBeGreaterThanOrEqual(3);
  });

  test("whose pages expire before the last reads the list in one piece", async () => {
    const { namespace, proxy, through, put } = await start();
    for (const name of ["a", "b", "c", "d"]) {
      await put(name, "1");
    }
    proxy.on({ match: { path: "continue=" }, fault: { do: "answer", status: 410, reason: "Expired" } });
    const { content, events } = follow(await through(), namespace, { watchList: false, pageSize: 2 });
    await vi.waitFor(() => expect(content()).toHaveLength(4), soon);
    expect(events).toHaveLength(4);
    expect(proxy.requests({ watch: false }).at(-1)?.path).not.toContain("limit");
  });

  test("delivers what changed while it was not running: changes, deletions, and replacements", async () => {
    const { namespace, through, put, direct } = await start();
    for (const name of ["kept", "changed", "gone", "replaced"]) {
      await put(name, "1");
    }
    const reflector = new Reflector<ConfigMap>({ client: await through(), resource: CONFIG_MAPS, namespace });
    const stop = new AbortController();
    const running = reflector.run(stop.signal);
    await reflector.whenSynced(stop.signal);
    stop.abort();
    await running;
    await put("changed", "2");
    await direct.delete(CONFIG_MAPS, { namespace, name: "gone" });
    await direct.delete(CONFIG_MAPS, { namespace, name: "replaced" });
    await put("replaced", "2");
    const events: string[] = [];
    reflector.store.onEvent(({ type, object, initial }) =>
      events.push(`${type}${initial ? "!" : ""} ${object.metadata.name}=${object.data?.value}`),
    );
    const again = new AbortController();
    const rerun = reflector.run(again.signal);
    const expected = ["deleted gone=1", "updated changed=2", "deleted replaced=1", "added replaced=2"];
    await vi.waitFor(() => expect(events.toSorted()).toEqual(expected.toSorted()), soon);
    again.abort();
    await rerun;
  });
});

describe("a reflector recovers from", () => {
  test.each([
    ["a reset connection", "reset" as const],
    ["a connection closed in the middle of an event", "fin" as const],
    ["an event cut short in an orderly answer", "end" as const],
  ])("%s, from the version it had, without a new list", async (_what, how) => {
    const { namespace, proxy, through, put } = await start();
    proxy.on({ match: { watch: true }, fault: { do: "cut", afterLines: 3, partialBytes: 40, how } });
    await put("a", "1");
    const { events, content, reflector, failures } = follow(await through(), namespace);
    await reflector.whenSynced(new AbortController().signal);
    for (const value of ["2", "3", "4", "5"]) {
      await put("a", value);
    }
    await vi.waitFor(() => expect(content()).toEqual(["a=5"]), soon);
    expect(events).toEqual(["added! a=1", "updated a=2", "updated a=3", "updated a=4", "updated a=5"]);
    expect(reflector.lists).toBe(1);
    expect(failures).toHaveLength(1);
    const watches = proxy.requests({ watch: true });
    expect(watches.map((each) => /[?&]resourceVersion=\d/.test(each.path))).toEqual([false, true]);
  });

  test("a half-open connection, when bookmarks stay away", async () => {
    const { namespace, proxy, through, put } = await start();
    await put("a", "1");
    const { content, reflector, failures } = follow(await through(), namespace);
    await reflector.whenSynced(new AbortController().signal);
    proxy.requests()[0]?.stall();
    await put("a", "2");
    await vi.waitFor(() => expect(content()).toEqual(["a=2"]), soon);
    expect(failures).toMatchObject([{ code: "Silent" }]);
    expect(reflector.lists).toBe(1);
    expect(proxy.requests()[0]?.closed).toBe(true);
  });

  test("a server that does not answer a watch at all", async () => {
    const { namespace, proxy, through, put } = await start();
    await put("a", "1");
    const rule = proxy.on({ match: { watch: true }, times: 2, fault: { do: "stall", afterLines: 0 } });
    const { content } = follow(await through(), namespace);
    await vi.waitFor(() => expect(content()).toEqual(["a=1"]), soon);
    expect(rule.hits).toBe(2);
  });

  test("a version that the server forgot, said in the answer or in the stream, by a new list", async () => {
    const { namespace, proxy, through, put, direct } = await start();
    await put("a", "1");
    await put("b", "1");
    const { events, content, reflector } = follow(await through(), namespace);
    await reflector.whenSynced(new AbortController().signal);
    const gone = { kind: "Status", code: 410, reason: "Expired", message: "too old resource version" };
    // In the answer: nothing of the time between reaches the client but through the list.
    proxy.on({ match: { watch: true }, fault: { do: "answer", status: 410, reason: "Expired" } });
    const rest = await proxy.outage();
    await direct.delete(CONFIG_MAPS, { namespace, name: "b" });
    await put("c", "1");
    await rest();
    await vi.waitFor(() => expect(content()).toEqual(["a=1", "c=1"]), soon);
    expect(reflector.lists).toBe(2);
    expect(events.slice(2)).toEqual(["deleted b=1", "added c=1"]);
    // In the stream.
    proxy.requests({ watch: true }).at(-1)?.insert({ type: "ERROR", object: gone });
    await vi.waitFor(() => expect(reflector.lists).toBe(3), soon);
    await put("a", "2");
    await vi.waitFor(() => expect(events.slice(4)).toEqual(["updated a=2"]), soon);
  });

  test("429 on a watch without a new list, and not before the server allows it", async () => {
    const { namespace, proxy, through, put } = await start();
    await put("a", "1");
    const { content, reflector, failures } = follow(await through(), namespace);
    await reflector.whenSynced(new AbortController().signal);
    const refusals = 3;
    proxy.on({
      match: { watch: true },
      times: refusals,
      fault: { do: "answer", status: 429, reason: "TooManyRequests", retryAfterSeconds: 1 },
    });
    proxy.requests()[0]?.reset();
    await put("a", "2");
    await vi.waitFor(() => expect(content()).toEqual(["a=2"]), soon);
    expect(reflector.lists).toBe(1);
    // The reset, then each refusal: none is asked again but by its own wait.
    expect(failures).toHaveLength(1 + refusals);
    expect(proxy.requests({ watch: true })).toHaveLength(2 + refusals);
  });

  test("500 on the list, streamed or paged, within the bounds of its waits", async () => {
    const { namespace, proxy, through, put } = await start();
    await put("a", "1");
    const rule = proxy.on({ match: {}, times: 6, fault: { do: "answer", status: 500, reason: "InternalError" } });
    const { content, failures, reflector } = follow(await through(), namespace);
    await vi.waitFor(() => expect(failures.length).toBeGreaterThan(0), soon);
    expect(reflector.lastError).toBe(failures.at(-1));
    await vi.waitFor(() => expect(content()).toEqual(["a=1"]), soon);
    expect(reflector.lastError).toBeUndefined();
    expect(rule.hits).toBe(6);
    expect(failures).toHaveLength(6);
    const kinds = proxy.requests().map((each) => (each.watch ? "stream" : "page"));
    expect(kinds.slice(0, 6)).toEqual(["stream", "stream", "page", "stream", "stream", "page"]);
  });

  test("a list cut in the middle: nothing of it is taken over", async () => {
    const { namespace, proxy, through, put } = await start();
    for (const name of ["a", "b", "c"]) {
      await put(name, "1");
    }
    proxy.on({ match: { watch: true }, fault: { do: "cut", afterLines: 1, partialBytes: 10, how: "reset" } });
    const held = proxy.on({ match: { watch: true }, fault: { do: "hold" } });
    const { content, events, reflector, failures } = follow(await through(), namespace);
    await vi.waitFor(() => expect(failures).toHaveLength(1), soon);
    expect(content()).toEqual([]);
    expect(reflector.synced).toBe(false);
    await vi.waitFor(() => expect(held.hits).toBe(1), soon);
    held.release();
    await vi.waitFor(() => expect(content()).toEqual(["a=1", "b=1", "c=1"]), soon);
    expect(events).toHaveLength(3);
  });

  test("a slow list: it waits, and takes nothing over before the end", async () => {
    const { namespace, proxy, through, put } = await start();
    await put("a", "1");
    const held = proxy.on({ match: { path: "limit" }, fault: { do: "hold" } });
    const { content, reflector } = follow(await through(), namespace, { watchList: false, times: { silenceMs: 200 } });
    await vi.waitFor(() => expect(held.hits).toBe(1), soon);
    expect(reflector.state).toBe("Listing");
    held.release();
    await vi.waitFor(() => expect(content()).toEqual(["a=1"]), soon);
    expect(proxy.requests({ watch: false })).toHaveLength(1);
  });

  test("an outage, with the cost of few attempts, and delivers what happened in it", async () => {
    const { namespace, proxy, through, put, direct } = await start();
    await put("a", "1");
    const { content, failures, reflector } = follow(await through(), namespace);
    await reflector.whenSynced(new AbortController().signal);
    const end = await proxy.outage();
    await vi.waitFor(() => expect(failures.length).toBeGreaterThan(4), soon);
    await direct.delete(CONFIG_MAPS, { namespace, name: "a" });
    await put("b", "1");
    expect(content()).toEqual(["a=1"]);
    expect(reflector.synced).toBe(true);
    expect(reflector.state).toBe("BackingOff");
    await end();
    await vi.waitFor(() => expect(content()).toEqual(["b=1"]), soon);
    expect(reflector.lists).toBe(1);
    expect(reflector.lastError).toBeUndefined();
  });

  test("a watch that the server ends again and again without a word, at the pace of its waits", async () => {
    const { namespace, proxy, through, put } = await start();
    await put("a", "1");
    const { reflector, content } = follow(await through(), namespace);
    await reflector.whenSynced(new AbortController().signal);
    const rule = proxy.on({ match: { watch: true }, times: 5, fault: { do: "answer", status: 200, body: "" } });
    proxy.requests()[0]?.finish();
    await vi.waitFor(() => expect(rule.hits).toBe(5), soon);
    await put("a", "2");
    await vi.waitFor(() => expect(content()).toEqual(["a=2"]), soon);
    expect(reflector.lists).toBe(1);
    expect(proxy.requests()).toHaveLength(1 + 5 + 1);
  });
});

test("a reflector that is stopped in the middle of a list opens no watch, and leaves nothing open", async () => {
  const { namespace, proxy, through, put } = await start();
  await put("a", "1");
  const held = proxy.on({ match: { path: "limit" }, fault: { do: "hold" } });
  const failures: unknown[] = [];
  const reflector = new Reflector<ConfigMap>({
    client: await through(),
    resource: CONFIG_MAPS,
    namespace,
    watchList: false,
    times: SHORT,
    onFailure: (error) => failures.push(error),
  });
  const stop = new AbortController();
  const running = reflector.run(stop.signal);
  await vi.waitFor(() => expect(held.hits).toBe(1), soon);
  stop.abort();
  await running;
  held.release();
  await vi.waitFor(() => expect(proxy.requests().every((each) => each.closed)).toBe(true), soon);
  expect(proxy.requests()).toHaveLength(1);
  expect(failures).toEqual([]);
  expect(reflector.store.size).toBe(0);
  expect(await reflector.whenSynced(stop.signal)).toBe(false);
});
