import { describe, expect, test } from "vitest";
import { crasher, sleeper, stage } from "./remote.ts";
import { until } from "./replay.ts";

const good = {
  topic: "edge/device:edge:containers/things/live/messages/create",
  headers: { "response-required": true, "correlation-id": "c1" },
  path: "/features/ContainerFactory/inbox/messages/create",
};

describe("inputs that end the daemon's process", () => {
  test.each([
    ["an empty payload", ""],
    ["something that is not JSON", "start it, please"],
    ["JSON that is no object", "[1]"],
    ["a topic of two segments", JSON.stringify({ ...good, topic: "edge/device" })],
    ["no topic", JSON.stringify({ ...good, topic: undefined })],
    ["no path", JSON.stringify({ ...good, path: undefined })],
    ["headers that are no object", JSON.stringify({ ...good, headers: "none" })],
    [
      "response-required as text",
      JSON.stringify({ ...good, headers: { ...good.headers, "response-required": "true" } }),
    ],
    [
      "a correlation id that is a number",
      JSON.stringify({ ...good, headers: { ...good.headers, "correlation-id": 5 } }),
    ],
    [
      "null in a list of objects",
      JSON.stringify({
        ...good,
        headers: { ...good.headers, "content-type": "application/json" },
        path: "/features/ContainerFactory/inbox/messages/createWithConfig",
        value: { imageRef: sleeper, config: { devices: [null] } },
      }),
    ],
  ])("%s", async (_what, payload) => {
    await using s = await stage();
    const id = await s.remote.create("survivor", sleeper);
    await s.remote.request(`Container:${id}`, "start");
    await s.remote.raw("r1", payload);
    await until(() => s.device.panics.length === 1, "the panic");
    await until(() => s.broker.clientIds().length === 1, "the broker sees it gone");
    expect(s.remote.answers("r1")).toEqual([]);
    expect(s.device.container("survivor")).toMatchObject({ state: { status: "RUNNING" }, processStarts: 1 });

    s.remote.messages.length = 0;
    await s.advanceUntil(() => s.device.commandsHeard, "the next process of the daemon");
    expect(s.device.daemonStarts).toBe(2);
    const feature = s.remote.messages.find(({ payload: { path } }) => path === `/features/Container:${id}`);
    expect(feature?.payload.value).toMatchObject({ properties: { status: { state: { status: "RUNNING" } } } });
    expect(s.device.container("survivor").processStarts).toBe(1);
  });
});

test("a container event while nobody answers the request for an identity ends the daemon's process", async () => {
  await using s = await stage();
  const id = await s.remote.create("loop", crasher, { restartPolicy: { type: "ALWAYS" } });
  await s.remote.request(`Container:${id}`, "start");
  // The answer is withheld: the daemon reconnects and waits for it while the container goes on crashing.
  s.device.withholdIdentity(true);
  s.device.faults.disconnect();
  await s.advanceUntil(() => s.device.panics.length > 0, "the panic");
  expect(s.device.panics[0]).toContain("event without a device");
  s.device.withholdIdentity(false);
  await s.advanceUntil(() => s.device.commandsHeard, "the next process of the daemon");
  expect(s.device.everCreated()).toHaveLength(1);
});
