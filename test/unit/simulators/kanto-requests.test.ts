import { describe, expect, test } from "vitest";
import { thingId, thingTopic } from "../../../src/simulators/kanto/twin.ts";
import { Remote, sleeper, stage } from "./remote.ts";
import { until } from "./replay.ts";

const FACTORY = "ContainerFactory";
const headers = (changes: Record<string, unknown>): Record<string, unknown> => ({
  headers: { "response-required": true, "content-type": "application/json", "correlation-id": "c", ...changes },
});

describe("a request is refused before it runs, on its inbox path", () => {
  test.each([
    ["without correlation id", headers({ "correlation-id": undefined }), 400, "correlation id header is missing"],
    ["with a value but no content type", headers({ "content-type": undefined }), 400, "missing content type header"],
    [
      "with parameters in the content type",
      headers({ "content-type": "application/json; charset=utf-8" }),
      400,
      "unsupported content type header application/json; charset=utf-8",
    ],
    ["with a content type but no value", { value: null }, 400, "unexpected content type header application/json"],
    [
      "for another thing",
      { topic: "edge/other:edge:containers/things/live/messages/create" },
      404,
      "thing with ID = edge:device:edge:containers is not found",
    ],
    ["for an unknown feature", { path: "/features/Nope/inbox/messages/create" }, 400, "feature [Nope] not found "],
    [
      "for the thing itself",
      { path: "/inbox/messages/create" },
      404,
      "the target thing ID = edge:device:edge:containers does not have e registered operations handler",
    ],
    [
      "with a path of no known form",
      { path: "/features/ContainerFactory/create" },
      400,
      "missing operation name for device id [edge:device:edge:containers]",
    ],
  ])("%s", async (_what, overrides, status, message) => {
    await using s = await stage();
    const answer = await s.remote.request(FACTORY, "create", { imageRef: sleeper }, overrides);
    expect(answer.status).toBe(status);
    expect(answer.path).toBe((overrides as { path?: string }).path ?? `/features/${FACTORY}/inbox/messages/create`);
    expect(answer.headers?.["content-type"]).toBe("application/json");
    expect(answer.value).toMatchObject({
      status,
      error: status === 400 ? "messages:parameter.invalid" : "messages:subject.notfound",
    });
    expect((answer.value as { message: string }).message).toContain(message);
    expect(s.device.everCreated()).toEqual([]);
  });
});

describe("a request is executed and not answered", () => {
  test.each([
    ["on a topic with an empty request id", "", true],
    ["without the response-required header", "r1", undefined],
    ["with response-required false", "r1", false],
  ])("%s", async (_what, requestId, responseRequired) => {
    await using s = await stage();
    const envelope = {
      topic: "edge/device:edge:containers/things/live/messages/createWithConfig",
      headers: { "content-type": "application/json", "correlation-id": "c1", "response-required": responseRequired },
      path: `/features/${FACTORY}/inbox/messages/createWithConfig`,
      value: { imageRef: sleeper, name: "one-way" },
    };
    await s.remote.raw(requestId, JSON.stringify(envelope));
    // A two-way request behind it is answered only after it was done.
    expect((await s.remote.request(FACTORY, "probe")).status).toBe(404);
    expect(s.device.container("one-way").processStarts).toBe(0);
    expect(s.remote.messages.filter(({ topic }) => topic.includes("/res/"))).toHaveLength(1);
  });
});

describe("answers", () => {
  test("an unknown operation is answered 404 on the outbox path and changes nothing", async () => {
    await using s = await stage();
    const answer = await s.remote.request(FACTORY, "drayage-probe");
    expect(answer).toEqual({
      status: 404,
      path: `/features/${FACTORY}/outbox/messages/drayage-probe`,
      headers: { "content-type": "application/json", "correlation-id": expect.any(String) as string },
      value: { error: "messages:subject.notfound", status: 404, message: "unsupported operation drayage-probe" },
    });
    expect(s.device.everCreated()).toEqual([]);
  });

  test("a request that is none is left alone: a topic with more segments, or bytes on a one-way topic", async () => {
    await using s = await stage();
    await s.remote.client.publishAsync("command//edge:device:edge:containers/req/r/a/b", "garbage", { qos: 1 });
    await s.remote.raw("", "garbage");
    expect((await s.remote.request(FACTORY, "probe")).status).toBe(404);
    expect(s.device.panics).toEqual([]);
  });
});

