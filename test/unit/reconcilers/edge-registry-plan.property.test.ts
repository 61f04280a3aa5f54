import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type {
  ObservedRegistry,
  RegistryListing,
  RegistryMarker,
  RegistryOutcome,
} from "../../../src/backends/registry-contract.ts";
import type { RegistryProject } from "../../../src/crds/edge-registry.ts";
import {
  afterStep,
  newEntry,
  planProject,
  type ProjectFacts,
  type ProjectStep,
} from "../../../src/reconcilers/edge-registry/plan.ts";

const OURS = { owner: "o", namespace: "line", name: "acme", uid: "u1" };
const SETTLE_MS = 3_000;
const userHash = (username: string) => `u:${username}`;

interface Row extends ObservedRegistry {
  password?: string;
  human?: true;
}

/** A vendor whose lists trail its writes, and whose answers get lost. It allows two registries of one host: no help from there. */
class Vendor {
  nowMs = Date.parse("2026-01-01T00:00:00Z");
  lagMs = 0;
  rows: Row[];
  creates = 0;
  #ids = 0;
  readonly #history: { atMs: number; rows: Row[] }[] = [];
  readonly #pending: { atMs: number; run: () => void }[] = [];

  constructor(rows: Row[]) {
    this.rows = rows;
    this.#history.push({ atMs: 0, rows });
  }

  change(run: (rows: Row[]) => Row[]): void {
    this.rows = run(this.rows.map((row) => ({ ...row })));
    this.#history.push({ atMs: this.nowMs, rows: this.rows });
  }

  later(delayMs: number, run: () => void): void {
    if (delayMs === 0) run();
    else this.#pending.push({ atMs: this.nowMs + delayMs, run });
  }

  pass(ms: number): void {
    const untilMs = this.nowMs + ms;
    for (;;) {
      const due = this.#pending.filter(({ atMs }) => atMs <= untilMs).sort((a, b) => a.atMs - b.atMs)[0];
      if (due === undefined) break;
      this.#pending.splice(this.#pending.indexOf(due), 1);
      this.nowMs = Math.max(this.nowMs, due.atMs);
      due.run();
    }
    this.nowMs = untilMs;
  }

  list(): RegistryListing {
    const seen = this.#history.findLast(({ atMs }) => atMs <= this.nowMs - this.lagMs) ?? this.#history[0];
    return { ok: true, stale: false, registries: (seen?.rows ?? []).map(({ password: _p, human: _h, ...row }) => row) };
  }

  apply(
    step: ProjectStep,
    marker: Omit<RegistryMarker, "origin">,
    login: { username: string; password: string },
  ): void {
    switch (step.type) {
      case "Create":
        this.creates++;
        return this.change((rows) => [
          ...rows,
          {
            id: `made-${++this.#ids}`,
            host: "r.example",
            description: "",
            isDefault: false,
            marker: { ...marker, origin: "Created" },
            ...login,
          },
        ]);
      case "Set":
        return this.#edit(step.observed.id, (row) => ({
          ...row,
          marker: { ...marker, origin: step.origin },
          ...login,
        }));
      case "Restore":
        return this.#edit(step.observed.id, ({ marker: _m, ...marked }) => {
          const { username: _u, password: _p, ...row } = marked;
          return step.what === "Both" ? row : marked;
        });
      case "Remove":
        return this.change((rows) => rows.filter(({ id }) => id !== step.id));
      default:
        return step satisfies never;
    }
  }

  #edit(wanted: string, edit: (row: Row) => Row): void {
    this.change((rows) => rows.map((row) => (row.id === wanted ? edit(row) : row)));
  }

  ours(): Row[] {
    return this.rows.filter(({ marker }) => marker?.name === OURS.name && marker.namespace === OURS.namespace);
  }
}

/** What may go wrong with one step. */
type Fault =
  | { kind: "none" }
  | { kind: "refused" }
  | { kind: "fenced" }
  | { kind: "lost"; effect: boolean; delayMs: number }
  /** The process dies: before it wrote the journal, right after, or after it sent. */
  | { kind: "killed"; at: "journal" | "sent" | "unsent"; delayMs: number };

