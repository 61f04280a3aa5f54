import http from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, test, vi } from "vitest";
import { loadClusterAccess } from "../../../src/kube/config.ts";
import { temporaryFile } from "../../support/temporary-file.ts";
import { startHttpFaultProxy, type FaultRule, type HttpFaultProxy } from "../../faults/http-proxy.ts";

const soon = { timeout: 10_000, interval: 5 };
const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) {
    await cleanup();
  }
});

/** A server that knows two paths: /echo, and /watch, whose lines the test writes. */
async function setUp(): Promise<{
  proxy: HttpFaultProxy;
  seen: string[];
  line: (text: string) => void;
  watchers: () => number;
}> {
  const seen: string[] = [];
  const watchers = new Set<http.ServerResponse>();
  const server = http.createServer((request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => {
      body += chunk.toString();
    });
    request.on("end", () => {
      seen.push(`${request.method} ${request.url} ${body} ${request.headers.authorization ?? ""}`.trim());
      if (request.url?.includes("watch=true")) {
        watchers.add(response);
        response.on("close", () => watchers.delete(response));
        response.writeHead(200);
        response.flushHeaders();
      } else {
        response.end(`echo ${body}`);
      }
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const proxy = await startHttpFaultProxy({ upstream: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
  cleanups.push(async () => {
    await proxy.close();
    server.closeAllConnections();
    await new Promise((resolve) => {
      server.close(resolve);
    });
  });
  const line = (text: string): void => {
    for (const response of watchers) {
      response.write(`${text}\n`);
    }
  };
  return { proxy, seen, line, watchers: () => watchers.size };
}

interface Outcome {
  status?: number;
  /** What arrived. */
  text: string;
  /** "end" in order, "aborted" without the end of the body, or the error's code. */
  over?: string;
}

function send(url: string, path: string, body?: string): { outcome: Outcome; request: http.ClientRequest } {
  const outcome: Outcome = { text: "" };
  const request = http.request(`${url}${path}`, { method: body === undefined ? "GET" : "POST", agent: false });
  request.on("response", (response) => {
    outcome.status = response.statusCode ?? 0;
    response.on("data", (chunk: Buffer) => {
      outcome.text += chunk.toString();
    });
    response.on("end", () => {
      outcome.over ??= "end";
    });
    response.on("error", (error: NodeJS.ErrnoException) => {
      outcome.over ??= error.code ?? "aborted";
    });
  });
  request.on("error", (error: NodeJS.ErrnoException) => {
    outcome.over ??= error.code ?? "error";
  });
  request.end(body);
  return { outcome, request };
}

const over = (outcome: Outcome): Promise<void> => vi.waitFor(() => expect(outcome.over).toBeDefined(), soon);

describe("the HTTP fault proxy", () => {
  test("numbers requests and passes them on unchanged", async () => {
    const { proxy, seen } = await setUp();
    const { outcome } = send(proxy.url, "/echo?x=1", "hello");
    await over(outcome);
    expect(outcome).toEqual({ status: 200, text: "echo hello", over: "end" });
    expect(seen).toEqual(["POST /echo?x=1 hello"]);
    await over(send(proxy.url, "/echo").outcome);
    expect(proxy.requests().map((each) => [each.n, each.method, each.path, each.body, each.status])).toEqual([
      [1, "POST", "/echo?x=1", "hello", 200],
      [2, "GET", "/echo", "", 200],
    ]);
  });

  test.each<[string, FaultRule["fault"], { reached: boolean; outcome: Outcome }]>([
    ["reset before", { do: "reset", when: "before" }, { reached: false, outcome: { text: "", over: "ECONNRESET" } }],
    ["reset after", { do: "reset", when: "after" }, { reached: true, outcome: { text: "", over: "ECONNRESET" } }],
  ])("%s: the effect is as named, and the client learns nothing", async (_what, fault, expected) => {
    const { proxy, seen } = await setUp();
    proxy.on({ match: { path: "/echo" }, fault });
    const { outcome } = send(proxy.url, "/echo", "x");
    await over(outcome);
    expect(outcome).toEqual(expected.outcome);
    expect(seen.length === 1).toBe(expected.reached);
  });

  test("swallow: the effect happens and the connection stays without an answer", async () => {
    const { proxy, seen } = await setUp();
    proxy.on({ match: {}, fault: { do: "swallow" } });
    const { outcome, request } = send(proxy.url, "/echo", "x");
    await vi.waitFor(() => expect(seen).toHaveLength(1), soon);
    // A later request is through, so this one's answer would be.
    await over(send(proxy.url, "/echo").outcome);
    expect(outcome).toEqual({ text: "" });
    request.destroy();
  });

  test("answer: a Status in the server's place", async () => {
    const { proxy, seen } = await setUp();
    proxy.on({ match: {}, fault: { do: "answer", status: 429, reason: "TooManyRequests", retryAfterSeconds: 2 } });
    const { outcome } = send(proxy.url, "/echo");
    await over(outcome);
    expect(outcome.status).toBe(429);
    expect(JSON.parse(outcome.text)).toMatchObject({ kind: "Status", code: 429, reason: "TooManyRequests" });
    expect(seen).toEqual([]);
  });

  test("hold: the request waits for its release", async () => {
    const { proxy, seen } = await setUp();
    const rule = proxy.on({ match: { method: "POST" }, fault: { do: "hold" } });
    const { outcome } = send(proxy.url, "/echo", "x");
    await over(send(proxy.url, "/echo").outcome);
    expect(seen).toEqual(["GET /echo"]);
    rule.release();
    await over(outcome);
    expect(outcome.text).toBe("echo x");
  });

  test("skip and times choose which requests a rule is for", async () => {
    const { proxy } = await setUp();
    const rule = proxy.on({ match: { path: /echo/ }, skip: 1, times: 2, fault: { do: "answer", status: 500 } });
    const statuses: (number | undefined)[] = [];
    for (let n = 0; n < 5; n += 1) {
      const { outcome } = send(proxy.url, "/echo");
      await over(outcome);
      statuses.push(outcome.status);
    }
    expect(statuses).toEqual([200, 500, 500, 200, 200]);
    expect(rule.hits).toBe(2);
  });

  test.each(["fin", "reset", "end"] as const)(
    "cut (%s): so many lines, a piece of the next, and no more",
    async (how) => {
      const { proxy, line, watchers } = await setUp();
      proxy.on({ match: { watch: true }, fault: { do: "cut", afterLines: 2, partialBytes: 3, how } });
      const { outcome } = send(proxy.url, "/watch?watch=true");
      await vi.waitFor(() => expect(watchers()).toBe(1), soon);
      for (const text of ["one", "two", "three", "four"]) {
        line(text);
      }
      await over(outcome);
      if (how === "reset") {
        // A reset may overtake what was sent before it.
        expect("one\ntwo\nthr".startsWith(outcome.text)).toBe(true);
      } else {
        expect(outcome.text).toBe("one\ntwo\nthr");
      }
      expect(outcome.over === "end").toBe(how === "end");
      await vi.waitFor(() => expect(watchers()).toBe(0), soon);
    },
  );

  test("stall: half-open, whatever the server still sends", async () => {
    const { proxy, line, watchers } = await setUp();
    proxy.on({ match: { watch: true }, fault: { do: "stall", afterLines: 1 } });
    const { outcome, request } = send(proxy.url, "/watch?watch=true");
    await vi.waitFor(() => expect(watchers()).toBe(1), soon);
    line("one");
    line("two");
    await vi.waitFor(() => expect(outcome.text).toBe("one\n"), soon);
    await over(send(proxy.url, "/echo").outcome);
    expect(outcome).toEqual({ status: 200, text: "one\n" });
    request.destroy();
    await vi.waitFor(() => expect(watchers()).toBe(0), soon);
  });

  test("insert and lines: added, changed and dropped lines", async () => {
    const { proxy, line, watchers } = await setUp();
    proxy.on({ match: { watch: true }, fault: { do: "insert", afterLines: 1, line: { in: 1 } } });
    const edit = (text: string): string | undefined => (text.startsWith("two") ? undefined : text.toUpperCase());
    proxy.on({ match: { watch: true }, fault: { do: "lines", edit } });
    const [first, second] = [send(proxy.url, "/watch?watch=true&a"), send(proxy.url, "/watch?watch=true&b")];
    await vi.waitFor(() => expect(watchers()).toBe(2), soon);
    line("one");
    line("two");
    line("three");
    await vi.waitFor(() => expect(first.outcome.text).toBe('one\n{"in":1}\ntwo\nthree\n'), soon);
    await vi.waitFor(() => expect(second.outcome.text).toBe("ONE\nTHREE\n"), soon);
    first.request.destroy();
    second.request.destroy();
  });

  test("a request under way can be reset, ended, stalled and added to", async () => {
    const { proxy, line, watchers } = await setUp();
    const coming = proxy.next({ watch: true });
    const { outcome } = send(proxy.url, "/watch?watch=true");
    const request = await coming;
    await vi.waitFor(() => expect(watchers()).toBe(1), soon);
    line("one");
    await vi.waitFor(() => expect(request.lines).toBe(1), soon);
    request.insert({ in: 1 });
    request.finish();
    await over(outcome);
    expect(outcome).toEqual({ status: 200, text: 'one\n{"in":1}\n', over: "end" });
    expect(request.closed).toBe(true);
  });

  test("an outage resets what is open and refuses what comes, until it ends", async () => {
    const { proxy, watchers } = await setUp();
    const watch = send(proxy.url, "/watch?watch=true");
    await vi.waitFor(() => expect(watchers()).toBe(1), soon);
    const end = await proxy.outage();
    await over(watch.outcome);
    const refused = send(proxy.url, "/echo");
    await over(refused.outcome);
    expect(refused.outcome.over).toBe("ECONNREFUSED");
    await end();
    const { outcome } = send(proxy.url, "/echo");
    await over(outcome);
    expect(outcome.status).toBe(200);
  });

  test("its kubeconfig leads to it", async () => {
    const { proxy } = await setUp();
    const path = await temporaryFile("kubeconfig", proxy.kubeconfig({ token: "abc", namespace: "n" }));
    const access = await loadClusterAccess({ kubeconfig: path, env: {} });
    expect(access).toMatchObject({ server: proxy.url, namespace: "n" });
    expect(await access.authHeader()).toBe("Bearer abc");
  });
});
