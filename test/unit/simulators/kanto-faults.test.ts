import { describe, expect, test } from "vitest";
import { ManualClock } from "../../../src/simulators/kanto/index.ts";
import { crasher, sleeper, stage, stubborn } from "./remote.ts";
import { until } from "./replay.ts";

const FACTORY = "ContainerFactory";

describe("the network", () => {
  test("a command sent while the device is offline is lost for ever; on its return everything is published again", async () => {
    await using s = await stage();
    const id = await s.remote.create("a", sleeper);
    s.device.faults.offline();
    await until(() => s.broker.clientIds().length === 1, "the broker sees it gone");
    expect(s.device.online).toBe(false);
    await s.remote.send(`Container:${id}`, "start");
    s.remote.messages.length = 0;
    s.device.faults.online();
    await until(() => s.device.commandsHeard, "the device hears commands");
    await s.remote.request(FACTORY, "probe");
    expect(s.device.container("a").processStarts).toBe(0);
    expect(s.remote.paths().toSorted()).toEqual([
      `/features/Container:${id}`,
      "/features/ContainerFactory",
      "/features/Metrics",
      "/features/SoftwareUpdatable",
    ]);
  });

  test("containers go on while it is offline, and what was not acknowledged is sent after the return", async () => {
    await using s = await stage();
    const id = await s.remote.create("a", crasher, { restartPolicy: { type: "NO" } });
    await s.remote.request(`Container:${id}`, "start");
    s.device.faults.offline();
    await until(() => s.broker.clientIds().length === 1, "the broker sees it gone");
    s.remote.messages.length = 0;
    await s.clock.advance(2000);
    expect(s.device.container("a").state["status"]).toBe("EXITED");
    s.device.faults.online();
    await until(() => s.device.commandsHeard, "the device hears commands");
    expect(s.remote.state(id)).toMatchObject({ status: "EXITED", exitCode: 3 });
  });

  test("a silent loss is noticed by nobody until the keepalive", async () => {
    await using s = await stage();
    s.device.faults.offline(true);
    const id = await s.remote.send(FACTORY, "probe");
    await s.remote.client.publishAsync("other", "", { qos: 1 });
    expect(s.broker.clientIds()).toHaveLength(2);
    expect(s.device.commands()).toEqual([]);
    s.device.faults.online();
    await until(() => s.device.commandsHeard, "the device hears commands");
    expect(s.remote.answer(id)).toBeUndefined();
  });
});

