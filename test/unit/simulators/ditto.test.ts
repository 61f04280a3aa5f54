/** The Ditto simulator, seen with plain HTTP: what its API answers, what its twins show, and what each fault does. */
import { get as httpGet, type IncomingMessage } from "node:http";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { startDitto, type Ditto } from "../../../src/simulators/ditto/index.ts";
import { startKantoDevice, type KantoDevice } from "../../../src/simulators/kanto/index.ts";
import { startBroker, type TestBroker } from "../../mqtt/broker.ts";
import { until } from "./replay.ts";

const THING = "edge:device:edge:containers";
const BASIC = { authorization: `Basic ${Buffer.from("drayage:pw").toString("base64")}` };
const SECOND_MS = 100;

let broker: TestBroker;
let device: KantoDevice;
let ditto: Ditto;
const streams: IncomingMessage[] = [];

beforeEach(async () => {
  broker = await startBroker();
  device = await startKantoDevice({
    brokerUrl: broker.url,
    deviceId: "edge:device",
    answerIdentity: true,
    startMs: 5,
    images: { "r.test/slow": { pullMs: 8 * SECOND_MS } },
  });
  await until(() => device.commandsHeard, "the device");
  ditto = await startDitto({
    brokerUrl: broker.url,
    things: [THING, "edge:other"],
    secondMs: SECOND_MS,
    users: {
      basic: { drayage: "pw", reader: "pw", stranger: "pw" },
      bearer: { token: "iam:drayage" },
      preAuthenticated: true,
      rights: {
        "nginx:reader": { read: true, message: false },
        "nginx:stranger": { read: false, message: false },
      },
    },
  });
  device.announce("edge:policy-2");
  await until(() => "Metrics" in (ditto.thing(THING)?.features ?? {}), "the twin");
});
afterEach(async () => {
  for (const stream of streams.splice(0)) stream.destroy();
  await ditto.close();
  await device.stop();
  await broker.close();
});

interface Answer {
  status: number;
  body: Record<string, unknown> | string | undefined;
  headers: Headers;
}

async function ask(path: string, headers: Record<string, string> = BASIC, init: RequestInit = {}): Promise<Answer> {
  const response = await fetch(`${ditto.url}/api/2${path}`, { ...init, headers });
  const body = await response.text();
  return {
    status: response.status,
    body: body === "" ? undefined : (JSON.parse(body) as Answer["body"]),
    headers: response.headers,
  };
}

const post = (feature: string, subject: string, value: unknown, timeout = 10, headers = BASIC): Promise<Answer> =>
  ask(
    `/things/${encodeURIComponent(THING)}/features/${encodeURIComponent(feature)}/inbox/messages/${subject}?timeout=${timeout}`,
    { ...headers, "content-type": "application/json" },
    { method: "POST", body: JSON.stringify(value) },
  );

const create = (name: string, image = "r.test/sleeper:1", timeout = 10): Promise<Answer> =>
  post("ContainerFactory", "createWithConfig", { imageRef: image, name, start: false, config: {} }, timeout);

const gone = (sent: Promise<unknown>): Promise<string> =>
  sent.then(
    () => "answered",
    () => "broken",
  );

const text = (body: Answer["body"]): string => (typeof body === "string" ? body : "");

const thing = async (fields = ""): Promise<Record<string, unknown>> => {
  const { body } = await ask(`/things/${encodeURIComponent(THING)}${fields}`);
  return body as Record<string, unknown>;
};

/** Opens a stream; returns what comes on it, text as it is. */
async function stream(query = `ids=${THING}&fields=thingId,_revision,_context/topic,_context/path,_context/value`) {
  const seen = { text: "", ended: false };
  const { promise, resolve } = Promise.withResolvers<IncomingMessage>();
  const headers = { ...BASIC, accept: "text/event-stream" };
  // Streams that break are what some tests are about.
  httpGet(`${ditto.url}/api/2/things?${query}`, { headers }, resolve).on("error", () => (seen.ended = true));
  const response = await promise;
  streams.push(response);
  response.on("data", (chunk: Buffer) => (seen.text += chunk.toString("utf8")));
  response.on("error", () => (seen.ended = true));
  response.on("close", () => (seen.ended = true));
  return {
    seen,
    events: () =>
      seen.text
        .split("\n\n")
        // What has not come in full.
        .slice(0, -1)
        .filter((block) => block.startsWith("data:{"))
        .map((block) => JSON.parse(block.slice(5)) as Record<string, unknown>),
  };
}

