import { describe, expect, test } from "vitest";
import type { Call } from "../../../../src/backends/mittwald/client.ts";
import { Inventory } from "../../../../src/backends/mittwald/inventory.ts";
import { followed, settles, type FlightHost } from "../../../../src/backends/mittwald/look.ts";
import { stackSchema, type Stack } from "../../../../src/backends/mittwald/types.ts";

const STACK: Stack = stackSchema.parse({ id: "st", projectId: "p" });

/** A host whose vendor shows this from then on, ms after the start. */
function host(settleMs: number, looks: (atMs: number) => Call<Stack>) {
  let nowMs = 0;
  const taken: string[] = [];
  const of = {
    client: { stack: () => Promise.resolve(looks(nowMs)) },
    ref: { projectId: "p", stackId: "st" },
    settleMs,
    commandTimeoutMs: 1_000,
    signal: new AbortController().signal,
    take: () => undefined,
    notOrdered: () => void taken.push("notOrdered"),
    monotonic: () => nowMs,
    pause: (ms: number) => {
      nowMs += ms;
      return Promise.resolve();
    },
  };
  return { host: of as unknown as FlightHost, now: () => nowMs, taken };
}

const seen = (stack: Stack): Call<Stack> => ({ kind: "Done", stale: false, value: stack });

describe("what came of a write without an answer", () => {
  test("is looked for until the whole settle time is over", async () => {
    const late = { ...STACK, description: "late" };
    const holds = ({ description }: Stack): boolean => description === "late";
    const { host: slow } = host(20_000, (atMs) => seen(atMs >= 19_000 ? late : STACK));
    expect(await settles(slow, holds)).toBe(true);
    const { host: never, now } = host(20_000, () => seen(STACK));
    expect(await settles(never, holds)).toBe(false);
    expect(now()).toBeGreaterThanOrEqual(20_000);
    expect(now()).toBeLessThan(30_000);
  });
});

describe("a command that was announced as the cause of what comes", () => {
  const failure = { class: "Transient", message: "no" } as const;
  test.each<[string, Call<undefined>, boolean, string[]]>([
    ["was not sent", { kind: "NotSent", failure, fenced: false }, false, ["notOrdered"]],
    ["was refused", { kind: "Refused", status: 412, failure }, false, ["notOrdered"]],
    ["was refused, since it is so already", { kind: "Refused", status: 412, failure }, true, []],
    ["was taken", { kind: "Done", stale: false, value: undefined }, true, []],
  ])("and %s", async (_what, call, shows, expected) => {
    const { host: of, taken } = host(100, () => seen(STACK));
    await followed(of, call, () => shows);
    expect(taken).toEqual(expected);
  });
});

describe("what makes a project be looked at more often", () => {
  const clock = { now: () => nowMs, monotonic: () => nowMs };
  let nowMs = 0;
  const view = (status: string): Stack => {
    const state = { image: "nginx" };
    const service = { id: "s", stackId: "st", projectId: "p", serviceName: "web", status, requiresRecreate: false };
    const description = "web [drayage:owner-1/default/web//op-1]";
    const statusSetAt = new Date(nowMs).toISOString();
    return stackSchema.parse({ ...STACK, services: [{ ...service, description, statusSetAt, pendingState: state }] });
  };

  test("ends ten minutes after our last command, also where the service crashes and comes up again for ever", () => {
    const inventory = new Inventory(clock as never, 60_000);
    const crash = (untilMs: number): void => {
      for (; nowMs < untilMs; nowMs += 30_000) {
        inventory.take(view("error"));
        nowMs += 1_000;
        inventory.take(view("starting"));
      }
    };
    inventory.take(view("starting"));
    crash(500_000);
    expect(inventory.isExpectant).toBe(true);
    crash(700_000);
    expect(inventory.isExpectant).toBe(false);
    inventory.ordered("s", false);
    expect(inventory.isExpectant).toBe(true);
    crash(nowMs + 700_000);
    expect(inventory.isExpectant).toBe(false);
  });
});