describe("the command queue", () => {
  test("one at a time, in order: what comes behind a long pull waits, and nothing of the pull can be seen", async () => {
    await using s = await stage({ images: { "r.test/big": { pullMs: 40_000 } } });
    const create = await s.remote.send(FACTORY, "createWithConfig", { imageRef: "r.test/big:1", name: "big" });
    const probe = await s.remote.send(FACTORY, "probe");
    await until(() => s.device.commands().length === 2, "both arrive");
    s.remote.messages.length = 0;
    await s.clock.advance(39_000);
    expect(s.device.commands().map(({ progress }) => progress)).toEqual(["executing", "waiting"]);
    expect(s.remote.messages).toEqual([]);
    await s.clock.advance(1000);
    await until(() => s.remote.answer(probe) !== undefined, "the second answer");
    const answers = s.remote.messages
      .filter(({ topic }) => topic.includes("/res/"))
      .map(({ topic }) => topic.split("/")[4]);
    expect(answers).toEqual([create, probe]);
  });

  test("a command is acknowledged to the broker only after it was executed", async () => {
    await using s = await stage({ images: { "r.test/big": { pullMs: 1000 } } });
    const device = s.broker.clientIds().find((id) => id !== s.remote.client.options.clientId) ?? "";
    const before = s.broker.acknowledgements(device);
    await s.remote.send(FACTORY, "createWithConfig", { imageRef: "r.test/big:1", name: "big" });
    await until(() => s.device.commands()[0]?.progress === "executing", "the create runs");
    await s.remote.client.publishAsync("other", "", { qos: 1 });
    expect(s.broker.acknowledgements(device)).toBe(before);
    await s.clock.advance(1000);
    await until(() => s.broker.acknowledgements(device) === before + 1, "the acknowledgement");
  });

  test.each([
    [2, 0],
    [3, 15_000],
    [4, 30_000],
  ])("%i behind a create hold up the first of them for %i ms", async (behind, heldUpMs) => {
    const networkClock = new ManualClock();
    await using s = await stage({ networkClock, images: { "r.test/big": { pullMs: 2_000 } } });
    const create = await s.remote.send(FACTORY, "createWithConfig", { imageRef: "r.test/big:1", name: "big" });
    await until(() => s.device.commands().length === 1, "the create arrives");
    const probes: string[] = [];
    for (let count = 0; count < behind; count++) probes.push(await s.remote.send(FACTORY, "probe"));
    await until(() => s.device.commands().length === behind + 1 || behind > 3, "they arrive");
    await s.clock.advance(2_000);
    await until(() => s.remote.answer(create) !== undefined, "the create's answer");
    let waitedMs = 0;
    const answered = (): boolean => probes.every((probe) => s.remote.answer(probe) !== undefined);
    if (heldUpMs > 0) {
      await until(() => {
        void networkClock.advance(500);
        waitedMs += 500;
        return answered();
      }, "all answers");
    }
    await until(answered, "all answers");
    expect(waitedMs).toBeGreaterThanOrEqual(heldUpMs);
  });

  test("more than two behind a long create cost the connection; it is back only when the handlers are done, and the create is never answered", async () => {
    const networkClock = new ManualClock();
    await using s = await stage({ networkClock, images: { "r.test/big": { pullMs: 40_000 } } });
    const create = await s.remote.send(FACTORY, "createWithConfig", { imageRef: "r.test/big:1", name: "big" });
    await until(() => s.device.commands().length === 1, "the create arrives");
    const probes: string[] = [];
    for (let count = 0; count < 6; count++) {
      probes.push(await s.remote.send(FACTORY, "probe"));
    }
    await until(() => s.device.commands().length === 4, "as many as fit arrive");
    const clients = (): number => s.broker.clientIds().length;
    await networkClock.advance(29_000);
    expect(clients()).toBe(2);
    await networkClock.advance(6000);
    await until(() => clients() === 1, "the connection breaks by its own keepalive");

    await networkClock.advance(5000);
    expect(clients()).toBe(1);
    await s.clock.advance(40_000);
    // Each answer of the four handlers now blocks for 30 s.
    await until(() => s.device.commands()[0]?.progress === "done", "the create is done");
    expect(s.device.container("big")).toMatchObject({ processStarts: 0 });
    let blockedMs = 0;
    await until(() => {
      void networkClock.advance(500);
      blockedMs += clients() === 1 ? 500 : 0;
      return s.device.commandsHeard;
    }, "the device is back");
    expect(blockedMs).toBeGreaterThan(3 * 30_000);
    await until(() => s.remote.answer(probes[2] ?? "") !== undefined, "late answers from the store");
    expect(s.remote.answer(create)).toBeUndefined();
    expect(probes.map((probe) => s.remote.answer(probe)?.status)).toEqual([
      404,
      404,
      404,
      undefined,
      undefined,
      undefined,
    ]);
    expect(s.device.everCreated()).toHaveLength(1);
  });
});

