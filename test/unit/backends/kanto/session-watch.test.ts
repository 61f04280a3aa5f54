import { describe, expect, test } from "vitest";
import { MOST_CONTAINERS } from "../../../../src/backends/kanto/inventory.ts";
import type { LinkTraits } from "../../../../src/backends/kanto/transport.ts";
import { Bench } from "./bench.ts";

const WATCH: LinkTraits = { inventory: "Watch", replyFilter: true };
/** A fifth of the probe timeout. */
const QUIET_MS = 2_000;

class Watched extends Bench {
  constructor(options: { observe?: boolean } = {}) {
    super({ traits: WATCH, ...options });
  }

  /** The list that the device publishes of its containers. */
  list(...ids: string[]): void {
    const map = Object.fromEntries(ids.map((id) => [`image.${id}:1`, { group: "image", name: id, version: "1" }]));
    this.event("/features/SoftwareUpdatable/properties/status/installedDependencies", ids.length === 0 ? null : map);
  }

  /** What the daemon publishes at its start. */
  register(...ids: string[]): void {
    const entries = ids.map((id) => [`image.${id}:1`, { group: "image", name: id, version: "1" }]);
    const status = ids.length === 0 ? {} : { installedDependencies: Object.fromEntries(entries) };
    this.event("/features/SoftwareUpdatable", { properties: { status } });
    for (const id of ids) this.feature(id);
    this.factory();
  }

  /** Registered, answered and quiet. */
  inSync(...ids: string[]): void {
    this.open();
    this.register(...ids);
    this.answerProbe();
    this.quiet();
    this.take();
  }

  quiet(): void {
    this.clock.advance(QUIET_MS);
  }

  get synced(): boolean {
    return this.session.snapshot().synced;
  }
}

