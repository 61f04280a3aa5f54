/** The coordination.k8s.io/v1 Lease and what the election reads from it. */

import type { Resource } from "./resource.ts";
import type { KubeObject } from "./types.ts";

export interface Lease extends KubeObject {
  spec?: LeaseSpec;
}

export interface LeaseSpec {
  /** "" or absent: nobody holds it. */
  holderIdentity?: string;
  leaseDurationSeconds?: number;
  /** MicroTime: RFC 3339 with microseconds. */
  acquireTime?: string;
  renewTime?: string;
  /** How often the holder changed. */
  leaseTransitions?: number;
}

export const LEASES: Resource<Lease> = {
  group: "coordination.k8s.io",
  version: "v1",
  plural: "leases",
  kind: "Lease",
  namespaced: true,
};

/** RFC 3339 with the six decimals that MicroTime wants (apimachinery, micro_time.go). */
export function microTime(wallMs: number): string {
  return new Date(wallMs).toISOString().replace("Z", "000Z");
}

/** The spec to write when `identity` takes or renews a lease. `before` is the present spec. */
export function heldSpec(
  before: LeaseSpec | undefined,
  identity: string,
  leaseDurationMs: number,
  wallMs: number,
): LeaseSpec {
  const now = microTime(wallMs);
  const ours = before?.holderIdentity === identity;
  const transitions = before?.leaseTransitions ?? 0;
  return {
    holderIdentity: identity,
    leaseDurationSeconds: Math.max(1, Math.ceil(leaseDurationMs / 1000)),
    acquireTime: ours && before?.acquireTime !== undefined ? before.acquireTime : now,
    renewTime: now,
    leaseTransitions: before === undefined || ours ? transitions : transitions + 1,
  };
}

/** The spec to write when the holder lets go: nobody holds it, and the count of changes goes on. */
export function releasedSpec(before: LeaseSpec | undefined, wallMs: number): LeaseSpec {
  const now = microTime(wallMs);
  return {
    holderIdentity: "",
    leaseDurationSeconds: 1,
    acquireTime: now,
    renewTime: now,
    leaseTransitions: before?.leaseTransitions ?? 0,
  };
}
