import { describe, expect, onTestFinished, test } from "vitest";
import { startControl, type Effect } from "../../../src/simulators/mittwald/index.ts";
import { bench, web } from "./mittwald-bench.ts";

describe("a write whose answer is lost", () => {
  test.each<[string, Effect, boolean]>([
    ["a reset before it is done", { kind: "reset", when: "before" }, false],
    ["a reset after it is done", { kind: "reset", when: "after" }, true],
    ["a body that breaks off", { kind: "cut" }, true],
  ])("by %s", async (_what, effect, isDone) => {
    const { patch, vendor } = await bench();
    const fault = vendor.fault({ match: "update-stack", effect });
    await expect(patch({ web: web() })).rejects.toThrow();
    expect(fault.hits()).toBe(1);
    expect(vendor.platform.effects.counts().created).toBe(isDone ? 1 : 0);
    expect(vendor.requests().at(-1)).toMatchObject({ operation: "update-stack", status: 0 });
    expect((await patch({ web: web() })).status).toBe(200);
    expect(vendor.platform.effects.counts().created).toBe(1);
  });

  test("may have been carried out behind a 5xx, a redirect or a gateway's page", async () => {
    const { patch, vendor, call, project } = await bench();
    vendor.fault({ match: "update-stack", effect: { kind: "answer", when: "after", status: 500 } });
    const failed = await patch({ web: web() });
    expect([failed.status, failed.body.type]).toEqual([500, "InternalServerError"]);
    expect(vendor.platform.effects.counts().created).toBe(1);
    vendor.fault({ match: "writes", effect: { kind: "answer", when: "after", status: 502, html: true } });
    const page = await call("PATCH", `/v2/stacks/${project.id}`, { services: { db: web() } }, { unchecked: true });
    expect([page.status, page.headers.get("content-type")]).toEqual([502, "text/html"]);
    expect(vendor.platform.effects.counts().created).toBe(2);
    for (const status of [401, 403, 409, 412, 429])
      vendor.fault({ match: "writes", effect: { kind: "answer", when: "before", status } });
    const statuses: number[] = [];
    for (let index = 0; index < 5; index++) statuses.push((await patch({ no: web() })).status);
    expect(statuses).toEqual([401, 403, 409, 412, 429]);
    expect(vendor.platform.effects.counts().created).toBe(2);
  });

  test("may come late, and be carried out twice", async () => {
    const { call, project, vendor, clock } = await bench();
    vendor.fault({ match: "create-stack", effect: { kind: "duplicate", ms: 5000 } });
    const path = `/v2/projects/${project.id}/stacks`;
    expect((await call("POST", path, { description: "mine" })).status).toBe(201);
    expect(vendor.platform.stacks()).toHaveLength(2);
    await clock.advance(5000);
    expect(vendor.platform.stacks()).toHaveLength(3);
    vendor.fault({ match: "create-stack", effect: { kind: "delay", ms: 5000 } });
    const late = call("POST", path, { description: "late" });
    await expect.poll(() => vendor.requests().at(-1)?.status === undefined && clock.pending > 0).toBe(true);
    expect(vendor.platform.stacks()).toHaveLength(3);
    await clock.advance(5000);
    expect((await late).status).toBe(201);
  });

  test("may never have been one: the answer is that of a change that changes nothing", async () => {
    const { patch, vendor } = await bench();
    vendor.fault({ match: "update-stack", effect: { kind: "pretend" } });
    const answer = await patch({ web: web() });
    expect([answer.status, answer.body.services]).toEqual([200, undefined]);
    expect(vendor.platform.effects.list()).toEqual([]);
  });

  test("rules match operations, reads or writes, skip and repeat, until they are cleared", async () => {
    const { call, stack, patch, vendor } = await bench();
    vendor.fault({ match: "reads", skip: 1, times: "all", effect: { kind: "answer", when: "before", status: 503 } });
    expect((await patch({})).status).toBe(200);
    const statuses: number[] = [];
    for (let index = 0; index < 3; index++) statuses.push((await call("GET", stack)).status);
    expect(statuses).toEqual([200, 503, 503]);
    vendor.clearFaults();
    expect((await call("GET", stack)).status).toBe(200);
  });

  test("an outage resets everything and forgets nothing", async () => {
    const { call, stack, patch, vendor } = await bench();
    await patch({ web: web() });
    const back = await vendor.outage();
    await expect(call("GET", stack)).rejects.toThrow();
    await back();
    expect((await call("GET", stack)).body.services).toHaveLength(1);
  });
});

test("answers may have words and fields that no page has", async () => {
  const { patch, clock, call, stack, vendor } = await bench();
  Object.assign(vendor.quirks, { unknownStatus: "restarting", extraFields: true });
  await patch({ web: web() });
  await clock.advance(1000);
  const { body } = await call("GET", stack, undefined, { unchecked: true });
  expect(body.services[0]).toMatchObject({ status: "restarting", meta: {} });
  expect(body).toMatchObject({ labels: null });
  expect((await call("GET", "/v2/nothing")).status).toBe(404);
});

