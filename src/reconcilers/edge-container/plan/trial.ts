/** Whether the new container of a Swap has proven itself, has failed, or needs more time. Pure. */
import type { ObservedContainer } from "../../../backends/contract.ts";
import type { BackendFailure } from "../../../backends/errors.ts";
import type { Operation } from "../../../crds/edge-container.ts";
import { accountRuns } from "../runs.ts";
import { isLive } from "./swap-pair.ts";
import type { PlanInput, TrialFailure } from "./types.ts";

/** The verdict on a new container whose old one is down. */
export type Trial =
  | { verdict: "Healthy" }
  | { verdict: "Failing"; because: TrialFailure }
  /** `untilMs`: when it changes if nothing happens. */
  | { verdict: "Pending"; message: string; untilMs: number };

/** Looks at the runs of the new container, and at the failure of its start if there is one. */
export function judgeTrial(
  input: PlanInput,
  entry: Operation,
  fresh: ObservedContainer,
  old: ObservedContainer,
): Trial {
  const { now, policy, memory, desired, planner } = input;
  const standing = memory.failure;
  if (!isLive(fresh) && standing !== undefined && standing.operationId === entry.id) {
    const reason = startFailure(standing.failure);
    if (reason !== undefined) return { verdict: "Failing", because: { reason, failure: standing.failure } };
  }
  const ended = fresh.state === "Exited";
  const patient = now - fresh.stateSinceMs <= policy.restartPatienceMs;
  const restarts = planner.restarts(desired, fresh) && (!ended || patient);
  const runs = accountRuns(
    memory.runs ?? { restartCount: 0, crashCount: 0 },
    fresh,
    { minReadyMs: policy.minReadyMs, resetAfterMs: policy.resetAfterMs, restarts },
    now,
  );
  if (isLive(fresh) && runs.settled) return { verdict: "Healthy" };
  const failed = (fresh.exitCode ?? 0) !== 0 || fresh.oomKilled === true;
  if (ended && !restarts && !failed) return { verdict: "Healthy" };
  if (runs.crashLooping) return failing("CrashLoopBackOff", fresh, `ended ${runs.crashCount} times in a row, last`);
  if (ended && !restarts) return failing("ContainerFailed", fresh, "ended");
  const deadlineMs = old.stateSinceMs + policy.progressDeadlineMs;
  if (now >= deadlineMs) return overdue(input, fresh);
  const message = isLive(fresh)
    ? `the new container ${fresh.externalId} runs; the old one is kept until it has run for ${policy.minReadyMs / 1000} s`
    : `the new container ${fresh.externalId} is ${fresh.state}; the old one is kept until it runs`;
  return { verdict: "Pending", message, untilMs: Math.min(runs.settlesAtMs ?? Infinity, deadlineMs) };
}

/** In one word, why a failed start will not get better by itself; undefined if it may. */
function startFailure(failure: BackendFailure): string | undefined {
  switch (failure.class) {
    case "WorkloadFailed":
      // The others are failures of a create: that there is a container is the newer news.
      return failure.reason === "RunContainerError" || failure.reason === "OOMKilled" || failure.reason === "Error"
        ? failure.reason
        : undefined;
    case "Invalid":
      return failure.reason;
    case "Unsupported":
      return "UnsupportedField";
    case "Conflict":
      // Nobody knows when the port comes free, and the old container may well run without it.
      return failure.reason === "PortConflict" ? failure.reason : undefined;
    case "Transient":
    case "RateLimited":
    case "Unreachable":
    case "Unauthorized":
    case "Ambiguous":
      return undefined;
    default:
      return failure satisfies never;
  }
}

function failing(reason: string, fresh: ObservedContainer, what: string): Trial {
  const last = fresh.runs.findLast((run) => run.finishedAt !== undefined) ?? fresh;
  const exitCode = last.exitCode ?? 0;
  const oomKilled = last.oomKilled === true || fresh.oomKilled === true;
  const how = oomKilled ? `out of memory (exit code ${exitCode})` : `with exit code ${exitCode}`;
  return {
    verdict: "Failing",
    because: {
      reason,
      failure: {
        class: "WorkloadFailed",
        reason: oomKilled ? "OOMKilled" : "Error",
        message: `the new container ${fresh.externalId} (${fresh.image}) ${what} ${how}`,
        exitCode,
      },
    },
  };
}

function overdue(input: PlanInput, fresh: ObservedContainer): Trial {
  const seconds = input.policy.progressDeadlineMs / 1000;
  const standing = input.memory.failure?.failure;
  const why = standing === undefined ? (fresh.error ?? `it is ${fresh.state}`) : standing.message;
  return {
    verdict: "Failing",
    because: {
      reason: "ProgressDeadlineExceeded",
      failure: {
        class: "WorkloadFailed",
        reason: "Error",
        message: `the new container ${fresh.externalId} (${fresh.image}) was not ready within progressDeadlineSeconds (${seconds}): ${why}`,
      },
    },
  };
}
