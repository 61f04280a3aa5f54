import { describe, expect, test } from "vitest";
import type { LinkTraits } from "../../../../src/backends/kanto/transport.ts";
import { Bench } from "./bench.ts";
import { MARKER, wanted } from "./wanted.ts";

const FILTERED: LinkTraits = { inventory: "Announce", replyFilter: true };

describe("over a link that drops late replies", () => {
  const timeout = (bench: Bench, what: string): unknown => {
    const { headers } = bench.last(what).payload;
    return (headers as Record<string, unknown>)["timeout"];
  };

  test("each request says as a string how long its reply may take, always below an hour", () => {
    const bench = new Bench({ traits: FILTERED });
    bench.start("a");
    expect(timeout(bench, "probe")).toBe("3599s");
    bench.execute({ kind: "Start", externalId: "a" });
    expect(timeout(bench, "start")).toBe("60s");
    bench.state("a", { status: "RUNNING" });
    bench.answer(bench.last("start"), 204);
    bench.create();
    expect(timeout(bench, "createWithConfig")).toBe("1800s");
  });

  test("and no such header is sent on a link that drops none", () => {
    const bench = new Bench();
    bench.start();
    expect(timeout(bench, "probe")).toBeUndefined();
  });
});

test("a command that is larger than the link carries is refused as invalid, and nothing is sent", () => {
  const bench = new Bench({ traits: { ...FILTERED, maxBytes: 1_000 } });
  bench.start();
  const desired = wanted({ env: [{ name: "BIG", value: "x".repeat(1_000) }] });
  const dispatch = bench.session.execute({ kind: "Create", desired, marker: MARKER, commandId: "op.1", key: "k" });
  expect(dispatch).toMatchObject({ sent: false, reason: "Invalid", failure: { class: "Invalid" } });
  expect(bench.take()).toEqual([]);
});
