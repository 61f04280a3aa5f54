import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  ABNORMAL_TRUE,
  type ConditionInput,
  conditionTransitions,
  formatTime,
  isConditionTrue,
  rebuildConditions,
  truncateMessage,
} from "../../../src/controller/conditions.ts";

const TYPES = [
  "Ready",
  "Reconciling",
  "Stalled",
  "Suspended",
  "Accepted",
  "Synced",
  "DeviceReachable",
  "ImageAvailable",
];

const input: fc.Arbitrary<ConditionInput> = fc.record({
  type: fc.constantFrom(...TYPES),
  status: fc.constantFrom("True" as const, "False" as const, "Unknown" as const),
  reason: fc.constantFrom("One", "Other"),
  message: fc.string({ maxLength: 30 }),
});

/** Any UTF-16 text, often with emoji and with halves of them. */
const text = fc
  .array(fc.oneof(fc.constantFrom(0xd83d, 0xde00, 0x61), fc.integer({ min: 0, max: 0xffff })), { maxLength: 40 })
  .map((units) => String.fromCharCode(...units));

/** A sequence of passes over one object, a second apart. */
const passes = fc.array(fc.array(input, { maxLength: 10 }), { minLength: 1, maxLength: 6 });

describe("rebuildConditions", () => {
  test("lastTransitionTime moves exactly when the status does", () => {
    fc.assert(
      fc.property(passes, (history) => {
        let previous = rebuildConditions(undefined, history[0] ?? [], { observedGeneration: 1, nowMs: 0 });
        for (const [index, wanted] of history.entries()) {
          const nowMs = (index + 1) * 1000;
          const next = rebuildConditions(previous, wanted, { observedGeneration: index, nowMs });
          for (const condition of next) {
            const old = previous.find(({ type }) => type === condition.type);
            const expected = old?.status === condition.status ? old.lastTransitionTime : formatTime(nowMs);
            expect(condition.lastTransitionTime).toBe(expected);
          }
          previous = next;
        }
      }),
    );
  });

  test("says exactly what this pass said: one condition per type, at this generation, abnormal ones only while True", () => {
    fc.assert(
      fc.property(passes, fc.nat(), (history, observedGeneration) => {
        let previous = rebuildConditions(undefined, [], { observedGeneration, nowMs: 0 });
        for (const wanted of history) {
          const next = rebuildConditions(previous, wanted, { observedGeneration, nowMs: 1000 });
          const last = new Map(wanted.map((condition) => [condition.type, condition]));
          const present = Array.from(last.values()).filter(
            ({ type, status }) => status === "True" || !ABNORMAL_TRUE.has(type),
          );
          expect(new Set(next.map(({ type }) => type))).toEqual(new Set(present.map(({ type }) => type)));
          expect(next).toHaveLength(present.length);
          for (const { type, status, reason, message } of present) {
            const found = next.find((condition) => condition.type === type);
            expect(found).toMatchObject({ status, reason, message, observedGeneration });
          }
          previous = next;
        }
      }),
    );
  });

  test("the order does not depend on the order of the input, and a repeated pass changes nothing", () => {
    fc.assert(
      fc.property(fc.uniqueArray(input, { selector: ({ type }) => type }), (wanted) => {
        const options = { observedGeneration: 3, nowMs: 5000 };
        const once = rebuildConditions(undefined, wanted, options);
        expect(rebuildConditions(undefined, wanted.toReversed(), options)).toEqual(once);
        expect(rebuildConditions(once, wanted, { ...options, nowMs: 99_000 })).toEqual(once);
      }),
    );
  });

  test("Ready comes first", () => {
    const types = ["Synced", "ImageAvailable", "Ready", "Accepted", "Stalled"];
    const wanted = types.map((type) => ({ type, status: "True" as const, reason: "X", message: "" }));
    const got = rebuildConditions(undefined, wanted, { observedGeneration: 1, nowMs: 0 });
    expect(got.map(({ type }) => type)).toEqual(["Ready", "Stalled", "Accepted", "Synced", "ImageAvailable"]);
  });

  test("messages are cut to 1024 characters, or to what the caller says, but never beyond the API's 32768", () => {
    const message = "x".repeat(40_000);
    const cut = (longestMessage?: number): string | undefined => {
      const options = { observedGeneration: 1, nowMs: 0, ...(longestMessage === undefined ? {} : { longestMessage }) };
      return rebuildConditions(undefined, [{ type: "Ready", status: "True", reason: "X", message }], options)[0]
        ?.message;
    };
    expect(cut()).toBe(`${"x".repeat(1023)}…`);
    expect(cut(10)).toBe("xxxxxxxxx…");
    expect(cut(1e9)).toHaveLength(32_768);
  });
});

describe("truncateMessage", () => {
  test("gives at most so many characters, well-formed, and leaves what fits as it is", () => {
    fc.assert(
      fc.property(text, fc.integer({ min: 1, max: 40 }), (message, longest) => {
        const cut = truncateMessage(message, longest);
        expect(Array.from(cut).length).toBeLessThanOrEqual(longest);
        expect(cut.isWellFormed()).toBe(true);
        if (Array.from(message).length <= longest && message.isWellFormed()) expect(cut).toBe(message);
      }),
    );
  });

  test("counts code points, so a text of emoji is not cut short, and no pair is split", () => {
    expect(truncateMessage("😀😀😀", 3)).toBe("😀😀😀");
    expect(truncateMessage("😀😀😀", 2)).toBe("😀…");
    expect(truncateMessage("a\uD83D", 5)).toBe("a\uFFFD");
  });
});

describe("reading conditions", () => {
  const at = (type: string, status: "True" | "False", reason = "R") => ({ type, status, reason, message: "m" });
  const build = (wanted: ConditionInput[]) => rebuildConditions(undefined, wanted, { observedGeneration: 2, nowMs: 0 });

  test("True counts only at the generation asked for", () => {
    const conditions = build([at("Ready", "True"), at("Synced", "False")]);
    expect(isConditionTrue(conditions, "Ready")).toBe(true);
    expect(isConditionTrue(conditions, "Ready", 2)).toBe(true);
    expect(isConditionTrue(conditions, "Ready", 3)).toBe(false);
    expect(isConditionTrue(conditions, "Synced")).toBe(false);
    expect(isConditionTrue(undefined, "Ready")).toBe(false);
  });

  test("transitions name what came, changed and went, and nothing that stayed", () => {
    const before = build([at("Ready", "False"), at("Stalled", "True", "PortConflict"), at("Synced", "True")]);
    const after = build([at("Ready", "True", "Running"), at("Synced", "True"), at("Suspended", "True")]);
    expect(conditionTransitions(before, after).map(({ type, from, to, reason }) => [type, from, to, reason])).toEqual([
      ["Ready", "False", "True", "Running"],
      ["Suspended", undefined, "True", "R"],
      ["Stalled", "True", undefined, "PortConflict"],
    ]);
    expect(conditionTransitions(after, after)).toEqual([]);
  });
});
