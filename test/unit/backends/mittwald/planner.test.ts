import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { DesiredContainer, ObservedContainer } from "../../../../src/backends/contract.ts";
import { describe as markText, readMarker } from "../../../../src/backends/mittwald/marker.ts";
import {
  canonicalImage,
  canonicalMount,
  canonicalPort,
  cpuText,
  memoryBytes,
  memoryText,
} from "../../../../src/backends/mittwald/normalise.ts";
import { mittwaldPlanner } from "../../../../src/backends/mittwald/planner.ts";
import { serviceSchema } from "../../../../src/backends/mittwald/types.ts";
import {
  bodyOf,
  FIELDS,
  wantedSettings,
  type Change,
  type MittwaldConfig,
} from "../../../../src/backends/mittwald/wire.ts";
import { startMittwald } from "../../../../src/simulators/mittwald/index.ts";

type Spec = DesiredContainer["spec"];

function desired(spec: Partial<Spec> = {}, name = "web"): DesiredContainer {
  const full: Spec = { deviceRef: { name: "stack" }, image: "docker.io/library/nginx:1.27", ...spec };
  const env = (spec.env ?? []).map(({ name: variable, value = "" }) => ({ name: variable, value }));
  return {
    name,
    image: full.image ?? "",
    state: full.desiredState === "Stopped" ? "Stopped" : "Running",
    env,
    spec: full,
  };
}

function observed(service: object, rest: Partial<MittwaldConfig> = {}): ObservedContainer {
  const parsed = serviceSchema.parse({
    id: "id-1",
    stackId: "s",
    projectId: "p",
    serviceName: "web",
    description: "web",
    status: "running",
    statusSetAt: "2026-01-01T00:00:00.000Z",
    requiresRecreate: false,
    pendingState: { image: "library/nginx:1.27" },
    deployedState: { image: "library/nginx:1.27", imageDigest: "sha256:a" },
    ...service,
  });
  const config: MittwaldConfig = { service: parsed, ...rest };
  return {
    externalId: parsed.id,
    name: parsed.serviceName,
    image: parsed.pendingState.image,
    state: "Running",
    runs: [],
    stateSinceMs: 0,
    hostPorts: [],
    config,
  };
}

const paths = (wanted: DesiredContainer, seen: ObservedContainer, applied: string[] = []): string[] =>
  mittwaldPlanner.diff(wanted, seen, applied).map(({ path }) => path);
const payload = (wanted: DesiredContainer, seen: ObservedContainer, applied: string[] = []): Change => {
  const action = mittwaldPlanner.update(wanted, seen, applied);
  if (action.kind !== "Update") throw new Error(action.kind);
  return action.payload as Change;
};

describe("what the vendor writes otherwise is the same", () => {
  test.each([
    ["docker.io/library/nginx:1.27", "library/nginx:1.27"],
    ["index.docker.io/library/nginx", "nginx:latest"],
    ["docker.io/org/app:1", "org/app:1"],
    ["ghcr.io/org/app@sha256:ab", "ghcr.io/org/app@sha256:ab"],
    ["localhost:5000/app", "localhost:5000/app:latest"],
  ])("image %s is %s", (one, other) => {
    expect(canonicalImage(one)).toBe(canonicalImage(other));
  });
  test.each([
    ["80:80/tcp", "80"],
    ["80/TCP", " 80/tcp"],
  ])("port %s is %s", (one, other) => {
    expect(canonicalPort(one)).toBe(canonicalPort(other));
  });
  test("but a remapped port stays one, and a mount is no other", () => {
    expect(canonicalPort("8080:80/tcp")).toBe("8080:80/tcp");
    expect(canonicalMount(" data : /x/ ")).toBe("data:/x");
    expect(canonicalMount("data:/")).toBe("data:/");
  });
  test.each([
    ["512mb", 512 * 2 ** 20],
    ["512m", 512 * 2 ** 20],
    ["1g", 2 ** 30],
    ["1024", 1024],
    ["1.5gb", 1.5 * 2 ** 30],
    ["much", undefined],
  ])("memory %s is %s bytes", (text, bytes) => {
    expect(memoryBytes(text)).toBe(bytes);
  });
  test("bytes go to text and back, in the vendor's own form", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 45 }), (bytes) => {
        expect(memoryText(bytes)).toMatch(/^[0-9]+(mb|m|b|gb|g|kb|k)$/);
        expect(memoryBytes(memoryText(bytes))).toBe(bytes);
      }),
    );
    expect([cpuText(0.5), cpuText(2), cpuText(0.1), cpuText(10)]).toEqual(["0.5", "2", "0.1", "10"]);
  });
});

