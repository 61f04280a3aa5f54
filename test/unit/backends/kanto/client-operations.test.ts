/** What may be sent by hand: every operation of the vendor's pages, and nothing that the daemon would fall over or silently twist. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { requestPayload } from "../../../../src/backends/kanto/envelope.ts";
import { meaningOf } from "../../../../src/backends/kanto/client/meaning.ts";
import {
  OPERATION_NAMES,
  OPERATIONS,
  parseCall,
  patienceMs,
  wireOperation,
  type Call,
  type OperationName,
} from "../../../../src/backends/kanto/client/operations.ts";
import {
  parseCreate,
  parseCreateWithConfig,
  parseRemove,
  parseRename,
  parseStopOptions,
  parseUpdate,
} from "../../../../src/simulators/kanto/arguments.ts";

const THING = "edge:device:edge:containers";
const IMAGE = "docker.io/library/influxdb:1.8.4";

/** The examples of the vendor's pages, corrected where the pages are wrong. */
const EXAMPLES: Readonly<Record<OperationName, unknown>> = {
  create: { imageRef: "docker.io/library/hello-world:latest", start: true },
  createWithConfig: {
    imageRef: IMAGE,
    name: "influx",
    start: true,
    config: {
      domainName: "",
      hostName: "",
      env: ["A=1", "B"],
      cmd: ["sleep", "1"],
      privileged: false,
      extraHosts: ["ctrhost:host_ip"],
      extraCapabilities: ["CAP_NET_ADMIN"],
      networkMode: "bridge",
      openStdin: false,
      tty: false,
      mountPoints: [{ source: "/a", destination: "/b", propagationMode: "RPRIVATE" }],
      decryption: { keys: ["/k"], recipients: [] },
      devices: [{ pathOnHost: "/dev/a", pathInContainer: "/dev/b", cgroupPermissions: "rwm" }],
      restartPolicy: { type: "unless-stopped", maxRetryCount: 0, retryTimeout: 0 },
      portMappings: [{ proto: "tcp", containerPort: 80, hostIP: "0.0.0.0", hostPort: 5000, hostPortEnd: 5005 }],
      log: {
        type: "json-file",
        maxFiles: 2,
        maxSize: "100M",
        rootDir: "",
        mode: "NON_BLOCKING",
        maxBufferSize: "1M",
      },
      resources: { memory: "64M", memoryReservation: "32M", memorySwap: "-1" },
    },
  },
  start: {},
  stop: {},
  stopWithOptions: { signal: "SIGINT", timeout: 30, force: true },
  pause: {},
  resume: {},
  rename: "new_container_name",
  update: {
    restartPolicy: { type: "on-failure", maxRetryCount: 3, retryTimeout: 10 },
    resources: { memory: "500M", memoryReservation: "300M", memorySwap: "1G" },
  },
  remove: true,
};

/** How the daemon reads each value; written apart from the client, in the simulator. */
const READERS: Readonly<Record<OperationName, (value: unknown) => unknown>> = {
  create: parseCreate,
  createWithConfig: parseCreateWithConfig,
  start: () => undefined,
  stop: () => undefined,
  stopWithOptions: parseStopOptions,
  pause: () => undefined,
  resume: () => undefined,
  rename: parseRename,
  update: parseUpdate,
  remove: parseRemove,
};

const containerOf = (operation: OperationName): string | undefined =>
  OPERATIONS[operation].of === "container" ? "4983" : undefined;

function parsed(operation: OperationName, value: unknown = EXAMPLES[operation]): Call {
  const result = parseCall(operation, containerOf(operation), value);
  if ("problems" in result) throw new Error(result.problems.join("; "));
  return result.call;
}

function problems(operation: OperationName, value: unknown, container = containerOf(operation)): string {
  const result = parseCall(operation, container, value);
  return "problems" in result ? result.problems.join("; ") : "none";
}

test("the ten operations of the vendor's two pages are there", () => {
  expect(OPERATION_NAMES).toEqual([
    "create",
    "createWithConfig",
    "start",
    "stop",
    "stopWithOptions",
    "pause",
    "resume",
    "rename",
    "update",
    "remove",
  ]);
});

describe.each(OPERATION_NAMES)("%s", (operation) => {
  test("takes the vendor's example, and puts it into the envelope as it is", () => {
    const wire = wireOperation(parsed(operation));
    const feature = OPERATIONS[operation].of === "factory" ? "ContainerFactory" : "Container:4983";
    expect(wire).toEqual({ feature, operation, value: EXAMPLES[operation] });
    const envelope = JSON.parse(requestPayload(THING, "id-1", wire)) as Record<string, unknown>;
    expect(envelope).toMatchObject({
      topic: `edge/device:edge:containers/things/live/messages/${operation}`,
      path: `/features/${feature}/inbox/messages/${operation}`,
      value: EXAMPLES[operation],
    });
  });

  test("is for a container, or makes one", () => {
    const wrong = OPERATIONS[operation].of === "factory" ? "4983" : undefined;
    const result = parseCall(operation, wrong, EXAMPLES[operation]);
    expect("problems" in result && result.problems.join()).toContain("container");
  });

  test("with any part of its value replaced by anything: refused here, or read by the daemon without a word", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 2 }), fc.nat(), (replacement, seed) => {
        const value = replaceOne(EXAMPLES[operation], replacement, seed);
        const result = parseCall(operation, containerOf(operation), value);
        // A wrong type is a 400, and a null in a list of objects the end of the process: the reader throws for both.
        if ("call" in result) READERS[operation](result.call.value);
      }),
      { numRuns: 300 },
    );
  });
});

