import { describe, expect, test } from "vitest";
import { parseEdgeBackend, parseEdgeContainer, parseEdgeDevice, parseEdgeRegistry } from "../../../src/crds/parse.ts";

const SECRET = "hunter2-do-not-show";

function object(kind: string, spec: unknown, extra: object = {}): unknown {
  return {
    apiVersion: "edge.drayage.dev/v1alpha1",
    kind,
    metadata: { name: "x", namespace: "n", uid: "u", resourceVersion: "1", generation: 1 },
    spec,
    ...extra,
  };
}

function problems(result: ReturnType<typeof parseEdgeContainer>): string[] {
  return result.ok ? [] : result.problems.map(({ path, message }) => `${path}: ${message}`);
}

const SPEC = { deviceRef: { name: "d" }, image: "docker.io/library/nginx:1.27" };

describe("parsing", () => {
  test("gives back a good object with its metadata", () => {
    const result = parseEdgeContainer(object("EdgeContainer", SPEC, { status: { observedGeneration: -1 } }));
    expect(result).toEqual({
      ok: true,
      value: object("EdgeContainer", SPEC, { status: { observedGeneration: -1 } }),
    });
    expect(parseEdgeDevice(object("EdgeDevice", { backendRef: { name: "b" }, alpon: { assetId: "1" } })).ok).toBe(true);
    expect(parseEdgeBackend(object("EdgeBackend", { alpon: {}, credentialsSecretRef: { name: "s" } })).ok).toBe(true);
    const registry = { host: "ghcr.io", credentialsSecretRef: { name: "s" }, backendRefs: [{ name: "b" }] };
    expect(parseEdgeRegistry(object("EdgeRegistry", registry)).ok).toBe(true);
  });

  test("leaves out fields that this version does not know", () => {
    const result = parseEdgeContainer(object("EdgeContainer", { ...SPEC, later: 1, stop: { later: true } }));
    expect(result.ok && result.value.spec).toEqual({ ...SPEC, stop: {} });
  });

  test("names path and cause of each problem", () => {
    const result = parseEdgeContainer(
      object("EdgeContainer", {
        deviceRef: {},
        image: "nginx",
        ports: [{ containerPort: 80 }, { containerPort: 0 }],
        desiredState: "Sleeping",
      }),
    );
    const found = problems(result);
    expect(found).toHaveLength(4);
    expect(found).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^spec\.deviceRef\.name: /),
        expect.stringMatching(/^spec\.image: write the image with its registry/),
        expect.stringMatching(/^spec\.ports\[1\]\.containerPort: /),
        expect.stringMatching(/^spec\.desiredState: /),
      ]),
    );
  });

  test("never shows a value in a problem", () => {
    const env = [
      { name: "A", value: SECRET, valueFrom: { secretKeyRef: { name: SECRET, key: SECRET } } },
      { name: "B", value: { [SECRET]: SECRET } },
      { name: `${SECRET} `, value: SECRET },
      { name: SECRET, value: SECRET.repeat(10_000) },
    ];
    const bad = { ...SPEC, image: SECRET, env, desiredState: SECRET, resources: { limits: { memory: SECRET } } };
    const result = parseEdgeContainer(object("EdgeContainer", bad));
    expect(problems(result).length).toBeGreaterThan(4);
    expect(JSON.stringify(result)).not.toContain(SECRET);
    const backend = parseEdgeBackend(
      object("EdgeBackend", { kanto: { url: `mqtt://me:${SECRET}@broker`, tenant: "t" } }),
    );
    expect(backend.ok).toBe(false);
    expect(JSON.stringify(backend)).not.toContain(SECRET);
  });

  test("goes on without a status that it cannot read", () => {
    const result = parseEdgeContainer(object("EdgeContainer", SPEC, { status: { phase: "Dreaming" } }));
    expect(result.ok && result.value.status).toBeUndefined();
    expect(result.ok).toBe(true);
  });

  test.each([
    ["null", null],
    ["a text", "x"],
    ["nothing", undefined],
    ["a list", []],
    ["another kind", object("EdgeDevice", SPEC)],
    ["another version", { ...(object("EdgeContainer", SPEC) as object), apiVersion: "edge.drayage.dev/v2" }],
    ["no metadata", { ...(object("EdgeContainer", SPEC) as object), metadata: {} }],
    ["no spec", object("EdgeContainer", undefined)],
  ])("refuses %s without throwing", (_, input) => {
    expect(parseEdgeContainer(input).ok).toBe(false);
  });
});