describe("identity", () => {
  test("nothing but the request for it is heard of a device before it has one; afterwards all features are", async () => {
    await using s = await stage();
    await using other = await stage({ brokerUrl: s.broker.url, deviceId: "edge:second", answerIdentity: true });
    const remote = await Remote.connect(s.broker.url);
    const { startKantoDevice, startConnector } = await import("../../../src/simulators/kanto/index.ts");
    const shy = await startKantoDevice({ brokerUrl: s.broker.url, deviceId: "edge:shy", reconnectMs: 10 });
    await until(() => remote.messages.some(({ topic }) => topic === "edge/thing/request"), "the request");
    expect(remote.messages.map(({ payload }) => payload)).toEqual([{ topic: "", headers: null, path: "" }]);
    expect(shy.online).toBe(false);

    const connector = await startConnector({ brokerUrl: s.broker.url, deviceId: "edge:shy", tenantId: "t9" });
    await connector.announce();
    await until(() => shy.commandsHeard, "the device hears commands");
    const told = remote.messages
      .filter(({ topic }) => topic === "e/t9/edge:shy:edge:containers")
      .map(({ payload }) => payload.path);
    expect(new Set(told)).toEqual(
      new Set(["/features/ContainerFactory", "/features/Metrics", "/features/SoftwareUpdatable"]),
    );
    // Devices with a connector of their own did not mistake the announcement for theirs.
    expect(other.device.online).toBe(true);

    // With its cloud link down the connector answers nothing; the device connects and stays without an identity.
    connector.pause();
    shy.faults.disconnect();
    await until(() => shy.connections === 2, "the second connection");
    await until(
      () => remote.messages.filter(({ topic }) => topic === "edge/thing/request").length === 2,
      "the request",
    );
    expect(shy.online).toBe(false);
    connector.resume();
    await connector.announce("edge:new");
    await until(() => shy.commandsHeard, "the device hears commands");
    connector.stop();
    await shy.stop();
    await remote.client.endAsync(true);
  });

  test.each([["{}"], ["null"]])(
    "%s is the identity of no device: it goes by that, and is deaf until it is told better",
    async (none) => {
      await using s = await stage();
      const { startKantoDevice, startConnector } = await import("../../../src/simulators/kanto/index.ts");
      const device = await startKantoDevice({ brokerUrl: s.broker.url, deviceId: "edge:shy", reconnectMs: 10 });
      const connector = await startConnector({ brokerUrl: s.broker.url, deviceId: "edge:shy", tenantId: "t9" });
      await connector.announce();
      await until(() => device.commandsHeard, "the device hears commands");
      await s.remote.client.publishAsync("edge/thing/response", none, { qos: 1 });
      const misled = (): string[] =>
        s.remote.messages
          .filter(({ topic }) => topic === "e//::edge:containers")
          .map(({ payload }) => payload.path ?? "");
      await until(() => misled().includes(`/features/${FACTORY}`), "what it says as nobody");
      s.remote.messages.length = 0;
      await connector.announce();
      await until(
        () => s.remote.messages.some(({ topic }) => topic === "e/t9/edge:shy:edge:containers"),
        "what it says as itself",
      );
      connector.stop();
      await device.stop();
    },
  );

  test.each([["[]"], ['"text"'], ['{"deviceId":5}']])("%s is no identity, and changes nothing", async (none) => {
    await using s = await stage({ answerIdentity: true });
    s.remote.messages.length = 0;
    await s.remote.client.publishAsync("edge/thing/response", none, { qos: 1 });
    expect((await s.remote.request(FACTORY, "probe")).status).toBe(404);
    expect(s.remote.paths()).toEqual([]);
  });

  test("a registration that crosses a removal publishes the container once more, as DEAD", async () => {
    await using s = await stage();
    const values = (path: string): unknown[] =>
      s.remote.messages.filter(({ payload }) => payload.path === path).map(({ payload }) => payload.value);
    // The daemon registers its features in no order: only where the containers come first does the one cross the other.
    for (let round = 0; ; round++) {
      expect(round).toBeLessThan(100);
      const id = await s.remote.create("a", sleeper);
      const path = `/features/Container:${id}`;
      s.remote.messages.length = 0;
      const removed = s.device.human.remove(id);
      while (s.device.container(id).state["status"] !== "DEAD") await Promise.resolve();
      s.device.announce(`edge:crossing-${round}`);
      await removed;
      await until(() => values(`/features/${FACTORY}`).length > 0, "the registration");
      await s.remote.request(FACTORY, "probe");
      const dead = values(path).find((value) => JSON.stringify(value ?? "").includes('"DEAD"'));
      if (dead === undefined) continue;
      expect(dead).toMatchObject({ properties: { status: { state: { status: "DEAD", pid: -1 } } } });
      expect(s.device.containers().filter(({ exists }) => exists)).toEqual([]);
      return;
    }
  });

  test("the same identity again changes nothing; another policy publishes everything again, containers before the factory", async () => {
    await using s = await stage();
    const id = await s.remote.create("a", sleeper);
    const announce = async (policyId: string): Promise<void> => {
      await s.remote.client.publishAsync(
        "edge/thing/response",
        JSON.stringify({ deviceId: "edge:device", tenantId: "t1", policyId }),
        { qos: 1 },
      );
    };
    s.remote.messages.length = 0;
    await announce("edge:policy");
    await s.remote.request(FACTORY, "probe");
    expect(s.remote.paths()).toEqual([]);
    await announce("edge:another");
    await until(() => s.remote.paths().length === 4, "the features");
    const paths = s.remote.paths();
    expect(paths.toSorted()).toEqual([
      `/features/Container:${id}`,
      "/features/ContainerFactory",
      "/features/Metrics",
      "/features/SoftwareUpdatable",
    ]);
    expect(paths.indexOf(`/features/Container:${id}`)).toBeLessThan(paths.indexOf("/features/ContainerFactory"));
    expect(
      s.remote.messages.find(({ payload }) => payload.path === "/features/SoftwareUpdatable")?.payload.value,
    ).toEqual({
      definition: ["org.eclipse.hawkbit.swupdatable:SoftwareUpdatable:2.0.0"],
      properties: {
        status: {
          softwareModuleType: "oci:container",
          installedDependencies: {
            [`reg.test.${id}:5000%2Fapp%2Fsleeper:1`]: { group: "reg.test", name: id, version: "5000/app/sleeper:1" },
          },
        },
      },
    });
  });

  test("an echoed twin event takes a feature's handler away until everything is registered anew", async () => {
    await using s = await stage();
    const echo = {
      topic: "edge/device:edge:containers/things/twin/events/modified",
      path: `/features/${FACTORY}`,
      value: {},
    };
    await s.remote.raw("", JSON.stringify(echo), "modified");
    expect(await s.remote.request(FACTORY, "create", { imageRef: sleeper })).toMatchObject({
      status: 404,
      value: {
        message: expect.stringContaining(
          "the target feature ContainerFactory does not have e registered operations handler",
        ) as string,
      },
    });
    s.device.announce("edge:repaired");
    await until(
      () => s.remote.paths().filter((path) => path === `/features/${FACTORY}`).length > 1,
      "the new registration",
    );
    await until(() => s.device.commandsHeard, "the device hears commands");
    expect((await s.remote.request(FACTORY, "create", { imageRef: sleeper })).status).toBe(200);
  });
});