describe("a device that cannot be asked for everything", () => {
  test("is said not to answer while it does not: a restart would not help one that is off or has another name", () => {
    const bench = new Watched();
    bench.open();
    bench.clock.advance(60_000);
    const { connection, message } = bench.session.snapshot();
    expect(connection).toBe("Offline");
    expect(message).toMatch(/^the device does not answer.*thingId/);
    expect(message).not.toContain("restart");
  });

  test("is never announced to, and without its own registration it is not in sync, however long it answers", () => {
    const bench = new Watched();
    bench.open();
    bench.answerProbe();
    bench.clock.advance(60_000);
    expect(bench.count("announce")).toBe(0);
    expect(bench.session.snapshot()).toMatchObject({ connection: "Connected", synced: false });
    expect(bench.session.snapshot().message).toContain("restart");
    expect(bench.session.execute({ kind: "Start", externalId: "a", commandId: "c", key: "k" })).toMatchObject({
      sent: false,
      reason: "NotSynced",
    });
  });

  test("is in sync once all it lists was published, something sent after that was answered, and it is quiet", () => {
    const bench = new Watched();
    bench.open();
    bench.answerProbe();
    bench.list("a", "b");
    bench.feature("a");
    bench.quiet();
    expect(bench.synced).toBe(false);
    bench.take();
    bench.feature("b");
    expect(bench.take()).toEqual(["probe"]);
    bench.answerProbe();
    expect(bench.synced).toBe(false);
    bench.quiet();
    expect(bench.session.snapshot()).toMatchObject({ synced: true, syncCount: 1 });
    expect(bench.ids()).toEqual(["a", "b"]);
  });

  test("waits for quiet while events are let go in bulk, and not for ever for a device that never is quiet", () => {
    const bench = new Watched();
    bench.open();
    bench.register("a");
    bench.answerProbe();
    for (let n = 0; n < 3; n += 1) {
      bench.clock.advance(QUIET_MS - 1);
      bench.state("a", { status: "RUNNING", startedAt: `2026-01-01T00:00:0${n}Z` });
    }
    expect(bench.synced).toBe(false);
    bench.quiet();
    expect(bench.synced).toBe(true);
    bench.session.resync("again");
    bench.clock.advance(1_000);
    bench.answerProbe();
    const { syncCount } = bench.session.snapshot();
    for (let n = 0; n < 8; n += 1) {
      bench.clock.advance(QUIET_MS - 1);
      bench.state("a", { status: "EXITED", startedAt: `2026-01-01T00:00:1${n}Z` });
    }
    expect(bench.session.snapshot().syncCount).toBe(syncCount + 1);
  });

  test("with no container is in sync by an empty list", () => {
    const bench = new Watched();
    bench.inSync();
    expect(bench.session.snapshot()).toMatchObject({ synced: true, containers: [] });
  });

  test("that lists nothing is in sync after its second registration, and forgets what two of them miss", () => {
    const bench = new Watched();
    bench.open();
    bench.feature("a");
    bench.feature("b");
    bench.factory();
    bench.answerProbe();
    bench.quiet();
    expect(bench.synced).toBe(false);
    const again = (...ids: string[]): void => {
      for (const id of ids) bench.feature(id);
      bench.factory();
      bench.clock.advance(10_000);
      bench.answerProbe();
      bench.quiet();
    };
    again("a", "b");
    expect(bench.synced).toBe(true);
    again("a");
    again("a");
    bench.session.resync("look");
    bench.clock.advance(1_000);
    bench.answerProbe();
    bench.quiet();
    expect(bench.ids()).toEqual(["a"]);
  });

  test("follows what comes and goes without asking", () => {
    const bench = new Watched();
    bench.inSync("a");
    bench.list("a", "b");
    bench.feature("b");
    bench.removed("a");
    bench.list("b");
    bench.clock.advance(60_000);
    expect(bench.ids()).toEqual(["b"]);
    expect(bench.synced).toBe(true);
    expect(bench.take()).toEqual([]);
  });

  test("that lists a container which never came is not in sync any more, and says so until everything was published", () => {
    const bench = new Watched();
    bench.inSync("a");
    bench.list("a", "ghost");
    bench.clock.advance(9_999);
    expect(bench.synced).toBe(true);
    bench.clock.advance(1);
    expect(bench.synced).toBe(false);
    expect(bench.session.snapshot().message).toContain("an event was lost");
    bench.register("a", "ghost");
    bench.answerProbe();
    bench.quiet();
    expect(bench.session.snapshot()).toMatchObject({ synced: true });
    expect(bench.session.snapshot()).not.toHaveProperty("message");
    expect(bench.ids()).toEqual(["a", "ghost"]);
  });

  test("that speaks of a container which never came is doubted just so", () => {
    const bench = new Watched();
    bench.inSync("a");
    bench.state("ghost", { status: "RUNNING" });
    bench.clock.advance(10_000);
    expect(bench.synced).toBe(false);
  });

  test("whose list drops a container has lost it, also if the event of its removal never came", () => {
    const bench = new Watched();
    bench.inSync("a", "b");
    bench.list("b");
    bench.clock.advance(1_000);
    bench.answerProbe();
    bench.quiet();
    expect(bench.ids()).toEqual(["b"]);
  });

  test("keeps its inventory over a reconnection on which nothing was lost", () => {
    const bench = new Watched();
    bench.inSync("a");
    bench.session.disconnected();
    expect(bench.synced).toBe(false);
    bench.session.opened(true);
    bench.feature("late");
    bench.list("a", "late");
    bench.answerProbe();
    bench.quiet();
    expect(bench.synced).toBe(true);
    expect(bench.ids()).toEqual(["a", "late"]);
  });

  test("needs another registration after a reconnection on which anything may have been lost", () => {
    const bench = new Watched();
    bench.inSync("a", "b");
    bench.session.disconnected();
    bench.session.opened(false);
    bench.answerProbe();
    bench.clock.advance(60_000);
    expect(bench.synced).toBe(false);
    bench.register("b");
    bench.answerProbe();
    bench.quiet();
    expect(bench.synced).toBe(true);
    expect(bench.ids()).toEqual(["b"]);
  });

  test("a doubt from before such a reconnection is not told after it", () => {
    const bench = new Watched();
    bench.inSync("a");
    bench.list("a", "b");
    bench.session.disconnected();
    bench.session.opened(false);
    bench.answerProbe();
    bench.clock.advance(60_000);
    expect(bench.session.snapshot().message).toContain("since Drayage listens");
    expect(bench.session.snapshot().message).not.toContain("an event was lost");
  });

  test("with more than is kept of one is left alone until what was left out is gone, or is published again and kept", () => {
    const bench = new Watched();
    bench.inSync("a");
    const flood = Array.from({ length: MOST_CONTAINERS + 1 }, (_, number) => `flood-${number}`);
    for (const id of flood) bench.feature(id);
    const settle = (): void => {
      bench.answerProbe();
      bench.quiet();
    };
    expect(bench.session.snapshot()).toMatchObject({ synced: false, message: expect.stringContaining("more than") });
    const [late = "", gone = ""] = flood.splice(-2);
    for (const id of flood) bench.removed(id);
    settle();
    expect(bench.synced).toBe(false);
    bench.removed(gone);
    settle();
    expect(bench.synced).toBe(false);
    bench.feature(late);
    settle();
    expect(bench.synced).toBe(true);
    expect(bench.ids()).toEqual(["a", late]);
  });
});

