/**
 * A container's configuration in the daemon's words and normal form: what the twin shows once defaults are filled in and spellings
 * unified. The planner brings a spec into the same form (planner/desired.ts), so that the two can be compared.
 *
 * Sources: container-management, containerm/things/datatypes_container_*.go (names, omitted zero values) and
 * containerm/util/containers.go, FillDefaults and FillMemorySwap (defaults).
 */
import { flagAt, numberAt, objectAt, objectsAt, textAt, textsAt, type JsonObject } from "../guards.ts";
import { isMarkerEntry } from "./marker.ts";

export interface MountPoint {
  source: string;
  destination: string;
  propagationMode: string;
}

export interface DeviceMapping {
  pathOnHost: string;
  pathInContainer: string;
  cgroupPermissions: string;
}

export interface PortMapping {
  proto: string;
  containerPort: number;
  hostPort: number;
  hostPortEnd: number;
  hostIP: string;
}

export interface RestartPolicy {
  /** ALWAYS, ON_FAILURE, UNLESS_STOPPED or NO. */
  type: string;
  maxRetryCount: number;
  /** Seconds; 0 is the daemon's own (60 s). */
  retryTimeout: number;
}

export interface LogConfig {
  /** JSON_FILE or NONE. */
  type: string;
  maxFiles: number;
  maxSizeBytes: number;
  rootDir: string;
  /** BLOCKING or NON_BLOCKING. */
  mode: string;
  /** 0 with BLOCKING. */
  maxBufferSizeBytes: number;
}

export interface Resources {
  /** Bytes; 0 is no limit. */
  memoryBytes: number;
  memoryReservationBytes: number;
  /** Memory and swap together; 0 is unlimited. */
  memorySwapBytes: number;
}

export interface KantoConfig {
  domainName: string;
  hostName: string;
  /** `NAME=value` in order, the owner marker left out. */
  env: readonly string[];
  cmd: readonly string[];
  privileged: boolean;
  extraHosts: readonly string[];
  extraCapabilities: readonly string[];
  networkMode: string;
  openStdin: boolean;
  tty: boolean;
  mountPoints: readonly MountPoint[];
  devices: readonly DeviceMapping[];
  restartPolicy: RestartPolicy;
  portMappings: readonly PortMapping[];
  log: LogConfig;
  resources: Resources;
  decryption: { keys: readonly string[]; recipients: readonly string[] };
}

const MEBIBYTE = 2 ** 20;
const UNITS: Readonly<Record<string, number>> = { k: 2 ** 10, m: MEBIBYTE, g: 2 ** 30 };

/** What the daemon does with fields that are left out. Host and domain name are made from the name at creation. */
export const DAEMON_DEFAULTS = {
  restartPolicy: { type: "UNLESS_STOPPED", maxRetryCount: 0, retryTimeout: 0 },
  log: {
    type: "JSON_FILE",
    maxFiles: 2,
    maxSizeBytes: 100 * MEBIBYTE,
    rootDir: "",
    mode: "BLOCKING",
    maxBufferSizeBytes: 0,
  },
  /** Of log.maxBufferSize with mode NON_BLOCKING. */
  nonBlockingBufferBytes: MEBIBYTE,
  networkMode: "BRIDGE",
  hostIP: "0.0.0.0",
  proto: "tcp",
  propagationMode: "RPRIVATE",
  cgroupPermissions: "rwm",
} as const;

/** Host name that the daemon gives a container of this name. */
export const defaultHostName = (name: string): string => `${name}-host`;
/** Domain name that the daemon gives a container of this name. */
export const defaultDomainName = (name: string): string => `${name}-domain`;

/** Bytes of a size as the daemon writes it (`64M`, 1024-based); undefined if it is none. */
export function parseSize(text: string): number | undefined {
  const [, digits, unit] = /^([0-9]+(?:\.[0-9]+)?) ?([kKmMgG])$/.exec(text) ?? [];
  const factor = UNITS[(unit ?? "").toLowerCase()];
  return digits === undefined || factor === undefined ? undefined : Number(digits) * factor;
}

/** The shortest size without a fraction; undefined if it is no whole number of KiB. */
export function formatSize(bytes: number): string | undefined {
  for (const unit of ["G", "M", "K"]) {
    const factor = UNITS[unit.toLowerCase()] ?? 1;
    if (bytes > 0 && bytes % factor === 0) return `${bytes / factor}${unit}`;
  }
  return undefined;
}

