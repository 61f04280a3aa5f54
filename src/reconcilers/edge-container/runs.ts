/**
 * Restarts and crash loops, derived from the runs of a container's process. Where the device restarts a process by itself,
 * Drayage only counts and reports. What has been counted is in status (restartCount, state, lastState, backoff), so that
 * neither a restart of the operator nor a second look counts a run twice.
 */
import type { ObservedContainer, Run } from "../../backends/contract.ts";

/** Exits within the reset time that make a crash loop. */
export const CRASH_LOOP_EXITS = 3;

/** What was known before this look, from status. */
export interface RunHistory {
  /** status.external.id; another id starts from nothing. */
  externalId?: string;
  restartCount: number;
  /** startedAt of the newest run that was accounted for. */
  lastStartedAt?: string;
  /** The newest end that was accounted for. */
  lastEnd?: { startedAt?: string; finishedAt: string };
  /** status.backoff.count while its kind is Crash. */
  crashCount: number;
  /** The run (startedAt) for which Ready=True was reported, if it was. */
  readyRun?: string;
}

/** Settings, with defaults applied. */
export interface RunPolicy {
  minReadyMs: number;
  resetAfterMs: number;
  /** True if the device restarts this container's process when it ends. */
  restarts: boolean;
}

/** The result of a look. */
export interface RunAccount {
  restartCount: number;
  crashCount: number;
  /** Crash-looping now: Ready=False CrashLoopBackOff. */
  crashLooping: boolean;
  /** Enough of the present run has passed to call it Ready (and to call a crash loop over). */
  settled: boolean;
  /** When `settled` will become true if nothing happens, Clock ms; undefined when settled, not running, or only a look is missing. */
  settlesAtMs?: number;
  /** The run would be settled by now, but nobody has looked since it would be. */
  needsLook?: true;
  /** When the crash count is forgotten if nothing happens, Clock ms. */
  forgetAtMs?: number;
  /** The newest end, for lastState. */
  lastEnded?: Run;
}

/** Accounts for the runs seen since the last look. Pure. */
export function accountRuns(
  history: RunHistory,
  observed: ObservedContainer,
  policy: RunPolicy,
  nowMs: number,
): RunAccount {
  const same = history.externalId === observed.externalId;
  const known = same ? history : { restartCount: 0, crashCount: 0 };
  const runs = observed.runs;
  const fresh = runsAfter(runs, known.lastStartedAt);
  const restartCount = observed.restartCount ?? known.restartCount + restartsAmong(fresh, runs, known.lastStartedAt);

  let crashCount = known.crashCount;
  let lastFinished = known.lastEnd?.finishedAt;
  let lastEnded: Run | undefined = runs.findLast((run) => run.finishedAt !== undefined);
  let lastRunMs = 0;
  for (const run of runs) {
    if (run.finishedAt === undefined) continue;
    lastRunMs = span(run.startedAt, run.finishedAt);
    if (!isNewEnd(run, known.lastEnd, known.lastStartedAt)) continue;
    if (run.stopped === true) {
      lastFinished = run.finishedAt;
      continue;
    }
    const failed = (run.exitCode ?? 0) !== 0 || run.oomKilled === true;
    if (!failed && !policy.restarts) continue;
    const quiet = lastFinished === undefined ? Infinity : span(lastFinished, run.finishedAt);
    crashCount = lastRunMs >= policy.resetAfterMs || quiet >= policy.resetAfterMs ? 1 : crashCount + 1;
    lastFinished = run.finishedAt;
  }

  const running = observed.state === "Running" || observed.state === "Paused";
  const runningMs = running ? nowMs - observed.stateSinceMs : 0;
  const wasReady = running && same && history.readyRun !== undefined && history.readyRun === observed.startedAt;
  const neededMs =
    crashCount >= CRASH_LOOP_EXITS
      ? Math.min(Math.max(2 * lastRunMs, policy.minReadyMs), policy.resetAfterMs)
      : policy.minReadyMs;
  // What has not been looked at since may have ended long ago.
  const settlesAtMs = observed.stateSinceMs + neededMs;
  const seenMs = Math.min(nowMs, observed.seenMs ?? nowMs);
  const settled = running && (wasReady || seenMs >= settlesAtMs);
  const needsLook = running && !settled && nowMs >= settlesAtMs;
  if (running && runningMs >= policy.resetAfterMs) crashCount = 0;
  lastEnded = lastEnded === undefined ? undefined : { ...lastEnded };
  return {
    restartCount,
    crashCount,
    crashLooping: crashCount >= CRASH_LOOP_EXITS && !settled && (running || policy.restarts),
    settled,
    ...(needsLook && { needsLook }),
    ...(running && !settled && !needsLook && { settlesAtMs }),
    ...(running && crashCount > 0 && { forgetAtMs: observed.stateSinceMs + policy.resetAfterMs }),
    ...(lastEnded !== undefined && { lastEnded }),
  };
}

/** How many of the new runs followed one that ended by itself: the first run, and one after an ordered stop, are no restarts. */
function restartsAmong(fresh: readonly Run[], runs: readonly Run[], lastStartedAt: string | undefined): number {
  return fresh.filter((run) => {
    const before = runs[runs.indexOf(run) - 1];
    return before === undefined ? lastStartedAt !== undefined : before.stopped !== true;
  }).length;
}

/** The runs after the one last accounted for: by position if it is still listed, else by its time. */
function runsAfter(runs: readonly Run[], lastStartedAt: string | undefined): readonly Run[] {
  if (lastStartedAt === undefined) return runs;
  const index = runs.findLastIndex((run) => run.startedAt === lastStartedAt);
  if (index >= 0) return runs.slice(index + 1);
  return runs.filter((run) => span(lastStartedAt, run.startedAt) > 0);
}

function isNewEnd(run: Run, lastEnd: RunHistory["lastEnd"], lastStartedAt: string | undefined): boolean {
  if (run.finishedAt === undefined) return false;
  if (lastEnd === undefined)
    // Nothing had ended yet: an end of a run that was known, or of a newer one, is news.
    return lastStartedAt === undefined || span(lastStartedAt, run.startedAt) >= 0;
  return span(lastEnd.finishedAt, run.finishedAt) > 0;
}

/** Milliseconds from one RFC 3339 time to another; 0 if either does not parse. */
export function span(from: string, to: string): number {
  const ms = Date.parse(to) - Date.parse(from);
  return Number.isNaN(ms) ? 0 : ms;
}
