import { describe, expect, test } from "vitest";
import { restMs } from "../../../../src/backends/mittwald/answers.ts";
import { MittwaldClient } from "../../../../src/backends/mittwald/client.ts";
import { systemClock } from "../../../../src/kube/clock.ts";
import { clientOf, json, startVendor, type Handler } from "../http/vendor.ts";

const TOKEN = "t0ken-of-the-account";
const PROJECT = "11111111-1111-4111-8111-111111111111";
const STACK = { projectId: PROJECT, stackId: PROJECT };
const SERVICE = {
  id: "22222222-2222-4222-8222-222222222222",
  stackId: PROJECT,
  projectId: PROJECT,
  shortId: "c-abc123",
  serviceName: "web",
  description: "web",
  status: "running",
  statusSetAt: "2026-02-17T11:00:31.000Z",
  requiresRecreate: false,
  pendingState: { image: "library/nginx:1.27", envs: { A: "1" }, envOrder: ["A"] },
  deployedState: { image: "library/nginx:1.27" },
};
const EMPTY_STACK = { id: PROJECT, projectId: PROJECT, description: "default", disabled: false, prefix: "p-abc123" };

async function start(handler: Handler) {
  const vendor = await startVendor(handler);
  const http = clientOf(vendor.url, { restMs });
  const malformed: string[] = [];
  const client = new MittwaldClient({
    clock: systemClock,
    send: (request) => http.send(request),
    secrets: [TOKEN],
    malformed: (kind) => void malformed.push(kind),
  });
  return { vendor, http, client, malformed };
}

describe("reading", () => {
  test("takes an empty stack without its lists, and services with fields and words that are new", async () => {
    const { client } = await start((_seen, response) =>
      json(response, 200, [
        EMPTY_STACK,
        {
          ...EMPTY_STACK,
          id: "other",
          services: [{ ...SERVICE, status: "levitating", restartPolicy: null, news: { a: 1 } }],
          volumes: [],
        },
      ]),
    );
    const call = await client.stacks(PROJECT);
    expect(call).toMatchObject({ kind: "Done", stale: false });
    const [empty, full] = call.kind === "Done" ? call.value : [];
    expect(empty).toMatchObject({ services: [], volumes: [] });
    expect(full?.services[0]).toMatchObject({ status: "levitating", pendingState: { envs: { A: "1" } } });
  });

  test("goes from page to page, and takes a page that cannot be read for no list at all", async () => {
    const { client, vendor, malformed } = await start((seen, response) => {
      const skip = Number(new URL(seen.url, "http://x").searchParams.get("skip"));
      response.setHeader("x-pagination-totalcount", "3");
      json(response, 200, skip < 2 ? [{ ...EMPTY_STACK, id: `s${skip}` }] : [{ ...EMPTY_STACK, id: 7 }]);
    });
    expect(await client.stacks(PROJECT)).toMatchObject({ kind: "Unknown" });
    expect(malformed).toEqual(["Answer"]);
    expect(vendor.seen.map(({ url }) => url)).toEqual(
      [0, 1, 2].map((skip) => `/v2/projects/${PROJECT}/stacks?limit=1000&skip=${skip}`),
    );
  });

  test("waits for our last write to that stack or project, and to no other", async () => {
    const { client, vendor } = await start((seen, response) => {
      if (seen.method === "PATCH") response.setHeader("etag", "276638689419853824");
      json(response, 200, EMPTY_STACK);
    });
    await client.stack(STACK);
    await client.patchStack(STACK, { services: { web: { image: "nginx" } } });
    await client.stack(STACK);
    await client.stack({ projectId: "p2", stackId: "s2" });
    await client.stacks(PROJECT);
    expect(vendor.seen.map(({ headers }) => headers["if-event-reached"])).toEqual([
      undefined,
      undefined,
      "276638689419853824",
      undefined,
      "276638689419853824",
    ]);
  });

  test("waits for it under whatever name the project was given, from the first list on", async () => {
    const { client, vendor } = await start((seen, response) => {
      if (seen.method !== "GET") response.setHeader("etag", seen.method === "DELETE" ? "7" : "5");
      if (seen.method === "DELETE") response.writeHead(204).end();
      else json(response, 200, seen.method === "GET" ? [EMPTY_STACK] : EMPTY_STACK);
    });
    await client.patchStack(STACK, {});
    // Nobody knows yet that it is that project: what comes without our write is asked for again.
    await client.stacks("p-abc123");
    await client.stacks("p-abc123");
    await client.deleteRegistry("p-abc123", "r");
    await client.stacks(PROJECT);
    await client.stacks("p-other1");
    const reads = vendor.seen.filter(({ method }) => method === "GET");
    expect(reads.map(({ headers }) => headers["if-event-reached"])).toEqual([undefined, "5", "5", "7", undefined, "7"]);
  });

  test("reads on after a full page where no total is told", async () => {
    const { client, vendor } = await start((seen, response) => {
      const skip = Number(new URL(seen.url, "http://x").searchParams.get("skip"));
      const rows = Array.from({ length: Math.min(1000, 1001 - skip) }, (_, at) => ({
        ...EMPTY_STACK,
        id: `s${skip + at}`,
      }));
      json(response, 200, rows);
    });
    const call = await client.stacks(PROJECT);
    expect(call.kind === "Done" && call.value.length).toBe(1001);
    expect(vendor.seen).toHaveLength(2);
  });

  test("says that it is stale where the vendor does not get to our write", async () => {
    const { client, vendor } = await start((seen, response) => {
      if (seen.method === "PATCH") response.setHeader("etag", "5");
      if (seen.headers["if-event-reached"] === "5")
        json(response, 412, { type: "Precondition", message: "not reached" });
      else json(response, 200, EMPTY_STACK);
    });
    await client.patchStack(STACK, {});
    expect(await client.stack(STACK)).toMatchObject({ kind: "Done", stale: true });
    expect(vendor.seen).toHaveLength(3);
  });

  test("keeps what came of a log that was cut, without its NUL bytes", async () => {
    const { client } = await start((_seen, response, socket) => {
      response.writeHead(200, { "content-type": "text/plain" });
      response.write("\0\0\0first\nsecond\n", () => socket.destroy());
    });
    expect(await client.logs({ ...STACK, serviceId: "s" }, 10)).toMatchObject({
      kind: "Done",
      value: { text: "first\nsecond\n", isTruncated: true },
    });
  });

  test("of a log that is not to be had now says so", async () => {
    const { client } = await start((_seen, response) => json(response, 503, { type: "Error", message: "no logs now" }));
    expect(await client.logs({ ...STACK, serviceId: "s" }, 10)).toMatchObject({
      kind: "Unknown",
      status: 503,
      failure: { class: "Transient" },
    });
  });
});