describe("a create to a device that cannot be asked for everything", () => {
  test("whose answer was lost is closed by its container", () => {
    const bench = new Watched();
    bench.inSync();
    const { outcome } = bench.create();
    bench.made("new");
    bench.list("new");
    bench.clock.advance(1_000);
    expect(outcome()).toMatchObject({ result: "Succeeded", externalId: "new" });
  });

  test("that never arrived is lost only when something later was answered and no container has come since", () => {
    const bench = new Watched();
    bench.inSync();
    const { outcome } = bench.create();
    bench.clock.advance(1_800_000);
    expect(outcome()).toBeUndefined();
    bench.answerProbe();
    expect(outcome()).toBeUndefined();
    bench.quiet();
    expect(outcome()).toMatchObject({ result: "Lost" });
    expect(bench.session.settle("op")).toBe("Closed");
  });

  test("that is lost with the barrier behind it is closed by another barrier, after a while and not before", () => {
    const bench = new Watched();
    bench.inSync();
    const { outcome } = bench.create();
    bench.clock.advance(1_800_000);
    expect(bench.take()).toEqual(["createWithConfig", "probe"]);
    bench.clock.advance(299_000);
    expect(bench.take()).toEqual([]);
    expect(bench.session.snapshot().connection).toBe("Offline");
    bench.clock.advance(300_000);
    expect(bench.take()).toEqual(["probe"]);
    bench.answerProbe();
    bench.quiet();
    expect(outcome()).toMatchObject({ result: "Lost" });
  });

  test("of a former process is settled by an answer and quiet, not by an inventory that was there before", () => {
    const bench = new Watched();
    bench.inSync();
    expect(bench.session.settle("former")).toBe("Open");
    expect(bench.take()).toEqual(["probe"]);
    bench.quiet();
    expect(bench.session.settle("former")).toBe("Open");
    bench.answerProbe();
    expect(bench.session.settle("former")).toBe("Open");
    bench.quiet();
    expect(bench.session.settle("former")).toBe("Closed");
  });
});

describe("presence behind a connector", () => {
  const status = (bench: Watched, connected: boolean): void =>
    bench.deliver({ kind: "ConnectorStatus", payload: JSON.stringify({ connected, timestamp: 1 }) });

  test("a connector that says it has lost its cloud makes the device Offline at once, and its return is asked about", () => {
    const bench = new Watched();
    bench.inSync("a");
    status(bench, false);
    expect(bench.session.snapshot().connection).toBe("Offline");
    status(bench, true);
    expect(bench.session.snapshot().connection).toBe("Offline");
    expect(bench.take()).toEqual(["probe"]);
    bench.answerProbe();
    bench.clock.advance(10_000);
    bench.answerProbe();
    bench.quiet();
    expect(bench.session.snapshot()).toMatchObject({ connection: "Connected", synced: true });
    expect(bench.ids()).toEqual(["a"]);
  });

  test("a status that is none is dropped and counted", () => {
    const bench = new Watched();
    bench.inSync();
    bench.deliver({ kind: "ConnectorStatus", payload: '{"connected":"yes"}' });
    bench.deliver({ kind: "ConnectorStatus", payload: "" });
    expect(bench.malformed).toEqual(["ConnectorStatus", "ConnectorStatus"]);
  });

  test("a standby asks for nothing once it is in sync", () => {
    const bench = new Watched({ observe: false });
    bench.inSync("a");
    bench.session.resync("a standby's wish");
    bench.clock.advance(30_000);
    expect(bench.take()).toEqual([]);
    expect(bench.synced).toBe(true);
  });
});
