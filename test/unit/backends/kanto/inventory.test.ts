import { describe, expect, test } from "vitest";
import { Inventory } from "../../../../src/backends/kanto/inventory.ts";
import { markerEntry } from "../../../../src/backends/kanto/marker.ts";
import { readTrace, replay, SAMPLE } from "./traces.ts";

const MARKER = { owner: "o", namespace: "n", name: "web", uid: "u", operation: "op", hash: "k:h" };

function feature(state: Record<string, unknown>, config: Record<string, unknown> = {}) {
  return {
    properties: {
      status: { name: "web", imageRef: "r.example/web:1", config, state, createdAt: "2026-01-01T00:00:00Z" },
    },
  };
}

function inventoryAt(times: { nowMs: number } = { nowMs: 0 }): Inventory {
  return new Inventory(() => times.nowMs);
}

describe("recordings of a real daemon", () => {
  test("a crash loop becomes a history of failed runs, and its cancelled restart is no error", () => {
    const inventory = inventoryAt();
    const lines = readTrace("crash-loop-always");
    const end = lines.findIndex((line) => line.topic.endsWith("/remove"));
    replay(inventory, lines.slice(0, end));
    const [container] = inventory.list();
    expect(container).toMatchObject({ name: "crash", state: "Stopped" });
    expect(container?.error).toBeUndefined();
    const runs = container?.runs ?? [];
    expect(runs.length).toBeGreaterThan(5);
    expect(runs.every((run) => run.exitCode === 3 && run.finishedAt !== undefined && run.stopped === undefined)).toBe(
      true,
    );
  });

  test.each([
    "lifecycle",
    "oneshot-no",
    "stubborn-stop",
    "swallowed-start-error",
    "duplicate-names",
    "create-plain-and-start",
  ])("%s leaves nothing behind, and no event of it is malformed", (name) => {
    const inventory = inventoryAt();
    const changes = replay(inventory, readTrace(name));
    expect(changes.length).toBeGreaterThan(0);
    expect(changes).not.toContain("Malformed");
    expect(inventory.list()).toEqual([]);
  });

  test("a restarted daemon shows every container", () => {
    const inventory = inventoryAt();
    replay(inventory, readTrace("daemon-kill9-and-restart"));
    expect(
      inventory
        .list()
        .map(({ name, state }) => `${name} ${state}`)
        .sort(),
    ).toMatchInlineSnapshot(`
      [
        "alw Running",
        "keep Running",
        "no Running",
      ]
    `);
  });

  test("host ports are listed with their ranges", () => {
    const inventory = inventoryAt();
    replay(inventory, readTrace("full-config-echo").slice(0, 2));
    expect(inventory.list()[0]?.hostPorts).toEqual([
      { hostIP: "0.0.0.0", hostPort: 18080, hostPortEnd: 18085, protocol: "TCP" },
      { hostIP: "0.0.0.0", hostPort: 15353, hostPortEnd: 15353, protocol: "UDP" },
    ]);
  });
});

