// Completes a configuration the way the daemon does before it validates one: names, log driver, restart policy, ports, devices, swap.
// Source: containerm/util/containers.go (FillDefaults, FillMemorySwap) and bytes_size_conversion.go.

import type { Container, ContainerConfig, LogConfig } from "./types.ts";

/** What the wire's `-1` means: as much swap as there is. */
export const UNLIMITED = "-1";

const SIZE = /^(\d+(?:\.\d+)*) ?([kKmMgG])$/;
const UNIT_BYTES: Readonly<Record<string, number>> = { k: 1024, m: 1024 ** 2, g: 1024 ** 3 };

function parseSize(size: string): { number: number; unit: string } | undefined {
  const match = SIZE.exec(size);
  const number = match ? Number(match[1]) : Number.NaN;
  return Number.isNaN(number) ? undefined : { number, unit: match?.[2] ?? "" };
}

/** Bytes of a size such as `64M` or `1.5 g` (1024-based); undefined when it has no such form. */
export function sizeToBytes(size: string): number | undefined {
  const parsed = parseSize(size);
  return parsed && Math.trunc(parsed.number * (UNIT_BYTES[parsed.unit.toLowerCase()] ?? 1));
}

function doubled(size: string): string {
  const parsed = parseSize(size);
  return parsed ? `${Math.round(parsed.number * 2 * 10_000) / 10_000}${parsed.unit}` : "";
}

/** Fills in everything that was left out; changes the container in place. */
export function fillDefaults(container: Pick<Container, "id" | "name" | "config">): void {
  const { config } = container;
  container.name = container.name === "" ? container.id : container.name;
  config.domainName = config.domainName === "" ? `${container.name}-domain` : config.domainName;
  config.hostName = config.hostName === "" ? `${container.name}-host` : config.hostName;
  config.networkMode = config.networkMode === "" ? "bridge" : config.networkMode;
  config.restartPolicy ??= { type: "unless-stopped", maxRetryCount: 0, retryTimeoutS: 0 };
  config.log = fillLog(config.log ?? { type: "", maxFiles: 0, maxSize: "", rootDir: "", mode: "", maxBufferSize: "" });
  for (const device of config.devices) {
    device.pathInContainer = device.pathInContainer === "" ? device.pathOnHost : device.pathInContainer;
    device.cgroupPermissions = device.cgroupPermissions === "" ? "rwm" : device.cgroupPermissions;
  }
  for (const mapping of config.portMappings) {
    mapping.hostIP = mapping.hostIP === "" ? "0.0.0.0" : mapping.hostIP;
    mapping.hostPortEnd = mapping.hostPortEnd === 0 ? mapping.hostPort : mapping.hostPortEnd;
    mapping.proto = mapping.proto === "" ? "tcp" : mapping.proto;
  }
  fillSwap(config);
}

function fillLog(log: LogConfig): LogConfig {
  const type = log.type === "" ? "json-file" : log.type;
  const mode = log.mode === "" ? "blocking" : log.mode;
  const files = { maxFiles: log.maxFiles, maxSize: log.maxSize };
  if (type === "json-file") {
    files.maxFiles = log.maxFiles === 0 ? 2 : log.maxFiles;
    files.maxSize = log.maxSize === "" ? "100M" : log.maxSize;
  } else if (type === "none") {
    files.maxFiles = 0;
    files.maxSize = "";
  }
  const buffer =
    mode === "blocking" ? "" : mode === "non-blocking" && log.maxBufferSize === "" ? "1M" : log.maxBufferSize;
  return { ...log, type, mode, ...files, maxBufferSize: buffer };
}

/** Swap is settled once, at creation: twice the memory when left out; "unlimited" is stored as nothing. */
function fillSwap({ resources }: ContainerConfig): void {
  if (resources && resources.memory !== "" && resources.memorySwap === "") {
    resources.memorySwap = doubled(resources.memory);
  } else if (resources?.memorySwap === UNLIMITED) {
    resources.memorySwap = "";
  }
}
