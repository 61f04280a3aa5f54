/** When a twin beside a device counts as its inventory. */
import { describe, expect, test } from "vitest";
import type { LinkTraits } from "../../../../src/backends/kanto/transport.ts";
import { Bench, type Published } from "./bench.ts";

const TWIN: LinkTraits = { inventory: "Fetch", replyFilter: false, confirmedByReply: true };
/** Quiet behind an answer: a fifth of the probe timeout. */
const QUIET_MS = 2_000;
const CREATED = "c-1";

function opened(): Bench {
  const bench = new Bench({ traits: TWIN });
  bench.acknowledges = false;
  bench.open();
  return bench;
}

/** In sync with these containers. */
function inSync(...ids: string[]): Bench {
  const bench = opened();
  bench.answerProbe();
  bench.clock.advance(QUIET_MS);
  bench.stored(ids);
  expect(bench.session.snapshot().synced).toBe(true);
  bench.take();
  return bench;
}

/** Until the twin is read: the device answers every probe. */
function pass(bench: Bench, ...twin: Parameters<Bench["stored"]>): void {
  const before = bench.count("fetch");
  for (let second = 0; second < 120 && bench.count("fetch") === before; second += 1) {
    bench.answerProbe();
    bench.clock.advance(1_000);
  }
  expect(bench.count("fetch")).toBe(before + 1);
  bench.stored(...twin);
}

const markOf = (request: Published): string =>
  String((request.payload["value"] as Record<string, unknown>)["correlationId"]);

describe("a twin is complete", () => {
  test("once the device has answered, no news came for a moment, and it was read then", () => {
    const bench = opened();
    bench.stored(["old"]);
    expect(bench.session.snapshot()).toMatchObject({ synced: false, connection: "Unknown" });
    expect(bench.ids()).toEqual(["old"]);
    bench.answerProbe();
    bench.clock.advance(QUIET_MS - 1);
    expect(bench.count("fetch")).toBe(0);
    bench.feature("news");
    bench.clock.advance(QUIET_MS - 1);
    expect(bench.count("fetch")).toBe(0);
    bench.clock.advance(1);
    expect(bench.count("fetch")).toBe(1);
    bench.stored(["news"]);
    expect(bench.session.snapshot()).toMatchObject({ synced: true, syncCount: 1 });
    expect(bench.ids()).toEqual(["news"]);
  });

  test("never by being read: what is kept says nothing of whether the device is there", () => {
    const bench = opened();
    for (let time = 0; time < 10; time += 1) bench.stored(["old"]);
    bench.clock.advance(60_000);
    expect(bench.session.snapshot()).toMatchObject({ synced: false, connection: "Offline" });
  });

  test("only with the factory, and with all that the device lists", () => {
    const bench = opened();
    pass(bench, [], { factory: false });
    expect(bench.session.snapshot().synced).toBe(false);
    pass(bench, ["a"], { listed: ["a", "b"] });
    expect(bench.session.snapshot()).toMatchObject({ synced: false, message: expect.stringContaining("lists") });
    pass(bench, ["a", "b"]);
    expect(bench.session.snapshot()).toMatchObject({ synced: true });
    expect(bench.session.snapshot()).not.toHaveProperty("message");
  });

  test("and a read that fails is repeated", () => {
    const bench = opened();
    bench.answerProbe();
    bench.clock.advance(QUIET_MS);
    expect(bench.count("fetch")).toBe(1);
    bench.clock.advance(10_000);
    expect(bench.count("fetch")).toBe(2);
  });
});

describe("a create without a reply", () => {
  test("is lost only when a barrier was answered and a mark put after that has come through", () => {
    const bench = inSync();
    const create = bench.create();
    bench.noReply(bench.last("createWithConfig"));
    expect(bench.take()).toEqual(["createWithConfig", "probe"]);
    bench.answerProbe();
    const mark = bench.last("remove");
    expect(mark.payload["path"]).toBe("/features/SoftwareUpdatable/inbox/messages/remove");
    bench.clock.advance(QUIET_MS);
    bench.stored([]);
    expect(create.outcome()).toBeUndefined();
    bench.clock.advance(QUIET_MS * 2);
    bench.stored([], { mark: markOf(mark) });
    expect(create.outcome()).toMatchObject({ result: "Lost" });
  });

  test("whose container comes through before the mark has succeeded", () => {
    const bench = inSync();
    const create = bench.create();
    bench.noReply(bench.last("createWithConfig"));
    bench.answerProbe();
    bench.made(CREATED);
    bench.clock.advance(1_000);
    expect(create.outcome()).toMatchObject({ result: "Succeeded", externalId: CREATED });
  });

  test("is not over while the mark does not show, and a mark that was lost is put again", () => {
    const bench = inSync();
    const create = bench.create();
    bench.noReply(bench.last("createWithConfig"));
    bench.answerProbe();
    for (let time = 0; time < 40; time += 1) {
      bench.clock.advance(QUIET_MS);
      bench.stored([]);
    }
    expect(create.outcome()).toBeUndefined();
    expect(bench.count("remove")).toBeGreaterThan(1);
    bench.clock.advance(10_000);
    bench.stored([], { mark: markOf(bench.last("remove")) });
    expect(create.outcome()).toMatchObject({ result: "Lost" });
  });

  test("a barrier that gets no reply either is followed by another one", () => {
    const bench = inSync();
    bench.create();
    bench.noReply(bench.last("createWithConfig"));
    bench.noReply(bench.last("probe"));
    const before = bench.count("probe");
    bench.clock.advance(10_000);
    expect(bench.count("probe")).toBe(before + 1);
  });
});

test("a create that was answered for is not over before the twin shows its container", () => {
  const bench = inSync();
  const create = bench.create();
  bench.answer(bench.last("createWithConfig"), 200, CREATED);
  for (let time = 0; time < 5; time += 1) {
    bench.clock.advance(10_000);
    bench.answerProbe();
    bench.clock.advance(QUIET_MS);
    const marks = bench.sent.filter(({ what }) => what === "remove");
    const mark = marks.at(-1);
    bench.stored([], mark === undefined ? {} : { mark: markOf(mark) });
  }
  expect(create.outcome()).toBeUndefined();
  bench.made(CREATED);
  expect(create.outcome()).toMatchObject({ result: "Succeeded", externalId: CREATED });
});

test("that metrics are not carried is told once, not with each look at the EdgeDevice", () => {
  const bench = inSync();
  const device = (enabled: boolean) => ({ backendRef: { name: "b" }, kanto: { thingId: "x", metrics: { enabled } } });
  for (const enabled of [true, true, true]) bench.session.configure(device(enabled));
  expect(bench.notices).toEqual(["MetricsNotCarried"]);
  for (const enabled of [false, true]) bench.session.configure(device(enabled));
  expect(bench.notices).toHaveLength(2);
});
