/**
 * Holds the ALPON backend to the guarantees of src/backends/contract.ts (G1 to G8) against its simulator. What backend-conformance.ts asks of
 * containers that are made, started, paused and renamed does not fit what runs from its deployment until it is deleted; what is common is
 * asked here in the same words.
 */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createAlponBackend } from "../../../src/backends/alpon/index.ts";
import { ownName } from "../../../src/backends/alpon/wire.ts";
import type { Claim, CommandAction, SessionEvent } from "../../../src/backends/contract.ts";
import { systemClock } from "../../../src/kube/clock.ts";
import { startAlpon, type AlponSimulator, type Device, type Framing } from "../../../src/simulators/alpon/index.ts";
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

const SETTLE_MS = 300;
const IMAGE = "registry.example/app:1";
let vendor: AlponSimulator;
let device: Device;
let ours: ConformanceProcess;
const processes = new Set<ConformanceProcess>();

beforeEach(async () => {
  vendor = await startAlpon({
    assets: [
      { serial: "A1", uuid: "uuid-1", sid: "SID1", iccid: "8988" },
      { serial: "S1", kind: "sim" },
    ],
    stepMs: 5,
  });
  device = vendor.device("A1");
  ours = start();
  await synced(ours);
});
afterEach(async () => {
  await Promise.all([...processes].map((each) => each.kill()));
  processes.clear();
  await vendor.stop();
});

function start(options: { fence?: { held: boolean }; assetId?: string; apiKey?: string } = {}): ConformanceProcess {
  const fence = options.fence ?? { held: true };
  const logged: string[] = [];
  const malformed: string[] = [];
  const events: SessionEvent[] = [];
  const log = (fields: object, text: string): void => void logged.push(JSON.stringify({ ...fields, text }));
  const backend = createAlponBackend({
    clock: systemClock,
    log: { debug: log, info: log, warn: log, error: log },
    metrics: {
      command: () => undefined,
      malformed: (_backend, kind) => void malformed.push(kind),
      reconnect: () => undefined,
    },
    fence: { valid: () => fence.held },
    random: Math.random,
    timings: { observeIntervalMs: 100, reconnectInitialMs: 20, reconnectMaxMs: 100, settleMs: SETTLE_MS },
    processId: `process-${processes.size}`,
  });
  const account = backend.connect(
    {
      alpon: { url: vendor.url },
      credentialsSecretRef: { name: "alpon" },
      rateLimit: { requestsPerSecond: 1000, burst: 1000, concurrency: 8 },
      commandTimeoutSeconds: 1,
      createTimeoutSeconds: 5,
    },
    { apiKey: options.apiKey ?? "alpon-key" },
  );
  const session = account.openDevice({
    backendRef: { name: "alpon" },
    alpon: { assetId: options.assetId ?? "A1" },
  });
  session.subscribe((event) => void events.push(event));
  const started: ConformanceProcess = {
    backend,
    account,
    session,
    fence,
    events,
    notices: [],
    logged,
    malformed,
    kill: () => account.close(),
  };
  processes.add(started);
  return started;
}

const create = (image = IMAGE, spec: Parameters<typeof desired>[1] = {}): CommandAction => ({
  kind: "Create",
  desired: desired(image, spec),
  marker: MARKER,
});
const writes = () => vendor.requests().flatMap(({ kind, method }) => (method === "GET" ? [] : [kind]));
const env = [{ name: "TOKEN", value: "hunter22-secret" }];
const ports = [{ containerPort: 80, hostPort: 30_080 }];

