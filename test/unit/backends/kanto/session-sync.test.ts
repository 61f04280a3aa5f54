import { describe, expect, test } from "vitest";
import { Bench } from "./bench.ts";

describe("a full inventory", () => {
  test("nothing is sent before the broker has confirmed the subscriptions", () => {
    const bench = new Bench();
    bench.session.resync("early");
    bench.clock.advance(60_000);
    expect(bench.sent).toEqual([]);
    expect(bench.session.snapshot()).toMatchObject({
      connection: "Unknown",
      synced: false,
      message: "the broker is away",
    });
  });

  test("is complete once the factory was seen and a probe sent after that was answered", () => {
    const bench = new Bench();
    bench.open();
    expect(bench.take()).toEqual(["announce"]);
    bench.feature("a");
    expect(bench.session.snapshot()).toMatchObject({ connection: "Connected", synced: false });
    bench.feature("b");
    bench.factory();
    expect(bench.take()).toEqual(["probe"]);
    expect(bench.session.snapshot().synced).toBe(false);
    bench.answerProbe();
    expect(bench.session.snapshot()).toMatchObject({ synced: true, syncCount: 1 });
    expect(bench.ids()).toEqual(["a", "b"]);
    expect(bench.events.at(-1)).toEqual({ type: "Synced" });
  });

  test("is asked for now and then although nothing asks for one: what an event failed to tell comes to light", () => {
    const bench = new Bench();
    bench.start("a", "b");
    const begunMs = bench.clock.monotonic();
    while (bench.count("announce") === 1 && bench.clock.monotonic() < begunMs + 24 * 3_600_000) {
      bench.clock.advance(5_000);
      if (bench.take().includes("probe")) bench.answerProbe();
    }
    // Twelve observe intervals, a fifth more or less.
    const minutes = (bench.clock.monotonic() - begunMs) / 60_000;
    expect(minutes).toBeGreaterThan(47);
    expect(minutes).toBeLessThan(73);
    // "b" was removed by hand and no event said so; it is gone when a second pass does not show it either.
    bench.republish("a");
    bench.republish("a");
    expect(bench.ids()).toEqual(["a"]);
  });

  test("is not asked for now and then by a standby", () => {
    const bench = new Bench({ fence: false });
    bench.open();
    bench.feature("a");
    bench.factory();
    bench.answerProbe();
    const before = bench.count("announce");
    bench.clock.advance(24 * 3_600_000);
    expect(bench.count("announce")).toBe(before);
  });

  test("a daemon that has not subscribed to commands yet is asked again, soon", () => {
    const bench = new Bench();
    bench.open();
    bench.factory();
    bench.take();
    bench.clock.advance(250);
    expect(bench.take()).toEqual(["probe"]);
    bench.answerProbe();
    expect(bench.session.snapshot().synced).toBe(true);
  });

  test("a daemon that subscribes to commands late, on a slow network, is still in sync within seconds, and never Offline", () => {
    const bench = new Bench();
    bench.open();
    bench.factory();
    // What was sent so far is lost: the daemon had not subscribed. One that had would have two messages waiting, which is all it bears.
    bench.clock.advance(1_300);
    expect(bench.take()).toEqual(["announce", "probe", "probe"]);
    bench.clock.advance(8_000);
    expect(bench.take()).toEqual([]);
    bench.clock.advance(2_500);
    expect(bench.take()).toEqual(["probe"]);
    bench.answerProbe();
    expect(bench.session.snapshot()).toMatchObject({ synced: true, connection: "Connected" });
    expect(bench.events.filter(({ type }) => type === "Connection")).toEqual([
      { type: "Connection", state: "Connected" },
    ]);
  });

  test("each is forced with another policy id of the same device and tenant", () => {
    const bench = new Bench();
    bench.start();
    bench.session.resync("again");
    bench.clock.advance(1_000);
    const announced = bench.sent.filter(({ what }) => what === "announce").map(({ payload }) => payload);
    expect(announced).toHaveLength(2);
    expect(announced[0]).toMatchObject({ deviceId: "edge:device", tenantId: "t1" });
    expect(announced[1]?.["policyId"]).not.toBe(announced[0]?.["policyId"]);
    expect(announced[1]).toMatchObject({ deviceId: "edge:device", tenantId: "t1" });
  });

  test("that crosses a removal lists the container as DEAD after its deletion: it is gone, and stays gone", () => {
    const bench = new Bench();
    bench.start("a", "b");
    bench.session.resync("again");
    bench.clock.advance(1_000);
    bench.state("a", { status: "DEAD", pid: -1 });
    bench.removed("a");
    bench.feature("a", { status: "DEAD", pid: -1 });
    bench.feature("b");
    bench.factory();
    bench.answerProbe();
    expect(bench.session.snapshot().synced).toBe(true);
    expect(bench.ids()).toEqual(["b"]);
  });

  test("with a container that is DEAD, and whose deletion was not heard, removes it", () => {
    const bench = new Bench();
    bench.start("a", "b");
    bench.feature("a", { status: "DEAD", pid: -1 });
    expect(bench.ids()).toEqual(["b"]);
    expect(bench.events.at(-1)).toMatchObject({ type: "Container", externalId: "a" });
  });

  test("demands are coalesced", () => {
    const bench = new Bench();
    bench.start();
    for (let index = 0; index < 20; index += 1) bench.session.resync("again");
    bench.clock.advance(1_000);
    expect(bench.take()).toEqual(["announce"]);
  });

  test("a container that is missing once is looked for a second time before it is gone", () => {
    const bench = new Bench();
    bench.start("a", "b");
    bench.session.resync("again");
    bench.clock.advance(1_000);
    bench.republish("a");
    expect(bench.ids()).toEqual(["a", "b"]);
    bench.republish("a", "b");
    expect(bench.ids()).toEqual(["a", "b"]);
    bench.session.resync("again");
    bench.clock.advance(1_000);
    bench.republish("a");
    bench.republish("a");
    expect(bench.ids()).toEqual(["a"]);
    expect(bench.events).toContainEqual({ type: "Container", externalId: "b" });
  });

  test("a removal that is told counts at once, also in the middle of a re-publication", () => {
    const bench = new Bench();
    bench.start("a", "b");
    bench.session.resync("again");
    bench.clock.advance(1_000);
    bench.feature("a");
    bench.feature("b");
    bench.removed("b");
    expect(bench.ids()).toEqual(["a"]);
    bench.factory();
    bench.answerProbe();
    expect(bench.ids()).toEqual(["a"]);
  });

  test("a re-publication that somebody else caused is taken, and answered with a probe only", () => {
    const bench = new Bench();
    bench.start("a");
    bench.feature("a");
    bench.feature("b");
    bench.factory();
    expect(bench.take()).toEqual(["probe"]);
    bench.answerProbe();
    expect(bench.ids()).toEqual(["a", "b"]);
    expect(bench.take()).toEqual([]);
    expect(bench.session.snapshot()).toMatchObject({ synced: true, syncCount: 2 });
  });

  test("is wanted again after the connection was lost, and absence means nothing until then", () => {
    const bench = new Bench();
    bench.start("a");
    bench.session.disconnected();
    expect(bench.session.snapshot()).toMatchObject({ connection: "Unknown", synced: false });
    expect(bench.ids()).toEqual(["a"]);
    bench.open();
    expect(bench.take()).toEqual(["announce"]);
    bench.republish("a", "c");
    expect(bench.session.snapshot().synced).toBe(true);
    expect(bench.ids()).toEqual(["a", "c"]);
  });

  test("an event for a container that is not known asks for one", () => {
    const bench = new Bench();
    bench.start("a");
    bench.state("unknown", { status: "RUNNING" });
    bench.clock.advance(1_000);
    expect(bench.take()).toEqual(["announce"]);
    expect(bench.ids()).toEqual(["a"]);
  });

  test("the last words of a removed container ask for nothing", () => {
    const bench = new Bench();
    bench.start("a");
    bench.removed("a");
    bench.state("a", { status: "DEAD" });
    bench.state("a", { status: "STOPPED", error: "container's restart manager is canceled" });
    bench.clock.advance(2_000);
    expect(bench.take()).toEqual([]);
  });

  test("a device that answers and re-publishes nothing is told what may be wrong, and asked less and less", () => {
    const bench = new Bench();
    bench.open();
    bench.clock.advance(10_000);
    bench.answerProbe();
    for (let second = 0; second < 1_800; second += 1) {
      bench.clock.advance(1_000);
      if (bench.take().includes("probe")) bench.answerProbe();
    }
    expect(bench.session.snapshot()).toMatchObject({ connection: "Connected", synced: false });
    expect(bench.session.snapshot().message).toContain("edge/thing/response");
    expect(bench.count("announce")).toBeLessThan(15);
  });
});

