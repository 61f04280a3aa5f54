/** Ready where the rollout is over or needs nothing now: what runs decides. Pure. */
import type { ObservedContainer } from "../../backends/contract.ts";
import type { Scope } from "./scope.ts";
import type { Verdict } from "./verdict.ts";

/** The rollout is over or needs nothing now: what runs decides. */
export function fromRunState(scope: Scope, primary: ObservedContainer): Verdict {
  const desired = scope.settings.desiredState;
  const observing = scope.settings.policy.managementPolicy === "Observe";
  const wanted = observing ? observedAsWanted(primary) : desired;
  const is = (status: "True" | "False", reason: string, message: string): Verdict => ({
    ready: { status, reason, message },
  });
  if (scope.runs?.crashLooping === true) return is("False", "CrashLoopBackOff", crashMessage(scope, primary));
  switch (primary.state) {
    case "Running":
      if (wanted === "Stopped" || wanted === "Paused")
        return is("False", "Progressing", `running, ${wanted.toLowerCase()} is wanted`);
      if (scope.runs?.settled === false)
        return is("False", "Progressing", "running; waiting for minReadySeconds to pass");
      return primary.unverified === true
        ? is("True", "RunningUnverified", "the vendor has said that it runs; this account cannot list what does")
        : is("True", "Running", "running as specified");
    case "Paused":
      return wanted === "Paused"
        ? is("True", "Paused", "paused as specified")
        : is("False", "Progressing", "paused on the device");
    case "Created":
    case "Stopped":
      return wanted === "Stopped"
        ? is("True", "Stopped", "stopped as specified")
        : is("False", "Stopped", primary.error ?? "stopped on the device");
    case "Exited":
      return wanted === "Stopped" ? is("True", "Stopped", "stopped as specified") : exited(scope, primary);
    case "Dead":
    case "Unknown":
      return primary.waiting === undefined
        ? is("False", "Progressing", `the device reports ${primary.state}`)
        : waiting(primary.waiting);
    default:
      return primary.state satisfies never;
  }
}

/** The kubelet's reasons are reasons of Ready, too. */
const WAITING_REASONS: ReadonlySet<string> = new Set([
  "CrashLoopBackOff",
  "ImagePullBackOff",
  "ErrImageNeverPull",
  "CreateContainerConfigError",
  "CreateContainerError",
  "RunContainerError",
]);

/** The device goes on trying: nothing is sent, and nothing is settled. */
function waiting({ reason, message }: NonNullable<ObservedContainer["waiting"]>): Verdict {
  const ready = { status: "False" as const, reason: WAITING_REASONS.has(reason) ? reason : "Progressing" };
  return { ready: { ...ready, message: `${reason}: ${message}; the device goes on trying` } };
}

function observedAsWanted(primary: ObservedContainer): "Running" | "Stopped" | "Paused" {
  return primary.state === "Paused"
    ? "Paused"
    : primary.state === "Stopped" || primary.state === "Created"
      ? "Stopped"
      : "Running";
}

/** Ended by itself: the restart policy says whether that is the end. */
function exited(scope: Scope, primary: ObservedContainer): Verdict {
  const code = primary.exitCode ?? 0;
  if (restartExpected(scope, primary))
    return {
      ready: { status: "False", reason: "Progressing", message: `exited with ${code}; the device restarts it` },
    };
  // Where the vendor tells no exit code, its word of an error has to do.
  const isUntold = primary.exitCode === undefined && primary.error !== undefined;
  if (code === 0 && !isUntold)
    return {
      ready: { status: "True", reason: "Completed", message: "exited with 0; the restart policy leaves it so" },
    };
  const how = isUntold ? `ended: ${primary.error}` : `exited with ${code}`;
  const message = `${how}${primary.oomKilled === true ? " (out of memory)" : ""}; the restart policy leaves it so`;
  return { ready: { status: "False", reason: "Failed", message }, stalled: { reason: "ContainerFailed", message } };
}

/** True while the device may still restart an ended process: by policy, and within its longest delay. */
export function restartExpected(scope: Scope, primary: ObservedContainer): boolean {
  if (scope.target === undefined || scope.desired === undefined) return false;
  if (!scope.target.planner.restarts(scope.desired, primary)) return false;
  return scope.nowMs - primary.stateSinceMs <= restartPatienceMs(scope);
}

/** How long an ended process may stay ended although its policy restarts it, before that is taken as final. */
export function restartPatienceMs(scope: Scope): number {
  return scope.settings.policy.restartPatienceMs;
}

function crashMessage(scope: Scope, primary: ObservedContainer): string {
  const last = scope.runs?.lastEnded;
  const code = last?.exitCode ?? primary.exitCode;
  const how =
    last?.oomKilled === true
      ? "was killed out of memory"
      : code === undefined && last !== undefined
        ? "ended (the vendor tells no exit code)"
        : `exited with ${code ?? 0}`;
  return `crash loop: the process ${how}, ${scope.runs?.restartCount ?? 0} restarts so far; the device restarts it by its own back-off`;
}