describe("the inventory (G4)", () => {
  test("shows the effect of each command when its outcome is told", async () => {
    expect(ours.session.snapshot()).toMatchObject({ connection: "Connected", synced: true, containers: [] });
    const id = await succeed(ours, create(IMAGE, { env, ports }));
    expect(container(ours, id)).toMatchObject({
      name: "web",
      image: IMAGE,
      state: "Running",
      marker: MARKER,
      hostPorts: [{ hostPort: 30_080 }],
      config: { environments: { TOKEN: "hunter22-secret" } },
    });
    await succeed(ours, { kind: "Remove", externalId: id });
    expect(container(ours, id)).toBeUndefined();
    expect(device.containers.size).toBe(0);
  });

  test("is mended in place by the planner's one update: absent keeps, empty clears", async () => {
    const { planner } = ours.backend;
    const id = await succeed(ours, create(IMAGE, { env, ports, securityContext: { privileged: true } }));
    const before = container(ours, id);
    if (before === undefined) throw new Error("not observed");
    const changed = desired("registry.example/app:2", { env });
    const appliedPaths = ["image", "env", "ports", "securityContext.privileged"];
    expect(planner.diff(changed, before, appliedPaths).map(({ path }) => path)).toEqual([
      "image",
      "ports",
      "securityContext.privileged",
    ]);
    await succeed(ours, planner.update(changed, before, appliedPaths));
    expect(vendor.requests().findLast(({ kind }) => kind === "update")?.body).toEqual({
      image: "registry.example/app:2",
      ports: [],
      privileged: false,
    });
    const after = container(ours, id);
    expect(after?.marker).toEqual(MARKER);
    expect(after && planner.diff(changed, after, appliedPaths)).toEqual([]);
  });

  test("knows what people made, and what they removed", async () => {
    await device.deploy({ name: "theirs", image: "x/y:1" }, () => undefined);
    await until(() => container(ours, "theirs") !== undefined, "their container");
    expect(container(ours, "theirs")).not.toHaveProperty("marker");
    device.remove("theirs");
    await until(() => container(ours, "theirs") === undefined, "its end");
  });

  test("shows a container that crashes later with the kubelet's reason", async () => {
    const id = await succeed(ours, create("registry.example/crash:1"));
    await until(() => container(ours, id)?.waiting?.reason === "CrashLoopBackOff", "the crash");
    expect(container(ours, id)?.state).toBe("Unknown");
  });
});

describe("a deployment's stream", () => {
  test.each(["sse-lf", "sse-crlf-ping", "ndjson", "concatenated", "single-json"] as const)(
    "%s, cut in the middle of events",
    async (framing: Framing) => {
      Object.assign(vendor.quirks, { framing, chunks: "middle" });
      const id = await succeed(ours, create());
      expect(container(ours, id)?.state).toBe("Running");
      expect(
        await run(ours, {
          kind: "Create",
          desired: desired("registry.example/private:1", {}, "other"),
          marker: { ...MARKER, operation: "op-2" },
        }),
      ).toMatchObject({
        failure: { class: "WorkloadFailed", reason: "ErrImagePull" },
      });
      expect(ours.malformed).toEqual([]);
    },
  );

  test("tells how far the device is", async () => {
    const seen: unknown[] = [];
    ours.session.subscribe(() => {
      const { progress } = ours.session.snapshot().inFlight ?? {};
      if (progress !== undefined && JSON.stringify(seen.at(-1)) !== JSON.stringify(progress)) seen.push(progress);
    });
    await succeed(ours, create());
    expect(seen).toEqual([
      ...[0, 40, 80, 100].map((percent) => ({ stage: "Downloading", percent })),
      { stage: "Unpacking" },
      { stage: "Starting" },
    ]);
  });

  test("of an old bundle has no Downloading, and needs none", async () => {
    device.bundle = "25.1.18.1";
    await succeed(ours, create());
  });

  test("of another type of content is not believed, and the list decides", async () => {
    vendor.quirks.contentType = "text/html";
    vendor.quirks.framing = "single-json";
    const id = await createOnce(ours, desired(IMAGE));
    expect(device.made).toHaveLength(1);
    expect(container(ours, id)?.state).toBe("Running");
  });
});

