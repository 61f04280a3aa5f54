import { describe, expect, test } from "vitest";
import type { DeviceSession } from "../../../src/backends/contract.ts";
import { hiveonPlanner } from "../../../src/backends/hiveon/index.ts";
import type { EdgeContainer, EdgeContainerStatus } from "../../../src/crds/edge-container.ts";
import { closedInVain, type ContainerMemory } from "../../../src/reconcilers/edge-container/memory.ts";
import { claimOf } from "../../../src/reconcilers/edge-container/rental.ts";

const OURS = "k:ours";

function claim(
  status: Partial<EdgeContainerStatus>,
  annotations: Record<string, string> = {},
  memory: ContainerMemory = { uid: "u" },
) {
  const object = {
    metadata: { name: "web", namespace: "n", uid: "u", annotations },
    spec: { deviceRef: { name: "d" } },
    status,
  } as unknown as EdgeContainer;
  return claimOf(object, hiveonPlanner, "o", OURS, memory);
}

const rented = (account?: string): Partial<EdgeContainerStatus> => ({
  rentedSince: "2026-01-01T00:00:00Z",
  external: { id: "d-1", attempt: 1, ...(account !== undefined && { account }) },
  state: { running: { startedAt: "2026-01-01T00:00:01Z" } },
});
const operation = (attempt: number, account: string): NonNullable<EdgeContainerStatus["operation"]> => ({
  id: "op-1",
  type: "Create",
  generation: 1,
  attempt,
  account,
  startedAt: "2026-01-01T00:00:00Z",
});

describe("what a session is told of an object's rental", () => {
  test("says with which credentials it was recorded only where they are others than the present ones", () => {
    expect(claim(rented(OURS))?.recorded).toEqual({
      externalId: "d-1",
      attempt: 1,
      startedAt: "2026-01-01T00:00:01Z",
    });
    expect(claim(rented("k:former"))?.recorded).toMatchObject({ under: "k:former" });
    expect(claim({ operation: operation(1, "k:former") })?.operation).toEqual({
      id: "op-1",
      attempt: 1,
      under: "k:former",
    });
    // Of a version that recorded none.
    expect(claim(rented())?.recorded).not.toHaveProperty("under");
  });

  test("says that it has ended where nothing is rented, where the next one was begun, or where a person says so of that very one", () => {
    const ended = (status: Partial<EdgeContainerStatus>, annotations?: Record<string, string>) =>
      claim(status, annotations)?.recorded?.ended;
    const { rentedSince: _none, ...over } = rented(OURS);
    expect(ended(rented(OURS))).toBeUndefined();
    expect(ended(over)).toBe(true);
    expect(ended({ ...rented(OURS), operation: operation(1, OURS) })).toBeUndefined();
    expect(ended({ ...rented(OURS), operation: operation(2, OURS) })).toBe(true);
    expect(ended(rented(OURS), { "edge.drayage.dev/confirm-ended": "d-1" })).toBe(true);
    expect(ended(rented(OURS), { "edge.drayage.dev/confirm-ended": "d-2" })).toBeUndefined();
  });

  test("says that the vendor was never seen to know it, and that an operation is confirmed to have made nothing", () => {
    const unseen = { ...rented(OURS), state: { waiting: { reason: "Unknown", message: "never shown" } } };
    expect(claim(unseen)?.recorded).toMatchObject({ unseen: true });
    const open = { operation: operation(1, OURS) };
    expect(claim(open, { "edge.drayage.dev/confirm-not-created": "op-1" })?.operation).toMatchObject({
      madeNothing: true,
    });
    expect(claim(open, { "edge.drayage.dev/confirm-not-created": "op-2" })?.operation).not.toHaveProperty(
      "madeNothing",
    );
  });

  test("says that an operation made nothing where this process knows it, also where that could not be written down", () => {
    const open = { operation: operation(1, "k:former") };
    const outcome = { commandId: "op-1.1", kind: "Create" } as const;
    const failure = { class: "Unauthorized", message: "401" } as const;
    const sent = {
      commandId: "op-1.1",
      kind: "Create",
      session: {} as DeviceSession,
      before: "",
      operationId: "op-1",
    } as const;
    const isInVain = (memory: Omit<ContainerMemory, "uid">): boolean =>
      claim(open, {}, { uid: "u", ...memory })?.operation?.madeNothing === true;
    expect(isInVain({ closed: closedInVain("op-1", failure) })).toBe(true);
    expect(isInVain({ closed: closedInVain("op-1") })).toBe(true);
    expect(isInVain({ sent: { ...sent, outcome: { ...outcome, result: "Failed", failure } } })).toBe(true);
    // It is another one, or nobody knows, or it made something.
    expect(isInVain({ closed: closedInVain("op-2") })).toBe(false);
    expect(isInVain({ closed: { operationId: "op-1" } })).toBe(false);
    expect(isInVain({ sent })).toBe(false);
    expect(isInVain({ sent: { ...sent, outcome: { ...outcome, result: "Lost" } } })).toBe(false);
    expect(isInVain({ sent: { ...sent, outcome: { ...outcome, result: "Succeeded", externalId: "d" } } })).toBe(false);
  });
});
