/**
 * The history of a container's runs, pieced together from level samples. The twin shows only the present state, the start of the present
 * (or last) run and the end of the last one; events may repeat, be skipped, or show a newer state than the one they announce
 * (container-management shares the live state with its events). So every sample is taken for what it says, and what is already known
 * of a run is never overwritten by a later sample.
 */
import type { Run, RunState } from "../contract.ts";

/** Runs that are kept per container. */
export const MAX_RUNS = 20;

/** What one sample says. Times are RFC 3339 of the device, undefined if absent. */
export interface RunSample {
  state: RunState;
  startedAt?: string;
  finishedAt?: string;
  exitCode: number;
  oomKilled: boolean;
}

/**
 * Adds a sample.
 *
 * @returns the same array if it says nothing new.
 */
export function addSample(runs: readonly Run[], sample: RunSample): readonly Run[] {
  const { startedAt } = sample;
  // Without a start there was no run: created, or every start failed.
  if (startedAt === undefined) return runs;
  switch (sample.state) {
    case "Running":
    case "Paused":
      return addRunning(runs, sample, startedAt);
    case "Stopped":
    case "Exited":
    case "Dead":
      return addEnded(runs, sample, startedAt);
    case "Created":
    case "Unknown":
      return runs;
    default:
      return sample.state satisfies never;
  }
}

function addRunning(runs: readonly Run[], sample: RunSample, startedAt: string): readonly Run[] {
  if (runs.some((run) => run.startedAt === startedAt)) return runs;
  const last = runs.at(-1);
  const { finishedAt } = sample;
  // While running, finishedAt is the end of the run before; its exit code is not told any more.
  const missedEnd =
    last !== undefined &&
    last.finishedAt === undefined &&
    finishedAt !== undefined &&
    isAfter(finishedAt, last.startedAt);
  const before = missedEnd ? [...runs.slice(0, -1), { ...last, finishedAt }] : runs;
  return [...before, { startedAt }].slice(-MAX_RUNS);
}

function addEnded(runs: readonly Run[], sample: RunSample, startedAt: string): readonly Run[] {
  const { finishedAt, exitCode, oomKilled, state } = sample;
  // A failed restart shows a new finishedAt beside the startedAt of a run that ended long ago: the first end that was seen counts.
  const index = runs.findIndex((run) => run.startedAt === startedAt);
  const known = runs[index];
  if (known?.finishedAt !== undefined || finishedAt === undefined) return runs;
  const ended: Run = {
    startedAt,
    finishedAt,
    exitCode,
    ...(oomKilled && { oomKilled }),
    ...(state !== "Exited" && { stopped: true }),
  };
  return known === undefined ? [...runs, ended].slice(-MAX_RUNS) : runs.with(index, ended);
}

function isAfter(later: string, earlier: string): boolean {
  return Date.parse(later) > Date.parse(earlier);
}