describe("a create happens exactly once (G2)", () => {
  const faults: [string, () => void][] = [
    ["nothing goes wrong", () => undefined],
    [
      "its stream is cut and the device goes on",
      () => void vendor.fault({ match: "deploy", effect: { kind: "cut", afterEvents: 2, completes: true } }),
    ],
    [
      "its stream is cut and the device gives up",
      () => void vendor.fault({ match: "deploy", effect: { kind: "cut", afterEvents: 2, completes: false } }),
    ],
    [
      "its stream ends in order without a last word",
      () =>
        void vendor.fault({ match: "deploy", effect: { kind: "cut", afterEvents: 3, completes: true, how: "end" } }),
    ],
    [
      "its stream says nothing more",
      () => void vendor.fault({ match: "deploy", effect: { kind: "stall", afterEvents: 1, completes: true } }),
    ],
    ["its answer is lost", () => void vendor.fault({ match: "deploy", effect: { kind: "reset", when: "after" } })],
    ["it is lost", () => void vendor.fault({ match: "deploy", effect: { kind: "reset", when: "before" } })],
    [
      "a gateway answers 502 in HTML after it was done",
      () => void vendor.fault({ match: "deploy", effect: { kind: "answer", when: "after", status: 502, html: true } }),
    ],
    [
      "a gateway answers 503 before it was done",
      () => void vendor.fault({ match: "deploy", effect: { kind: "answer", when: "before", status: 503 } }),
    ],
    [
      "it is answered 429 with a time",
      () =>
        void vendor.fault({ match: "deploy", effect: { kind: "answer", when: "before", status: 429, retryAfterS: 1 } }),
    ],
    [
      "it is answered 429 without a time",
      () => void vendor.fault({ match: "deploy", effect: { kind: "answer", when: "before", status: 429 } }),
    ],
    ["its answer has no end", () => void vendor.fault({ match: "deploy", effect: { kind: "endless" } })],
    [
      "it is redirected elsewhere",
      () => void vendor.fault({ match: "deploy", effect: { kind: "redirect", to: "http://192.0.2.1/" } }),
    ],
    [
      "the disk is full, and it runs all the same",
      () => {
        device.diskFull = "applied";
      },
    ],
    [
      "the list is late",
      () => {
        vendor.quirks.visibleAfterMs = 150;
      },
    ],
    ["the control loop is taken", () => void device.deploy({ name: "other", image: "x/slow:1" }, () => undefined)],
  ];
  test.each(faults)("when %s", async (_what, fault) => {
    fault();
    const id = await createOnce(ours, desired(IMAGE));
    await until(() => !device.busy, "the device's rest");
    expect(device.made.filter(({ name }) => name === "web")).toHaveLength(1);
    expect(container(ours, id)?.marker).toEqual(MARKER);
  });

  test("when our process dies while it is under way, and the next one settles it", async () => {
    const sent = ours.session.execute({ ...create("registry.example/slow:1"), commandId: "op-1.1", key: "a" });
    expect(sent.sent).toBe(true);
    await until(() => writes().length > 0 && device.busy, "the deployment");
    await ours.kill();
    const next = start();
    expect(next.session.settle("op-1")).toBe("Open");
    await until(
      () => next.session.settle("op-1") === "Closed" && next.session.snapshot().synced,
      "the operation's end",
    );
    await until(() => madeBy(next, "op-1") !== undefined, "the container");
    expect(device.made).toHaveLength(1);
  });

  test("and a name that is taken is ours by its mark, somebody's, or an orphan that is cleared away once", async () => {
    await device.deploy({ name: "web", image: "x/y:1" }, () => undefined);
    expect(await run(ours, create())).toMatchObject({ failure: { class: "Conflict", reason: "NameConflict" } });
    expect(device.containers.get("web")?.image).toBe("x/y:1");
    const own = ownName(MARKER);
    await device.deploy({ name: own, image: "x/y:1" }, () => undefined);
    device.orphans.add(own);
    await succeed(ours, { kind: "Create", desired: desired(IMAGE, {}, own), marker: MARKER });
    expect(device.containers.get(own)?.image).toBe(IMAGE);
  });
});

