/**
 * What a device says is untrusted. Whatever comes on its topics, a session stays whole: nothing is thrown, what is kept is bounded, what is
 * dropped is counted, and nothing old is taken for new.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Inventory, MOST_CONTAINERS } from "../../../../src/backends/kanto/inventory.ts";
import { Bench } from "./bench.ts";
import { feed, LabDaemon } from "./lab-daemon.ts";

const THING = "edge:device:edge:containers";
const DITTO = "edge/device:edge:containers";

/** Texts that break readers: of other types, endless, half of Unicode, names of every object's own members. */
const oddText = fc.oneof(
  fc.string({ unit: "binary", maxLength: 12 }),
  fc.constantFrom("", "\ud800", "\0", "__proto__", "constructor", "toString", "x".repeat(100_000), "\u2028"),
);
const odd = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }),
  oddText,
  fc.constantFrom(1e308, -0, 2 ** 53, -1, 1.5, null, true, [[[[]]]]),
);
const idText = fc.oneof(fc.constantFrom("a", "b", "c"), oddText);

/** The shapes of real messages with any part of them replaced. */
const stateOf = fc.record(
  {
    status: fc.oneof(fc.constantFrom("RUNNING", "EXITED", "STOPPED", "CREATED", "DEAD", "PAUSED"), odd),
    startedAt: fc.oneof(fc.constantFrom("2026-01-01T00:00:01Z", "2026-01-01T00:00:05Z"), odd),
    finishedAt: fc.oneof(fc.constantFrom("2026-01-01T00:00:03Z"), odd),
    exitCode: odd,
    error: odd,
    oomKilled: odd,
  },
  { requiredKeys: ["status"] },
);
const featureOf = fc.record({
  properties: fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        status: fc.record({
          name: fc.oneof(fc.constant("web"), odd),
          imageRef: fc.oneof(fc.constant("r.example/web:1"), odd),
          config: fc.oneof(
            odd,
            fc.record({
              env: odd,
              portMappings: fc.array(odd),
              mountPoints: odd,
              resources: odd,
              log: odd,
              restartPolicy: odd,
            }),
          ),
          createdAt: odd,
          state: fc.oneof(stateOf, odd),
        }),
      }),
    },
    { weight: 1, arbitrary: odd },
  ),
});
const event = fc
  .tuple(
    fc.oneof(
      { weight: 6, arbitrary: fc.constantFrom(DITTO) },
      { weight: 1, arbitrary: fc.constantFrom("other/thing", "", "a") },
    ),
    fc.constantFrom("things/twin/commands/modify", "things/twin/commands/delete", "things/live/messages/data", "x"),
    idText,
    fc.constantFrom("", "/properties/status/state", "/properties/status/config", "/properties/status/name", "/x"),
    fc.oneof(stateOf, featureOf, odd),
  )
  .map(([thing, criterion, id, property, value]) =>
    JSON.stringify({ topic: `${thing}/${criterion}`, path: `/features/Container:${id}${property}`, value }),
  );
const payload = fc.oneof(
  { weight: 6, arbitrary: event },
  {
    weight: 2,
    arbitrary: fc
      .constantFrom("ContainerFactory", "Metrics", "SoftwareUpdatable")
      .map((feature) =>
        JSON.stringify({ topic: `${DITTO}/things/twin/commands/modify`, path: `/features/${feature}`, value: {} }),
      ),
  },
  { weight: 1, arbitrary: odd.map((value) => JSON.stringify(value) ?? "") },
  { weight: 1, arbitrary: oddText },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      "[".repeat(100_000),
      `{"topic":${"[".repeat(5_000)}${"]".repeat(5_000)}}`,
      "nul",
      '{"path":1}',
    ),
  },
);
const topic = fc.oneof(
  { weight: 6, arbitrary: fc.constant(`e/t1/${THING}`) },
  {
    weight: 2,
    arbitrary: fc
      .tuple(idText, fc.constantFrom(200, 204, 400, 500))
      .map(([id, status]) => `command//${THING}/res/${id.replaceAll("/", "")}/${status}`),
  },
  { weight: 1, arbitrary: fc.constantFrom("edge/thing/request", "edge/thing/response") },
);

