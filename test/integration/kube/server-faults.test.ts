/** Faults of the API server itself and of its data, on a control plane of this file's own. */

import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { KubeClient } from "../../../src/kube/client.ts";
import { loadClusterAccess } from "../../../src/kube/config.ts";
import { LeaderElector } from "../../../src/kube/lease.ts";
import { isOlder } from "../../../src/kube/resource-version.ts";
import { startControlPlane, type ControlPlane } from "../../controlplane/index.ts";
import { CONFIG_MAPS, follow, SHORT, type Following } from "./support.ts";

/** Only guards against a hang; a restart of the API server takes seconds. */
const soon = { timeout: 90_000, interval: 20 };
const namespace = "default";
let controlPlane: ControlPlane;

beforeAll(async () => {
  controlPlane = await startControlPlane({ controllerManager: false });
});
afterAll(() => controlPlane.stop());

async function connected(): Promise<KubeClient> {
  const access = await loadClusterAccess({ kubeconfig: controlPlane.kubeconfig, env: {} });
  const client = new KubeClient({ access });
  onTestFinished(() => client.close());
  return client;
}

async function following(client: KubeClient, watchList = true, times = SHORT): Promise<Following> {
  const given = follow(client, namespace, { times, watchList });
  await given.reflector.whenSynced(new AbortController().signal);
  return given;
}

/** Creates or changes a ConfigMap as soon as the server lets us. */
async function put(client: KubeClient, name: string, value: string): Promise<void> {
  const body = { apiVersion: "v1", kind: "ConfigMap", metadata: { name }, data: { value } };
  await vi.waitFor(() => client.patch(CONFIG_MAPS, { namespace, name }, { type: "apply", body, force: true }), soon);
}

const has = (given: Following, object: string): Promise<void> =>
  vi.waitFor(() => expect(given.content()).toContain(object), soon);

describe("the API server", () => {
  test("killed and started again is followed on, and its leader keeps or wins back the lease", async () => {
    const client = await connected();
    const given = await following(client);
    const stop = new AbortController();
    const changes: string[] = [];
    const elector = new LeaderElector({
      client,
      namespace,
      name: "restart",
      leaseDurationMs: 60_000,
      renewDeadlineMs: 50_000,
      retryPeriodMs: 100,
      onStartedLeading: () => changes.push("started"),
      onStoppedLeading: (end) => changes.push(end),
    });
    const ended = elector.run(stop.signal);
    await put(client, "kill", "1");
    await has(given, "kill=1");
    await vi.waitFor(() => expect(elector.isLeader()).toBe(true), soon);
    await controlPlane.kill9ApiServer();
    await vi.waitFor(() => expect(given.failures.length).toBeGreaterThan(2), soon);
    await controlPlane.startApiServer();
    await put(client, "kill", "2");
    await has(given, "kill=2");
    expect(given.reflector.lastError).toBeUndefined();
    expect(changes).toEqual(["started"]);
    stop.abort();
    expect(await ended).toBe("stopped");
  });

  test("stopped in its tracks is noticed by its silence, and followed on when it runs again", async () => {
    const client = await connected();
    const given = await following(client);
    await put(client, "pause", "1");
    await has(given, "pause=1");
    controlPlane.pauseApiServer();
    try {
      await vi.waitFor(() => expect(given.failures).toMatchObject([{ code: "Silent" }]), soon);
      expect(given.reflector.synced).toBe(true);
    } finally {
      controlPlane.resumeApiServer();
    }
    await put(client, "pause", "2");
    await has(given, "pause=2");
  });

  test.each([true, false])(
    "set back to an older backup is not believed to stand still (streamed: %s)",
    async (streamed) => {
      const client = await connected();
      // Not by the silence of the watches, which takes two of these, but by asking after the lost connection.
      const given = await following(client, streamed, { ...SHORT, silenceMs: 75_000 });
      const name = `old-${streamed}`;
      await put(client, name, "1");
      await has(given, `${name}=1`);
      const backup = await controlPlane.snapshot();
      for (let value = 2; value < 40; value += 1) {
        await put(client, name, String(value));
      }
      await put(client, `${name}-born-later`, "1");
      await has(given, `${name}-born-later=1`);
      const before = given.reflector.store.resourceVersion;
      await controlPlane.restore(backup);
      // What the backup does not know is gone, what it knows is as it was, and changes are seen.
      await vi.waitFor(() => expect(given.content()).not.toContain(`${name}-born-later=1`), soon);
      await has(given, `${name}=1`);
      expect(given.events.filter((each) => each.includes("born-later")).at(-1)).toMatch(/^deleted /);
      expect(isOlder(given.reflector.store.resourceVersion, before)).toBe(true);
      await put(client, name, "again");
      await has(given, `${name}=again`);
    },
  );

  test("with an emptied etcd: everything is reported deleted, and what is made anew is another object", async () => {
    const client = await connected();
    const given = await following(client);
    await put(client, "emptied", "1");
    await has(given, "emptied=1");
    const uid = given.reflector.store.get({ namespace, name: "emptied" })?.metadata.uid;
    await controlPlane.restartEtcd({ empty: true });
    await put(client, "emptied", "1");
    await vi.waitFor(() => {
      const object = given.reflector.store.get({ namespace, name: "emptied" });
      expect(object).toBeDefined();
      expect(object?.metadata.uid).not.toBe(uid);
    }, soon);
    const own = given.events.filter((each) => each.includes("emptied="));
    expect(own).toEqual(["added emptied=1", "deleted emptied=1", "added emptied=1"]);
  });
});

test("a version older than what a restarted server remembers is answered with 410, which leads to one new list", async () => {
  const client = await connected();
  await put(client, "expired", "1");
  const given = await following(client);
  const { resourceVersion } = given.reflector.store;
  const stop = new AbortController();
  for (const value of ["2", "3"]) {
    await put(client, "expired", value);
    await has(given, `expired=${value}`);
  }
  await controlPlane.restartApiServer();
  await put(client, "expired", "4");
  await has(given, "expired=4");
  // The server's own words for the version that the reflector had at first.
  let status: unknown;
  await client
    .watch(
      CONFIG_MAPS,
      { namespace, resourceVersion, signal: stop.signal },
      {
        onEvent: (event) => {
          status = event.type === "ERROR" ? event.status : event;
          stop.abort();
        },
      },
    )
    .catch((error: unknown) => {
      status ??= error;
    });
  expect(status).toMatchObject({ code: 410, reason: "Expired" });
});
