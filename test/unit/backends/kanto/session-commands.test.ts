import { describe, expect, test } from "vitest";
import { Bench } from "./bench.ts";
import { MARKER, wanted } from "./wanted.ts";

const RUNNING = { status: "RUNNING", startedAt: "2026-01-01T00:00:00Z" };
const start = { kind: "Start", externalId: "a" } as const;

describe("a command", () => {
  test("goes to its own topic with a fresh id that begins with the operation's", () => {
    const bench = new Bench();
    bench.start("a");
    bench.execute({ ...start, commandId: "op-7" });
    const { topic, requestId, payload } = bench.last("start");
    expect(requestId).toMatch(/^op-7-[0-9a-f-]{36}$/);
    expect(topic).toBe(`command//edge:device:edge:containers/req/${requestId}/start`);
    expect(payload["headers"]).toEqual({
      "response-required": true,
      "content-type": "application/json",
      "correlation-id": requestId,
    });
  });

  test("ends with its answer if the effect was seen before", () => {
    const bench = new Bench();
    bench.start("a");
    const { outcome } = bench.execute(start);
    bench.state("a", RUNNING);
    expect(outcome()).toBeUndefined();
    bench.answer(bench.last("start"), 204);
    expect(outcome()).toEqual({ commandId: "op.1", kind: "Start", externalId: "a", result: "Succeeded" });
    expect(bench.session.snapshot()).not.toHaveProperty("inFlight");
  });

  test("ends with its effect if the answer came before", () => {
    const bench = new Bench();
    bench.start("a");
    const { outcome } = bench.execute(start);
    bench.answer(bench.last("start"), 204);
    expect(outcome()).toBeUndefined();
    bench.state("a", RUNNING);
    expect(outcome()).toMatchObject({ result: "Succeeded" });
  });

  test("that was answered and shows no effect ends too, and a full inventory is asked for", () => {
    const bench = new Bench();
    bench.start("a");
    const { outcome } = bench.execute(start);
    bench.answer(bench.last("start"), 204);
    bench.clock.advance(1_000);
    expect(outcome()).toMatchObject({ result: "Succeeded" });
    bench.clock.advance(1_000);
    expect(bench.take()).toContain("announce");
  });

  test("a second answer, and somebody else's, mean nothing", () => {
    const bench = new Bench();
    bench.start("a");
    bench.execute(start);
    bench.state("a", RUNNING);
    bench.answer(bench.last("start"), 204);
    const count = bench.events.length;
    bench.answer(bench.last("start"), 204);
    bench.refuse(bench.last("start"), 500, "late");
    expect(bench.events).toHaveLength(count);
  });

  test("with a damaged answer has ended all the same", () => {
    const bench = new Bench();
    bench.start("a");
    const { outcome } = bench.execute(start);
    bench.state("a", RUNNING);
    bench.hear(`command//edge:device:edge:containers/res/${bench.last("start").requestId}/204`, "{");
    expect(outcome()).toMatchObject({ result: "Succeeded" });
    expect(bench.malformed).toEqual(["Response"]);
  });

  test.each([
    ["Offline", "no open connection", (bench: Bench) => (bench.writable = false)],
    ["Fenced", "no fence", (bench: Bench) => (bench.fence = false)],
    ["Offline", "a lost connection", (bench: Bench) => bench.session.disconnected()],
    ["NotSynced", "a container that is not there", (bench: Bench) => bench.removed("a")],
    ["Closed", "a closed session", (bench: Bench) => void bench.session.close()],
  ])("is refused as %s with %s, and nothing is sent", (reason, _what, spoil) => {
    const bench = new Bench();
    bench.start("a");
    spoil(bench);
    expect(bench.session.execute({ ...start, commandId: "op.1", key: "k" })).toMatchObject({ sent: false, reason });
    expect(bench.count("start")).toBe(0);
    expect(bench.session.snapshot()).not.toHaveProperty("inFlight");
  });

  test("that comes before the daemon has registered the container is sent again, each time as a new request", () => {
    const bench = new Bench();
    bench.start("a");
    const { outcome } = bench.execute(start);
    for (const pauseMs of [100, 200, 400]) {
      bench.refuse(bench.last("start"), 400, "feature [Container:a] not found ");
      expect(outcome()).toBeUndefined();
      bench.clock.advance(pauseMs);
    }
    expect(bench.count("start")).toBe(4);
    expect(new Set(bench.sent.map(({ requestId }) => requestId)).size).toBe(
      bench.sent.length - bench.count("announce") + 1,
    );
    bench.state("a", RUNNING);
    bench.answer(bench.last("start"), 204);
    expect(outcome()).toMatchObject({ result: "Succeeded" });
  });

  test("is not sent again when the fence is gone, or for ever", () => {
    const bench = new Bench();
    bench.start("a");
    const { outcome } = bench.execute(start);
    bench.refuse(bench.last("start"), 400, "feature [Container:a] not found ");
    bench.fence = false;
    bench.clock.advance(100);
    expect(bench.count("start")).toBe(1);
    expect(outcome()).toMatchObject({ result: "Failed", failure: { class: "Transient" } });
    bench.fence = true;
    const next = bench.execute({ ...start, commandId: "op.2" });
    for (let index = 0; index < 6; index += 1) {
      bench.refuse(bench.last("start"), 400, "feature [Container:a] not found ");
      bench.clock.advance(2_000);
    }
    expect(bench.count("start")).toBe(7);
    expect(next.outcome()).toMatchObject({ failure: { class: "Conflict", reason: "NotFound" } });
  });

  test("that the broker refuses (MQTT 5) has failed: it went nowhere", () => {
    const bench = new Bench();
    bench.start("a");
    const { outcome } = bench.execute(start);
    bench.last("start").done({ kind: "Refused", denied: true, reason: "not allowed" });
    expect(outcome()).toMatchObject({ result: "Failed", failure: { class: "Unauthorized" } });
  });
});

