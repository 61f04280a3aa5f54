import { expect, test } from "vitest";
import { EVENT_REASONS } from "../../../src/reconcilers/event-reasons.ts";

test("event reasons are frozen: alerts select by them", () => {
  expect(Object.values(EVENT_REASONS).sort()).toEqual([
    "Adopted",
    "ChildCreated",
    "ChildRemoved",
    "Connected",
    "Creating",
    "Orphaned",
    "RemovalFailed",
    "RemovalPending",
    "StackDoubled",
    "StackKept",
    "StopFailed",
    "StrayLeft",
    "StrayRemoved",
  ]);
});
