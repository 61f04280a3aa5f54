import { describe, expect, test } from "vitest";
import { kantoPlanner } from "../../../../src/backends/kanto/index.ts";
import { observed, wanted } from "./wanted.ts";

const paths = (differences: readonly { path: string; effect: string }[]): string[] =>
  differences.map(({ path, effect }) => `${path} ${effect}`);

describe("diff", () => {
  test("a spec that asks for nothing differs from nothing", () => {
    expect(kantoPlanner.diff(wanted(), observed({ env: ["X=1"], tty: true, privileged: true }), [])).toEqual([]);
  });

  test.each([
    ["an image", wanted({}, { image: "registry.example/app/web:2" }), "image Recreate"],
    ["a name", wanted({}, { name: "other" }), "name Rename"],
    ["a restart policy", wanted({ restartPolicy: { type: "Always" } }), "restartPolicy Update"],
    ["a limit", wanted({ resources: { limits: { memory: "64Mi" } } }), "resources.limits.memory Update"],
    ["arguments", wanted({ args: ["a"] }), "args Recreate"],
    ["a host name", wanted({ network: { hostname: "h" } }), "network.hostname Recreate"],
    ["a port", wanted({ ports: [{ containerPort: 80, hostPort: 8080 }] }), "ports Recreate"],
    ["logging", wanted({ logging: { maxFiles: 3 } }), "logging.maxFiles Recreate"],
  ])("%s is found, with what it takes to mend it", (_what, desired, expected) => {
    expect(paths(kantoPlanner.diff(desired, observed(), []))).toEqual([expected]);
  });

  test("docker.io's short forms and the tag latest are the same image", () => {
    const container = observed({}, undefined, { imageRef: "docker.io/library/nginx:latest" });
    for (const image of [
      "docker.io/nginx",
      "docker.io/library/nginx",
      "docker.io/nginx:latest",
      "index.docker.io/library/nginx",
    ]) {
      expect(kantoPlanner.diff(wanted({}, { image }), container, []), image).toEqual([]);
    }
    expect(kantoPlanner.diff(wanted({}, { image: "docker.io/nginx:1" }), container, [])).toHaveLength(1);
  });

  test("values of the environment are never shown", () => {
    const desired = wanted({
      env: [
        { name: "TOKEN", value: "s3cret-new" },
        { name: "A", value: "1" },
      ],
    });
    const differences = kantoPlanner.diff(desired, observed({ env: ["TOKEN=s3cret-old", "A=1", "GONE=x"] }), []);
    expect(differences).toMatchObject([{ path: "env", effect: "Recreate" }]);
    const text = JSON.stringify(differences);
    expect(text).toContain("GONE, TOKEN");
    expect(text).not.toMatch(/s3cret|"A"/);
  });

  test("the order of the environment means nothing, and the last of two entries counts", () => {
    const desired = wanted({
      env: [
        { name: "A", value: "1" },
        { name: "B", value: "2" },
      ],
    });
    expect(kantoPlanner.diff(desired, observed({ env: ["B=2", "A=0", "A=1"] }), [])).toEqual([]);
  });

  test("a path that has left the spec is wanted at the daemon's default", () => {
    const container = observed({
      tty: true,
      env: ["A=1"],
      resources: { memory: "64M", memorySwap: "128M" },
      hostName: "h",
    });
    expect(
      paths(kantoPlanner.diff(wanted(), container, ["tty", "env", "resources.limits.memory", "network.hostname"])),
    ).toEqual(["env Recreate", "resources.limits.memory Update", "network.hostname Recreate", "tty Recreate"]);
  });

  test("a host name made by the daemon survives a rename", () => {
    const container = observed({}, undefined, { name: "renamed" });
    expect(
      kantoPlanner.diff(wanted({}, { name: "renamed" }), container, ["network.hostname", "network.domainname"]),
    ).toEqual([]);
  });

  test("memorySwap: doubled when left out, absent when unlimited", () => {
    const limits = { memory: "64Mi" };
    const doubled = observed({ resources: { memory: "64M", memorySwap: "128M" } });
    const unlimited = observed({ resources: { memory: "64M" } });
    expect(kantoPlanner.diff(wanted({ resources: { limits } }), doubled, [])).toEqual([]);
    expect(kantoPlanner.diff(wanted({ resources: { limits, memorySwap: "Unlimited" } }), unlimited, [])).toEqual([]);
    expect(kantoPlanner.diff(wanted({ resources: { limits, memorySwap: "128Mi" } }), doubled, [])).toEqual([]);
    expect(paths(kantoPlanner.diff(wanted({ resources: { limits, memorySwap: "Unlimited" } }), doubled, []))).toEqual([
      "resources.memorySwap Update",
    ]);
  });

  test("a privileged container's capabilities are no difference", () => {
    const desired = wanted({ securityContext: { privileged: true, capabilities: { add: ["NET_ADMIN"] } } });
    expect(kantoPlanner.diff(desired, observed({ privileged: true }), [])).toEqual([]);
  });

  test("without output the sizes of its files are no difference, whatever the spec says of them", () => {
    const desired = wanted({ logging: { driver: "None", maxFiles: 7, maxSize: "1Mi" } });
    const container = observed({ log: { type: "NONE", mode: "BLOCKING" } });
    expect(kantoPlanner.diff(desired, container, kantoPlanner.paths(desired))).toEqual([]);
  });

  test("keys of an encrypted image are compared and never shown", () => {
    const spec = { backendOptions: { kanto: { decryption: { keys: [{ name: "s", key: "k" }] } } } };
    const desired = wanted(spec, { decryption: { keys: ["/keys/k.pem:s3cret"], recipients: [] } });
    expect(kantoPlanner.diff(desired, observed({ decryption: { keys: ["/keys/k.pem:s3cret"] } }), [])).toEqual([]);
    const differences = kantoPlanner.diff(desired, observed({ decryption: { keys: ["/keys/k.pem:old"] } }), []);
    expect(paths(differences)).toEqual(["backendOptions.kanto.decryption Recreate"]);
    expect(JSON.stringify(differences)).not.toMatch(/s3cret|old|\/keys/);
    const left = kantoPlanner.diff(wanted(), observed({ decryption: { keys: ["/k"] } }), kantoPlanner.paths(desired));
    expect(paths(left)).toEqual(["backendOptions.kanto.decryption Recreate"]);
  });

  test("in mode Host the device's own host name is no difference", () => {
    const desired = wanted({ network: { mode: "Host", hostname: "h" } });
    expect(kantoPlanner.diff(desired, observed({ networkMode: "HOST", hostName: "the-device" }), [])).toEqual([]);
  });

  describe("the policy that a container is held at", () => {
    const always = { restartPolicy: { type: "Always" } } as const;
    test("is no difference while it is to be stopped", () => {
      const held = observed({ restartPolicy: { type: "NO" } }, { status: "STOPPED" });
      expect(kantoPlanner.diff(wanted(always, { state: "Stopped" }), held, ["restartPolicy"])).toEqual([]);
    });

    test("is one when it is to run again, also where the spec says nothing of restarts", () => {
      const held = observed({ restartPolicy: { type: "NO" } }, { status: "STOPPED" });
      expect(paths(kantoPlanner.diff(wanted(always), held, []))).toEqual(["restartPolicy Update"]);
      expect(paths(kantoPlanner.diff(wanted(), held, []))).toEqual(["restartPolicy Update"]);
      expect(kantoPlanner.update(wanted(), held, [])).toMatchObject({
        payload: { restartPolicy: { type: "UNLESS_STOPPED" } },
      });
    });

    test("in a container without our marker it is somebody's choice", () => {
      const { marker: _marker, ...theirs } = observed({ restartPolicy: { type: "NO" } });
      expect(kantoPlanner.diff(wanted(), theirs, [])).toEqual([]);
    });
  });
});