describe("a create", () => {
  test("ends with the container that carries its marker, if no answer follows", () => {
    const bench = new Bench();
    bench.start();
    const { outcome } = bench.create();
    bench.made("new");
    bench.clock.advance(999);
    expect(outcome()).toBeUndefined();
    bench.clock.advance(1);
    expect(outcome()).toEqual({ commandId: "op.1", kind: "Create", externalId: "new", result: "Succeeded" });
  });

  test("is not ended by somebody else's container", () => {
    const bench = new Bench();
    bench.start();
    const { outcome } = bench.create();
    bench.feature("theirs");
    bench.clock.advance(10_000);
    expect(outcome()).toBeUndefined();
  });

  test("answered without its container is looked for in a full inventory", () => {
    const bench = new Bench();
    bench.start();
    const { outcome } = bench.create();
    bench.answer(bench.last("createWithConfig"), 200, "new");
    bench.clock.advance(1_000);
    expect(bench.take()).toContain("announce");
    bench.made("new");
    expect(outcome()).toMatchObject({ result: "Succeeded", externalId: "new" });
  });

  test("leaves no value of the environment in its failure", () => {
    const bench = new Bench();
    bench.start();
    const desired = wanted({ env: [{ name: "A", value: "s3cret" }] });
    const { outcome } = bench.execute({ kind: "Create", desired, marker: MARKER });
    bench.refuse(bench.last("createWithConfig"), 500, "what is s3cret?");
    expect(outcome()).toMatchObject({ result: "Failed", failure: { message: "what is ***?" } });
  });

  describe("to a device that has long been silent", () => {
    test("waits for a sign of life, and is sent when it comes", () => {
      const bench = new Bench();
      bench.start();
      bench.clock.advance(30_000);
      bench.create();
      expect(bench.take()).toEqual(["probe"]);
      expect(bench.session.snapshot().inFlight).toMatchObject({ kind: "Create" });
      expect(
        bench.session.execute({ kind: "Create", desired: wanted(), marker: MARKER, commandId: "x", key: "k" }),
      ).toMatchObject({
        reason: "SlotBusy",
      });
      bench.answerProbe();
      expect(bench.take()).toEqual(["createWithConfig"]);
    });

    test("was never sent if none comes", () => {
      const bench = new Bench();
      bench.start();
      bench.clock.advance(30_000);
      const { outcome } = bench.create();
      bench.clock.advance(20_000);
      expect(outcome()).toMatchObject({ result: "Failed", failure: { class: "Unreachable" } });
      expect(bench.count("createWithConfig")).toBe(0);
      expect(bench.session.snapshot().connection).toBe("Offline");
    });

    test("is not sent if the fence went meanwhile", () => {
      const bench = new Bench();
      bench.start();
      bench.clock.advance(30_000);
      const { outcome } = bench.create();
      bench.fence = false;
      bench.answerProbe();
      expect(bench.count("createWithConfig")).toBe(0);
      expect(outcome()).toMatchObject({ result: "Failed" });
    });
  });
});

