/** What Hiveon's "there is no such deployment" is taken for, where it may be wrong: rentals that cost must neither be forgotten nor begun twice. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { AccountNotice, Claim, DeviceSession, Dispatch } from "../../../src/backends/contract.ts";
import { createHiveonBackend } from "../../../src/backends/hiveon/index.ts";
import { systemClock } from "../../../src/kube/clock.ts";
import { startHiveon, type HiveonSimulator } from "../../../src/simulators/hiveon/index.ts";
import { desired, until } from "../../conformance/harness.ts";

const SETTLE_MS = 200;
const OWNER = { owner: "owner-1", namespace: "default" };

let vendor: HiveonSimulator;
let ends: (() => Promise<void>)[];
beforeEach(async () => {
  vendor = await startHiveon({ machines: [{ id: "rig-1", slots: 9 }], startMs: 10, stopMs: 10 });
  ends = [];
});
afterEach(async () => {
  for (const end of ends) await end();
  await vendor.stop();
});

/** A process of ours, which knows what it is told only. */
function start(apiKey = "hiveon-key") {
  const backend = createHiveonBackend({
    clock: systemClock,
    log: { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined },
    metrics: { command: () => undefined, malformed: () => undefined, reconnect: () => undefined },
    fence: { valid: () => true },
    random: () => 0.5,
    timings: { observeIntervalMs: 60, reconnectInitialMs: 20, reconnectMaxMs: 50, settleMs: SETTLE_MS },
    processId: "p",
  });
  const account = backend.connect(
    {
      hiveon: { url: vendor.url },
      credentialsSecretRef: { name: "key" },
      rateLimit: { requestsPerSecond: 5_000, burst: 5_000, concurrency: 4 },
      commandTimeoutSeconds: 1,
      createTimeoutSeconds: 1,
    },
    { apiKey },
  );
  ends.push(() => account.close());
  const notices: AccountNotice[] = [];
  account.subscribe(
    () => undefined,
    (notice) => void notices.push(notice),
  );
  const session = account.openDevice({
    backendRef: { name: "b" },
    hiveon: { machineId: "rig-1", machinePriceId: "rig-1-price" },
  });
  return { account, session, notices };
}

function create(session: DeviceSession, claim: Claim, attempt = 1): Dispatch {
  const operation = `op-${claim.name}-${attempt}`;
  session.snapshot({ ...claim, operation: { id: operation, attempt } });
  return session.execute({
    kind: "Create",
    desired: desired("registry.example/app:1"),
    marker: { ...OWNER, name: claim.name, uid: "u", operation, hash: "k:1" },
    attempt,
    commandId: `${operation}.1`,
    key: `default/${claim.name}`,
  });
}

async function rent(session: DeviceSession, name: string): Promise<Claim> {
  const claim: Claim = { ...OWNER, name };
  await until(() => session.snapshot(claim).synced, "what is rented");
  const sent = create(session, claim);
  if (!sent.sent) throw new Error(sent.failure.message);
  const { externalId = "" } = await sent.outcome;
  const recorded = { externalId, attempt: 1, startedAt: "2026-01-01T00:00:00Z" };
  await until(() => session.snapshot(claim).containers.find((each) => each.name === name)?.state === "Running", name);
  return { ...claim, recorded };
}

const of = (session: DeviceSession, claim: Claim) => {
  const snapshot = session.snapshot(claim);
  return { ...snapshot, container: snapshot.containers.find(({ name }) => name === claim.name) };
};

describe("a key of another account", () => {
  test("shows nothing of ours, which is held, not taken for ended, until the right key is back", async () => {
    const first = start();
    const claims = [await rent(first.session, "a"), await rent(first.session, "b")];
    await first.account.close();
    vendor.setApiKey("their-key", "another");
    const next = start("their-key");
    const foreign = claims.map((claim) => ({ ...claim, recorded: { ...claim.recorded!, under: "former" } }));
    await until(() => foreign.every((claim) => of(next.session, claim).obstacle !== undefined), "the doubt");
    for (const claim of foreign) {
      expect(of(next.session, claim)).toMatchObject({ synced: false, container: undefined });
      expect(create(next.session, claim, 2)).toMatchObject({ sent: false, reason: "NotSynced" });
    }
    expect(next.notices.map(({ reason }) => reason)).toEqual(["LookupFailed", "LookupFailed"]);
    vendor.setApiKey("their-key", "first");
    await until(() => foreign.every((claim) => of(next.session, claim).synced), "the right account");
    for (const claim of foreign) expect(of(next.session, claim)).toMatchObject({ container: { state: "Running" } });
    expect(vendor.rentals()).toHaveLength(2);
  });

  test("is known for the same account's by one rental of it: then its word about another counts", async () => {
    const first = start();
    const there = await rent(first.session, "a");
    const gone = await rent(first.session, "b");
    await first.account.close();
    vendor.platform.lose(gone.recorded?.externalId ?? "");
    vendor.setApiKey("rotated-key");
    const next = start("rotated-key");
    const under = (claim: Claim): Claim => ({ ...claim, recorded: { ...claim.recorded!, under: "former" } });
    await until(() => of(next.session, under(gone)).obstacle !== undefined, "the doubt");
    await until(() => of(next.session, under(there)).synced, "the other");
    await until(() => of(next.session, under(gone)).synced, "the end");
    expect(of(next.session, under(gone))).toMatchObject({ container: { state: "Stopped" } });
  });

  test("says nothing about an operation that was begun with another, unless a person does", async () => {
    const claim: Claim = { ...OWNER, name: "a", operation: { id: "op-1", attempt: 1, under: "former" } };
    const { session, notices } = start();
    await until(() => of(session, claim).obstacle?.includes("op-1") === true, "the doubt");
    expect(session.settle("op-1")).toBe("Open");
    expect(notices).toMatchObject([{ reason: "LookupFailed" }]);
    const confirmed: Claim = { ...OWNER, name: "a", operation: { id: "op-1", attempt: 1, madeNothing: true } };
    await until(() => of(session, confirmed).synced, "the confirmation");
    await until(() => session.settle("op-1") === "Closed", "the end");
  });
});