describe("a session among messages of any kind", () => {
  test("throws nothing, counts what it drops, and is in sync again after a proper re-publication", () => {
    let counted = 0;
    fc.assert(
      fc.property(fc.array(fc.tuple(topic, payload), { maxLength: 30 }), (messages) => {
        const bench = new Bench();
        bench.start("a", "b");
        for (const [on, text] of messages) {
          try {
            bench.hear(on, text);
          } catch (error) {
            // The bench itself refuses what the transport would not route.
            if (!String(error).includes("no topic of the device")) throw error;
          }
        }
        counted += bench.malformed.length + bench.counted.length;
        for (const { name, image, error = "" } of bench.session.snapshot().containers)
          expect(name.length + image.length + error.length).toBeLessThan(20_000);
        // The device is asked, and answers as it should: as often as it takes.
        bench.session.resync("test");
        for (let round = 0; round < 6; round += 1) {
          bench.clock.advance(2_000);
          bench.republish("a", "b");
        }
        expect(bench.ids().sort()).toEqual(["a", "b"]);
        expect(bench.session.snapshot().synced).toBe(true);
        for (const { state } of bench.session.snapshot().containers) expect(state).toBe("Created");
      }),
      { numRuns: 300 },
    );
    expect(counted).toBeGreaterThan(100);
  });

  test("of another tenant's topics it takes none into its own identity", () => {
    const bench = new Bench();
    bench.start("a");
    for (const tenantId of ["a/b", "#", "t\0", "t t", "x".repeat(300)])
      bench.hear("edge/thing/response", { deviceId: "edge:device", tenantId, policyId: "p:q" });
    expect(bench.malformed.filter((kind) => kind === "Identity")).toHaveLength(5);
    bench.session.resync("test");
    bench.clock.advance(2_000);
    expect(bench.last("announce").payload).toMatchObject({ tenantId: "t1" });
  });

  test("of strangers' announcements only so many are told, however many come", () => {
    const bench = new Bench();
    bench.start("a");
    for (let number = 0; number < 1_000; number += 1)
      bench.hear("edge/thing/response", {
        deviceId: `edge:${number}${"x".repeat(5_000)}`,
        tenantId: "t1",
        policyId: "p",
      });
    expect(bench.notices.length).toBeLessThan(20);
  });
});

describe("more than any device has", () => {
  test.each([
    ["containers", 3 * MOST_CONTAINERS, 10],
    ["configuration", 100, 1_000_000],
  ])(
    "of %s is not kept, nothing is done on the device until it is gone, and then all is well",
    (_what, count, size) => {
      const bench = new Bench();
      bench.start("a");
      const env = [`A=${"x".repeat(size)}`];
      for (let number = 0; number < count; number += 1) bench.feature(`flood-${number}`, { status: "CREATED" }, env);
      const { containers, synced, message } = bench.session.snapshot();
      expect(containers.length).toBeLessThanOrEqual(MOST_CONTAINERS);
      expect(JSON.stringify(containers).length).toBeLessThan(40_000_000);
      expect(synced).toBe(false);
      expect(message).toContain("more than");
      expect(bench.malformed).toContain("TooMuch");
      expect(bench.session.execute({ kind: "Start", externalId: "a", commandId: "c", key: "k" })).toMatchObject({
        sent: false,
        reason: "NotSynced",
      });
      for (const { externalId } of containers) if (externalId !== "a") bench.removed(externalId);
      bench.session.resync("test");
      bench.clock.advance(2_000);
      bench.republish("a");
      expect(bench.session.snapshot()).toMatchObject({ synced: true });
      expect(bench.ids()).toEqual(["a"]);
    },
  );
});

