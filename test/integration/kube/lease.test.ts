import { describe, expect, inject, onTestFinished, test, vi } from "vitest";
import { FencedError } from "../../../src/kube/fence.ts";
import { LEASES, type LeaseSpec } from "../../../src/kube/lease-record.ts";
import { LeaderElector, NoLease, type LeadershipEnd, type LeaderElectorOptions } from "../../../src/kube/lease.ts";
import { startHttpFaultProxy } from "../../faults/http-proxy.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { CONFIG_MAPS, setting, type Setting } from "./support.ts";

const controlPlane = inject("controlPlane");
const soon = { timeout: 30_000, interval: 5 };

/** One process that wants to lead, with a clock of its own. */
class Candidate {
  readonly clock = new FakeClock();
  readonly changes: string[] = [];
  readonly errors: unknown[] = [];
  readonly stop = new AbortController();
  /** Requests under way; a watch counts until it is accepted. */
  #underWay = 0;
  elector!: LeaderElector;
  ended: Promise<LeadershipEnd> | undefined;
  over = false;

  static async create(given: Setting, name: string, options: Partial<LeaderElectorOptions> = {}): Promise<Candidate> {
    const candidate = new Candidate();
    const client = await given.through({
      clock: candidate.clock,
      userAgent: name,
      onBegin: () => (candidate.#underWay += 1),
      onRequest: () => (candidate.#underWay -= 1),
    });
    candidate.elector = new LeaderElector({
      client,
      namespace: given.namespace,
      name: "leader",
      identity: name,
      random: () => 0,
      onStartedLeading: () => candidate.changes.push("started"),
      onStoppedLeading: (end) => candidate.changes.push(end),
      onError: (error) => candidate.errors.push(error),
      ...options,
    });
    onTestFinished(async () => {
      candidate.stop.abort();
      await candidate.ended;
    });
    return candidate;
  }

  start(): this {
    this.over = false;
    this.ended = this.elector.run(this.stop.signal).finally(() => {
      this.over = true;
    });
    return this;
  }

  get leads(): boolean {
    return this.elector.isLeader();
  }

  leading(): Promise<void> {
    return vi.waitFor(() => expect(this.leads).toBe(true), soon);
  }

  /** Waits until it sleeps between two tries, or is over. */
  async idle(): Promise<void> {
    // What a timer has set off begins its request before anything else runs.
    await new Promise(setImmediate);
    await vi.waitFor(() => {
      expect(this.#underWay).toBe(0);
      expect(this.clock.pending > 0 || this.over).toBe(true);
    }, soon);
  }

  /** Lets time pass in retry periods, giving each try its answer. */
  async live(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 2_000) {
      await this.idle();
      this.clock.advance(Math.min(2_000, left));
      await this.idle();
    }
  }
}

const start = (): Promise<Setting> => setting(controlPlane);

async function spec(given: Setting): Promise<LeaseSpec> {
  const lease = await given.direct.get(LEASES, { namespace: given.namespace, name: "leader" });
  return lease.spec ?? {};
}

describe("leader election", () => {
  test("of five that start together chooses exactly one", async () => {
    const given = await start();
    const all = await Promise.all(["a", "b", "c", "d", "e"].map((name) => Candidate.create(given, name)));
    for (const each of all) {
      each.start();
    }
    await vi.waitFor(() => expect(all.some((each) => each.leads)).toBe(true), soon);
    await Promise.all(all.map((each) => each.idle()));
    const leaders = all.filter((each) => each.leads);
    expect(leaders).toHaveLength(1);
    expect((await spec(given)).holderIdentity).toBe(leaders[0]?.elector.identity);
    expect(all.filter((each) => each.elector.fence.valid())).toEqual(leaders);
  });

  test("keeps the leader while it renews, for a hundred seconds of the other's waiting", async () => {
    const given = await start();
    const a = (await Candidate.create(given, "a")).start();
    await a.leading();
    const b = (await Candidate.create(given, "b")).start();
    for (let round = 0; round < 10; round += 1) {
      await a.live(10_000);
      await b.live(10_000);
      expect([a.leads, b.leads, a.elector.fence.valid()]).toEqual([true, false, true]);
    }
    expect(await spec(given)).toMatchObject({ holderIdentity: "a", leaseDurationSeconds: 15, leaseTransitions: 0 });
    expect(a.changes).toEqual(["started"]);
  });

  test("hands over on release at once: the other's clock need not move at all", async () => {
    const given = await start();
    const a = (await Candidate.create(given, "a")).start();
    await a.leading();
    const b = (await Candidate.create(given, "b")).start();
    await b.idle();
    const before = b.clock.monotonic();
    a.stop.abort();
    expect(await a.ended).toBe("stopped");
    await b.leading();
    expect(b.clock.monotonic()).toBe(before);
    expect(a.elector.fence.valid()).toBe(false);
    expect(a.changes).toEqual(["started", "stopped"]);
    expect(await spec(given)).toMatchObject({ holderIdentity: "b", leaseTransitions: 1 });
  });

  test("leaves the count of changes in a released lease, and says that nobody holds it", async () => {
    const given = await start();
    for (const name of ["a", "b", "c"]) {
      const candidate = (await Candidate.create(given, name)).start();
      await candidate.leading();
      candidate.stop.abort();
      await candidate.ended;
      expect((await spec(given)).holderIdentity).toBe("");
    }
    expect((await spec(given)).leaseTransitions).toBe(2);
  });

  test("gives a lease that is not renewed to the other after its duration, as the other's clock counts it, not before", async () => {
    const given = await start();
    const a = (await Candidate.create(given, "a")).start();
    await a.leading();
    const b = (await Candidate.create(given, "b")).start();
    // What the others wrote as time means nothing.
    b.clock.stepWall(86_400_000);
    await b.idle();
    await b.live(14_000);
    expect(b.leads).toBe(false);
    await b.live(2_000);
    await b.leading();
    expect(await spec(given)).toMatchObject({ holderIdentity: "b", leaseTransitions: 1 });
  });

  test("never leaves two fences open: a leader that was stopped and goes on finds its own closed before anything else", async () => {
    const given = await start();
    const a = (await Candidate.create(given, "a")).start();
    await a.leading();
    const b = (await Candidate.create(given, "b")).start();
    await b.idle();
    await a.idle();
    // SIGSTOP of a; b goes on and takes over.
    for (let passed = 0; passed < 18_000; passed += 500) {
      a.clock.jump(500);
      b.clock.advance(500);
      await b.idle();
      expect(a.elector.fence.valid() && b.elector.fence.valid()).toBe(false);
    }
    expect(b.leads).toBe(true);
    // SIGCONT: a still believes that it leads, as its timers have not run yet.
    expect(a.leads).toBe(true);
    expect(() => a.elector.fence.check()).toThrow(FencedError);
    a.clock.advance(0);
    expect(await a.ended).toBe("lost");
    expect(a.changes).toEqual(["started", "lost"]);
    expect(b.elector.fence.valid()).toBe(true);
    expect((await spec(given)).holderIdentity).toBe("b");
  });

  test("ends a leadership that cannot be renewed at the renew deadline, and a later run may win again", async () => {
    const given = await start();
    const a = (await Candidate.create(given, "a", { retryPeriodMs: 3_000 })).start();
    await a.leading();
    await a.idle();
    const end = await given.proxy.outage();
    for (const tries of [1, 2, 3]) {
      a.clock.advance(3_000);
      await vi.waitFor(() => expect(a.errors).toHaveLength(tries), soon);
      await vi.waitFor(() => expect(a.clock.pending).toBe(1), soon);
    }
    a.clock.advance(999);
    expect([a.leads, a.elector.fence.valid()]).toEqual([true, true]);
    // Not at the next retry, which would be 12 s after the last success.
    a.clock.advance(1);
    expect(await a.ended).toBe("lost");
    expect(a.elector.fence.valid()).toBe(false);
    await end();
    a.start();
    await a.leading();
    expect((await spec(given)).leaseTransitions).toBe(0);
  });

  test("survives a renewal whose answer was lost, and one that hangs", async () => {
    const given = await start();
    const a = (await Candidate.create(given, "a")).start();
    await a.leading();
    await a.idle();
    const lost = given.proxy.on({ match: { method: "PUT" }, fault: { do: "reset", when: "after" } });
    await a.live(2_000);
    await a.live(2_000);
    expect(lost.hits).toBe(1);
    expect(a.errors).toMatchObject([{ name: "TransportError" }, { status: 409 }]);
    const hung = given.proxy.on({ match: { method: "PUT" }, fault: { do: "swallow" } });
    await a.idle();
    a.clock.advance(2_000);
    await vi.waitFor(() => expect(hung.hits).toBe(1), soon);
    // Half the renew deadline, then the next try.
    a.clock.advance(5_000);
    await a.live(4_000);
    expect([a.leads, a.elector.fence.valid()]).toEqual([true, true]);
    expect(a.changes).toEqual(["started"]);
    expect((await spec(given)).leaseTransitions).toBe(0);
  });

  test("ends at once when stopped, whatever it waits for", async () => {
    const given = await start();
    const a = (await Candidate.create(given, "a")).start();
    await a.leading();
    for (const fault of ["hold", "swallow"] as const) {
      const rule = given.proxy.on({ match: { path: "/leases/" }, fault: { do: fault } });
      const waiting = (await Candidate.create(given, `b-${fault}`)).start();
      await vi.waitFor(() => expect(rule.hits).toBe(1), soon);
      waiting.stop.abort();
      expect(await waiting.ended).toBe("stopped");
      expect(waiting.clock.pending).toBe(0);
      rule.remove();
    }
    const watching = (await Candidate.create(given, "c")).start();
    await watching.idle();
    watching.stop.abort();
    expect(await watching.ended).toBe("stopped");
    expect(watching.clock.pending).toBe(0);
    const watch = given.proxy.requests({ watch: true });
    await vi.waitFor(() => expect(watch.every((each) => each.closed)).toBe(true), soon);
  });

  test("costs a standby one read per retry period and one watch that stays", async () => {
    const given = await start();
    const a = (await Candidate.create(given, "a")).start();
    await a.leading();
    const b = (await Candidate.create(given, "b")).start();
    for (let round = 0; round < 3; round += 1) {
      await a.live(10_000);
      await b.live(10_000);
    }
    const own = given.proxy.requests().filter((each) => each.headers["user-agent"] === "b");
    expect(own.filter((each) => each.watch)).toHaveLength(1);
    expect(own.filter((each) => !each.watch)).toHaveLength(1 + 15);
  });

  test("makes the lease again when somebody deleted it", async () => {
    const given = await start();
    const a = (await Candidate.create(given, "a")).start();
    await a.leading();
    await given.direct.delete(LEASES, { namespace: given.namespace, name: "leader" });
    await a.live(4_000);
    expect(a.leads).toBe(true);
    expect((await spec(given)).holderIdentity).toBe("a");
  });

  test("ends at once when somebody else took the lease", async () => {
    const given = await start();
    const a = (await Candidate.create(given, "a")).start();
    await a.leading();
    const body = { spec: { holderIdentity: "thief" } };
    await given.direct.patch(LEASES, { namespace: given.namespace, name: "leader" }, { type: "merge", body });
    await a.live(2_000);
    expect(await a.ended).toBe("lost");
    expect(a.elector.fence.valid()).toBe(false);
    expect((await spec(given)).holderIdentity).toBe("thief");
  });

  test("is not disturbed by other requests that hang", async () => {
    const given = await start();
    const clock = new FakeClock();
    const client = await given.through({ clock });
    given.proxy.on({ match: { path: "configmaps" }, times: 100, fault: { do: "swallow" } });
    const { namespace } = given;
    const hung = Array.from({ length: 64 }, () => client.list(CONFIG_MAPS, { namespace }).catch(() => undefined));
    await vi.waitFor(() => expect(given.proxy.requests({ path: "configmaps" })).toHaveLength(32), soon);
    const stop = new AbortController();
    const elector = new LeaderElector({ client, namespace, name: "leader", identity: "a" });
    const ended = elector.run(stop.signal);
    await vi.waitFor(() => expect(elector.isLeader()).toBe(true), soon);
    const acquired = (await spec(given)).renewTime;
    clock.advance(2_000);
    await vi.waitFor(async () => expect((await spec(given)).renewTime).not.toBe(acquired), soon);
    stop.abort();
    await ended;
    await client.close();
    await Promise.all(hung);
  });
});

describe("the fence", () => {
  test("is open for the lease less its margin, counted from the start of the renewal", async () => {
    const given = await start();
    const a = (await Candidate.create(given, "a")).start();
    await a.leading();
    expect(a.elector.fence.deadlineMonotonic).toBe(13_500);
    a.clock.jump(13_499);
    expect(a.elector.fence.valid()).toBe(true);
    a.clock.jump(1);
    expect(a.elector.fence.valid()).toBe(false);
  });

  test("counts from before the request, not from its answer", async () => {
    const given = await start();
    const a = await Candidate.create(given, "a");
    const held = given.proxy.on({ match: { method: "POST", path: "leases" }, fault: { do: "hold" } });
    a.start();
    await vi.waitFor(() => expect(held.hits).toBe(1), soon);
    a.clock.advance(3_000);
    held.release();
    await a.leading();
    expect(a.elector.fence.deadlineMonotonic).toBe(13_500);
  });

  test("closes when the wall clock alone moves on: the machine was suspended", async () => {
    const given = await start();
    const a = (await Candidate.create(given, "a")).start();
    await a.leading();
    a.clock.stepWall(3_600_000);
    expect(a.elector.fence.valid()).toBe(false);
    await a.live(2_000);
    expect(a.elector.fence.valid()).toBe(true);
  });
});

describe("options", () => {
  test.each([
    [{ leaseDurationMs: 10_000 }, "longer than the renew deadline"],
    [{ retryPeriodMs: 9_000 }, "longer than 1.2 times the retry period"],
    [{ skewMarginMs: 15_000 }, "margin must be shorter"],
  ])("that contradict each other are refused: %o", async (options, message) => {
    const proxy = await startHttpFaultProxy({ upstream: controlPlane.server });
    onTestFinished(() => proxy.close());
    const { direct, namespace } = await start();
    expect(() => new LeaderElector({ client: direct, namespace, name: "x", ...options })).toThrow(message);
  });

  test("without a lease one leads from the start to the end, and its fence is open", async () => {
    const changes: string[] = [];
    const alone = new NoLease({
      onStartedLeading: () => changes.push("started"),
      onStoppedLeading: (end) => changes.push(end),
    });
    const stop = new AbortController();
    const ended = alone.run(stop.signal);
    expect([alone.isLeader(), alone.fence.valid()]).toEqual([true, true]);
    alone.fence.check();
    stop.abort();
    expect(await ended).toBe("stopped");
    expect(changes).toEqual(["started", "stopped"]);
  });
});
