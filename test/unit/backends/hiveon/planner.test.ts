import { describe, expect, test } from "vitest";
import type { DesiredContainer } from "../../../../src/backends/contract.ts";
import { hiveonPlanner } from "../../../../src/backends/hiveon/planner.ts";

type Spec = DesiredContainer["spec"];

const desired = (spec: Partial<Spec> = {}, over: Partial<DesiredContainer> = {}): DesiredContainer => ({
  name: "web",
  image: "registry.example/app:1",
  state: "Running",
  env: [],
  spec: { deviceRef: { name: "d" }, ...spec },
  ...over,
});

describe("validate refuses, with the field and the fix,", () => {
  const cases: [string, Partial<Spec>, RegExp][] = [
    ["desiredState", { desiredState: "Paused" }, /Running or Stopped/],
    ["name", { name: "other" }, /leave name out/],
    ["imagePullPolicy", { imagePullPolicy: "Always" }, /leave imagePullPolicy out/],
    ["command", { command: ["sh"] }, /startupScript/],
    ["args", { args: ["x"] }, /startupScript/],
    ["volumes", { volumes: [{ hostPath: "/a", mountPath: "/a" }] }, /leave volumes out/],
    ["resources", { resources: { limits: { memory: "1Gi" } } }, /whole machine/],
    ["restartPolicy", { restartPolicy: { type: "Always" } }, /reRent/],
    ["network", { network: { mode: "Host" } }, /leave network out/],
    ["securityContext", { securityContext: { privileged: true } }, /leave securityContext out/],
    ["devices", { devices: [{ hostPath: "/dev/x" }] }, /leave devices out/],
    ["adoption", { adoption: { policy: "ByName" } }, /leave adoption out/],
    ["ports[0].protocol", { ports: [{ containerPort: 53, hostPort: 53, protocol: "UDP" }] }, /TCP and HTTPS/],
    ["ports[0].containerPort", { ports: [{ containerPort: 80, hostPort: 8080 }] }, /containerPort: 8080/],
    ["ports[0].hostPortEnd", { ports: [{ containerPort: 80, hostPort: 80, hostPortEnd: 90 }] }, /one port/],
    ["ports[0].hostIP", { ports: [{ containerPort: 80, hostPort: 80, hostIP: "127.0.0.1" }] }, /leave hostIP out/],
    ["backendOptions.kanto", { backendOptions: { kanto: {} } }, /leave backendOptions.kanto out/],
    ["backendOptions.mittwald", { backendOptions: { mittwald: {} } }, /leave backendOptions.mittwald out/],
    [
      "backendOptions.hiveon.metadata.drayage_owner",
      { backendOptions: { hiveon: { metadata: { drayage_owner: "x" } } } },
      /choose another key/,
    ],
  ];
  test.each(cases)("%s", (path, spec, fix) => {
    const problems = hiveonPlanner.validate(desired(spec)).filter(({ kind }) => kind !== "Ignored");
    expect(problems).toMatchObject([{ path }]);
    expect(problems[0]?.message).toMatch(fix);
  });
});

test("validate takes every field that a rental has, what equals the default, and at most 100 ports", () => {
  const ports = (count: number) =>
    Array.from({ length: count }, (_, index) => ({ containerPort: index + 1, hostPort: index + 1 }));
  const full: Partial<Spec> = {
    desiredState: "Running",
    ports: ports(100),
    sshPublicKeys: ["ssh-ed25519 A"],
    network: { mode: "Bridge" },
    securityContext: { privileged: false },
    volumes: [],
    backendOptions: { hiveon: { reRent: "Always", metadata: { a: "b" } } },
  };
  expect(hiveonPlanner.validate(desired(full))).toEqual([]);
  expect(hiveonPlanner.validate(desired({ ports: ports(101) }))).toMatchObject([{ path: "ports", kind: "Invalid" }]);
});

test("cosmetic fields are only listed", () => {
  const problems = hiveonPlanner.validate(
    desired({ tty: true, logging: { maxFiles: 1 }, stop: { timeoutSeconds: 1 }, ports: [{ containerPort: 80 }] }),
  );
  expect(problems.map(({ path, kind }) => [path, kind])).toEqual([
    ["logging", "Ignored"],
    ["tty", "Ignored"],
    ["stop", "Ignored"],
    ["ports", "Ignored"],
  ]);
});

test("identity knows what needs another rental, and neither the order of things nor the registry's login", () => {
  const one = hiveonPlanner.identity(
    desired(
      {
        ports: [
          { containerPort: 80, hostPort: 80 },
          { containerPort: 443, hostPort: 443, protocol: "HTTPS" },
        ],
      },
      {
        env: [
          { name: "A", value: "1" },
          { name: "B", value: "2" },
        ],
      },
    ),
  );
  const other = hiveonPlanner.identity(
    desired(
      {
        ports: [
          { containerPort: 443, hostPort: 443, protocol: "HTTPS" },
          { containerPort: 80, hostPort: 80, protocol: "TCP" },
        ],
      },
      {
        env: [
          { name: "B", value: "2" },
          { name: "A", value: "1" },
        ],
        registryAuth: { server: "s", username: "u", password: "p" },
      },
    ),
  );
  expect(other).toEqual(one);
  for (const changed of [
    desired({}, { image: "registry.example/app:2" }),
    desired({}, { startupScript: "x" }),
    desired({}, { env: [{ name: "A", value: "1" }] }),
    desired({ sshPublicKeys: ["k"] }),
  ])
    expect(hiveonPlanner.identity(changed)).not.toEqual(hiveonPlanner.identity(desired()));
});