describe("repeated and overtaken events", () => {
  const run = (
    id: string,
    status: string,
    startedAt: number,
    finishedAt?: number,
  ): [string, Record<string, unknown>] => [
    id,
    {
      status,
      startedAt: new Date(startedAt * 1000).toISOString(),
      ...(finishedAt !== undefined && { finishedAt: new Date(finishedAt * 1000).toISOString() }),
    },
  ];

  test("of an earlier state change nothing, and a full inventory is asked for", () => {
    const bench = new Bench();
    bench.start("a");
    bench.state(...run("a", "RUNNING", 10));
    bench.state(...run("a", "EXITED", 10, 20));
    bench.take();
    bench.clock.advance(5_000);
    bench.state(...run("a", "RUNNING", 10));
    expect(bench.session.snapshot().containers[0]?.state).toBe("Exited");
    expect(bench.take()).toContain("announce");
    bench.state("a", { status: "CREATED" });
    expect(bench.session.snapshot().containers[0]?.state).toBe("Exited");
  });

  test("of a removed container do not bring it back; a re-publication may", () => {
    const bench = new Bench();
    bench.start("a", "b");
    bench.removed("b");
    bench.feature("b");
    expect(bench.ids()).toEqual(["a"]);
    bench.clock.advance(2_000);
    // What the device itself shows when it is asked counts, also after its clock went back.
    bench.republish("a", "b");
    expect(bench.ids().sort()).toEqual(["a", "b"]);
  });

  test("a device whose clock went back is believed once it has shown everything", () => {
    const bench = new Bench();
    bench.start("a");
    bench.state(...run("a", "EXITED", 1_000_000, 1_000_010));
    bench.clock.advance(5_000);
    bench.state(...run("a", "RUNNING", 5));
    expect(bench.session.snapshot().containers[0]?.state).toBe("Exited");
    bench.feature(...run("a", "RUNNING", 5));
    bench.factory();
    bench.answerProbe();
    expect(bench.session.snapshot().containers[0]?.state).toBe("Running");
  });

  test(
    "in any mixture end in what the device shows when it is asked, and never go back in between",
    { timeout: 120_000 },
    async () => {
      const doing = fc.constantFrom("create", "start", "stop", "rename", "update", "remove", "pause", "resume");
      const chaos = fc.array(fc.record({ at: fc.nat(), again: fc.nat() }), { maxLength: 20 });
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.tuple(doing, fc.nat({ max: 3 })), { minLength: 3, maxLength: 15 }),
          chaos,
          async (doings, repeats) => {
            using daemon = await LabDaemon.start();
            const told = daemon.takeEvents();
            for (const [what, which] of doings) {
              await act(daemon, what, which).catch(() => undefined);
              await daemon.idle();
              told.push(...daemon.takeEvents());
            }
            const heard = [...told];
            for (const { at, again } of repeats) {
              const repeated = told[again % told.length];
              if (repeated !== undefined) heard.splice(at % heard.length, 0, repeated);
            }
            const inventory = new Inventory(() => 0);
            const gone = new Set<string>();
            for (const text of heard) {
              const before = new Map(inventory.list().map((each) => [each.externalId, lastMoment(each)]));
              feed(inventory, [text]);
              for (const each of inventory.list()) {
                expect(lastMoment(each)).toBeGreaterThanOrEqual(before.get(each.externalId) ?? 0);
                expect(gone.has(each.externalId)).toBe(false);
              }
              for (const id of before.keys()) if (inventory.get(id) === undefined) gone.add(id);
            }
            await daemon.republish();
            const shown = daemon.takeEvents();
            feed(inventory, shown, true);
            const fresh = new Inventory(() => 0);
            feed(fresh, shown, true);
            for (const each of fresh.list()) {
              const { runs: _runs, ...now } = inventory.get(each.externalId) ?? { runs: [] };
              const { runs: _fresh, ...expected } = each;
              expect(now).toEqual(expected);
            }
          },
        ),
        { numRuns: 150 },
      );
    },
  );
});

function lastMoment({ startedAt, finishedAt }: { startedAt?: string; finishedAt?: string }): number {
  return Math.max(0, ...[startedAt, finishedAt].flatMap((time) => (time === undefined ? [] : [Date.parse(time)])));
}

/** What somebody does on the device. */
async function act({ manager }: LabDaemon, what: string, which: number): Promise<void> {
  const ids = manager.list().map(({ id }) => id);
  const id = ids[which % Math.max(1, ids.length)] ?? "none";
  switch (what) {
    case "create": {
      const { fromWire } = await import("../../../../src/simulators/kanto/arguments.ts");
      await manager.create({ name: `c${which}`, imageRef: "r.example/web:1", config: fromWire({}) });
      return;
    }
    case "start":
      return manager.start(id);
    case "stop":
      return manager.stop(id, { timeoutS: 1, force: true, signal: "SIGTERM" });
    case "rename":
      return manager.rename(id, `n${which}`);
    case "update":
      return manager.update(id, { resources: { memory: `${which + 3}M`, memoryReservation: "", memorySwap: "" } });
    case "remove":
      return manager.remove(id, true);
    case "pause":
      return manager.pause(id);
    default:
      return manager.resume(id);
  }
}
