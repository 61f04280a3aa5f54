import { describe, expect, test } from "vitest";
import type { EdgeDeviceSpec } from "../../../../src/crds/edge-device.ts";
import { Bench, type BenchOptions } from "./bench.ts";

function spec(metrics?: NonNullable<EdgeDeviceSpec["kanto"]>["metrics"]): EdgeDeviceSpec {
  return { backendRef: { name: "b" }, kanto: { thingId: "edge:device", ...(metrics !== undefined && { metrics }) } };
}

/** In sync with one running container, and asked to report each ten seconds. */
function metered(options: BenchOptions = {}): Bench {
  const bench = new Bench(options);
  bench.session.configure(spec({ enabled: true, frequencySeconds: 10 }));
  bench.start("a");
  bench.state("a", { status: "RUNNING", startedAt: "2026-01-01T00:00:01Z" });
  return bench;
}

/** As `metered`, and the device has agreed. */
function reporting(): Bench {
  const bench = metered();
  bench.answer(bench.last("request"), 204);
  bench.take();
  return bench;
}

describe("reports are asked for", () => {
  test("not at all unless the EdgeDevice opts in", () => {
    const bench = new Bench();
    bench.session.configure(spec());
    bench.start("a");
    bench.session.configure(spec({ frequencySeconds: 10 }));
    bench.clock.advance(60_000);
    expect(bench.count("request")).toBe(0);
    bench.report({ id: "a", figures: { pids: 1 } });
    expect(bench.session.usage().size).toBe(0);
  });

  test("once the inventory is complete, with the frequency of the spec", () => {
    const bench = new Bench();
    bench.session.configure(spec({ enabled: true }));
    bench.open();
    bench.feature("a");
    bench.factory();
    expect(bench.count("request")).toBe(0);
    bench.answerProbe();
    expect(bench.count("request")).toBe(1);
    expect(bench.last("request")).toMatchObject({
      payload: { path: "/features/Metrics/inbox/messages/request", value: { frequency: "30s" } },
    });
  });

  test("again after each registration of the daemon, whoever caused it", () => {
    const bench = reporting();
    bench.session.resync("test");
    bench.clock.advance(1_000);
    expect(bench.take()).toEqual(["announce"]);
    bench.feature("a");
    bench.factory();
    expect(bench.take()).toEqual(["probe"]);
    bench.answerProbe();
    expect(bench.take()).toEqual(["request"]);
    bench.answer(bench.last("request"), 204);
    bench.factory();
    bench.answerProbe();
    expect(bench.count("request")).toBeGreaterThanOrEqual(2);
  });

  test("anew when the frequency changes, and called off when the opt-in goes", () => {
    const bench = reporting();
    bench.session.configure(spec({ enabled: true, frequencySeconds: 10 }));
    expect(bench.take()).toEqual([]);
    bench.session.configure(spec({ enabled: true, frequencySeconds: 60 }));
    expect(bench.take()).toEqual(["request"]);
    expect(bench.last("request").payload["value"]).toEqual({ frequency: "60s" });
    bench.answer(bench.last("request"), 204);
    bench.session.configure(spec({ enabled: false }));
    expect(bench.take()).toEqual(["request"]);
    expect(bench.last("request").payload["value"]).toEqual({ frequency: "0s" });
    bench.answer(bench.last("request"), 204);
    bench.clock.advance(200_000);
    expect(bench.take()).toEqual([]);
  });

  test("again when none come although a container runs, but not while none runs", () => {
    const bench = reporting();
    bench.report({ id: "a", figures: { pids: 1 } });
    bench.clock.advance(29_000);
    expect(bench.take()).toEqual([]);
    bench.clock.advance(2_000);
    expect(bench.take()).toEqual(["request"]);
    bench.answer(bench.last("request"), 204);
    bench.state("a", { status: "EXITED", startedAt: "2026-01-01T00:00:01Z", finishedAt: "2026-01-01T00:00:02Z" });
    bench.clock.advance(200_000);
    expect(bench.take()).toEqual([]);
  });

  test("by a leader only, also one that may not write; never by a standby", () => {
    expect(metered({ fence: false, observe: true }).count("request")).toBe(1);
    const standby = metered({ fence: false });
    standby.clock.advance(100_000);
    expect(standby.count("request")).toBe(0);
    standby.fence = true;
    standby.clock.advance(20_000);
    expect(standby.count("request")).toBe(1);
  });
});

