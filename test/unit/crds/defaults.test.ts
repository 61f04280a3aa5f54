import { describe, expect, test } from "vitest";
import { BACKEND_DEFAULTS, CONTAINER_DEFAULTS, DEVICE_DEFAULTS } from "../../../src/crds/default-values.ts";
import { withBackendDefaults, withContainerDefaults, withDeviceDefaults } from "../../../src/crds/defaults.ts";
import type { EdgeContainerSpec } from "../../../src/crds/edge-container.ts";

const CONTAINER: EdgeContainerSpec = { deviceRef: { name: "d" }, image: "docker.io/library/nginx:1.27" };

describe("withContainerDefaults", () => {
  test("sets what api.md promises", () => {
    expect(withContainerDefaults(CONTAINER)).toEqual({
      ...CONTAINER,
      desiredState: "Running",
      stop: { signal: "SIGTERM", timeoutSeconds: 30, force: true },
      updateStrategy: {
        type: "Recreate",
        minReadySeconds: 10,
        progressDeadlineSeconds: 600,
        rollbackOnFailure: true,
      },
      backoff: { initialSeconds: 10, maxSeconds: 300, resetAfterSeconds: 600 },
      managementPolicy: "Manage",
      adoption: { policy: "Never" },
      driftPolicy: "Correct",
      suspend: false,
      deletion: { policy: "Remove", deleteVolumes: false, graceSeconds: 300 },
    });
  });

  test("keeps what is set, field by field, and leaves the spec given as it is", () => {
    const spec: EdgeContainerSpec = Object.freeze({
      ...CONTAINER,
      desiredState: "Paused",
      stop: Object.freeze({ force: false }),
      updateStrategy: { minReadySeconds: 0 },
      adoption: { policy: "ById", externalId: "x" } as const,
      deletion: { policy: "Orphan" } as const,
      suspend: true,
    });
    expect(withContainerDefaults(spec)).toMatchObject({
      desiredState: "Paused",
      stop: { signal: "SIGTERM", timeoutSeconds: 30, force: false },
      updateStrategy: { type: "Recreate", minReadySeconds: 0 },
      adoption: { policy: "ById", externalId: "x" },
      deletion: { policy: "Orphan", graceSeconds: 300 },
      suspend: true,
    });
  });

  test("sets no field that a vendor is told", () => {
    const set = Object.keys(withContainerDefaults(CONTAINER));
    expect(set).not.toContain("restartPolicy");
    expect(set).not.toContain("network");
    expect(set).not.toContain("imagePullPolicy");
  });
});

describe("withDeviceDefaults", () => {
  test("sets what api.md promises", () => {
    const spec = { backendRef: { name: "b" }, kanto: { thingId: "a:b" } };
    expect(withDeviceDefaults(spec)).toEqual({
      ...spec,
      offlineReadiness: "Unknown",
      suspend: false,
      deletion: { graceSeconds: 300 },
    });
  });
});

describe("withBackendDefaults", () => {
  test("probes Kanto rarely, since it pushes, and polls all others", () => {
    const kanto = withBackendDefaults({ kanto: { url: "mqtt://b", tenant: "t" } });
    expect(kanto.observeIntervalSeconds).toBe(300);
    expect(kanto.kanto).toMatchObject({ transport: "Local", mqttVersion: "3.1.1", answerIdentity: true });
    for (const vendor of ["alpon", "hiveon", "mittwald"] as const) {
      const settings = withBackendDefaults({ [vendor]: {} });
      expect(settings.observeIntervalSeconds).toBe(30);
      expect(settings[vendor]?.url).toMatch(/^https:\/\//);
    }
  });

  test("sets what api.md promises", () => {
    expect(withBackendDefaults({ mittwald: {} })).toMatchObject({
      commandTimeoutSeconds: 60,
      createTimeoutSeconds: 1800,
      allowedNamespaces: { from: "Same" },
      suspend: false,
      deletion: { graceSeconds: 300 },
    });
    expect(withBackendDefaults({ mittwald: {}, observeIntervalSeconds: 5 }).observeIntervalSeconds).toBe(5);
  });
});

test("default values are frozen by type, and no two calls share an object that could be changed", () => {
  const first = withContainerDefaults(CONTAINER);
  first.stop.timeoutSeconds = 1;
  first.deletion.graceSeconds = 1;
  expect(withContainerDefaults(CONTAINER).stop.timeoutSeconds).toBe(30);
  expect(CONTAINER_DEFAULTS.deletion.graceSeconds).toBe(300);
  expect(DEVICE_DEFAULTS.deletion.graceSeconds).toBe(300);
  expect(BACKEND_DEFAULTS.deletion.graceSeconds).toBe(300);
});