describe("messages", () => {
  test("reach the device, and its answer is the answer: status, value, and no body with 204", async () => {
    const made = await create("web");
    expect(made.status).toBe(200);
    expect(made.body).toBe(device.container("web").id);
    const started = await post(`Container:${text(made.body)}`, "start", {});
    expect([started.status, started.body]).toEqual([204, undefined]);
    expect(ditto.messages.map(({ subject, status, forwarded }) => [subject, status, forwarded])).toEqual([
      ["createWithConfig", 200, true],
      ["start", 204, true],
    ]);
  });

  test("a device's own errors come through with its codes and without a description", async () => {
    expect(await post("ContainerFactory", "probe", {})).toMatchObject({
      status: 404,
      body: { error: "messages:subject.notfound", status: 404 },
    });
    const unknown = await post("Container:nope", "start", {});
    expect(unknown).toMatchObject({ status: 400, body: { error: "messages:parameter.invalid" } });
    expect(unknown.body).not.toHaveProperty("description");
  });

  test("408 when no answer came in time; the device goes on, and the twin shows what it did", async () => {
    const late = await create("web", "r.test/slow:1", 2);
    expect(late).toMatchObject({ status: 408, body: { error: "command.timeout", status: 408 } });
    await until(() => device.containers().length === 1, "the container");
    await until(() => Object.keys(ditto.thing(THING)?.features ?? {}).some((id) => id.startsWith("Container:")), "it");
  });

  test("timeout 0 is told 202 at once, executed, and never answered", async () => {
    expect((await create("web", "r.test/slow:1", 0)).status).toBe(202);
    await until(() => device.containers().length === 1, "the container");
  });

  test("a timeout above the maximum is refused before anything is sent", async () => {
    expect(await create("web", "r.test/sleeper:1", 61)).toMatchObject({
      status: 400,
      body: { error: "timeout.invalid", message: expect.stringContaining("<0s - 60s>") },
    });
    expect(ditto.messages).toEqual([]);
  });

  test("too large, unknown things and missing rights are refused in Ditto's words, and a thing that may not be seen is not there", async () => {
    expect(await post("ContainerFactory", "x", "y".repeat(300_000))).toMatchObject({
      status: 413,
      body: { error: "messages:payload.toolarge" },
    });
    const as = (user: string) => ({ authorization: `Basic ${Buffer.from(`${user}:pw`).toString("base64")}` });
    expect(await post("ContainerFactory", "x", {}, 1, as("reader"))).toMatchObject({
      status: 403,
      body: { error: "messages:send.notallowed" },
    });
    expect(await post("ContainerFactory", "x", {}, 1, as("stranger"))).toMatchObject({
      status: 404,
      body: { error: "things:thing.notfound" },
    });
    expect(await ask("/things/edge:nothing")).toMatchObject({ status: 404, body: { error: "things:thing.notfound" } });
    expect(device.commands()).toEqual([]);
  });

  test.each([
    ["before", 429, false],
    ["before", 503, false],
    ["after", 503, true],
    ["after", 424, true],
    ["after", 502, true],
  ] as const)("can be refused %s they were passed on: %i", async (when, status, executed) => {
    ditto.faults.message({ subject: "createWithConfig", effect: { kind: "status", status, when, retryAfterS: 3 } });
    const refused = await create("web");
    expect(refused.status).toBe(status);
    expect(refused.headers.get("retry-after")).toBe("3");
    await post("ContainerFactory", "probe", {});
    expect(device.containers()).toHaveLength(executed ? 1 : 0);
  });

  test.each([
    [{ kind: "lose" }, "408", 0],
    [{ kind: "loseReply" }, "408", 1],
    [{ kind: "cut", when: "before" }, "broken", 0],
    [{ kind: "cut", when: "after" }, "broken", 1],
    [{ kind: "cut", when: "answered" }, "broken", 1],
  ] as const)("can get lost: %o", async (effect, ending, made) => {
    ditto.faults.message({ subject: "createWithConfig", effect });
    const sent = create("web", "r.test/sleeper:1", 2).then(({ status }) => String(status));
    expect(await sent.catch(() => "broken")).toBe(ending);
    await post("ContainerFactory", "probe", {});
    expect(device.containers()).toHaveLength(made);
  });
});

describe("the twin", () => {
  test("shows the features of the device; special fields only when asked for", async () => {
    const made = await create("web");
    const feature = `Container:${text(made.body)}`;
    await until(() => feature in (ditto.thing(THING)?.features ?? {}), "the twin");
    const all = await thing();
    expect(Object.keys(all["features"] as object).toSorted()).toEqual(
      [feature, "ContainerFactory", "Metrics", "SoftwareUpdatable"].toSorted(),
    );
    expect(all).not.toHaveProperty("_revision");
    const { _revision, features, ...rest } = await thing("?fields=_revision,features/ContainerFactory");
    expect(_revision).toBeGreaterThan(4);
    expect(Object.keys(features as object)).toEqual(["ContainerFactory"]);
    expect(rest).toEqual({});
    const { body } = await ask(`/things?ids=${THING},edge:nothing&fields=thingId`);
    expect(body).toEqual([{ thingId: THING }]);
  });

  test("stays as it was while the link is down, and catches up behind it, in order", async () => {
    const made = await create("web");
    const id = text(made.body);
    const state = (): unknown =>
      (ditto.thing(THING)?.features[`Container:${id}`]?.["properties"] as Record<string, Record<string, unknown>>)?.[
        "status"
      ]?.["state"];
    await until(() => state() !== undefined, "the container");
    ditto.linkDown(THING);
    await device.human.start(id);
    expect((await post("ContainerFactory", "probe", {}, 1)).status).toBe(408);
    expect(state()).toMatchObject({ status: "CREATED" });
    ditto.linkUp(THING);
    await until(() => (state() as Record<string, unknown>)["status"] === "RUNNING", "the news");
  });

  test("an event for a feature that is not there changes nothing", async () => {
    const before = ditto.thing(THING)?.revision ?? 0;
    ditto.faults.twin({ path: "/features/Container:", effect: "drop" });
    const made = await create("web");
    await device.human.start(text(made.body));
    await until(() => (ditto.thing(THING)?.revision ?? 0) > before, "other news");
    expect(ditto.thing(THING)?.features).not.toHaveProperty(`Container:${text(made.body)}`);
  });
});

