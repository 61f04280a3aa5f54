/**
 * Holds the mittwald backend to the guarantees of src/backends/contract.ts (G1 to G8) against its simulator. What backend-conformance.ts asks of
 * containers that are made without being started, paused and renamed does not fit services; what is common is asked here in the same words.
 */
import { beforeEach, describe, expect, test } from "vitest";
import type { Claim, CommandAction } from "../../../src/backends/contract.ts";
import {
  container,
  createOnce,
  desired,
  madeBy,
  MARKER,
  run,
  succeed,
  synced,
  until,
  type ConformanceProcess,
} from "../../conformance/harness.ts";
import { create, IMAGE, mittwaldWorld, writes, type MittwaldWorld } from "./mittwald-world.ts";

const STOP = { signal: "SIGTERM", timeoutSeconds: 1, force: true };
const env = [{ name: "TOKEN", value: "hunter22-secret" }];

let world: MittwaldWorld;
let ours: ConformanceProcess;

beforeEach(async () => {
  // Its window is as short as a 429 may last here.
  world = await mittwaldWorld({ quirks: { rateWindowMs: 1_000 } });
  ours = world.ours;
});

/** The marker as the vendor keeps it: neither uid nor hash fit into a description. */
const KEPT = { ...MARKER, uid: "", hash: "" };
const stack = () => world.vendor.platform.stack(world.stackId);
const update = (changed: ReturnType<typeof desired>, id: string, applied: string[] = []): CommandAction => {
  const seen = container(ours, id);
  if (seen === undefined) throw new Error("not observed");
  return ours.backend.planner.update(changed, seen, applied);
};
const running = (id: string) => until(() => container(ours, id)?.state === "Running", "that it runs");

describe("the inventory (G4)", () => {
  test("of an empty stack is empty and complete", () => {
    expect(ours.session.snapshot()).toMatchObject({ connection: "Connected", synced: true, containers: [] });
    expect(ours.session.snapshot()).not.toHaveProperty("inFlight");
    expect(ours.account.status().state).toBe("Connected");
  });

  test("shows the effect of each command when its outcome is told", async () => {
    const id = await succeed(ours, create());
    expect(container(ours, id)).toMatchObject({ name: "web", marker: KEPT, hostPorts: [] });
    await running(id);
    await succeed(ours, { kind: "Stop", externalId: id, ...STOP });
    expect(container(ours, id)).toMatchObject({ state: "Stopped", runs: [{ stopped: true }] });
    await succeed(ours, { kind: "Start", externalId: id });
    await running(id);
    await succeed(ours, { kind: "Remove", externalId: id });
    expect(container(ours, id)).toBeUndefined();
    expect(stack().containers.size).toBe(0);
  });

  test("is mended in place: what is declared by one PATCH of our key, what runs by a recreate", async () => {
    const { planner } = ours.backend;
    const id = await succeed(
      ours,
      create(IMAGE, { env, ports: [{ containerPort: 80 }], resources: { limits: { memory: "64Mi", cpu: "500m" } } }),
    );
    await running(id);
    const changed = desired("registry.example/app:2", { env });
    const applied = ["image", "env", "ports", "resources.limits.cpu", "resources.limits.memory"];
    const before = container(ours, id);
    expect(before && planner.diff(changed, before, applied).map(({ path }) => path)).toEqual([
      "image",
      "ports",
      "resources.limits.cpu",
      "resources.limits.memory",
    ]);
    await succeed(ours, update(changed, id, applied));
    expect(world.vendor.requests().findLast(({ method }) => method === "PATCH")?.body).toEqual({
      services: { web: { image: "registry.example/app:2", ports: [], deploy: { resources: {} } } },
    });
    const declared = container(ours, id);
    expect(declared && planner.diff(changed, declared, applied)).toMatchObject([{ path: "rollout" }]);
    await succeed(ours, update(changed, id, applied));
    await running(id);
    const after = container(ours, id);
    expect(after && planner.diff(changed, after, applied)).toEqual([]);
    expect(after?.marker).toEqual(KEPT);
  });

  test("knows what people made, and what they removed", async () => {
    world.vendor.human.create(world.stackId, "theirs", { image: "x/y:1" });
    const seen = () => ours.session.snapshot().containers.find(({ name }) => name === "theirs");
    await until(() => seen() !== undefined, "their service");
    expect(seen()).not.toHaveProperty("marker");
    world.vendor.human.remove(`${world.stackId}/theirs`);
    await until(() => seen() === undefined, "its end");
  });

  test("derives the runs of a process that fails by itself from statusSetAt", async () => {
    world.vendor.platform.images.set("registry.example/crasher:1", { exit: { code: 1, afterMs: 150 } });
    const id = await succeed(ours, create("registry.example/crasher:1"));
    await until(
      () => (container(ours, id)?.runs.filter(({ finishedAt }) => finishedAt !== undefined).length ?? 0) >= 2,
      "two runs",
    );
    expect(container(ours, id)?.runs[0]?.stopped).toBeUndefined();
  });

  test("is asked for again on demand, and the answer is an event", async () => {
    const { syncCount } = ours.session.snapshot();
    const before = ours.events.filter(({ type }) => type === "Synced").length;
    ours.session.resync("a test");
    await until(() => ours.session.snapshot().syncCount > syncCount, "another list");
    await until(() => ours.events.filter(({ type }) => type === "Synced").length > before, "its event");
  });

  test("takes words and fields that are new", async () => {
    Object.assign(world.vendor.quirks, { unknownStatus: "restarting", extraFields: true });
    world.vendor.platform.images.set(IMAGE, {});
    const id = await succeed(ours, create());
    await running(id);
    expect(ours.malformed).toEqual([]);
  });
});

