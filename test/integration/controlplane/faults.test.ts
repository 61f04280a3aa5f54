// The faults a control plane of our own can be put through. Each test starts one, since the shared one must stay up.

import { connect } from "node:tls";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startControlPlane, type ControlPlane } from "../../controlplane/index.ts";

const CONFIG_MAPS = "/api/v1/namespaces/default/configmaps";

async function create(controlPlane: ControlPlane, name: string): Promise<void> {
  const body = { apiVersion: "v1", kind: "ConfigMap", metadata: { name } };
  expect(await controlPlane.request("POST", CONFIG_MAPS, { body })).toMatchObject({ status: 201 });
}

async function statusOf(controlPlane: ControlPlane, name: string): Promise<number> {
  return (await controlPlane.request("GET", `${CONFIG_MAPS}/${name}`)).status;
}

describe("one control plane", () => {
  let controlPlane: ControlPlane;

  beforeAll(async () => {
    controlPlane = await startControlPlane({ controllerManager: false });
  });

  afterAll(async () => controlPlane.stop());

  test("keeps its data and its address when the API server restarts", async () => {
    await create(controlPlane, "before-restart");
    const { server } = controlPlane;
    await controlPlane.restartApiServer();
    expect(controlPlane.server).toBe(server);
    expect(await statusOf(controlPlane, "before-restart")).toBe(200);
  });

  test("keeps its data when the API server is killed, and refuses connections meanwhile", async () => {
    await create(controlPlane, "before-kill");
    await controlPlane.kill9ApiServer();
    await expect(controlPlane.request("GET", "/readyz")).rejects.toThrow(/ECONNREFUSED/);
    await controlPlane.startApiServer();
    expect(await statusOf(controlPlane, "before-kill")).toBe(200);
  });

  test("accepts connections but answers nothing while the API server is paused, and goes on afterwards", async () => {
    controlPlane.pauseApiServer();
    try {
      const { hostname, port } = new URL(controlPlane.server);
      const socket = connect({ host: hostname, port: Number(port), ca: controlPlane.ca });
      await once(socket, "connect");
      socket.destroy();
      await expect(controlPlane.request("GET", "/readyz", { timeoutMs: 300 })).rejects.toThrow("no answer");
    } finally {
      controlPlane.resumeApiServer();
    }
    expect(await controlPlane.request("GET", "/readyz")).toEqual({ status: 200, body: "ok" });
  });

  test("keeps its data when etcd restarts under the running API server", async () => {
    await create(controlPlane, "before-etcd");
    await controlPlane.restartEtcd();
    await expect.poll(async () => statusOf(controlPlane, "before-etcd"), { timeout: 30_000 }).toBe(200);
  });

  test("goes back to a snapshot: later objects are gone, earlier ones are back, resourceVersions are lower", async () => {
    await create(controlPlane, "early");
    const snapshot = await controlPlane.snapshot();
    await expect.poll(async () => statusOf(controlPlane, "early"), { timeout: 30_000 }).toBe(200);
    // More writes than the API server makes by itself while it starts.
    await Promise.all(Array.from({ length: 100 }, async (_, index) => create(controlPlane, `late-${index}`)));
    await controlPlane.request("DELETE", `${CONFIG_MAPS}/early`);
    const versionOf = async (): Promise<bigint> => {
      const { body } = await controlPlane.request("GET", CONFIG_MAPS);
      return BigInt((body as { metadata: { resourceVersion: string } }).metadata.resourceVersion);
    };
    const before = await versionOf();
    await controlPlane.restore(snapshot);
    expect([await statusOf(controlPlane, "early"), await statusOf(controlPlane, "late-0")]).toEqual([200, 404]);
    expect(await versionOf()).toBeLessThan(before);
  });

  test("is a new cluster at the old address after etcd was emptied", async () => {
    await create(controlPlane, "lost");
    const uid = async (): Promise<unknown> =>
      (await controlPlane.request("GET", "/api/v1/namespaces/kube-system")).body;
    const before = await uid();
    await controlPlane.restartEtcd({ empty: true });
    expect(await statusOf(controlPlane, "lost")).toBe(404);
    await expect.poll(uid, { timeout: 30_000 }).toMatchObject({ metadata: { uid: expect.any(String) } });
    expect(await uid()).not.toMatchObject({
      metadata: { uid: (before as { metadata: { uid: string } }).metadata.uid },
    });
  });

  test("removes its folder when it is stopped, and may be stopped twice", async () => {
    await controlPlane.stop();
    await controlPlane.stop();
    expect(existsSync(controlPlane.dir)).toBe(false);
  });
});

test("the error of an API server that does not come up holds the end of its log", async () => {
  await expect(startControlPlane({ controllerManager: false, apiServerFlags: ["--no-such-flag"] })).rejects.toThrow(
    /kube-apiserver ended with 1 while starting:[^]*unknown flag: --no-such-flag/,
  );
});