describe("a command without an answer", () => {
  test("is Busy while the device is silent, and never Offline before its timeout", () => {
    const bench = new Bench();
    bench.start();
    bench.create();
    bench.take();
    expect(bench.session.snapshot().connection).toBe("Connected");
    bench.clock.advance(10_000);
    expect(bench.session.snapshot().connection).toBe("Busy");
    expect(bench.events).toContainEqual({ type: "Connection", state: "Busy" });
    bench.clock.advance(1_780_000);
    expect(bench.session.snapshot().connection).toBe("Busy");
    expect(bench.take()).toEqual([]);
  });

  test("past its timeout one probe asks; unanswered the device is Offline, and the slot is still held", () => {
    const bench = new Bench();
    bench.start();
    const { outcome } = bench.create();
    bench.take();
    bench.clock.advance(1_800_000);
    expect(bench.take()).toEqual(["probe"]);
    expect(bench.session.snapshot().inFlight).toMatchObject({ overdue: true });
    bench.clock.advance(10_000);
    expect(bench.session.snapshot()).toMatchObject({ connection: "Offline", inFlight: { overdue: true } });
    bench.clock.advance(24 * 3_600_000);
    expect(outcome()).toBeUndefined();
    expect(bench.session.settle("op")).toBe("Open");
  });

  test("is Lost once the probe was answered and a full inventory shows nothing of it", () => {
    const bench = new Bench();
    bench.start();
    const { outcome } = bench.create();
    bench.clock.advance(1_800_000);
    bench.take();
    bench.answerProbe();
    expect(bench.take()).toEqual(["announce"]);
    expect(outcome()).toBeUndefined();
    bench.republish();
    expect(outcome()).toMatchObject({ result: "Lost" });
    expect(bench.session.settle("op")).toBe("Closed");
    expect(bench.session.snapshot().connection).toBe("Connected");
  });

  test("has Succeeded if the full inventory shows its container", () => {
    const bench = new Bench();
    bench.start();
    const { outcome } = bench.create();
    bench.clock.advance(1_800_000);
    bench.answerProbe();
    bench.made("new");
    bench.republish();
    expect(outcome()).toMatchObject({ result: "Succeeded", externalId: "new" });
  });

  test("an answer after the timeout still ends it", () => {
    const bench = new Bench();
    bench.start();
    const { outcome } = bench.create();
    bench.clock.advance(1_900_000);
    bench.refuse(bench.last("createWithConfig"), 500, 'failed to resolve reference "x": not found');
    expect(outcome()).toMatchObject({ result: "Failed", failure: { class: "WorkloadFailed" } });
  });

  test("the device's registration in between is evidence: the outcome is found out at once", () => {
    const bench = new Bench();
    bench.start();
    const { outcome } = bench.create();
    bench.take();
    bench.hear("edge/thing/request", "");
    bench.factory();
    bench.answerProbe();
    expect(bench.take()).toContain("announce");
    bench.republish();
    expect(outcome()).toMatchObject({ result: "Lost" });
  });

  test("our own reconnection leaves it in flight until a full inventory has come", () => {
    const bench = new Bench();
    bench.start();
    const { outcome } = bench.create();
    bench.last("createWithConfig").done({ kind: "Unconfirmed" });
    bench.session.disconnected();
    expect(outcome()).toBeUndefined();
    expect(bench.session.snapshot().inFlight).toBeDefined();
    bench.open();
    bench.republish();
    expect(outcome()).toMatchObject({ result: "Lost" });
  });

  test.each([
    ["start", start, (bench: Bench) => bench.state("a", RUNNING)],
    ["remove", { kind: "Remove", externalId: "a" } as const, (bench: Bench) => bench.removed("a")],
  ])(
    "whose effect shows without an answer (%s) is asked about soon, long before its timeout",
    (_what, command, effect) => {
      const bench = new Bench();
      bench.start("a");
      const { outcome } = bench.execute(command);
      effect(bench);
      bench.take();
      bench.clock.advance(1_000);
      // The effect may be somebody else's: only the proof that the command has ended frees the slot.
      expect(outcome()).toBeUndefined();
      expect(bench.take()).toEqual(["announce"]);
      if (command.kind === "Start") bench.feature("a", RUNNING);
      bench.factory();
      bench.answerProbe();
      expect(outcome()).toMatchObject({ result: "Lost" });
      expect(bench.session.snapshot()).not.toHaveProperty("inFlight");
    },
  );

  test("whose effect shows just before its answer needs no inventory", () => {
    const bench = new Bench();
    bench.start("a");
    const { outcome } = bench.execute(start);
    bench.state("a", RUNNING);
    bench.clock.advance(999);
    bench.answer(bench.last("start"), 204);
    bench.take();
    bench.clock.advance(10_000);
    expect(outcome()).toMatchObject({ result: "Succeeded" });
    expect(bench.take()).toEqual([]);
  });

  test("that the broker has not taken after a while was probably lost: a full inventory tells, long before its timeout", () => {
    const bench = new Bench();
    bench.start();
    bench.acknowledges = false;
    const { outcome } = bench.create();
    bench.take();
    bench.clock.advance(10_000);
    expect(bench.take()).toEqual(["announce"]);
    bench.republish();
    expect(outcome()).toMatchObject({ result: "Lost" });
  });

  test("has one barrier behind it, however far it outlasts its timeout and whoever asks for something", () => {
    const bench = new Bench();
    bench.start();
    const { outcome } = bench.create();
    bench.take();
    for (let hours = 0; hours < 12; hours += 1) {
      bench.session.resync("asked for");
      bench.session.settle("another-operation");
      bench.clock.advance(3_600_000);
    }
    expect(bench.take()).toHaveLength(1);
    expect(bench.session.snapshot()).toMatchObject({ connection: "Offline", inFlight: { overdue: true } });
    expect(outcome()).toBeUndefined();
    // The device that was away comes back by itself: it asks who it is, registers, and everything is found out.
    bench.hear("edge/thing/request", "");
    bench.factory();
    bench.answerProbe();
    bench.republish();
    expect(outcome()).toMatchObject({ result: "Lost" });
    expect(bench.session.snapshot()).toMatchObject({ synced: true, connection: "Connected" });
  });

  test("no more than two messages wait at a daemon that may be working on it, however often we reconnect", () => {
    const bench = new Bench();
    bench.start();
    bench.create();
    bench.take();
    for (let index = 0; index < 50; index += 1) {
      bench.session.disconnected();
      bench.clock.advance(1_000);
      bench.open();
      bench.clock.advance(1_000);
    }
    expect(bench.take().length).toBeLessThanOrEqual(2);
    // With no more room to ask, silence past the command's timeout is Offline all the same.
    bench.clock.advance(1_800_000);
    expect(bench.session.snapshot()).toMatchObject({ connection: "Offline", inFlight: { overdue: true } });
    // The device comes back: it asks who it is, registers, and everything is found out.
    bench.hear("edge/thing/request", "");
    bench.factory();
    bench.answerProbe();
    bench.republish();
    expect(bench.session.snapshot().synced).toBe(true);
  });
});