describe("the slot (G1, G5)", () => {
  test("takes one command at a time; the next is refused, not queued", async () => {
    world.vendor.fault({ match: "update-stack", effect: { kind: "delay", ms: 150 } });
    const first = ours.session.execute({ ...create(), commandId: "op-1.1", key: "a" });
    const second = ours.session.execute({ ...create(IMAGE, {}, "other"), commandId: "op-2.1", key: "b" });
    expect(second).toMatchObject({ sent: false, reason: "SlotBusy" });
    expect(ours.session.snapshot().inFlight).toMatchObject({ commandId: "op-1.1", kind: "Create", overdue: false });
    if (!first.sent) throw new Error("refused");
    expect(await first.outcome).toMatchObject({ result: "Succeeded", commandId: "op-1.1" });
    expect(ours.session.snapshot()).not.toHaveProperty("inFlight");
    const types = ours.events.map(({ type }) => type);
    expect(types.indexOf("SlotFree")).toBeGreaterThan(types.indexOf("Outcome"));
    expect(stack().containers.size).toBe(1);
  });

  test("is refused without the fence, also when it is lost before the write (G3)", async () => {
    ours.fence.held = false;
    expect(ours.session.execute({ ...create(), commandId: "1", key: "a" })).toMatchObject({ reason: "Fenced" });
    ours.fence.held = true;
    world.vendor.fault({ match: "get-stack", effect: { kind: "run", run: () => (ours.fence.held = false) } });
    expect(await run(ours, create())).toMatchObject({ result: "Failed", failure: { class: "Transient" } });
    expect(writes(world.vendor)).toEqual([]);
  });
});