describe("the mark", () => {
  const part = fc.string({ minLength: 1, maxLength: 40, unit: "grapheme" });
  test("comes back whole, whatever is in it and whatever people write before it", () => {
    fc.assert(
      fc.property(part, part, part, part, fc.string(), (owner, namespace, name, operation, words) => {
        const mark = { owner, namespace, name, operation };
        const text = markText(mark, "svc", words);
        expect(readMarker(text, "svc")).toEqual({ ...mark, uid: "", hash: "" });
        // Marked again it is one mark still.
        expect(readMarker(markText({ ...mark, operation: "next" }, "svc", text), "svc")?.operation).toBe("next");
      }),
    );
  });
  test.each([
    "web",
    "web [drayage:o/n/web/op-1]",
    "web [drayage:o/n/web//op-1",
    "web [drayage:o/n/web//op-1] and more",
    "web [drayage://n/web//op]",
    "web [drayage:%zz/n/web//op]",
  ])("is not read into %s", (text) => {
    expect(readMarker(text, "web")).toBeUndefined();
  });
  test("is none for a service of another name, and short", () => {
    const text = markText({ owner: "o", namespace: "n", name: "web", operation: "op" }, "web");
    expect(text).toBe("web [drayage:o/n/web//op]");
    expect(readMarker(text, "copy")).toBeUndefined();
  });
});

describe("the four kinds of drift", () => {
  test("of the spec: only what is set now, or was applied, counts", () => {
    const service = { pendingState: { image: "nginx:1.27", envs: { A: "1" }, ports: ["80/tcp"] } };
    expect(paths(desired(), observed(service))).toEqual([]);
    expect(paths(desired(), observed(service), ["env"])).toEqual(["env"]);
    expect(paths(desired({ env: [{ name: "A", value: "1" }] }), observed(service), ["env"])).toEqual([]);
    expect(payload(desired({ ports: [{ containerPort: 81 }] }), observed(service))).toEqual({
      change: "Patch",
      body: { ports: ["81/tcp"] },
      volumes: [],
    });
  });
  test("of the rollout: recreated where it is to run, not woken where it is stopped, and left for a restart on request", () => {
    const seen = observed({ requiresRecreate: true });
    expect(paths(desired(), seen)).toEqual(["rollout"]);
    expect(payload(desired(), seen)).toEqual({ change: "Recreate" });
    expect(
      paths(desired({ desiredState: "Stopped" }), observed({ requiresRecreate: true, status: "stopped" })),
    ).toEqual([]);
    const later = desired({ updateStrategy: { type: "OnDelete" } });
    expect(paths(later, seen)).toEqual([]);
    expect(mittwaldPlanner.restart?.(later, seen)).toMatchObject({ payload: { change: "Recreate" } });
  });
  test("of a service that is on its way waits, unless it is on its way to something else", () => {
    const effects = (service: object, rest: Partial<MittwaldConfig> = {}): string[] =>
      mittwaldPlanner
        .diff(desired(), observed({ requiresRecreate: true, ...service }, rest), [])
        .map(({ effect }) => effect);
    expect(effects({ status: "starting" })).toEqual(["Wait"]);
    expect(effects({ status: "a new word" })).toEqual(["Wait"]);
    expect(effects({ status: "starting" }, { isOutrun: true })).toEqual(["Update"]);
    expect(effects({ status: "error" })).toEqual(["Update"]);
    expect(effects({ status: "stopped" }, { isUnmoved: true })).toEqual(["Wait"]);
  });
  test("of the image: only with imagePullPolicy Always, and never for a digest", () => {
    const seen = observed({}, { latestDigest: "sha256:b" });
    expect(paths(desired(), seen)).toEqual([]);
    expect(paths(desired({ imagePullPolicy: "Always" }), seen)).toEqual(["imagePullPolicy"]);
    expect(payload(desired({ imagePullPolicy: "Always" }), seen)).toEqual({ change: "Pull" });
    const pinned = "docker.io/library/nginx@sha256:0000000000000000000000000000000000000000000000000000000000000000";
    const same = observed({ pendingState: { image: pinned } }, { latestDigest: "sha256:b" });
    expect(paths(desired({ image: pinned, imagePullPolicy: "Always" }), same)).toEqual([]);
  });
  test("of the run state: nothing but stopped counts as stopped", () => {
    const stop = { signal: "SIGTERM", timeoutSeconds: 1, force: true };
    expect(mittwaldPlanner.stop(observed({ status: "stopped" }), stop)).toBeUndefined();
    for (const status of ["running", "stopping", "creating", "starting", "error", "new"])
      expect(mittwaldPlanner.stop(observed({ status }), stop)).toMatchObject({ kind: "Stop" });
  });
  test("image defaults that the vendor fills in are what an emptied field asks for", () => {
    const filled = { pendingState: { image: "nginx:1.27", entrypoint: ["/e"], command: ["serve"] } };
    expect(paths(desired(), observed(filled), ["command", "args"])).toEqual(["command", "args"]);
    expect(payload(desired(), observed(filled), ["command"])).toMatchObject({ body: { entrypoint: [] } });
    const known = observed(filled, { defaults: { entrypoint: ["/e"], command: ["serve"] } });
    expect(paths(desired(), known, ["command", "args"])).toEqual([]);
  });
  test("one limit that has left the spec goes, and the other one stays", () => {
    const limited = { deploy: { resources: { limits: { cpus: "0.50", memory: "64mb" } } } };
    const wanted = desired({ resources: { limits: { cpu: "500m" } } });
    const applied = ["resources.limits.cpu", "resources.limits.memory"];
    expect(paths(wanted, observed(limited), applied)).toEqual(["resources.limits.memory"]);
    expect(payload(wanted, observed(limited), applied)).toMatchObject({
      body: { deploy: { resources: { limits: { cpus: "0.5" } } } },
    });
  });
});

