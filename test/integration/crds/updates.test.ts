import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { SCHEMAS } from "../../../src/crds/parse.ts";
import { edgePath, KubeAdmin, messageOf, type Answer } from "../../kube-admin.ts";
import { createPath, objectOf, PLURALS, type Kind, type LooseSpec } from "./objects.ts";

let kube: KubeAdmin;
let namespace: string;
beforeAll(async () => {
  kube = new KubeAdmin(inject("controlPlane").kubeconfig);
  namespace = await kube.namespace("updates");
});
afterAll(async () => kube[Symbol.asyncDispose]());

let count = 0;

/** Creates an object; returns its path. */
async function created(kind: Kind, changes: LooseSpec = {}): Promise<string> {
  const name = `o${++count}`;
  const answer = await kube.create(createPath(kind, namespace), objectOf(kind, name, changes));
  expect(answer.status, messageOf(answer)).toBe(201);
  return edgePath(namespace, PLURALS[kind], name);
}

const mittwald = { kanto: undefined, mittwald: { projectId: "p" } };
const hiveon = { kanto: undefined, hiveon: { machineId: "m", machinePriceId: "p1" } };

/** Kind, spec at creation, merge patch of spec, and the text of the refusal. */
const FIXED: [string, Kind, LooseSpec, LooseSpec, string][] = [
  [
    "deviceRef",
    "EdgeContainer",
    {},
    { deviceRef: { name: "other" } },
    "deviceRef cannot be changed: delete this EdgeContainer",
  ],
  [
    "backendRef",
    "EdgeDevice",
    {},
    { backendRef: { name: "other" } },
    "backendRef cannot be changed: delete this EdgeDevice",
  ],
  ["backendRef's namespace", "EdgeDevice", {}, { backendRef: { namespace: "other" } }, "backendRef cannot be changed"],
  ["thingId", "EdgeDevice", {}, { kanto: { thingId: "a:c" } }, "thingId, topicPrefix and tenant cannot be changed"],
  [
    "an added topicPrefix",
    "EdgeDevice",
    {},
    { kanto: { topicPrefix: "a/" } },
    "thingId, topicPrefix and tenant cannot be changed",
  ],
  [
    "assetId",
    "EdgeDevice",
    { kanto: undefined, alpon: { assetId: "1" } },
    { alpon: { assetId: "2" } },
    "assetId cannot be changed",
  ],
  [
    "the device of a stack",
    "EdgeStack",
    {},
    { deviceRef: { name: "other" } },
    "deviceRef cannot be changed: delete this EdgeStack",
  ],
  ["the mode of a stack", "EdgeStack", {}, { mode: "Shared" }, "mode cannot be changed"],
  ["machineId", "EdgeDevice", hiveon, { hiveon: { machineId: "n" } }, "machineId cannot be changed"],
  ["projectId", "EdgeDevice", mittwald, { mittwald: { projectId: "q" } }, "projectId and stackId cannot be changed"],
  [
    "an added stackId",
    "EdgeDevice",
    mittwald,
    { mittwald: { stackId: "s" } },
    "projectId and stackId cannot be changed",
  ],
  ["host", "EdgeRegistry", {}, { host: "quay.io" }, "host cannot be changed: delete this EdgeRegistry"],
  ["the vendor of a device", "EdgeDevice", {}, { kanto: null, alpon: { assetId: "1" } }, "the vendor block"],
  ["the vendor of a backend", "EdgeBackend", {}, { kanto: null, mittwald: {} }, "the vendor block"],
];

/** Everything else may be changed. */
const FREE: [string, Kind, LooseSpec, LooseSpec][] = [
  ["image", "EdgeContainer", {}, { image: "docker.io/library/nginx:1.28" }],
  ["name on the device", "EdgeContainer", { name: "a" }, { name: "b" }],
  ["removing all that is optional", "EdgeContainer", { name: "a", suspend: true }, { name: null, suspend: null }],
  ["the price of a rental", "EdgeDevice", hiveon, { hiveon: { machinePriceId: "p2" } }],
  ["the default mode of a stack, spelled out", "EdgeStack", {}, { mode: "Own" }],
  ["architecture", "EdgeDevice", {}, { architecture: "amd64" }],
  ["whether a device reports metrics", "EdgeDevice", {}, { kanto: { metrics: { enabled: true } } }],
  ["where a login is given to", "EdgeRegistry", {}, { backendRefs: [{ name: "other" }] }],
  ["the Secret of a login", "EdgeRegistry", {}, { credentialsSecretRef: { name: "other" } }],
  ["the url of a backend", "EdgeBackend", {}, { kanto: { url: "mqtts://other:8883" } }],
  ["credentials of a backend", "EdgeBackend", {}, { credentialsSecretRef: { name: "other" } }],
];

describe("an update is refused when it changes", () => {
  test.each(FIXED)("%s", async (_, kind, before, patch, text) => {
    const path = await created(kind, before);
    const answer = await kube.patch(path, { spec: patch });
    expect(answer.status).toBe(422);
    expect(messageOf(answer)).toContain(text);
  });
});