describe("a create happens exactly once (G2)", () => {
  const faults: [string, () => void][] = [
    ["nothing goes wrong", () => undefined],
    ["its answer is lost", () => fault({ kind: "reset", when: "after" })],
    ["it is lost", () => fault({ kind: "reset", when: "before" })],
    ["its answer is cut", () => fault({ kind: "cut" })],
    [
      "a gateway answers 502 after it was done",
      () => fault({ kind: "answer", when: "after", status: 502, html: true }),
    ],
    ["a gateway answers 503 before it was done", () => fault({ kind: "answer", when: "before", status: 503 })],
    ["it is answered 429 with a time", () => fault({ kind: "answer", when: "before", status: 429, retryAfterS: 1 })],
    [
      "it is answered 429 with nothing but how long the window still lasts",
      () => fault({ kind: "answer", when: "before", status: 429 }),
    ],
    ["its answer has no end", () => fault({ kind: "endless" })],
    ["it is redirected elsewhere", () => fault({ kind: "redirect", to: "http://192.0.2.1/" })],
    ["it is carried out twice", () => fault({ kind: "duplicate", ms: 30 })],
    ["it is answered as done, and is not", () => fault({ kind: "pretend" })],
    ["reads are late", () => void Object.assign(world.vendor.quirks, { lagMs: 150, listLagMs: 100 })],
  ];
  const fault = (effect: Parameters<typeof world.vendor.fault>[0]["effect"]): void =>
    void world.vendor.fault({ match: "update-stack", effect });
  test.each(faults)("when %s", async (_what, strike) => {
    strike();
    const id = await createOnce(ours, desired(IMAGE));
    expect(world.vendor.platform.effects.counts({ by: "api" })).toMatchObject({ created: 1, recreated: 0, removed: 0 });
    expect(container(ours, id)?.marker).toEqual(KEPT);
  });

  test("when our process dies while it is under way, and the next one settles it", async () => {
    world.vendor.fault({ match: "update-stack", effect: { kind: "hang", when: "after" } });
    const sent = ours.session.execute({ ...create(), commandId: "op-1.1", key: "a" });
    expect(sent.sent).toBe(true);
    await until(() => stack().containers.size === 1, "the service");
    await ours.kill();
    const next = world.start();
    expect(next.session.settle("op-1")).toBe("Open");
    await until(() => next.session.settle("op-1") === "Closed" && next.session.snapshot().synced, "its end");
    expect(madeBy(next, "op-1")).toBeDefined();
    expect(stack().containers.size).toBe(1);
  });

  test("and a name that somebody has taken since is left alone", async () => {
    world.vendor.fault({
      match: "get-stack",
      effect: { kind: "run", run: () => world.vendor.human.create(world.stackId, "web", { image: "x/y:1" }) },
    });
    expect(await run(ours, create())).toMatchObject({ failure: { class: "Conflict", reason: "NameConflict" } });
    expect(stack().containers.get("web")?.declared.image).toBe("x/y:1");
    expect(writes(world.vendor)).toEqual([]);
  });
});

describe("an image that cannot be had is told before anything is made", () => {
  test.each([
    ["missing", "ErrImagePull"],
    ["platform", "ErrImagePull"],
    ["unreachable", "ErrImagePull"],
  ] as const)("%s", async (problem, reason) => {
    world.vendor.platform.images.set("registry.example/bad:1", { problem });
    expect(await run(ours, create("registry.example/bad:1"))).toMatchObject({
      result: "Failed",
      failure: { class: "WorkloadFailed", reason },
    });
    expect(writes(world.vendor)).toEqual([]);
  });

  test("private", async () => {
    expect(await run(ours, create("registry.example/private:1"))).toMatchObject({
      failure: { class: "WorkloadFailed", reason: "ImageUnauthorized" },
    });
  });

  test("also in a change, before what runs is given up", async () => {
    const id = await succeed(ours, create());
    await running(id);
    const sent = writes(world.vendor).length;
    expect(await run(ours, update(desired("registry.example/absent:1"), id))).toMatchObject({
      failure: { class: "WorkloadFailed", reason: "ErrImagePull" },
    });
    expect(writes(world.vendor)).toHaveLength(sent);
  });

  test("and where that cannot be asked, the service is made all the same", async () => {
    world.vendor.quirks.imageConfigLimit = 0;
    await succeed(ours, create());
  });
});

describe("a service that a human makes anew under a name of ours is left alone", () => {
  const remake = (): void => {
    if (stack().containers.has("web")) world.vendor.human.remove(`${world.stackId}/web`);
    world.vendor.human.create(world.stackId, "web", { image: "x/human:1", environment: { THEIRS: "1" } });
  };
  const isTheirs = (): void =>
    expect(stack().containers.get("web")?.declared).toMatchObject({
      image: "x/human:1",
      environment: { THEIRS: "1" },
      description: "web",
    });
  const whileLookedUp = (): void =>
    void world.vendor.fault({ match: "get-container-image-config", effect: { kind: "run", run: remake } });
  /** The answer to the look before the write says that nothing more is allowed for a while. */
  const whileLimited = (): void => {
    world.vendor.quirks.rateWindowMs = 4_000;
    const run = (): void => {
      world.vendor.quirks.rateLimit = 1;
      setTimeout(() => {
        remake();
        world.vendor.quirks.rateLimit = 3_000;
      }, 300);
    };
    world.vendor.fault({ match: "get-stack", effect: { kind: "run", run } });
  };

  test("while the image of a new one is looked up", async () => {
    whileLookedUp();
    expect(await run(ours, create())).toMatchObject({ failure: { class: "Conflict", reason: "NameConflict" } });
    isTheirs();
  });

  test("while the image of a change is looked up", async () => {
    const id = await succeed(ours, create());
    await running(id);
    const change = update(desired("registry.example/app:2"), id);
    whileLookedUp();
    expect(await run(ours, change)).toMatchObject({ failure: { class: "Conflict", reason: "NotFound" } });
    isTheirs();
  });

  test("while a change, which was looked at before, waits for the vendor's limit", async () => {
    const id = await succeed(ours, create());
    await running(id);
    const change = update(desired(IMAGE, { env }), id);
    whileLimited();
    const failure = { class: "RateLimited", retryAfterMs: expect.any(Number) };
    expect(await run(ours, change)).toMatchObject({ result: "Failed", failure });
    await until(() => stack().containers.get("web")?.declared.image === "x/human:1", "theirs");
    expect(await run(ours, change)).toMatchObject({ failure: { class: "Conflict", reason: "NotFound" } });
    isTheirs();
  });

  test("while a removal, which was looked at before, waits for the vendor's limit", async () => {
    const id = await succeed(ours, create());
    await running(id);
    whileLimited();
    expect(await run(ours, { kind: "Remove", externalId: id })).toMatchObject({ failure: { class: "RateLimited" } });
    await succeed(ours, { kind: "Remove", externalId: id });
    isTheirs();
  });
});