describe("rules on commands", () => {
  test("a lost reply: the effect is there, the answer is not, the next one is", async () => {
    await using s = await stage();
    s.device.faults.command({ operation: "createWithConfig", effect: { kind: "loseReply" } });
    const id = await s.remote.send(FACTORY, "createWithConfig", { imageRef: sleeper, name: "a" });
    expect((await s.remote.request(FACTORY, "createWithConfig", { imageRef: sleeper, name: "b" })).status).toBe(200);
    expect(s.remote.answers(id)).toEqual([]);
    expect(s.device.everCreated().map(({ name }) => name)).toEqual(["a", "b"]);
  });

  test("a rule skips, strikes as often as it says, and can be cleared", async () => {
    await using s = await stage();
    s.device.faults.command({ operation: "probe", skip: 1, times: 2, effect: { kind: "duplicateReply" } });
    const counts: number[] = [];
    for (let count = 0; count < 4; count++) {
      const id = await s.remote.send(FACTORY, "probe");
      await s.remote.request(FACTORY, "barrier");
      counts.push(s.remote.answers(id).length);
    }
    expect(counts).toEqual([1, 2, 2, 1]);
    s.device.faults.command({ times: "all", effect: { kind: "lose" } });
    const lost = await s.remote.send(FACTORY, "createWithConfig", { imageRef: sleeper });
    await until(() => s.device.commands().at(-1)?.progress === "lost", "the command is dropped");
    s.device.faults.clearRules();
    await s.remote.request(FACTORY, "probe");
    expect(s.remote.answers(lost)).toEqual([]);
    expect(s.device.everCreated()).toEqual([]);
  });

  test("a delayed reply does not hold the queue; a delayed command does", async () => {
    await using s = await stage();
    s.device.faults.command({ operation: "one", effect: { kind: "delayReply", ms: 5000 } });
    const one = await s.remote.send(FACTORY, "one");
    await s.remote.request(FACTORY, "two");
    expect(s.remote.answers(one)).toEqual([]);
    await s.clock.advance(5000);
    await until(() => s.remote.answers(one).length === 1, "the late reply");

    s.device.faults.command({ operation: "three", effect: { kind: "delay", ms: 5000 } });
    const three = await s.remote.send(FACTORY, "three");
    const four = await s.remote.send(FACTORY, "four");
    await until(() => s.device.commands().at(-1)?.progress === "waiting", "the queue");
    expect([three, four].flatMap((id) => s.remote.answers(id))).toEqual([]);
    await s.clock.advance(5000);
    await until(() => s.remote.answer(four) !== undefined, "both answers");
  });

  test.each([
    ["received", 0],
    ["executed", 1],
    ["answered", 1],
  ] as const)(
    "the daemon dies when a create is %s: %i containers, and none more after it is back",
    async (when, containers) => {
      await using s = await stage();
      s.device.faults.command({ operation: "createWithConfig", effect: { kind: "crash", when } });
      const id = await s.remote.send(FACTORY, "createWithConfig", { imageRef: sleeper, name: "a" });
      await until(() => !s.device.daemonRunning, "the daemon dies");
      await s.advanceUntil(() => s.device.commandsHeard, "the daemon is back");
      expect(s.device.everCreated()).toHaveLength(containers);
      expect(s.remote.answers(id)).toHaveLength(when === "answered" ? 1 : 0);
    },
  );

  test("a cut between the effect and the answer: the answer comes after the reconnection or not at all, the effect once", async () => {
    await using s = await stage({ networkClock: new ManualClock() });
    s.device.faults.command({ operation: "createWithConfig", effect: { kind: "disconnect", when: "executed" } });
    await s.remote.send(FACTORY, "createWithConfig", { imageRef: sleeper, name: "a" });
    await until(() => s.broker.clientIds().length === 1, "the connection is cut");
    expect(s.device.everCreated()).toHaveLength(1);
  });
});

