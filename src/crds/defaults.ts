/**
 * Applies defaults to a spec. Only fields that steer Drayage itself get one: a field that a vendor is told stays unset when the user left
 * it unset, since a backend must be able to tell "not asked for" from "asked for what happens anyway".
 */
import { BACKEND_DEFAULTS, CONTAINER_DEFAULTS, DEVICE_DEFAULTS } from "./default-values.ts";
import type { EdgeBackendSpec } from "./edge-backend.ts";
import type { EdgeContainerSpec } from "./edge-container.ts";
import type { EdgeDeviceSpec } from "./edge-device.ts";
import type { Backoff, Deletion, Stop, UpdateStrategy } from "./lifecycle.ts";

/** An EdgeContainer's spec with every steering field set. */
export type EdgeContainerSettings = EdgeContainerSpec &
  Required<Pick<EdgeContainerSpec, "desiredState" | "managementPolicy" | "driftPolicy" | "suspend">> & {
    stop: Required<Stop>;
    updateStrategy: Required<UpdateStrategy>;
    backoff: Required<Backoff>;
    adoption: { policy: "Never" | "ByName" | "ById"; externalId?: string };
    deletion: Required<Deletion>;
  };

/** @returns a new spec; the one given is not changed. */
export function withContainerDefaults(spec: EdgeContainerSpec): EdgeContainerSettings {
  const defaults = CONTAINER_DEFAULTS;
  return {
    ...spec,
    desiredState: spec.desiredState ?? defaults.desiredState,
    stop: { ...defaults.stop, ...spec.stop },
    updateStrategy: { ...defaults.updateStrategy, ...spec.updateStrategy },
    backoff: { ...defaults.backoff, ...spec.backoff },
    managementPolicy: spec.managementPolicy ?? defaults.managementPolicy,
    adoption: { ...defaults.adoption, ...spec.adoption },
    driftPolicy: spec.driftPolicy ?? defaults.driftPolicy,
    suspend: spec.suspend ?? defaults.suspend,
    deletion: { ...defaults.deletion, ...spec.deletion },
  };
}

/** An EdgeDevice's spec with every steering field set. */
export type EdgeDeviceSettings = EdgeDeviceSpec &
  Required<Pick<EdgeDeviceSpec, "offlineReadiness" | "suspend">> & { deletion: { graceSeconds: number } };

/** @returns a new spec; the one given is not changed. */
export function withDeviceDefaults(spec: EdgeDeviceSpec): EdgeDeviceSettings {
  return {
    ...spec,
    offlineReadiness: spec.offlineReadiness ?? DEVICE_DEFAULTS.offlineReadiness,
    suspend: spec.suspend ?? DEVICE_DEFAULTS.suspend,
    deletion: { ...DEVICE_DEFAULTS.deletion, ...spec.deletion },
  };
}

/** Settings of a Kanto backend, complete but for what has no default. */
export type KantoSettings = NonNullable<EdgeBackendSpec["kanto"]> &
  Required<
    Pick<NonNullable<EdgeBackendSpec["kanto"]>, "transport" | "mqttVersion" | "answerIdentity" | "clientIdPrefix">
  >;

/** An EdgeBackend's spec with every steering field set. */
export type EdgeBackendSettings = Omit<EdgeBackendSpec, "kanto" | "alpon" | "hiveon" | "mittwald"> &
  Required<
    Pick<EdgeBackendSpec, "observeIntervalSeconds" | "commandTimeoutSeconds" | "createTimeoutSeconds" | "suspend">
  > & {
    kanto?: KantoSettings;
    alpon?: NonNullable<EdgeBackendSpec["alpon"]> & { url: string };
    hiveon?: NonNullable<EdgeBackendSpec["hiveon"]> & { url: string };
    mittwald?: NonNullable<EdgeBackendSpec["mittwald"]> & { url: string };
    rateLimit: Required<NonNullable<EdgeBackendSpec["rateLimit"]>>;
    allowedNamespaces: NonNullable<EdgeBackendSpec["allowedNamespaces"]> & { from: "Same" | "All" | "Selector" };
    deletion: { graceSeconds: number };
  };

/** @returns a new spec; the one given is not changed. */
export function withBackendDefaults(spec: EdgeBackendSpec): EdgeBackendSettings {
  const defaults = BACKEND_DEFAULTS;
  const { kanto, alpon, hiveon, mittwald, ...common } = spec;
  return {
    ...common,
    ...(kanto !== undefined && { kanto: { ...defaults.kanto, ...kanto } }),
    ...(alpon !== undefined && { alpon: { ...defaults.alpon, ...alpon } }),
    ...(hiveon !== undefined && { hiveon: { ...defaults.hiveon, ...hiveon } }),
    ...(mittwald !== undefined && { mittwald: { ...defaults.mittwald, ...mittwald } }),
    rateLimit: { ...defaults.rateLimit, ...spec.rateLimit },
    observeIntervalSeconds:
      spec.observeIntervalSeconds ??
      (kanto === undefined ? defaults.observeIntervalSeconds : defaults.kantoObserveIntervalSeconds),
    commandTimeoutSeconds: spec.commandTimeoutSeconds ?? defaults.commandTimeoutSeconds,
    createTimeoutSeconds: spec.createTimeoutSeconds ?? defaults.createTimeoutSeconds,
    allowedNamespaces: { ...defaults.allowedNamespaces, ...spec.allowedNamespaces },
    suspend: spec.suspend ?? defaults.suspend,
    deletion: { ...defaults.deletion, ...spec.deletion },
  };
}
