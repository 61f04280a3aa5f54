import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { initialState, step } from "../../../src/kube/reflector-machine.ts";
import {
  DEFAULT_REFLECTOR_TIMES,
  type Failure,
  type ReflectorAction,
  type ReflectorInput,
  type ReflectorState,
} from "../../../src/kube/reflector-types.ts";

/** Drives the machine by hand and keeps what it asked for. */
class Rig {
  nowMs = 0;
  random = 0;
  state: ReflectorState;
  actions: ReflectorAction[] = [];

  constructor(options = { watchList: true }) {
    this.state = initialState(options);
  }

  feed(input: ReflectorInput): ReflectorAction[] {
    const context = { nowMs: this.nowMs, random: this.random, times: DEFAULT_REFLECTOR_TIMES };
    const [next, actions] = step(this.state, input, context);
    this.state = next;
    this.actions = actions;
    return actions;
  }

  fail(failure: Failure): number {
    const wait = this.feed({ kind: "failed", failure }).find((each) => each.do === "wait");
    return wait?.delayMs ?? -1;
  }

  /** To a healthy watch at version 100. */
  watching(): this {
    this.feed({ kind: "start" });
    this.bookmark("100", true);
    return this;
  }

  bookmark(resourceVersion: string, initialEnd = false): ReflectorAction[] {
    return this.feed({ kind: "event", type: "BOOKMARK", resourceVersion, initialEnd });
  }

  /** Through the wait, and the question for the server's version, to the next watch. */
  watchingAgain(): void {
    this.feed({ kind: "timer" });
    this.feed({ kind: "page", continueToken: "", resourceVersion: "100" });
    this.feed({ kind: "opened" });
  }

  /** What it does when its wait is over. */
  afterWait(): string[] {
    return this.feed({ kind: "timer" }).map((each) => each.do);
  }
}

const names = (actions: readonly ReflectorAction[]): string[] => actions.map((each) => each.do);

describe("a streamed first list", () => {
  test("is taken over at the bookmark that ends it, and the same stream goes on as the watch", () => {
    const rig = new Rig();
    expect(names(rig.feed({ kind: "start" }))).toEqual(["beginList", "openWatchList"]);
    expect(names(rig.feed({ kind: "event", type: "ADDED", resourceVersion: "90", initialEnd: false }))).toEqual([
      "stage",
    ]);
    expect(names(rig.feed({ kind: "event", type: "ADDED", resourceVersion: "12", initialEnd: false }))).toEqual([
      "stage",
    ]);
    expect(names(rig.feed({ kind: "event", type: "DELETED", resourceVersion: "95", initialEnd: false }))).toEqual([
      "unstage",
    ]);
    expect(rig.bookmark("96")).toEqual([]);
    expect(rig.bookmark("100", true)).toEqual([{ do: "commitList", resourceVersion: "100" }]);
    expect(rig.state.name).toBe("Watching");
    expect(rig.feed({ kind: "event", type: "MODIFIED", resourceVersion: "101", initialEnd: false })).toEqual([
      { do: "apply", type: "MODIFIED" },
    ]);
  });

  test("gives way to a paged one for good when the server refuses it", () => {
    const rig = new Rig();
    rig.feed({ kind: "start" });
    expect(names(rig.feed({ kind: "failed", failure: { kind: "refused" } }))).toEqual(["beginList", "listPage"]);
    rig.feed({ kind: "page", continueToken: "", resourceVersion: "5" });
    rig.fail({ kind: "expired" });
    expect(rig.afterWait()).toEqual(["beginList", "listPage"]);
  });

  test("gives way to a paged one once when it broke twice, but not when the server was away", () => {
    const rig = new Rig();
    rig.feed({ kind: "start" });
    for (let times = 0; times < 5; times += 1) {
      rig.fail({ kind: "unreachable" });
      expect(rig.afterWait()).toEqual(["beginList", "openWatchList"]);
    }
    rig.fail({ kind: "other" });
    expect(rig.afterWait()).toEqual(["beginList", "openWatchList"]);
    expect(names(rig.feed({ kind: "ended" }))).toContain("discardList");
    expect(rig.afterWait()).toEqual(["beginList", "listPage"]);
    rig.fail({ kind: "other" });
    expect(rig.afterWait()).toEqual(["beginList", "openWatchList"]);
  });
});

describe("a paged list", () => {
  test("is taken over after its last page, and watched from its version", () => {
    const rig = new Rig({ watchList: false });
    expect(rig.feed({ kind: "start" })).toEqual([
      { do: "beginList" },
      { do: "listPage", continueToken: "", paged: true },
    ]);
    expect(rig.feed({ kind: "page", continueToken: "more", resourceVersion: "50" })).toEqual([
      { do: "stage" },
      { do: "listPage", continueToken: "more", paged: true },
    ]);
    expect(rig.feed({ kind: "page", continueToken: "", resourceVersion: "50" })).toEqual([
      { do: "stage" },
      { do: "commitList", resourceVersion: "50" },
      { do: "openWatch", resourceVersion: "50", timeoutSeconds: 300 },
    ]);
  });

  test("whose pages expire before the last is repeated in one piece", () => {
    const rig = new Rig({ watchList: false });
    rig.feed({ kind: "start" });
    rig.feed({ kind: "page", continueToken: "more", resourceVersion: "50" });
    rig.fail({ kind: "expired" });
    expect(rig.feed({ kind: "timer" })).toEqual([
      { do: "beginList" },
      { do: "listPage", continueToken: "", paged: false },
    ]);
  });
});