class Operator {
  entry: RegistryProject | undefined = newEntry({ namespace: "line", name: "cloud" }, "p-1");
  wanted = true;
  password = "p0";
  user = "user";
  #leaderSinceMs = 0;

  /** One pass; gives whether something was asked of the vendor. */
  run(vendor: Vendor, fault: Fault): boolean {
    if (this.entry === undefined) return false;
    const login = { hash: `h:${this.user}:${this.password}`, username: this.user };
    const facts: ProjectFacts = {
      entry: this.entry,
      wanted: this.wanted,
      host: "r.example",
      marker: OURS,
      login,
      listing: vendor.list(),
      userHash,
      nowMs: vendor.nowMs,
      settleMs: SETTLE_MS,
      leaderSinceMs: this.#leaderSinceMs,
    };
    const plan = planProject(facts);
    const { step, entry } = plan;
    if (step === undefined || entry === undefined) {
      this.entry = entry;
      return false;
    }
    if (fault.kind === "killed" && fault.at === "journal") return this.#dies(vendor);
    this.entry = entry;
    const send = (delayMs: number) => {
      const secret = { username: this.user, password: this.password };
      vendor.later(delayMs, () => vendor.apply(step, OURS, secret));
    };
    if (fault.kind === "killed") {
      if (fault.at === "sent") send(fault.delayMs);
      return this.#dies(vendor);
    }
    const outcome = outcomeOf(fault, vendor, () => send(fault.kind === "lost" ? fault.delayMs : 0));
    this.entry = afterStep(entry, step, outcome, login, vendor.nowMs).entry;
    return true;
  }

  #dies(vendor: Vendor): boolean {
    this.#leaderSinceMs = vendor.nowMs;
    return true;
  }
}

function outcomeOf(fault: Fault, vendor: Vendor, send: () => void): RegistryOutcome {
  switch (fault.kind) {
    case "refused":
      return { result: "Failed", failure: { class: "Transient", message: "not now" } };
    case "fenced":
      return { result: "Refused", message: "fenced" };
    case "lost":
      if (fault.effect) send();
      return { result: "Lost", message: "cut" };
    default: {
      send();
      const made = vendor.rows.at(-1)?.id;
      return { result: "Succeeded", ...(made !== undefined && { id: made }) };
    }
  }
}

const HUMANS: Row[] = [
  {
    id: "human-1",
    host: "other.example",
    description: "theirs",
    isDefault: false,
    username: "them",
    password: "x",
    human: true,
  },
  {
    id: "human-2",
    host: "ghcr.io",
    description: "GitHub",
    isDefault: true,
    username: "them",
    password: "y",
    human: true,
  },
];
const DEFAULT: Row = { id: "default-1", host: "r.example", description: "Default", isDefault: true };

const fault: fc.Arbitrary<Fault> = fc.oneof(
  { weight: 4, arbitrary: fc.constant<Fault>({ kind: "none" }) },
  fc.constant<Fault>({ kind: "refused" }),
  fc.constant<Fault>({ kind: "fenced" }),
  fc.record({ kind: fc.constant("lost" as const), effect: fc.boolean(), delayMs: fc.constantFrom(0, 700, 1_500) }),
  fc.record({
    kind: fc.constant("killed" as const),
    at: fc.constantFrom("journal" as const, "sent" as const, "unsent" as const),
    delayMs: fc.constantFrom(0, 700, 1_500),
  }),
);

type Happening = { ms: number; fault: Fault; rotate: boolean; human: "none" | "removes" | "retitles" };

const happenings = fc.array(
  fc.record<Happening>({
    ms: fc.constantFrom(0, 100, 1_000, 4_000, 20_000),
    fault,
    rotate: fc.boolean(),
    human: fc.constantFrom("none", "none", "none", "none", "removes", "retitles"),
  }),
  { maxLength: 30 },
);