describe("a standby", () => {
  test("forces one inventory per connection, and then only follows", () => {
    const bench = new Bench({ fence: false });
    bench.start("a");
    expect(bench.session.snapshot().synced).toBe(true);
    bench.session.resync("a wish");
    bench.state("unknown", { status: "RUNNING" });
    bench.feature("b");
    bench.factory();
    bench.clock.advance(600_000);
    expect(bench.take()).toEqual([]);
    expect(bench.ids()).toEqual(["a", "b"]);
  });

  test("does what it had to leave undone once the fence holds", () => {
    const bench = new Bench({ fence: false });
    bench.start("a");
    bench.session.resync("a wish");
    bench.clock.advance(30_000);
    expect(bench.take()).toEqual([]);
    bench.fence = true;
    bench.clock.advance(10_000);
    expect(bench.take()).toContain("announce");
  });
});

describe("a read-only leader", () => {
  test("looks as a leader does, and sends no command", () => {
    const bench = new Bench({ fence: false, observe: true });
    bench.start("a");
    bench.session.resync("a wish");
    bench.clock.advance(1_000);
    expect(bench.take()).toEqual(["announce"]);
    bench.republish("a");
    bench.take();
    bench.hear("edge/thing/request", "");
    expect(bench.take()).toEqual(["announce"]);
    bench.clock.advance(300_000);
    expect(bench.take()).toEqual(["probe"]);
    const command = { kind: "Start", externalId: "a", commandId: "c", key: "k" } as const;
    expect(bench.session.execute(command)).toMatchObject({ sent: false, reason: "Fenced" });
    expect(bench.take()).toEqual([]);
  });
});