describe("a watch", () => {
  test("that the server ends in order is opened again at once from the last version", () => {
    const rig = new Rig().watching();
    rig.bookmark("130");
    rig.nowMs = 400_000;
    rig.random = 1;
    expect(rig.feed({ kind: "ended" })).toEqual([{ do: "openWatch", resourceVersion: "130", timeoutSeconds: 600 }]);
  });

  test("that ends at once without an event is not a hot loop", () => {
    const rig = new Rig().watching();
    rig.feed({ kind: "ended" });
    rig.feed({ kind: "opened" });
    expect(names(rig.feed({ kind: "ended" }))).toEqual(["wait"]);
  });

  test.each<[Failure, string]>([
    [{ kind: "other" }, "probe"],
    [{ kind: "unreachable" }, "probe"],
    [{ kind: "throttled" }, "openWatch"],
    [{ kind: "garbled" }, "openWatch"],
    [{ kind: "expired" }, "openWatchList"],
    [{ kind: "ahead" }, "openWatchList"],
  ])("that fails with %o waits and then does %s", (failure, then) => {
    const rig = new Rig().watching();
    expect(rig.fail(failure)).toBeGreaterThanOrEqual(800);
    expect(rig.afterWait()).toContain(then);
  });

  test("does not come back before the server allows it", () => {
    const rig = new Rig().watching();
    expect(rig.fail({ kind: "throttled", retryAfterMs: 7_000 })).toBe(7_000);
  });

  test("that is silent is opened again at once; a second silence puts its version in doubt", () => {
    const rig = new Rig().watching();
    expect(names(rig.feed({ kind: "failed", failure: { kind: "silent" } }))).toEqual(["openWatch"]);
    rig.feed({ kind: "opened" });
    rig.fail({ kind: "silent" });
    expect(rig.afterWait()).toContain("openWatchList");
  });

  test("whose versions go backwards lists again: the server was restored from a backup", () => {
    const rig = new Rig().watching();
    expect(names(rig.feed({ kind: "event", type: "MODIFIED", resourceVersion: "99", initialEnd: false }))).toEqual([
      "closeStream",
      "discardList",
      "wait",
    ]);
    expect(rig.afterWait()).toEqual(["beginList", "openWatchList"]);
  });

  test.each([
    ["150", "openWatch"],
    ["100", "openWatch"],
    ["99", "openWatchList"],
    ["not comparable", "openWatch"],
  ])("whose connection was lost asks for the server's version first: %s leads to %s", (version, then) => {
    const rig = new Rig().watching();
    rig.fail({ kind: "unreachable" });
    expect(rig.afterWait()).toEqual(["probe"]);
    rig.fail({ kind: "unreachable" });
    expect(rig.afterWait()).toEqual(["probe"]);
    expect(names(rig.feed({ kind: "page", continueToken: "", resourceVersion: version }))).toContain(then);
  });

  test("that breaks three times at the same garbled event lists again, unless it progressed in between", () => {
    const rig = new Rig().watching();
    rig.fail({ kind: "garbled" });
    rig.afterWait();
    rig.bookmark("105");
    rig.fail({ kind: "garbled" });
    expect(rig.afterWait()).toEqual(["openWatch"]);
    rig.fail({ kind: "garbled" });
    expect(rig.afterWait()).toEqual(["openWatch"]);
    rig.fail({ kind: "garbled" });
    expect(rig.afterWait()).toContain("openWatchList");
  });
});