describe("refusals", () => {
  test("show the vendor's validation errors as they are, but no value that was sent", async () => {
    const { client } = await start((_seen, response) =>
      json(response, 400, {
        type: "ValidationError",
        message: "Validation failed",
        validationErrors: [
          { type: "pattern", path: "services.services.web.limits.memory", message: "input '205M' does not match" },
          { type: "x", path: "services.web.environment", message: `hunter22 is bad, ${TOKEN} too` },
        ],
      }),
    );
    const call = await client.patchStack(STACK, { services: { web: { environment: { P: "hunter22" } } } });
    expect(call).toMatchObject({ kind: "Refused", status: 400, failure: { class: "Invalid" } });
    const text = JSON.stringify(call);
    expect(text).toContain("services.services.web.limits.memory: input '205M' does not match");
    expect(text).not.toContain("hunter22");
    expect(text).not.toContain(TOKEN);
  });

  test.each([
    [403, "Unauthorized"],
    [404, "Conflict"],
    [409, "Conflict"],
    [412, "Conflict"],
  ])("of status %i are of class %s", async (status, expected) => {
    const { client } = await start((_seen, response) => json(response, status, { type: "VError", message: "no" }));
    expect(await client.act({ ...STACK, serviceId: "s" }, "start")).toMatchObject({
      kind: "Refused",
      status,
      failure: { class: expected },
    });
  });

  test("by a web page are not the vendor's", async () => {
    const { client } = await start((_seen, response) => {
      response.writeHead(404, { "content-type": "text/html" });
      response.end("<html>not here</html>");
    });
    expect(await client.stack(STACK)).toMatchObject({ kind: "Unknown" });
  });
});

describe("the vendor's own limit", () => {
  test.each([
    [200, { "x-ratelimit-remaining": "12", "x-ratelimit-reset": "7" }, undefined],
    [200, { "x-ratelimit-remaining": "0", "x-ratelimit-reset": "7" }, 7_000],
    [429, { "x-ratelimit-reset": "7" }, 7_000],
    [429, {}, undefined],
    [200, { "x-ratelimit-remaining": "0", "x-ratelimit-reset": "7", "x-ratelimit-exempt": "yes" }, undefined],
    [200, { "x-ratelimit-remaining": "0", "x-ratelimit-reset": "soon" }, undefined],
  ])("of status %i with %j asks for %s ms", (status, headers, expected) => {
    expect(restMs(status, headers)).toBe(expected);
  });

  test("pauses the whole account, but where it counts images only them", async () => {
    const { client, http } = await start((seen, response) => {
      response.setHeader("x-ratelimit-reset", seen.url.includes("image-config") ? "50" : "20");
      json(response, 429, { type: "RateLimitError", message: "too many requests" });
    });
    expect(await client.imageConfig("nginx", PROJECT)).toMatchObject({
      kind: "Unknown",
      failure: { class: "RateLimited", retryAfterMs: 50_000 },
    });
    expect(http.pausedMs).toBe(0);
    expect(await client.stacks(PROJECT)).toMatchObject({ kind: "Unknown", failure: { class: "RateLimited" } });
    expect(http.pausedMs).toBeGreaterThan(10_000);
  });

  test("holds up reads, but a write is given up unsent: what it was decided upon would be old by then", async () => {
    const { client, vendor } = await start((_seen, response) => {
      response.setHeader("x-ratelimit-remaining", "0");
      response.setHeader("x-ratelimit-reset", "60");
      json(response, 200, EMPTY_STACK);
    });
    expect(await client.stack(STACK)).toMatchObject({ kind: "Done" });
    const begun = performance.now();
    const calls = await Promise.all([client.patchStack(STACK, {}), client.deleteVolume(STACK, "v")]);
    expect(performance.now() - begun).toBeLessThan(10_000);
    for (const call of calls)
      expect(call).toMatchObject({ kind: "NotSent", fenced: false, failure: { class: "RateLimited" } });
    expect(vendor.seen).toHaveLength(1);
  });
});