test("announcements that come on top of each other are taken one by one, and commands are heard afterwards", async () => {
  await using s = await stage();
  s.device.faults.disconnect();
  // No more than fit in its channels: a fourth message would keep it from reading what the first waits for.
  for (let round = 0; round < 3; round++) {
    s.device.announce(`edge:policy-${round}`);
    await s.remote.client.publishAsync(
      "edge/thing/response",
      JSON.stringify({ deviceId: "edge:device", tenantId: "t1", policyId: `edge:other-${round}` }),
      { qos: 1 },
    );
  }
  await until(() => s.device.connections === 2 && s.device.commandsHeard, "the device hears commands again");
  const registrations = (): number => s.remote.paths().filter((path) => path === `/features/${FACTORY}`).length;
  const answers: number[] = [];
  // Between two registrations the factory is unknown for a moment (400); after the last it is not.
  for (let before = -1; before !== registrations() || answers.at(-1) !== 404;) {
    before = registrations();
    answers.push((await s.remote.request(FACTORY, "probe")).status);
  }
  expect(new Set(answers)).toEqual(new Set(answers.includes(400) ? [400, 404] : [404]));
});

test("the containers thing of a device, also of one whose id has no namespace", () => {
  expect(["edge:device", "plain"].map(thingId)).toEqual(["edge:device:edge:containers", "plain::edge:containers"]);
  expect(["edge:device", "plain"].map(thingId).map(thingTopic)).toEqual([
    "edge/device:edge:containers",
    "plain/:edge:containers",
  ]);
});
