/** What may befall a rental and its machine, the account, our own process, and what people do at the vendor meanwhile. */
import type { Fault, Row } from "../vendor-matrix/cell.ts";
import { HOUR_MS, type Stage } from "../vendor-matrix/stage.ts";
import { MACHINE, rentByHand, running, THEIR_MACHINE, type Hiveon } from "./rows.ts";

const DAY_MS = 24 * HOUR_MS;
/** Below the minute that counts as settled. */
const LATE_MS = 30_000;

type HiveonFault = Fault<Hiveon>;

const quirks =
  (change: Partial<Hiveon["simulator"]["quirks"]>) =>
  (stage: Stage<Hiveon>): void =>
    void Object.assign(stage.vendor.simulator.quirks, change);
/** Rows in which something is rented in the end. */
const isRented = ({ name }: Row<Hiveon>): boolean => name !== "stop" && name !== "delete";
const begins = ({ requests }: Row<Hiveon>): boolean => requests.includes("start");
const ends = ({ requests }: Row<Hiveon>): boolean => requests.includes("stop");

const STARTS: readonly HiveonFault[] = [
  ...(["refuse", "same"] as const).map((duplicates): HiveonFault => ({
    name: `start: a gateway repeats it, and the vendor ${duplicates === "same" ? "gives the same rental again" : "refuses the second"}`,
    when: "before",
    strike: ({ vendor }) => {
      vendor.simulator.quirks.duplicates = duplicates;
      const struck = vendor.simulator.fault({ match: "start", effect: { kind: "twice" } });
      return () => struck.hits() > 0;
    },
    concerns: begins,
  })),
  ...([400, 404, 409] as const).flatMap((status) =>
    (["before", "after"] as const).map((when): HiveonFault => ({
      name: `start: ${status}${when === "after" ? " after it was done" : ""}`,
      when: "before",
      strike: ({ vendor }) => {
        const struck = vendor.simulator.fault({ match: "start", effect: { kind: "answer", when, status } });
        return () => struck.hits() > 0;
      },
      concerns: begins,
    })),
  ),
  ...(["reset", "hang"] as const).map((kind): HiveonFault => ({
    name: `start: lost after it was done (${kind}), and the rental shows late`,
    when: "before",
    strike: ({ vendor }) => {
      vendor.simulator.quirks.visibleAfterMs = LATE_MS;
      const struck = vendor.simulator.fault({ match: "start", effect: { kind, when: "after" } });
      return () => struck.hits() > 0;
    },
    concerns: begins,
  })),
  { name: "rentals show late", when: "before", strike: quirks({ visibleAfterMs: LATE_MS }) },
  { name: "the vendor tells nothing again", when: "before", strike: quirks({ echoMetadata: false }) },
];

const RENTALS: readonly HiveonFault[] = [
  {
    name: "the rental fails while it is made ready",
    when: "before",
    strike: ({ vendor }) =>
      vendor.simulator.platform.failImage("registry.example/app:1", { code: 1, message: "failed" }),
    lastsMs: HOUR_MS / 2,
    heal: ({ vendor }) => vendor.simulator.platform.failImage("registry.example/app:1", undefined),
    concerns: ({ name }) => name === "rent",
    more: () => 20,
  },
  {
    name: "the rental fails",
    when: "during",
    strike: ({ vendor }) => {
      for (const { deploymentId } of running(vendor)) vendor.simulator.platform.fail(deploymentId);
    },
    more: (row) => (isRented(row) ? 1 : 0),
  },
  {
    name: "the vendor ends the rental",
    when: "during",
    strike: ({ vendor }) => {
      for (const { deploymentId } of running(vendor)) vendor.simulator.platform.end(deploymentId);
    },
    more: (row) => (isRented(row) ? 1 : 0),
  },
  ...[1, 3].map((count): HiveonFault => ({
    name: `${count === 1 ? "a stop fails" : "three stops fail"}, and it goes on costing`,
    when: "before",
    strike: ({ vendor }) => vendor.simulator.platform.failStops(count),
    concerns: ends,
  })),
  {
    name: "the machine restarts while the rental is made ready: it fails, and the machine is away for an hour",
    when: "during",
    strike: ({ vendor }) => {
      for (const { deploymentId } of running(vendor)) vendor.simulator.platform.fail(deploymentId);
      vendor.simulator.platform.setAway(MACHINE, true);
    },
    lastsMs: HOUR_MS,
    heal: ({ vendor }) => vendor.simulator.platform.setAway(MACHINE, false),
    more: (row) => (isRented(row) ? 1 : 0),
  },
  ...(
    [
      ["an hour", HOUR_MS],
      ["a day", DAY_MS],
    ] as const
  ).map(([what, lastsMs]): HiveonFault => ({
    name: `the machine is away for ${what}`,
    when: "before",
    strike: ({ vendor }) => vendor.simulator.platform.setAway(MACHINE, true),
    lastsMs,
    heal: ({ vendor }) => vendor.simulator.platform.setAway(MACHINE, false),
  })),
  {
    name: "the price is no longer offered, for an hour",
    when: "before",
    strike: ({ vendor }) => vendor.simulator.platform.setPrices(MACHINE, []),
    lastsMs: HOUR_MS,
    heal: ({ vendor }) =>
      vendor.simulator.platform.setPrices(MACHINE, [{ id: `${MACHINE}-price`, amount: "1", currency: "BTC" }]),
  },
  {
    name: "the vendor's word for the status is none that is known, for an hour",
    when: "during",
    strike: quirks({ unknownStatus: true }),
    lastsMs: HOUR_MS,
    heal: quirks({ unknownStatus: false }),
  },
];

