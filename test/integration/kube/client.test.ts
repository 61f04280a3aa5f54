import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, inject, onTestFinished, test, vi } from "vitest";
import { KubeClient } from "../../../src/kube/client.ts";
import { loadClusterAccess } from "../../../src/kube/config.ts";
import { isAlreadyExists, isConflict, isInvalid, isNotFound, isUnauthorized } from "../../../src/kube/errors.ts";
import type { Resource } from "../../../src/kube/resource.ts";
import { CONFIG_MAPS, setting, type Setting } from "./support.ts";

const controlPlane = inject("controlPlane");
const start = (): Promise<Setting> => setting(controlPlane);
const SERVICE_ACCOUNTS: Resource = {
  group: "",
  version: "v1",
  plural: "serviceaccounts",
  kind: "ServiceAccount",
  namespaced: true,
};

async function failure(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("it succeeded");
}

describe("the client and a real API server", () => {
  test("agree on every verb and on what each failure is", async () => {
    const { direct, namespace } = await start();
    const key = { namespace, name: "a" };
    expect(isNotFound(await failure(direct.get(CONFIG_MAPS, key)))).toBe(true);
    const made = await direct.create(CONFIG_MAPS, { metadata: key, data: { x: "1" } });
    expect(isAlreadyExists(await failure(direct.create(CONFIG_MAPS, { metadata: key })))).toBe(true);
    const changed = await direct.patch(CONFIG_MAPS, key, { type: "merge", body: { data: { x: null, y: "2" } } });
    expect(changed.data).toEqual({ y: "2" });
    expect(isConflict(await failure(direct.replace(CONFIG_MAPS, made)))).toBe(true);
    const stale = { metadata: { resourceVersion: made.metadata.resourceVersion }, data: {} };
    expect(isConflict(await failure(direct.patch(CONFIG_MAPS, key, { type: "merge", body: stale })))).toBe(true);
    const replaced = await direct.replace(CONFIG_MAPS, { ...changed, data: { z: "3" } });
    expect(replaced.data).toEqual({ z: "3" });
    const test = [{ op: "test", path: "/data/z", value: "no" }];
    expect(isInvalid(await failure(direct.patch(CONFIG_MAPS, key, { type: "json", body: test })))).toBe(true);
    const apply = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "a" }, data: { z: "4" } };
    const other = { fieldManager: "other" };
    expect(isConflict(await failure(direct.patch(CONFIG_MAPS, key, { type: "apply", body: apply }, other)))).toBe(true);
    const forced = await direct.patch(CONFIG_MAPS, key, { type: "apply", body: apply, force: true }, other);
    expect(forced.data).toEqual({ z: "4" });
    expect(isConflict(await failure(direct.delete(CONFIG_MAPS, key, { uid: "someone-else" })))).toBe(true);
    await direct.delete(CONFIG_MAPS, key, { uid: made.metadata.uid });
    expect(isNotFound(await failure(direct.delete(CONFIG_MAPS, key)))).toBe(true);
  });

  test("refuse a field that the schema does not know, instead of dropping it silently", async () => {
    const { direct, namespace } = await start();
    const object = { metadata: { namespace, name: "a" }, journal: "lost" };
    const error = await failure(direct.create(CONFIG_MAPS, object));
    expect(isInvalid(error)).toBe(true);
    expect(String(error)).toContain('unknown field "journal"');
  });

  test("list in pages that show one instant, whatever is written between them", async () => {
    const { direct, namespace, put } = await start();
    for (const name of ["a", "b", "c", "d", "e"]) {
      await put(name, "1");
    }
    const names: string[] = [];
    for await (const page of direct.pages(CONFIG_MAPS, { namespace, limit: 2 })) {
      names.push(...page.items.map((each) => each.metadata.name));
      await put(`z${names.length}`, "late");
      expect(page.items.every((each) => each.kind === "ConfigMap" && each.apiVersion === "v1")).toBe(true);
    }
    expect(names.filter((name) => name !== "kube-root-ca.crt")).toEqual(["a", "b", "c", "d", "e"]);
  });

  test("tell who we are, in the audit trail and in managedFields", async () => {
    const { through, namespace, proxy } = await start();
    const client = await through({ userAgent: "drayage/1.2.3", fieldManager: "drayage-test" });
    const made = await client.create(CONFIG_MAPS, { metadata: { namespace, name: "a" }, data: { x: "1" } });
    expect(proxy.requests()[0]?.headers["user-agent"]).toBe("drayage/1.2.3");
    expect(JSON.stringify(made)).toContain('"manager":"drayage-test"');
  });

  test("leave no doubt about a write whose answer was lost: it says that it is ambiguous, and it happened", async () => {
    const { through, namespace, proxy, direct } = await start();
    const client = await through();
    proxy.on({ match: { method: "POST" }, fault: { do: "reset", when: "after" } });
    const key = { namespace, name: "a" };
    expect(await failure(client.create(CONFIG_MAPS, { metadata: key }))).toMatchObject({ ambiguous: true });
    await direct.get(CONFIG_MAPS, key);
    expect(isAlreadyExists(await failure(client.create(CONFIG_MAPS, { metadata: key })))).toBe(true);
  });

  test("reuse connections", async () => {
    const { direct, namespace } = await start();
    const ports = new Set<unknown>();
    const { subscribe, unsubscribe } = await import("node:diagnostics_channel");
    const onConnected = (message: unknown): void => {
      ports.add((message as { socket: { localPort: number } }).socket.localPort);
    };
    subscribe("undici:client:connected", onConnected);
    onTestFinished(() => {
      unsubscribe("undici:client:connected", onConnected);
    });
    for (let times = 0; times < 50; times += 1) {
      await direct.list(CONFIG_MAPS, { namespace });
    }
    expect(ports.size).toBeLessThanOrEqual(2);
  });
});

