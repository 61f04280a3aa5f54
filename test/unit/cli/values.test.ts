import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  duration,
  formatDuration,
  kubernetesName,
  listenAddress,
  oneOf,
  ownerId,
  parseDuration,
  truth,
  type ValueParser,
  wholeNumber,
} from "../../../src/cli/values.ts";

/** The value, or what is said to be accepted instead. */
function read<T>(parser: ValueParser<T>, text: string): unknown {
  const result = parser.safeParse(text);
  return result.success ? result.data : `must be ${result.error.issues.map(({ message }) => message).join("; ")}`;
}

describe("durations", () => {
  test.each([
    ["500ms", 500],
    ["15s", 15_000],
    ["2m", 120_000],
    ["1h", 3_600_000],
    ["1m30s", 90_000],
    ["1h2m3s4ms", 3_723_004],
    ["0s", 0],
    ["0", 0],
  ])("%s is %i ms", (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  test.each([
    "",
    "15",
    "1.5s",
    "-1s",
    "s",
    "15 s",
    " 15s",
    "15S",
    "30s1m",
    "1s1s",
    "1d",
    "1e3s",
    "Infinity",
    "99999999999999999h",
  ])("%j is refused", (text) => {
    expect(parseDuration(text)).toBeUndefined();
  });

  test("format and parse are inverse", () => {
    fc.assert(
      fc.property(fc.nat(), (ms) => {
        expect(parseDuration(formatDuration(ms))).toBe(ms);
      }),
    );
  });

  test("nothing but a parsed text is accepted", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const ms = parseDuration(text);
        if (ms !== undefined) expect(text).toMatch(/^0$|^(\d+(h|m|s|ms))+$/);
      }),
    );
  });

  test("out of range: the range is named in the same words", () => {
    const parser = duration({ minMs: 1000, maxMs: 3_600_000 });
    expect(read(parser, "1s")).toBe(1000);
    expect(read(parser, "1h")).toBe(3_600_000);
    expect(read(parser, "999ms")).toBe("must be a duration from 1s to 1h");
    expect(read(parser, "61m")).toBe("must be a duration from 1s to 1h");
    expect(read(parser, "15")).toBe("must be a duration: whole numbers with a unit, such as 500ms, 15s, 2m or 1m30s");
  });
});

describe("addresses", () => {
  test.each([
    [":8081", { host: "", port: 8081 }],
    ["127.0.0.1:0", { host: "127.0.0.1", port: 0 }],
    ["localhost:65535", { host: "localhost", port: 65_535 }],
    ["[::1]:8081", { host: "::1", port: 8081 }],
    ["off", undefined],
  ])("%s", (text, address) => {
    expect(read(listenAddress(), text)).toEqual(address);
  });

  test.each([
    "",
    "8081",
    "127.0.0.1",
    ":65536",
    "::1:8081",
    "[::1]",
    "host:port",
    "http://localhost:80",
    "a b:1",
    ":-1",
  ])("%j is refused", (text) => {
    expect(read(listenAddress(), text)).toBe("must be an address such as :8081, 127.0.0.1:8081 or [::1]:8081, or off");
  });
});

test.each([
  {
    parser: wholeNumber({ min: 1, max: 1000 }),
    good: ["1", "1000", "016"],
    bad: ["0", "1001", "", "1.0", "-1", "1e2", "x"],
  },
  { parser: truth(), good: ["true", "false"], bad: ["", "yes", "1", "TRUE"] },
  { parser: oneOf(["json", "pretty"]), good: ["json", "pretty"], bad: ["", "JSON", "jso"] },
  {
    parser: ownerId(),
    good: ["a", "plant-7", "x".repeat(63)],
    bad: ["", "-a", "a-", "A", "a_b", "a.b", "x".repeat(64)],
  },
  { parser: kubernetesName({ dots: false }), good: ["edge", "a-1"], bad: ["", "a.b", "Edge", "x".repeat(64)] },
  { parser: kubernetesName({ dots: true }), good: ["edge", "a.b"], bad: ["", "a..b", ".a", "x.".repeat(200)] },
] satisfies { parser: ValueParser<unknown>; good: string[]; bad: string[] }[])(
  "accepts $good and nothing like $bad",
  ({ parser, good, bad }) => {
    for (const text of good) expect(parser.safeParse(text).success, text).toBe(true);
    for (const text of bad) expect(parser.safeParse(text).success, text).toBe(false);
  },
);