describe("an update", () => {
  test.each([
    ["cut, and done", { kind: "cut", afterEvents: 2, completes: true }],
    ["lost after it was done", { kind: "reset", when: "after" }],
  ] as const)("whose stream is %s is looked up", async (_what, effect) => {
    const id = await succeed(ours, create());
    vendor.fault({ match: "update", effect });
    const before = container(ours, id);
    if (before === undefined) throw new Error("not observed");
    await succeed(ours, ours.backend.planner.update(desired("registry.example/app:2"), before, ["image"]));
    expect(container(ours, id)?.image).toBe("registry.example/app:2");
  });

  test("that is answered 200 without a word of the stream is no success", async () => {
    const id = await succeed(ours, create());
    vendor.fault({ match: "update", effect: { kind: "answer", when: "before", status: 200 } });
    const before = container(ours, id);
    if (before === undefined) throw new Error("not observed");
    expect(
      await run(ours, ours.backend.planner.update(desired("registry.example/app:2"), before, ["image"])),
    ).toMatchObject({
      result: "Failed",
      failure: { class: "Transient" },
    });
  });
});

describe("a delete", () => {
  test.each(["json", "stream", "empty"] as const)("answered by %s", async (deleted) => {
    vendor.quirks.deleted = deleted;
    const id = await succeed(ours, create());
    await succeed(ours, { kind: "Remove", externalId: id });
    expect(device.containers.size).toBe(0);
  });

  test.each([
    ["lost after it was done", { kind: "reset", when: "after" }],
    ["of something that is gone", undefined],
  ] as const)("%s succeeds", async (_what, effect) => {
    const id = await succeed(ours, create());
    if (effect === undefined) device.remove(id);
    else vendor.fault({ match: "delete", effect });
    await succeed(ours, { kind: "Remove", externalId: id });
  });

  test("that is still listed for a while ends when it no longer is", async () => {
    vendor.quirks.lingersMs = 150;
    const id = await succeed(ours, create());
    await succeed(ours, { kind: "Remove", externalId: id });
    expect(container(ours, id)).toBeUndefined();
  });
});

describe("an account that cannot list", () => {
  const claim: Claim = { owner: MARKER.owner, namespace: "default", name: "web", containerName: ownName(MARKER) };
  const own = { ...desired(IMAGE), name: ownName(MARKER) };

  test.each([403, 404, 405] as const)(
    "(%i) believes what the vendor answers, and says that it does",
    async (status) => {
      vendor.quirks.unlistable = status;
      const blind = start();
      await synced(blind);
      expect(blind.session.snapshot(claim).containers).toEqual([]);
      const id = await succeed(blind, { kind: "Create", desired: own, marker: MARKER });
      expect(blind.session.snapshot(claim).containers).toMatchObject([
        { externalId: id, state: "Running", unverified: true, marker: MARKER },
      ]);
      expect(blind.account.status().state).toBe("Connected");
      await blind.kill();
      // The next process has only what status records.
      const next = start();
      await synced(next);
      const recorded = { ...claim, recordedId: id };
      expect(next.session.snapshot(recorded).containers).toMatchObject([{ externalId: id, unverified: true }]);
      await succeed(next, { kind: "Remove", externalId: id });
      expect(next.session.snapshot(recorded).containers).toEqual([]);
      expect(device.containers.size).toBe(0);
      await succeed(next, { kind: "Remove", externalId: id });
    },
  );

  test("takes a name of our own that is taken for ours, and makes it what is wanted", async () => {
    await device.deploy({ name: own.name, image: "x/y:1" }, () => undefined);
    vendor.quirks.unlistable = 403;
    const blind = start();
    await synced(blind);
    await succeed(blind, { kind: "Create", desired: own, marker: MARKER });
    expect(device.containers.get(own.name)?.image).toBe(IMAGE);
    expect(await run(blind, { kind: "Create", desired: desired(IMAGE, {}, "chosen"), marker: MARKER })).toMatchObject({
      result: "Succeeded",
    });
  });
});

