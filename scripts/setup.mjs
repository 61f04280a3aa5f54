#!/usr/bin/env node
// What every npm script of this project begins with: it makes the checkout ready (dependencies, a Node that is new enough, the bundle), says
// what takes long, and then hands over to the target. Plain JavaScript without dependencies, since it runs before anything is installed and on
// any Node from 18 on; what it starts runs on Node 24 or newer.
//
//     node scripts/setup.mjs <target> [arguments for the target]

import { join } from "node:path";
import { ensureDependencies } from "./setup/dependencies.mjs";
import { ensureNode } from "./setup/node.mjs";
import { ROOT } from "./setup/paths.mjs";
import { run } from "./setup/run.mjs";

/** Target -> the program that is it, and whether it needs the bundle dist/drayage.mjs. */
const TARGETS = {
  demo: { program: "test/demo/main.ts", bundle: true },
  test: { program: "scripts/test.ts", bundle: true },
  ci: { program: "scripts/ci.ts", bundle: false },
  build: { program: "scripts/build.mjs", bundle: false },
  check: { program: "scripts/check.ts", bundle: false },
  generate: { program: "src/crds/generate/main.ts", bundle: false },
  bench: { program: "test/bench/main.ts", bundle: true },
};

async function main() {
  const [name = "", ...args] = process.argv.slice(2);
  const target = Object.hasOwn(TARGETS, name) ? TARGETS[name] : undefined;
  if (!target) {
    process.stderr.write(`unknown target "${name}"; there are: ${Object.keys(TARGETS).join(", ")}\n`);
    return 2;
  }
  const bootstrap = await ensureNode();
  await ensureDependencies(bootstrap);
  // Now a carried Node stands in node_modules as well; either starts.
  const node = await ensureNode();
  if (target.bundle) {
    const code = await run(node, [join(ROOT, "scripts/build.mjs"), "--quiet"]);
    if (code !== 0) {
      return code;
    }
  }
  return run(node, [join(ROOT, target.program), ...args]);
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
