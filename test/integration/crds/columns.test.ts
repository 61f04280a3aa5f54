import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { edgePath, KubeAdmin, messageOf } from "../../kube-admin.ts";
import { createPath, objectOf, PLURALS, type Kind } from "./objects.ts";

const run = promisify(execFile);
const { kubeconfig, kubectlPath: kubectl } = inject("controlPlane");

let kube: KubeAdmin;
let namespace: string;

const condition = (type: string, status: string, reason: string, message: string): object => ({
  type,
  status,
  observedGeneration: 1,
  lastTransitionTime: "2026-01-02T03:04:05Z",
  reason,
  message,
});

const STATUSES: Record<Kind, object> = {
  EdgeBackend: {
    type: "Kanto",
    devices: { total: 7, connected: 5 },
    conditions: [condition("Ready", "True", "Connected", "connected")],
  },
  EdgeDevice: {
    connection: { state: "Busy" },
    managed: 3,
    conditions: [
      condition("Ready", "True", "Busy", "busy"),
      condition("DeviceReachable", "True", "Busy", "silent while it works"),
    ],
  },
  EdgeContainer: {
    phase: "CrashLoopBackOff",
    restartCount: 4,
    external: { id: "49834e57" },
    conditions: [condition("Ready", "False", "CrashLoopBackOff", "exit 1")],
  },
  EdgeStack: {
    phase: "Progressing",
    ready: "2/3",
    external: { id: "7f5a" },
    conditions: [condition("Ready", "False", "ChildrenNotReady", "container web: on the way")],
  },
  EdgeRegistry: {
    conditions: [
      condition("Ready", "False", "Conflict", "not ours"),
      condition("CredentialsValid", "Unknown", "NotChecked", "not yet"),
    ],
  },
};

beforeAll(async () => {
  kube = new KubeAdmin(kubeconfig);
  namespace = await kube.namespace("columns");
  for (const kind of Object.keys(PLURALS) as Kind[]) {
    await kube.create(createPath(kind, namespace), objectOf(kind, "one"));
    await kube.create(createPath(kind, namespace), objectOf(kind, "two"));
    const path = `${edgePath(namespace, PLURALS[kind], "one")}/status`;
    const answer = await kube.patch(path, { status: { observedGeneration: 1, ...STATUSES[kind] } });
    if (answer.status !== 200) throw new Error(messageOf(answer));
  }
});
afterAll(async () => kube[Symbol.asyncDispose]());

/** The table of `kubectl get`, cells separated by bars, ages as AGE. */
async function table(...args: string[]): Promise<string[]> {
  const { stdout, stderr } = await run(kubectl, ["get", "--namespace", namespace, ...args], {
    env: { ...process.env, KUBECONFIG: kubeconfig },
  });
  expect(stderr).toBe("");
  return stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) =>
      line
        .split(/ {2,}/)
        .map((cell) => cell.trim().replace(/^\d+[smh]$/, "<age>"))
        .join("|"),
    );
}

test("kubectl get ec", async () => {
  expect(await table("ec", "one")).toEqual([
    "NAME|DEVICE|IMAGE|STATE|READY|RESTARTS|AGE",
    "one|press|docker.io/library/nginx:1.27|CrashLoopBackOff|False|4|<age>",
  ]);
});

test("kubectl get ec -o wide", async () => {
  expect(await table("ec", "one", "-o", "wide")).toEqual([
    "NAME|DEVICE|IMAGE|STATE|READY|RESTARTS|AGE|REASON|EXTERNAL-ID|MESSAGE",
    "one|press|docker.io/library/nginx:1.27|CrashLoopBackOff|False|4|<age>|CrashLoopBackOff|49834e57|exit 1",
  ]);
});

test("kubectl get ed, plain and wide", async () => {
  expect(await table("ed", "one")).toEqual(["NAME|BACKEND|CONNECTED|MANAGED|AGE", "one|broker|True|3|<age>"]);
  expect((await table("ed", "one", "-o", "wide"))[0]).toBe(
    "NAME|BACKEND|CONNECTED|MANAGED|AGE|CONNECTION|REASON|MESSAGE",
  );
});

test("kubectl get eb, plain and wide", async () => {
  expect(await table("eb", "one")).toEqual(["NAME|TYPE|READY|DEVICES|AGE", "one|Kanto|True|7|<age>"]);
  expect(await table("eb", "one", "-o", "wide")).toEqual([
    "NAME|TYPE|READY|DEVICES|AGE|CONNECTED|REASON|MESSAGE",
    "one|Kanto|True|7|<age>|5|Connected|connected",
  ]);
});

test("kubectl get est, plain and wide", async () => {
  expect(await table("est", "one")).toEqual(["NAME|DEVICE|READY|STATUS|AGE", "one|press|2/3|Progressing|<age>"]);
  expect(await table("est", "one", "-o", "wide")).toEqual([
    "NAME|DEVICE|READY|STATUS|AGE|REASON|EXTERNAL-ID|MESSAGE",
    "one|press|2/3|Progressing|<age>|ChildrenNotReady|7f5a|container web: on the way",
  ]);
});

test("kubectl get er, plain and wide", async () => {
  expect(await table("er", "one")).toEqual(["NAME|HOST|READY|VALID|AGE", "one|ghcr.io|False|Unknown|<age>"]);
  expect(await table("er", "one", "-o", "wide")).toEqual([
    "NAME|HOST|READY|VALID|AGE|REASON|MESSAGE",
    "one|ghcr.io|False|Unknown|<age>|Conflict|not ours",
  ]);
});

test("an object without status has empty cells and no <unknown>", async () => {
  expect((await table("ec", "two"))[1]).toBe("two|press|docker.io/library/nginx:1.27|<age>");
});

test("kubectl get edge lists every kind", async () => {
  const lines = await table("edge", "-o", "name");
  expect(new Set(lines.map((line) => line.split("/")[0]))).toEqual(
    new Set([
      "edgebackend.edge.drayage.dev",
      "edgecontainer.edge.drayage.dev",
      "edgedevice.edge.drayage.dev",
      "edgestack.edge.drayage.dev",
      "edgeregistry.edge.drayage.dev",
    ]),
  );
});

test("kubectl explain knows fields with their defaults", async () => {
  const { stdout } = await run(kubectl, ["explain", "ec.spec.stop.timeoutSeconds"], {
    env: { ...process.env, KUBECONFIG: kubeconfig },
  });
  expect(stdout).toContain("Time that the process has to end. Default: 30.");
});
