import { describe, expect, test } from "vitest";
import { Bench } from "./bench.ts";

describe("presence", () => {
  test("a device that never answers is Offline after two probes", () => {
    const bench = new Bench();
    bench.open();
    expect(bench.session.snapshot().connection).toBe("Unknown");
    bench.clock.advance(10_000);
    expect(bench.session.snapshot().connection).toBe("Unknown");
    bench.clock.advance(10_000);
    expect(bench.session.snapshot()).toMatchObject({
      connection: "Offline",
      message: expect.stringMatching(/^the device does not answer.*thingId, tenant and topic prefixes/),
    });
    expect(bench.events).toContainEqual({ type: "Connection", state: "Offline" });
  });

  test("after the observe interval of silence one probe asks; its answer is enough", () => {
    const bench = new Bench();
    bench.start("a");
    bench.clock.advance(299_999);
    expect(bench.take()).toEqual([]);
    bench.clock.advance(1);
    expect(bench.take()).toEqual(["probe"]);
    bench.answerProbe();
    bench.clock.advance(299_999);
    expect(bench.take()).toEqual([]);
    expect(bench.session.snapshot().connection).toBe("Connected");
  });

  test("any message is life", () => {
    const bench = new Bench();
    bench.start("a");
    for (let index = 0; index < 10; index += 1) {
      bench.clock.advance(200_000);
      bench.state("a", { status: index % 2 === 0 ? "RUNNING" : "STOPPED", startedAt: "2026-01-01T00:00:00Z" });
    }
    expect(bench.take()).toEqual([]);
    expect(bench.session.snapshot().lastSeenMs).toBe(bench.clock.now());
  });

  test("one lost answer is not Offline, two are", () => {
    const bench = new Bench();
    bench.start("a");
    bench.clock.advance(300_000);
    bench.clock.advance(10_000);
    expect(bench.take()).toEqual(["probe", "probe"]);
    expect(bench.session.snapshot().connection).toBe("Connected");
    bench.answerProbe();
    bench.clock.advance(310_000);
    bench.clock.advance(10_000);
    bench.clock.advance(10_000);
    expect(bench.session.snapshot()).toMatchObject({ connection: "Offline", synced: false });
    expect(bench.ids()).toEqual(["a"]);
  });

  test("an Offline device is knocked at with its identity, after growing pauses", () => {
    const bench = new Bench();
    bench.start("a");
    bench.clock.advance(330_000);
    expect(bench.session.snapshot().connection).toBe("Offline");
    bench.take();
    bench.clock.advance(24 * 3_600_000);
    const asked = bench.take();
    expect(asked.length).toBeGreaterThan(40);
    expect(asked.length).toBeLessThan(60);
    expect(new Set(asked)).toEqual(new Set(["announce"]));
  });

  test("a process that has just begun puts no more than two messages behind what a former one may have left running", () => {
    const bench = new Bench();
    bench.open();
    bench.clock.advance(20_000);
    expect(bench.take()).toEqual(["announce", "probe"]);
  });

  test("a device that nobody had told its identity is found when it hears us at last", () => {
    const bench = new Bench();
    bench.open();
    bench.clock.advance(20_000);
    expect(bench.session.snapshot().connection).toBe("Offline");
    bench.take();
    bench.clock.advance(300_000);
    expect(bench.take()).toEqual(["announce"]);
    // It takes no commands before it was told; now it registers.
    bench.feature("a");
    bench.factory();
    bench.answerProbe();
    bench.republish("a");
    expect(bench.session.snapshot()).toMatchObject({ connection: "Connected", synced: true });
  });

  test("its first message brings it back, with a full inventory", () => {
    const bench = new Bench();
    bench.start("a");
    bench.clock.advance(330_000);
    bench.take();
    // It has connected again, and asks who it is.
    bench.hear("edge/thing/request", "");
    expect(bench.take()).toEqual(["announce"]);
    bench.state("a", { status: "RUNNING", startedAt: "2026-01-01T00:00:00Z" });
    expect(bench.session.snapshot()).toMatchObject({ connection: "Connected", synced: false });
    bench.republish("a");
    bench.republish("a");
    expect(bench.session.snapshot().synced).toBe(true);
  });

  test("a standby does not probe a device that it knows", () => {
    const bench = new Bench({ fence: false });
    bench.start("a");
    bench.clock.advance(3_600_000);
    expect(bench.take()).toEqual([]);
    expect(bench.session.snapshot().connection).toBe("Connected");
  });

  test("closing leaves no timer behind", () => {
    const bench = new Bench();
    bench.start("a");
    bench.create();
    bench.session.resync("again");
    void bench.session.close();
    expect(bench.clock.pending).toBe(0);
    const count = bench.events.length;
    bench.feature("b");
    expect(bench.events).toHaveLength(count);
  });
});