describe("a stale view leads to nothing", () => {
  test("while the vendor does not show our last write nothing more is sent, and then it goes on", async () => {
    const id = await succeed(ours, create());
    await running(id);
    await succeed(ours, { kind: "Stop", externalId: id, ...STOP });
    world.vendor.quirks.readsStuck = true;
    // A write whose effect cannot be seen: its answer is the newest view there is.
    await succeed(ours, update(desired("registry.example/app:2"), id));
    const sent = writes(world.vendor).length;
    await until(() => !ours.session.snapshot().synced, "that the view is known to be stale");
    expect(ours.session.execute({ kind: "Remove", externalId: id, commandId: "x", key: "k" })).toMatchObject({
      sent: false,
      reason: "NotSynced",
    });
    expect(writes(world.vendor)).toHaveLength(sent);
    expect(container(ours, id)?.image).toBe("registry.example/app:2");
    world.vendor.quirks.readsStuck = false;
    await synced(ours);
    await succeed(ours, { kind: "Remove", externalId: id });
  }, 60_000);

  test("a list that was asked for before a write does not undo what its answer said", async () => {
    world.vendor.fault({ match: "list-stacks", times: "all", effect: { kind: "delay", ms: 60 } });
    const id = await succeed(ours, create());
    let isMissed = false;
    ours.session.subscribe(() => (isMissed ||= container(ours, id) === undefined));
    const { syncCount } = ours.session.snapshot();
    await until(() => ours.session.snapshot().syncCount > syncCount + 2, "some lists");
    expect(isMissed).toBe(false);
  });

  test("403 to a stack that is in the list is no deletion", async () => {
    const id = await succeed(ours, create());
    world.vendor.fault({ match: "get-stack", times: "all", effect: { kind: "answer", when: "before", status: 403 } });
    await succeed(ours, { kind: "Remove", externalId: id });
    expect(stack().containers.size).toBe(0);
  });
});

describe("a recorded service that a new process does not find", () => {
  const claimOf = (id: string): Claim => ({
    owner: MARKER.owner,
    namespace: "default",
    name: "web",
    containerName: "web",
    recordedId: id,
  });

  test("may come to light until the settle time is over", async () => {
    world.vendor.quirks.listLagMs = 1_000_000_000;
    const id = await succeed(ours, create());
    await ours.kill();
    ours = world.start();
    await synced(ours);
    expect(container(ours, id)).toBeUndefined();
    expect(ours.session.snapshot(claimOf(id))).toMatchObject({ synced: true, isAbsenceOpen: true });
    world.vendor.quirks.listLagMs = 0;
    await until(() => container(ours, id) !== undefined, "the service");
    expect(ours.session.snapshot(claimOf(id))).not.toHaveProperty("isAbsenceOpen");
    // What was seen, and is not any more, is gone.
    world.vendor.human.remove(`${world.stackId}/web`);
    await until(() => container(ours, id) === undefined, "its end");
    expect(ours.session.snapshot(claimOf(id))).not.toHaveProperty("isAbsenceOpen");
  });

  test("is gone if a list that was asked for after it does not show it either, and that is told", async () => {
    const id = await succeed(ours, create());
    await ours.kill();
    world.vendor.human.remove(`${world.stackId}/web`);
    ours = world.start({ observeIntervalMs: 60_000 });
    await synced(ours);
    expect(ours.session.snapshot(claimOf(id))).toMatchObject({ synced: true, isAbsenceOpen: true });
    const told = ours.events.length;
    await until(() => ours.events.slice(told).some(({ type }) => type === "Synced"), "the event");
    expect(ours.session.snapshot(claimOf(id))).not.toHaveProperty("isAbsenceOpen");
  });
});

