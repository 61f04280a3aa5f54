/**
 * The fields of EdgeContainer.spec that a Kanto device honours: where each stands, whether the spec sets it, what it takes to change it,
 * and how its value reads out of the normal form. Comparing, status.applied.paths and the identity of a container all come from this one
 * table.
 */
import type { DesiredContainer, Difference } from "../../contract.ts";
import type { KantoConfig } from "../config.ts";

type Spec = DesiredContainer["spec"];

export interface Field {
  path: string;
  effect: Difference["effect"];
  /** Whether the spec asks for it. */
  isSet(spec: Spec, desired: DesiredContainer): boolean;
  /** The value, comparable as JSON. */
  read(config: KantoConfig): unknown;
}

/** Order means nothing to the device, and differs between what was written and what is listed. */
function sorted<T>(items: readonly T[]): T[] {
  return [...items].sort((left, right) => (JSON.stringify(left) < JSON.stringify(right) ? -1 : 1));
}

/** The last entry of a name counts, as in a process's environment. */
function variables(env: readonly string[]): [string, string | undefined][] {
  const values = new Map<string, string | undefined>();
  for (const entry of env) {
    const at = entry.indexOf("=");
    if (at < 0) values.set(entry, undefined);
    else values.set(entry.slice(0, at), entry.slice(at + 1));
  }
  return sorted([...values]);
}

export const FIELDS: readonly Field[] = [
  {
    path: "env",
    effect: "Recreate",
    isSet: (spec, desired) => desired.env.length > 0 || spec.env !== undefined || spec.envFrom !== undefined,
    read: ({ env }) => variables(env),
  },
  { path: "args", effect: "Recreate", isSet: (spec) => spec.args !== undefined, read: ({ cmd }) => cmd },
  {
    path: "ports",
    effect: "Recreate",
    isSet: (spec) => spec.ports !== undefined,
    read: ({ portMappings }) => sorted(portMappings),
  },
  {
    path: "volumes",
    effect: "Recreate",
    isSet: (spec) => spec.volumes !== undefined,
    read: ({ mountPoints }) => sorted(mountPoints),
  },
  {
    path: "resources.limits.memory",
    effect: "Update",
    isSet: (spec) => spec.resources?.limits?.memory !== undefined,
    read: ({ resources }) => resources.memoryBytes,
  },
  {
    path: "resources.reservations.memory",
    effect: "Update",
    isSet: (spec) => spec.resources?.reservations?.memory !== undefined,
    read: ({ resources }) => resources.memoryReservationBytes,
  },
  {
    path: "resources.memorySwap",
    effect: "Update",
    isSet: (spec) => spec.resources?.memorySwap !== undefined,
    read: ({ resources }) => resources.memorySwapBytes,
  },
  {
    path: "restartPolicy",
    effect: "Update",
    isSet: (spec) => spec.restartPolicy !== undefined,
    read: ({ restartPolicy }) => restartPolicy,
  },
  {
    path: "network.mode",
    effect: "Recreate",
    isSet: (spec) => spec.network?.mode !== undefined,
    read: ({ networkMode }) => networkMode,
  },
  {
    path: "network.hostname",
    effect: "Recreate",
    isSet: (spec) => spec.network?.hostname !== undefined,
    // In HOST mode the daemon overwrites it with the device's own name.
    read: ({ hostName, networkMode }) => (networkMode === "HOST" ? "" : hostName),
  },
  {
    path: "network.domainname",
    effect: "Recreate",
    isSet: (spec) => spec.network?.domainname !== undefined,
    read: ({ domainName }) => domainName,
  },
  {
    path: "network.extraHosts",
    effect: "Recreate",
    isSet: (spec) => spec.network?.extraHosts !== undefined,
    read: ({ extraHosts }) => sorted(extraHosts),
  },
  {
    path: "securityContext.privileged",
    effect: "Recreate",
    isSet: (spec) => spec.securityContext?.privileged !== undefined,
    read: ({ privileged }) => privileged,
  },
  {
    path: "securityContext.capabilities.add",
    effect: "Recreate",
    isSet: (spec) => spec.securityContext?.capabilities?.add !== undefined,
    read: ({ extraCapabilities, privileged }) => (privileged ? [] : sorted(extraCapabilities)),
  },
  {
    path: "devices",
    effect: "Recreate",
    isSet: (spec) => spec.devices !== undefined,
    read: ({ devices }) => sorted(devices),
  },
  {
    path: "logging.driver",
    effect: "Recreate",
    isSet: (spec) => spec.logging?.driver !== undefined,
    read: ({ log }) => log.type,
  },
  {
    path: "logging.maxFiles",
    effect: "Recreate",
    isSet: (spec) => spec.logging?.maxFiles !== undefined,
    read: ({ log }) => log.maxFiles,
  },
  {
    path: "logging.maxSize",
    effect: "Recreate",
    isSet: (spec) => spec.logging?.maxSize !== undefined,
    read: ({ log }) => log.maxSizeBytes,
  },
  {
    path: "logging.mode",
    effect: "Recreate",
    isSet: (spec) => spec.logging?.mode !== undefined,
    read: ({ log }) => log.mode,
  },
  {
    path: "logging.maxBufferSize",
    effect: "Recreate",
    isSet: (spec) => spec.logging?.maxBufferSize !== undefined,
    read: ({ log }) => log.maxBufferSizeBytes,
  },
  {
    path: "logging.rootDir",
    effect: "Recreate",
    isSet: (spec) => spec.logging?.rootDir !== undefined,
    read: ({ log }) => log.rootDir,
  },
  {
    path: "backendOptions.kanto.decryption",
    effect: "Recreate",
    isSet: (spec) => spec.backendOptions?.kanto?.decryption !== undefined,
    read: ({ decryption }) => [decryption.keys, decryption.recipients],
  },
  { path: "tty", effect: "Recreate", isSet: (spec) => spec.tty !== undefined, read: ({ tty }) => tty },
  { path: "stdin", effect: "Recreate", isSet: (spec) => spec.stdin !== undefined, read: ({ openStdin }) => openStdin },
];

/** Names of the variables that differ between two environments. */
export function differingVariables(left: readonly string[], right: readonly string[]): string[] {
  const before = new Map(variables(left));
  const after = new Map(variables(right));
  const names = new Set([...before.keys(), ...after.keys()]);
  return [...names]
    .filter((name) => before.has(name) !== after.has(name) || before.get(name) !== after.get(name))
    .sort();
}
