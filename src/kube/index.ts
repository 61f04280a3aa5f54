/**
 * src/kube talks to the API server and knows nothing of containers: credentials (config), requests (client), a local copy
 * of a collection that keeps itself current (reflector, store), leader election with a fence (lease, fence), events, and
 * the small things they share (clock, resourceVersions, generic object types). It imports nothing of ours. Everything
 * other rooms may use is exported here.
 */

export * from "./access.ts";
export * from "./client.ts";
export * from "./clock.ts";
export { loadClusterAccess, type ClusterAccessOptions } from "./config.ts";
export * from "./errors.ts";
export { EVENTS, type EventInput, type KubeEvent, type ObjectReference } from "./event-record.ts";
export * from "./events.ts";
export * from "./fence.ts";
export { LAST_APPLIED_ANNOTATION, lean } from "./lean.ts";
export { LEASES, microTime, type Lease, type LeaseSpec } from "./lease-record.ts";
export * from "./lease.ts";
export { DEFAULT_REFLECTOR_TIMES, type ReflectorTimes } from "./reflector-types.ts";
export * from "./reflector.ts";
export * from "./requests.ts";
export * from "./resource-version.ts";
export * from "./resource.ts";
export * from "./store.ts";
export * from "./types.ts";
export type { WatchEvent } from "./watch-stream.ts";
