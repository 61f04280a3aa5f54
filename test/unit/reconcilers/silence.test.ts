import { describe, expect, test } from "vitest";
import type { EdgeBackend } from "../../../src/crds/edge-backend.ts";
import { silenceMs, type FormerWord } from "../../../src/reconcilers/silence.ts";

const backend = { metadata: { uid: "b", name: "b" }, spec: {} } as unknown as EdgeBackend;

describe("what is not known yet is said", () => {
  const cases: [FormerWord, number | undefined, number | undefined, number | undefined][] = [
    // At once where nothing was ever said, but not before the device had time to answer.
    ["None", 1_000, undefined, 4_000],
    ["None", 9_000, 1_000, 0],
    // Never in place of what was last known of the device.
    ["OfDevice", 9_000, 9_000, undefined],
    // In place of a backend's trouble once that is over.
    ["OfBackend", 9_000, undefined, undefined],
    ["OfBackend", 9_000, 2_000, 3_000],
    ["OfBackend", 1_000, 9_000, 4_000],
    ["OfBackend", 9_000, 9_000, 0],
  ];
  test.each(cases)(
    "%s, session open for %s ms, connected for %s ms: after %s",
    (word, openMs, connectedMs, expected) => {
      const accounts = { openForMs: () => openMs, connectedForMs: () => connectedMs };
      expect(silenceMs(word, "d", backend, accounts)).toBe(expected);
    },
  );

  test("without a session or a backend there is nothing to wait for", () => {
    const accounts = { openForMs: () => undefined, connectedForMs: () => 0 };
    expect([silenceMs("None", "d", undefined, accounts), silenceMs("OfBackend", "d", undefined, accounts)]).toEqual([
      0,
      undefined,
    ]);
  });
});
