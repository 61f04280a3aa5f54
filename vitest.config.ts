import { defineConfig } from "vitest/config";

/** Projects that need a Kubernetes API: test/controlplane/global-setup.ts starts a real one, once per project and run. */
const withControlPlane = {
  globalSetup: ["test/controlplane/global-setup.ts"],
  testTimeout: 120_000,
  hookTimeout: 180_000,
  teardownTimeout: 60_000,
};

/** Integration tests that need an MQTT broker only. */
const BROKER_ONLY = ["test/integration/{backends,simulators}/**/*.test.ts"];

// `unit` needs nothing but Node; `integration` a Kubernetes API, and each of its files takes a namespace of its own there; `slow` is like it,
// but takes minutes and runs in .ci/run only; `brokers` is what is left of `integration` where no Kubernetes API can be had (scripts/test.ts). dist is never searched for tests.
export default defineConfig({
  test: {
    // With real processes and sockets on a shared machine, CI gives a failed test one more try; the summary names each that needed it, so that
    // it is looked into and not forgotten. A developer sees the first failure.
    retry: process.env["CI"] ? 1 : 0,
    // Like the tests' own limits: a guard against a hang, not a measure of speed. The default is a second.
    expect: { poll: { timeout: 30_000 } },
    coverage: {
      provider: "v8",
      reportOnFailure: true,
      include: ["src/**/*.ts"],
      reporter: ["text-summary", "json-summary", "html"],
    },
    projects: [
      {
        extends: true,
        // The time limits only guard against a hang, on a busy machine too.
        test: { name: "unit", include: ["test/unit/**/*.test.ts"], testTimeout: 30_000, hookTimeout: 60_000 },
      },
      {
        extends: true,
        test: { name: "integration", include: ["test/integration/**/*.test.ts"], maxWorkers: 2, ...withControlPlane },
      },
      {
        extends: true,
        test: {
          name: "brokers",
          include: process.env["DRAYAGE_NO_KUBERNETES"] ? BROKER_ONLY : [],
          testTimeout: 120_000,
          hookTimeout: 180_000,
        },
      },
      {
        extends: true,
        // A device each, with a containerd of its own: one file after another, or starts take longer than the times of the tests allow.
        test: { name: "daemon", include: ["test/daemon/**/*.test.ts"], maxWorkers: 1, ...withControlPlane },
      },
      {
        extends: true,
        test: {
          name: "slow",
          include: ["test/slow/**/*.test.ts"],
          // They wait for leases, pauses and vendors most of the time.
          maxWorkers: 2,
          ...withControlPlane,
          testTimeout: 900_000,
        },
      },
    ],
  },
});
