import { describe, expect, test } from "vitest";
import { bench, web } from "./mittwald-bench.ts";

describe("a new container", () => {
  test("is creating while its image is pulled, then starting, then running, and needs no recreate", async () => {
    const { patch, service, clock } = await bench({ pullMs: 1000, startMs: 500 });
    const made = (await patch({ web: web({ image: "nginx:1.27" }) })).body.services[0];
    expect(made).toMatchObject({
      status: "creating",
      requiresRecreate: false,
      deployedState: { image: "library/nginx:1.27" },
    });
    expect(made.shortId).toMatch(/^c-[a-z0-9]{6}$/);
    await clock.advance(1000);
    expect(await service("web")).toMatchObject({ status: "starting" });
    await clock.advance(500);
    const running = await service("web");
    expect(running).toMatchObject({ status: "running", message: "Container is ready", requiresRecreate: false });
    expect(running.deployedState).toEqual(running.pendingState);
    expect(running.deployedState).toMatchObject({
      image: "library/nginx:1.27",
      imageDigest: expect.stringMatching(/^sha256:[0-9a-f]{64}$/),
      entrypoint: ["/entrypoint.sh"],
      command: ["serve"],
    });
    expect(running.statusSetAt).toBe(new Date(clock.now()).toISOString());
  });

  test("whose image is not there waits for it, or is in error; a push, another image or a login ends that", async () => {
    const { patch, service, clock, vendor } = await bench();
    await patch({ web: web({ image: "ghcr.io/acme/absent:1" }) });
    await clock.advance(60_000);
    expect(await service("web")).toMatchObject({
      status: "creating",
      message: expect.stringContaining("does not exist"),
    });
    vendor.quirks.pullFailure = "error";
    await patch({ other: web({ image: "ghcr.io/acme/private:1" }) });
    await clock.advance(60_000);
    expect(await service("other")).toMatchObject({ status: "error", message: expect.stringContaining("denied") });
    await patch({ web: { image: "ghcr.io/acme/web:2" } });
    await clock.advance(60_000);
    expect(await service("web")).toMatchObject({ status: "running", requiresRecreate: false });
    vendor.platform.images.set("ghcr.io/acme/private:1", { private: false });
    await clock.advance(60_000);
    expect(await service("other")).toMatchObject({ status: "running" });
  });
});

