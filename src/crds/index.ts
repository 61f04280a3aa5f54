/**
 * src/crds is the API. One zod schema per kind (edge-backend.ts, edge-device.ts, edge-container.ts, edge-stack.ts, edge-registry.ts, put together from small shared parts)
 * is the single source of the TypeScript types, of run-time parsing (parse.ts), of the CRDs in manifests/crds with their CEL rules, and of
 * the field reference in docs/reference (both written by generate/main.ts). Beside them stand the names that are API too: group.ts and
 * reasons.ts; and the defaults, which are applied in code (defaults.ts) so that the operator never changes a spec.
 */
export * from "./group.ts";
export * from "./reasons.ts";
export {
  BACKEND_DEFAULTS,
  CONTAINER_DEFAULTS,
  DEVICE_DEFAULTS,
  REGISTRY_DEFAULTS,
  STACK_DEFAULTS,
} from "./default-values.ts";
export * from "./defaults.ts";
export {
  parseEdgeBackend,
  parseEdgeContainer,
  parseEdgeDevice,
  parseEdgeStack,
  parseEdgeRegistry,
  type Parsed,
  type Problem,
} from "./parse.ts";
export { parseQuantity, type Quantity } from "./quantity.ts";
export { UNLIMITED, type Resources } from "./resources.ts";
export { RESERVED_ENV_PREFIX, type EnvFromSource, type EnvVar } from "./env.ts";
export type { EdgeBackend, EdgeBackendSpec, EdgeBackendStatus } from "./edge-backend.ts";
export type {
  EdgeDevice,
  EdgeDeviceSpec,
  EdgeDeviceStatus,
  PendingRemoval,
  UnmanagedContainer,
} from "./edge-device.ts";
export type {
  ContainerPhase,
  ContainerState,
  EdgeContainer,
  EdgeContainerSpec,
  EdgeContainerStatus,
  EdgeContainerTemplate,
  LastFailure,
  Operation,
} from "./edge-container.ts";
export type { EdgeStack, EdgeStackSpec, EdgeStackStatus, StackChild, StackContainer } from "./edge-stack.ts";
export type {
  EdgeRegistry,
  EdgeRegistrySpec,
  EdgeRegistryStatus,
  RegistryBackend,
  RegistryProject,
} from "./edge-registry.ts";
export type { Port } from "./ports.ts";
export type { Volume } from "./volumes.ts";
export type { BackendOptions } from "./backend-options.ts";
export type { ConfigMapKeyRef, SecretKeyRef, TextSource } from "./references.ts";
export type { Adoption, Backoff, Deletion, RestartPolicy, Stop, UpdateStrategy } from "./lifecycle.ts";
export type { DeviceFile, Logging, Network, SecurityContext } from "./workload.ts";
