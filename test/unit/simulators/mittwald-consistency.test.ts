import { describe, expect, test } from "vitest";
import { bench, web } from "./mittwald-bench.ts";

describe("tokens", () => {
  test("go in either header; without a good one it is 401, and one for reading may not write", async () => {
    const { call, stack, vendor } = await bench({ readToken: "reader" });
    const get = (headers: Record<string, string>) => call("GET", stack, undefined, { token: "", headers });
    expect((await get({})).status).toBe(401);
    expect((await get({ "x-access-token": "other" })).body).toMatchObject({ type: "Unauthenticated" });
    expect((await get({ authorization: "Bearer mittwald-token" })).status).toBe(200);
    expect((await call("GET", stack, undefined, { token: "reader" })).status).toBe(200);
    expect((await call("PATCH", stack, { services: { web: web() } }, { token: "reader" })).status).toBe(403);
    expect(
      (await call("POST", `/v2/projects/${vendor.platform.projects()[0]?.id}/stacks`, {}, { token: "reader" })).status,
    ).toBe(403);
    vendor.authorize(403);
    expect((await call("GET", stack)).status).toBe(403);
    vendor.authorize(401);
    expect((await call("GET", stack)).status).toBe(401);
    vendor.authorize("ok");
    vendor.setToken("next");
    expect((await call("GET", stack)).status).toBe(401);
    expect((await call("GET", stack, undefined, { token: "next" })).status).toBe(200);
    expect(vendor.platform.effects.list()).toEqual([]);
  });
});

describe("reads that are behind", () => {
  test("show the old state; the answer of a write shows the new one, with an increasing event id", async () => {
    const { patch, service, clock } = await bench({ quirks: { lagMs: 3000 } });
    await clock.advance(3000);
    const made = await patch({ web: web() });
    expect(made.body.services[0].serviceName).toBe("web");
    expect(made.etag).toMatch(/^\d{18}$/);
    expect(await service("web")).toBeUndefined();
    const next = await patch({ web: { description: "two" } });
    expect(BigInt(next.etag ?? 0)).toBeGreaterThan(BigInt(made.etag ?? 0));
    await clock.advance(2999);
    expect(await service("web")).toBeUndefined();
    await clock.advance(1);
    expect((await service("web")).description).toBe("two");
  });

  test("wait for the event they name, by the simulator's clock", async () => {
    const { patch, call, stack, clock } = await bench({ quirks: { lagMs: 3000 } });
    await clock.advance(3000);
    const { etag = "" } = await patch({ web: web() });
    let isAnswered = false;
    const read = call("GET", stack, undefined, { headers: { "if-event-reached": etag } }).then((reply) => {
      isAnswered = true;
      return reply;
    });
    await expect.poll(() => clock.pending).toBeGreaterThan(1);
    await clock.advance(2900);
    expect(isAnswered).toBe(false);
    await clock.advance(200);
    const reply = await read;
    expect(reply.body.services).toHaveLength(1);
    expect((await call("GET", stack, undefined, { headers: { "if-event-reached": etag } })).status).toBe(200);
  });

  test.each([
    ["an event that never was", "999999999999999999999", {}],
    ["what is no event", "latest", {}],
    ["an event while nothing new is seen", undefined, { readsStuck: true }],
  ])("wait ten seconds for %s, then answer 412", async (_what, event, quirks) => {
    const { patch, call, stack, clock, vendor } = await bench();
    Object.assign(vendor.quirks, quirks);
    const { etag = "" } = await patch({ web: web() });
    const started = clock.now();
    const read = call("GET", stack, undefined, { headers: { "if-event-reached": event ?? etag } });
    let status: number | undefined;
    const done = read.then((reply) => (status = reply.status));
    while (status === undefined) await clock.advance(100);
    await done;
    expect(status).toBe(412);
    expect(clock.now() - started).toBeGreaterThanOrEqual(10_000);
    expect((await call("GET", stack)).status).toBe(200);
  });

  test("do not know new things yet, with 403 for a stack and 404 for a service, or the other way round", async () => {
    const { call, project, clock, patch, vendor, stack } = await bench({ quirks: { lagMs: 3000 } });
    await clock.advance(3000);
    const own = `/v2/stacks/${(await call("POST", `/v2/projects/${project.id}/stacks`, { description: "x" })).body.id}`;
    const id = (await patch({ web: web() })).body.services[0].id;
    const statuses = async () => [
      (await call("GET", own)).status,
      (await call("PATCH", own, { services: {} })).status,
      (await call("GET", `${stack}/services/${id}`)).status,
      (await call("POST", `${stack}/services/${id}/actions/stop`)).status,
    ];
    expect(await statuses()).toEqual([403, 403, 404, 404]);
    Object.assign(vendor.quirks, { unknownStack: 404, unknownService: 403 });
    expect(await statuses()).toEqual([404, 404, 403, 403]);
    vendor.quirks.writesSeeLag = false;
    expect(await statuses()).toEqual([404, 200, 403, 204]);
    await clock.advance(3000);
    expect((await statuses()).slice(0, 3)).toEqual([200, 200, 200]);
  });

  test("still show what is gone, and lists may be later than stacks", async () => {
    const { put, call, project, clock, stack, vendor } = await bench({ quirks: { lagMs: 1000, listLagMs: 1000 } });
    await clock.advance(2000);
    await put({ web: web() });
    const list = async () => (await call("GET", `/v2/projects/${project.id}/services`)).body.length;
    const own = async () => (await call("GET", stack)).body.services.length;
    await clock.advance(1000);
    expect([await own(), await list()]).toEqual([1, 0]);
    await clock.advance(1000);
    expect([await own(), await list()]).toEqual([1, 1]);
    await put({});
    expect([await own(), await list()]).toEqual([1, 1]);
    await clock.advance(1000);
    expect([await own(), await list()]).toEqual([0, 1]);
    expect(vendor.platform.stacks()[0]?.containers.size).toBe(0);
  });
});

describe("limits", () => {
  test("stand in headers of every answer, with the seconds that are left; beyond them it is 429 until the window ends", async () => {
    const { call, stack, clock } = await bench({ quirks: { rateLimit: 2, rateWindowMs: 30_000 } });
    const left = ({ headers }: { headers: Headers }) =>
      ["limit", "remaining", "reset"].map((name) => headers.get(`x-ratelimit-${name}`));
    expect(left(await call("GET", stack))).toEqual(["2", "1", "30"]);
    await clock.advance(10_500);
    expect(left(await call("GET", stack))).toEqual(["2", "0", "20"]);
    const refused = await call("PATCH", stack, { services: { web: web() } });
    expect([refused.status, refused.body.type, refused.headers.get("retry-after")]).toEqual([
      429,
      "RateLimitError",
      null,
    ]);
    expect(left(refused)).toEqual(["2", "0", "20"]);
    await clock.advance(19_500);
    expect((await call("GET", stack)).body.services).toEqual([]);
  });

  test("of container-image-config are its own", async () => {
    const { call, stack } = await bench({ quirks: { imageConfigLimit: 1 } });
    const config = () => call("GET", "/v2/container-image-config?imageReference=nginx");
    expect([(await config()).status, (await config()).status, (await call("GET", stack)).status]).toEqual([
      200, 429, 200,
    ]);
  });
});