/** Nothing goes wrong any more, for long enough. */
function settle(operator: Operator, vendor: Vendor): void {
  for (let pass = 0; pass < 200; pass++) {
    vendor.pass(1_000);
    operator.run(vendor, { kind: "none" });
  }
}

function play(vendor: Vendor, operator: Operator, events: readonly Happening[], humanTouches: boolean): void {
  let version = 0;
  for (const { ms, fault: next, rotate, human } of events) {
    vendor.pass(ms);
    if (rotate) operator.password = `p${++version}`;
    if (humanTouches && human === "removes") vendor.change((rows) => rows.filter(({ id }) => !id.startsWith("made-")));
    if (humanTouches && human === "retitles")
      vendor.change((rows) =>
        rows.map((row) => {
          // Without mark and record nobody could know it for ours.
          if (operator.entry?.registryId !== row.id) return row;
          const { marker: _marker, ...rest } = row;
          return rest;
        }),
      );
    operator.run(vendor, next);
  }
}

describe.each([
  ["made for us", [] as Row[]],
  ["there from the beginning", [DEFAULT]],
])("a registry %s", (_, given) => {
  test("is one, with the newest login, whatever is lost, late or killed; and nothing of it is left after its removal", () => {
    fc.assert(
      fc.property(fc.constantFrom(0, 200, 1_400), happenings, happenings, (lagMs, events, farewell) => {
        const vendor = new Vendor([...HUMANS, ...given]);
        vendor.lagMs = lagMs;
        const operator = new Operator();
        play(vendor, operator, events, false);
        expect(vendor.ours().length).toBeLessThanOrEqual(1);
        settle(operator, vendor);
        expect(vendor.ours()).toMatchObject([{ username: "user", password: operator.password }]);
        expect(vendor.creates).toBeLessThanOrEqual(given.length === 0 ? 1 + events.length : 0);
        expect(operator.entry).toMatchObject({ state: "Ready" });
        const before = vendor.rows;
        settle(operator, vendor);
        expect(vendor.rows).toBe(before);
        operator.wanted = false;
        play(vendor, operator, farewell, false);
        settle(operator, vendor);
        expect(operator.entry).toBeUndefined();
        expect(vendor.rows).toEqual([...HUMANS, ...given]);
      }),
      { numRuns: 300 },
    );
  });

  test("that is deleted while nobody knows whether it was made leaves nothing behind", () => {
    fc.assert(
      fc.property(fc.constantFrom(0, 200, 1_400), happenings, (lagMs, events) => {
        const vendor = new Vendor([...HUMANS, ...given]);
        vendor.lagMs = lagMs;
        const operator = new Operator();
        play(vendor, operator, events, false);
        operator.wanted = false;
        settle(operator, vendor);
        expect(operator.entry).toBeUndefined();
        expect(vendor.rows).toEqual([...HUMANS, ...given]);
      }),
      { numRuns: 300 },
    );
  });
});

test("what people do to our registry is set right, and theirs stay as they are", () => {
  fc.assert(
    fc.property(fc.constantFrom(0, 200, 1_400), happenings, (lagMs, events) => {
      const vendor = new Vendor(HUMANS);
      vendor.lagMs = lagMs;
      const operator = new Operator();
      play(vendor, operator, events, true);
      settle(operator, vendor);
      expect(vendor.ours()).toMatchObject([{ username: "user", password: operator.password }]);
      expect(vendor.rows.filter(({ human }) => human === true)).toEqual(HUMANS);
    }),
    { numRuns: 300 },
  );
});

