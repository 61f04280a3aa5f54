import { describe, expect, test } from "vitest";
import { alponPlanner } from "../../../../src/backends/alpon/index.ts";
import { ownName } from "../../../../src/backends/alpon/wire.ts";
import type { DesiredContainer, ObservedContainer } from "../../../../src/backends/contract.ts";

type Spec = Partial<DesiredContainer["spec"]>;
function desired(spec: Spec = {}, env: DesiredContainer["env"] = [], name = "web"): DesiredContainer {
  return {
    name,
    image: spec.image ?? "docker.io/library/nginx:1",
    state: spec.desiredState ?? "Running",
    env,
    spec: { deviceRef: { name: "d" }, ...spec },
  };
}
function observed(config: object, name = "web"): ObservedContainer {
  return { externalId: name, name, image: "", state: "Running", runs: [], stateSinceMs: 0, hostPorts: [], config };
}
const EMPTY = {
  image: "nginx:1",
  environments: {},
  ports: [],
  volumes: [],
  hostNetwork: false,
  privileged: false,
};

describe("validation names the field and the fix", () => {
  const cases: [string, Spec, string, RegExp][] = [
    [
      "a port below the range",
      { ports: [{ containerPort: 80, hostPort: 29_999 }] },
      "ports[0].hostPort",
      /30000 to 32767/,
    ],
    ["a port above it", { ports: [{ containerPort: 80, hostPort: 32_768 }] }, "ports[0].hostPort", /instead of 32768/],
    ["UDP", { ports: [{ containerPort: 53, hostPort: 30_053, protocol: "UDP" }] }, "ports[0].protocol", /TCP/],
    [
      "a range",
      { ports: [{ containerPort: 53, hostPort: 30_053, hostPortEnd: 30_060 }] },
      "ports[0].hostPortEnd",
      /one port/,
    ],
    [
      "one port twice",
      {
        ports: [
          { containerPort: 1, hostPort: 30_001 },
          { containerPort: 2, hostPort: 30_001, hostIP: "127.0.0.1" },
        ],
      },
      "ports[1].hostIP",
      /leave hostIP out/,
    ],
    [
      "ports on the host's network",
      { network: { mode: "Host" }, ports: [{ containerPort: 1, hostPort: 30_001 }] },
      "network.mode",
      /Bridge/,
    ],
    ["Paused", { desiredState: "Paused" }, "desiredState", /Running or Stopped/],
    ["a command", { command: ["sh"] }, "command", /ENTRYPOINT/],
    ["args", { args: ["-c"] }, "args", /CMD/],
    ["an EdgeRegistry", { registryRefs: [{ name: "a" }] }, "registryRefs", /Sixfab/],
    ["credentials", { imagePullSecrets: [{ name: "a" }] }, "imagePullSecrets", /Sixfab/],
    ["limits", { resources: { limits: { memory: "64Mi" } } }, "resources", /leave resources out/],
    ["a restart policy", { restartPolicy: { type: "No" } }, "restartPolicy", /Always/],
    ["a named volume", { volumes: [{ volumeName: "a", mountPath: "/a" }] }, "volumes[0].volumeName", /hostPath/],
    [
      "a read-only mount",
      { volumes: [{ hostPath: "/a", mountPath: "/a", readOnly: true }] },
      "volumes[0].readOnly",
      /leave readOnly out/,
    ],
    [
      "another vendor's options",
      { backendOptions: { hiveon: { reRent: "Always" } } },
      "backendOptions.hiveon",
      /leave/,
    ],
    ["adoption of a made-up name", { adoption: { policy: "ByName" } }, "adoption.policy", /spec.name/],
  ];
  test.each(cases)("%s", (_what, spec, path, message) => {
    const problems = alponPlanner.validate(desired(spec)).filter(({ kind }) => kind !== "Ignored");
    expect(problems.find((problem) => problem.path === path)?.message).toMatch(message);
  });

  test.each(["Web", "-web", "web.1", "x".repeat(51), ""])("the name %o", (name) => {
    expect(alponPlanner.validate(desired({}, [], name)).map(({ path }) => path)).toContain("name");
  });

  test("variables, whose values it does not show", () => {
    const problems = alponPlanner.validate(
      desired({}, [
        { name: "1ST", value: "a" },
        { name: "DRAYAGE_MARKER", value: "a" },
        { name: "NUL", value: "hunter22\0" },
      ]),
    );
    expect(problems).toHaveLength(3);
    expect(JSON.stringify(problems)).not.toContain("hunter22");
  });

  test("and lets a full spec pass", () => {
    const spec: Spec = {
      ports: [{ containerPort: 80, hostPort: 30_080 }],
      volumes: [{ hostPath: "/a", mountPath: "/b" }],
      securityContext: { privileged: true },
      restartPolicy: { type: "Always" },
    };
    expect(alponPlanner.validate(desired(spec, [{ name: "A", value: "1" }]))).toEqual([]);
  });
});

describe("differences", () => {
  test("are none where the meaning is the same", () => {
    const spec: Spec = {
      ports: [
        { containerPort: 2, hostPort: 30_002 },
        { containerPort: 1, hostPort: 30_001 },
      ],
    };
    const there = {
      ...EMPTY,
      ports: [
        { host: 30_001, container: 1 },
        { host: 30_002, container: 2 },
      ],
    };
    expect(alponPlanner.diff(desired(spec), observed(there), [])).toEqual([]);
  });

  test("never show values of variables, and count only what the spec means or meant", () => {
    const there = observed({ ...EMPTY, environments: { A: "hunter22" }, privileged: true });
    expect(alponPlanner.diff(desired(), there, [])).toEqual([]);
    const differences = alponPlanner.diff(desired(), there, ["env"]);
    expect(differences.map(({ path, effect }) => [path, effect])).toEqual([["env", "Update"]]);
    expect(JSON.stringify(differences)).not.toContain("hunter22");
  });

  test("of the name need another container", () => {
    expect(alponPlanner.diff(desired({}, [], "other"), observed(EMPTY), [])).toMatchObject([
      { path: "name", effect: "Recreate" },
    ]);
  });

  test("of what a list does not tell are unknown, and an update sends all of it", () => {
    const there = observed({ image: "nginx:1" });
    expect(alponPlanner.diff(desired({ securityContext: { privileged: true } }), there, [])).toEqual([]);
    expect(alponPlanner.conceals?.(there)).toBe(true);
    expect(alponPlanner.update(desired({ securityContext: { privileged: true } }), there, [])).toMatchObject({
      kind: "Update",
      payload: { environments: {}, ports: [], volumes: [], hostNetwork: false, privileged: true },
    });
  });
});

describe("the name of our own", () => {
  const of = (name: string, namespace = "default", owner = "owner") => ownName({ owner, namespace, name });
  test("is a label of at most 50 characters, stable, and another one for every other object", () => {
    const names = [
      of("web"),
      of("web", "other"),
      of("web", "default", "another"),
      of("web.1"),
      of("web-1"),
      of("x".repeat(253)),
      of("..."),
    ];
    for (const name of names) expect(name).toMatch(/^[a-z0-9]([-a-z0-9]{0,48}[a-z0-9])?$/);
    expect(new Set(names).size).toBe(names.length);
    expect(of("web")).toBe(of("web"));
  });
});
