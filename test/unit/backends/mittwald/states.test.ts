import { describe, expect, test } from "vitest";
import { History, stateOf } from "../../../../src/backends/mittwald/states.ts";
import { serviceSchema, type Service } from "../../../../src/backends/mittwald/types.ts";

const STUCK_MS = 60_000;
const at = (second: number): string => new Date(Date.UTC(2026, 0, 1, 0, 0, second)).toISOString();

function service(status: string, second: number, rest: object = {}): Service {
  return serviceSchema.parse({
    id: "s",
    stackId: "st",
    projectId: "p",
    serviceName: "web",
    status,
    statusSetAt: at(second),
    requiresRecreate: false,
    pendingState: { image: "nginx" },
    deployedState: { image: "nginx", imageDigest: "sha256:a" },
    ...rest,
  });
}

/** What is seen at the end of a course of looks. */
function after(looks: readonly [string, number, object?][]): ReturnType<typeof stateOf> {
  const history = new History();
  let last: Service | undefined;
  for (const [status, second, rest] of looks) {
    last = service(status, second, rest);
    history.note(last, Date.parse(at(second)));
  }
  if (last === undefined) throw new Error("no look");
  return stateOf(last, history.of("s"), Date.parse(last.statusSetAt), STUCK_MS);
}

describe("a status", () => {
  test.each([
    ["running", {}, "Running", undefined],
    ["stopped", {}, "Stopped", undefined],
    ["stopped", { restartPolicy: "always" }, "Stopped", undefined],
    ["stopped", { restartPolicy: "on-failure" }, "Exited", undefined],
    ["stopped", { restartPolicy: "no" }, "Exited", undefined],
    ["error", { restartPolicy: "no", message: "it broke" }, "Exited", undefined],
    ["error", { message: "it broke" }, "Unknown", "RunContainerError"],
    ["error", { message: "ErrImagePull: no" }, "Unknown", "ImagePullBackOff"],
    ["error", { message: "CrashLoopBackOff" }, "Unknown", "CrashLoopBackOff"],
    ["creating", {}, "Unknown", "creating"],
    ["creating", { message: "ImagePullBackOff: no such image" }, "Unknown", "ImagePullBackOff"],
    ["stopping", {}, "Unknown", "stopping"],
    ["levitating", {}, "Unknown", "levitating"],
    ["", {}, "Unknown", "Unknown"],
  ])("%s with %j is %s, %s", (status, rest, state, reason) => {
    const seen = after([[status, 0, rest]]);
    expect(seen.state).toBe(state);
    expect(seen.waiting?.reason).toBe(reason);
  });

  test("that is on its way for too long is stuck, and says since when", () => {
    const history = new History();
    const starting = service("starting", 0, { message: "almost there" });
    history.note(starting, Date.parse(at(0)));
    const seen = stateOf(starting, history.of("s"), Date.parse(at(0)) + STUCK_MS + 1, STUCK_MS);
    expect(seen.waiting).toEqual({
      reason: "RunContainerError",
      message: `stuck in starting since ${at(0)}: almost there`,
    });
  });
});

describe("runs", () => {
  const ends = (looks: readonly [string, number, object?][]) =>
    after(looks).runs.map(({ finishedAt, stopped }) =>
      finishedAt === undefined ? "open" : stopped ? "meant" : "ended",
    );

  test("a service on its way up has one", () => {
    expect(
      ends([
        ["creating", 0],
        ["starting", 1],
        ["running", 2],
      ]),
    ).toEqual(["open"]);
    expect(
      after([
        ["creating", 0],
        ["starting", 1],
        ["running", 2],
      ]).runs,
    ).toEqual([{ startedAt: at(2) }]);
  });
  test("a step back, or the same again at another time, ends one", () => {
    expect(
      ends([
        ["running", 0],
        ["starting", 5],
        ["running", 6],
      ]),
    ).toEqual(["ended", "open"]);
    expect(
      ends([
        ["running", 0],
        ["running", 9],
      ]),
    ).toEqual(["ended", "open"]);
    expect(
      ends([
        ["starting", 0],
        ["starting", 5],
        ["starting", 10],
      ]),
    ).toEqual(["ended", "ended", "open"]);
    expect(
      ends([
        ["running", 0],
        ["error", 5],
        ["starting", 9],
      ]),
    ).toEqual(["ended", "open"]);
  });
  test("seen twice is seen once", () => {
    expect(
      ends([
        ["running", 0],
        ["running", 0],
        ["running", 0],
      ]),
    ).toEqual(["open"]);
  });
  test("a stop that is asked for is meant, and an end under restartPolicy no is none", () => {
    expect(
      ends([
        ["running", 0],
        ["stopping", 5],
        ["stopped", 6],
      ]),
    ).toEqual(["meant"]);
    expect(
      ends([
        ["running", 0],
        ["stopped", 6],
      ]),
    ).toEqual(["meant"]);
    expect(
      ends([
        ["running", 0],
        ["stopped", 6, { restartPolicy: "no" }],
      ]),
    ).toEqual(["ended"]);
  });
  test("an update by the vendor's schedule or a webhook shows in the digest, and is meant", () => {
    const updated = { deployedState: { image: "nginx", imageDigest: "sha256:b" } };
    expect(
      ends([
        ["running", 0],
        ["starting", 5, updated],
      ]),
    ).toEqual(["meant", "open"]);
  });
  test("a command of ours explains one end, and no second one", () => {
    const history = new History();
    const look = (status: string, second: number): boolean => history.note(service(status, second), 0);
    look("running", 0);
    history.ordered("s", false, 0);
    look("starting", 5);
    look("running", 6);
    look("starting", 20);
    expect(history.of("s")?.runs.map(({ stopped }) => stopped)).toEqual([true, undefined, undefined]);
  });
  test("a command of ours that was not taken explains nothing", () => {
    const history = new History();
    history.note(service("running", 0), 0);
    history.ordered("s", true, 0);
    history.notOrdered("s");
    history.note(service("starting", 5), 0);
    expect(history.of("s")).toMatchObject({ isStoppedByUs: false, runs: [{ finishedAt: at(5) }, {}] });
    expect(history.of("s")?.runs[0]).not.toHaveProperty("stopped");
  });
  test("views that come out of order end none", () => {
    expect(
      ends([
        ["starting", 0],
        ["running", 5],
        ["starting", 0],
        ["running", 5],
        ["starting", 0],
        ["running", 5],
      ]),
    ).toEqual(["open"]);
    const history = new History();
    history.note(service("running", 5), 0);
    expect(history.isOlder(service("starting", 0), 0)).toBe(true);
    expect(history.note(service("starting", 0), 0)).toBe(false);
    expect(history.isOlder(service("stopped", 6), 0)).toBe(false);
    expect(history.isOlder(service("stopped", 0, { statusSetAt: "" }), 0)).toBe(false);
  });
  test("a vendor whose own time went back is believed after five minutes, and no run ends by it", () => {
    const history = new History();
    const back = service("starting", 0);
    history.note(service("running", 5), 0);
    expect(history.note(back, 1_000)).toBe(false);
    expect(history.note(back, 300_000)).toBe(false);
    expect(history.isOlder(back, 301_000)).toBe(false);
    expect(history.note(back, 301_000)).toBe(true);
    expect(history.of("s")?.runs).toEqual([{ startedAt: at(5) }]);
    expect(history.note(service("running", 3), 302_000)).toBe(true);
  });
  test("are at most twenty", () => {
    expect(ends(Array.from({ length: 60 }, (_, index) => ["starting", index]))).toHaveLength(20);
  });
});
