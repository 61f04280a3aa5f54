import { describe, expect, test } from "vitest";
import { Controller } from "../../../src/controller/controller.ts";
import { silentLogger } from "../../../src/controller/logging.ts";
import { enqueueFrom } from "../../../src/controller/sources.ts";
import { WorkQueue } from "../../../src/controller/work-queue.ts";
import { systemClock } from "../../../src/kube/clock.ts";
import { Reflector } from "../../../src/kube/reflector.ts";
import { resourceName } from "../../../src/kube/resource.ts";
import { CONTAINERS, until, World } from "./setup.ts";

/** A reflector, a controller and the wiring between them, as the program has them. */
function start(
  world: World,
  reconcile: ConstructorParameters<typeof Controller>[0]["reconcile"],
  readsOwnWrites: boolean,
) {
  const { client, namespace, expectations } = world;
  const reflector = new Reflector({ client, resource: CONTAINERS, namespace });
  const name = resourceName(CONTAINERS);
  const following = expectations.follow(name, reflector.store);
  const queue = new WorkQueue({ clock: systemClock });
  let skips = 0;
  const controller = new Controller({
    name: "edgecontainer",
    queue,
    clock: systemClock,
    log: silentLogger(),
    concurrency: 4,
    reconcile,
    ...(readsOwnWrites ? { isStale: (key) => expectations.isBehind(name, reflector.store, key) } : {}),
    metrics: {
      reconciled: () => undefined,
      terminalError: () => undefined,
      panicked: () => undefined,
      timedOut: () => undefined,
      workersChanged: () => undefined,
      staleSkipped: () => skips++,
    },
  });
  const source = enqueueFrom(reflector.store, controller);
  const stop = new AbortController();
  const running = reflector.run(stop.signal);
  controller.start();
  return {
    store: reflector.store,
    isIdle: () => queue.depth + queue.processingCount + queue.waitingCount === 0,
    skips: () => skips,
    [Symbol.asyncDispose]: async () => {
      expect(await controller.stop({ graceMs: 5000 })).toBe(0);
      stop.abort();
      await running;
      source[Symbol.dispose]();
      following[Symbol.dispose]();
    },
  };
}

describe("a controller on a real API server", () => {
  test("decides on its own last write: N steps take N writes, however often its keys are touched", async () => {
    await using world = await World.create();
    const writer = world.statusWriter();
    const names = ["a", "b", "c"];
    const steps = 12;
    let conflicts = 0;
    await using loop = start(
      world,
      async (key) => {
        const object = loop.store.get(key);
        if (object === undefined) return {};
        const restartCount = object.status?.restartCount ?? 0;
        if (restartCount >= steps) return {};
        // What a cache that is behind would do: take the same step twice, which the version of the write betrays.
        const status = { ...object.status, observedGeneration: 1, restartCount: restartCount + 1 };
        try {
          await writer.write(CONTAINERS, object, status, { atVersion: true });
        } catch {
          conflicts++;
        }
        // Again at once, before the watch can have brought the echo.
        return { requeueAfterMs: 0 };
      },
      true,
    );
    for (const name of names) await world.createContainer(name);
    await until(
      () => names.every((name) => loop.store.get({ namespace: world.namespace, name })?.status?.restartCount === steps),
      "the last step of each object",
    );
    await until(loop.isIdle, "the queue to run dry");
    const writes = world.requests.filter((request) => request.startsWith(`PATCH ${resourceName(CONTAINERS)}`));
    expect(conflicts).toBe(0);
    expect(writes).toHaveLength(names.length * steps);
    // Without the guard the same loop does run into its own echo: the test would notice its loss.
    expect(loop.skips()).toBeGreaterThan(0);
  });

  test("a hundred objects are each passed over, and at rest there is neither a pass nor a write", async () => {
    await using world = await World.create();
    const writer = world.statusWriter();
    const passes = new Map<string, number>();
    await using loop = start(
      world,
      async (key) => {
        passes.set(key.name, (passes.get(key.name) ?? 0) + 1);
        const object = loop.store.get(key);
        if (object === undefined) return {};
        await writer.write(CONTAINERS, object, {
          observedGeneration: object.metadata.generation ?? 0,
          phase: "Running",
        });
        return {};
      },
      true,
    );
    const count = 100;
    await Promise.all(Array.from({ length: count }, (_, index) => world.createContainer(`c-${index}`)));
    const isDone = (): boolean =>
      loop.store.size === count && loop.store.list().every(({ status }) => status?.phase === "Running");
    await until(isDone, "the status of all objects");
    const writes = (): number => world.requests.filter((request) => request.startsWith("PATCH")).length;
    // The echo of its write causes one more pass over each key; then nothing, whatever happens to other objects.
    await until(loop.isIdle, "the queue to run dry");
    expect(writes()).toBe(count);
    const before = new Map(passes);
    await world.createContainer("another");
    await until(() => passes.get("another") === 2 && loop.isIdle(), "both passes over another object");
    expect(writes()).toBe(count + 1);
    passes.delete("another");
    expect(passes).toEqual(before);
  });
});
