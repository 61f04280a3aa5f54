// `npm run check`: types, lint, format, and that generated files are current. All parts run, so that one look shows everything.

import { realpathSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { run } from "./setup/run.mjs";

const BIN = join(import.meta.dirname, "../node_modules");

const CHECKS: [name: string, args: string[]][] = [
  ["types", [join(BIN, "typescript/bin/tsc"), "--project", "."]],
  ["lint", [join(BIN, "oxlint/bin/oxlint"), "--type-aware", "--quiet"]],
  ["format", [join(BIN, "oxfmt/bin/oxfmt"), "--check"]],
  ["generated files", ["src/crds/generate/main.ts", "--check"]],
];

/** Runs all checks. Returns the names of those that failed. */
export async function check(): Promise<string[]> {
  const failed: string[] = [];
  for (const [name, args] of CHECKS) {
    process.stdout.write(`check: ${name}\n`);
    if ((await run(process.execPath, args)) !== 0) {
      failed.push(name);
    }
  }
  return failed;
}

// Not import.meta.main: Node 24.0 does not know it.
if (realpathSync(process.argv[1] ?? ".") === import.meta.filename) {
  const failed = await check();
  process.stdout.write(failed.length === 0 ? "all checks passed\n" : `failed: ${failed.join(", ")}\n`);
  process.exitCode = failed.length === 0 ? 0 : 1;
}
