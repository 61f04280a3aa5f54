// Vitest reporter that writes what became of each test to the file named by DRAYAGE_RESULTS: the counts, and every test that was not run with
// the reason it gave (`context.skip("reason")`), which vitest's own JSON report leaves out.

import { writeFileSync } from "node:fs";
import { relative } from "node:path";
import process from "node:process";
import { stripVTControlCharacters } from "node:util";
import type { Reporter, TestCase, TestModule, TestRunEndReason } from "vitest/node";
import { UNEXPLAINED, type Results } from "./results.ts";

export default class ResultsReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[], reason: TestRunEndReason): void {
    const path = process.env["DRAYAGE_RESULTS"];
    if (!path) {
      return;
    }
    const results: Results = { passed: 0, failed: 0, failures: [], flaky: [], notRun: [], problems: [] };
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        add(results, test);
      }
      // A file that could not be loaded has no tests to fail.
      for (const error of module.errors()) {
        results.problems.push(`${module.relativeModuleId}: ${firstLine(error.message)}`);
      }
    }
    for (const error of unhandledErrors) {
      results.problems.push(`outside any test: ${firstLine(messageOf(error))}`);
    }
    if (reason === "interrupted") {
      results.problems.push("the run was interrupted");
    }
    writeFileSync(path, JSON.stringify(results));
  }
}

function add(results: Results, test: TestCase): void {
  const result = test.result();
  if (result.state === "passed") {
    results.passed++;
    if (test.diagnostic()?.flaky === true) results.flaky.push(told(test));
  } else if (result.state === "failed") {
    results.failed++;
    results.failures.push(told(test));
  } else {
    // Of a whole block that is not run, its title says why: "on mosquitto (not run: it is not installed)".
    const inTitle = / ?\(not run: ([^)]*)\)/.exec(test.fullName);
    const reason = ("note" in result && result.note) || inTitle?.[1] || UNEXPLAINED;
    const name = test.fullName.replace(inTitle?.[0] ?? "", "");
    results.notRun.push({ name: `${test.module.relativeModuleId} > ${name}`, reason });
  }
}

/** Lines of an error that are told: an assertion with its difference, not a page of it. */
const MAX_ERROR_LINES = 20;

function told(test: TestCase): { name: string; errors: string[] } {
  const errors = test.result().errors ?? [];
  return {
    name: `${test.module.relativeModuleId} > ${test.fullName}`,
    errors: errors.map(({ message, diff, stacks }) => {
      const at = stacks?.[0] === undefined ? [] : [`at ${relative(process.cwd(), stacks[0].file)}:${stacks[0].line}`];
      const lines = [message, ...(diff === undefined ? [] : [stripVTControlCharacters(diff)])].join("\n").split("\n");
      const short = lines.length > MAX_ERROR_LINES ? [...lines.slice(0, MAX_ERROR_LINES), "..."] : lines;
      return [...short.map((line) => line.slice(0, 400)), ...at].join("\n");
    }),
  };
}

function messageOf(error: unknown): string {
  return typeof error === "object" && error !== null && "message" in error ? String(error.message) : String(error);
}

function firstLine(text: string): string {
  return text.split("\n")[0] ?? "";
}
