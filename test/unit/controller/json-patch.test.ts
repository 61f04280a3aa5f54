import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Json, jsonEqual, jsonPatch, type JsonPatchStep } from "../../../src/controller/json-patch.ts";
import { coalesceDelayMs, statusPatch } from "../../../src/controller/status-writer.ts";

type JsonObject = { [key: string]: Json };

/** RFC 6902 for the steps in use, on a copy; throws where the RFC says that a step fails. */
function applyPatch(target: JsonObject, steps: readonly JsonPatchStep[]): JsonObject {
  const result = structuredClone(target);
  for (const step of steps) {
    const keys = step.path
      .split("/")
      .slice(1)
      .map((key) => key.replaceAll("~1", "/").replaceAll("~0", "~"));
    const last = keys.pop() ?? "";
    let parent: JsonObject = result;
    for (const key of keys) {
      const next = Object.hasOwn(parent, key) ? parent[key] : undefined;
      if (typeof next !== "object" || next === null || Array.isArray(next))
        throw new Error(`no parent at ${step.path}`);
      parent = next as JsonObject;
    }
    if (step.op === "add") {
      Object.defineProperty(parent, last, { value: step.value, enumerable: true, configurable: true, writable: true });
    } else if (step.op === "remove") {
      if (!Object.hasOwn(parent, last)) throw new Error(`nothing at ${step.path}`);
      delete parent[last];
    }
  }
  return result;
}

/** JSON without nulls in objects, as a status is. */
const json = fc.letrec<{ value: Json; object: JsonObject }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small" },
    fc.boolean(),
    fc.integer({ min: -3, max: 3 }),
    fc.constantFrom("", "a", "b"),
    fc.array(tie("value"), { maxLength: 3 }),
    tie("object"),
  ),
  object: fc.dictionary(fc.constantFrom("a", "b", "c", "a/b", "~0", "", "__proto__"), tie("value"), { maxKeys: 4 }),
}));

describe("jsonPatch", () => {
  test("applied to the old value gives the new one; no steps exactly when they are equal", () => {
    fc.assert(
      fc.property(json.object, json.object, (before, after) => {
        const steps = jsonPatch(before, after, "");
        expect(steps.length === 0).toBe(jsonEqual(before, after));
        expect(jsonEqual(applyPatch(before, steps), after)).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });

  test("leaves alone what others added elsewhere meanwhile", () => {
    fc.assert(
      fc.property(json.object, json.object, fc.integer(), (before, after, foreign) => {
        const live = { ...before, foreign };
        expect(jsonEqual(applyPatch(live, jsonPatch(before, after, "")), { ...after, foreign })).toBe(true);
      }),
    );
  });

  test("a removed key is removed, a list is replaced whole, undefined and null mean absent", () => {
    const before = { keep: 1, gone: { x: 1 }, list: [1, 2], nested: { a: 1, b: 2 }, maybe: undefined };
    const after = { keep: 1, list: [1, 3], nested: { a: 1, b: undefined }, maybe: null };
    expect(jsonPatch(before, after, "/status")).toEqual([
      { op: "remove", path: "/status/gone" },
      { op: "add", path: "/status/list", value: [1, 3] },
      { op: "remove", path: "/status/nested/b" },
    ]);
  });

  test("the order of keys is no difference", () => {
    expect(jsonPatch({ a: { x: 1, y: [{ p: 1, q: 2 }] } }, { a: { y: [{ q: 2, p: 1 }], x: 1 } }, "")).toEqual([]);
  });
});

describe("statusPatch", () => {
  test("a first status is written whole; the same again is not written", () => {
    const status = { observedGeneration: 1, conditions: [] };
    expect(statusPatch(undefined, status)).toEqual([{ op: "add", path: "/status", value: status }]);
    expect(statusPatch(status, { ...status })).toBeUndefined();
  });
});

describe("coalescing", () => {
  test.each([
    { why: "no write is known", urgency: "lazy", since: undefined, expected: 0 },
    { why: "urgent never waits", urgency: "urgent", since: 0, expected: 0 },
    { why: "soon waits out 5 s", urgency: "soon", since: 1200, expected: 3800 },
    { why: "soon after 5 s", urgency: "soon", since: 5000, expected: 0 },
    { why: "lazy waits out 60 s", urgency: "lazy", since: 5000, expected: 55_000 },
    { why: "lazy after 60 s", urgency: "lazy", since: 90_000, expected: 0 },
  ] as const)("waits $expected ms: $why", ({ urgency, since, expected }) => {
    expect(coalesceDelayMs(urgency, since)).toBe(expected);
  });
});