describe("a change of a running container", () => {
  test.each<[string, object]>([
    ["image", { image: "ghcr.io/acme/web:2" }],
    ["command", { command: ["other"] }],
    ["entrypoint", { entrypoint: ["/other"] }],
    ["environment", { environment: { A: "1" } }],
    ["ports", { ports: ["81/tcp"] }],
    ["limits", { deploy: { resources: { limits: { memory: "1gb" } } } }],
    ["restart policy", { restartPolicy: "no" }],
  ])("of %s changes nothing that runs; it requires a recreate, which is a downtime", async (_what, over) => {
    const { patch, service, running, clock, call, stack, vendor } = await bench();
    const id = await running("web");
    const before = await service("web");
    const changed = (await patch({ web: over })).body.services[0];
    expect(changed).toMatchObject({ status: "running", requiresRecreate: true, statusSetAt: before.statusSetAt });
    expect(changed.deployedState).toEqual(before.deployedState);
    await clock.advance(60_000);
    expect(await service("web")).toMatchObject({ status: "running", requiresRecreate: true });
    expect((await call("POST", `${stack}/services/${id}/actions/recreate`)).status).toBe(204);
    expect((await service("web")).status).toBe("starting");
    await clock.advance(60_000);
    const after = await service("web");
    expect(after).toMatchObject({ id, status: "running", requiresRecreate: false });
    expect(after.deployedState).toEqual(after.pendingState);
    expect(after.statusSetAt).not.toBe(before.statusSetAt);
    expect(vendor.platform.effects.counts({ serviceName: "web" })).toMatchObject({
      created: 1,
      edited: 1,
      recreated: 1,
      downtimes: 1,
    });
  });

  test("of the description alone requires nothing; taken back before the recreate, a change requires nothing either", async () => {
    const { patch, running } = await bench();
    await running("web");
    expect((await patch({ web: { description: "new" } })).body.services[0]).toMatchObject({
      description: "new",
      requiresRecreate: false,
    });
    expect((await patch({ web: { image: "ghcr.io/acme/web:2" } })).body.services[0].requiresRecreate).toBe(true);
    expect((await patch({ web: { image: "ghcr.io/acme/web:1" } })).body.services[0].requiresRecreate).toBe(false);
  });

  test("with ?recreate=true recreates the whole stack, or what requires it; a PUT may do so by itself", async () => {
    const { running, call, stack, vendor, clock, put } = await bench();
    await running("web");
    await running("theirs");
    const image = { services: { web: { image: "ghcr.io/acme/web:2" } } };
    await call("PATCH", `${stack}?recreate=true`, image);
    await clock.advance(60_000);
    expect(vendor.platform.effects.counts({ serviceName: "theirs" }).recreated).toBe(1);
    vendor.quirks.patchRecreates = "required";
    await call("PATCH", `${stack}?recreate=true`, { services: { web: { image: "ghcr.io/acme/web:3" } } });
    await clock.advance(60_000);
    expect(vendor.platform.effects.counts({ serviceName: "theirs" }).recreated).toBe(1);
    expect(vendor.platform.effects.counts({ serviceName: "web" }).recreated).toBe(2);
    vendor.quirks.putRecreates = true;
    await put({ web: web({ image: "ghcr.io/acme/web:4" }) });
    expect(vendor.platform.effects.counts({ serviceName: "web" }).recreated).toBe(3);
  });

  test("to an image that is not there ends what ran at the recreate, and stays required until it is there", async () => {
    const { patch, running, call, stack, service, clock, vendor } = await bench();
    const id = await running("web");
    await patch({ web: { image: "ghcr.io/acme/absent:1" } });
    await call("POST", `${stack}/services/${id}/actions/recreate`);
    await clock.advance(60_000);
    expect(await service("web")).toMatchObject({
      status: "starting",
      requiresRecreate: true,
      deployedState: { image: "ghcr.io/acme/web:1" },
    });
    vendor.platform.images.set("ghcr.io/acme/absent:1", {});
    await patch({ web: { image: "ghcr.io/acme/web:3" } });
    await clock.advance(60_000);
    expect(await service("web")).toMatchObject({
      status: "running",
      requiresRecreate: false,
      deployedState: { image: "ghcr.io/acme/web:3" },
    });
  });
});

