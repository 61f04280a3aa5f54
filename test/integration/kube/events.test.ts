import { describe, expect, inject, onTestFinished, test, vi } from "vitest";
import { EVENTS, type EventInput, type KubeEvent } from "../../../src/kube/event-record.ts";
import { EventRecorder, type DropReason, type EventRecorderOptions } from "../../../src/kube/events.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { NAMESPACES, setting, type ConfigMap, type Setting } from "./support.ts";

const controlPlane = inject("controlPlane");
const soon = { timeout: 30_000, interval: 10 };
const CREATED: EventInput = { type: "Normal", reason: "Created", action: "Create", note: "made a container" };

interface Rig extends Setting {
  clock: FakeClock;
  recorder: EventRecorder;
  drops: DropReason[];
  object: ConfigMap;
  events: () => Promise<KubeEvent[]>;
}

async function rig(options: Partial<EventRecorderOptions> = {}): Promise<Rig> {
  const given = await setting(controlPlane);
  const clock = new FakeClock(Date.now());
  const drops: DropReason[] = [];
  const recorder = new EventRecorder({
    client: await given.through({ clock }),
    controller: "drayage.dev/operator",
    instance: "host_1",
    onDrop: (reason) => drops.push(reason),
    ...options,
  });
  onTestFinished(async () => {
    const closed = recorder.close(1_000);
    clock.advance(1_000);
    await closed;
  });
  return {
    ...given,
    clock,
    recorder,
    drops,
    object: await given.put("thing", "1"),
    events: async () => (await given.direct.list(EVENTS, { namespace: given.namespace })).items,
  };
}

describe("an event", () => {
  test("is shown by kubectl with its reason, its object and who reports it", async () => {
    const { recorder, object, events } = await rig();
    recorder.record(object, CREATED);
    await vi.waitFor(async () => expect(await events()).toHaveLength(1), soon);
    const [event] = await events();
    expect(event).toMatchObject({
      type: "Normal",
      reason: "Created",
      action: "Create",
      note: "made a container",
      reportingController: "drayage.dev/operator",
      reportingInstance: "host_1",
      regarding: { kind: "ConfigMap", name: "thing", uid: object.metadata.uid },
    });
    expect(event?.series).toBeUndefined();
  });

  test("about a cluster-scoped object, with another related to it, is accepted", async () => {
    const { recorder, object, direct, namespace } = await rig();
    const about = await direct.get(NAMESPACES, { namespace: "", name: namespace });
    recorder.record(about, { ...CREATED, related: object });
    const fieldSelector = `reason=Created`;
    await vi.waitFor(async () => {
      const { items } = await direct.list(EVENTS, { namespace: "default", fieldSelector });
      expect(items.filter((each) => each.regarding.name === namespace)).toMatchObject([{ related: { name: "thing" } }]);
    }, soon);
  });

  test("with a note of any length and any characters is accepted, cut between characters", async () => {
    const { recorder, object, events, drops } = await rig();
    for (const [index, text] of ["x", "é", "漢", "🚢"].entries()) {
      recorder.record(object, { ...CREATED, reason: `Reason${index}`, note: text.repeat(3_000) });
    }
    await vi.waitFor(async () => expect(await events()).toHaveLength(4), soon);
    for (const { note = "" } of await events()) {
      expect(Buffer.byteLength(note)).toBeLessThanOrEqual(1024);
      expect(Buffer.byteLength(note)).toBeGreaterThan(1018);
      expect(note).toMatch(/^(.)\1*\.\.\.$/u);
    }
    expect(drops).toEqual([]);
  });

  test("that repeats within six minutes is one event with a series: first at once, then once a minute", async () => {
    const { recorder, object, events, clock, proxy } = await rig();
    recorder.record(object, CREATED);
    await vi.waitFor(async () => expect(await events()).toHaveLength(1), soon);
    clock.advance(10_000);
    recorder.record(object, CREATED);
    await vi.waitFor(async () => expect((await events())[0]?.series?.count).toBe(2), soon);
    const before = proxy.requests().length;
    for (let times = 0; times < 20; times += 1) {
      clock.advance(2_000);
      recorder.record(object, CREATED);
    }
    expect(proxy.requests()).toHaveLength(before);
    const lastObservedTime = new Date(clock.now()).toISOString().replace("Z", "000Z");
    clock.advance(60_000);
    clock.advance(60_000);
    await vi.waitFor(async () => expect((await events())[0]?.series).toEqual({ count: 22, lastObservedTime }), soon);
    expect(await events()).toHaveLength(1);
    expect(proxy.requests()).toHaveLength(before + 1);
    expect(recorder.dropped).toBe(0);
    clock.advance(6 * 60_000);
    recorder.record(object, CREATED);
    await vi.waitFor(async () => expect(await events()).toHaveLength(2), soon);
  });

  test("that the server forgot is begun anew by its next repetition", async () => {
    const { recorder, object, events, clock, direct } = await rig();
    recorder.record(object, CREATED);
    await vi.waitFor(async () => expect(await events()).toHaveLength(1), soon);
    const [event] = await events();
    await direct.delete(EVENTS, { namespace: event?.metadata.namespace ?? "", name: event?.metadata.name ?? "" });
    clock.advance(1_000);
    recorder.record(object, CREATED);
    await vi.waitFor(async () => expect((await events())[0]?.series?.count).toBe(2), soon);
  });
});