describe("actions that interrupt a service are done once", () => {
  const faults = [
    ["nothing goes wrong", undefined],
    ["the answer is lost", { kind: "reset", when: "after" }],
    ["a gateway answers 502 after it was done", { kind: "answer", when: "after", status: 502 }],
  ] as const;
  test.each(faults)("a recreate, when %s", async (_what, effect) => {
    const id = await succeed(ours, create());
    await running(id);
    await succeed(ours, update(desired("registry.example/app:2"), id));
    if (effect !== undefined) world.vendor.fault({ match: "recreate-service", effect });
    await succeed(ours, update(desired("registry.example/app:2"), id));
    await running(id);
    expect(world.vendor.platform.effects.counts({ serviceId: id })).toMatchObject({ recreated: 1, downtimes: 1 });
    expect(container(ours, id)?.config).toMatchObject({ service: { requiresRecreate: false } });
  });

  test.each(faults)("a restart, when %s", async (_what, effect) => {
    const id = await succeed(ours, create());
    await running(id);
    const before = container(ours, id);
    if (before === undefined) throw new Error("not observed");
    const action = ours.backend.planner.restart?.(desired(IMAGE), before);
    if (action === undefined) throw new Error("no restart");
    if (effect !== undefined) world.vendor.fault({ match: "restart-service", effect });
    await succeed(ours, action);
    expect(container(ours, id)?.startedAt).not.toBe(before.startedAt);
    expect(world.vendor.platform.effects.counts({ serviceId: id })).toMatchObject({ restarted: 1 });
  });

  test("a recreate that does not start a stopped service is followed by a start", async () => {
    world.vendor.quirks.recreateStarts = false;
    const wanted = desired("registry.example/app:2");
    const id = await succeed(ours, create());
    await running(id);
    await succeed(ours, { kind: "Stop", externalId: id, ...STOP });
    await succeed(ours, update(wanted, id));
    await succeed(ours, update(wanted, id));
    const seen = container(ours, id);
    expect(seen && ours.backend.planner.diff(wanted, seen, [])).toMatchObject([{ path: "rollout", effect: "Wait" }]);
    await succeed(ours, { kind: "Start", externalId: id });
    await running(id);
    await succeed(ours, update(wanted, id));
    await running(id);
    expect(container(ours, id)?.config).toMatchObject({ service: { requiresRecreate: false } });
  });

  test("where statusSetAt has whole seconds a restart still shows", async () => {
    world.vendor.quirks.statusSeconds = true;
    const id = await succeed(ours, create());
    await running(id);
    const before = container(ours, id);
    if (before === undefined) throw new Error("not observed");
    const action = ours.backend.planner.restart?.(desired(IMAGE), before);
    if (action === undefined) throw new Error("no restart");
    await succeed(ours, action);
    await running(id);
    expect(container(ours, id)?.startedAt).not.toBe(before.startedAt);
    expect(world.vendor.platform.effects.counts({ serviceId: id })).toMatchObject({ restarted: 1 });
  });

  test("with imagePullPolicy Always a restart pulls what is new behind the tag", async () => {
    const id = await succeed(ours, create());
    await running(id);
    world.vendor.platform.images.push(IMAGE);
    const before = container(ours, id);
    if (before === undefined) throw new Error("not observed");
    const action = ours.backend.planner.restart?.(desired(IMAGE, { imagePullPolicy: "Always" }), before);
    if (action === undefined) throw new Error("no restart");
    await succeed(ours, action);
    await until(() => container(ours, id)?.imageDigest !== before.imageDigest, "the new image");
    expect(writes(world.vendor).at(-1)).toBe("pull-image-for-service");
  });

  test("a tag whose digest is of another kind than the service's is not pulled for that, by no process", async () => {
    world.vendor.quirks.otherDigest = true;
    const wanted = desired(IMAGE, { imagePullPolicy: "Always" });
    const id = await succeed(ours, create(IMAGE, { imagePullPolicy: "Always" }));
    await running(id);
    const claim = { owner: MARKER.owner, namespace: "default", name: "web", containerName: "web", recordedId: id };
    const due = (process: ConformanceProcess) => {
      const seen = process.session.snapshot({ ...claim, watchedImage: IMAGE }).containers[0];
      return seen === undefined ? [] : process.backend.planner.diff(wanted, seen, []).map(({ path }) => path);
    };
    const looks = () =>
      world.vendor.requests().filter(({ operation }) => operation === "get-container-image-config").length;
    expect(due(ours)).toEqual([]);
    await ours.kill();
    const before = looks();
    const next = world.start();
    await synced(next);
    expect(due(next)).toEqual([]);
    await until(() => looks() > before, "the look at the tag");
    const { syncCount } = next.session.snapshot();
    await until(() => next.session.snapshot().syncCount >= syncCount + 2, "two lists after it");
    expect(due(next)).toEqual([]);
    expect(world.vendor.platform.effects.counts({ serviceId: id })).toMatchObject({ pulled: 0 });
  });

  test("a tag is looked up once for all stacks of a project", async () => {
    const [project] = world.vendor.platform.projects();
    if (project === undefined) throw new Error("no project");
    for (let number = 0; number < 5; number += 1) {
      const made = world.vendor.platform.createStack(project, `stack ${number}`);
      world.vendor.human.create(made.id, "web", { image: IMAGE });
      const session = ours.account.openDevice({
        backendRef: { name: "mittwald" },
        mittwald: { projectId: world.projectId, stackId: made.id },
      });
      const seen = () => session.snapshot().containers[0];
      await until(() => seen() !== undefined, "the service");
      const recordedId = seen()?.externalId ?? "";
      const name = `web-${number}`;
      const claim = { owner: MARKER.owner, namespace: "default", name, containerName: "web", recordedId };
      const latest = () => session.snapshot({ ...claim, watchedImage: IMAGE }).containers[0]?.config;
      await until(() => JSON.stringify(latest()).includes('"latestDigest"'), "the tag's digest");
    }
    const looks = world.vendor.requests().filter(({ operation }) => operation === "get-container-image-config");
    expect(looks).toHaveLength(1);
  });
});

