/** The matrix, part 2: what may happen to the events that tell of an effect. */
import type { EventEffect } from "../../../src/simulators/kanto/index.ts";
import type { Fault } from "./kanto-matrix/fault.ts";
import { describeFaults, ends, type FaultTable } from "./kanto-matrix/suite.ts";

const MS = 300;

function onEvent(
  name: string,
  effect: EventEffect,
  times: number | "all" = 1,
  rest: Partial<Pick<Fault, "effects">> = {},
): Fault {
  return {
    name,
    when: "before",
    strike: ({ device }) => device.faults.event({ effect, times }),
    heal: ({ device }) => device.faults.clearRules(),
    allows: ends("Succeeded"),
    ...rest,
  };
}

const FAULTS = {
  drop: [
    onEvent("the first event is dropped", { kind: "drop" }),
    // Until the command has ended: nothing but its answer comes through. An inventory that shows no effect after half a minute is believed,
    // and what is the same when done twice is done again; a create never is.
    onEvent("all events are dropped", { kind: "drop" }, "all", { effects: 2 }),
  ],
  delay: [onEvent("the first event is late", { kind: "delay", ms: MS })],
  duplicate: [onEvent("each event comes twice", { kind: "duplicate" }, "all")],
  slow: [onEvent("the device waits for the broker with its next event", { kind: "slow", ms: MS })],
  reorder: [
    onEvent("two events change places", { kind: "reorder", count: 2 }),
    onEvent("three events come in reverse", { kind: "reorder", count: 3 }),
  ],
} as const satisfies FaultTable<EventEffect["kind"]>;

describeFaults(FAULTS);