describe("humans and pipelines on the same stack", () => {
  test("edit, stop, remove and add containers, and deploy a whole stack; all of it is booked as theirs", async () => {
    const { vendor, project, running, service, clock, call, stack } = await bench();
    const id = await running("web");
    vendor.human.create(project.id, "theirs", { image: "mysql:8", volumes: ["db:/var/lib/mysql"] });
    vendor.human.edit(id, { environment: { DEBUG: "1" } });
    expect(await service("web")).toMatchObject({ requiresRecreate: true });
    vendor.human.act(id, "stop");
    await clock.advance(1000);
    expect((await service("web")).status).toBe("stopped");
    vendor.human.deploy(project.id, { other: { image: "nginx", description: "other" } });
    await clock.advance(10_000);
    const { body } = await call("GET", stack);
    expect(body.services).toMatchObject([{ serviceName: "other", status: "running" }]);
    expect(body.volumes).toMatchObject([{ name: "db", orphaned: true }]);
    const { effects } = vendor.platform;
    expect(effects.counts({ serviceName: "web", by: "human" })).toMatchObject({ edited: 1, stopped: 1, removed: 1 });
    expect(effects.counts({ serviceName: "web", by: "api" })).toMatchObject({ created: 1, edited: 0, removed: 0 });
    expect(() => vendor.human.remove(id)).toThrow("no container");
    expect(() => vendor.human.create(project.id, "x", { image: "nginx", ports: ["1:2"] })).toThrow("Validation failed");
  });

  test("may come between a read and a write, and are seen at once by a write that is late", async () => {
    const { vendor, project, patch } = await bench();
    const run = (): void => vendor.human.create(project.id, "theirs", { image: "nginx" });
    vendor.fault({ match: "update-stack", effect: { kind: "run", run } });
    const answer = await patch({ web: web() });
    expect(answer.body.services.map(({ serviceName }: { serviceName: string }) => serviceName)).toEqual([
      "theirs",
      "web",
    ]);
  });
});

describe("the control endpoint", () => {
  async function controlled() {
    const made = await bench();
    const control = await startControl(made.vendor, 0);
    onTestFinished(() => control.close());
    const post = async (path: string, body: object) => {
      const response = await fetch(`${control.url}/${path}`, { method: "POST", body: JSON.stringify(body) });
      return { status: response.status, text: await response.text() };
    };
    const get = async (path: string) => (await fetch(`${control.url}/${path}`)).text();
    return { ...made, post, get };
  }

  test("shows the books without environments and passwords", async () => {
    const { get, patch, call, project } = await controlled();
    await patch({ web: web({ environment: { TOKEN: "hunter22" }, command: ["--password", "hunter23"] }) });
    const credentials = { username: "u", password: "hunter24" };
    await call("POST", `/v2/projects/${project.id}/registries`, { uri: "a.example", description: "a", credentials });
    expect(JSON.parse(await get(""))).toMatchObject({ projects: 1, stacks: 1, containers: 1, requests: 2 });
    expect(JSON.parse(await get("containers"))).toMatchObject([{ serviceName: "web", status: "creating" }]);
    expect(JSON.parse(await get("effects"))).toMatchObject([{ kind: "created", by: "api" }]);
    const all = await Promise.all(["projects", "stacks", "containers", "effects", "requests", "quirks"].map(get));
    expect(all.join("\n")).not.toContain("hunter2");
  });

  test("throws the switches", async () => {
    const { post, get, vendor, running, project, call, stack, clock } = await controlled();
    const id = await running("web");
    const statuses = [
      await post("quirks", { lagMs: 100, pullFailure: "error" }),
      await post("fault", { match: "writes", effect: { kind: "duplicate", ms: 10 } }),
      await post("clear-faults", {}),
      await post("human/edit", { container: id, service: { environment: { A: "1" } } }),
      await post("human/stop", { container: `${project.id}/web` }),
      await post("human/create", { stackId: project.id, name: "theirs", service: { image: "nginx" } }),
      await post("human/pull", { container: `${project.id}/theirs`, skipRecreate: true }),
      await post("write", { container: id, line: "hello" }),
      await post("exit", { container: id, code: 3 }),
      await post("human/remove", { container: id }),
      await post("human/deploy", { stackId: project.id, services: {} }),
      await post("human/call", {
        operation: "create-stack",
        path: { projectId: project.id },
        body: { description: "x" },
      }),
      await post("image", { image: "nginx", behaviour: { problem: "missing" } }),
      await post("push-image", { image: "nginx" }),
      await post("registry-login", { host: "ghcr.io", username: "u", password: "p" }),
      await post("disable", { stackId: project.id }),
      await post("run-schedule", { stackId: project.id }),
      await post("add-project", { shortId: "p-second" }),
      await post("token", { token: "next" }),
      await post("authorize", { how: 403 }),
    ];
    expect(statuses.map(({ status }) => status).filter((status) => status >= 300)).toEqual([]);
    expect(vendor.quirks.lagMs).toBe(100);
    expect(vendor.platform.effects.counts({ by: "human" })).toMatchObject({
      edited: 1,
      stopped: 1,
      created: 1,
      removed: 2,
    });
    expect(JSON.parse(await get("stacks"))).toHaveLength(3);
    expect(vendor.platform.stack(project.id).disabled).toBe(true);
    await clock.advance(1000);
    expect((await call("GET", stack, undefined, { token: "next" })).status).toBe(403);
  });

  test("says what is wrong", async () => {
    const { post, project } = await controlled();
    expect((await post("fault", { effect: { kind: "nonsense" } })).status).toBe(400);
    expect((await post("quirks", { nonsense: 1 })).status).toBe(400);
    expect((await post("nothing", {})).status).toBe(404);
    expect(await post("human/remove", { container: "none" })).toMatchObject({
      status: 409,
      text: expect.stringContaining("no container none"),
    });
    const refused = await post("human/create", {
      stackId: project.id,
      name: "x",
      service: { image: "nginx", ports: ["1:2"] },
    });
    expect(refused).toMatchObject({ status: 409, text: expect.stringContaining("must equal") });
  });
});
