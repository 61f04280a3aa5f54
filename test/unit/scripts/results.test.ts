import { expect, test } from "vitest";
import { describe as tell, failures, NOTHING, sum } from "../../../scripts/results.ts";

test("the last line counts problems outside of tests as failures", () => {
  const results = { ...NOTHING, passed: 3, failed: 1, problems: ["vitest ended with 1"] };
  expect(tell(results)).toEqual(["problem: vitest ended with 1", "3 passed, 2 failed"]);
  expect(failures(results)).toBe(2);
});

test("tests that did not run are listed by name under their reason", () => {
  const notRun = [
    { name: "a > one", reason: "no mosquitto" },
    { name: "b > two", reason: "no Go" },
    { name: "a > three", reason: "no mosquitto" },
  ];
  expect(tell({ ...NOTHING, passed: 1, notRun })).toEqual([
    "not run (2), no mosquitto:",
    "  a > one",
    "  a > three",
    "not run (1), no Go:",
    "  b > two",
    "1 passed, 0 failed",
  ]);
});

test("a test that passed only when tried again counts as passed and is named", () => {
  expect(tell({ ...NOTHING, passed: 2, flaky: [{ name: "a > one", errors: ["no answer"] }] })).toEqual([
    "passed only when tried again (1):",
    "  a > one",
    "    no answer",
    "2 passed, 0 failed",
  ]);
});

test("what failed is named at the end, with the error of each try", () => {
  const failed = { name: "a > two", errors: ["expected 1 to be 2\nat test/a.test.ts:7", "no answer"] };
  expect(tell({ ...NOTHING, passed: 2, failed: 1, failures: [failed] })).toEqual([
    "failed (1):",
    "  a > two",
    "    expected 1 to be 2",
    "    at test/a.test.ts:7",
    "    then: no answer",
    "2 passed, 1 failed",
  ]);
});

test("suites add up", () => {
  const z = { name: "z", errors: [] };
  const one = {
    passed: 1,
    failed: 2,
    failures: [z],
    flaky: [z],
    notRun: [{ name: "x", reason: "y" }],
    problems: ["p"],
  };
  expect(sum(one, one)).toMatchObject({ passed: 2, failed: 4, failures: [z, z], flaky: [z, z], problems: ["p", "p"] });
  expect(sum(NOTHING, one)).toEqual(one);
});
