import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Call, LogText } from "../../../../src/backends/mittwald/client.ts";
import { linesAfter, linesOf, linesSince, readLog } from "../../../../src/backends/mittwald/logs.ts";

const done = (text: string, isTruncated = false): Call<LogText> => ({
  kind: "Done",
  stale: false,
  value: { text, isTruncated },
});
const gone: Call<LogText> = { kind: "Unknown", status: 503, failure: { class: "Transient", message: "no logs now" } };

/** Reads until there is no more answer. */
async function read(answers: Call<LogText>[], options: Parameters<typeof readLog>[1]): Promise<string[]> {
  const left = [...answers];
  const lines: string[] = [];
  const host = {
    fetch: () => Promise.resolve(left.shift() ?? gone),
    pause: () => Promise.resolve(),
    isOver: () => left.length === 0,
  };
  for await (const line of readLog(host, options)) lines.push(line);
  return lines;
}

describe("what comes after what was seen", () => {
  test("is found wherever the window has moved to", () => {
    fc.assert(
      fc.property(
        fc.array(fc.string(), { maxLength: 30 }),
        fc.array(fc.string(), { maxLength: 30 }),
        fc.nat(30),
        (old, fresh, window) => {
          // Lines that are all different: of equal ones nobody can tell which they are.
          const log = [...old, ...fresh].map((line, index) => `${index} ${line}`);
          const before = log.slice(0, old.length);
          const size = Math.max(window, fresh.length + 1);
          expect(linesAfter(before.slice(-size), log.slice(-size)) ?? []).toEqual(log.slice(old.length));
        },
      ),
    );
  });
  test("is not known where the log has moved on", () => {
    expect(linesAfter(["a", "b"], ["x", "y"])).toBeUndefined();
    expect(linesAfter([], ["x"])).toEqual(["x"]);
  });
  test("follows the longest common part, whatever repeats", () => {
    const lines = fc.array(fc.constantFrom("x", "y"), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(lines, lines, (before, now) => {
        const lengths = Array.from({ length: Math.min(before.length, now.length) }, (_, index) => index + 1);
        const common = lengths.findLast((length) => before.slice(-length).join() === now.slice(0, length).join());
        expect(linesAfter(before, now)).toEqual(common === undefined ? undefined : now.slice(common));
      }),
      { numRuns: 1_000 },
    );
  });
  test("of equal lines is no line twice", () => {
    expect(linesAfter(["x", "x"], ["x", "x", "x"])).toEqual(["x"]);
  });
});

test("lines end in any way, and those before a moment are left out with what belongs to them", () => {
  expect(linesOf("a\r\nb\n\nc")).toEqual(["a", "b", "", "c"]);
  const lines = ["2026-01-01T00:00:00Z old", "  of it", "2026-01-01T00:00:10Z new", "  of it"];
  expect(linesSince(lines, Date.UTC(2026, 0, 1, 0, 0, 5))).toEqual(lines.slice(2));
  expect(linesSince(["no time at all"], Date.now())).toEqual(["no time at all"]);
});

describe("reading", () => {
  test("gives the end, and says where the answer ended early", async () => {
    expect(await read([done("a\nb\nc\n"), gone], { tailLines: 2 })).toEqual(["b", "c"]);
    expect(await read([done("a\nb\nhal", true), gone], {})).toEqual([
      "a",
      "b",
      "hal",
      "[drayage: the vendor's answer ended early]",
    ]);
    expect(await read([done("a\n"), gone], { tailLines: 0 })).toEqual([]);
  });
  test("follows, over a pause and over a rotation", async () => {
    const answers = [done("a\n"), done("a\nb\n"), gone, done("a\nb\nc\n"), done("x\n"), gone];
    expect(await read(answers, { follow: true })).toEqual([
      "a",
      "b",
      "c",
      "[drayage: lines are missing here: the log has moved on]",
      "x",
    ]);
  });
  test("a line that was cut is given whole the next time", async () => {
    expect(await read([done("a\nb\nhal", true), done("a\nb\nhalf\n"), gone], { follow: true })).toEqual([
      "a",
      "b",
      "half",
    ]);
  });
  test("fails where there is no log, and where there is none for long", async () => {
    await expect(read([gone, gone], {})).rejects.toMatchObject({ failure: { class: "Transient" } });
    await expect(
      read(
        Array.from({ length: 9 }, () => gone),
        { follow: true },
      ),
    ).rejects.toThrow("no logs now");
  });
});