describe("refused before anything is sent, with the field", () => {
  const refused: [Partial<Spec>, string][] = [
    [{ desiredState: "Paused" }, "desiredState"],
    [{ imagePullPolicy: "Never" }, "imagePullPolicy"],
    [{ ports: [{ containerPort: 80, hostPort: 8080 }] }, "ports[0].hostPort"],
    [{ ports: [{ containerPort: 80, hostPort: 80, hostPortEnd: 90 }] }, "ports[0].hostPortEnd"],
    [{ ports: [{ containerPort: 80, hostPort: 80, hostIP: "127.0.0.1" }] }, "ports[0].hostIP"],
    [{ ports: [{ containerPort: 80, protocol: "HTTPS" }] }, "ports[0].protocol"],
    [{ ports: [{ containerPort: 80 }, { containerPort: 80 }] }, "ports[1].containerPort"],
    [{ volumes: [{ hostPath: "/etc", mountPath: "/x" }] }, "volumes[0].hostPath"],
    [{ volumes: [{ volumeName: "d", mountPath: "/x" }] }, "volumes[0].volumeName"],
    [{ volumes: [{ volumeName: "data", mountPath: "/x:ro" }] }, "volumes[0].mountPath"],
    [{ volumes: [{ volumeName: "data", mountPath: "/x", readOnly: true }] }, "volumes[0].readOnly"],
    [{ resources: { limits: { memory: "1.5" } } }, "resources.limits.memory"],
    [{ resources: { reservations: { memory: "1Mi" } } }, "resources.reservations"],
    [{ restartPolicy: { type: "OnFailure", maxRetries: 3 } }, "restartPolicy.maxRetries"],
    [{ updateStrategy: { type: "InPlaceOnly" } }, "updateStrategy.type"],
    [{ securityContext: { privileged: true } }, "securityContext.privileged"],
    [{ network: { mode: "Host" } }, "network.mode"],
    [{ backendOptions: { hiveon: { reRent: "Never" } } }, "backendOptions.hiveon"],
    [
      { backendOptions: { mittwald: { ingresses: [{ hostname: "a.example", containerPort: 80 }] } } },
      "backendOptions.mittwald.ingresses",
    ],
    [{ env: [{ name: "1A", value: "x" }] }, "env"],
    [{ env: [{ name: "A", value: "a\0hunter22" }] }, "env"],
  ];
  test.each(refused)("%j", (spec, path) => {
    const problems = mittwaldPlanner.validate(desired(spec)).filter(({ kind }) => kind !== "Ignored");
    expect(problems.map((problem) => problem.path)).toEqual([path]);
    expect(JSON.stringify(problems)).not.toContain("hunter22");
  });
  test.each(["x", "Web", "-web", "a".repeat(64)])("the name %s", (name) => {
    expect(mittwaldPlanner.validate(desired({}, name))).toMatchObject([{ path: "name", kind: "Invalid" }]);
  });
});

