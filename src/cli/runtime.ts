import type { Expectations } from "../controller/expectations.ts";
import type { Logger } from "../controller/logging.ts";
import type { Manager } from "../controller/manager.ts";
import type { Metrics } from "../controller/metrics.ts";
import type { StatusWriter } from "../controller/status-writer.ts";
import type { KubeClient } from "../kube/client.ts";
import type { Clock } from "../kube/clock.ts";
import type { Election } from "../kube/lease.ts";
import type { RunOptions } from "./run-options.ts";

/** What the parts of the running daemon are built from. */
export interface Runtime {
  readonly options: RunOptions;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly client: KubeClient;
  /** Takes caches, components and controllers; starts and stops them in order. */
  readonly manager: Manager;
  readonly expectations: Expectations;
  readonly statusWriter: StatusWriter;
  /** `election.fence` guards every effect at a vendor; `election.identity` is unique per process. */
  readonly election: Election;
  /** Id of this installation: --owner-id, else the uid of the namespace kube-system. */
  readonly ownerId: string;
  /** Whether the owner id was chosen by the user, so that it survives the cluster. */
  readonly ownerIdIsExplicit: boolean;
}
