// Which status writes wait for the outcome of a command, so that a change that takes a moment costs one write and not two.

import { describe, expect, test } from "vitest";
import type { Command } from "../../../src/backends/contract.ts";
import type { EdgeContainerStatus } from "../../../src/crds/edge-container.ts";
import type { ContainerMemory } from "../../../src/reconcilers/edge-container/memory.ts";
import { holdMs, OUTCOME_HOLD_MS } from "../../../src/reconcilers/edge-container/report.ts";

type Held = Pick<ContainerMemory, "sent" | "unsaved" | "heldSinceMs">;

const BEFORE: EdgeContainerStatus = { observedGeneration: 1 };
const AFTER: EdgeContainerStatus = { observedGeneration: 2 };

function inFlight(kind: Command["kind"]): Held {
  return { sent: { commandId: "c", kind, before: "" } as ContainerMemory["sent"] & object };
}

describe("news while a command is in flight", () => {
  const kinds: Command["kind"][] = ["Start", "Stop", "Pause", "Resume", "Rename", "Update", "Remove"];
  test.each(kinds)("waits for the outcome of %s, for a second", (kind) => {
    const memory = inFlight(kind);
    expect(holdMs(BEFORE, AFTER, memory, 5_000)).toBe(OUTCOME_HOLD_MS);
    expect(holdMs(BEFORE, AFTER, memory, 5_400)).toBe(OUTCOME_HOLD_MS - 400);
    expect(holdMs(BEFORE, AFTER, memory, 5_000 + OUTCOME_HOLD_MS)).toBe(0);
    expect(holdMs(BEFORE, AFTER, memory, 99_000)).toBe(0);
  });

  test("waits a second in all, however many commands follow each other", () => {
    const memory = inFlight("Stop");
    expect(holdMs(BEFORE, AFTER, memory, 0)).toBe(OUTCOME_HOLD_MS);
    memory.sent = inFlight("Remove").sent as ContainerMemory["sent"] & object;
    expect(holdMs(BEFORE, AFTER, memory, 900)).toBe(100);
    memory.sent = inFlight("Start").sent as ContainerMemory["sent"] & object;
    expect(holdMs(BEFORE, AFTER, memory, 1_000)).toBe(0);
  });

  test("of a create is written at once: it lasts as long as its image takes", () => {
    expect(holdMs(BEFORE, AFTER, inFlight("Create"), 0)).toBe(0);
  });

  test("that is a failure is written at once", () => {
    const memory = inFlight("Start");
    memory.unsaved = {} as ContainerMemory["unsaved"] & object;
    expect(holdMs(BEFORE, AFTER, memory, 0)).toBe(0);
  });

  test("that answers an annotation is written at once, or it would be asked again", () => {
    const answered = { ...AFTER, lastHandled: { retry: "now" } } as EdgeContainerStatus;
    expect(holdMs(BEFORE, answered, inFlight("Start"), 0)).toBe(0);
  });
});

test("without a command in flight nothing waits", () => {
  expect(holdMs(BEFORE, AFTER, {}, 0)).toBe(0);
  expect(holdMs(undefined, AFTER, {}, 0)).toBe(0);
});
