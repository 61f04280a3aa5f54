// What came out of a run of tests, and how it is told.

/** Outcome of one or more suites. */
export interface Results {
  passed: number;
  failed: number;
  /** The failed tests, each with the beginning of every try's error. */
  failures: { name: string; errors: string[] }[];
  /** Tests that failed at first and passed when tried again; they count as passed. */
  flaky: { name: string; errors: string[] }[];
  /** Tests that did not run, each with its reason. */
  notRun: { name: string; reason: string }[];
  /** What went wrong outside any test: a file that could not be loaded, an error nobody caught. Each counts as a failure. */
  problems: string[];
}

/** The reason of a test that gave none: skipped or marked as to be written, or left out by a name pattern. */
export const UNEXPLAINED = "no reason given";

export const NOTHING: Results = { passed: 0, failed: 0, failures: [], flaky: [], notRun: [], problems: [] };

/** The sum of two. */
export function sum(a: Results, b: Results): Results {
  return {
    passed: a.passed + b.passed,
    failed: a.failed + b.failed,
    failures: [...a.failures, ...b.failures],
    flaky: [...a.flaky, ...b.flaky],
    notRun: [...a.notRun, ...b.notRun],
    problems: [...a.problems, ...b.problems],
  };
}

/** Failed tests and problems. */
export function failures(results: Results): number {
  return results.failed + results.problems.length;
}

/**
 * The end of the output: what was not run and why, what needed a second try, problems, what failed and how (last, since of a long output often
 * only the end is kept), and as last line "N passed, N failed".
 */
export function describe(results: Results): string[] {
  const reasons = Map.groupBy(results.notRun, ({ reason }) => reason);
  const notRun = [...reasons].flatMap(([reason, tests]) => [
    `not run (${tests.length}), ${reason}:`,
    ...tests.map(({ name }) => `  ${name}`),
  ]);
  return [
    ...notRun,
    ...withErrors("passed only when tried again", results.flaky),
    ...results.problems.map((problem) => `problem: ${problem}`),
    ...withErrors("failed", results.failures),
    `${results.passed} passed, ${failures(results)} failed`,
  ];
}

function withErrors(title: string, tests: Results["failures"]): string[] {
  if (tests.length === 0) return [];
  return [
    `${title} (${tests.length}):`,
    ...tests.flatMap(({ name, errors }) => [
      `  ${name}`,
      ...errors.flatMap((error, index) =>
        `${index === 0 ? "" : "then: "}${error}`.split("\n").map((line) => `    ${line}`),
      ),
    ]),
  ];
}