describe("the identity", () => {
  test("is answered with what was announced last, which means nothing to a registered daemon", () => {
    const bench = new Bench();
    bench.start();
    const policy = bench.last("announce").payload["policyId"];
    bench.hear("edge/thing/request", "{}");
    expect(bench.take()).toEqual(["announce"]);
    expect(bench.last("announce").payload["policyId"]).toBe(policy);
  });

  test.each([
    ["on a standby", { fence: false }],
    ["where it is turned off", { answerIdentity: false }],
  ])("is not answered %s", (_what, options) => {
    const bench = new Bench(options);
    bench.start();
    bench.hear("edge/thing/request", "");
    expect(bench.take()).toEqual([]);
  });

  test("is left to a connector that was seen, whose tenant is used", () => {
    const bench = new Bench();
    bench.start();
    bench.hear("edge/thing/response", { deviceId: "edge:device", tenantId: "cloud", policyId: "edge:policy" });
    bench.hear("edge/thing/request", "");
    expect(bench.take()).toEqual([]);
    expect(bench.notices).toEqual(["OtherTenant"]);
    bench.session.resync("again");
    bench.clock.advance(1_000);
    expect(bench.last("announce").payload).toMatchObject({ deviceId: "edge:device", tenantId: "cloud" });
  });

  test("is answered after all if the connector does not", () => {
    const bench = new Bench();
    bench.start();
    const connector = { deviceId: "edge:device", tenantId: "t1", policyId: "edge:policy" };
    bench.hear("edge/thing/response", connector);
    bench.hear("edge/thing/request", "");
    bench.hear("edge/thing/response", connector);
    bench.clock.advance(10_000);
    expect(bench.take()).toEqual([]);
    bench.hear("edge/thing/request", "");
    bench.clock.advance(10_000);
    expect(bench.take()).toEqual(["announce"]);
  });

  test("of another gateway is told once, and changes nothing", () => {
    const bench = new Bench();
    bench.start();
    const other = { deviceId: "edge:other", tenantId: "t1", policyId: "edge:policy" };
    bench.hear("edge/thing/response", other);
    bench.hear("edge/thing/response", other);
    expect(bench.notices).toEqual(["OtherGateway"]);
    bench.hear("edge/thing/request", "");
    expect(bench.last("announce").payload["deviceId"]).toBe("edge:device");
  });

  test.each([["{}"], ["garbage"], ["null"]])(
    "that is none (%s) has led the device astray: it is called back",
    (payload) => {
      const bench = new Bench();
      bench.start("a");
      bench.hear("edge/thing/response", payload);
      expect(bench.malformed).toEqual(["Identity"]);
      bench.clock.advance(1_000);
      expect(bench.take()).toContain("announce");
      expect(bench.last("announce").payload).toMatchObject({ deviceId: "edge:device", tenantId: "t1" });
    },
  );

  test("of another Drayage process is no connector", () => {
    const bench = new Bench();
    bench.start();
    bench.hear("edge/thing/response", { deviceId: "edge:device", tenantId: "t1", policyId: "edge:drayage.0123abcd.7" });
    bench.hear("edge/thing/request", "");
    expect(bench.take()).toEqual(["announce"]);
  });
});
