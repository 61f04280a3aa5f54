/** The matrix, part 1: what may happen to a command and to its answer, at each moment. */
import type { CommandEffect, Moment } from "../../../src/simulators/kanto/index.ts";
import type { Fault } from "./kanto-matrix/fault.ts";
import { describeFaults, ends, type FaultTable } from "./kanto-matrix/suite.ts";

/** Below our command timeout of 1 s. */
const SHORT_MS = 300;
/** Past the timeouts of all but a removal, which has a minute on top. */
const LONG_MS = 2_500;

const MOMENTS = {
  received: "before it is carried out",
  executed: "after it was carried out, before its answer",
  answered: "after its answer",
} as const satisfies Record<Moment, string>;

/** The next command of the operation is spoilt. */
function onCommand(name: string, effect: CommandEffect, rest: Omit<Fault, "name" | "when" | "strike">): Fault {
  return {
    name,
    when: "before",
    strike: ({ device, operation }) => device.faults.command({ operation, effect }),
    ...rest,
  };
}

function atEachMoment(
  name: string,
  effect: (when: Moment) => CommandEffect,
  rest: Partial<Pick<Fault, "allows" | "effects">> = {},
): Fault[] {
  return (Object.keys(MOMENTS) as Moment[]).map((when) =>
    onCommand(`${name} ${MOMENTS[when]}`, effect(when), { allows: ends("Succeeded", "Lost"), ...rest }),
  );
}

const FAULTS = {
  lose: [onCommand("the command is lost", { kind: "lose" }, { allows: ends("Lost", "Succeeded") })],
  loseReply: [onCommand("the answer is lost", { kind: "loseReply" }, { allows: ends("Succeeded", "Lost") })],
  delay: [
    onCommand("the command is delayed", { kind: "delay", ms: SHORT_MS }, { allows: ends("Succeeded") }),
    onCommand(
      "the command is delayed past its timeout",
      { kind: "delay", ms: LONG_MS },
      { allows: ends("Succeeded", "Lost") },
    ),
  ],
  delayReply: [
    onCommand("the answer is delayed", { kind: "delayReply", ms: SHORT_MS }, { allows: ends("Succeeded", "Lost") }),
    onCommand(
      "the answer is delayed past the timeout",
      { kind: "delayReply", ms: LONG_MS },
      { allows: ends("Succeeded", "Lost") },
    ),
  ],
  duplicateReply: [onCommand("the answer comes twice", { kind: "duplicateReply" }, { allows: ends("Succeeded") })],
  disconnect: atEachMoment("the device's connection breaks", (when) => ({ kind: "disconnect", when })),
  crash: atEachMoment("the daemon is killed", (when) => ({ kind: "crash", when })),
  // A process that was started or frozen is gone with the power: the operation is needed again, and may find it in another state.
  reboot: atEachMoment("the power is cut", (when) => ({ kind: "reboot", when }), {
    allows: ends("Succeeded", "Lost", "Failed:Conflict"),
    effects: 2,
  }),
} as const satisfies FaultTable<CommandEffect["kind"]>;

describeFaults(FAULTS);
