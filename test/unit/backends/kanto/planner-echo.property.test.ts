/**
 * What is sent comes back in the daemon's spelling, with its defaults filled in and zero values left out; nothing of that may look like a
 * difference. The echo below is written from the daemon's rules (kanto's FillDefaults, FillMemorySwap, Go's omitempty), and shares nothing
 * with the planner.
 */
import { assert, property } from "fast-check";
import { describe, expect, test } from "vitest";
import type { DesiredContainer } from "../../../../src/backends/contract.ts";
import { kantoPlanner } from "../../../../src/backends/kanto/index.ts";
import { Inventory } from "../../../../src/backends/kanto/inventory.ts";
import { createValue } from "../../../../src/backends/kanto/planner/wire.ts";
import { kantoSpec as spec } from "./arbitrary-spec.ts";
import { MARKER, wanted } from "./wanted.ts";

type Json = Record<string, unknown>;

/** Go's omitempty: zero values and empty lists are not written. */
function omitEmpty(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(omitEmpty);
  if (typeof value !== "object" || value === null) return value;
  const kept = Object.entries(value)
    .map(([key, inner]) => [key, omitEmpty(inner)] as const)
    .filter(
      ([, inner]) =>
        inner !== undefined &&
        inner !== "" &&
        inner !== 0 &&
        inner !== false &&
        !(Array.isArray(inner) && inner.length === 0),
    );
  return Object.fromEntries(kept);
}

const upper = (value: unknown, fallback: string): string =>
  (typeof value === "string" ? value : fallback).toUpperCase().replaceAll("-", "_");

/** The feature that a daemon publishes for a createWithConfig. */
function echo(request: Json): Json {
  const config = request["config"] as Json;
  const name = request["name"] as string;
  const log = (config["log"] ?? {}) as Json;
  const mode = upper(log["mode"], "BLOCKING");
  const resources = { ...(config["resources"] as Json | undefined) };
  if (resources["memory"] !== undefined && resources["memorySwap"] === undefined) {
    const [, digits, unit] = /^(\d+)([KMG])$/.exec(resources["memory"] as string) ?? [];
    resources["memorySwap"] = `${2 * Number(digits)}${unit}`;
  }
  if (resources["memorySwap"] === "-1") delete resources["memorySwap"];
  const privileged = config["privileged"] === true;
  const filled = {
    ...config,
    domainName: config["domainName"] ?? `${name}-domain`,
    hostName: config["hostName"] ?? `${name}-host`,
    networkMode: upper(config["networkMode"], "BRIDGE"),
    restartPolicy: { ...(config["restartPolicy"] as Json) },
    extraCapabilities: privileged ? [] : config["extraCapabilities"],
    portMappings: ((config["portMappings"] ?? []) as Json[]).map((port) => ({
      ...port,
      proto: port["proto"] ?? "tcp",
      hostIP: port["hostIP"] ?? "0.0.0.0",
      hostPortEnd: port["hostPortEnd"] ?? port["hostPort"],
    })),
    log: {
      type: upper(log["type"], "JSON_FILE"),
      maxFiles: log["maxFiles"] ?? 2,
      maxSize: log["maxSize"] ?? "100M",
      rootDir: log["rootDir"],
      mode,
      maxBufferSize: mode === "NON_BLOCKING" ? (log["maxBufferSize"] ?? "1M") : undefined,
    },
    resources,
    decryption: {},
  };
  return {
    properties: {
      status: {
        name,
        imageRef: request["imageRef"],
        config: omitEmpty(filled),
        createdAt: "2026-01-01T00:00:00Z",
        state: { status: "CREATED", pid: -1 },
      },
    },
  };
}

function observedEcho(desired: DesiredContainer) {
  const inventory = new Inventory(() => 0);
  const feature = echo(JSON.parse(JSON.stringify(createValue(desired, MARKER))) as Json);
  expect(inventory.putFeature("id", feature, { characters: 100, authoritative: false })).toBe("Added");
  const container = inventory.get("id");
  if (container === undefined) throw new Error("the echo was not taken");
  return container;
}

describe("a container as it was just made", () => {
  test("never differs from its spec", () => {
    assert(
      property(spec, (each) => {
        const desired = wanted(each);
        expect(kantoPlanner.validate(desired).filter(({ kind }) => kind !== "Ignored")).toEqual([]);
        const container = observedEcho(desired);
        expect(container.marker).toEqual(MARKER);
        expect(kantoPlanner.diff(desired, container, kantoPlanner.paths(desired))).toEqual([]);
      }),
      { numRuns: 500 },
    );
  });

  test("differs from another spec if and only if the other needs something else, and then an update or a new container mends it", () => {
    assert(
      property(spec, spec, (before, after) => {
        const old = observedEcho(wanted(before));
        const desired = wanted(after);
        const differences = kantoPlanner.diff(desired, old, kantoPlanner.paths(wanted(before)));
        const recreate = differences.some(({ effect }) => effect === "Recreate");
        const fresh =
          JSON.stringify(kantoPlanner.identity(wanted(before))) === JSON.stringify(kantoPlanner.identity(desired));
        // One and the same identity never asks for a new container, and a changed one always does.
        expect(recreate).toBe(!fresh);
      }),
      { numRuns: 500 },
    );
  });
});
