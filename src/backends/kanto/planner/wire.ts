/**
 * What is sent: values of createWithConfig and update, with the daemon's names. Only what the spec sets is sent, so that the daemon's
 * defaults stay its own; enums in the spelling that it writes itself, since for propagationMode it understands no other.
 */
import type { DesiredContainer, Marker } from "../../contract.ts";
import { formatSize, type KantoConfig, type Resources, type RestartPolicy } from "../config.ts";
import { markerEntry } from "../marker.ts";
import { desiredConfig, normalImage } from "./desired.ts";

/** A size that validation has found to be whole KiB; absent for 0. */
function size(key: string, bytes: number): Record<string, string> {
  const text = formatSize(bytes);
  return text === undefined ? {} : { [key]: text };
}

function list(key: string, items: readonly unknown[]): Record<string, readonly unknown[]> {
  return items.length === 0 ? {} : { [key]: items };
}

/** A restart policy on the wire; the daemon refuses one without type, and maxRetryCount beside other types than ON_FAILURE. */
export function wireRestartPolicy(policy: RestartPolicy): Record<string, unknown> {
  return {
    type: policy.type,
    ...(policy.maxRetryCount > 0 && { maxRetryCount: policy.maxRetryCount }),
    ...(policy.retryTimeout > 0 && { retryTimeout: policy.retryTimeout }),
  };
}

/** Limits on the wire. An absent swap is unlimited in an update, and doubled memory in a create: so it is always said. */
export function wireResources(resources: Resources): Record<string, string> {
  const { memoryBytes, memoryReservationBytes, memorySwapBytes } = resources;
  return {
    ...size("memory", memoryBytes),
    ...size("memoryReservation", memoryReservationBytes),
    ...(memoryBytes > 0 && (memorySwapBytes > 0 ? size("memorySwap", memorySwapBytes) : { memorySwap: "-1" })),
  };
}

/** The value of createWithConfig. The container is never started by it: the daemon would hide why a start failed. */
export function createValue(desired: DesiredContainer, marker: Marker): Record<string, unknown> {
  return {
    imageRef: normalImage(desired.image),
    name: desired.name,
    start: false,
    config: createConfig(desired, marker),
  };
}

function createConfig(desired: DesiredContainer, marker: Marker): Record<string, unknown> {
  const { spec } = desired;
  const config = desiredConfig(desired);
  const { network, logging } = spec;
  return {
    env: [...config.env, markerEntry(marker)],
    ...(network?.domainname !== undefined && { domainName: config.domainName }),
    ...(network?.hostname !== undefined && { hostName: config.hostName }),
    ...list("cmd", config.cmd),
    ...(config.privileged && { privileged: true }),
    ...list("extraHosts", config.extraHosts),
    ...list("extraCapabilities", config.extraCapabilities),
    networkMode: config.networkMode,
    ...(config.openStdin && { openStdin: true }),
    ...(config.tty && { tty: true }),
    ...list("mountPoints", config.mountPoints),
    ...list("devices", config.devices),
    restartPolicy: wireRestartPolicy(config.restartPolicy),
    ...list("portMappings", config.portMappings),
    ...(logging !== undefined && { log: wireLog(desired) }),
    ...(config.resources.memoryBytes + config.resources.memoryReservationBytes > 0 && {
      resources: wireResources(config.resources),
    }),
    ...wireDecryption(config.decryption),
  };
}

/** Left out where there is nothing to say: an empty object would turn the daemon's own keys off. */
function wireDecryption({ keys, recipients }: KantoConfig["decryption"]): Record<string, unknown> {
  if (keys.length + recipients.length === 0) return {};
  return { decryption: { ...list("keys", keys), ...list("recipients", recipients) } };
}

function wireLog(desired: DesiredContainer): Record<string, unknown> {
  const { log } = desiredConfig(desired);
  return {
    type: log.type,
    ...(log.type !== "NONE" && { maxFiles: log.maxFiles, ...size("maxSize", log.maxSizeBytes) }),
    ...(log.rootDir !== "" && { rootDir: log.rootDir }),
    mode: log.mode,
    ...(log.mode === "NON_BLOCKING" && size("maxBufferSize", log.maxBufferSizeBytes)),
  };
}
