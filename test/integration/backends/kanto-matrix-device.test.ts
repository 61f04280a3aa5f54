/** The matrix, part 3: every other fault switch of the simulated device. */
import { expect, test } from "vitest";
import { Faults } from "../../../src/simulators/kanto/device-faults.ts";
import { until } from "../../conformance/harness.ts";
import type { Cell, Ending, Fault } from "./kanto-matrix/fault.ts";
import { IMAGE, PORT } from "./kanto-matrix/rows.ts";
import { describeFaults, ends, type FaultTable } from "./kanto-matrix/suite.ts";

const SHORT_MS = 300;
/** Past the timeouts of all but a removal. */
const LONG_MS = 2_500;

/** The daemon is down, or the device cannot be reached, for as long as it takes to notice. */
const away = ends("Succeeded", "Lost", "NotSent:Offline", "NotSent:NotSynced", "Failed:Unreachable");
/** The machine's end is the end of its processes: a container may be found in another state than the operation needs. */
const restarted = ends(...away(), "Failed:Conflict");
const unharmed = ends("Succeeded");

function pullFails(failure: "not-found" | "denied"): Fault {
  return {
    name: `the image cannot be pulled (${failure})`,
    when: "before",
    strike: ({ device }) => {
      device.faults.forgetImage(IMAGE);
      device.faults.pullFailure(IMAGE, failure);
    },
    heal: ({ device }) => device.faults.pullFailure(IMAGE, undefined),
    allows: only("createWithConfig", "Failed:WorkloadFailed"),
  };
}

/** One operation may fail in this way; all the others are not concerned. */
function only(operation: string, ending: Ending) {
  return (each: string): readonly Ending[] => (each === operation ? ["Succeeded", ending] : ["Succeeded"]);
}

const online = ({ device }: Cell): void => device.faults.online();

/** Stops that are under way when the daemon is to come back. */
const stopping = new WeakMap<Cell, Promise<void>>();
function stopDaemon(cell: Cell): void {
  stopping.set(cell, cell.device.faults.stopDaemon());
}
async function startDaemon(cell: Cell): Promise<void> {
  await stopping.get(cell);
  await cell.device.faults.startDaemon();
}

/** Its process ends now, if it has one that is not frozen for good. */
function endProcess({ device, container }: Cell): void {
  const isAlive =
    container !== undefined && ["RUNNING", "PAUSED"].includes(String(device.container(container).state["status"]));
  if (isAlive) device.faults.exit(container, { code: 1 });
}