describe("too many events", () => {
  test("about one object are limited to 25 and one more in five minutes; another object is not affected", async () => {
    const { recorder, object, events, clock, put, drops } = await rig();
    const other = await put("other", "1");
    for (let n = 0; n < 100; n += 1) {
      recorder.record(object, { ...CREATED, note: `number ${n}` });
    }
    recorder.record(other, CREATED);
    expect(recorder.dropped).toBe(75);
    expect(new Set(drops)).toEqual(new Set(["spam"]));
    await vi.waitFor(async () => expect(await events()).toHaveLength(26), soon);
    clock.advance(300_000);
    recorder.record(object, { ...CREATED, note: "later" });
    recorder.record(object, { ...CREATED, note: "too early" });
    expect(recorder.dropped).toBe(76);
  });

  test("while the server is away wait in a queue that does not grow without end, and never hold the caller up", async () => {
    const { recorder, put, proxy, drops, events, clock } = await rig({ maxQueue: 10, burst: 1000 });
    const end = await proxy.outage();
    for (let n = 0; n < 15; n += 1) {
      recorder.record(await put(`o${n}`, "1"), CREATED);
    }
    expect(drops).toEqual(["queue", "queue", "queue", "queue", "queue"]);
    await end();
    // The first waits for its next try.
    await vi.waitFor(async () => {
      clock.advance(1_000);
      expect(await events()).toHaveLength(10);
    }, soon);
  });

  test("together are sent at a bounded pace", async () => {
    const { recorder, put, proxy, clock } = await rig({ burst: 3, refillMs: 1_000 });
    for (let n = 0; n < 6; n += 1) {
      recorder.record(await put(`o${n}`, "1"), CREATED);
    }
    const posts = (): number => proxy.requests({ method: "POST" }).length;
    await vi.waitFor(() => expect(posts()).toBe(3), soon);
    for (let sent = 4; sent <= 6; sent += 1) {
      await vi.waitFor(() => expect(clock.nextInMs).toBe(1_000), soon);
      clock.advance(1_000);
      await vi.waitFor(() => expect(posts()).toBe(sent), soon);
    }
  });
});

describe("an event that the server does not take", () => {
  test("for a while is sent later; a lost answer makes no second event", async () => {
    const { recorder, object, events, clock, proxy } = await rig();
    proxy.on({ match: { method: "POST" }, fault: { do: "answer", status: 503 } });
    proxy.on({ match: { method: "POST" }, fault: { do: "reset", when: "after" } });
    recorder.record(object, CREATED);
    await vi.waitFor(async () => {
      clock.advance(1_000);
      expect(proxy.requests({ method: "POST" })).toHaveLength(3);
    }, soon);
    expect(await recorder.close(5_000)).toBe(true);
    expect(await events()).toHaveLength(1);
    expect(recorder.dropped).toBe(0);
  });

  test("for good is dropped, counted, and in nobody's way", async () => {
    const { recorder, object, put, events, proxy, drops } = await rig();
    const other = await put("other", "1");
    proxy.on({ match: { method: "POST" }, fault: { do: "answer", status: 403, reason: "Forbidden" } });
    recorder.record(object, CREATED);
    recorder.record(other, CREATED);
    await vi.waitFor(async () => expect(await events()).toHaveLength(1), soon);
    expect(drops).toEqual(["failed"]);
  });
});

describe("closing", () => {
  test("sends what waits, also counts that were not due yet", async () => {
    const { recorder, object, events } = await rig();
    for (let times = 0; times < 5; times += 1) {
      recorder.record(object, CREATED);
    }
    recorder.record(object, { ...CREATED, type: "Warning", reason: "Failed" });
    expect(await recorder.close(5_000)).toBe(true);
    const found = (await events()).map((each) => `${each.reason} ${each.series?.count ?? 1}`);
    expect(found.toSorted()).toEqual(["Created 5", "Failed 1"]);
    recorder.record(object, CREATED);
    expect(recorder.dropped).toBe(1);
  });

  test("does not wait for the time of the next try", async () => {
    const { recorder, object, events, proxy, clock } = await rig();
    proxy.on({ match: { method: "POST" }, times: 3, fault: { do: "answer", status: 503 } });
    recorder.record(object, CREATED);
    for (const delayMs of [1_000, 2_000]) {
      await vi.waitFor(() => expect(clock.nextInMs).toBe(delayMs), soon);
      clock.advance(delayMs);
    }
    await vi.waitFor(() => expect(clock.nextInMs).toBe(4_000), soon);
    expect(await recorder.close(5_000)).toBe(true);
    expect(await events()).toHaveLength(1);
  });

  test("ends at its deadline when the server is away, and says that something is left", async () => {
    const { recorder, object, proxy, clock, drops } = await rig();
    const rule = proxy.on({ match: {}, fault: { do: "swallow" } });
    recorder.record(object, CREATED);
    await vi.waitFor(() => expect(rule.hits).toBe(1), soon);
    const closed = recorder.close(3_000);
    clock.advance(3_000);
    expect(await closed).toBe(false);
    expect(drops).toEqual(["closed"]);
  });
});
