import { afterEach, beforeEach, expect, inject, test } from "vitest";
import { conditionOf, everCreated, existing, World } from "../../support/world.ts";

let world: World;
beforeEach(async () => {
  world = await World.create({ kubeconfig: inject("controlPlane").kubeconfig });
});
afterEach(async () => world[Symbol.asyncDispose]());

/** A pull longer than everything that is to be seen meanwhile, on a busy machine too. */
const PULL_MS = 15_000;

test("a pull that outlasts progressDeadlineSeconds is Stalled until it is done, and nothing is sent twice", async () => {
  const site = await world.site("press", { pullMs: PULL_MS });
  world.operator();
  await world.container("web", site, { updateStrategy: { minReadySeconds: 0, progressDeadlineSeconds: 1 } });
  const stalled = await world.condition("web", "Stalled", "True", "ProgressDeadlineExceeded");
  expect(stalled.status?.operation).toMatchObject({ type: "Create" });
  const object = await world.condition("web", "Ready", "True", "Running");
  expect(conditionOf(object, "Stalled")).toBeUndefined();
  expect(everCreated(site, "web")).toHaveLength(1);
});

test("behind a pull that outlasts createTimeoutSeconds there is one barrier, and the slot stays taken", async () => {
  const site = await world.site("press", { pullMs: PULL_MS, observeIntervalSeconds: 1 });
  await world.patch("edgebackends", "press", { spec: { createTimeoutSeconds: 1, commandTimeoutSeconds: 1 } });
  world.operator();
  await world.container("slow", site);
  const create = () => site.device.commands().find(({ operation }) => operation === "createWithConfig");
  await world.until(() => create() !== undefined, "the create");
  // What wants something of the device meanwhile waits.
  await world.container("next", site);
  await world.patch("edgecontainers", "slow", { metadata: { annotations: { "edge.drayage.dev/retry": "1" } } });
  await world.until(
    async () => (await world.getDevice("press"))?.status?.connection?.state === "Offline",
    "the device to be taken for offline",
  );
  const away = await world.condition("slow", "Ready", "Unknown", "DeviceUnreachable");
  expect(conditionOf(away, "DeviceReachable")?.message).toContain("was not answered in time");
  await world.condition("slow", "Ready", "True", "Running");
  await world.condition("next", "Ready", "True", "Running");
  const first = create();
  const finishedMs = first?.finishedMs ?? 0;
  expect(finishedMs - (first?.startedMs ?? 0)).toBeGreaterThanOrEqual(PULL_MS);
  const behind = site.device.commands().filter(({ seq, atMs }) => seq > (first?.seq ?? 0) && atMs < finishedMs);
  // The barrier changes nothing; all else came after the create had ended.
  expect(behind.length).toBeLessThanOrEqual(1);
  for (const { operation, status } of behind) expect({ operation, status }).toMatchObject({ status: 404 });
  for (const name of ["slow", "next"]) expect(everCreated(site, name)).toHaveLength(1);
});

test("a pull whose reply is lost is adopted by the feature, and one that a power cut ended is repeated", async () => {
  const site = await world.site("press", { pullMs: 1_000, observeIntervalSeconds: 1 });
  world.operator();
  site.device.faults.command({ operation: "createWithConfig", effect: { kind: "loseReply" } });
  await world.container("lost", site);
  await world.condition("lost", "Ready", "True", "Running");
  expect(everCreated(site, "lost")).toHaveLength(1);
  const creates = () => site.device.commands().filter(({ operation }) => operation === "createWithConfig").length;
  const before = creates();
  site.device.faults.command({ operation: "createWithConfig", effect: { kind: "reboot", when: "received" } });
  await world.container("cut", site, { image: "registry.example/sleeper:5" });
  await world.condition("cut", "Ready", "True", "Running");
  expect(creates()).toBe(before + 2);
  expect(existing(site, "cut")).toHaveLength(1);
});
