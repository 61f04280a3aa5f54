import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compareResourceVersions, isAtLeast, isOlder } from "../../../src/kube/resource-version.ts";

const digits = fc.bigInt({ min: 0n, max: 10n ** 40n });

describe("resourceVersions", () => {
  test("are ordered as numbers of any length, leading zeros or not", () => {
    fc.assert(
      fc.property(digits, digits, fc.nat({ max: 5 }), (a, b, zeros) => {
        const order = compareResourceVersions("0".repeat(zeros) + String(a), String(b));
        expect(Math.sign(order ?? Number.NaN)).toBe(a < b ? -1 : a > b ? 1 : 0);
      }),
    );
  });

  test("beyond 2^53 differ where Numbers would not", () => {
    expect(isOlder("9007199254740992", "9007199254740993")).toBe(true);
    expect(isAtLeast("9007199254740992", "9007199254740993")).toBe(false);
  });

  test("that are not decimal numbers never make anybody wait, and are never called older", () => {
    for (const odd of ["", "abc", "1.2", "-1", "0x10", "１"]) {
      expect(compareResourceVersions(odd, "5")).toBeUndefined();
      expect(isAtLeast(odd, "5")).toBe(true);
      expect(isAtLeast("5", odd)).toBe(true);
      expect(isOlder(odd, "5")).toBe(false);
    }
  });
});
