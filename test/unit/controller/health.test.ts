import { request } from "node:http";
import { connect } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { Checks, healthServers } from "../../../src/controller/health.ts";
import { HttpServer, ListenError, textAnswer } from "../../../src/controller/http-server.ts";
import { Metrics } from "../../../src/controller/metrics.ts";

const running: HttpServer[] = [];
afterEach(async () => {
  for (const server of running.splice(0)) await server.stop();
});

async function start(server: HttpServer): Promise<string> {
  await server.start();
  running.push(server);
  return `http://127.0.0.1:${server.address?.port}`;
}

function serverOf(routes: ConstructorParameters<typeof HttpServer>[0]["routes"], onError?: (error: unknown) => void) {
  return new HttpServer({ name: "probes", address: { host: "127.0.0.1", port: 0 }, routes, onError });
}

async function get(url: string, method = "GET"): Promise<{ status: number; body: string }> {
  const response = await fetch(url, { method });
  return { status: response.status, body: await response.text() };
}

describe("probes", () => {
  test("all well: a bare ok, one line per check with ?verbose", async () => {
    const ready = new Checks();
    ready.add("caches", () => undefined);
    ready.add("lease", () => undefined);
    const url = await start(serverOf({ "/readyz": ready.answer }));
    expect(await get(`${url}/readyz`)).toEqual({ status: 200, body: "ok\n" });
    expect(await get(`${url}/readyz?verbose`)).toEqual({
      status: 200,
      body: "[+]caches ok\n[+]lease ok\ncheck passed\n",
    });
  });

  test("a failing check makes 503 and says why without being asked; it can be excluded, or asked for alone", async () => {
    const ready = new Checks();
    let problem: string | undefined = "not filled yet: connect ECONNREFUSED";
    ready.add("cache-edgedevices", () => problem);
    ready.add("lease", () => undefined);
    const url = await start(serverOf({ "/readyz": ready.answer }));
    expect(await get(`${url}/readyz`)).toEqual({
      status: 503,
      body: "[-]cache-edgedevices failed: not filled yet: connect ECONNREFUSED\n[+]lease ok\ncheck failed\n",
    });
    expect((await get(`${url}/readyz?exclude=cache-edgedevices`)).status).toBe(200);
    expect(await get(`${url}/readyz/cache-edgedevices`)).toEqual({
      status: 503,
      body: "not filled yet: connect ECONNREFUSED\n",
    });
    expect((await get(`${url}/readyz/lease`)).status).toBe(200);
    expect((await get(`${url}/readyz/other`)).status).toBe(404);
    expect((await get(`${url}/readyz/%zz`)).status).toBe(404);
    problem = undefined;
    expect((await get(`${url}/readyz`)).status).toBe(200);
  });

  test("a check that throws is a failed check", async () => {
    const ready = new Checks();
    ready.add("odd", () => {
      throw new Error("cannot tell");
    });
    const url = await start(serverOf({ "/readyz": ready.answer }));
    expect((await get(`${url}/readyz`)).body).toContain("[-]odd failed: cannot tell\n");
  });

  test("a name is taken once, and free again after disposal", () => {
    const checks = new Checks();
    const first = checks.add("a", () => "bad");
    expect(() => checks.add("a", () => undefined)).toThrow("a check named a exists already");
    expect(checks.problems()).toEqual(new Map([["a", "bad"]]));
    first[Symbol.dispose]();
    checks.add("a", () => undefined);
    expect(checks.problems()).toEqual(new Map());
  });
});