describe("a web page from something before the vendor", () => {
  const page = { kind: "answer", when: "before", status: 404, html: true } as const;

  test("in place of the list is no reason to take the account for one that cannot list", async () => {
    await device.deploy({ name: "theirs", image: "x/y:1" }, () => undefined);
    await until(() => container(ours, "theirs") !== undefined, "their container");
    const pages = () => vendor.requests().filter(({ kind, status }) => kind === "list" && status === 404).length;
    vendor.fault({ match: "list", effect: page, times: 2 });
    let isMissed = false;
    await until(() => {
      isMissed ||= container(ours, "theirs") === undefined;
      return pages() >= 2 && vendor.requests().findLast(({ kind }) => kind === "list")?.status === 200;
    }, "the pages, and a list again");
    expect(isMissed).toBe(false);
  });

  test("in answer to a deletion is no word of the vendor's that nothing is there", async () => {
    const own = { ...desired(IMAGE), name: ownName(MARKER) };
    vendor.quirks.unlistable = 403;
    const blind = start();
    await synced(blind);
    const id = await succeed(blind, { kind: "Create", desired: own, marker: MARKER });
    vendor.fault({ match: "delete", effect: page });
    expect(await run(blind, { kind: "Remove", externalId: id })).toMatchObject({
      result: "Failed",
      failure: { class: "Transient" },
    });
    await succeed(blind, { kind: "Remove", externalId: id });
    expect(device.containers.size).toBe(0);
  });
});

describe("a vendor that says for a moment what it does not have", () => {
  const notFound = { kind: "answer", when: "before", status: 404 } as const;
  const lists = () => vendor.requests().filter(({ kind }) => kind === "list");

  test("keeps what its list had shown, and is no account that cannot list before it has said so three times in a row", async () => {
    await device.deploy({ name: "theirs", image: "x/y:1" }, () => undefined);
    await until(() => container(ours, "theirs") !== undefined, "their container");
    const refused = () => lists().filter(({ status }) => status === 404).length;
    vendor.fault({ match: "list", effect: notFound, times: 2 });
    let isMissed = false;
    await until(() => {
      const { synced: isSynced } = ours.session.snapshot();
      isMissed ||= container(ours, "theirs") === undefined || !isSynced;
      return refused() >= 2 && lists().at(-1)?.status === 200;
    }, "the refusals, and a list again");
    expect(isMissed).toBe(false);
    vendor.fault({ match: "list", effect: notFound, times: 3 });
    await until(() => container(ours, "theirs") === undefined, "an account that cannot list");
    expect(ours.session.snapshot().synced).toBe(true);
    const told = ours.events.filter(({ type }) => type === "Synced").length;
    await until(() => container(ours, "theirs") !== undefined, "the list again");
    await until(() => ours.events.filter(({ type }) => type === "Synced").length > told, "a word of it");
  });

  test("is asked again whether the device is online", async () => {
    const refused = () => vendor.requests().filter(({ kind, status }) => kind === "status" && status === 404).length;
    vendor.fault({ match: "status", effect: notFound });
    await until(() => refused() === 1, "the refusal");
    await synced(ours);
    device.online = false;
    await until(() => ours.session.snapshot().connection === "Offline", "Offline");
  });

  test("is told once that an asset is no ALPON, not at each look", async () => {
    const other = start({ assetId: "S1" });
    await until(() => other.session.snapshot().obstacle !== undefined, "the obstacle");
    const before = lists().length;
    const told = other.events.length;
    let isKnown = false;
    await until(() => {
      isKnown ||= other.session.snapshot().obstacle === undefined;
      return lists().length >= before + 4;
    }, "more looks");
    expect([isKnown, other.events.length]).toEqual([false, told]);
  });
});

describe("a list that tells only names", () => {
  test("knows ours by what was sent, and after a restart by the name that nobody else chooses", async () => {
    vendor.quirks.echo = { image: false, environments: false, config: false, state: false };
    const name = ownName(MARKER);
    await succeed(ours, { kind: "Create", desired: desired(IMAGE, {}, name), marker: MARKER });
    const seen = container(ours, name);
    expect(seen).toMatchObject({ marker: MARKER, image: IMAGE, state: "Running" });
    expect(seen && ours.backend.planner.conceals?.(seen)).toBe(false);
    await ours.kill();
    const next = start();
    await synced(next);
    const [again] = next.session.snapshot({ owner: MARKER.owner, namespace: "default", name: "web" }).containers;
    expect(again).toMatchObject({ marker: { owner: MARKER.owner, name: "web", operation: "" } });
    expect(again && next.backend.planner.conceals?.(again)).toBe(true);
  });
});

