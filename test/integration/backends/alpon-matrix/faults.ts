/** What may befall the stream of a deployment, the device behind the vendor, the account, our own process, and what people do on the device meanwhile. */
import type { Effect } from "../../../../src/simulators/alpon/index.ts";
import type { Fault, Row } from "../vendor-matrix/cell.ts";
import { HOUR_MS, type Stage } from "../vendor-matrix/stage.ts";
import { PORT, THEIR_IMAGE, THEIRS, type Alpon } from "./rows.ts";

const DAY_MS = 24 * HOUR_MS;
/** A few polls. */
const WHILE_MS = HOUR_MS;
/** People are done within this. */
const PEOPLE_MS = 10_000;

type AlponFault = Fault<Alpon>;

/** A rule that strikes once. */
function rule(match: "deploy" | "update", effect: Effect): AlponFault["strike"] {
  return ({ vendor }) => {
    const struck = vendor.simulator.fault({ match, effect });
    return () => struck.hits() > 0;
  };
}

function streamFaults(match: "deploy" | "update"): AlponFault[] {
  const effects: [string, Effect][] = [
    ...[0, 1, 3, 6].flatMap((afterEvents) =>
      [true, false].flatMap((completes): [string, Effect][] => {
        const what = `after ${afterEvents} events, and the device ${completes ? "goes on" : "gives up"}`;
        return [
          [`is reset ${what}`, { kind: "cut", afterEvents, completes }],
          [`ends ${what}`, { kind: "cut", afterEvents, completes, how: "end" }],
          [`says nothing more ${what}`, { kind: "stall", afterEvents, completes }],
        ];
      }),
    ),
    ["says everything twice", { kind: "events", how: "twice" }],
    ["says everything in reverse", { kind: "events", how: "reversed" }],
    [
      "says that the device could not be reached, half way",
      { kind: "fail", code: "DeviceNotReachable", afterEvents: 3 },
    ],
    ["says that nobody knows why it failed", { kind: "fail", code: "Unknown" }],
    ["says that it failed, and it is done", { kind: "fail", code: "ErrorSaveDeploymentToFile", applied: true }],
    ["says that it failed to be saved", { kind: "fail", code: "ErrorSaveDeploymentToFile" }],
  ];
  return effects.map(([what, effect]) => ({
    name: `${match}: its stream ${what}`,
    when: "before",
    strike: rule(match, effect),
    lastsMs: WHILE_MS,
    concerns: ({ requests }) => requests.includes(match),
    // What the vendor says has failed is sent again, whether or not it was done: it makes no difference.
    more: ({ name }) => (name === "update" && effect.kind === "fail" && effect.applied === true ? 1 : 0),
  }));
}

const offline = ({ vendor }: Stage<Alpon>): void => void (vendor.device.online = false);
const online = ({ vendor }: Stage<Alpon>): void => void (vendor.device.online = true);

function offlineFor(what: string, lastsMs: number): AlponFault[] {
  return (["before", "during"] as const).flatMap((when) => [
    {
      name: `offline for ${what}, from ${when === "before" ? "before" : "the middle"}`,
      when,
      strike: offline,
      lastsMs,
      heal: online,
    },
    {
      name: `offline for ${what}, which the vendor does not tell, from ${when === "before" ? "before" : "the middle"}`,
      when,
      strike: ({ vendor, ...stage }) => {
        vendor.simulator.quirks.deviceStatus = false;
        offline({ ...stage, vendor } as Stage<Alpon>);
      },
      lastsMs,
      heal: online,
    },
  ]);
}

const DEVICE: readonly AlponFault[] = [
  ...offlineFor("an hour", HOUR_MS),
  ...offlineFor("a day", DAY_MS),
  ...[true, false].map((resumes): AlponFault => ({
    name: `the device restarts in the middle, and ${resumes ? "goes on where it was" : "has forgotten what it did"}`,
    when: "during",
    strike: ({ vendor }) => vendor.device.reboot({ downMs: 60_000, resumes }),
    lastsMs: WHILE_MS,
    // What was sent again while it was away is the same.
    more: ({ name }) => (name === "update" && resumes ? 1 : 0),
  })),
  ...(["notApplied", "applied"] as const).map((diskFull): AlponFault => ({
    name: `the disk is full${diskFull === "applied" ? ", and containers run all the same" : ""}`,
    when: "before",
    strike: ({ vendor }) => void (vendor.device.diskFull = diskFull),
    lastsMs: WHILE_MS,
    heal: ({ vendor }) => void (vendor.device.diskFull = "no"),
    more: ({ name }) => (name === "update" && diskFull === "applied" ? 1 : 0),
  })),
  {
    name: "an old bundle, which tells no progress",
    when: "before",
    strike: ({ vendor }) => void (vendor.device.bundle = "25.1.18.1"),
  },
  {
    name: "lists are late",
    when: "before",
    strike: ({ vendor }) => void Object.assign(vendor.simulator.quirks, { visibleAfterMs: 10_000, lingersMs: 10_000 }),
  },
];