describe("samples", () => {
  test("fields that are absent are zero, not unchanged", () => {
    const inventory = inventoryAt();
    const start = "2026-01-01T00:00:01Z";
    inventory.putFeature(
      "a",
      feature({
        status: "EXITED",
        exitCode: 3,
        oomKilled: true,
        error: "OOM Killed",
        startedAt: start,
        finishedAt: "2026-01-01T00:00:02Z",
      }),
      SAMPLE,
    );
    expect(inventory.get("a")).toMatchObject({ state: "Exited", exitCode: 3, oomKilled: true, error: "OOM Killed" });
    inventory.putState("a", { status: "RUNNING", pid: 5, startedAt: "2026-01-01T00:00:03Z" });
    const running = inventory.get("a");
    expect(running).toMatchObject({ state: "Running", startedAt: "2026-01-01T00:00:03Z" });
    expect(running).not.toHaveProperty("exitCode");
    expect(running).not.toHaveProperty("oomKilled");
    expect(running).not.toHaveProperty("error");
    expect(running).not.toHaveProperty("finishedAt");
    inventory.putState("a", {
      status: "EXITED",
      startedAt: "2026-01-01T00:00:03Z",
      finishedAt: "2026-01-01T00:00:04Z",
    });
    expect(inventory.get("a")?.exitCode).toBe(0);
  });

  test("a repeated sample changes nothing, and stateSinceMs stays", () => {
    const times = { nowMs: 1000 };
    const inventory = inventoryAt(times);
    const state = { status: "RUNNING", startedAt: "2026-01-01T00:00:01Z" };
    expect(inventory.putFeature("a", feature(state), SAMPLE)).toBe("Added");
    times.nowMs = 5000;
    expect(inventory.putState("a", state)).toBe("Unchanged");
    expect(inventory.putFeature("a", feature(state), SAMPLE)).toBe("Unchanged");
    expect(inventory.get("a")?.stateSinceMs).toBe(1000);
    inventory.putState("a", { ...state, startedAt: "2026-01-01T00:00:04Z" });
    expect(inventory.get("a")?.stateSinceMs).toBe(5000);
  });

  test("a cancelled restart that comes after the container runs is doubted", () => {
    const inventory = inventoryAt();
    inventory.putFeature("a", feature({ status: "RUNNING", startedAt: "2026-01-01T00:00:01Z" }), SAMPLE);
    const cancelled = { status: "STOPPED", error: "container's restart manager is canceled" };
    expect(inventory.putState("a", cancelled)).toBe("Doubtful");
    expect(inventory.get("a")?.state).toBe("Running");
  });

  test("Go's zero time is no time", () => {
    const inventory = inventoryAt();
    inventory.putFeature("a", feature({ status: "CREATED", startedAt: "0001-01-01T00:00:00Z" }), SAMPLE);
    expect(inventory.get("a")).not.toHaveProperty("startedAt");
  });

  test("a word on a container that is not known, or not any more, makes none", () => {
    const inventory = inventoryAt();
    expect(inventory.putState("a", { status: "STOPPED" })).toBe("UnknownContainer");
    expect(inventory.putConfig("a", {}, SAMPLE.characters)).toBe("UnknownContainer");
    expect(inventory.putName("a", "n")).toBe("UnknownContainer");
    expect(inventory.list()).toEqual([]);
  });

  test.each([
    ["no name", { properties: { status: { imageRef: "x", state: { status: "RUNNING" } } } }],
    ["no state", { properties: { status: { name: "n", imageRef: "x" } } }],
    ["a state without status", { properties: { status: { name: "n", imageRef: "x", state: {} } } }],
    ["nothing", {}],
  ])("a feature with %s is malformed", (_what, value) => {
    const inventory = inventoryAt();
    expect(inventory.putFeature("a", value, SAMPLE)).toBe("Malformed");
    expect(inventory.list()).toEqual([]);
  });

  test("a status that nobody knows is Unknown, not an error", () => {
    const inventory = inventoryAt();
    inventory.putFeature("a", feature({ status: "HIBERNATING" }), SAMPLE);
    expect(inventory.get("a")?.state).toBe("Unknown");
  });

  test("the marker is read from the env, follows it, and is no part of the configuration", () => {
    const inventory = inventoryAt();
    inventory.putFeature("a", feature({ status: "CREATED" }, { env: ["A=1", markerEntry(MARKER)] }), SAMPLE);
    expect(inventory.get("a")?.marker).toEqual(MARKER);
    expect(JSON.stringify(inventory.get("a")?.config)).not.toContain("MARKER");
    inventory.putConfig("a", { env: ["A=1"] }, SAMPLE.characters);
    expect(inventory.get("a")).not.toHaveProperty("marker");
  });

  test("the list stays the same array until something changes", () => {
    const inventory = inventoryAt();
    inventory.putFeature("a", feature({ status: "CREATED" }), SAMPLE);
    const list = inventory.list();
    inventory.putState("a", { status: "CREATED" });
    expect(inventory.list()).toBe(list);
    inventory.putName("a", "other");
    expect(inventory.list()).not.toBe(list);
    expect(list[0]?.name).toBe("web");
  });
});
