import { createHmac } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { describe, expect, onTestFinished, test } from "vitest";
import {
  ManualClock,
  startControl,
  startHiveon,
  type HiveonOptions,
  type HiveonSimulator,
} from "../../../src/simulators/hiveon/index.ts";

const BASE = "/vendors/v1/machines/deployments";
const KEY = "hiveon-key";

interface Reply {
  status: number;
  // oxlint-disable-next-line typescript/no-explicit-any
  body: any;
  text: string;
}

interface Bench {
  vendor: HiveonSimulator;
  clock: ManualClock;
  call: (method: string, path: string, body?: unknown, key?: string) => Promise<Reply>;
  start: (over?: object) => Promise<Reply>;
}

async function bench(options: Partial<HiveonOptions> = {}): Promise<Bench> {
  const clock = new ManualClock();
  const vendor = await startHiveon({
    clock,
    machines: [
      {
        id: "m1",
        prices: [
          { id: "p1", amount: "2", currency: "BTC" },
          { id: "p2", amount: "3", currency: "BTC" },
        ],
      },
      { id: "m2" },
    ],
    ...options,
  });
  onTestFinished(() => vendor.stop());
  const call: Bench["call"] = async (method, path, body, key = KEY) => {
    const response = await fetch(`${vendor.url}${path}`, {
      method,
      headers: { "content-type": "application/json", ...(key !== "" && { "X-API-Key": key }) },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: text.startsWith("{") ? JSON.parse(text) : undefined, text };
  };
  const start: Bench["start"] = (over = {}) =>
    call("POST", `${BASE}/start`, {
      machine_id: "m1",
      machine_price_id: "p1",
      external_deployment_id: "ours-1",
      container_config: { image: "nginx:latest" },
      ...over,
    });
  return { vendor, clock, call, start };
}

describe("the key", () => {
  test("is demanded on every path, and can be refused with 401 or 403", async () => {
    const { call, vendor } = await bench();
    for (const path of [`${BASE}/x`, `${BASE}/start`])
      expect((await call("GET", path, undefined, "")).status).toBe(401);
    expect((await call("GET", `${BASE}/x`, undefined, "wrong")).status).toBe(401);
    vendor.authorize(403);
    expect((await call("GET", `${BASE}/x`)).status).toBe(403);
  });
});

describe("a start", () => {
  const config = (fields: object) => ({ container_config: { image: "i", ...fields } });
  test.each([
    ["machine_id", { machine_id: "" }],
    ["machine_price_id", { machine_price_id: undefined }],
    ["container_config", { container_config: undefined }],
    ["image", { container_config: {} }],
    [
      "at most 100",
      config({ ports: Array.from({ length: 101 }, () => ({ host_port: 1, protocol: "PORT_PROTOCOL_TCP" })) }),
    ],
    ["between 1 and 65535", config({ ports: [{ host_port: 0, protocol: "PORT_PROTOCOL_TCP" }] })],
    ["between 1 and 65535", config({ ports: [{ host_port: 65_536, protocol: "PORT_PROTOCOL_TCP" }] })],
    ["protocol", config({ ports: [{ host_port: 1, protocol: "PORT_PROTOCOL_UNSPECIFIED" }] })],
    ["protocol", config({ ports: [{ host_port: 1, protocol: "UDP" }] })],
    ["container_port", config({ ports: [{ host_port: 1, container_port: 1, protocol: "PORT_PROTOCOL_TCP" }] })],
    ["volumes", config({ volumes: [] })],
    ["environment_variables", config({ environment_variables: { A: 1 } })],
    ["docker_auth", config({ docker_auth: { server: 1 } })],
    ["ssh_pub_keys", { ssh_pub_keys: "one" }],
  ])("without a right %s is 400 and rents nothing", async (what, over) => {
    const { start, vendor } = await bench();
    const answer = await start(over);
    expect(answer.status).toBe(400);
    expect(answer.body.error).toContain(what);
    expect(vendor.rentals()).toEqual([]);
  });

  test("with every documented field is taken; unknown ones only where that is switched on", async () => {
    const { start, vendor } = await bench();
    const all = {
      ssh_pub_keys: ["ssh-rsa A"],
      metadata: { a: "b" },
      container_config: {
        image: "nginx",
        docker_auth: { server: "s", login: "l", password: "p" },
        ports: [{ host_port: 443, protocol: "PORT_PROTOCOL_HTTPS" }],
        startup_script: "echo",
        environment_variables: { A: "b" },
      },
    };
    expect((await start(all)).status).toBe(200);
    vendor.quirks.unknownFields = "ignore";
    expect((await start({ machine_id: "m2", machine_price_id: "m2-price", volumes: [] })).status).toBe(200);
  });

  test.each([400, 404, 409] as const)(
    "on a rented machine is %i, and its price must be one of the machine's",
    async (status) => {
      const { start, vendor } = await bench({ quirks: { unavailableStatus: status } });
      vendor.quirks.stalePriceStatus = 404;
      expect((await start({ machine_price_id: "other" })).status).toBe(404);
      expect((await start({ machine_id: "m9" })).status).toBe(404);
      expect((await start()).status).toBe(200);
      expect(vendor.platform.machineStatus("m1")).toBe("rented");
      expect((await start({ external_deployment_id: "ours-2" })).status).toBe(status);
      vendor.platform.setAway("m2", true);
      expect((await start({ machine_id: "m2", machine_price_id: "m2-price" })).status).toBe(status);
    },
  );

  test("under a known external id: another rental unless told otherwise", async () => {
    const { start, vendor } = await bench({
      machines: [{ id: "m1", prices: [{ id: "p1", amount: "1", currency: "X" }], slots: 9 }],
    });
    const [first, second] = [await start(), await start()];
    expect(second.body.deployment_id).not.toBe(first.body.deployment_id);
    expect(vendor.rentals().filter(({ rented }) => rented)).toHaveLength(2);
    vendor.quirks.duplicates = "same";
    expect((await start()).body.deployment_id).toBe(first.body.deployment_id);
    vendor.quirks.duplicates = "refuse";
    expect((await start()).status).toBe(409);
    expect(vendor.rentals()).toHaveLength(2);
  });
});

describe("a rental", () => {
  test("goes PENDING, RUNNING, STOPPING, STOPPED by the clock, and costs until it has stopped", async () => {
    const { start, call, clock, vendor } = await bench({ startMs: 1_000, stopMs: 500 });
    const id = (await start()).body.deployment_id;
    const status = async () => (await call("GET", `${BASE}/${id}`)).body.status;
    expect(await status()).toBe("STATUS_PENDING");
    await clock.advance(1_000);
    expect(await status()).toBe("STATUS_RUNNING");
    await clock.advance(29_000);
    expect(await call("POST", `${BASE}/${id}/stop`, { metadata: { reason: "test" } })).toMatchObject({
      status: 200,
      body: { deployment_id: id },
    });
    expect(await status()).toBe("STATUS_STOPPING");
    await clock.advance(500);
    expect(await status()).toBe("STATUS_STOPPED");
    expect(vendor.platform.cost()).toBeCloseTo((2 * 30_500) / 60_000);
    await clock.advance(3_600_000);
    expect(vendor.platform.cost()).toBeCloseTo((2 * 30_500) / 60_000);
    expect(vendor.platform.machineStatus("m1")).toBe("available");
  });

  test("that fails stays rented unless told otherwise; so does one whose stop fails", async () => {
    const { start, call, clock, vendor } = await bench();
    vendor.platform.failImage("nginx:latest", { code: 7, message: "no such image" });
    const id = (await start()).body.deployment_id;
    await clock.advance(10_000);
    const look = async () => (await call("GET", `${BASE}/${id}`)).body;
    expect(await look()).toMatchObject({ status: "STATUS_FAILED", fail_reason: { code: 7, message: "no such image" } });
    expect(vendor.rentals()[0]?.rented).toBe(true);
    vendor.platform.failStops();
    await call("POST", `${BASE}/${id}/stop`);
    await clock.advance(10_000);
    expect(await look()).toMatchObject({ status: "STATUS_FAILED" });
    expect(vendor.rentals()[0]?.rented).toBe(true);
    await call("POST", `${BASE}/${id}/stop`);
    await clock.advance(10_000);
    expect(await look()).toMatchObject({ status: "STATUS_STOPPED" });
    expect(vendor.rentals()[0]?.rented).toBe(false);
  });

  test("is found by both ids on one path, by the other path if there is one, and not before it is visible", async () => {
    const { start, call, clock, vendor } = await bench({ quirks: { visibleAfterMs: 5_000 } });
    const id = (await start()).body.deployment_id;
    expect(id).not.toMatch(/^[0-9a-f-]+$/);
    for (const path of [`${BASE}/${id}`, `${BASE}/ours-1`]) expect((await call("GET", path)).status).toBe(404);
    await clock.advance(5_000);
    for (const path of [`${BASE}/${id}`, `${BASE}/ours-1`])
      expect((await call("GET", path)).body).toMatchObject({
        deployment_id: id,
        external_deployment_id: "ours-1",
        machine_id: "m1",
      });
    vendor.quirks.externalIdPath = "/vendors/v1/machines/deployments/external/{id}";
    expect((await call("GET", `${BASE}/ours-1`)).status).toBe(404);
    expect((await call("GET", `${BASE}/external/ours-1`)).body).toMatchObject({ deployment_id: id });
    expect((await call("GET", `${BASE}/external/${id}`)).status).toBe(404);
  });

  test("may be forgotten some time after it has stopped", async () => {
    const { start, call, clock } = await bench({ quirks: { forgetAfterMs: 60_000 } });
    const id = (await start()).body.deployment_id;
    await call("POST", `${BASE}/${id}/stop`);
    await clock.advance(30_000);
    expect((await call("GET", `${BASE}/${id}`)).status).toBe(200);
    await clock.advance(60_000);
    expect((await call("GET", `${BASE}/${id}`)).status).toBe(404);
  });

  test.each([200, 400, 404, 409] as const)("that has stopped answers another stop with %i", async (status) => {
    const { start, call, clock } = await bench({ quirks: { stopTwice: status } });
    const id = (await start()).body.deployment_id;
    await call("POST", `${BASE}/${id}/stop`);
    await clock.advance(30_000);
    expect((await call("POST", `${BASE}/${id}/stop`)).status).toBe(status);
  });
});

describe("dialects", () => {
  test("of answers: zeros left out, fail_reason in four shapes, unknown words and fields, no metadata, a guessed address", async () => {
    const { start, call, vendor } = await bench();
    const id = (await start({ metadata: { a: "b" } })).body.deployment_id;
    const look = async () => (await call("GET", `${BASE}/${id}`)).body;
    expect(await look()).toMatchObject({ fail_reason: { code: 0, message: "" }, metadata: { a: "b" } });
    vendor.quirks.omitZero = true;
    expect(await look()).not.toHaveProperty("fail_reason");
    vendor.quirks.omitZero = false;
    vendor.quirks.failReason = "string";
    expect((await look()).fail_reason).toBe("");
    vendor.quirks.failReason = "null";
    expect((await look()).fail_reason).toBeNull();
    vendor.quirks.failReason = "missing";
    expect(await look()).not.toHaveProperty("fail_reason");
    vendor.quirks.unknownStatus = true;
    vendor.quirks.extraFields = true;
    vendor.quirks.echoMetadata = false;
    expect(await look()).toMatchObject({ status: "STATUS_MIGRATING", network: {}, metadata: {} });
    vendor.quirks.guessSshAddress = true;
    expect((await look()).metadata.ssh).toContain("ssh://");
  });

  test.each([
    ["error", { error: "deployment not found" }],
    ["grpc", { code: 5, message: "deployment not found", details: [] }],
    ["empty", undefined],
  ] as const)("of errors: %s", async (errorBody, body) => {
    const { call } = await bench({ quirks: { errorBody } });
    expect((await call("GET", `${BASE}/none`)).body).toEqual(body);
  });

  test("there is no list, no restart, no logs", async () => {
    const { start, call } = await bench();
    const id = (await start()).body.deployment_id;
    for (const [method, path] of [
      ["GET", BASE],
      ["GET", "/vendors/v1/machines"],
      ["POST", `${BASE}/${id}/restart`],
      ["GET", `${BASE}/${id}/logs`],
      ["PATCH", `${BASE}/${id}`],
      ["DELETE", `${BASE}/${id}`],
    ] as const)
      expect((await call(method, path)).status).toBe(404);
  });
});

describe("lost answers", () => {
  test("before the effect: nothing is rented; after it: something is", async () => {
    const { start, vendor } = await bench({
      machines: [{ id: "m1", prices: [{ id: "p1", amount: "1", currency: "X" }], slots: 9 }],
    });
    const before = vendor.fault({ match: "start", effect: { kind: "reset", when: "before" } });
    await expect(start()).rejects.toThrow();
    expect([before.hits(), vendor.rentals().length]).toEqual([1, 0]);
    vendor.fault({ match: "start", effect: { kind: "reset", when: "after" } });
    await expect(start()).rejects.toThrow();
    expect(vendor.rentals()).toHaveLength(1);
    vendor.fault({ match: "start", effect: { kind: "answer", when: "after", status: 500 } });
    expect((await start()).status).toBe(500);
    expect(vendor.rentals()).toHaveLength(2);
    vendor.fault({ match: "start", effect: { kind: "answer", when: "before", status: 429, retryAfterS: 3 } });
    expect((await start()).status).toBe(429);
    expect(vendor.rentals()).toHaveLength(2);
  });
});

describe("webhooks", () => {
  async function listener() {
    const got: { body: string; signature: string }[] = [];
    const server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        got.push({ body: Buffer.concat(chunks).toString(), signature: String(request.headers["x-webhook-signature"]) });
        response.end();
      });
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
    const address = server.address();
    return { got, url: `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}` };
  }
  const sign = (body: string) => `sha256=${createHmac("sha256", "s3cret").update(body).digest("hex")}`;

  test("are signed over the raw body; wrongly, twice, lost and out of order on demand", async () => {
    const { got, url } = await listener();
    const { start, call, clock, vendor } = await bench({ webhook: { url, secret: "s3cret" } });
    const id = (await start()).body.deployment_id;
    await expect.poll(() => got.length).toBe(1);
    expect(got[0]?.signature).toBe(sign(got[0]?.body ?? ""));
    expect(JSON.parse(got[0]?.body ?? "")).toMatchObject({
      version: "1.0",
      event_type: "EVENT_TYPE_DEPLOYMENT_CREATED",
      data: { deployment_id: id },
    });
    if (vendor.webhooks === undefined) throw new Error("none");
    vendor.webhooks.faults.duplicate = true;
    vendor.webhooks.faults.wrongSignature = true;
    await clock.advance(10_000);
    await expect.poll(() => got.length).toBe(3);
    expect(got[1]?.body).toBe(got[2]?.body);
    expect(got[1]?.signature).not.toBe(sign(got[1]?.body ?? ""));
    Object.assign(vendor.webhooks.faults, { duplicate: false, wrongSignature: false, reorder: true });
    await call("POST", `${BASE}/${id}/stop`);
    await clock.advance(10_000);
    await expect.poll(() => got.length).toBe(5);
    expect(got.slice(3).map(({ body }) => JSON.parse(body).event_type)).toEqual(
      expect.arrayContaining(["EVENT_TYPE_DEPLOYMENT_STOPPED", "EVENT_TYPE_DEPLOYMENT_UPDATED"]),
    );
  });
});

