// `npm run demo`: the whole of Drayage on this machine, with simulated devices. See docs/tour.md.
//
//     npm run demo               goes on until Ctrl-C
//     npm run demo -- --exit     ends by itself, with code 0 when every step was seen and 1 when not
//
// Ctrl-C ends everything in order: with 0 once the steps are through, with 130 before. A second one ends at once.

import process from "node:process";
import { parseArgs } from "node:util";
import { runDemo } from "./demo.ts";
import { linesView } from "./view-lines.ts";
import { liveView } from "./view-live.ts";

const USAGE = `usage: npm run demo [-- --exit]

Runs a local Kubernetes API, three simulated Eclipse Kanto devices, a simulated ALPON device, a simulated Hiveon machine and the operator, and shows
what Drayage does.

  --exit    end after the last step, with exit code 0 when every step was seen and 1 when not
  --help    print this
`;

/** How often to look whether the process that started this one still lives. */
const PARENT_MS = 1000;

async function main(): Promise<number> {
  let flags: { exit: boolean; help: boolean };
  try {
    ({ values: flags } = parseArgs({
      options: { exit: { type: "boolean", default: false }, help: { type: "boolean", short: "h", default: false } },
    }));
  } catch (error) {
    process.stderr.write(`demo: ${error instanceof Error ? error.message : String(error)}\n${USAGE}`);
    return 2;
  }
  if (flags.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const view = process.stdout.isTTY ? liveView(process.stdout) : linesView((text) => void process.stdout.write(text));
  const stop = new AbortController();
  const onSignal = (): void => {
    if (stop.signal.aborted) {
      process.exit(130); // The exit hook of test/controlplane/component.ts kills what still runs.
    }
    stop.abort();
    view.progress("ending everything, which takes a few seconds; Ctrl-C again does it the hard way");
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, onSignal);
  }
  // Nobody reads any more: `npm run demo | head`, or a terminal that is gone.
  process.stdout.on("error", () => stop.abort());
  process.stderr.on("error", () => stop.abort());
  // The set-up script was killed, so nobody would ever end this: it does so itself.
  const parent = process.ppid;
  const orphaned = setInterval(() => {
    if (process.ppid !== parent && !stop.signal.aborted) {
      stop.abort();
    }
  }, PARENT_MS);
  try {
    return await runDemo(view, { exit: flags.exit, signal: stop.signal });
  } finally {
    clearInterval(orphaned);
  }
}

// Not only the exit code: a build of the control plane may be under way, which ends with this process.
process.exit(await main());
