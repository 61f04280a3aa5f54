// What came out of a run of tests, and how it is told.

/** Outcome of one or more suites. */
export interface Results {
  passed: number;
  failed: number;
  /** Tests that failed at first and passed when tried again; they count as passed. */
  flaky: string[];
  /** Tests that did not run, each with its reason. */
  notRun: { name: string; reason: string }[];
  /** What went wrong outside any test: a file that could not be loaded, an error nobody caught. Each counts as a failure. */
  problems: string[];
}

/** The reason of a test that gave none: skipped or marked as to be written, or left out by a name pattern. */
export const UNEXPLAINED = "no reason given";

export const NOTHING: Results = { passed: 0, failed: 0, flaky: [], notRun: [], problems: [] };

/** The sum of two. */
export function sum(a: Results, b: Results): Results {
  return {
    passed: a.passed + b.passed,
    failed: a.failed + b.failed,
    flaky: [...a.flaky, ...b.flaky],
    notRun: [...a.notRun, ...b.notRun],
    problems: [...a.problems, ...b.problems],
  };
}

/** Failed tests and problems. */
export function failures(results: Results): number {
  return results.failed + results.problems.length;
}

/** The end of the output: what was not run and why, what needed a second try, problems, and as last line "N passed, N failed". */
export function describe(results: Results): string[] {
  const reasons = Map.groupBy(results.notRun, ({ reason }) => reason);
  const notRun = [...reasons].flatMap(([reason, tests]) => [
    `not run (${tests.length}), ${reason}:`,
    ...tests.map(({ name }) => `  ${name}`),
  ]);
  const flaky = results.flaky.length === 0 ? [] : [`passed only when tried again (${results.flaky.length}):`];
  return [
    ...notRun,
    ...flaky,
    ...results.flaky.map((name) => `  ${name}`),
    ...results.problems.map((problem) => `problem: ${problem}`),
    `${results.passed} passed, ${failures(results)} failed`,
  ];
}