test("the control endpoint shows the books without what a start's body may hide, and throws the switches", async () => {
  const { start, vendor } = await bench();
  const control = await startControl(vendor, 0);
  onTestFinished(() => control.close());
  const post = (path: string, body: object) =>
    fetch(`${control.url}/${path}`, { method: "POST", body: JSON.stringify(body) });
  await start({ container_config: { image: "i", docker_auth: { server: "s", login: "l", password: "hunter22" } } });
  const rentals = await (await fetch(`${control.url}/rentals`)).text();
  expect(JSON.parse(rentals)).toMatchObject([{ machineId: "m1", rented: true, status: "STATUS_PENDING" }]);
  expect(rentals).not.toContain("hunter22");
  expect((await post("fault", { match: "start", effect: { kind: "reset", when: "after" } })).status).toBe(204);
  await expect(start({ machine_id: "m2", machine_price_id: "m2-price" })).rejects.toThrow();
  expect((await post("quirks", { errorBody: "grpc" })).status).toBe(200);
  expect(vendor.quirks.errorBody).toBe("grpc");
  expect((await post("fault", { effect: { kind: "nonsense" } })).status).toBe(400);
  expect((await post("nothing", {})).status).toBe(404);
  expect(await (await fetch(control.url)).json()).toMatchObject({ rentals: 2, rented: 2 });
});

test("a gateway repeats a start, gives an old status, half of one, and the key and the body back", async () => {
  const { vendor, call, start } = await bench({
    machines: [{ id: "m1", prices: [{ id: "p1", amount: "1", currency: "BTC" }], slots: 2 }],
  });
  expect((await call("GET", `${BASE}/ours-1`)).status).toBe(404);
  vendor.fault({ match: "start", effect: { kind: "twice" } });
  expect((await start()).body).toEqual({ deployment_id: vendor.rentals()[1]?.deploymentId });
  vendor.fault({ match: "status", effect: { kind: "stale" } });
  expect((await call("GET", `${BASE}/ours-1`)).status).toBe(404);
  vendor.fault({ match: "status", effect: { kind: "torn" } });
  await expect(call("GET", `${BASE}/ours-1`)).rejects.toThrow();
  expect((await call("GET", `${BASE}/ours-1`)).status).toBe(200);
  vendor.fault({ match: "start", effect: { kind: "answer", when: "before", status: 500, echo: true } });
  const { text } = await start();
  expect(text).toContain(KEY);
  expect(text).toContain("ours-1");
});