describe("rules on events", () => {
  test("dropped, duplicated, delayed and reordered", async () => {
    await using s = await stage();
    const { faults } = s.device;
    const id = await s.remote.create("a", stubborn, { restartPolicy: { type: "NO" } });
    const container = `Container:${id}`;
    const states = (): unknown[] =>
      s.remote
        .events(`/features/${container}/properties/status/state`)
        .map((state) => (state as { status: string }).status);
    const names = (): unknown[] => s.remote.events(`/features/${container}/properties/status/name`);
    faults.event({ path: "/status/state", effect: { kind: "drop" } });
    await s.remote.request(container, "start");
    await s.remote.request(container, "pause");
    await until(() => states().includes("PAUSED"), "the second event");
    expect(states()).toEqual(["CREATED", "PAUSED"]);

    faults.event({ path: "/status/state", effect: { kind: "duplicate" } });
    await s.remote.request(container, "resume");
    await until(() => states().length === 4, "two events");
    expect(states().slice(2)).toEqual(["RUNNING", "RUNNING"]);

    faults.event({ path: "/status/name", effect: { kind: "delay", ms: 1000 } });
    await s.remote.request(container, "rename", "one");
    await s.remote.request(container, "rename", "two");
    await until(() => names().length === 1, "the event that was not delayed");
    await s.clock.advance(1000);
    await until(() => names().length === 2, "the delayed one");
    expect(names()).toEqual(["two", "one"]);

    faults.event({ path: "/status/name", effect: { kind: "reorder", count: 3 } });
    for (const name of ["x", "y", "z"]) {
      await s.remote.request(container, "rename", name);
    }
    await until(() => names().length === 5, "all three");
    expect(names().slice(2)).toEqual(["z", "y", "x"]);
  });
});

test("an operation that changes nothing says nothing: the same name, no name, the same policy", async () => {
  await using s = await stage();
  const id = await s.remote.create("a", sleeper, { restartPolicy: { type: "NO" } });
  s.remote.messages.length = 0;
  for (const [operation, value] of [
    ["rename", "a"],
    ["rename", ""],
    ["update", { restartPolicy: { type: "no" }, unknown: 1 }],
    ["update", {}],
  ] as const) {
    expect((await s.remote.request(`Container:${id}`, operation, value)).status).toBe(204);
  }
  // An event of the last one would be on its way before the first answer to these.
  await s.remote.request("ContainerFactory", "probe");
  await s.remote.request("ContainerFactory", "probe");
  expect(s.remote.paths()).toEqual([]);
});

describe("pulls", () => {
  test("a failure that begins during the pull strikes it; a local image needs no registry", async () => {
    await using s = await stage({ images: { "r.test/big": { pullMs: 10_000 } } });
    const create = async (): Promise<string> =>
      s.remote.send(FACTORY, "createWithConfig", { imageRef: "r.test/big:1", name: "a" });
    const first = await create();
    await until(() => s.device.commands().length === 1, "the pull begins");
    s.device.faults.pullFailure("r.test/big:1", "refused");
    await s.clock.advance(10_000);
    await until(() => s.remote.answer(first) !== undefined, "the answer");
    expect(s.remote.answer(first)?.value).toEqual({
      error: "messages:execution.failed",
      status: 500,
      message:
        'failed to resolve reference "r.test/big:1": failed to do request: Head "https://r.test/v2/big/manifests/1": dial tcp r.test:443: connect: connection refused',
    });
    s.device.faults.pullFailure("r.test/big:1", undefined);
    const second = await create();
    await until(() => s.device.commands().length === 2, "the pull begins");
    await s.clock.advance(10_000);
    await until(() => s.remote.answer(second)?.status === 200, "the answer");
    s.device.faults.pullFailure("r.test/big:1", "denied");
    expect((await s.remote.request(FACTORY, "create", { imageRef: "r.test/big:1" })).status).toBe(200);
  });

  test.each([
    ["bb", "object required"],
    ["bb:1", "object required"],
    ["docker.io/library/nginx", "object required"],
    ["nginx:latest", 'parse "dummy://nginx:latest": invalid port ":latest" after host'],
    [
      "library/nginx:1",
      'failed to do request: Head "https://library/v2/nginx/manifests/1": dial tcp: lookup library on',
    ],
    ["r.test/absent:1", "r.test/absent:1: not found"],
    ["r.test/private:1", "pull access denied, repository does not exist or may require authorization"],
  ])("%s cannot be pulled", async (imageRef, message) => {
    await using s = await stage();
    const { status, value } = await s.remote.request(FACTORY, "create", { imageRef });
    expect(status).toBe(500);
    expect((value as { message: string }).message).toContain(`failed to resolve reference "${imageRef}": ${message}`);
  });
});