describe("streams", () => {
  test("tell each change with its path, value and revision, and beat once a second", async () => {
    const { seen, events } = await stream();
    const made = await create("web");
    const id = text(made.body);
    await post(`Container:${id}`, "remove", true);
    await until(() => events().some((event) => JSON.stringify(event).includes("events/deleted")), "the removal");
    const own = events().filter((event) => JSON.stringify(event["_context"]).includes(`/features/Container:${id}`));
    expect(own[0]).toMatchObject({
      thingId: THING,
      _context: {
        topic: "edge/device:edge:containers/things/twin/events/created",
        path: `/features/Container:${id}`,
        value: { properties: { status: { name: "web" } } },
      },
    });
    expect(own.at(-1)).toMatchObject({ _context: { path: `/features/Container:${id}`, value: null } });
    const revisions = events().map((event) => Number(event["_revision"]));
    expect(revisions).toEqual(revisions.toSorted((a, b) => a - b));
    await until(() => seen.text.includes("data:\n\n"), "a heart-beat");
  });

  test("tell nothing of other things, nothing twice after a reconnection, and nothing before the subscription holds", async () => {
    ditto.faults.subscribeMs = 60_000;
    const early = await stream();
    ditto.faults.subscribeMs = 0;
    const other = await stream("ids=edge:other");
    await create("web");
    await until(() => Object.keys(ditto.thing(THING)?.features ?? {}).length === 4, "the twin");
    const late = await stream();
    expect([early.events(), other.events(), late.events()]).toEqual([[], [], []]);
  });

  test("can lose, double, stall and end", async () => {
    const { seen, events } = await stream();
    ditto.faults.dropStreamEvents(1);
    ditto.faults.duplicateStreamEvents(1);
    await create("web");
    await until(() => events().length >= 2, "events");
    expect(events()[0]?.["_revision"]).toBe(events()[1]?.["_revision"]);
    ditto.faults.streamsStalled = true;
    // What was on its way by then.
    await post("ContainerFactory", "probe", {});
    const before = seen.text;
    const theirs = await device.human.create({ name: "theirs", image: "r.test/sleeper:1" });
    await until(() => `Container:${theirs}` in (ditto.thing(THING)?.features ?? {}), "the news in the twin");
    await post("ContainerFactory", "probe", {});
    expect(seen.text).toBe(before);
    ditto.cutStreams();
    await until(() => seen.ended, "the end");
    expect(ditto.streams.open).toBe(0);
  });
});

describe("who is asking", () => {
  test.each([
    ["user name and password", BASIC, "nginx:drayage"],
    ["a bearer token", { authorization: "Bearer token" }, "iam:drayage"],
    ["the header of a trusted proxy", { "x-ditto-pre-authenticated": "site:operator" }, "site:operator"],
  ])("%s", async (_how, headers, subject) => {
    expect(await ask("/whoami", headers)).toMatchObject({ status: 200, body: { defaultSubject: subject } });
  });

  test.each([
    ["nothing", {}],
    ["a wrong password", { authorization: `Basic ${Buffer.from("drayage:no").toString("base64")}` }],
    ["an unknown token", { authorization: "Bearer other" }],
    ["a header without an issuer", { "x-ditto-pre-authenticated": "operator" }],
  ])("401 for %s", async (_how, headers: Record<string, string>) => {
    expect(await ask("/whoami", headers)).toMatchObject({
      status: 401,
      body: { error: "gateway:authentication.failed", status: 401 },
    });
  });
});

test("a restart loses what is under way and keeps the twins", async () => {
  const { seen } = await stream();
  const pending = gone(create("web", "r.test/slow:1"));
  await until(() => device.commands().length === 1, "the command");
  await ditto.stop();
  expect(await pending).toBe("broken");
  await until(() => seen.ended, "the end of the stream");
  expect(await gone(ask("/whoami"))).toBe("broken");
  await ditto.start();
  expect((await thing())["thingId"]).toBe(THING);
  await until(() => Object.keys(ditto.thing(THING)?.features ?? {}).some((id) => id.startsWith("Container:")), "it");
});
