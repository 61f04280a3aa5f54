import { describe, expect, test } from "vitest";
import { dittoThing, kantoTarget, kantoTopics, routeTopic } from "../../../../src/backends/kanto/topics.ts";

function target(thingId: string, prefix?: string) {
  const found = kantoTarget(thingId, prefix);
  if (found === undefined) throw new Error(`no target for ${thingId}`);
  return found;
}

describe("kantoTarget", () => {
  test("takes the containers thing and the gateway id for the same target", () => {
    const expected = { topicPrefix: "", gatewayId: "edge:device", thingId: "edge:device:edge:containers" };
    expect(kantoTarget("edge:device:edge:containers")).toEqual(expected);
    expect(kantoTarget("edge:device")).toEqual(expected);
  });

  test.each(["device", "", ":device", "edge:", "edge:de/vice", "edge:+", "edge:#", "edge:a b"])(
    "refuses %j, which has no namespace or does not fit into a topic",
    (thingId) => expect(kantoTarget(thingId)).toBeUndefined(),
  );

  test("keeps colons in the name", () => {
    expect(target("edge:site:7").thingId).toBe("edge:site:7:edge:containers");
    expect(dittoThing("edge:site:7:edge:containers")).toBe("edge/site:7:edge:containers");
  });
});

describe("kantoTopics", () => {
  test("are the daemon's own, below the prefix", () => {
    const topics = kantoTopics(target("edge:device", "site-7/"));
    expect(topics.filters).toEqual([
      "site-7/command//edge:device:edge:containers/res/#",
      "site-7/e/+/edge:device:edge:containers",
      "site-7/edge/thing/request",
      "site-7/edge/thing/response",
    ]);
    expect(topics.command("r1", "start")).toBe("site-7/command//edge:device:edge:containers/req/r1/start");
    expect(topics.identityResponse).toBe("site-7/edge/thing/response");
  });
});

describe("routeTopic", () => {
  const plain = target("edge:device");
  const site = target("edge:device", "site-7/");

  test("reads answers, events and identity topics", () => {
    expect(routeTopic(plain, "command//edge:device:edge:containers/res/r-1/204")).toEqual({
      kind: "Response",
      requestId: "r-1",
      status: 204,
    });
    expect(routeTopic(plain, "e/t1/edge:device:edge:containers")).toEqual({ kind: "Event", tenant: "t1" });
    expect(routeTopic(plain, "edge/thing/request")).toEqual({ kind: "IdentityRequest" });
    expect(routeTopic(site, "site-7/edge/thing/response")).toEqual({ kind: "IdentityResponse" });
  });

  test.each([
    "command//edge:device:edge:containers/res/r-1/ok",
    "command//edge:device:edge:containers/res/r-1",
    "command//edge:device:edge:containers/res/r-1/200/more",
    "command//edge:other:edge:containers/res/r-1/200",
    "e/t1/edge:other:edge:containers",
    "e/t1/edge:device:edge:containers/x",
    "t/t1/edge:device:edge:containers",
    "",
  ])("has no meaning for %j", (topic) => expect(routeTopic(plain, topic)).toBeUndefined());

  test("does not take another site's messages", () => {
    expect(routeTopic(site, "site-8/e/t1/edge:device:edge:containers")).toBeUndefined();
    expect(routeTopic(site, "e/t1/edge:device:edge:containers")).toBeUndefined();
  });
});
