/** What every reconciler is given. Made once, in index.ts. */
import type { Expectations } from "../controller/expectations.ts";
import type { Logger } from "../controller/logging.ts";
import type { StatusWriter } from "../controller/status-writer.ts";
import type { EdgeBackend } from "../crds/edge-backend.ts";
import type { EdgeContainer } from "../crds/edge-container.ts";
import type { EdgeDevice } from "../crds/edge-device.ts";
import type { EdgeRegistry } from "../crds/edge-registry.ts";
import type { EdgeStack } from "../crds/edge-stack.ts";
import type { KubeClient } from "../kube/client.ts";
import type { Clock } from "../kube/clock.ts";
import type { Resource } from "../kube/resource.ts";
import type { KubeObject, ObjectKey } from "../kube/types.ts";
import type { Accounts } from "./accounts.ts";
import type { HashKey } from "./hash.ts";
import type { ReconcilerMetrics } from "./metrics.ts";
import type { References } from "./references.ts";
import type { SlotWaiters } from "./slots.ts";
import type { Stores } from "./stores.ts";

/** Records Kubernetes events; never blocks and never throws. */
export interface EventSink {
  /** @param note at most 1024 characters are kept; holds no secret. */
  record(object: KubeObject, type: "Normal" | "Warning", reason: string, note: string): void;
}

/** The collections that the reconcilers write. */
export interface Resources {
  readonly backends: Resource<EdgeBackend>;
  readonly devices: Resource<EdgeDevice>;
  readonly containers: Resource<EdgeContainer>;
  readonly registries: Resource<EdgeRegistry>;
  readonly stacks: Resource<EdgeStack>;
}

/** Asks for passes. */
export interface Wake {
  container(key: ObjectKey, reason: string): void;
  device(key: ObjectKey, reason: string): void;
  backend(key: ObjectKey, reason: string): void;
  registry(key: ObjectKey, reason: string): void;
  stack(key: ObjectKey, reason: string): void;
}

/** Settings of the whole installation. */
export interface InstallationOptions {
  /** Installation id: the owner in every marker. */
  readonly ownerId: string;
  /** It was chosen by the user (--owner-id), so that it outlives the cluster: only then is anything rented. */
  readonly ownerIdIsExplicit: boolean;
  /** Observe and report, never write to a vendor (--read-only). */
  readonly readOnly: boolean;
}

export interface Environment {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Logger;
  readonly stores: Stores;
  readonly resources: Resources;
  readonly accounts: Accounts;
  readonly references: References;
  readonly hashKey: HashKey;
  readonly statusWriter: StatusWriter;
  readonly expectations: Expectations;
  readonly events: EventSink;
  readonly metrics: ReconcilerMetrics;
  readonly slots: SlotWaiters;
  readonly wake: Wake;
  readonly options: InstallationOptions;
  /** Clock.monotonic() when this process became leader; undefined before. */
  leaderSinceMs(): number | undefined;
  /** A fresh unique id. */
  newId(): string;
  /** True while the CustomResourceDefinition of a kind is itself being deleted. */
  isUninstalling(plural: string): Promise<boolean>;
}