describe("the command slot comes first:", () => {
  test("nothing is asked while a command is in flight", () => {
    const bench = new Bench();
    bench.start("a");
    bench.execute({ kind: "Start", externalId: "a" });
    bench.session.configure(spec({ enabled: true }));
    bench.clock.advance(30_000);
    expect(bench.count("request")).toBe(0);
    bench.answer(bench.last("start"), 204);
    bench.state("a", { status: "RUNNING", startedAt: "2026-01-01T00:00:01Z" });
    expect(bench.count("request")).toBe(1);
  });

  test("nothing is asked while a probe is open", () => {
    const bench = new Bench();
    bench.start("a");
    bench.clock.advance(300_000);
    expect(bench.take()).toEqual(["probe"]);
    bench.session.configure(spec({ enabled: true }));
    expect(bench.take()).toEqual([]);
    bench.answerProbe();
    expect(bench.take()).toEqual(["request"]);
  });

  test("a command does not wait for the answer to the request, nor is it taken for it", () => {
    const bench = metered();
    const { outcome } = bench.execute({
      kind: "Stop",
      externalId: "a",
      signal: "SIGTERM",
      timeoutSeconds: 1,
      force: true,
    });
    bench.answer(bench.last("request"), 204);
    expect(outcome()).toBeUndefined();
    bench.state("a", {
      status: "STOPPED",
      exitCode: 143,
      startedAt: "2026-01-01T00:00:01Z",
      finishedAt: "2026-01-01T00:00:02Z",
    });
    bench.answer(bench.last("stopWithOptions"), 204);
    expect(outcome()).toMatchObject({ result: "Succeeded" });
  });

  test("an unanswered request is followed by one probe, and repeated only after its answer", () => {
    const bench = metered();
    bench.take();
    bench.clock.advance(10_000);
    expect(bench.take()).toEqual(["probe"]);
    bench.answerProbe();
    expect(bench.take()).toEqual(["request"]);
  });
});

describe("a daemon that refuses", () => {
  test("is not asked again before it registers anew, and people are told once", () => {
    const bench = metered();
    bench.refuse(bench.last("request"), 400, "feature [Metrics] not found ");
    bench.take();
    bench.clock.advance(100_000);
    expect(bench.take()).toEqual([]);
    bench.session.resync("test");
    bench.clock.advance(1_000);
    bench.republish("a");
    bench.refuse(bench.last("request"), 400, "feature [Metrics] not found ");
    expect(bench.notices).toEqual(["MetricsRefused"]);
  });
});

describe("figures", () => {
  test("are those of the last report, of containers that have a process", () => {
    const bench = reporting();
    bench.feature("b");
    bench.report({ id: "a", figures: { pids: 1 } }, { id: "b", figures: { pids: 2 } });
    expect(Object.fromEntries(bench.session.usage())).toEqual({ a: { pids: 1 } });
    bench.report({ id: "a", figures: { "cpu.utilization": 50 } });
    expect(Object.fromEntries(bench.session.usage())).toEqual({ a: { cpuRatio: 0.5 } });
    bench.state("a", { status: "EXITED", startedAt: "2026-01-01T00:00:01Z", finishedAt: "2026-01-01T00:00:02Z" });
    expect(bench.session.usage().size).toBe(0);
  });

  test("end when the container is removed, and three reports after the last one", () => {
    const bench = reporting();
    bench.report({ id: "a", figures: { pids: 1 } });
    bench.clock.advance(30_000);
    expect(bench.session.usage().size).toBe(1);
    bench.clock.advance(1_000);
    expect(bench.session.usage().size).toBe(0);
    bench.report({ id: "a", figures: { pids: 1 } });
    bench.removed("a");
    expect(bench.session.usage().size).toBe(0);
  });

  test("that make no sense are counted and change nothing else", () => {
    const bench = reporting();
    bench.report({ id: "a", figures: { pids: Number.NaN, gpu: 1 } }, { id: "x", figures: {} });
    expect(bench.counted).toEqual(["UsageFigure", "UsageUnknownFigure", "UsageUnknownContainer"]);
    expect(bench.session.snapshot()).toMatchObject({ connection: "Connected", synced: true });
  });
});

describe("a device that is given up", () => {
  test("is told to stop", async () => {
    const bench = reporting();
    await bench.session.close();
    expect(bench.take()).toEqual(["request"]);
    expect(bench.last("request").payload["value"]).toEqual({ frequency: "0s" });
  });

  test("is not disturbed when it never reported, or a command is in flight, or only this process ends", async () => {
    const never = new Bench();
    never.start("a");
    await never.session.close();
    expect(never.take()).toEqual([]);
    const busy = reporting();
    busy.execute({ kind: "Pause", externalId: "a" });
    busy.take();
    await busy.session.close();
    expect(busy.take()).toEqual([]);
    const ending = reporting();
    await ending.session.close("Ending");
    expect(ending.take()).toEqual([]);
  });
});
