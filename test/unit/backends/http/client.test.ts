import { createServer, type AddressInfo } from "node:net";
import { once } from "node:events";
import { gzipSync } from "node:zlib";
import { describe, expect, onTestFinished, test } from "vitest";
import { judgeWrite } from "../../../../src/backends/http/failures.ts";
import { proxySettings } from "../../../../src/backends/http/dispatcher.ts";
import { CertificateAuthority } from "../../../controlplane/certificates.ts";
import { clientOf, json, KEY, startVendor } from "./vendor.ts";

const post = { method: "POST", path: "/start", json: { a: 1 }, write: true } as const;
const get = { method: "GET", path: "/thing", write: false } as const;

describe("an answer", () => {
  test("comes with its parsed body, and the connection is used again", async () => {
    const vendor = await startVendor((_seen, response) => json(response, 200, { id: 7 }));
    const client = clientOf(`${vendor.url}/base/`);
    for (let i = 0; i < 5; i++) expect(await client.send(post)).toMatchObject({ kind: "Answer", json: { id: 7 } });
    // The pool opens one more where a request follows in the very turn of an answer.
    expect(vendor.connections()).toBeLessThanOrEqual(2);
    expect(vendor.seen[0]).toMatchObject({ method: "POST", url: "/base/start", body: '{"a":1}' });
    expect(vendor.seen[0]?.headers).toMatchObject({ "x-api-key": KEY, "content-type": "application/json" });
    expect(vendor.seen[0]?.headers).not.toHaveProperty("accept-encoding");
  });

  test("with an error keeps the vendor's sentence, without markup, key or what was sent", async () => {
    const vendor = await startVendor((seen, response) => {
      response.writeHead(500, { "content-type": "text/html" });
      response.end(
        `<html><body><h1>Oops</h1> ${String(seen.headers["x-api-key"])} sent ${seen.body} hunter22</body></html>`,
      );
    });
    const result = await clientOf(vendor.url).send({ ...post, json: { p: "hunter22" }, secrets: ["hunter22"] });
    expect(result).toMatchObject({ kind: "Answer", status: 500 });
    const text = JSON.stringify(result);
    expect(text).toContain("Oops");
    expect(text).not.toContain(KEY);
    expect(text).not.toContain("hunter22");
    expect(text).not.toContain("<h1>");
  });

  test.each([
    ["HTML where JSON was asked for", "text/html", "<html>login</html>"],
    ["no content type", "", "{}"],
    ["JSON that is none", "application/json", "{"],
  ])("of %s is broken, not success", async (_what, type, body) => {
    const vendor = await startVendor((_seen, response) => {
      response.writeHead(200, type === "" ? {} : { "content-type": type });
      response.end(body);
    });
    const result = await clientOf(vendor.url).send(post);
    expect(result).toMatchObject({ kind: "Broken", status: 200 });
    expect(judgeWrite(result).verdict).toBe("Ambiguous");
  });

  test("that redirects is not followed, not even on the same host", async () => {
    const other = await startVendor((_seen, response) => json(response, 200, {}));
    const vendor = await startVendor((_seen, response) => {
      response.writeHead(307, { location: `${other.url}/stolen?token=${KEY}` });
      response.end();
    });
    const result = await clientOf(vendor.url).send(post);
    expect(result).toMatchObject({ kind: "Broken", status: 307 });
    expect(JSON.stringify(result)).not.toContain(KEY);
    expect(other.seen).toEqual([]);
  });

  test("that never ends is cut at the limit", async () => {
    const vendor = await startVendor((_seen, response) => {
      response.writeHead(200, { "content-type": "application/json" });
      const pour = (): void => {
        while (!response.destroyed && response.write("x".repeat(65_536)));
        response.once("drain", pour);
      };
      pour();
    });
    const result = await clientOf(vendor.url, { maxBytes: 200_000 }).send(get);
    expect(result).toMatchObject({ kind: "Broken", message: "the answer is larger than 200000 bytes" });
  });

  test("that is compressed although nobody asked is refused unread", async () => {
    const vendor = await startVendor((_seen, response) => {
      response.writeHead(200, { "content-type": "application/json", "content-encoding": "gzip" });
      response.end(gzipSync(Buffer.alloc(5_000_000)));
    });
    expect(await clientOf(vendor.url).send(get)).toMatchObject({ kind: "Broken", message: /compressed/ as never });
  });

  test("can be taken piece by piece", async () => {
    const vendor = await startVendor((_seen, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write("data: 1\n\n");
      response.end("data: 2\n\n");
    });
    const pieces: string[] = [];
    const result = await clientOf(vendor.url).send({
      ...post,
      accept: ["text/event-stream"],
      onData: (chunk) => pieces.push(chunk.toString()),
    });
    expect(result).toMatchObject({ kind: "Answer", status: 200 });
    expect(pieces.join("")).toBe("data: 1\n\ndata: 2\n\n");
  });
});