describe("settle", () => {
  test("of an operation that nobody here sent needs an inventory that was announced after the question", () => {
    const bench = new Bench();
    bench.start();
    expect(bench.session.settle("op-x")).toBe("Open");
    expect(bench.take()).toEqual(["announce"]);
    expect(bench.session.settle("op-x")).toBe("Open");
    bench.republish();
    expect(bench.session.settle("op-x")).toBe("Closed");
    expect(bench.session.settle("op-x")).toBe("Closed");
    expect(bench.take()).toEqual(["probe"]);
  });

  test("somebody else's re-publication proves nothing", () => {
    const bench = new Bench();
    bench.start();
    bench.feature("a");
    bench.factory();
    bench.session.settle("op-x");
    bench.answerProbe();
    expect(bench.session.settle("op-x")).toBe("Open");
    bench.republish("a");
    expect(bench.session.settle("op-x")).toBe("Closed");
  });

  test("a standby settles nothing", () => {
    const bench = new Bench({ fence: false });
    bench.start();
    expect(bench.session.settle("op-x")).toBe("Open");
    bench.clock.advance(60_000);
    expect(bench.take()).toEqual([]);
    expect(bench.session.settle("op-x")).toBe("Open");
  });

  test("a new send opens it again", () => {
    const bench = new Bench();
    bench.start();
    bench.create();
    expect(bench.session.settle("op")).toBe("Open");
    bench.refuse(bench.last("createWithConfig"), 500, "no");
    expect(bench.session.settle("op")).toBe("Closed");
    bench.execute({ kind: "Create", desired: wanted(), marker: MARKER, commandId: "op.2" });
    expect(bench.session.settle("op")).toBe("Open");
  });
});
