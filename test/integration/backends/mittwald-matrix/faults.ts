/** What may befall what the vendor shows and does, the account, our own process, and what people and pipelines do in the same stack. */
import type { Effect, Quirks } from "../../../../src/simulators/mittwald/index.ts";
import type { Fault, Row } from "../vendor-matrix/cell.ts";
import type { HttpEffect } from "../vendor-matrix/http-faults.ts";
import { HOUR_MS, NAME, type Stage } from "../vendor-matrix/stage.ts";
import { THEIRS, type Mittwald } from "./rows.ts";

type MittwaldFault = Fault<Mittwald>;

/** The simulator's word for what may befall any request. */
export function wordOf(effect: HttpEffect): Effect | undefined {
  switch (effect.kind) {
    case "torn":
      return { kind: "cut" };
    case "twice":
      return { kind: "duplicate", ms: 1_000 };
    // What is read is late by events here (lagMs).
    case "stale":
      return undefined;
    default:
      return effect;
  }
}

const quirks =
  (change: Partial<Quirks>) =>
  ({ vendor }: Stage<Mittwald>): void =>
    void Object.assign(vendor.simulator.quirks, change);
/** Rows in which our service runs all the time. */
const runs = ({ name }: Row<Mittwald>): boolean => name === "watch" || name === "update";
const refOf = (name: string, { vendor }: Stage<Mittwald>): string => `${vendor.stackId}/${name}`;

const VENDOR: readonly MittwaldFault[] = [
  { name: "everything is seen late", when: "before", strike: quirks({ lagMs: 5_000 }) },
  { name: "lists are seen half a minute late", when: "before", strike: quirks({ listLagMs: 30_000 }) },
  {
    name: "nothing new is seen for an hour",
    when: "before",
    strike: quirks({ readsStuck: true }),
    lastsMs: HOUR_MS,
    heal: quirks({ readsStuck: false }),
  },
  {
    name: "a status stays what it was for a while after each action",
    when: "before",
    strike: quirks({ actionLagMs: 5_000 }),
  },
  { name: "times have whole seconds", when: "before", strike: quirks({ statusSeconds: true }) },
  { name: "answers have fields that no page has", when: "before", strike: quirks({ extraFields: true }) },
  {
    name: "the vendor's word for a status is none that is known, for an hour",
    when: "before",
    strike: quirks({ unknownStatus: "restarting" }),
    lastsMs: HOUR_MS,
    heal: quirks({ unknownStatus: undefined }),
  },
  {
    name: "few requests are allowed in a minute",
    when: "before",
    strike: quirks({ rateLimit: 4 }),
  },
  {
    name: "a change is answered as done, and nothing was",
    when: "before",
    strike: ({ vendor }) => {
      const struck = vendor.simulator.fault({ match: "update-stack", effect: { kind: "pretend" } });
      return () => struck.hits() > 0;
    },
    concerns: ({ requests }) => requests.includes("update-stack"),
  },
  {
    name: "our process ends by itself",
    when: "during",
    strike: (stage) => stage.vendor.simulator.human.exit(refOf(NAME, stage), 1),
    concerns: ({ name }) => name === "watch",
  },
];

const ACCOUNT: readonly MittwaldFault[] = [
  ...(["before", "during"] as const).map((when): MittwaldFault => {
    const reopen = new WeakMap<Stage<Mittwald>, () => Promise<void>>();
    return {
      name: `nobody answers for ${when === "before" ? "hours, from before" : "an hour, from the middle"}`,
      when,
      strike: async (stage) => void reopen.set(stage, await stage.vendor.simulator.outage()),
      lastsMs: when === "before" ? 6 * HOUR_MS : HOUR_MS,
      heal: async (stage) => reopen.get(stage)?.(),
    };
  }),
  ...(["before", "during"] as const).map((when): MittwaldFault => ({
    name: `the token is refused for ${when === "before" ? "hours, from before" : "an hour, from the middle"}`,
    when,
    strike: ({ vendor }) => vendor.simulator.authorize(when === "before" ? 401 : 403),
    lastsMs: when === "before" ? 6 * HOUR_MS : HOUR_MS,
    heal: ({ vendor }) => vendor.simulator.authorize("ok"),
  })),
];

const OURS: readonly MittwaldFault[] = [
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
  ...(["before", "during"] as const).map((when): MittwaldFault => ({
    name: `we may not write for a while, from ${when === "before" ? "before" : "the middle"}`,
    when,
    strike: ({ operator }) => void (operator.fence.held = false),
    lastsMs: 300_000,
    heal: ({ operator }) => void (operator.fence.held = true),
  })),
];

/** People are done within this. */
const PEOPLE_MS = 30_000;

const PEOPLE: readonly MittwaldFault[] = [
  {
    name: "people change theirs and recreate it",
    when: "during",
    strike: (stage) => {
      const { human } = stage.vendor.simulator;
      human.edit(refOf(THEIRS, stage), { image: "registry.example/theirs:2" });
      human.act(refOf(THEIRS, stage), "recreate");
    },
    peopleMs: PEOPLE_MS,
  },
  {
    name: "people remove theirs",
    when: "during",
    strike: (stage) => stage.vendor.simulator.human.remove(refOf(THEIRS, stage)),
    peopleMs: PEOPLE_MS,
  },
  {
    name: "people remove our service",
    when: "during",
    strike: (stage) => stage.vendor.simulator.human.remove(refOf(NAME, stage)),
    concerns: runs,
    more: () => 1,
  },
  {
    name: "a pipeline deploys the whole stack without our service",
    when: "during",
    strike: ({ vendor }) =>
      vendor.simulator.human.deploy(vendor.stackId, {
        [THEIRS]: { image: "registry.example/theirs:1", description: THEIRS },
      }),
    concerns: runs,
    more: () => 1,
  },
  {
    name: "people change our service and recreate it",
    when: "during",
    strike: (stage) => {
      const { human } = stage.vendor.simulator;
      human.edit(refOf(NAME, stage), { image: "registry.example/other:1" });
      human.act(refOf(NAME, stage), "recreate");
    },
    concerns: runs,
    more: () => 1,
  },
  ...(["stop", "restart", "recreate"] as const).map((what): MittwaldFault => ({
    name: `people ${what} our service`,
    when: "during",
    strike: (stage) => stage.vendor.simulator.human.act(refOf(NAME, stage), what),
    concerns: ({ name }) => name === "watch",
  })),
];

export const FAULTS: readonly MittwaldFault[] = [...VENDOR, ...ACCOUNT, ...OURS, ...PEOPLE];