describe("a removal", () => {
  test.each([
    ["lost after it was done", { kind: "reset", when: "after" }],
    ["answered 500 after it was done", { kind: "answer", when: "after", status: 500 }],
  ] as const)("%s succeeds", async (_what, effect) => {
    const id = await succeed(ours, create());
    world.vendor.fault({ match: "update-stack", effect });
    await succeed(ours, { kind: "Remove", externalId: id });
    expect(stack().containers.size).toBe(0);
  });

  test("does not touch what somebody has made under the name since, nor what carries another mark", async () => {
    const id = await succeed(ours, create());
    world.vendor.fault({
      match: "get-stack",
      effect: {
        kind: "run",
        run: () => {
          world.vendor.human.remove(`${world.stackId}/web`);
          world.vendor.human.create(world.stackId, "web", { image: "x/y:1" });
        },
      },
    });
    await succeed(ours, { kind: "Remove", externalId: id });
    expect(stack().containers.get("web")?.declared.image).toBe("x/y:1");
    const other = await succeed(ours, create(IMAGE, {}, "other"));
    world.vendor.fault({
      match: "get-stack",
      effect: {
        kind: "run",
        run: () =>
          world.vendor.human.edit(`${world.stackId}/other`, { description: "x [drayage:them/default/other//op-9]" }),
      },
    });
    expect(await run(ours, { kind: "Remove", externalId: other })).toMatchObject({
      failure: { class: "Conflict", reason: "StateConflict" },
    });
    expect(stack().containers.has("other")).toBe(true);
  });

  test("of volumes takes those that nothing mounts, one by one, and never another's", async () => {
    const spec = {
      volumes: [
        { volumeName: "data", mountPath: "/data" },
        { volumeName: "shared", mountPath: "/shared" },
      ],
    };
    const id = await succeed(ours, create(IMAGE, spec));
    world.vendor.human.create(world.stackId, "theirs", { image: "x/y:1", volumes: ["shared:/s", "own:/o"] });
    await succeed(ours, { kind: "Remove", externalId: id });
    const next = () =>
      ours.backend.planner.removeVolumes?.(desired(IMAGE, spec), ours.session.snapshot().volumes ?? []);
    const action = next();
    if (action === undefined) throw new Error("nothing to remove");
    await succeed(ours, action);
    expect(next()).toBeUndefined();
    expect([...stack().volumes.keys()]).toEqual(["shared", "own"]);
  });
});