describe("identity", () => {
  const identity = (...spec: Parameters<typeof wanted>): string =>
    JSON.stringify(kantoPlanner.identity(wanted(...spec)));

  test("does not move with what is changed in place", () => {
    const bare = identity();
    expect(identity({}, { name: "other" })).toBe(bare);
    expect(identity({ restartPolicy: { type: "Always" }, resources: { limits: { memory: "64Mi" } } })).toBe(bare);
    expect(identity({ stop: { timeoutSeconds: 5 }, driftPolicy: "Report" })).toBe(bare);
  });

  test("does not move when a default is written down", () => {
    expect(
      identity({
        network: { mode: "Bridge", hostname: "web-host", domainname: "web-domain" },
        tty: false,
        logging: { maxFiles: 2, maxSize: "100Mi" },
        args: [],
        backendOptions: { kanto: { decryption: {} } },
      }),
    ).toBe(identity());
  });

  test("moves with everything that needs a new container", () => {
    const seen = new Set([
      identity(),
      identity({}, { image: "registry.example/app/web:2" }),
      identity({ env: [{ name: "A", value: "1" }] }),
      identity({ env: [{ name: "A", value: "2" }] }),
      identity({ args: ["x"] }),
      identity({ ports: [{ containerPort: 80, hostPort: 80 }] }),
      identity({ volumes: [{ hostPath: "/a", mountPath: "/b" }] }),
      identity({ network: { hostname: "h" } }),
      identity({ securityContext: { privileged: true } }),
      identity({ tty: true }),
      identity({}, { decryption: { keys: ["/k"], recipients: [] } }),
      identity({}, { decryption: { keys: ["/k:p"], recipients: [] } }),
    ]);
    expect(seen.size).toBe(12);
  });
});