describe("the HTTP server", () => {
  test("answers GET and HEAD on its routes, and nothing else", async () => {
    const url = await start(serverOf({ "/healthz": () => textAnswer(200, "ok\n") }));
    expect(await get(`${url}/healthz`, "HEAD")).toEqual({ status: 200, body: "" });
    expect((await get(`${url}/healthz`, "POST")).status).toBe(405);
    expect(await get(`${url}/`)).toEqual({ status: 404, body: "not found; this port serves /healthz\n" });
    expect((await get(`${url}/constructor`)).status).toBe(404);
  });

  test("a handler that fails gives a bare 500 and is reported; the server goes on", async () => {
    const errors: unknown[] = [];
    let fails = true;
    const routes = {
      "/metrics": () => {
        if (fails) throw new Error("secret detail");
        return textAnswer(200, "x 1\n");
      },
    };
    const url = await start(serverOf(routes, (error) => errors.push(error)));
    expect(await get(`${url}/metrics`)).toEqual({ status: 500, body: "internal error\n" });
    expect(errors).toHaveLength(1);
    fails = false;
    expect((await get(`${url}/metrics`)).status).toBe(200);
  });

  test("survives a client that sends nonsense and one that goes away", async () => {
    const server = serverOf({ "/healthz": () => textAnswer(200, "ok\n") });
    const url = await start(server);
    const port = server.address?.port ?? 0;
    const closed = Promise.withResolvers<void>();
    const socket = connect(port, "127.0.0.1", () => socket.write("nonsense\r\n\r\n"));
    socket
      .on("close", () => closed.resolve())
      .on("error", () => undefined)
      .resume();
    await closed.promise;
    const gone = request(`${url}/healthz`);
    gone.on("error", () => undefined);
    gone.end();
    gone.destroy();
    expect((await get(`${url}/healthz`)).status).toBe(200);
  });

  test("says which address it cannot have, and why", async () => {
    const first = serverOf({});
    await start(first);
    const address = first.address ?? { host: "", port: 0 };
    const second = new HttpServer({ name: "metrics", address, routes: {} });
    const failure = await second.start().catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(ListenError);
    expect((failure as Error).message).toBe(
      `cannot listen on 127.0.0.1:${address.port} for metrics: the port is taken by another process`,
    );
    await second.stop();
  });

  test("stops while a client holds a connection open, and frees the port", async () => {
    const server = serverOf({ "/healthz": () => textAnswer(200, "ok\n") });
    const url = await start(server);
    await get(`${url}/healthz`);
    const address = server.address ?? { host: "", port: 0 };
    await server.stop();
    await server.stop();
    const next = new HttpServer({ name: "probes", address, routes: {} });
    await next.start();
    await next.stop();
  });
});

test("a request that is never answered does not hold up the stop", async () => {
  const arrived = Promise.withResolvers<void>();
  const server = serverOf({
    "/metrics": () => {
      arrived.resolve();
      return new Promise(() => {});
    },
  });
  const url = await start(server);
  const answer = fetch(`${url}/metrics`).then(
    () => "answered",
    () => "cut off",
  );
  await arrived.promise;
  await server.stop();
  expect(await answer).toBe("cut off");
});

describe("healthServers", () => {
  const common = { live: new Checks(), ready: new Checks(), metrics: new Metrics() };
  const at = (port: number) => ({ host: "127.0.0.1", port });

  test("one server per address, one for both where they are the same, none where an address is off", () => {
    const names = (health: number | undefined, metrics: number | undefined): string[] =>
      healthServers({
        ...common,
        healthAddress: health === undefined ? undefined : at(health),
        metricsAddress: metrics === undefined ? undefined : at(metrics),
      }).map(({ name }) => name);
    expect(names(8081, 8080)).toEqual(["probes", "metrics"]);
    expect(names(8081, 8081)).toEqual(["probes and metrics"]);
    expect(names(0, 0)).toEqual(["probes", "metrics"]);
    expect(names(undefined, 8080)).toEqual(["metrics"]);
    expect(names(8081, undefined)).toEqual(["probes"]);
    expect(names(undefined, undefined)).toEqual([]);
  });

  test("metrics come in the Prometheus text format", async () => {
    const [, server] = healthServers({ ...common, healthAddress: at(0), metricsAddress: at(0) });
    if (server === undefined) throw new Error("no metrics server");
    const url = await start(server);
    const response = await fetch(`${url}/metrics`);
    expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
  });
});
