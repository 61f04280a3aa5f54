/** A spec in the daemon's normal form (config.ts): what the twin will show once a container was made from it. */
import type { Quantity } from "../../../crds/quantity.ts";
import type { DesiredContainer } from "../../contract.ts";
import {
  DAEMON_DEFAULTS,
  defaultDomainName,
  defaultHostName,
  type KantoConfig,
  type LogConfig,
  type MountPoint,
  type PortMapping,
  type Resources,
  type RestartPolicy,
} from "../config.ts";
import { quantityBytes } from "./sizes.ts";

type Spec = DesiredContainer["spec"];

const RESTART_TYPES = { Always: "ALWAYS", UnlessStopped: "UNLESS_STOPPED", OnFailure: "ON_FAILURE", No: "NO" } as const;

/**
 * An image reference in full: `docker.io/nginx` and `docker.io/library/nginx` are one image, and one without tag or digest means `latest`.
 * containerd itself knows neither rule ("object required").
 */
export function normalImage(image: string): string {
  const official = /^(?:index\.)?docker\.io\/(?:library\/)?([^/]+)$/.exec(image)?.[1];
  if (official !== undefined) return withTag(`docker.io/library/${official}`);
  return withTag(image.replace(/^index\.docker\.io\//, "docker.io/"));
}

function withTag(image: string): string {
  const last = image.slice(image.lastIndexOf("/") + 1);
  return last.includes(":") || last.includes("@") ? image : `${image}:latest`;
}

/** Names may come with or without the kernel's prefix; the daemon wants it. */
export function capabilityName(name: string): string {
  return name.startsWith("CAP_") ? name : `CAP_${name}`;
}

/** The restart policy that a spec asks for; the daemon's own where it asks for none. */
export function desiredRestartPolicy(spec: Spec): RestartPolicy {
  const { restartPolicy } = spec;
  if (restartPolicy === undefined) return { ...DAEMON_DEFAULTS.restartPolicy };
  return {
    type: RESTART_TYPES[restartPolicy.type],
    maxRetryCount: restartPolicy.maxRetries ?? 0,
    retryTimeout: restartPolicy.retryTimeoutSeconds ?? 0,
  };
}

/** The limits that a spec asks for. The daemon doubles memory into memorySwap at creation, so an unset one is that on either side. */
export function desiredResources(spec: Spec): Resources {
  const { limits, reservations, memorySwap } = spec.resources ?? {};
  const memoryBytes = bytes(limits?.memory);
  return {
    memoryBytes,
    memoryReservationBytes: bytes(reservations?.memory),
    memorySwapBytes: memorySwap === undefined ? 2 * memoryBytes : memorySwap === "Unlimited" ? 0 : bytes(memorySwap),
  };
}

/** @param name the container's name at creation, from which the daemon makes host and domain name. */
export function desiredConfig(desired: DesiredContainer, name = desired.name): KantoConfig {
  const { spec } = desired;
  const network = spec.network ?? {};
  const privileged = spec.securityContext?.privileged ?? false;
  const { keys = [], recipients = [] } = desired.decryption ?? {};
  return {
    domainName: network.domainname ?? defaultDomainName(name),
    hostName: network.hostname ?? defaultHostName(name),
    env: desired.env.map((variable) => `${variable.name}=${variable.value}`),
    cmd: spec.args ?? [],
    privileged,
    extraHosts: network.extraHosts ?? [],
    // A privileged container has them all; the daemon drops the list.
    extraCapabilities: privileged ? [] : (spec.securityContext?.capabilities?.add ?? []).map(capabilityName),
    networkMode: (network.mode ?? DAEMON_DEFAULTS.networkMode).toUpperCase(),
    openStdin: spec.stdin ?? false,
    tty: spec.tty ?? false,
    mountPoints: (spec.volumes ?? []).map(mountPoint),
    devices: (spec.devices ?? []).map((device) => ({
      pathOnHost: device.hostPath,
      pathInContainer: device.containerPath ?? device.hostPath,
      cgroupPermissions: device.permissions ?? DAEMON_DEFAULTS.cgroupPermissions,
    })),
    restartPolicy: desiredRestartPolicy(spec),
    portMappings: (spec.ports ?? []).flatMap(portMapping),
    log: desiredLog(spec),
    resources: desiredResources(spec),
    decryption: { keys, recipients },
  };
}

function mountPoint(volume: NonNullable<Spec["volumes"]>[number]): MountPoint {
  return {
    source: volume.hostPath ?? "",
    destination: volume.mountPath,
    propagationMode: (volume.propagation ?? DAEMON_DEFAULTS.propagationMode).toUpperCase(),
  };
}

/** A port without hostPort is documentation: nothing is published. */
function portMapping(port: NonNullable<Spec["ports"]>[number]): PortMapping[] {
  const { hostPort } = port;
  if (hostPort === undefined) return [];
  return [
    {
      proto: (port.protocol ?? DAEMON_DEFAULTS.proto).toLowerCase(),
      containerPort: port.containerPort,
      hostPort,
      hostPortEnd: port.hostPortEnd ?? hostPort,
      hostIP: port.hostIP ?? DAEMON_DEFAULTS.hostIP,
    },
  ];
}

function desiredLog(spec: Spec): LogConfig {
  const { log: defaults, nonBlockingBufferBytes } = DAEMON_DEFAULTS;
  const logging = spec.logging ?? {};
  const mode = logging.mode === "NonBlocking" ? "NON_BLOCKING" : defaults.mode;
  const none = logging.driver === "None";
  return {
    type: none ? "NONE" : defaults.type,
    // Without output the daemon drops both, which reads as the defaults.
    maxFiles: (none ? undefined : logging.maxFiles) ?? defaults.maxFiles,
    maxSizeBytes: (none ? 0 : bytes(logging.maxSize)) || defaults.maxSizeBytes,
    rootDir: logging.rootDir ?? defaults.rootDir,
    mode,
    maxBufferSizeBytes: mode === "NON_BLOCKING" ? bytes(logging.maxBufferSize) || nonBlockingBufferBytes : 0,
  };
}

/** What is no quantity, validate() refuses; here it only must not throw. */
function bytes(value: Quantity | undefined): number {
  return value === undefined ? 0 : (quantityBytes(value) ?? 0);
}
