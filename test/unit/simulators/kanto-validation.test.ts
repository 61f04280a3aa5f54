import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  parseCreateWithConfig,
  parseRemove,
  parseRename,
  parseStopOptions,
  parseUpdate,
} from "../../../src/simulators/kanto/arguments.ts";
import { fillDefaults, sizeToBytes } from "../../../src/simulators/kanto/defaults.ts";
import { errorValue } from "../../../src/simulators/kanto/errors.ts";
import { twinConfig } from "../../../src/simulators/kanto/twin.ts";
import { validateContainer, validateStopOptions } from "../../../src/simulators/kanto/validation.ts";

/** What becomes of a config: its read-back, or the error the wire would show. */
function created(config: unknown, name = "n"): Record<string, unknown> {
  try {
    const { spec } = parseCreateWithConfig({ imageRef: "r.test/i:1", name, config });
    const container = { id: "id", name: spec.name, config: spec.config };
    fillDefaults(container);
    validateContainer(container);
    return twinConfig(container.config);
  } catch (error) {
    return errorValue(error);
  }
}

describe("a value of a wrong type is 400 in Go's words", () => {
  test.each<[string, unknown, string]>([
    [
      "a port out of range",
      { portMappings: [{ hostPort: 70_000 }] },
      "json: cannot unmarshal number 70000 into Go struct field portMapping.config.portMappings.hostPort of type uint16",
    ],
    [
      "a fraction for a count",
      { log: { maxFiles: 1.5 } },
      "json: cannot unmarshal number 1.5 into Go struct field logConfiguration.config.log.maxFiles of type int",
    ],
    [
      "memory as a number",
      { resources: { memory: 64 } },
      "json: cannot unmarshal number into Go struct field resources.config.resources.memory of type string",
    ],
    [
      "a text for a list",
      { env: "A=1" },
      "json: cannot unmarshal string into Go struct field configuration.config.env of type []string",
    ],
    [
      "a number in a list of texts",
      { cmd: [1] },
      "json: cannot unmarshal number into Go struct field configuration.config.cmd of type string",
    ],
    [
      "an object for a flag",
      { tty: {} },
      "json: cannot unmarshal object into Go struct field configuration.config.tty of type bool",
    ],
    [
      "a number for an enumeration",
      { networkMode: 1 },
      "json: cannot unmarshal number into Go struct field configuration.config.networkMode of type things.networkMode",
    ],
    [
      "a list for a struct",
      { log: [] },
      "json: cannot unmarshal array into Go struct field configuration.config.log of type things.logConfiguration",
    ],
  ])("%s", (_what, config, message) => {
    expect(created(config)).toEqual({ error: "messages:parameter.invalid", status: 400, message });
  });

  test("a whole argument of the wrong type", () => {
    expect(() => parseRemove({})).toThrow("json: cannot unmarshal object into Go value of type bool");
    expect(() => parseRename(1)).toThrow("json: cannot unmarshal number into Go value of type string");
    expect(() => parseStopOptions({ timeout: "5" })).toThrow(
      "json: cannot unmarshal string into Go struct field stopOptions.timeout of type int64",
    );
    expect(() => parseStopOptions({ timeout: 1.5 })).toThrow("cannot unmarshal number 1.5");
    expect(() => parseUpdate([])).toThrow("json: cannot unmarshal array into Go value of type things.updateOptions");
  });

  test("null is the zero value, keys match in any case, unknown keys are ignored", () => {
    expect(parseRemove(null)).toBe(false);
    expect(
      created({ HOSTNAME: "h", domainname: "d", env: null, extraCaps: ["CAP_NET_ADMIN"], resources: null }),
    ).toEqual(created({ hostName: "h", domainName: "d" }));
  });
});

