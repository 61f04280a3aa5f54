// The argument types of the remote operations, field by field as the daemon's Go structs declare them, and their translation into the
// internal spelling. Source: containerm/things/datatypes_*.go, features_container_factory.go (createArgs, createWithConfigArgs),
// features_container.go.

import { Panic } from "./errors.ts";
import {
  decode,
  goBool,
  goEnum,
  goFloat,
  goInt,
  goInt64,
  goString,
  goStrings,
  goUint16,
  type GoType,
} from "./go-json.ts";
import {
  emptyConfig,
  type ContainerConfig,
  type CreateSpec,
  type LogConfig,
  type Resources,
  type RestartPolicy,
} from "./types.ts";

const struct = (name: string, fields: Readonly<Record<string, GoType>>): GoType => ({ kind: "struct", name, fields });
const listOf = (
  of: GoType & { kind: "struct" | "string" | "bool" | "int" | "float" | "list" },
  name: string,
): GoType => ({ kind: "list", of, name });

const restartPolicy = struct("restartPolicy", {
  maxRetryCount: goInt,
  retryTimeout: goFloat,
  type: goEnum("things.restartPolicyType"),
});
const resources = struct("resources", { memory: goString, memoryReservation: goString, memorySwap: goString });
const configuration = struct("configuration", {
  domainName: goString,
  mountPoints: listOf(
    struct("mountPoint", {
      source: goString,
      destination: goString,
      propagationMode: goEnum("things.propagationMode"),
    }),
    "[]*things.mountPoint",
  ),
  hostName: goString,
  env: goStrings,
  cmd: goStrings,
  decryption: struct("decryptionConfiguration", { keys: goStrings, recipients: goStrings }),
  devices: listOf(
    struct("device", { pathOnHost: goString, pathInContainer: goString, cgroupPermissions: goString }),
    "[]*things.device",
  ),
  privileged: goBool,
  restartPolicy,
  extraHosts: goStrings,
  extraCapabilities: goStrings,
  portMappings: listOf(
    struct("portMapping", {
      proto: goString,
      hostPort: goUint16,
      hostPortEnd: goUint16,
      containerPort: goUint16,
      hostIP: goString,
    }),
    "[]*things.portMapping",
  ),
  networkMode: goEnum("things.networkMode"),
  openStdin: goBool,
  tty: goBool,
  log: struct("logConfiguration", {
    type: goEnum("things.logDriver"),
    maxFiles: goInt,
    maxSize: goString,
    rootDir: goString,
    mode: goEnum("things.logMode"),
    maxBufferSize: goString,
  }),
  resources,
});
const createArgs = struct("createArgs", { imageRef: goString, start: goBool });
const createWithConfigArgs = struct("createWithConfigArgs", {
  imageRef: goString,
  name: goString,
  config: configuration,
  start: goBool,
});
const stopOptions = struct("stopOptions", { force: goBool, timeout: goInt64, signal: goString });
const updateOptions = struct("updateOptions", { restartPolicy, resources });

/** Any subset of the fields of a configuration, in the wire's spelling; what a decoded `config` is. */
export interface WireConfig extends Partial<
  Omit<
    ContainerConfig,
    "mountPoints" | "devices" | "portMappings" | "restartPolicy" | "log" | "resources" | "decryption"
  >
> {
  mountPoints?: (Partial<ContainerConfig["mountPoints"][number]> | null)[];
  devices?: (Partial<ContainerConfig["devices"][number]> | null)[];
  portMappings?: (Partial<ContainerConfig["portMappings"][number]> | null)[];
  decryption?: { keys?: string[]; recipients?: string[] };
  restartPolicy?: WireRestartPolicy;
  log?: Partial<LogConfig>;
  resources?: Partial<Resources>;
}

export interface WireRestartPolicy {
  type?: string;
  maxRetryCount?: number;
  /** Seconds; a fraction is cut off. */
  retryTimeout?: number;
}

export interface CreateArgs {
  spec: CreateSpec;
  start: boolean;
}

export interface StopOptions {
  timeoutS: number;
  force: boolean;
  signal: string;
}

export interface UpdateOptions {
  restartPolicy?: RestartPolicy;
  resources?: Resources;
}

export function parseCreate(value: unknown): CreateArgs {
  const args = decode<{ imageRef?: string; start?: boolean }>(createArgs, value);
  return { spec: { name: "", imageRef: args?.imageRef ?? "", config: emptyConfig() }, start: args?.start ?? false };
}

export function parseCreateWithConfig(value: unknown): CreateArgs {
  const args = decode<{ imageRef?: string; name?: string; start?: boolean; config?: WireConfig }>(
    createWithConfigArgs,
    value,
  );
  return {
    spec: { name: args?.name ?? "", imageRef: args?.imageRef ?? "", config: fromWire(args?.config ?? {}) },
    start: args?.start ?? false,
  };
}

