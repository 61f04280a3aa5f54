/** Drift as news: what somebody did to a container is written down at once and told as an event, also where it is about to be mended. */
import type { EdgeContainerStatus } from "../../crds/edge-container.ts";
import type { Environment } from "../environment.ts";
import type { Scope } from "./scope.ts";

/** Somebody changed the container, in another way than was known. Pure. */
export function isNewDrift(before: EdgeContainerStatus | undefined, after: EdgeContainerStatus): boolean {
  return after.drift !== undefined && JSON.stringify(before?.drift) !== JSON.stringify(after.drift);
}

/** Tells it once; goes with each write of a status. */
export function announceDrift(
  scope: Scope,
  before: EdgeContainerStatus | undefined,
  after: EdgeContainerStatus,
  env: Environment,
): void {
  if (!isNewDrift(before, after)) return;
  const fields = (after.drift?.fields ?? []).map(({ path, observed }) => `${path} is ${observed}`).join(", ");
  const then = scope.settings.policy.driftPolicy === "Report" ? "only reported (driftPolicy Report)" : "set right";
  env.events.record(scope.object, "Warning", "Drifted", `changed on the device by others: ${fields}; ${then}`);
}