const ACCOUNT: readonly AlponFault[] = [
  ...(["before", "during"] as const).map((when): AlponFault => {
    const reopen = new WeakMap<Stage<Alpon>, () => Promise<void>>();
    return {
      name: `nobody answers for an hour, from ${when === "before" ? "before" : "the middle"}`,
      when,
      strike: async (stage) => void reopen.set(stage, await stage.vendor.simulator.outage()),
      lastsMs: HOUR_MS,
      heal: async (stage) => reopen.get(stage)?.(),
    };
  }),
  ...(["before", "during"] as const).map((when): AlponFault => ({
    name: `the key is refused for ${when === "before" ? "hours, from before" : "an hour, from the middle"}`,
    when,
    strike: ({ vendor }) => vendor.simulator.authorize(when === "before" ? 401 : 403),
    lastsMs: when === "before" ? 6 * HOUR_MS : HOUR_MS,
    heal: ({ vendor }) => vendor.simulator.authorize("ok"),
  })),
];

/** What is being updated is not known to the next one, so it is sent again: it makes no difference. */
function sentAgain({ name }: Row<Alpon>): number {
  return name === "update" ? 1 : 0;
}

const OURS: readonly AlponFault[] = [
  {
    name: "our session is closed and opened again in the middle",
    when: "during",
    strike: ({ operator }) => operator.reopen(),
    more: sentAgain,
  },
  {
    name: "our process dies in the middle, and another one takes over",
    when: "during",
    strike: (stage) => stage.restart(),
    more: sentAgain,
  },
  {
    name: "our process dies before anything was answered, and another one takes over",
    when: "before",
    strike: ({ vendor }) => void vendor.simulator.fault({ match: "deploy", effect: { kind: "reset", when: "after" } }),
    lastsMs: 5_000,
    heal: (stage) => stage.restart(),
  },
  ...(["before", "during"] as const).map((when): AlponFault => ({
    name: `we may not write for a while, from ${when === "before" ? "before" : "the middle"}`,
    when,
    strike: ({ operator }) => void (operator.fence.held = false),
    lastsMs: 300_000,
    heal: ({ operator }) => void (operator.fence.held = true),
  })),
];

const theirs = (name: string) => ({ name, image: `${THEIR_IMAGE}:2` });
/** The rows in which something of ours runs on. */
const runs = ({ name }: Row<Alpon>): boolean => name === "watch" || name === "update";
const nameOfOurs = ({ object }: Stage<Alpon>): string => object?.status?.external?.name ?? "";

const PEOPLE: readonly AlponFault[] = [
  {
    name: "people remove their container in the middle",
    when: "during",
    strike: ({ vendor }) => void vendor.device.remove(THEIRS),
  },
  {
    name: "people deploy another container, and the device is busy with it",
    when: "before",
    strike: ({ vendor }) =>
      void vendor.device.deploy({ ...theirs("others"), image: `${THEIR_IMAGE}:slow` }, () => undefined),
    peopleMs: PEOPLE_MS,
  },
  {
    name: "people update their container again and again",
    when: "before",
    strike: ({ vendor }) => {
      const again = (): Promise<void> =>
        vendor.device.update(THEIRS, { environments: { LEVEL: "high" } }, () => undefined);
      void again().then(again).then(again);
    },
    peopleMs: PEOPLE_MS,
  },
  {
    name: "people have our port for an hour",
    when: "before",
    strike: async (stage) => {
      const ports = [{ host: PORT, container: 1 }];
      const deploying = stage.vendor.device.deploy({ ...theirs("holder"), ports }, () => undefined);
      await Promise.all([deploying, stage.pass(PEOPLE_MS)]);
    },
    peopleMs: PEOPLE_MS,
    lastsMs: HOUR_MS,
    heal: ({ vendor }) => void vendor.device.remove("holder"),
    concerns: ({ name }) => name === "deploy",
  },
  {
    name: "people have deployed something under our name, for an hour",
    when: "before",
    strike: async (stage) => {
      const named = theirs("web-c4cda5d5");
      await Promise.all([stage.vendor.device.deploy(named, () => undefined), stage.pass(PEOPLE_MS)]);
    },
    peopleMs: PEOPLE_MS,
    lastsMs: HOUR_MS,
    heal: ({ vendor }) => void vendor.device.remove("web-c4cda5d5"),
    concerns: ({ name }) => name === "deploy",
  },
  {
    name: "people remove our container",
    when: "during",
    strike: (stage) => void stage.vendor.device.remove(nameOfOurs(stage)),
    concerns: runs,
    more: () => 1,
  },
  {
    name: "people change our container",
    when: "during",
    strike: async (stage) => {
      const changes = { image: "registry.example/other:1", ports: [] };
      const changing = stage.vendor.device.update(nameOfOurs(stage), changes, () => undefined);
      await Promise.all([changing, stage.pass(PEOPLE_MS)]);
    },
    concerns: ({ name }) => name === "watch",
    // Theirs, and ours that takes it back.
    more: () => 2,
  },
];

export const FAULTS: readonly AlponFault[] = [
  ...streamFaults("deploy"),
  ...streamFaults("update"),
  ...DEVICE,
  ...ACCOUNT,
  ...OURS,
  ...PEOPLE,
];
