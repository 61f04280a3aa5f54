import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { flagOf, UsageError, variableOf } from "../../../src/cli/option-table.ts";
import { readRunOptions, RUN_OPTIONS } from "../../../src/cli/run-options.ts";

function refusal(given: Record<string, unknown>, env: Record<string, string> = {}): string {
  try {
    readRunOptions(given, env);
  } catch (error) {
    if (error instanceof UsageError) return error.message;
    throw error;
  }
  return "accepted";
}

describe("defaults", () => {
  test("hold without any option; what is not given and has no default is undefined", () => {
    expect(readRunOptions({}, {})).toEqual({
      kubeconfig: undefined,
      context: undefined,
      namespace: undefined,
      ownerId: undefined,
      readOnly: false,
      leaderElect: true,
      leaseName: "drayage",
      leaseNamespace: undefined,
      leaseDuration: 15_000,
      renewDeadline: 10_000,
      retryPeriod: 2000,
      concurrency: 16,
      statusInterval: 5000,
      shutdownGrace: 30_000,
      observeInterval: undefined,
      probeTimeout: 10_000,
      reconnectInitial: 1000,
      reconnectMax: 60_000,
      settleTime: undefined,
      webhookAddress: undefined,
      logLevel: "info",
      logFormat: "auto",
      healthAddress: { host: "", port: 8081 },
      metricsAddress: { host: "", port: 8080 },
    });
  });
});

describe("sources", () => {
  test("every option has a variable, and the command line wins over it", () => {
    const values: Record<string, [fromEnv: string, fromLine: string]> = {
      kubeconfig: ["/env", "/line"],
      context: ["env", "line"],
      namespace: ["env", "line"],
      ownerId: ["env", "line"],
      readOnly: ["true", "false"],
      leaderElect: ["false", "true"],
      leaseName: ["env", "line"],
      leaseNamespace: ["env", "line"],
      leaseDuration: ["14s", "16s"],
      renewDeadline: ["9s", "11s"],
      retryPeriod: ["1s", "3s"],
      concurrency: ["1", "2"],
      statusInterval: ["1s", "2s"],
      shutdownGrace: ["1s", "2s"],
      observeInterval: ["1s", "2s"],
      probeTimeout: ["1s", "2s"],
      reconnectInitial: ["2s", "3s"],
      reconnectMax: ["20s", "30s"],
      settleTime: ["1s", "2s"],
      webhookAddress: [":5", ":6"],
      logLevel: ["warn", "error"],
      logFormat: ["json", "pretty"],
      healthAddress: [":1", ":2"],
      metricsAddress: [":3", ":4"],
    };
    expect(Object.keys(values).sort()).toEqual(Object.keys(RUN_OPTIONS).sort());
    const env = Object.fromEntries(Object.entries(values).map(([name, [fromEnv]]) => [variableOf(name), fromEnv]));
    const line = Object.fromEntries(Object.entries(values).map(([name, [, fromLine]]) => [name, fromLine]));
    const defaults = readRunOptions({}, {});
    const fromEnv = readRunOptions({}, env);
    const fromBoth = readRunOptions(line, env);
    expect(fromBoth).toEqual(readRunOptions(line, {}));
    for (const name of Object.keys(RUN_OPTIONS) as (keyof typeof RUN_OPTIONS)[]) {
      expect(fromEnv[name], name).not.toEqual(defaults[name]);
      expect(fromEnv[name], name).not.toEqual(fromBoth[name]);
    }
  });

  test("an on/off option alone means on; an empty variable means not set", () => {
    expect(readRunOptions({ readOnly: true }, {}).readOnly).toBe(true);
    const env = { DRAYAGE_READ_ONLY: "", DRAYAGE_OWNER_ID: "", DRAYAGE_LEASE_DURATION: "" };
    expect(readRunOptions({}, env)).toEqual(readRunOptions({}, {}));
  });

  test("variables of other programs, such as those of a Service named drayage, mean nothing", () => {
    const env = {
      DRAYAGE_PORT: "tcp://10.0.0.1:80",
      DRAYAGE_SERVICE_HOST: "10.0.0.1",
      DRAYAGE_METRICS_PORT: "tcp://x",
    };
    expect(readRunOptions({}, env)).toEqual(readRunOptions({}, {}));
  });

  test("names are turned into flags and variables one way only", () => {
    expect(flagOf("leaseDuration")).toBe("--lease-duration");
    expect(variableOf("leaseDuration")).toBe("DRAYAGE_LEASE_DURATION");
    const variables = Object.keys(RUN_OPTIONS).map((name) => variableOf(name));
    expect(new Set(variables).size).toBe(variables.length);
  });
});

describe("refusals name the option or the variable, what it was and what is accepted", () => {
  test.each([
    {
      given: { leaseDuration: "15" },
      env: {},
      message:
        'option --lease-duration: "15" is not accepted; it must be a duration: whole numbers with a unit, such as 500ms, 15s, 2m or 1m30s',
    },
    {
      given: {},
      env: { DRAYAGE_CONCURRENCY: "many" },
      message: 'variable DRAYAGE_CONCURRENCY: "many" is not accepted; it must be a whole number from 1 to 1000',
    },
    {
      given: { logLevel: "loud" },
      env: { DRAYAGE_LOG_LEVEL: "info" },
      message: 'option --log-level: "loud" is not accepted; it must be one of trace, debug, info, warn, error, fatal',
    },
    {
      given: { kubeconfig: "" },
      env: {},
      message: 'option --kubeconfig: "" is not accepted; it must be a text that is not empty',
    },
    {
      given: { ownerId: "Plant 7\n" },
      env: {},
      message:
        'option --owner-id: "Plant 7\\n" is not accepted; it must be 1 to 63 lower-case letters, digits and -, beginning and ending with a letter or digit',
    },
    {
      given: { renewDeadline: "20s" },
      env: {},
      message: "option --renew-deadline: 20s must be shorter than the lease duration (15s)",
    },
    {
      given: {},
      env: { DRAYAGE_RETRY_PERIOD: "9s" },
      message: "variable DRAYAGE_RETRY_PERIOD: 9s times 1.2 must be shorter than the renew deadline (10s)",
    },
    {
      given: { reconnectMax: "500ms" },
      env: {},
      message: "option --reconnect-initial: 1s must not be longer than the longest pause (500ms)",
    },
  ])("$message", ({ given, env, message }) => {
    expect(refusal(given, env)).toBe(message);
  });
});

test("docs/operations.md explains every option and its variable", async () => {
  const text = await readFile(new URL("../../../docs/operations.md", import.meta.url), "utf8");
  for (const name of Object.keys(RUN_OPTIONS)) {
    expect(text).toContain(`\`${flagOf(name)}\``);
    expect(text).toContain(`\`${variableOf(name)}\``);
  }
});