function sizeAt(parent: JsonObject, key: string): number {
  return parseSize(textAt(parent, key) ?? "") ?? 0;
}

/** Both spellings that the daemon takes, `unless-stopped` and `UNLESS_STOPPED`, become the one that it writes. */
function enumAt(parent: JsonObject, key: string, fallback: string): string {
  return (textAt(parent, key) ?? fallback).toUpperCase().replaceAll("-", "_");
}

function portAt(mapping: JsonObject): PortMapping {
  const hostPort = numberAt(mapping, "hostPort") ?? 0;
  return {
    proto: (textAt(mapping, "proto") ?? DAEMON_DEFAULTS.proto).toLowerCase(),
    containerPort: numberAt(mapping, "containerPort") ?? 0,
    hostPort,
    hostPortEnd: numberAt(mapping, "hostPortEnd") ?? hostPort,
    hostIP: textAt(mapping, "hostIP") ?? DAEMON_DEFAULTS.hostIP,
  };
}

function logAt(config: JsonObject): LogConfig {
  const log = objectAt(config, "log");
  const { log: defaults } = DAEMON_DEFAULTS;
  const mode = enumAt(log, "mode", defaults.mode);
  return {
    type: enumAt(log, "type", defaults.type),
    maxFiles: numberAt(log, "maxFiles") ?? defaults.maxFiles,
    maxSizeBytes: sizeAt(log, "maxSize") || defaults.maxSizeBytes,
    rootDir: textAt(log, "rootDir") ?? defaults.rootDir,
    mode,
    maxBufferSizeBytes:
      mode === "NON_BLOCKING" ? sizeAt(log, "maxBufferSize") || DAEMON_DEFAULTS.nonBlockingBufferBytes : 0,
  };
}

/** Reads `properties.status.config` of a container feature. Total: what is missing or malformed has the daemon's default. */
export function readConfig(config: JsonObject): KantoConfig {
  const restart = objectAt(config, "restartPolicy");
  const resources = objectAt(config, "resources");
  const decryption = objectAt(config, "decryption");
  return {
    domainName: textAt(config, "domainName") ?? "",
    hostName: textAt(config, "hostName") ?? "",
    env: textsAt(config, "env").filter((entry) => !isMarkerEntry(entry)),
    cmd: textsAt(config, "cmd"),
    privileged: flagAt(config, "privileged"),
    extraHosts: textsAt(config, "extraHosts"),
    extraCapabilities: textsAt(config, "extraCapabilities"),
    networkMode: enumAt(config, "networkMode", DAEMON_DEFAULTS.networkMode),
    openStdin: flagAt(config, "openStdin"),
    tty: flagAt(config, "tty"),
    mountPoints: objectsAt(config, "mountPoints").map((mount) => ({
      source: textAt(mount, "source") ?? "",
      destination: textAt(mount, "destination") ?? "",
      propagationMode: enumAt(mount, "propagationMode", DAEMON_DEFAULTS.propagationMode),
    })),
    devices: objectsAt(config, "devices").map((device) => {
      const pathOnHost = textAt(device, "pathOnHost") ?? "";
      return {
        pathOnHost,
        pathInContainer: textAt(device, "pathInContainer") ?? pathOnHost,
        cgroupPermissions: textAt(device, "cgroupPermissions") ?? DAEMON_DEFAULTS.cgroupPermissions,
      };
    }),
    restartPolicy: {
      type: enumAt(restart, "type", DAEMON_DEFAULTS.restartPolicy.type),
      maxRetryCount: numberAt(restart, "maxRetryCount") ?? 0,
      retryTimeout: numberAt(restart, "retryTimeout") ?? 0,
    },
    portMappings: objectsAt(config, "portMappings").map(portAt),
    log: logAt(config),
    resources: {
      memoryBytes: sizeAt(resources, "memory"),
      memoryReservationBytes: sizeAt(resources, "memoryReservation"),
      memorySwapBytes: sizeAt(resources, "memorySwap"),
    },
    decryption: { keys: textsAt(decryption, "keys"), recipients: textsAt(decryption, "recipients") },
  };
}