describe("the human beside us", () => {
  test("containers made, changed and removed by the local tool show in the twin and take no turn in the queue", async () => {
    await using s = await stage({ images: { "r.test/big": { pullMs: 60_000 } } });
    await s.remote.send(FACTORY, "create", { imageRef: "r.test/big:1" });
    await until(() => s.device.commands()[0]?.progress === "executing", "a long create");
    const id = await s.device.human.create({ name: "mine", image: sleeper });
    await s.device.human.rename("mine", "still-mine");
    await s.device.human.update(id, { resources: { memory: "64M" } });
    await s.device.human.remove("still-mine");
    const path = `/features/Container:${id}`;
    await until(
      () => s.remote.messages.some(({ payload }) => payload.path === path && payload.value === undefined),
      "the deletion",
    );
    expect(s.remote.events(`${path}/properties/status/name`)).toEqual(["still-mine"]);
    expect(s.remote.events(`${path}/properties/status/config`)).toMatchObject([{ resources: { memory: "64M" } }]);
    expect(s.device.everCreated()).toMatchObject([
      { name: "still-mine", createdBy: "human", exists: false, processStarts: 1 },
    ]);
  });
});

test("a start sent before the feature of its container is registered is told that there is no such feature", async () => {
  await using s = await stage();
  // The broker's acknowledgement of the feature is what registers it; the answer of the create does not wait for that.
  s.device.faults.event({ path: "/features/Container:", effect: { kind: "slow", ms: 1000 } });
  const { status, value } = await s.remote.request(FACTORY, "createWithConfig", { imageRef: sleeper, name: "a" });
  expect(status).toBe(200);
  expect(await s.remote.request(`Container:${String(value)}`, "start")).toMatchObject({
    status: 400,
    value: { message: `feature [Container:${String(value)}] not found ` },
  });
  await s.clock.advance(1000);
  await until(
    () => s.remote.events(`/features/Container:${String(value)}/properties/status/state`).length === 1,
    "the registration",
  );
  expect((await s.remote.request(`Container:${String(value)}`, "start")).status).toBe(204);
});

test("a deletion that was never told is made up for at the next registration", async () => {
  await using s = await stage();
  const id = await s.remote.create("a", sleeper);
  s.device.faults.event({
    path: `/features/Container:${id}/properties/status/state`,
    effect: { kind: "slow", ms: 60_000 },
  });
  await s.device.human.remove("a");
  await until(() => s.remote.state(id)["status"] === "DEAD", "its death");
  s.remote.messages.length = 0;
  s.device.faults.crash();
  await s.advanceUntil(() => s.device.commandsHeard, "the next process of the daemon");
  const deletions = s.remote.messages.filter(({ payload }) => payload.path === `/features/Container:${id}`);
  expect(deletions.map(({ payload }) => payload.value)).toEqual([undefined]);
});

test("a container in host network mode takes over the machine's name, and the twin learns it with the next full registration", async () => {
  await using s = await stage({ hostName: "gateway" });
  const id = await s.remote.create("a", sleeper, { networkMode: "HOST" });
  expect((await s.remote.request(`Container:${id}`, "start")).status).toBe(204);
  const hostNames = (): unknown[] =>
    s.remote
      .events(`/features/Container:${id}`)
      .map((feature) => JSON.stringify(feature).match(/"hostName":"([^"]*)"/)?.[1]);
  expect(hostNames()).toEqual(["a-host"]);
  s.device.announce("edge:again");
  await until(() => hostNames().length === 2, "the registration");
  expect(hostNames()).toEqual(["a-host", "gateway"]);
});

test("a stalled daemon takes its commands afterwards, in order", async () => {
  await using s = await stage();
  s.device.faults.stall(10_000);
  const first = await s.remote.send(FACTORY, "one");
  const second = await s.remote.send(FACTORY, "two");
  await until(() => s.device.commands().length === 2, "both arrive");
  await s.clock.advance(9999);
  expect(s.remote.messages.filter(({ topic }) => topic.includes("/res/"))).toEqual([]);
  await s.clock.advance(1);
  await until(() => s.remote.answer(second) !== undefined, "both answers");
  expect(s.remote.answer(first)?.status).toBe(404);
});