describe("the slot and the fence (G1, G3)", () => {
  test("one command at a time; the next is refused, not queued; nothing is sent without the fence", async () => {
    const first = ours.session.execute({ ...create("registry.example/slow:1"), commandId: "op-1.1", key: "a" });
    expect(ours.session.execute({ ...create(), commandId: "op-2.1", key: "b" })).toMatchObject({
      sent: false,
      reason: "SlotBusy",
    });
    if (!first.sent) throw new Error("refused");
    expect(await first.outcome).toMatchObject({ result: "Succeeded" });
    ours.fence.held = false;
    expect(ours.session.execute({ kind: "Remove", externalId: "web", commandId: "c", key: "a" })).toMatchObject({
      sent: false,
      reason: "Fenced",
    });
    expect(writes()).toEqual(["deploy"]);
  });

  test.each(["Start", "Pause", "Resume"] as const)("%s is refused for good", (kind) => {
    expect(ours.session.execute({ kind, externalId: "web", commandId: "c", key: "a" })).toMatchObject({
      sent: false,
      reason: "Invalid",
      failure: { class: "Unsupported" },
    });
  });
});

describe("one asset", () => {
  test.each(["uuid-1", "SID1", "8988"])(
    "has one session, also under its id %s: the second says which it is",
    async (assetId) => {
      const second = ours.account.openDevice({ backendRef: { name: "alpon" }, alpon: { assetId } });
      await until(() => second.snapshot().obstacle !== undefined, "the obstacle");
      expect(second.snapshot()).toMatchObject({ synced: false, obstacle: expect.stringContaining("A1") as string });
      expect(second.execute({ ...create(), commandId: "c", key: "a" })).toMatchObject({
        sent: false,
        reason: "NotSynced",
      });
      await ours.session.close();
      await until(() => second.snapshot().synced, "its turn");
    },
  );

  test.each([
    ["nobody", "knows no such asset"],
    ["S1", "no ALPON"],
  ])("%s cannot be managed, and says why", async (assetId, why) => {
    const other = start({ assetId });
    await until(() => other.session.snapshot().obstacle?.includes(why) === true, why);
    expect(other.session.snapshot().synced).toBe(false);
  });
});

describe("a device out of reach", () => {
  test("is Offline, keeps what was last known, takes no commands, and comes back", async () => {
    const id = await succeed(ours, create());
    device.online = false;
    await until(() => ours.session.snapshot().connection === "Offline", "Offline");
    expect(container(ours, id)).toBeDefined();
    expect(ours.session.execute({ kind: "Remove", externalId: id, commandId: "c", key: "a" })).toMatchObject({
      sent: false,
      reason: "Offline",
      failure: { class: "Unreachable" },
    });
    device.online = true;
    await synced(ours);
  });

  test("where nobody tells, is learned from a command, and then left alone for a while", async () => {
    vendor.quirks.deviceStatus = false;
    const next = start();
    await synced(next);
    device.online = false;
    expect(await run(next, create())).toMatchObject({ failure: { class: "Unreachable" } });
    expect(next.session.snapshot()).toMatchObject({ connection: "Offline", synced: false });
    device.online = true;
    await synced(next);
  });
});

describe("credentials and secrets (G8)", () => {
  test("a key that is refused closes the account with one probe, and no secret is in any text", async () => {
    vendor.authorize(401);
    await until(() => ours.account.status().state === "Failed", "the refusal");
    expect(ours.account.status()).toMatchObject({ reason: "Unauthorized" });
    vendor.authorize("ok");
    await until(() => ours.account.status().state === "Connected", "the key");
    await synced(ours);
    const outcome = await run(ours, create("registry.example/private:1", { env }));
    await until(() => ours.session.snapshot().synced, "the end");
    expect(JSON.stringify([outcome, ours.logged, ours.account.status()])).not.toMatch(/hunter22|alpon-key/);
  });
});