test("nothing that the vendor echoes is drift, whatever was declared and however it is echoed", async () => {
  const vendor = await startMittwald();
  try {
    const [project] = vendor.platform.projects();
    if (project === undefined) throw new Error("no project");
    const word = fc.string({ unit: fc.constantFrom("a", "b", " ", "-", "/", "=", "$", '"', "'", "é"), maxLength: 8 });
    const spec = fc.record(
      {
        image: fc.constantFrom(
          "docker.io/library/nginx",
          "docker.io/org/app:1",
          "ghcr.io/org/app:2",
          "index.docker.io/library/redis:7",
        ),
        command: fc.array(word, { minLength: 1, maxLength: 3 }),
        args: fc.array(word, { minLength: 1, maxLength: 3 }),
        env: fc.uniqueArray(fc.record({ name: fc.stringMatching(/^[A-Z]{1,4}$/), value: fc.string() }), {
          selector: ({ name }) => name,
          maxLength: 5,
        }),
        ports: fc.uniqueArray(
          fc.record({ containerPort: fc.integer({ min: 1, max: 65_535 }), protocol: fc.constantFrom("TCP", "UDP") }),
          { selector: ({ containerPort }) => containerPort, maxLength: 4 },
        ),
        volumes: fc.uniqueArray(
          fc.record({
            volumeName: fc.stringMatching(/^[a-z]{2,5}$/),
            mountPath: fc.stringMatching(/^\/[a-z]{1,5}\/?$/),
          }),
          { selector: ({ mountPath }) => mountPath, maxLength: 3 },
        ),
        restartPolicy: fc.record({ type: fc.constantFrom("Always", "UnlessStopped", "OnFailure", "No") }),
        resources: fc.record({
          limits: fc.record(
            {
              cpu: fc.oneof(
                fc.integer({ min: 1, max: 8 }),
                fc.integer({ min: 1, max: 9000 }).map((milli) => `${milli}m`),
              ),
              memory: fc.oneof(
                fc.integer({ min: 1, max: 4096 }).map((count) => `${count}Mi`),
                fc.integer({ min: 1, max: 2 ** 31 }).map(String),
                fc.integer({ min: 1, max: 999 }).map((count) => `${count}M`),
              ),
            },
            { requiredKeys: [] },
          ),
        }),
      },
      { requiredKeys: ["image"] },
    );
    let count = 0;
    fc.assert(
      fc.property(spec, fc.constantFrom("short", "long", "given"), fc.boolean(), (given, portsEcho, libraryPrefix) => {
        Object.assign(vendor.quirks, { portsEcho, libraryPrefix });
        const wanted = desired(given as Partial<Spec>, `web-${count++}`);
        expect(mittwaldPlanner.validate(wanted)).toEqual([]);
        const applied = mittwaldPlanner.paths(wanted);
        const isSet = (field: (typeof FIELDS)[number]): boolean =>
          field === "image" || given[field as keyof typeof given] !== undefined;
        const fields = FIELDS.filter(
          (field) =>
            isSet(field) ||
            (field === "entrypoint" && given.command !== undefined) ||
            (field === "command" && given.args !== undefined) ||
            (field === "environment" && given.env !== undefined) ||
            ((field === "cpus" || field === "memory") && given.resources?.limits !== undefined),
        );
        vendor.human.create(
          project.id,
          wanted.name,
          JSON.parse(JSON.stringify(bodyOf(wantedSettings(wanted), fields))),
        );
        const body = vendor.platform.stack(project.id).containers.get(wanted.name)?.body();
        const service = serviceSchema.parse(body);
        vendor.human.remove(`${project.id}/${wanted.name}`);
        const seen = { ...observed({}), name: wanted.name, config: { service } };
        expect(paths(wanted, seen, applied)).toEqual([]);
      }),
      { numRuns: 200 },
    );
  } finally {
    await vendor.stop();
  }
});