describe("a mark that somebody has edited out of the description", () => {
  test("is missed, and put back without people's words being lost", async () => {
    const id = await succeed(ours, create());
    world.vendor.human.edit(`${world.stackId}/web`, { description: "The web shop" });
    await until(() => JSON.stringify(container(ours, id)?.config).includes('"isMarkLost":true'), "that it is missed");
    expect(container(ours, id)?.marker).toEqual(KEPT);
    await succeed(ours, update(desired(IMAGE), id));
    expect(stack().containers.get("web")?.declared.description).toBe(
      "The web shop [drayage:owner-1/default/web//op-1]",
    );
  });

  test("while none of us was there is missed by a new process too, where the id and the name are those recorded", async () => {
    const id = await succeed(ours, create());
    await running(id);
    await ours.kill();
    world.vendor.human.edit(`${world.stackId}/web`, { description: "Kim's web" });
    ours = world.start();
    await synced(ours);
    const claim = { owner: MARKER.owner, namespace: "default", name: "web", containerName: "web", recordedId: id };
    const seen = (of: Claim) => ours.session.snapshot(of).containers.find(({ externalId }) => externalId === id);
    expect(seen({ ...claim, isRecordedMarked: true, recordedId: "another" })).not.toHaveProperty("marker");
    expect(seen({ ...claim, isRecordedMarked: true, containerName: "other" })).not.toHaveProperty("marker");
    // Only looked at, or adopted and not yet marked.
    expect(seen(claim)).not.toHaveProperty("marker");
    expect(seen({ ...claim, isRecordedMarked: true })).toMatchObject({
      marker: { owner: MARKER.owner, namespace: "default", name: "web" },
      config: { isMarkLost: true },
    });
    await succeed(ours, update(desired(IMAGE), id));
    expect(stack().containers.get("web")?.declared.description).toBe("Kim's web [drayage:owner-1/default/web//]");
  });

  test("in a copy of the description does not make the copy ours", async () => {
    await succeed(ours, create());
    const description = stack().containers.get("web")?.declared.description ?? "";
    world.vendor.human.create(world.stackId, "copy", { image: IMAGE, description });
    const copy = () => ours.session.snapshot().containers.find(({ name }) => name === "copy");
    await until(() => copy() !== undefined, "the copy");
    expect(copy()).not.toHaveProperty("marker");
  });
});

test("a service that is adopted from another installation carries the adopter's mark from the first change on", async () => {
  const id = await succeed(ours, create());
  await running(id);
  const claim = { owner: "mine", namespace: "shop", name: "front", containerName: "web", recordedId: id };
  ours.session.snapshot(claim);
  await succeed(ours, update(desired("registry.example/app:2"), id));
  expect(stack().containers.get("web")?.declared.description).toBe("web [drayage:mine/shop/front/web/]");
  expect(container(ours, id)?.marker).toMatchObject({ owner: "mine", namespace: "shop", name: "front" });
  await succeed(ours, update(desired("registry.example/app:2"), id));
  await succeed(ours, { kind: "Remove", externalId: id });
  expect(stack().containers.size).toBe(0);
});

