// The daemon's checks of a completed configuration, in its order and with its texts; the first failure is a plain error (500 on the wire).
// Source: containerm/util/containers_validation.go and util_stop_opts.go.

import { constants } from "node:os";
import type { StopOptions } from "./arguments.ts";
import { sizeToBytes, UNLIMITED } from "./defaults.ts";
import { text } from "./errors.ts";
import type { Container, ContainerConfig, LogConfig, Resources, RestartPolicy } from "./types.ts";

const NAME = /^[a-zA-Z0-9_][a-zA-Z0-9_.-]*$/;
// Go's dot is everything but a line feed; JavaScript's leaves out three more characters.
const ENV = /^[a-zA-Z_]([a-zA-Z0-9_]*)(|=([^\n]*))$/;
const RESERVED_HOST = /^(.+):host_ip(_(.+))?$/;
const MIN_MEMORY = 3 * 1024 ** 2;

/** Throws the daemon's error for the first thing it would refuse. */
export function validateContainer(container: Pick<Container, "name" | "config">): void {
  const { config } = container;
  validateName(container.name);
  for (const mount of config.mountPoints) {
    refuse(mount.source === "" || mount.destination === "", "source and destination must be set for a mount point");
  }
  refuse(
    config.privileged && config.devices.length > 0,
    "cannot create the container as privileged and with specified devices at the same time - choose one of the options",
  );
  refuse(
    config.privileged && config.extraCapabilities.length > 0,
    "cannot create the container as privileged and with extra capabilities at the same time - choose one of the options",
  );
  validateNetworking(config);
  for (const device of config.devices) {
    refuse(
      device.pathOnHost === "" || device.pathInContainer === "",
      "both path on the host and in the container must be specified for a device mapping",
    );
  }
  validateLog(config.log);
  validateRestartPolicy(config.restartPolicy);
  validateResources(config.resources);
  for (const entry of config.env) {
    refuse(!ENV.test(entry), `invalid environmental variable declaration provided : ${entry}`);
  }
}

/** The empty name is accepted: it means "the id" at creation and "no change" in a rename. */
export function validateName(name: string): void {
  refuse(name !== "" && !NAME.test(name), `invalid container name format : ${name}`);
}

function validateNetworking({ networkMode, portMappings, extraHosts }: ContainerConfig): void {
  refuse(networkMode !== "bridge" && networkMode !== "host", `unsupported network mode ${networkMode}`);
  if (networkMode === "host") {
    refuse(portMappings.length > 0, "cannot use port mappings when in host network mode");
    refuse(
      extraHosts.some((host) => RESERVED_HOST.test(host)),
      "cannot use the host_ip reserved key or any of its modifications when in host network mode",
    );
  }
}

function validateLog(log: LogConfig | undefined): void {
  if (!log) {
    return;
  }
  refuse(log.type !== "json-file" && log.type !== "none", "unsupported log driver configuration");
  if (log.type === "json-file") {
    refuse(log.maxFiles < 1, "max log files cannot be < 1");
    refuse(log.maxSize === "", "max logs size must be set");
    refuse(sizeToBytes(log.maxSize) === undefined, `invalid format of max logs size - ${log.maxSize}`);
  }
  refuse(log.mode !== "blocking" && log.mode !== "non-blocking", "unsupported log mode configuration");
  if (log.mode === "non-blocking") {
    refuse(sizeToBytes(log.maxBufferSize) === undefined, `invalid format of max buffer size - ${log.maxBufferSize}`);
  }
}

export function validateRestartPolicy(policy: RestartPolicy | undefined): void {
  if (!policy) {
    return;
  }
  refuse(
    !["no", "unless-stopped", "on-failure", "always"].includes(policy.type),
    `unsupported restart policy type ${policy.type}`,
  );
  if (policy.type === "on-failure") {
    refuse(policy.maxRetryCount < 0, "restart policy max retry count cannot be negative");
    refuse(policy.retryTimeoutS < 0, "restart policy retry timeout cannot be negative");
  } else {
    refuse(policy.maxRetryCount !== 0, `cannot use max retry count when the restart policy is ${policy.type}`);
  }
}

export function validateResources(resources: Resources | undefined): void {
  if (!resources) {
    return;
  }
  const bytes = (size: string, what: string): number => {
    const parsed = size === "" ? 0 : sizeToBytes(size);
    refuse(parsed === undefined, `invalid format of ${what} - ${size}`);
    return parsed ?? 0;
  };
  const { memory, memoryReservation, memorySwap } = resources;
  const limit = bytes(memory, "memory");
  const reservation = bytes(memoryReservation, "memory reservation");
  const swap = memorySwap === UNLIMITED ? -1 : bytes(memorySwap, "swap memory");
  refuse(limit > 0 && limit < MIN_MEMORY, "minimum memory allowed is 3M");
  if (swap > 0) {
    refuse(memory === "", `swap memory - ${memorySwap}, memory must be set as well`);
    refuse(limit > swap, `swap memory - ${memorySwap} is less than memory - ${memory}`);
  }
  refuse(
    reservation > 0 && memory !== "" && reservation > limit,
    `reservation memory - ${memoryReservation} must be lower than memory - ${memory}`,
  );
}

/** Second names of a number, which golang.org/x/sys/unix does not know (its signalList has one name for each). */
const SECOND_NAMES = new Set(["SIGIOT", "SIGPOLL"]);
const KNOWN = Object.entries(constants.signals).filter(([name]) => !SECOND_NAMES.has(name));

/** Number of a signal given by name (`SIGTERM`) or as decimal text (`15`); 0 for an unknown one. */
export function signalNumber(signal: string): number {
  if (/^[+-]?\d+$/.test(signal)) {
    return Number(signal);
  }
  return KNOWN.find(([name]) => name === signal)?.[1] ?? 0;
}

/** Name of a signal number as the daemon's texts show it. */
export function signalName(signal: number): string {
  return KNOWN.find(([, number]) => number === signal)?.[0] ?? `signal ${signal}`;
}

export function validateStopOptions(options: StopOptions): void {
  refuse(options.timeoutS < 0, text.negativeTimeout(options.timeoutS));
  const signal = signalNumber(options.signal);
  refuse(signal < 1 || signal > 255, text.invalidSignal(options.signal));
}

function refuse(condition: boolean, message: string): void {
  if (condition) {
    throw new Error(message);
  }
}