/** A copy of a JSON value with one node, chosen by a number, replaced. */
function replaceOne(value: unknown, replacement: unknown, seed: number): unknown {
  const entries = typeof value === "object" && value !== null ? Object.entries(value) : [];
  const index = seed % (entries.length + 1);
  const entry = entries[index];
  if (entry === undefined) return replacement;
  const [key, child] = entry;
  const next = replaceOne(child, replacement, Math.floor(seed / (entries.length + 1)));
  return Array.isArray(value)
    ? value.map((item: unknown, at) => (String(at) === key ? next : item))
    : { ...(value as object), [key]: next };
}

describe("what the daemon would twist or ignore is refused, with the place and the fix", () => {
  test.each<[OperationName, unknown, string]>([
    ["create", { imageRef: "nginx" }, "value.imageRef: must be an image with registry"],
    ["create", { imageRef: IMAGE, name: "x" }, 'Unrecognized key: "name"'],
    ["create", undefined, "create needs a value"],
    ["createWithConfig", { imageRef: IMAGE, name: "-x" }, "value.name: must be letters"],
    ["createWithConfig", { imageRef: IMAGE, config: { extraCaps: [] } }, 'Unrecognized key: "extraCaps"'],
    ["createWithConfig", { imageRef: IMAGE, config: { env: ["1A=b"] } }, "value.config.env.0: must be NAME=value"],
    ["createWithConfig", { imageRef: IMAGE, config: { env: ["A=b\nc"] } }, "value.config.env.0: must be NAME=value"],
    ["createWithConfig", { imageRef: IMAGE, config: { mountPoints: [null] } }, "value.config.mountPoints.0"],
    [
      "createWithConfig",
      { imageRef: IMAGE, config: { mountPoints: [{ source: "/a", destination: "/b", propagationMode: "rshared" }] } },
      "value.config.mountPoints.0.propagationMode",
    ],
    [
      "createWithConfig",
      { imageRef: IMAGE, config: { portMappings: [{ hostPort: 1, containerPort: 1, proto: "xyz" }] } },
      "value.config.portMappings.0.proto",
    ],
    ["createWithConfig", { imageRef: IMAGE, config: { restartPolicy: {} } }, "value.config.restartPolicy.type"],
    ["stopWithOptions", { signal: "SIGFOO" }, "value.signal: must be a signal"],
    ["stopWithOptions", { timeout: -1 }, "value.timeout"],
    ["stopWithOptions", { timeout: 1.5 }, "value.timeout"],
    ["rename", "", "value: must be letters"],
    ["rename", undefined, "rename needs a value"],
    ["update", {}, "must hold restartPolicy, resources, or both"],
    ["update", { resources: { memory: "4194304B" } }, "value.resources.memory: must be a size with a suffix K, M or G"],
    ["update", { resources: { memorySwap: "-2" } }, 'or "-1" for no limit'],
    [
      "update",
      { restartPolicy: { type: "always", maxRetryCount: 1 } },
      "maxRetryCount counts only with type ON_FAILURE",
    ],
    ["remove", null, "value"],
    ["remove", { force: true }, "value"],
    ["start", { at: "once" }, 'Unrecognized key: "at"'],
  ])("%s %j", (operation, value, says) => {
    expect(problems(operation, value)).toContain(says);
  });

  test("an id that no topic can carry", () => {
    expect(problems("start", {}, "a/b")).toContain("the id of a container holds no /");
  });

  test("no message repeats a value, which may be secret", () => {
    const value = { imageRef: IMAGE, config: { env: ["TOKEN=s3cr3t\nvalue", "1=s3cr3t"], cmd: [5] } };
    expect(problems("createWithConfig", value)).not.toContain("s3cr3t");
  });
});

test("operations that need no value have one, and removal is gentle unless told otherwise", () => {
  for (const operation of OPERATION_NAMES) {
    const result = parseCall(operation, containerOf(operation), undefined);
    const needs = ["create", "createWithConfig", "rename", "update"].includes(operation);
    expect("problems" in result, operation).toBe(needs);
  }
  expect(parseCall("remove", "4983", undefined)).toEqual({
    call: { operation: "remove", container: "4983", value: false },
  });
});

test.each<[OperationName, unknown, number]>([
  ["create", EXAMPLES.create, 1_800_000],
  ["createWithConfig", EXAMPLES.createWithConfig, 1_800_000],
  ["start", {}, 60_000],
  ["stop", {}, 90_000],
  ["stopWithOptions", {}, 90_000],
  ["stopWithOptions", { timeout: 10 }, 70_000],
  ["stopWithOptions", { timeout: 10, force: true }, 80_000],
  ["pause", {}, 60_000],
  ["resume", {}, 60_000],
  ["rename", "x", 60_000],
  ["update", EXAMPLES.update, 60_000],
  ["remove", false, 60_000],
  ["remove", true, 120_000],
])("%s %j is given as long as the daemon may take", (operation, value, ms) => {
  expect(patienceMs(parsed(operation, value), 60_000, 1_800_000)).toBe(ms);
});

test.each<[OperationName, number, string, RegExp]>([
  ["stop", 500, "could not stop container with ID = x with SIGTERM", /ignores SIGTERM.*stopWithOptions with force/],
  ["stop", 500, "cannot perform stop operation for container: x, with state: Exited", /already so/],
  ["start", 400, "feature [Container:x] not found ", /no such container/],
  ["start", 500, "Bind for 0.0.0.0:80 failed: port is already allocated", /host port/],
  ["start", 500, "the container with id = x is paused - cannot start it", /another state/],
  ["create", 500, 'failed to resolve reference "x": not found', /ErrImagePull/],
  ["update", 500, "minimum memory allowed is 3M", /does not take this value \(resources\)/],
  ["rename", 500, "something new", /may work later/],
])("%s answered %i %j is explained", (operation, status, message, means) => {
  expect(meaningOf(parsed(operation), status, message)).toMatch(means);
});
