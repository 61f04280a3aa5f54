import { describe, expect, test } from "vitest";
import { operationOf, Settlement } from "../../../../src/backends/kanto/settlement.ts";

describe("Settlement", () => {
  test("closes an operation with an inventory that was announced after the question", () => {
    const settlement = new Settlement();
    expect(settlement.isClosed("op")).toBe(false);
    expect(settlement.wait("op", 7)).toBe(7);
    expect(settlement.wait("op", 9)).toBe(7);
    expect(settlement.inventoryCame(7)).toBe(7);
    expect(settlement.isClosed("op")).toBe(false);
    expect(settlement.inventoryCame(0)).toBe(7);
    expect(settlement.inventoryCame(8)).toBeUndefined();
    expect(settlement.isClosed("op")).toBe(true);
  });

  test("a new send opens it again", () => {
    const settlement = new Settlement();
    settlement.closed("op");
    settlement.opened("op");
    expect(settlement.isClosed("op")).toBe(false);
  });

  test("forgets the oldest of very many", () => {
    const settlement = new Settlement();
    for (let index = 0; index < 2_001; index += 1) settlement.closed(`op-${index}`);
    expect(settlement.isClosed("op-0")).toBe(false);
    expect(settlement.isClosed("op-2000")).toBe(true);
  });
});

describe("operationOf", () => {
  test.each([
    ["abc.1", "abc"],
    ["abc.12", "abc"],
    ["abc", "abc"],
    ["a.b", "a.b"],
  ])("%s belongs to %s", (commandId, operation) => expect(operationOf(commandId)).toBe(operation));
});
