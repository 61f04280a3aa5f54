/** Views of a mittwald stack that come late or out of order. */
import { expect, test } from "vitest";
import { container, succeed, synced, until } from "../../conformance/harness.ts";
import { create, IMAGE, mittwaldWorld } from "./mittwald-world.ts";

test("with a short project id a list waits for our own write, too", async () => {
  const world = await mittwaldWorld({ quirks: { lagMs: 300, listLagMs: 600 } });
  const shortId = world.vendor.platform.projects()[0]?.shortId ?? "";
  expect(shortId).toMatch(/^p-/);
  await world.ours.kill();
  const ours = world.start({ projectId: shortId, observeIntervalMs: 50 });
  await synced(ours);
  const id = await succeed(ours, create());
  const { syncCount } = ours.session.snapshot();
  const lapses: number[] = [];
  await until(() => {
    const { synced: isSynced, containers } = ours.session.snapshot();
    if (isSynced && containers.length === 0) lapses.push(performance.now());
    return ours.session.snapshot().syncCount >= syncCount + 2;
  }, "two lists after the create");
  expect(lapses).toEqual([]);
  expect(container(ours, id)?.name).toBe("web");
});

test("a replica that is behind neither ends runs nor hides what was seen already", async () => {
  const olderReadsMs = 600;
  const world = await mittwaldWorld({ startMs: 150 });

  const id = await succeed(world.ours, create(IMAGE));
  await until(() => container(world.ours, id)?.state === "Running", "that it runs");
  const started = performance.now();
  await world.ours.kill();
  // A process that has written nothing waits for no event, and sees whatever replica answers.
  const ours = world.start({ observeIntervalMs: 20 });
  await synced(ours);
  await until(() => performance.now() - started > olderReadsMs, "that the replica has the service");
  world.vendor.quirks.olderReadsMs = olderReadsMs;
  world.vendor.human.act(`${world.stackId}/web`, "restart");
  const changedAt = performance.now();
  const states: string[] = [];
  await until(() => {
    const state = container(ours, id)?.state ?? "none";
    if (states.at(-1) !== state) states.push(state);
    return performance.now() - changedAt > 1.5 * olderReadsMs;
  }, "that the replica has it, too");
  expect(states).toEqual(["Running", "Unknown", "Running"]);
  expect(container(ours, id)?.runs).toMatchObject([{ finishedAt: expect.any(String) }, {}]);
});
