import http from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import type { ClusterAccess } from "../../../src/kube/access.ts";
import { KubeClient, type KubeClientOptions } from "../../../src/kube/client.ts";
import { ApiError, TransportError } from "../../../src/kube/errors.ts";
import * as is from "../../../src/kube/errors.ts";
import type { RequestObservation } from "../../../src/kube/requests.ts";
import type { Resource } from "../../../src/kube/resource.ts";
import type { KubeObject } from "../../../src/kube/types.ts";
import { FakeClock } from "../../support/fake-clock.ts";

const THINGS: Resource = { group: "g.example", version: "v1", plural: "things", kind: "Thing", namespaced: true };
const CLUSTER_THINGS: Resource = { group: "", version: "v1", plural: "bigs", kind: "Big", namespaced: false };
const KEY = { namespace: "ns", name: "a" };

type Handler = (request: http.IncomingMessage & { body: string }, response: http.ServerResponse, n: number) => void;

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) {
    await cleanup();
  }
});

/** A server that answers as told, and a client that talks to it. */
async function setUp(
  handler: Handler,
  options: Partial<KubeClientOptions> & { tokens?: string[] } = {},
): Promise<{
  client: KubeClient;
  url: string;
  seen: { method: string; url: string; auth: string; body: string; type: string }[];
}> {
  const seen: { method: string; url: string; auth: string; body: string; type: string }[] = [];
  const server = http.createServer((request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => {
      body += chunk.toString();
    });
    request.on("end", () => {
      const { method = "", url = "", headers } = request;
      seen.push({ method, url, auth: headers.authorization ?? "", body, type: headers["content-type"] ?? "" });
      handler(Object.assign(request, { body }), response, seen.length);
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { tokens = ["t1"], ...rest } = options;
  const client = new KubeClient({ access: accessTo(url, tokens), ...rest });
  cleanups.push(async () => {
    await client.close();
    server.closeAllConnections();
    await new Promise((resolve) => {
      server.close(resolve);
    });
  });
  return { client, url, seen };
}

/** Credentials whose token moves on at each refresh. */
function accessTo(server: string, tokens: string[]): ClusterAccess {
  let index = 0;
  const tls = { rejectUnauthorized: true };
  return {
    server,
    namespace: "default",
    source: "test",
    tls,
    authHeader: () => Promise.resolve(`Bearer ${tokens[index]}`),
    refresh() {
      const more = index + 1 < tokens.length;
      index += more ? 1 : 0;
      return Promise.resolve(more);
    },
  };
}

function reply(
  response: http.ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(JSON.stringify(body));
}

const status = (code: number, reason: string, more: object = {}): object => ({
  kind: "Status",
  code,
  reason,
  message: `said ${reason}`,
  ...more,
});

async function failure(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("it succeeded");
}

describe("a request", () => {
  test("goes to the path of its verb and resource, with the right body type", async () => {
    const { client, seen } = await setUp((_request, response) => reply(response, 200, { metadata: {} }));
    await client.get(THINGS, KEY);
    await client.get(CLUSTER_THINGS, { namespace: "", name: "x:y" });
    await client.create(THINGS, { metadata: KEY });
    await client.replace(THINGS, { metadata: KEY } as KubeObject, { subresource: "status" });
    await client.patch(THINGS, KEY, { type: "merge", body: { a: 1 } }, { subresource: "status", fieldManager: "me" });
    await client.patch(THINGS, KEY, { type: "json", body: [] }, { fieldValidation: "Warn", dryRun: true });
    await client.patch(THINGS, KEY, { type: "apply", body: {}, force: true });
    await client.delete(THINGS, KEY, { uid: "u", propagationPolicy: "Background" });
    const base = "/apis/g.example/v1/namespaces/ns/things";
    const strict = "fieldManager=drayage&fieldValidation=Strict";
    expect(seen.map((each) => `${each.method} ${each.url} ${each.type}`)).toEqual([
      `GET ${base}/a `,
      "GET /api/v1/bigs/x%3Ay ",
      `POST ${base}?${strict} application/json`,
      `PUT ${base}/a/status?${strict} application/json`,
      `PATCH ${base}/a/status?fieldManager=me&fieldValidation=Strict application/merge-patch+json`,
      `PATCH ${base}/a?fieldManager=drayage&fieldValidation=Warn&dryRun=All application/json-patch+json`,
      `PATCH ${base}/a?${strict}&force=true application/apply-patch+yaml`,
      `DELETE ${base}/a application/json`,
    ]);
    expect(JSON.parse(seen[2]?.body ?? "")).toEqual({ apiVersion: "g.example/v1", kind: "Thing", metadata: KEY });
    expect(JSON.parse(seen[7]?.body ?? "")).toEqual({ propagationPolicy: "Background", preconditions: { uid: "u" } });
  });

  test("for one object without a name is refused before it is sent: it would mean all of them", async () => {
    const { client, seen } = await setUp((_request, response) => reply(response, 200, {}));
    await expect(client.delete(THINGS, { namespace: "ns", name: "" })).rejects.toThrow("needs a name");
    await expect(client.delete(THINGS, { namespace: "", name: "a" })).rejects.toThrow("needs a namespace");
    expect(seen).toEqual([]);
  });

  test("is told to the observer with verb, resource, code and host", async () => {
    const observations: RequestObservation[] = [];
    const { client, url } = await setUp((_request, response, n) => reply(response, n === 1 ? 200 : 404, {}), {
      onRequest: (observation) => observations.push(observation),
    });
    await client.get(THINGS, KEY);
    await failure(client.delete(THINGS, KEY));
    const host = new URL(url).host;
    expect(observations).toMatchObject([
      { verb: "get", method: "GET", resource: "things.g.example", code: "200", host },
      { verb: "delete", method: "DELETE", resource: "things.g.example", code: "404", host },
    ]);
  });

  test("hands the server's warnings on", async () => {
    const warnings: string[] = [];
    const { client } = await setUp(
      (_request, response) => reply(response, 200, {}, { warning: '299 - "is \\"old\\"", 299 - "is odd"' }),
      { onWarning: (text) => warnings.push(text) },
    );
    await client.get(THINGS, KEY);
    expect(warnings).toEqual(['is "old"', "is odd"]);
  });
});

describe("a failure that the server names", () => {
  test.each<[number, string, (error: unknown) => boolean]>([
    [404, "NotFound", is.isNotFound],
    [409, "Conflict", is.isConflict],
    [409, "AlreadyExists", is.isAlreadyExists],
    [410, "Expired", is.isExpired],
    [429, "TooManyRequests", is.isTooManyRequests],
    [401, "Unauthorized", is.isUnauthorized],
    [403, "Forbidden", is.isForbidden],
    [422, "Invalid", is.isInvalid],
  ])("%i %s is told apart from all others", async (code, reason, predicate) => {
    const { client } = await setUp((_request, response) => reply(response, code, status(code, reason)));
    const error = await failure(client.patch(THINGS, KEY, { type: "merge", body: { password: "hunter2" } }));
    const all = [
      is.isNotFound,
      is.isConflict,
      is.isAlreadyExists,
      is.isExpired,
      is.isTooManyRequests,
      is.isUnauthorized,
      is.isForbidden,
      is.isInvalid,
    ];
    expect(all.filter((each) => each(error))).toEqual([predicate]);
    expect(is.isRetryable(error)).toBe(code === 429);
    expect(String(error)).toBe(`ApiError: patch things.g.example ns/a: ${code} ${reason}: said ${reason}`);
  });

  test("keeps details and the time the server asks for", async () => {
    const details = { retryAfterSeconds: 3, causes: [{ reason: "NamespaceTerminating" }] };
    const { client } = await setUp((_request, response) => reply(response, 403, status(403, "Forbidden", { details })));
    const error = await failure(client.create(THINGS, { metadata: KEY }));
    expect(error).toMatchObject({ status: 403, retryAfterMs: 3000, details });
    expect(is.isNamespaceTerminating(error)).toBe(true);
  });

  test("that is not a Status, such as a proxy's page, is told by its number", async () => {
    const { client } = await setUp((_request, response) => {
      response.writeHead(502, { "content-type": "text/html" });
      response.end("<h1>Bad gateway</h1>");
    });
    const error = await failure(client.get(THINGS, KEY));
    expect(error).toMatchObject({ status: 502, reason: "" });
    expect(is.isRetryable(error)).toBe(true);
  });
});

describe("a read that the server puts off", () => {
  test("is asked again after the time it names, and no earlier", async () => {
    const clock = new FakeClock();
    const { client, seen } = await setUp(
      (_request, response, n) => reply(response, n < 3 ? 429 : 200, { ok: n }, { "retry-after": "7" }),
      { clock },
    );
    const answer = client.get(THINGS, KEY);
    for (let n = 1; n < 3; n += 1) {
      await expect.poll(() => clock.nextInMs).toBe(7_000);
      await clock.advanceAsync(6_999);
      expect(seen).toHaveLength(n);
      await clock.advanceAsync(1);
    }
    expect(await answer).toEqual({ ok: 3 });
  });

  test("is not asked again when the caller does not want that, or the server wants very long", async () => {
    const { client, seen } = await setUp((_request, response, n) =>
      reply(response, 503, {}, { "retry-after": n === 1 ? "1" : "600" }),
    );
    await failure(client.get(THINGS, KEY, { readRetries: 0 }));
    expect(await failure(client.get(THINGS, KEY))).toMatchObject({ status: 503, retryAfterMs: 600_000 });
    expect(seen).toHaveLength(2);
  });

  test("is a write: never sent twice", async () => {
    const { client, seen } = await setUp((_request, response) => reply(response, 429, {}, { "retry-after": "0" }));
    await failure(client.create(THINGS, { metadata: KEY }));
    await failure(client.patch(THINGS, KEY, { type: "merge", body: {} }));
    await failure(client.delete(THINGS, KEY));
    expect(seen).toHaveLength(3);
  });
});

describe("a refused token", () => {
  test("is read again once, and the request sent with the new one", async () => {
    const { client, seen } = await setUp(
      (request, response) =>
        reply(response, request.headers.authorization === "Bearer t2" ? 200 : 401, status(401, "Unauthorized")),
      { tokens: ["t1", "t2"] },
    );
    await client.patch(THINGS, KEY, { type: "merge", body: {} });
    expect(seen.map((each) => each.auth)).toEqual(["Bearer t1", "Bearer t2"]);
  });

  test("is tried with one newer token at most, however many there are", async () => {
    const { client, seen } = await setUp((_request, response) => reply(response, 401, {}), {
      tokens: ["t1", "t2", "t3", "t4"],
    });
    expect(is.isUnauthorized(await failure(client.get(THINGS, KEY)))).toBe(true);
    expect(seen.map((each) => each.auth)).toEqual(["Bearer t1", "Bearer t2"]);
  });

  test("is an error when there is no newer one, and the error does not show it", async () => {
    const { client, seen } = await setUp((_request, response) => reply(response, 401, {}), { tokens: ["sekrit"] });
    const error = await failure(client.get(THINGS, KEY));
    expect(is.isUnauthorized(error)).toBe(true);
    expect(JSON.stringify(error) + String(error)).not.toContain("sekrit");
    expect(seen).toHaveLength(1);
  });
});

describe("a request without an answer", () => {
  test("surely was not sent when nobody listens", async () => {
    const { client } = await setUp((_request, response) => reply(response, 200, {}));
    const dead = new KubeClient({ access: accessTo("http://127.0.0.1:1", ["t"]) });
    cleanups.push(() => dead.close());
    const error = await failure(dead.create(THINGS, { metadata: KEY }));
    expect(error).toBeInstanceOf(TransportError);
    expect(error).toMatchObject({ sent: "no", ambiguous: false });
    expect(is.isRetryable(error)).toBe(true);
    await client.get(THINGS, KEY);
  });

  test("may have had an effect when the connection broke", async () => {
    const { client } = await setUp((request) => request.socket.resetAndDestroy());
    const error = await failure(client.create(THINGS, { metadata: KEY }));
    expect(error).toMatchObject({ name: "TransportError", ambiguous: true });
  });

  test("may have had an effect when the answer was cut", async () => {
    const { client } = await setUp((request, response) => {
      response.writeHead(201, { "content-length": "100" });
      response.write("{", () => request.socket.destroy());
    });
    expect(await failure(client.create(THINGS, { metadata: KEY }))).toMatchObject({ ambiguous: true });
  });

  test("ends at its deadline, and the next one gets a new connection", async () => {
    const clock = new FakeClock();
    const sockets: unknown[] = [];
    const { client, seen } = await setUp(
      (request, response, n) => {
        sockets.push(request.socket);
        if (n !== 2) {
          reply(response, 200, {});
        }
      },
      { clock },
    );
    await client.get(THINGS, KEY);
    clock.advance(10_000);
    const hung = failure(client.get(THINGS, KEY, { timeoutMs: 5_000 }));
    await expect.poll(() => seen.length).toBe(2);
    clock.advance(5_000);
    expect(await hung).toMatchObject({ code: "Timeout", ambiguous: true });
    await client.get(THINGS, KEY);
    expect(sockets.slice(0, 2)).not.toContain(sockets[2]);
  });

  test("ends with its signal, sent or not", async () => {
    const { client, seen } = await setUp(() => undefined);
    const early = AbortSignal.abort();
    expect(await failure(client.get(THINGS, KEY, { signal: early }))).toMatchObject({ code: "Aborted", sent: "no" });
    const late = new AbortController();
    const hung = failure(client.get(THINGS, KEY, { signal: late.signal }));
    await expect.poll(() => seen.length).toBe(1);
    late.abort();
    const error = await hung;
    expect(error).toMatchObject({ code: "Aborted", sent: "unknown" });
    expect(is.isAborted(error)).toBe(true);
    expect(is.isRetryable(error)).toBe(false);
  });

  test("ends when the client is closed; later ones are refused", async () => {
    const { client, seen } = await setUp(() => undefined);
    const hung = failure(client.get(THINGS, KEY));
    await expect.poll(() => seen.length).toBe(1);
    await client.close();
    expect(await hung).toBeInstanceOf(TransportError);
    expect(await failure(client.get(THINGS, KEY))).toMatchObject({ code: "Closed", sent: "no" });
  });

  test("that fits in memory is refused", async () => {
    const { client } = await setUp((_request, response) => reply(response, 200, { long: "x".repeat(2_000) }), {
      maxResponseBytes: 1_000,
    });
    expect(await failure(client.get(THINGS, KEY))).toMatchObject({ code: "TooLarge" });
  });

  test("that is not JSON is an error that does not quote it", async () => {
    const { client } = await setUp((_request, response) => response.end("hunter2"));
    const error = await failure(client.get(THINGS, KEY));
    expect(error).toMatchObject({ code: "Garbled" });
    expect(String(error)).not.toContain("hunter2");
  });
});

describe("a list", () => {
  test("is read page by page at one version, and its objects know their kind", async () => {
    const { client, seen } = await setUp((_request, response, n) =>
      reply(response, 200, {
        metadata: { resourceVersion: "7", ...(n < 3 ? { continue: `c${n}` } : {}) },
        items: [{ metadata: { name: `o${n}` } }],
      }),
    );
    const list = await client.list(THINGS, { namespace: "ns", labelSelector: "a=b", limit: 1, resourceVersion: "5" });
    expect(list.items.map((each) => `${each.apiVersion} ${each.kind} ${each.metadata.name}`)).toEqual([
      "g.example/v1 Thing o1",
      "g.example/v1 Thing o2",
      "g.example/v1 Thing o3",
    ]);
    expect(list.resourceVersion).toBe("7");
    expect(seen.map((each) => each.url.split("?")[1])).toEqual([
      "labelSelector=a%3Db&limit=1&resourceVersion=5",
      "labelSelector=a%3Db&limit=1&continue=c1",
      "labelSelector=a%3Db&limit=1&continue=c2",
    ]);
  });
});

describe("an answer of somebody else than the API server", () => {
  test.each([
    {},
    { items: [] },
    { metadata: { resourceVersion: "5" } },
    { items: {}, metadata: { resourceVersion: "5" } },
  ])("is not taken for a list without objects: %j", async (body) => {
    const { client } = await setUp((_request, response) => reply(response, 200, body));
    expect(await failure(client.list(THINGS))).toMatchObject({ code: "Garbled" });
  });

  test("but null for the items is the API server's own way to say none", async () => {
    const { client } = await setUp((_request, response) =>
      reply(response, 200, { items: null, metadata: { resourceVersion: "5" } }),
    );
    expect(await client.list(THINGS)).toEqual({ items: [], resourceVersion: "5", continueToken: "" });
  });
});

describe("a watch", () => {
  test("that is silent for too long ends; one with signs of life does not", async () => {
    const clock = new FakeClock();
    const bookmark = '{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"1"}}}\n';
    let write: (() => void) | undefined;
    const { client } = await setUp(
      (_request, response) => {
        response.writeHead(200);
        write = () => response.write(bookmark);
        write();
      },
      { clock },
    );
    let events = 0;
    const watch = failure(
      client.watch(THINGS, { resourceVersion: "1", silenceMs: 75_000 }, { onEvent: () => (events += 1) }),
    );
    await expect.poll(() => events).toBe(1);
    for (let round = 2; round < 5; round += 1) {
      clock.advance(74_000);
      write?.();
      await expect.poll(() => events).toBe(round);
    }
    clock.advance(74_999);
    clock.advance(1);
    expect(await watch).toMatchObject({ code: "Silent" });
    expect(clock.pending).toBe(0);
  });

  test("that the server refuses is an error with the server's reason", async () => {
    const { client } = await setUp((_request, response) => reply(response, 422, status(422, "Invalid")));
    const error = await failure(client.watch(THINGS, { resourceVersion: "1" }, { onEvent: () => undefined }));
    expect(error).toBeInstanceOf(ApiError);
    expect(is.isInvalid(error)).toBe(true);
  });
});
