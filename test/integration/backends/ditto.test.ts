/** Kanto behind Ditto beyond the contract: credentials, rights, twins that are not what the device is, and answers that do not come. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { AccountCredentials, CommandOutcome } from "../../../src/backends/contract.ts";
import { container, createOnce, desired, MARKER, succeed, synced, until } from "../../conformance/harness.ts";
import type { ConformanceProcess } from "../../conformance/harness.ts";
import { startDittoWorld, THING, type DittoWorld } from "./ditto-harness.ts";

let world: DittoWorld;
beforeEach(async () => {
  world = await startDittoWorld();
});
afterEach(async () => {
  await world.close();
});

const status = (process: ConformanceProcess) => process.account.status();
const message = (process: ConformanceProcess): string => process.session.snapshot().message ?? "";
const create = (image: "sleeper" | "slow" | "absent" = "sleeper") => ({
  kind: "Create" as const,
  desired: desired(world.image(image)),
  marker: MARKER,
});

function send(process: ConformanceProcess, image: "sleeper" | "slow" | "absent"): Promise<CommandOutcome> {
  const dispatch = process.session.execute({ ...create(image), commandId: "op-1.1", key: "a" });
  if (!dispatch.sent) throw new Error(`refused: ${dispatch.reason}`);
  return dispatch.outcome;
}

describe("credentials", () => {
  test.each<[string, AccountCredentials, string]>([
    ["user name and password", { username: "drayage", password: "pa55-word" }, "nginx:drayage"],
    ["a bearer token", { token: "t0ken-of-drayage" }, "iam:drayage"],
    ["the header of a trusted proxy", { preAuthenticated: "site:operator" }, "site:operator"],
  ])("%s", async (_how, credentials, subject) => {
    const ours = world.startWith({ credentials });
    await synced(ours);
    await succeed(ours, create());
    expect(new Set(world.ditto.messages.map(({ originator }) => originator))).toEqual(new Set([subject]));
  });

  test.each<[string, AccountCredentials]>([
    ["a wrong password", { username: "drayage", password: "wr0ng-s3cret" }],
    ["an unknown token", { token: "wr0ng-s3cret" }],
    ["none", {}],
  ])(
    "%s is Unauthorized, told without the secret, and asked with by one probe after another",
    async (_how, credentials) => {
      const ours = world.startWith({ credentials });
      await until(() => status(ours).state === "Failed", "the refusal");
      expect(status(ours)).toMatchObject({ reason: "Unauthorized" });
      expect(world.ditto.streams.opened).toBe(0);
      expect(ours.session.snapshot()).toMatchObject({ connection: "Unknown", synced: false });
      expect(JSON.stringify([status(ours), ours.logged, ours.notices, message(ours)])).not.toContain("wr0ng-s3cret");
    },
  );

  test("a user who may not send messages never is in sync, and is told which right is missing", async () => {
    const ours = world.startWith({ credentials: { username: "reader", password: "pw" } });
    await until(() => message(ours).includes("WRITE message:/"), "the reason");
    expect(ours.session.snapshot().synced).toBe(false);
  });

  test("a thing that is not there, or may not be seen, is told as such", async () => {
    const absent = world.startWith({ thingId: "edge:absent" });
    const hidden = world.startWith({ credentials: { preAuthenticated: "site:stranger" } });
    for (const ours of [absent, hidden]) {
      await until(() => message(ours).includes("READ thing:/"), "the reason");
      expect(ours.session.snapshot()).toMatchObject({ connection: "Unknown", synced: false });
    }
  });
});

describe("a twin that is not what the device is", () => {
  test("a twin left behind by a broken link is never shown as complete", async () => {
    const ours = await world.start();
    await synced(ours);
    const kept = await succeed(ours, create());
    world.ditto.linkDown(THING);
    await until(() => ours.session.snapshot().connection === "Offline", "Offline");
    const theirs = await world.human.create("theirs");
    await world.human.remove(kept);
    const lies: unknown[] = [];
    ours.session.subscribe(() => {
      const { synced: complete, containers } = ours.session.snapshot();
      const ids = containers.map(({ externalId }) => externalId);
      if (complete && !(ids.length === 1 && ids[0] === theirs)) lies.push(ids);
    });
    expect(ours.session.snapshot().synced).toBe(false);
    expect(container(ours, kept)).toBeDefined();
    world.ditto.linkUp(THING);
    await synced(ours);
    expect(lies).toEqual([]);
    expect(container(ours, theirs)?.name).toBe("theirs");
  });

  test("a process that starts beside an old twin waits for the device's word", async () => {
    world.ditto.linkDown(THING);
    await world.human.create("theirs");
    const ours = await world.start();
    await until(() => ours.session.snapshot().connection === "Offline", "Offline");
    expect(ours.session.snapshot().synced).toBe(false);
    world.ditto.linkUp(THING);
    await synced(ours);
    expect(ours.session.snapshot().containers.map(({ name }) => name)).toEqual(["theirs"]);
  });

  test("a creation that was answered for is not over before the twin shows it, however far behind it is", async () => {
    const ours = await world.start();
    await synced(ours);
    world.ditto.faults.holdTwins();
    const making = send(ours, "sleeper");
    await until(() => world.device.containers().length === 1, "the container");
    const { reads } = world.ditto;
    await until(() => world.ditto.reads > reads + 4, "more looks at the twin");
    expect(ours.session.snapshot().inFlight?.kind).toBe("Create");
    world.ditto.faults.releaseTwins();
    expect(await making).toMatchObject({ result: "Succeeded" });
    expect(world.everCreated()).toHaveLength(1);
  });

  test("a creation whose answer is lost is not repeated while the twin is behind", async () => {
    const ours = await world.start();
    await synced(ours);
    world.ditto.faults.holdTwins();
    world.ditto.faults.message({ subject: "createWithConfig", effect: { kind: "cut", when: "answered" } });
    const making = createOnce(ours, desired(world.image("sleeper")));
    await until(() => world.ditto.messages.some(({ featureId }) => featureId === "SoftwareUpdatable"), "the mark");
    const { reads } = world.ditto;
    await until(() => world.ditto.reads > reads + 4, "more looks at the twin");
    expect(ours.session.snapshot().inFlight?.kind).toBe("Create");
    world.ditto.faults.releaseTwins();
    expect(container(ours, await making)?.name).toBe("web");
    expect(world.everCreated()).toHaveLength(1);
  });

  test("a container that the device lists and the twin lacks keeps the inventory incomplete until it is published", async () => {
    world.ditto.faults.twin({ path: "/features/Container:", effect: "drop", times: "all" });
    const theirs = await world.human.create("theirs");
    const listed = (): string => JSON.stringify(world.ditto.thing(THING)?.features["SoftwareUpdatable"]);
    await until(() => listed().includes(theirs), "the list");
    const ours = await world.start();
    await until(() => message(ours).includes("does not show"), "the reason");
    expect(ours.session.snapshot().synced).toBe(false);
    world.ditto.faults.clear();
    world.device.announce("edge:policy-3");
    await synced(ours);
    expect(container(ours, theirs)).toBeDefined();
  });

  test("a thing that somebody emptied is not taken for a device without containers", async () => {
    const ours = await world.start();
    await synced(ours);
    await succeed(ours, create());
    world.ditto.deleteThing(THING);
    world.ditto.createThing(THING);
    await until(() => message(ours).includes("ContainerFactory"), "the reason");
    expect(ours.session.snapshot().synced).toBe(false);
    world.device.announce("edge:policy-3");
    await synced(ours);
    expect(ours.session.snapshot().containers).toHaveLength(1);
  });
});

describe("the stream of changes", () => {
  test("that breaks is made anew without a word about the device, and nothing is missed", async () => {
    const ours = world.startWith({ probeTimeoutMs: 5_000 });
    await synced(ours);
    const id = await succeed(ours, create());
    const before = ours.events.filter(({ type }) => type === "Connection").length;
    world.ditto.cutStreams("fin");
    await world.device.human.start(id);
    await until(() => container(ours, id)?.state === "Running", "the news");
    expect(ours.events.filter(({ type }) => type === "Connection")).toHaveLength(before);
    expect(ours.session.snapshot().synced).toBe(true);
  });

  test("that is silent without its heart-beat is dead", async () => {
    const ours = await world.start();
    await synced(ours);
    const { opened } = world.ditto.streams;
    world.ditto.faults.streamsStalled = true;
    await until(() => world.ditto.streams.opened > opened, "another stream");
    world.ditto.faults.streamsStalled = false;
    const theirs = await world.human.create("theirs");
    await until(() => container(ours, theirs) !== undefined, "the news");
  });

  test.each([
    ["loses events", () => world.ditto.faults.dropStreamEvents(2)],
    ["doubles them", () => world.ditto.faults.duplicateStreamEvents(3)],
    ["is late", () => (world.ditto.faults.streamLagMs = 100)],
  ])("that %s leaves the inventory right", async (_what, fault) => {
    const ours = await world.start();
    await synced(ours);
    fault();
    const id = await world.human.create("theirs");
    await until(() => container(ours, id)?.state === "Running", "the container");
    await world.human.remove(id);
    await until(() => container(ours, id) === undefined, "the removal");
  });

  test("misses nothing that changed before its subscription held", async () => {
    world.ditto.faults.subscribeMs = 40;
    const ours = await world.start();
    await until(() => world.ditto.streams.opened > 0, "the stream");
    const theirs = await world.human.create("theirs");
    await until(() => container(ours, theirs) !== undefined, "the container");
  });
});

describe("answers that do not come", () => {
  test.each([408, 424, 502, 503])("%i after the message was passed on: found out, not repeated", async (code) => {
    const ours = await world.start();
    await synced(ours);
    world.ditto.faults.message({
      subject: "createWithConfig",
      effect: { kind: "status", status: code, when: "after" },
    });
    await createOnce(ours, desired(world.image("sleeper")));
    expect(world.everCreated()).toHaveLength(1);
  });

  test.each([403, 404, 413, 429])("%i before that: a failure at once, and nothing was done", async (code) => {
    const ours = await world.start();
    await synced(ours);
    world.ditto.faults.message({
      subject: "createWithConfig",
      effect: { kind: "status", status: code, when: "before" },
    });
    expect(await send(ours, "sleeper")).toMatchObject({ result: "Failed" });
    expect(world.received()).toEqual([]);
    expect(ours.session.settle("op-1")).toBe("Closed");
  });

  test("Ditto's restart in the middle of a create makes no second container", async () => {
    const ours = await world.start();
    await synced(ours);
    const making = createOnce(ours, desired(world.image("slow")));
    await until(() => world.received().length === 1, "the create");
    await world.ditto.stop();
    await until(() => status(ours).state === "Failed", "the loss");
    await world.ditto.start();
    await making;
    expect(world.everCreated()).toHaveLength(1);
  });
});

test("who may only look finds out how an operation of a former process ended, too", async () => {
  const ours = world.startWith({ fence: { held: false }, observes: true });
  await synced(ours);
  expect(ours.session.settle("op-1")).toBe("Open");
  await until(() => ours.session.settle("op-1") === "Closed", "its end");
  expect(ours.session.snapshot().message).toBeUndefined();
});

describe("a pull that takes longer than Ditto waits", () => {
  beforeEach(async () => {
    await world.close();
    world = await startDittoWorld({ slowMs: 1_500, maxTimeoutS: 10 });
  });

  test("ends by its feature; the shorter maximum is learned by a refusal", async () => {
    const ours = world.startWith({ spec: { createTimeoutSeconds: 30 } });
    await synced(ours);
    expect(ours.notices.map(({ reason }) => reason)).toContain("DittoMessageTimeout");
    expect(await send(ours, "slow")).toMatchObject({ result: "Succeeded" });
    const [message] = world.ditto.messages.filter(({ subject }) => subject === "createWithConfig");
    expect(message).toMatchObject({ timeoutS: 10, status: 408 });
    expect(world.everCreated()).toHaveLength(1);
  });

  test("and fails is proven to have ended by a barrier", async () => {
    world.device.faults.pullFailure("registry.example/test/slow:1", "not-found");
    world.device.faults.command({ operation: "createWithConfig", effect: { kind: "delay", ms: 1_500 } });
    const ours = world.startWith({ spec: { createTimeoutSeconds: 30 } });
    await synced(ours);
    expect(await send(ours, "slow")).toMatchObject({ result: "Lost" });
    expect(ours.session.settle("op-1")).toBe("Closed");
    expect(world.everCreated()).toHaveLength(0);
  });
});