describe("the login that a person gives to one of the project's own registries", () => {
  const prompt = happenings.map((events) =>
    events.map((event): Happening => {
      const { fault: planned } = event;
      // Nothing is on its way when the person comes: what is, nobody could call back.
      const late = planned.kind === "lost" || planned.kind === "killed";
      return late ? { ...event, fault: { ...planned, delayMs: 0 } } : event;
    }),
  );
  test.each([
    ["with our mark left in its text", false],
    ["with our mark taken out", true],
  ])("%s, is theirs: left as it is, said, and kept when the object goes", (_, unmarked) => {
    fc.assert(
      fc.property(prompt, prompt, prompt, fc.boolean(), (events, later, farewell, renamed) => {
        const vendor = new Vendor([...HUMANS, DEFAULT]);
        const operator = new Operator();
        play(vendor, operator, events, false);
        if (renamed) operator.user = "another-robot";
        const theirs = { username: "kim", password: "kims" };
        vendor.change((rows) =>
          rows.map((row) => {
            if (row.id !== DEFAULT.id) return row;
            const { marker, ...rest } = row;
            return { ...rest, ...theirs, ...(!unmarked && marker !== undefined && { marker }) };
          }),
        );
        play(vendor, operator, later, false);
        settle(operator, vendor);
        expect(vendor.rows.find(({ id }) => id === DEFAULT.id)).toMatchObject(theirs);
        expect(operator.entry).toMatchObject({ state: "Conflict" });
        expect(operator.entry?.message).toMatch(/somebody has given a.* login.*remove its login/);
        operator.wanted = false;
        play(vendor, operator, farewell, false);
        settle(operator, vendor);
        expect(operator.entry).toBeUndefined();
        expect(vendor.rows).toEqual([...HUMANS, { ...DEFAULT, ...theirs }]);
      }),
      { numRuns: 300 },
    );
  });
});

describe("a registry of the host that is somebody else's is left alone, and said:", () => {
  const marker = (changes: Partial<RegistryMarker>): RegistryMarker => ({ ...OURS, origin: "Created", ...changes });
  test.each<[string, Row, RegExp]>([
    [
      "one that a person made",
      { id: "h", host: "r.example", description: "", isDefault: false },
      /which somebody else has made/,
    ],
    [
      "a default one with a login",
      { id: "h", host: "R.example", description: "", isDefault: true, username: "t" },
      /given a login.*remove its login/,
    ],
    [
      "another object's",
      { id: "h", host: "r.example", description: "", isDefault: false, marker: marker({ namespace: "other" }) },
      /belongs to EdgeRegistry other\/acme: /,
    ],
    [
      "another installation's",
      { id: "h", host: "r.example", description: "", isDefault: false, marker: marker({ owner: "else" }) },
      /of the installation with --owner-id else/,
    ],
  ])("%s", (_, row, words) => {
    const vendor = new Vendor([row]);
    const operator = new Operator();
    settle(operator, vendor);
    expect(operator.entry).toMatchObject({ state: "Conflict" });
    expect(operator.entry?.message).toMatch(words);
    expect(vendor.rows).toEqual([row]);
    operator.wanted = false;
    settle(operator, vendor);
    expect(operator.entry).toBeUndefined();
    expect(vendor.rows).toEqual([row]);
  });

  test("once it is gone, ours is made", () => {
    const vendor = new Vendor([{ id: "h", host: "r.example", description: "", isDefault: false }]);
    const operator = new Operator();
    settle(operator, vendor);
    vendor.change(() => []);
    settle(operator, vendor);
    expect(vendor.ours()).toHaveLength(1);
    expect(operator.entry).toMatchObject({ state: "Ready", origin: "Created" });
  });
});

test("one that an object of the same name had before a restore of the cluster is taken over, and marked anew", () => {
  const vendor = new Vendor([]);
  const before = new Operator();
  settle(before, vendor);
  vendor.change((rows) => rows.map((row) => ({ ...row, marker: { ...OURS, uid: "u0", origin: "Created" as const } })));
  const operator = new Operator();
  settle(operator, vendor);
  expect(vendor.ours()).toMatchObject([{ marker: { uid: "u1" } }]);
  expect(vendor.creates).toBe(1);
});

