#!/usr/bin/env node
/** Process entry: hands the command line to src/cli, turns signals into an orderly stop, and sets the exit code. */
import { runCli } from "./cli/program.ts";

/** What a shell reports for a process that ended by SIGINT; for a second signal, which does not wait for anything. */
const EXIT_FORCED = 130;

const stop = new AbortController();

function onSignal(): void {
  if (stop.signal.aborted) process.exit(EXIT_FORCED);
  stop.abort();
}
process.on("SIGINT", onSignal);
process.on("SIGTERM", onSignal);

// Nothing in the program leaves an error to itself; should it happen, a fresh start is safer than going on half alive.
function onUnexpected(error: unknown): void {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`drayage: unexpected error: ${text.replaceAll(/\s*\n\s*/g, " | ")}\n`);
  process.exit(1);
}
process.on("unhandledRejection", onUnexpected);
process.on("uncaughtException", onUnexpected);

const code = await runCli({
  args: process.argv.slice(2),
  env: process.env,
  signal: stop.signal,
  stdout: (text) => void process.stdout.write(text),
  stderr: (text) => void process.stderr.write(text),
});
// Ends also what a fenced-off pass may still hold open.
process.exit(code);