describe("a refused value is 500 with the daemon's text", () => {
  test.each<[unknown, string]>([
    [{ resources: { memory: "2.5M" } }, "minimum memory allowed is 3M"],
    [{ resources: { memory: "64MB" } }, "invalid format of memory - 64MB"],
    [{ resources: { memoryReservation: "x" } }, "invalid format of memory reservation - x"],
    [{ resources: { memorySwap: "-2" } }, "invalid format of swap memory - -2"],
    [{ resources: { memorySwap: "64M" } }, "swap memory - 64M, memory must be set as well"],
    [{ resources: { memory: "64M", memorySwap: "32M" } }, "swap memory - 32M is less than memory - 64M"],
    [
      { resources: { memory: "64M", memoryReservation: "65M" } },
      "reservation memory - 65M must be lower than memory - 64M",
    ],
    [{ networkMode: "Host" }, "unsupported network mode Host"],
    [
      { networkMode: "HOST", extraHosts: ["gw:host_ip_eth0"] },
      "cannot use the host_ip reserved key or any of its modifications when in host network mode",
    ],
    [{ restartPolicy: {} }, "unsupported restart policy type "],
    [
      { restartPolicy: { type: "UNLESS_STOPPED", maxRetryCount: 1 } },
      "cannot use max retry count when the restart policy is unless-stopped",
    ],
    [{ restartPolicy: { type: "ON_FAILURE", maxRetryCount: -1 } }, "restart policy max retry count cannot be negative"],
    [{ restartPolicy: { type: "ON_FAILURE", retryTimeout: -1 } }, "restart policy retry timeout cannot be negative"],
    [{ mountPoints: [{ source: "/a" }] }, "source and destination must be set for a mount point"],
    [
      { devices: [{ pathInContainer: "/dev/x" }] },
      "both path on the host and in the container must be specified for a device mapping",
    ],
    [{ log: { type: "syslog" } }, "unsupported log driver configuration"],
    [{ log: { mode: "sometimes" } }, "unsupported log mode configuration"],
    [{ log: { maxFiles: -1 } }, "max log files cannot be < 1"],
    [{ log: { maxSize: "1" } }, "invalid format of max logs size - 1"],
    [{ log: { mode: "NON_BLOCKING", maxBufferSize: "1" } }, "invalid format of max buffer size - 1"],
    [{ env: ["A=1\nB=2"] }, "invalid environmental variable declaration provided : A=1\nB=2"],
  ])("%j", (config, message) => {
    expect(created(config)).toEqual({ error: "messages:execution.failed", status: 500, message });
  });

  test.each(["-a", ".a", "a b", "ä", "a/b"])("the name %j", (name) => {
    expect(created({}, name)).toMatchObject({ status: 500, message: `invalid container name format : ${name}` });
  });

  test("stop options", () => {
    expect(() => validateStopOptions({ timeoutS: -1, force: false, signal: "SIGTERM" })).toThrow(
      "the timeout = -1 shouldn't be negative",
    );
    expect(() => validateStopOptions({ timeoutS: 1, force: false, signal: "SIGFOO" })).toThrow(
      "invalid signal = SIGFOO",
    );
    expect(() => validateStopOptions({ timeoutS: 1, force: false, signal: "256" })).toThrow("invalid signal = 256");
    expect(() => validateStopOptions({ timeoutS: 1, force: false, signal: "9" })).not.toThrow();
  });
});

