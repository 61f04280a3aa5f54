import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Controller } from "../../../src/controller/controller.ts";
import { silentLogger } from "../../../src/controller/logging.ts";
import { OutageDetector } from "../../../src/controller/outage.ts";
import { WorkQueue } from "../../../src/controller/work-queue.ts";
import { KubeClient } from "../../../src/kube/client.ts";
import { systemClock } from "../../../src/kube/clock.ts";
import { loadClusterAccess } from "../../../src/kube/config.ts";
import { type ControlPlane, startControlPlane } from "../../controlplane/index.ts";
import { applyCrds } from "../../controlplane/manifests.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { CONTAINERS, until } from "./setup.ts";

// A control plane of its own: its API server is stopped.
let controlPlane: ControlPlane;
beforeAll(async () => {
  controlPlane = await startControlPlane({ controllerManager: false });
  await applyCrds(controlPlane, fileURLToPath(new URL("../../../manifests/crds", import.meta.url)));
});
afterAll(async () => {
  await controlPlane?.stop();
});

test("what failed while the API server was away is done at once when any request gets through again", async () => {
  // Time stands still for the queue, so no backoff ever ends: only the detector can explain a second pass.
  const clock = new FakeClock();
  const access = await loadClusterAccess({ kubeconfig: controlPlane.kubeconfig, env: {} });
  const queue = new WorkQueue({ clock });
  const detector = new OutageDetector({ clock: systemClock, onBack: () => controller.retryNow() });
  const client = new KubeClient({ access, onRequest: ({ code }) => detector.observe(code) });
  const names = Array.from({ length: 20 }, (_, index) => `c-${index}`);
  const passes = new Map<string, number>();
  const controller = new Controller({
    name: "edgecontainer",
    queue,
    clock,
    log: silentLogger(),
    concurrency: 4,
    reconcile: async (key) => {
      passes.set(key.name, (passes.get(key.name) ?? 0) + 1);
      await client.create(CONTAINERS, {
        metadata: { namespace: key.namespace, name: key.name },
        spec: { deviceRef: { name: "device" }, image: "docker.io/library/nginx:1" },
      });
      return {};
    },
  });
  try {
    await controlPlane.stopApiServer();
    controller.start();
    for (const name of names) controller.enqueue({ namespace: "default", name });
    await until(() => queue.waitingCount === names.length, "a failure of each key");
    await controlPlane.startApiServer();
    expect(queue.waitingCount).toBe(names.length);

    // The lease's renewal, in the program.
    await client.raw({ method: "GET", path: "/version" });
    await until(() => queue.waitingCount + queue.processingCount + queue.depth === 0, "all keys to be done");
    const { items } = await client.listPage(CONTAINERS, { namespace: "default" });
    expect(items.map(({ metadata }) => metadata.name).sort()).toEqual(names.toSorted());
    expect(Array.from(passes.values())).toEqual(names.map(() => 2));
  } finally {
    expect(await controller.stop({ graceMs: 0 })).toBe(0);
    await client.close();
  }
});