describe("without a login, since the Secret is gone,", () => {
  const run = (entry: RegistryProject, rows: readonly ObservedRegistry[]) =>
    planProject({
      entry,
      wanted: true,
      host: "r.example",
      marker: OURS,
      login: undefined,
      userHash,
      listing: { ok: true, stale: false, registries: rows },
      nowMs: 0,
      settleMs: SETTLE_MS,
      leaderSinceMs: 0,
    });
  const entry = newEntry({ namespace: "line", name: "cloud" }, "p-1");

  test("nothing is made, and what stands there stays", () => {
    expect(run(entry, [])).toEqual({ entry: { ...entry, state: "Pending" } });
    const mine = {
      id: "m",
      host: "r.example",
      description: "",
      isDefault: false,
      marker: { ...OURS, origin: "Created" as const },
      username: "user",
      valid: false,
    };
    const plan = run({ ...entry, state: "Ready", registryId: "m", hash: "h:p" }, [mine]);
    expect(plan.step).toBeUndefined();
    expect(plan.entry).toMatchObject({ state: "Ready", registryId: "m", credentialsValid: false });
  });
});

describe("failures", () => {
  const entry = newEntry({ namespace: "line", name: "cloud" }, "p-1");
  const failed = (entryBefore: RegistryProject, failure: Parameters<typeof Object.assign>[0]) =>
    afterStep(entryBefore, { type: "Create" }, { result: "Failed", failure: failure as never }, undefined, 0);

  test("are tried again with pauses that grow, and not before the vendor said", () => {
    let current: RegistryProject = { ...entry, state: "Creating", openSince: new Date(0).toISOString() };
    const waits: number[] = [];
    for (let count = 0; count < 8; count++) {
      const plan = failed(current, { class: "Transient", message: "no" });
      waits.push(plan.lookAtMs ?? 0);
      current = plan.entry ?? current;
    }
    expect(waits[0]).toBeGreaterThanOrEqual(9_000);
    expect(waits.at(-1)).toBeGreaterThanOrEqual(270_000);
    expect(current.openSince).toBeUndefined();
    const limited = failed(entry, { class: "RateLimited", retryAfterMs: 400_000, message: "slow" });
    expect(limited.lookAtMs).toBe(400_000);
  });

  test("of one login do not hold up another one, nor the removal", () => {
    const login = { hash: "h:wrong", username: "user" };
    const failure = { class: "Transient", message: "no" } as const;
    const refused = afterStep({ ...entry }, { type: "Create" }, { result: "Failed", failure }, login, 0).entry;
    if (refused === undefined) throw new Error("no entry");
    const facts: ProjectFacts = {
      entry: refused,
      wanted: true,
      host: "r.example",
      marker: OURS,
      login,
      userHash,
      listing: { ok: true, stale: false, registries: [] },
      nowMs: 1_000,
      settleMs: SETTLE_MS,
      leaderSinceMs: 0,
    };
    expect(planProject(facts).step).toBeUndefined();
    expect(planProject({ ...facts, login: { ...login, hash: "h:right" } }).step).toEqual({ type: "Create" });
    expect(planProject({ ...facts, wanted: false }).entry).toBeUndefined();
  });

  test("of a listing leave what stands as it is, and are said where nothing stands yet", () => {
    const listing: RegistryListing = { ok: false, failure: { class: "Transient", message: "gateway" } };
    const facts = {
      wanted: true,
      host: "r.example",
      marker: OURS,
      login: undefined,
      userHash,
      listing,
      nowMs: 0,
      settleMs: 0,
      leaderSinceMs: 0,
    };
    const standing: RegistryProject = { ...entry, state: "Ready", registryId: "m", hash: "h" };
    expect(planProject({ ...facts, entry: standing }).entry).toBe(standing);
    const fresh = planProject({ ...facts, entry });
    expect(fresh.entry).toMatchObject({ state: "Failed", failures: 1 });
    expect(fresh.entry?.message).toContain("cannot be listed: gateway");
    expect(planProject({ ...facts, entry: standing, wanted: false }).entry).toMatchObject({ state: "Removing" });
  });
});