const FAULTS = {
  offline: [
    {
      name: "offline, not noticed yet",
      when: "before",
      strike: ({ device }) => device.faults.offline(),
      heal: online,
      allows: away,
    },
    {
      name: "silently offline, not noticed yet",
      when: "before",
      strike: ({ device }) => device.faults.offline(true),
      heal: online,
      allows: away,
    },
    {
      name: "known to be offline",
      when: "before",
      strike: async ({ device, ours }) => {
        device.faults.offline();
        await until(() => ours.session.snapshot().connection === "Offline", "Offline");
      },
      heal: online,
      allows: away,
    },
    {
      name: "offline in the middle",
      when: "during",
      strike: ({ device }) => device.faults.offline(),
      heal: online,
      allows: away,
    },
    {
      name: "silently offline in the middle",
      when: "during",
      strike: ({ device }) => device.faults.offline(true),
      heal: online,
      allows: away,
    },
  ],
  online: "ends offline",
  disconnect: [
    {
      name: "the device's connection breaks before",
      when: "before",
      strike: ({ device }) => device.faults.disconnect(),
      allows: away,
    },
    {
      name: "the device's connection breaks in the middle",
      when: "during",
      strike: ({ device }) => device.faults.disconnect(),
      allows: away,
    },
  ],
  stall: [
    {
      name: "the daemon is busy for a moment",
      when: "before",
      strike: ({ device }) => device.faults.stall(SHORT_MS),
      allows: unharmed,
    },
    {
      name: "the daemon is busy past the timeout",
      when: "before",
      strike: ({ device }) => device.faults.stall(LONG_MS),
      allows: away,
    },
  ],
  crash: [
    {
      name: "the daemon is killed before",
      when: "before",
      strike: ({ device }) => device.faults.crash(),
      allows: away,
    },
    {
      name: "the daemon is killed in the middle",
      when: "during",
      strike: ({ device }) => device.faults.crash(),
      allows: away,
    },
    {
      name: "the daemon is killed in the middle, and stays down",
      when: "during",
      strike: ({ device }) => device.faults.crash(false),
      heal: startDaemon,
      allows: away,
    },
  ],
  // What it stops it starts again at its next start: what was wanted may have to be done anew.
  stopDaemon: [
    {
      name: "the daemon is stopped before",
      when: "before",
      strike: stopDaemon,
      heal: startDaemon,
      allows: restarted,
      effects: 2,
    },
    {
      name: "the daemon is stopped in the middle",
      when: "during",
      strike: stopDaemon,
      heal: startDaemon,
      allows: restarted,
      effects: 2,
    },
  ],
  startDaemon: "ends stopDaemon",
  reboot: [
    {
      name: "the power is cut in the middle",
      when: "during",
      strike: ({ device }) => device.faults.reboot({ downMs: 100 }),
      allows: restarted,
      effects: 2,
    },
    {
      name: "the machine restarts in order, in the middle",
      when: "during",
      strike: ({ device }) => void device.faults.reboot({ clean: true, downMs: 100 }),
      allows: restarted,
      effects: 2,
    },
  ],
  command: "kanto-matrix-commands.test.ts",
  event: "kanto-matrix-events.test.ts",
  clearRules: "ends rules on commands and events",
  pullFailure: [pullFails("not-found"), pullFails("denied")],
  image: [
    {
      name: "the image's command is missing",
      when: "before",
      strike: ({ device }) => device.faults.image(IMAGE, { missingCommand: "/nowhere" }),
      heal: ({ device }) => device.faults.image(IMAGE, undefined),
      allows: only("start", "Failed:WorkloadFailed"),
    },
    {
      name: "the image's process ends at once, again and again",
      when: "before",
      strike: ({ device }) => device.faults.image(IMAGE, { runMs: 20, exitCode: 3 }),
      heal: ({ device }) => device.faults.image(IMAGE, undefined),
      allows: unharmed,
    },
  ],
  forgetImage: [
    {
      name: "the image has been deleted",
      when: "before",
      strike: ({ device }) => device.faults.forgetImage(IMAGE),
      allows: unharmed,
    },
  ],
  crashLoop: [
    {
      name: "the process crashes again and again",
      when: "before",
      strike: ({ device, container }) => {
        if (container === undefined) device.faults.image(IMAGE, { runMs: 50, exitCode: 3 });
        else device.faults.crashLoop(container, { runMs: 50, exitCode: 3 });
      },
      heal: ({ device, container }) => {
        if (container === undefined) device.faults.image(IMAGE, undefined);
        else if (device.containers().some(({ id }) => id === container)) device.faults.crashLoop(container, undefined);
      },
      // Between two runs there is nothing to pause, and a stop finds nothing to do.
      allows: ends("Succeeded", "Failed:Conflict"),
      effects: 3,
    },
  ],
  exit: [
    {
      name: "the process ends by itself in the middle",
      when: "during",
      strike: endProcess,
      allows: ends("Succeeded", "Failed:Conflict"),
      effects: 2,
    },
  ],
  holdPort: [
    {
      name: "somebody else has the host port",
      when: "before",
      strike: ({ device }) => device.faults.holdPort({ port: PORT }),
      heal: ({ device }) => device.faults.releasePort(),
      allows: only("start", "Failed:Conflict"),
    },
  ],
  releasePort: "ends holdPort",
} as const satisfies FaultTable<keyof Faults>;

test("every switch of the device has its faults here, or says where they are", () => {
  const switches = Object.getOwnPropertyNames(Faults.prototype).filter((name) => name !== "constructor");
  expect(Object.keys(FAULTS).sort()).toEqual(switches.sort());
});

describeFaults(FAULTS);
