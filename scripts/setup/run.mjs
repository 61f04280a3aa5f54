// Runs a program in the foreground: its exit code becomes ours, and signals reach it exactly once.

import { spawn } from "node:child_process";
import { constants } from "node:os";
import { delimiter, dirname } from "node:path";
import { ROOT } from "./paths.mjs";

/** Signals that are handed on. SIGWINCH: a program outside the terminal's process group does not hear of a resized window by itself. */
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP", "SIGWINCH"];

/** How often to look whether the process that started this one still lives. */
const PARENT_MS = 1000;

/** Ctrl-C comes here from the terminal and, a moment later, from npm too: within this time it is one and the same. */
const SAME_SIGNAL_MS = 500;

/**
 * Starts a program in a process group of its own, so that Ctrl-C in the terminal comes here only and is handed on once; a second Ctrl-C is
 * handed on too. `node` in its PATH is the given one.
 * @param {string} node absolute path of a Node binary
 * @param {string[]} args
 * @param {{ command?: string, env?: NodeJS.ProcessEnv, cwd?: string, sameSignalMs?: number }} [options] command: what to start; default the
 *   Node itself. sameSignalMs: within how many milliseconds equal signals are one; default 500
 * @returns {Promise<number>} its exit code; 128 + number for a signal
 */
export async function run(node, args, options = {}) {
  const env = { ...process.env, ...options.env };
  env.PATH = [dirname(node), env.PATH ?? ""].filter(Boolean).join(delimiter);
  const child = spawn(options.command ?? node, args, {
    stdio: "inherit",
    env,
    cwd: options.cwd ?? ROOT,
    detached: true,
  });
  const last = new Map();
  const forward = (signal) => {
    const now = Date.now();
    if (signal !== "SIGWINCH" && now - (last.get(signal) ?? -Infinity) < (options.sameSignalMs ?? SAME_SIGNAL_MS)) {
      return;
    }
    last.set(signal, now);
    // To the program alone: what it started is its own to end.
    child.kill(signal);
  };
  for (const signal of SIGNALS) {
    process.on(signal, forward);
  }
  // npm hands SIGTERM to a shell between us, which dies of it and tells nobody: whoever lost his parent is to end.
  const parent = process.ppid;
  const orphaned = setInterval(() => {
    if (process.ppid !== parent) {
      clearInterval(orphaned);
      forward("SIGTERM");
    }
  }, PARENT_MS);
  try {
    return await new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("exit", (code, signal) => resolve(code ?? 128 + (constants.signals[signal] ?? 0)));
    });
  } finally {
    clearInterval(orphaned);
    for (const signal of SIGNALS) {
      process.off(signal, forward);
    }
  }
}
