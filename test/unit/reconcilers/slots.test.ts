import { expect, test } from "vitest";
import { SlotWaiters } from "../../../src/reconcilers/slots.ts";

test("waiters come one at a time, first come first served, each once", () => {
  const slots = new SlotWaiters();
  for (const key of ["a", "b", "a", "c"]) slots.wait("device", key);
  slots.wait("other", "z");
  expect([slots.next("device"), slots.next("device"), slots.next("device"), slots.next("device")]).toEqual([
    "a",
    "b",
    "c",
    undefined,
  ]);
  expect(slots.next("other")).toBe("z");
});

test("a waiter that was looked at for another reason leaves the queue", () => {
  const slots = new SlotWaiters();
  slots.wait("device", "a");
  slots.wait("device", "b");
  slots.leave("device", "a");
  expect(slots.next("device")).toBe("b");
  expect(slots.next("device")).toBeUndefined();
});

test("nobody is woken while the slot is reserved: waiters would wake each other without end", () => {
  const slots = new SlotWaiters();
  expect(slots.reserve("device", "a")).toBe(true);
  expect(slots.reserve("device", "b")).toBe(false);
  expect(slots.reserve("device", "a")).toBe(true);
  slots.wait("device", "b");
  expect(slots.next("device")).toBeUndefined();
  slots.release("device", "b");
  expect(slots.next("device")).toBeUndefined();
  slots.release("device", "a");
  expect(slots.next("device")).toBe("b");
});