describe("actions", () => {
  test("are refused with VError where the state does not allow them", async () => {
    const { running, call, stack, clock, service } = await bench();
    const id = await running("web");
    const act = (what: string) => call("POST", `${stack}/services/${id}/actions/${what}`);
    const started = await act("start");
    expect(started.status).toBe(412);
    expect(started.body).toMatchObject({
      type: "VError",
      message: `cannot start service ${id}, it is already running`,
    });
    expect((await act("stop")).status).toBe(204);
    expect((await service("web")).status).toBe("stopping");
    expect((await act("start")).status).toBe(412);
    await clock.advance(1000);
    expect((await service("web")).status).toBe("stopped");
    expect((await act("stop")).status).toBe(412);
    expect((await act("restart")).status).toBe(412);
    expect((await act("start")).status).toBe(204);
    await clock.advance(1000);
    expect((await service("web")).status).toBe("running");
    expect((await act("restart")).status).toBe(204);
    expect((await service("web")).status).toBe("starting");
    expect((await act("restart")).status).toBe(412);
  });

  test("restart and start run what is deployed, not what is declared since", async () => {
    const { running, call, stack, clock, service, patch } = await bench();
    const id = await running("web");
    await patch({ web: { image: "ghcr.io/acme/web:2" } });
    for (const what of ["restart", "stop", "start"]) {
      await call("POST", `${stack}/services/${id}/actions/${what}`);
      await clock.advance(10_000);
    }
    expect(await service("web")).toMatchObject({
      status: "running",
      requiresRecreate: true,
      deployedState: { image: "ghcr.io/acme/web:1" },
    });
  });

  test("recreate starts a stopped container unless told otherwise, and a lag may leave the old status", async () => {
    const { running, call, stack, clock, service, vendor } = await bench();
    const id = await running("web");
    const act = (what: string) => call("POST", `${stack}/services/${id}/actions/${what}`);
    vendor.quirks.actionLagMs = 2000;
    await act("restart");
    await clock.advance(1000);
    expect((await service("web")).status).toBe("running");
    await clock.advance(1000);
    expect((await service("web")).status).toBe("starting");
    vendor.quirks.actionLagMs = 0;
    await act("stop");
    await clock.advance(1000);
    vendor.quirks.recreateStarts = false;
    await act("recreate");
    await clock.advance(10_000);
    expect((await service("web")).status).toBe("stopped");
    vendor.quirks.recreateStarts = true;
    await act("recreate");
    await clock.advance(10_000);
    expect((await service("web")).status).toBe("running");
  });

  test("pull fetches the newest image of its tag and recreates; with skipRecreate it only requires that", async () => {
    const { running, call, stack, clock, service, vendor } = await bench();
    const id = await running("web");
    const pull = (query = "") => call("POST", `${stack}/services/${id}/actions/pull${query}`);
    const before = (await service("web")).deployedState.imageDigest;
    await pull("?skipRecreate=true");
    expect(await service("web")).toMatchObject({ requiresRecreate: false, status: "running" });
    vendor.platform.images.push("ghcr.io/acme/web:1");
    await pull("?skipRecreate=true");
    const pulled = await service("web");
    expect(pulled).toMatchObject({ requiresRecreate: true, status: "running", deployedState: { imageDigest: before } });
    expect(pulled.pendingState.imageDigest).not.toBe(before);
    await pull();
    await clock.advance(10_000);
    const after = await service("web");
    expect(after).toMatchObject({ requiresRecreate: false, status: "running" });
    expect(after.deployedState.imageDigest).toBe(pulled.pendingState.imageDigest);
    vendor.platform.images.set("ghcr.io/acme/web:1", { problem: "missing" });
    expect((await pull()).status).toBe(412);
    expect(vendor.platform.effects.counts({ serviceId: id })).toMatchObject({ pulled: 3, recreated: 1, downtimes: 1 });
  });
});

test("statusSetAt may have whole seconds, so that what is quick leaves no trace", async () => {
  const { running, call, stack, clock, service } = await bench({ startMs: 100, quirks: { statusSeconds: true } });
  const id = await running("web");
  await call("POST", `${stack}/services/${id}/actions/restart`);
  const starting = await service("web");
  await clock.advance(100);
  expect(await service("web")).toMatchObject({ status: "running", statusSetAt: starting.statusSetAt });
  expect(starting.statusSetAt).toMatch(/\.000Z$/);
});

describe("a process that ends", () => {
  test("is started again for ever with policy always: only statusSetAt tells", async () => {
    const { patch, service, clock, vendor } = await bench();
    await patch({ web: web({ image: "ghcr.io/acme/crash:1" }) });
    const seen = new Set<string>();
    for (let step = 0; step < 40; step++) {
      await clock.advance(250);
      const { status, statusSetAt } = await service("web");
      if (step > 10) expect(["starting", "running"]).toContain(status);
      seen.add(statusSetAt);
    }
    expect(seen.size).toBeGreaterThan(8);
    expect(vendor.platform.effects.counts().exited).toBeGreaterThan(3);
  });

  test.each<[string, number, "stopped" | "error", string]>([
    ["no", 0, "stopped", "stopped"],
    ["no", 0, "error", "error"],
    ["no", 1, "stopped", "error"],
    ["on-failure", 0, "stopped", "stopped"],
    ["on-failure", 1, "stopped", "starting"],
    ["unless-stopped", 0, "stopped", "stopped"],
    ["unless-stopped", 1, "stopped", "starting"],
    ["on-failure:3", 1, "stopped", "starting"],
    ["always", 0, "stopped", "starting"],
  ])("with policy %s and code %i (%s): %s", async (restartPolicy, code, exited, status) => {
    const { running, vendor, service } = await bench({ quirks: { exited } });
    const id = await running("web", { restartPolicy });
    vendor.human.exit(id, code);
    expect((await service("web")).status).toBe(status);
  });
});