describe("what is proven of a write", () => {
  test("nobody listens: it was never sent", async () => {
    const vendor = await startVendor((_seen, response) => json(response, 200, {}));
    await vendor.stop();
    const result = await clientOf(vendor.url).send(post);
    expect(result).toMatchObject({ kind: "NotSent", cause: "Connect" });
    expect(judgeWrite(result)).toMatchObject({ verdict: "NotSent", failure: { class: "Transient" } });
  });

  test("a server that accepts and never speaks TLS or HTTP: not sent over TLS, unknown over a plain socket", async () => {
    const silent = createServer(() => undefined);
    silent.listen(0, "127.0.0.1");
    await once(silent, "listening");
    onTestFinished(() => void silent.close());
    const { port } = silent.address() as AddressInfo;
    const tls = clientOf(`https://127.0.0.1:${port}`, { connectTimeoutMs: 100 });
    expect(judgeWrite(await tls.send(post)).verdict).toBe("NotSent");
    const plain = clientOf(`http://127.0.0.1:${port}`, { headersTimeoutMs: 100 });
    expect(judgeWrite(await plain.send(post)).verdict).toBe("Ambiguous");
  });

  test.each([
    ["reset before it did anything", false],
    ["reset after it did it", true],
  ])("a connection that is %s: nobody knows, and it is sent once", async (_what, effect) => {
    let effects = 0;
    const vendor = await startVendor((_seen, _response, socket) => {
      if (effect) effects += 1;
      socket.resetAndDestroy();
    });
    const result = await clientOf(vendor.url).send(post);
    expect(judgeWrite(result).verdict).toBe("Ambiguous");
    expect(vendor.seen).toHaveLength(1);
    expect(effects).toBe(effect ? 1 : 0);
  });

  test("a head without its body, and a body that trickles: unknown within bounded time", async () => {
    const timers = new Set<NodeJS.Timeout>();
    onTestFinished(() => timers.forEach((timer) => clearInterval(timer)));
    const vendor = await startVendor((seen, response) => {
      response.writeHead(200, { "content-type": "application/json" });
      response.write("{");
      if (seen.url === "/trickle") timers.add(setInterval(() => response.write(" "), 20));
    });
    // Each has one limit only that can be what ends it, however slow this machine is.
    const client = clientOf(vendor.url, { idleTimeoutMs: 60_000, totalTimeoutMs: 60_000 });
    const [half, trickle] = await Promise.all([
      client.send({ ...post, idleTimeoutMs: 150 }),
      client.send({ ...post, path: "/trickle", totalTimeoutMs: 600 }),
    ]);
    expect(half).toMatchObject({ kind: "Broken", status: 200, message: /nothing came within 150 ms/ as never });
    expect(trickle).toMatchObject({
      kind: "Broken",
      status: 200,
      message: /no complete answer within 600 ms/ as never,
    });
  });

  test.each([
    [200, "Done"],
    [204, "Done"],
    [400, "Refused"],
    [401, "Refused"],
    [404, "Refused"],
    [409, "Refused"],
    [422, "Refused"],
    [408, "Ambiguous"],
    [429, "Ambiguous"],
    [500, "Ambiguous"],
    [503, "Ambiguous"],
  ] as const)("%i is %s", async (status, verdict) => {
    const vendor = await startVendor((_seen, response) => {
      if (status === 204) response.writeHead(204).end();
      else json(response, status, { error: "words" });
    });
    expect(judgeWrite(await clientOf(vendor.url).send(post)).verdict).toBe(verdict);
  });

  test("a stale connection does not make it go out twice", async () => {
    const vendor = await startVendor((seen, response, socket) => {
      // The second request of a connection finds it dead, as behind a load balancer that forgot it.
      if (seen.url === "/warm") return json(response, 200, {});
      socket.destroy();
    });
    const client = clientOf(vendor.url);
    await client.send({ ...get, path: "/warm" });
    expect(judgeWrite(await client.send(post)).verdict).toBe("Ambiguous");
    expect(vendor.seen.filter(({ method }) => method === "POST")).toHaveLength(1);
  });
});

describe("the fence", () => {
  test("is asked in the turn of the write, not before: lost while connecting, nothing is sent", async () => {
    const vendor = await startVendor((_seen, response) => json(response, 200, {}));
    let asked = 0;
    const client = clientOf(vendor.url, {}, { valid: () => (asked++, false) });
    const result = await client.send(post);
    expect(result).toMatchObject({ kind: "NotSent", cause: "Fenced" });
    expect(asked).toBe(1);
    expect(await client.send(get)).toMatchObject({ kind: "Answer" });
    expect(vendor.seen.map(({ method }) => method)).toEqual(["GET"]);
  });
});

