/** What is said while a failed Swap goes back, and once it has. Pure. */
import { ANNOTATIONS } from "../../crds/group.ts";
import type { Scope } from "./scope.ts";
import type { Verdict } from "./verdict.ts";

/** A Swap has failed and is over. */
export function isRolledBack(scope: Scope): boolean {
  return scope.failed !== undefined && scope.operation === undefined;
}

export function rolledBackMessage(scope: Scope): string {
  const back = scope.plan?.primary?.externalId ?? (scope.plan === undefined ? external(scope)?.id : undefined);
  const where = back === undefined ? "rolled back, and the old container is gone" : `rolled back to container ${back}`;
  const retry = `change the spec or the annotation ${ANNOTATIONS.retry} to try again`;
  return `${where}: ${failedBecause(scope)}; ${retry}`;
}

function external(scope: Scope): { id: string; name?: string } | undefined {
  return scope.object.status?.external;
}

function failedBecause(scope: Scope): string {
  return `${scope.failed?.reason ?? "failed"}: ${scope.failure?.failure.message ?? "see the events"}`;
}

export function rollingBack(scope: Scope): Verdict {
  const next = scope.backoff?.nextRetryTime;
  const message = `going back to the old container, ${scope.failed === undefined ? "the spec has changed" : failedBecause(scope)}`;
  return {
    ready: { status: "False", reason: "OperationFailed", message },
    reconciling: { reason: "Swapping", message: next === undefined ? message : `${message}; next try at ${next}` },
  };
}