describe("waiting", () => {
  test("doubles from 0.8 s to 30 s, up to twice that by chance, and starts anew after 2 min of health", () => {
    const rig = new Rig().watching();
    const waits: number[] = [];
    for (let times = 0; times < 8; times += 1) {
      waits.push(rig.fail({ kind: "other" }));
      rig.afterWait();
    }
    expect(waits).toEqual([800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000]);
    rig.random = 1;
    expect(rig.fail({ kind: "other" })).toBe(60_000);
    rig.watchingAgain();
    rig.nowMs += 119_000;
    expect(rig.fail({ kind: "other" })).toBe(60_000);
    rig.watchingAgain();
    rig.nowMs += 120_000;
    expect(rig.fail({ kind: "other" })).toBe(1600);
  });

  test("does not outlast a server's restart: its Retry-After is believed, and a version that it forgot costs no long wait", () => {
    const rig = new Rig().watching();
    for (let times = 0; times < 5; times += 1) {
      expect(rig.fail({ kind: "throttled", retryAfterMs: 1000 })).toBe(1000);
      rig.afterWait();
    }
    expect(rig.fail({ kind: "expired" })).toBe(800);
  });

  test("grows for a server that overdoes either", () => {
    const rig = new Rig().watching();
    const waits: number[] = [];
    for (let times = 0; times < 12; times += 1) {
      waits.push(rig.fail({ kind: "throttled", retryAfterMs: 1000 }));
      rig.afterWait();
    }
    expect(waits.slice(0, 10)).toEqual(Array.from({ length: 10 }, () => 1000));
    expect(waits.slice(10)).toEqual([30_000, 30_000]);

    const forgetful = new Rig().watching();
    const again: number[] = [];
    for (let times = 0; times < 4; times += 1) {
      again.push(forgetful.fail({ kind: "expired" }));
      forgetful.afterWait();
      forgetful.bookmark("100", true);
    }
    expect(again).toEqual([800, 1600, 3200, 6400]);
  });

  test("for a server that is not there stays below 5 s, so that its return is noticed", () => {
    const rig = new Rig().watching();
    rig.random = 1;
    for (let times = 0; times < 20; times += 1) {
      expect(rig.fail({ kind: "unreachable" })).toBeLessThanOrEqual(4_000);
      rig.afterWait();
    }
  });
});

describe("whatever happens", () => {
  const failure = fc.record({
    kind: fc.constantFrom("expired", "refused", "throttled", "unreachable", "silent", "garbled", "ahead", "other"),
    retryAfterMs: fc.option(fc.nat({ max: 5_000 }), { nil: undefined }),
  }) as fc.Arbitrary<Failure>;
  const input = fc.oneof(
    { weight: 3, arbitrary: failure.map((each): ReflectorInput => ({ kind: "failed", failure: each })) },
    { weight: 1, arbitrary: fc.constant<ReflectorInput>({ kind: "ended" }) },
    { weight: 1, arbitrary: fc.constant<ReflectorInput>({ kind: "opened" }) },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant("page" as const),
        continueToken: fc.constantFrom("", "more"),
        resourceVersion: fc.nat({ max: 999 }).map(String),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant("event" as const),
        type: fc.constantFrom("ADDED" as const, "MODIFIED" as const, "DELETED" as const, "BOOKMARK" as const),
        resourceVersion: fc.nat({ max: 999 }).map(String),
        initialEnd: fc.boolean(),
      }),
    },
  );

  test("it always has exactly one thing under way, and only failures of silence may ask again without a wait", () => {
    fc.assert(
      fc.property(fc.array(input, { maxLength: 60 }), fc.boolean(), (inputs, watchList) => {
        const rig = new Rig({ watchList });
        rig.feed({ kind: "start" });
        let requests = 1;
        let waits = 0;
        let free = 0;
        for (const each of inputs) {
          if (rig.state.name === "BackingOff") {
            rig.nowMs += 1_000;
            rig.feed({ kind: "timer" });
            requests += names(rig.actions).filter((action) => /^(open|list|probe)/.test(action)).length;
          }
          // A page only answers a list, an event or an end only a stream.
          const isStream = rig.state.name === "WatchListing" || rig.state.name === "Watching";
          if ((each.kind === "page") === isStream && each.kind !== "failed") {
            continue;
          }
          const before = rig.state.name;
          const actions = names(rig.feed(each));
          const opened = actions.filter((action) => /^(open|list|probe)/.test(action)).length;
          const waited = actions.filter((action) => action === "wait").length;
          expect(opened + waited).toBeLessThanOrEqual(1);
          if (each.kind === "failed" || (each.kind === "ended" && before !== "BackingOff")) {
            expect(opened + waited).toBe(1);
          }
          requests += opened;
          waits += waited;
          free +=
            each.kind === "page" ||
            each.kind === "ended" ||
            (each.kind === "failed" && (each.failure.kind === "silent" || each.failure.kind === "refused"))
              ? 1
              : 0;
          expect(actions.includes("wait")).toBe(rig.state.name === "BackingOff" && before !== "BackingOff");
        }
        expect(requests).toBeLessThanOrEqual(1 + waits + free);
      }),
      { numRuns: 500 },
    );
  });

  test("an hour of any one failure costs at most 1 request per 4 s on average", () => {
    fc.assert(
      fc.property(
        failure.filter((each) => each.kind !== "unreachable"),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (always, random) => {
          const rig = new Rig();
          rig.random = random;
          rig.feed({ kind: "start" });
          let requests = 1;
          while (rig.nowMs < 3_600_000) {
            // Silence takes its own time before it is one.
            rig.nowMs += always.kind === "silent" ? DEFAULT_REFLECTOR_TIMES.silenceMs : 0;
            const wait = rig.fail(always);
            if (wait >= 0) {
              rig.nowMs += wait;
              rig.feed({ kind: "timer" });
            }
            requests += 1;
          }
          expect(requests).toBeLessThanOrEqual(900);
        },
      ),
    );
  });
});
