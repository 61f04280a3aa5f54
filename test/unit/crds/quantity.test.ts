import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isQuantity, parseQuantity } from "../../../src/crds/quantity.ts";

describe("parseQuantity", () => {
  test.each([
    [5, 5],
    ["0", 0],
    ["64Mi", 64 * 1024 * 1024],
    ["1.5Gi", 1.5 * 1024 ** 3],
    ["128M", 128e6],
    ["1k", 1000],
    ["500m", 0.5],
    ["1e3", 1000],
    ["2E", 2e18],
    ["1E2", 100],
    [".5", 0.5],
    ["5.", 5],
    ["3Ki", 3072],
  ])("%s is %d", (text, value) => {
    expect(parseQuantity(text)).toBeCloseTo(value, 9);
  });

  test.each(["", "x", "Mi", "10x", "1 Mi", "1MB", "0x10", "-1", "+1", ".", "1e", "1e1000", "1.2.3", "Unlimited", "１"])(
    "refuses %j",
    (text) => {
      expect(isQuantity(text)).toBe(false);
      expect(() => parseQuantity(text)).toThrow(RangeError);
    },
  );

  test("any whole number with any binary suffix is exact", () => {
    const suffixes = ["Ki", "Mi", "Gi"] as const;
    fc.assert(
      fc.property(fc.nat(1_000_000), fc.nat(2), (count, index) => {
        expect(parseQuantity(`${count}${suffixes[index]}`)).toBe(count * 1024 ** (index + 1));
      }),
    );
  });

  test("whatever is taken for a quantity has a finite value", () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[0-9.]{1,6}[a-zA-Z]{0,2}[0-9+-]{0,3}$/), (text) => {
        if (isQuantity(text)) expect(Number.isFinite(parseQuantity(text))).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });
});