describe("limits", () => {
  test("a Retry-After pauses the whole account", async () => {
    const vendor = await startVendor((seen, response) => {
      if (seen.url !== "/start") return json(response, 200, {});
      response.writeHead(429, { "retry-after": "60", "content-type": "application/json" });
      response.end("{}");
    });
    const client = clientOf(vendor.url);
    expect(judgeWrite(await client.send(post))).toMatchObject({
      verdict: "Ambiguous",
      failure: { class: "RateLimited", retryAfterMs: 60_000 },
    });
    expect(client.pausedMs).toBeGreaterThan(10_000);
    const givenUp = await client.send({ ...get, signal: AbortSignal.timeout(50) });
    expect(givenUp).toMatchObject({ kind: "NotSent", cause: "Aborted" });
    expect(vendor.seen).toHaveLength(1);
  });

  test("no more requests are under way than allowed", async () => {
    let most = 0;
    const waiting: (() => void)[] = [];
    const vendor = await startVendor(async (_seen, response) => {
      // Answers come in pairs: with one request at a time none would ever come.
      await new Promise<void>((resolve) => {
        waiting.push(resolve);
        most = Math.max(most, waiting.length);
        if (waiting.length < 2) return;
        for (const answer of waiting.splice(0)) answer();
      });
      json(response, 200, {});
    });
    const client = clientOf(vendor.url, { limits: { requestsPerSecond: 1000, burst: 100, concurrency: 2 } });
    await Promise.all(Array.from({ length: 20 }, () => client.send(get)));
    expect(most).toBe(2);
  });

  test("closing ends what is under way and what waits", async () => {
    const vendor = await startVendor(() => undefined);
    const client = clientOf(vendor.url, { limits: { requestsPerSecond: 1000, burst: 100, concurrency: 1 } });
    const sent = client.send(post);
    const waiting = client.send(post);
    await expect.poll(() => vendor.seen.length).toBe(1);
    await client.close();
    expect(judgeWrite(await sent).verdict).toBe("Ambiguous");
    expect(await waiting).toMatchObject({ kind: "NotSent", cause: "Closed" });
  });
});

describe("TLS", () => {
  test("a private authority, a server name and a client certificate are used; a wrong one is a TLS failure", async () => {
    const authority = await CertificateAuthority.create();
    const server = await authority.issueServer("vendor");
    const ours = await authority.issueClient("drayage");
    const vendor = await startVendor((_seen, response) => json(response, 200, {}), {
      cert: server.cert,
      key: server.key,
      ca: authority.pem,
      requestCert: true,
      rejectUnauthorized: true,
    });
    const good = {
      ca: authority.pem,
      clientCert: ours.cert,
      clientKey: ours.key,
      serverName: "kubernetes.default.svc",
    };
    expect(await clientOf(vendor.url, { tls: good }).send(post)).toMatchObject({ kind: "Answer" });
    const { ca: _ca, ...untrusted } = good;
    expect(await clientOf(vendor.url, { tls: untrusted }).send(post)).toMatchObject({ kind: "NotSent", tls: true });
    const misnamed = { ...good, serverName: "other.example" };
    expect(await clientOf(vendor.url, { tls: misnamed }).send(post)).toMatchObject({ kind: "NotSent", tls: true });
    expect(vendor.seen).toHaveLength(1);
  });
});

describe("proxies", () => {
  test("are taken from the environment, but never for this machine", () => {
    const env = { HTTPS_PROXY: "http://proxy:3128", NO_PROXY: "internal" };
    expect(proxySettings("https://api.vendor.example", env)).toEqual({
      httpsProxy: "http://proxy:3128",
      noProxy: "internal",
    });
    for (const origin of ["http://127.0.0.1:1", "http://localhost", "http://[::1]:80"])
      expect(proxySettings(origin, env)).toBeUndefined();
    expect(proxySettings("https://api.vendor.example", {})).toBeUndefined();
  });

  test("carry the request", async () => {
    const proxy = await startVendor((_seen, response) => json(response, 200, {}));
    const tunnels: string[] = [];
    const server = createServer((socket) => {
      socket.once("data", (data) => {
        tunnels.push(String(data).split("\r\n")[0] ?? "");
        socket.end("HTTP/1.1 502 Bad Gateway\r\n\r\n");
      });
      socket.on("error", () => undefined);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(() => void server.close());
    const { port } = server.address() as AddressInfo;
    const client = clientOf("https://api.vendor.example", { env: { HTTPS_PROXY: `http://127.0.0.1:${port}` } });
    expect(await client.send(post)).toMatchObject({ kind: "NotSent", cause: "Connect" });
    expect(tunnels).toEqual(["CONNECT api.vendor.example:443 HTTP/1.1"]);
    expect(proxy.seen).toEqual([]);
  });
});