describe("what is read back", () => {
  test("defaults are filled, enumerations upper-case, zero values absent", () => {
    expect(created({})).toEqual({
      domainName: "n-domain",
      hostName: "n-host",
      restartPolicy: { type: "UNLESS_STOPPED" },
      networkMode: "BRIDGE",
      log: { type: "JSON_FILE", maxFiles: 2, maxSize: "100M", mode: "BLOCKING" },
    });
  });

  test.each<[string, unknown, Record<string, unknown>]>([
    [
      "a lower-case propagation mode silently becomes RPRIVATE",
      { mountPoints: [{ source: "/a", destination: "/b", propagationMode: "rslave" }] },
      { mountPoints: [{ source: "/a", destination: "/b", propagationMode: "RPRIVATE" }] },
    ],
    [
      "capabilities vanish from a privileged container",
      { privileged: true, extraCapabilities: ["CAP_SYS_ADMIN"] },
      { privileged: true },
    ],
    [
      "unlimited swap is stored as nothing",
      { resources: { memory: "64M", memorySwap: "-1" } },
      { resources: { memory: "64M" } },
    ],
    [
      "swap left out is twice the memory",
      { resources: { memory: "1.5g" } },
      { resources: { memory: "1.5g", memorySwap: "3g" } },
    ],
    ["empty objects stay", { resources: {}, decryption: {} }, { resources: {}, decryption: {} }],
    [
      "a fraction of a second is cut off",
      { restartPolicy: { type: "always", retryTimeout: 7.9 } },
      { restartPolicy: { type: "ALWAYS", retryTimeout: 7 } },
    ],
    [
      "a buffer without non-blocking mode is dropped",
      { log: { maxBufferSize: "2M" } },
      { log: { type: "JSON_FILE", maxFiles: 2, maxSize: "100M", mode: "BLOCKING" } },
    ],
    [
      "no log keeps no file options",
      { log: { type: "NONE", maxFiles: 5, maxSize: "1M" } },
      { log: { type: "NONE", mode: "BLOCKING" } },
    ],
    [
      "a protocol nobody knows is taken",
      { portMappings: [{ proto: "xyz", containerPort: 1, hostPort: 2 }] },
      { portMappings: [{ proto: "xyz", containerPort: 1, hostPort: 2, hostPortEnd: 2, hostIP: "0.0.0.0" }] },
    ],
    [
      "devices get their path and permissions",
      { devices: [{ pathOnHost: "/dev/x" }] },
      { devices: [{ pathOnHost: "/dev/x", pathInContainer: "/dev/x", cgroupPermissions: "rwm" }] },
    ],
  ])("%s", (_what, config, expected) => {
    expect(created(config)).toMatchObject(expected);
    for (const key of ["extraCapabilities"]) {
      expect(Object.keys(created(config))).not.toContain(key);
    }
  });

  test("whatever was read back can be written again and reads back the same, but for swap that was unlimited", () => {
    const names = fc.stringMatching(/^[a-z]{1,8}$/);
    const config = fc.record(
      {
        env: fc.array(
          names.map((name) => `${name}=1`),
          { minLength: 1, maxLength: 3 },
        ),
        tty: fc.constant(true),
        restartPolicy: fc.record({
          type: fc.constantFrom("ALWAYS", "NO", "UNLESS_STOPPED", "ON_FAILURE"),
          retryTimeout: fc.integer({ min: 1, max: 99 }),
        }),
        portMappings: fc.array(
          fc.record({
            containerPort: fc.integer({ min: 1, max: 65_535 }),
            hostPort: fc.integer({ min: 1, max: 65_535 }),
          }),
          { minLength: 1, maxLength: 3 },
        ),
        mountPoints: fc.array(
          fc.record({ source: names, destination: names, propagationMode: fc.constantFrom("RSLAVE", "SHARED") }),
          { minLength: 1, maxLength: 2 },
        ),
        resources: fc.record({ memory: fc.constantFrom("64M", "1G"), memoryReservation: fc.constant("32M") }),
        log: fc.record({ mode: fc.constantFrom("NON_BLOCKING", "BLOCKING"), maxFiles: fc.integer({ min: 1, max: 9 }) }),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(config, (written) => {
        const read = created(written);
        expect(created(structuredClone(read))).toEqual(read);
      }),
    );
  });
});

test.each([
  ["64M", 64 * 1024 ** 2],
  ["64 m", 64 * 1024 ** 2],
  ["1.5k", 1536],
  ["2G", 2 * 1024 ** 3],
  ["64", undefined],
  ["64B", undefined],
  ["64  M", undefined],
  ["", undefined],
])("size %j is %j bytes", (size, bytes) => {
  expect(sizeToBytes(size)).toBe(bytes);
});