describe("a pod's credentials", () => {
  async function token(given: Setting, name: string): Promise<string> {
    const { direct, namespace } = given;
    const response = await direct.raw({
      method: "POST",
      path: `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`,
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec: {} }),
    });
    const made = JSON.parse(response.body.toString()) as { status: { token: string } };
    return made.status.token;
  }

  test("are read again when the server refuses them: a rotated token costs one request, not a restart", async () => {
    const given = await start();
    const { direct, namespace } = given;
    await direct.create(SERVICE_ACCOUNTS, { metadata: { namespace, name: "pod" } });
    const root = await mkdtemp(join(tmpdir(), "drayage-pod-"));
    onTestFinished(() => rm(root, { recursive: true, force: true }));
    await writeFile(join(root, "ca.crt"), controlPlane.ca);
    await writeFile(join(root, "namespace"), namespace);
    await writeFile(join(root, "token"), "a token of yesterday");
    const { hostname, port } = new URL(controlPlane.server);
    const access = await loadClusterAccess({
      env: { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port, HOME: root },
      serviceAccountRoot: root,
    });
    const codes: string[] = [];
    const client = new KubeClient({ access, onRequest: ({ code }) => codes.push(code) });
    onTestFinished(() => client.close());
    const review = (): Promise<unknown> =>
      client.raw({
        method: "POST",
        path: "/apis/authentication.k8s.io/v1/selfsubjectreviews",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview" }),
      });
    const error = await failure(review());
    expect(isUnauthorized(error)).toBe(true);
    expect(String(error)).not.toContain("yesterday");
    await writeFile(join(root, "token"), await token(given, "pod"));
    // Refusals within 5 s are not each worth a reading.
    await vi.waitFor(() => review(), { timeout: 20_000, interval: 500 });
    expect(codes.at(-1)).toBe("201");
    expect(codes.at(-2)).toBe("401");
  });
});