const ACCOUNT: readonly HiveonFault[] = [
  ...(["before", "during"] as const).map((when): HiveonFault => {
    const reopen = new WeakMap<Stage<Hiveon>, () => Promise<void>>();
    return {
      name: `nobody answers for ${when === "before" ? "hours, from before" : "an hour, from the middle"}`,
      when,
      strike: async (stage) => void reopen.set(stage, await stage.vendor.simulator.outage()),
      lastsMs: when === "before" ? 6 * HOUR_MS : HOUR_MS,
      heal: async (stage) => reopen.get(stage)?.(),
    };
  }),
  ...(["before", "during"] as const).map((when): HiveonFault => ({
    name: `the key is refused for ${when === "before" ? "hours, from before" : "an hour, from the middle"}`,
    when,
    strike: ({ vendor }) => vendor.simulator.authorize(when === "before" ? 401 : 403),
    lastsMs: when === "before" ? 6 * HOUR_MS : HOUR_MS,
    heal: ({ vendor }) => vendor.simulator.authorize("ok"),
  })),
];

const OURS: readonly HiveonFault[] = [
  {
    name: "our session is closed and opened again in the middle",
    when: "during",
    strike: ({ operator }) => operator.reopen(),
  },
  {
    name: "our process dies in the middle, and another one takes over",
    when: "during",
    strike: (stage) => stage.restart(),
  },
  {
    name: "our process dies before the start was answered, and the rental shows late to the next one",
    when: "before",
    strike: ({ vendor }) => {
      vendor.simulator.quirks.visibleAfterMs = LATE_MS;
      vendor.simulator.fault({ match: "start", effect: { kind: "hang", when: "after" } });
    },
    lastsMs: 15_000,
    heal: (stage) => stage.restart(),
    concerns: begins,
  },
  ...(["before", "during"] as const).map((when): HiveonFault => ({
    name: `we may not write for a while, from ${when === "before" ? "before" : "the middle"}`,
    when,
    strike: ({ operator }) => void (operator.fence.held = false),
    lastsMs: 300_000,
    heal: ({ operator }) => void (operator.fence.held = true),
  })),
];

const PEOPLE: readonly HiveonFault[] = [
  {
    name: "people stop our rental",
    when: "during",
    strike: ({ vendor }) => {
      for (const { deploymentId } of running(vendor)) vendor.simulator.platform.stop(deploymentId);
    },
    more: (row) => (isRented(row) ? 1 : 0),
  },
  {
    name: "people stop theirs, and rent it again",
    when: "during",
    strike: async (stage) => {
      const { simulator } = stage.vendor;
      for (const { deploymentId, machineId } of simulator.rentals())
        if (machineId === THEIR_MACHINE) simulator.platform.stop(deploymentId);
      await stage.pass(20_000);
      rentByHand(simulator);
    },
    peopleMs: 60_000,
  },
  {
    name: "people have rented our machine before us, for an hour",
    when: "before",
    strike: ({ vendor }) => vendor.simulator.platform.setAway(MACHINE, true),
    lastsMs: HOUR_MS,
    heal: ({ vendor }) => vendor.simulator.platform.setAway(MACHINE, false),
    concerns: (row) => begins(row),
  },
];

export const FAULTS: readonly HiveonFault[] = [...STARTS, ...RENTALS, ...ACCOUNT, ...OURS, ...PEOPLE];
