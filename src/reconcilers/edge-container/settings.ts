/** spec with its defaults applied, in the units that the code uses. The API page of the docs names the same defaults. */
import { withContainerDefaults, type EdgeContainerSettings } from "../../crds/defaults.ts";
import type { EdgeContainerSpec } from "../../crds/edge-container.ts";
import type { BackoffSettings } from "./failures.ts";
import type { PlanPolicy } from "./plan/types.ts";

/** On top of the longest delay between restarts by the device itself: it is as slow as devices are. */
const RESTART_MARGIN_MS = 30_000;

/** What steers a pass. */
export interface Settings {
  desiredState: "Running" | "Stopped" | "Paused";
  policy: PlanPolicy;
  backoff: BackoffSettings;
  minReadyMs: number;
  progressDeadlineMs: number;
  deletion: { policy: "Remove" | "Stop" | "Orphan"; graceMs: number };
}

/** Applies the defaults. Pure and total. */
export function settingsOf(spec: EdgeContainerSpec): Settings {
  const full = withContainerDefaults(spec);
  const { backoff, updateStrategy } = full;
  // The vendor's own longest delay where the spec leaves it open (Kanto: one minute).
  const retryTimeoutMs = (spec.restartPolicy?.retryTimeoutSeconds ?? 60) * 1000;
  return {
    desiredState: full.desiredState,
    policy: {
      managementPolicy: full.managementPolicy,
      driftPolicy: full.driftPolicy,
      updateStrategy: updateStrategy.type,
      adoption: adoptionOf(full),
      stop: full.stop,
      deletesVolumes: full.deletion.deleteVolumes,
      rollbackOnFailure: updateStrategy.rollbackOnFailure,
      minReadyMs: updateStrategy.minReadySeconds * 1000,
      progressDeadlineMs: updateStrategy.progressDeadlineSeconds * 1000,
      resetAfterMs: backoff.resetAfterSeconds * 1000,
      restartPatienceMs: retryTimeoutMs + RESTART_MARGIN_MS,
    },
    backoff: {
      initialMs: backoff.initialSeconds * 1000,
      maxMs: backoff.maxSeconds * 1000,
      resetAfterMs: backoff.resetAfterSeconds * 1000,
    },
    minReadyMs: updateStrategy.minReadySeconds * 1000,
    progressDeadlineMs: updateStrategy.progressDeadlineSeconds * 1000,
    deletion: { policy: full.deletion.policy, graceMs: full.deletion.graceSeconds * 1000 },
  };
}

/** Observe looks at a container by id or name without an adoption policy: it never owns it. */
function adoptionOf({ adoption, managementPolicy }: EdgeContainerSettings): PlanPolicy["adoption"] {
  const { policy, externalId } = adoption;
  if (policy === "ById" && externalId !== undefined) return { policy: "ById", externalId };
  if (policy === "ByName" || managementPolicy === "Observe") return { policy: "ByName" };
  return { policy: "Never" };
}