describe("an update is accepted when it changes", () => {
  test.each(FREE)("%s", async (_, kind, before, patch) => {
    const path = await created(kind, before);
    const answer = await kube.patch(path, { spec: patch });
    expect(answer.status, messageOf(answer)).toBe(200);
    expect(answer.body.metadata?.["generation"]).toBe(2);
  });
});

test("an update that breaks a rule is refused as a creation is", async () => {
  const path = await created("EdgeContainer");
  const answer = await kube.patch(path, { spec: { image: "nginx" } });
  expect(answer.status).toBe(422);
  expect(messageOf(answer)).toContain("write docker.io/library/nginx");
});

describe("status", () => {
  test.each(Object.keys(PLURALS) as Kind[])("of a fresh %s is observedGeneration -1", async (kind) => {
    const answer = await kube.get(await created(kind));
    expect(answer.body["status"]).toEqual({ observedGeneration: -1 });
  });

  test("is written through its subresource alone, and does not count as a generation", async () => {
    const path = await created("EdgeContainer");
    const status = { observedGeneration: 1, phase: "Running", restartCount: 2, external: { id: "x" } };
    const past = await kube.patch(path, { status });
    expect(past.body["status"]).toEqual({ observedGeneration: -1 });
    const written = await kube.patch(`${path}/status`, { status, spec: { image: "docker.io/library/x:1" } });
    expect(written.status).toBe(200);
    expect(written.body["status"]).toEqual(status);
    expect(written.body["spec"]).toEqual({ deviceRef: { name: "press" }, image: "docker.io/library/nginx:1.27" });
    expect(written.body.metadata?.["generation"]).toBe(1);
  });

  test("takes whatever a device or a person may have written, unchanged", async () => {
    const path = await created("EdgeContainer");
    const status = {
      observedGeneration: 1,
      external: { id: "x".repeat(1024), name: "é😀".repeat(100), createdAt: "yesterday" },
      resolved: { image: "" },
      applied: {
        generation: 1,
        hash: "k:0",
        paths: Array.from({ length: 1024 }, (_, index) => `env[V${index}].value`),
      },
      state: { terminated: { exitCode: -1, startedAt: "", finishedAt: "0001-01-01T00:00:00Z" } },
      lastState: { terminated: { exitCode: 4_294_967_295, message: "x".repeat(32_768) } },
      lastFailure: {
        class: "Transient",
        message: "x".repeat(32_768),
        time: "2026-01-02T03:04:05Z",
        field: "spec.image",
      },
      lastHandled: { restart: "x".repeat(250_000), retry: "" },
      drift: { fields: [{ path: "image", desired: "", observed: "😀" }] },
    };
    const answer = await kube.patch(`${path}/status?fieldValidation=Strict`, { status });
    expect(answer.status, messageOf(answer)).toBe(200);
    expect(answer.body["status"]).toEqual(status);
    expect(SCHEMAS.EdgeContainer.status.parse(status)).toEqual(status);
  });

  test("takes a condition of each type once, and merges conditions by type", async () => {
    const path = await created("EdgeContainer");
    const condition = {
      type: "Ready",
      status: "True",
      observedGeneration: 1,
      lastTransitionTime: "2026-01-02T03:04:05Z",
      reason: "Running",
      message: "",
    };
    const twice = await kube.patch(`${path}/status`, { status: { conditions: [condition, condition] } });
    expect(twice.status).toBe(422);
    expect(messageOf(twice)).toContain("Duplicate value");
    await expectApplied(kube, `${path}/status`, "one", [condition]);
    const both = await expectApplied(kube, `${path}/status`, "two", [
      { ...condition, type: "Synced", reason: "InSync" },
    ]);
    const { conditions } = both.body["status"] as { conditions: { type: string }[] };
    expect(conditions.map(({ type }) => type).sort()).toEqual(["Ready", "Synced"]);
  });

  test("refuses a condition without observedGeneration and a time that is none", async () => {
    const path = await created("EdgeContainer");
    const condition = {
      type: "Ready",
      status: "True",
      lastTransitionTime: "yesterday",
      reason: "Running",
      message: "",
    };
    const answer = await kube.patch(`${path}/status`, { status: { conditions: [condition] } });
    expect(answer.status).toBe(422);
    expect(messageOf(answer)).toContain("observedGeneration: Required value");
    expect(messageOf(answer)).toContain("lastTransitionTime");
  });
});

test("EdgeContainers are selected by the device they are on", async () => {
  await created("EdgeContainer", { deviceRef: { name: "selected" } });
  await created("EdgeContainer", { deviceRef: { name: "another" } });
  const list = await kube.get(`${edgePath(namespace, "edgecontainers")}?fieldSelector=spec.deviceRef.name%3Dselected`);
  const items = list.body["items"] as { spec: { deviceRef: { name: string } } }[];
  expect(items.map((item) => item.spec.deviceRef.name)).toEqual(["selected"]);
});

/** A server-side apply of conditions by one of several field managers. */
async function expectApplied(client: KubeAdmin, path: string, manager: string, conditions: object[]): Promise<Answer> {
  const answer = await client.patch(
    `${path}?fieldManager=${manager}`,
    { apiVersion: "edge.drayage.dev/v1alpha1", kind: "EdgeContainer", status: { conditions } },
    "apply",
  );
  expect(answer.status, messageOf(answer)).toBe(200);
  return answer;
}