describe("the account", () => {
  test("asks once per interval for a project, however many devices are in it", async () => {
    const made = world.vendor.platform.createStack(
      world.vendor.platform.projects()[0] ?? { id: "", shortId: "" },
      "second",
    );
    const session = ours.account.openDevice({
      backendRef: { name: "mittwald" },
      mittwald: { projectId: world.projectId, stackId: made.id },
    });
    await until(() => session.snapshot().synced, "the second stack");
    const lists = () => world.vendor.requests().filter(({ operation }) => operation === "list-stacks").length;
    const before = lists();
    const started = performance.now();
    await until(() => lists() - before >= 5, "five lists");
    expect(performance.now() - started).toBeGreaterThan(5 * 90 - 100);
    expect(world.vendor.requests().some(({ operation }) => operation === "get-stack")).toBe(false);
  });

  test("of a second device that names the same stack otherwise says so", async () => {
    const [project] = world.vendor.platform.projects();
    const second = ours.account.openDevice({
      backendRef: { name: "mittwald" },
      mittwald: { projectId: project?.shortId ?? "" },
    });
    await until(() => second.snapshot().obstacle !== undefined, "the obstacle");
    expect(second.snapshot()).toMatchObject({ synced: false, obstacle: expect.stringContaining("another EdgeDevice") });
    expect(ours.session.snapshot().synced).toBe(true);
  });

  test.each([
    ["a project that is not there", "99999999-9999-4999-8999-999999999999", undefined, "no such project"],
    ["a stack that is not there", undefined, "99999999-9999-4999-8999-999999999999", "no such stack"],
  ])("says that %s is not shown", async (_what, projectId, stackId, words) => {
    const other = world.start({
      ...(projectId !== undefined && { projectId }),
      ...(stackId !== undefined && { stackId }),
    });
    await until(() => other.session.snapshot().obstacle !== undefined, "the obstacle");
    expect(other.session.snapshot()).toMatchObject({ synced: false, obstacle: expect.stringContaining(words) });
    expect(other.account.status().state).toBe("Connected");
  });

  test.each([401, 403] as const)("is closed by %i, and opened by one probe", async (status) => {
    world.vendor.authorize(status);
    await until(() => ours.account.status().state === "Failed", "the refusal");
    expect(ours.account.status()).toMatchObject({ reason: "Unauthorized" });
    expect(ours.session.snapshot()).toMatchObject({ synced: false, connection: "Unknown" });
    world.vendor.authorize("ok");
    await synced(ours);
  });

  test("lists what else the project has, and nobody here has declared", async () => {
    world.vendor.human.create(world.stackId, "theirs", { image: "x/y:1", volumes: ["pictures:/p"] });
    const [project] = world.vendor.platform.projects();
    if (project === undefined) throw new Error("no project");
    world.vendor.platform.createStack(project, "Somebody's shop");
    await until(() => (ours.session.snapshot().others ?? []).length === 2, "both");
    expect(ours.session.snapshot().others).toMatchObject([
      { kind: "Stack", name: "Somebody's shop" },
      { kind: "Volume", name: "pictures" },
    ]);
  });

  test("shows no secret anywhere (G8)", async () => {
    world.vendor.fault({ match: "update-stack", effect: { kind: "answer", when: "after", status: 500 } });
    const id = await succeed(ours, create(IMAGE, { env }));
    const seen = container(ours, id);
    if (seen === undefined) throw new Error("not observed");
    const shown = JSON.stringify([
      ours.logged,
      ours.backend.planner.diff(desired(IMAGE, { env: [{ name: "TOKEN", value: "other" }] }), seen, []),
      ours.events,
    ]);
    expect(shown).not.toContain("hunter22-secret");
    expect(shown).not.toContain("mittwald-token");
  });
});

describe("logs", () => {
  const read = async (id: string, options: { tailLines?: number } = {}): Promise<string[]> => {
    const lines: string[] = [];
    for await (const line of ours.session.logs?.(id, options) ?? []) lines.push(line);
    return lines;
  };

  test("give their end, also after NUL bytes and where they are cut", async () => {
    world.vendor.platform.images.set(IMAGE, { output: ["one", "two", "three"] });
    const id = await succeed(ours, create());
    await running(id);
    expect(await read(id, { tailLines: 2 })).toEqual(["two", "three"]);
    world.vendor.quirks.logNuls = 7;
    expect(await read(id)).toEqual(["one", "two", "three"]);
    world.vendor.quirks.logsUnavailable = true;
    await expect(read(id)).rejects.toMatchObject({ failure: { class: "Transient" } });
  });

  test("are followed until nobody wants them any more", async () => {
    const id = await succeed(ours, create());
    await running(id);
    const stop = new AbortController();
    const lines: string[] = [];
    const reading = (async () => {
      for await (const line of ours.session.logs?.(id, { follow: true, signal: stop.signal }) ?? []) lines.push(line);
    })();
    await until(() => lines.length === 1, "what is there");
    world.vendor.human.write(`${world.stackId}/web`, "later");
    await until(() => lines.length === 2, "what comes");
    stop.abort();
    await reading;
    expect(lines).toEqual(["started", "later"]);
  });
});