/** `null` is false, as Go leaves a bool alone on null. */
export function parseRemove(value: unknown): boolean {
  return decode<boolean>(goBool, value) ?? false;
}

export function parseRename(value: unknown): string {
  return decode<string>(goString, value) ?? "";
}

export function parseStopOptions(value: unknown): StopOptions {
  const options = decode<{ timeout?: number; force?: boolean; signal?: string }>(stopOptions, value);
  return { timeoutS: options?.timeout ?? 0, force: options?.force ?? false, signal: options?.signal ?? "" };
}

export function parseUpdate(value: unknown): UpdateOptions {
  const options = decode<{ restartPolicy?: WireRestartPolicy; resources?: Partial<Resources> }>(updateOptions, value);
  return {
    ...(options?.restartPolicy ? { restartPolicy: fromWirePolicy(options.restartPolicy) } : {}),
    ...(options?.resources ? { resources: fromWireResources(options.resources) } : {}),
  };
}

/** Spells an upper-case wire value the internal way; every other text passes through and is judged by the validation. */
const internal = (value: string | undefined, known: readonly string[]): string =>
  value !== undefined && known.includes(value) ? value.toLowerCase().replaceAll("_", "-") : (value ?? "");

const PROPAGATION = ["RPRIVATE", "PRIVATE", "RSHARED", "SHARED", "RSLAVE", "SLAVE"];

/** Internal configuration of a decoded one. A null in a list of objects is dereferenced by the daemon without a look. */
export function fromWire(wire: WireConfig): ContainerConfig {
  const items = <T>(list: (T | null)[] | undefined): T[] =>
    (list ?? []).map((item) => {
      if (item === null) {
        throw new Panic("nil pointer dereference: null in a list of the configuration");
      }
      return item;
    });
  const privileged = wire.privileged ?? false;
  return {
    ...emptyConfig(),
    domainName: wire.domainName ?? "",
    hostName: wire.hostName ?? "",
    env: (wire.env ?? []).map((entry) => entry ?? ""),
    cmd: (wire.cmd ?? []).map((entry) => entry ?? ""),
    privileged,
    extraHosts: (wire.extraHosts ?? []).map((entry) => entry ?? ""),
    extraCapabilities: privileged ? [] : (wire.extraCapabilities ?? []).map((entry) => entry ?? ""),
    networkMode: internal(wire.networkMode, ["BRIDGE", "HOST"]),
    openStdin: wire.openStdin ?? false,
    tty: wire.tty ?? false,
    // Only the upper-case propagation modes are known; any other, lower-case ones included, silently becomes rprivate.
    mountPoints: items(wire.mountPoints).map(({ source = "", destination = "", propagationMode = "" }) => ({
      source,
      destination,
      propagationMode: PROPAGATION.includes(propagationMode) ? propagationMode.toLowerCase() : "rprivate",
    })),
    decryption: wire.decryption && { keys: wire.decryption.keys ?? [], recipients: wire.decryption.recipients ?? [] },
    devices: items(wire.devices).map(({ pathOnHost = "", pathInContainer = "", cgroupPermissions = "" }) => ({
      pathOnHost,
      pathInContainer,
      cgroupPermissions,
    })),
    restartPolicy: wire.restartPolicy && fromWirePolicy(wire.restartPolicy),
    portMappings: items(wire.portMappings).map(
      ({ proto = "", hostPort = 0, hostPortEnd = 0, containerPort = 0, hostIP = "" }) => ({
        proto,
        hostPort,
        hostPortEnd,
        containerPort,
        hostIP,
      }),
    ),
    log: wire.log && {
      type: internal(wire.log.type, ["JSON_FILE", "NONE"]),
      maxFiles: wire.log.maxFiles ?? 0,
      maxSize: wire.log.maxSize ?? "",
      rootDir: wire.log.rootDir ?? "",
      mode: internal(wire.log.mode, ["BLOCKING", "NON_BLOCKING"]),
      maxBufferSize: wire.log.maxBufferSize ?? "",
    },
    resources: wire.resources && fromWireResources(wire.resources),
  };
}

function fromWirePolicy(wire: WireRestartPolicy): RestartPolicy {
  return {
    type: internal(wire.type, ["ALWAYS", "ON_FAILURE", "UNLESS_STOPPED", "NO"]),
    maxRetryCount: wire.maxRetryCount ?? 0,
    retryTimeoutS: Math.trunc(wire.retryTimeout ?? 0),
  };
}

function fromWireResources(wire: Partial<Resources>): Resources {
  return {
    memory: wire.memory ?? "",
    memoryReservation: wire.memoryReservation ?? "",
    memorySwap: wire.memorySwap ?? "",
  };
}