describe("rentals that the vendor no longer shows", () => {
  test("all at once are held; one that is back vouches for the word about the other", async () => {
    const { session, notices } = start();
    const claims = [await rent(session, "a"), await rent(session, "b")];
    for (const { recorded } of claims) vendor.platform.lose(recorded?.externalId ?? "");
    await until(() => claims.every((claim) => of(session, claim).obstacle !== undefined), "the doubt");
    expect(notices.length).toBeGreaterThan(0);
    expect(claims.map((claim) => of(session, claim).container?.state)).toEqual(["Running", "Running"]);
    vendor.platform.lose(claims[0]?.recorded?.externalId ?? "", false);
    await until(() => claims.every((claim) => of(session, claim).synced), "the end of the doubt");
    expect(claims.map((claim) => of(session, claim).container?.state)).toEqual(["Running", "Stopped"]);
  });

  test("one alone is held, has ended while another is shown, and so has one of which a person says so", async () => {
    const { session } = start();
    const alone = await rent(session, "a");
    vendor.platform.lose(alone.recorded?.externalId ?? "");
    await until(() => of(session, alone).obstacle?.includes("confirm-ended") === true, "the doubt about the only one");
    const witness = await rent(session, "w");
    await until(() => of(session, alone).container?.state === "Stopped", "the end");
    session.forget?.(witness);
    const [b, c] = [await rent(session, "b"), await rent(session, "c")];
    for (const { recorded } of [b, c]) vendor.platform.lose(recorded?.externalId ?? "");
    await until(() => of(session, b).obstacle !== undefined, "the doubt");
    const confirmed: Claim = { ...b, recorded: { ...b.recorded!, ended: true } };
    await until(() => of(session, confirmed).synced, "the confirmation");
    expect(of(session, confirmed).container?.state).toBe("Stopped");
  });

  test("are not said to have been stopped, while all are missing", async () => {
    const { session } = start();
    const [a, b] = [await rent(session, "a"), await rent(session, "b")];
    for (const { recorded } of [a, b]) vendor.platform.lose(recorded?.externalId ?? "");
    const stop = session.execute({
      kind: "Stop",
      externalId: a.recorded?.externalId ?? "",
      signal: "SIGTERM",
      timeoutSeconds: 1,
      force: true,
      commandId: "s",
      key: "default/a",
    });
    if (!stop.sent) throw new Error(stop.failure.message);
    expect(await stop.outcome).toMatchObject({ result: "Failed", failure: { class: "Transient" } });
  });
});

test("a start that was accepted and never shows is said, kept, and begun no second time", async () => {
  const { session, notices } = start();
  const claim: Claim = { ...OWNER, name: "a" };
  await until(() => of(session, claim).synced, "what is rented");
  vendor.quirks.visibleAfterMs = 3_600_000;
  const sent = create(session, claim);
  if (!sent.sent) throw new Error(sent.failure.message);
  const outcome = await sent.outcome;
  expect(outcome).toMatchObject({ result: "Succeeded", externalId: vendor.rentals()[0]?.deploymentId });
  expect(of(session, claim).container).toMatchObject({ state: "Unknown", externalId: outcome.externalId });
  expect(notices.at(-1)).toMatchObject({
    reason: "LookupFailed",
    message: expect.stringContaining("ask the vendor") as string,
  });
  expect(create(session, claim, 2)).toMatchObject({ sent: false });
  await until(() => of(session, claim).obstacle !== undefined, "the doubt");
  const recorded: Claim = {
    ...claim,
    recorded: { externalId: outcome.externalId ?? "", attempt: 1, unseen: true },
  };
  const next = start();
  await until(() => of(next.session, recorded).obstacle !== undefined, "the doubt of the next process");
  vendor.quirks.visibleAfterMs = 0;
  for (const each of [session, next.session])
    await until(() => of(each, recorded).container?.state === "Running" && of(each, recorded).synced, "the rental");
  expect(vendor.rentals()).toHaveLength(1);
});

test("an object that is gone is not looked up any more", async () => {
  const { session } = start();
  const claim = await rent(session, "a");
  session.forget?.(claim);
  expect(session.snapshot().containers).toEqual([]);
  const looks = () => vendor.requests().filter(({ path }) => path.includes(claim.recorded?.externalId ?? "-")).length;
  const before = looks();
  const other = await rent(session, "b");
  await until(() => of(session, other).synced, "something else");
  // What was under way may still come.
  expect(looks() - before).toBeLessThanOrEqual(1);
});

test("what a look finds of an object that has gone meanwhile says nothing about others", async () => {
  const { session } = start();
  const [gone, there] = [await rent(session, "gone"), await rent(session, "there")];
  await rent(session, "witness");
  // Looks at it are under way while it goes.
  for (let i = 0; i < 20; i++) {
    session.snapshot(gone);
    session.resync("again");
    await until(
      () =>
        vendor
          .requests()
          .at(-1)
          ?.path.includes(gone.recorded?.externalId ?? "-") === true,
      "a look",
    );
    session.forget?.(gone);
  }
  vendor.platform.lose(there.recorded?.externalId ?? "");
  await until(() => of(session, there).container?.state === "Stopped", "the end");
});
