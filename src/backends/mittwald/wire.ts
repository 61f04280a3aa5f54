/** From a spec to what is sent, and from what is read to what is compared. Pure. */
import { parseQuantity } from "../../crds/quantity.ts";
import type { DesiredContainer, ObservedContainer } from "../contract.ts";
import {
  canonicalImage,
  canonicalMount,
  canonicalPort,
  cpuText,
  memoryBytes,
  memoryText,
  shortImage,
} from "./normalise.ts";
import type { Service, ServiceBody } from "./types.ts";

/** Fields of a service that a spec can mean. */
export const FIELDS = [
  "image",
  "entrypoint",
  "command",
  "environment",
  "ports",
  "volumes",
  "restartPolicy",
  "cpus",
  "memory",
] as const;
export type Field = (typeof FIELDS)[number];

/** Path of the spec for each. */
export const PATHS: Readonly<Record<Field, string>> = {
  image: "image",
  entrypoint: "command",
  command: "args",
  environment: "env",
  ports: "ports",
  volumes: "volumes",
  restartPolicy: "restartPolicy",
  cpus: "resources.limits.cpu",
  memory: "resources.limits.memory",
};

/** A service's configuration in our words; an absent limit is none. */
export interface Settings {
  readonly image: string;
  readonly entrypoint: readonly string[];
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly ports: readonly string[];
  readonly volumes: readonly string[];
  readonly restartPolicy: string;
  readonly cpus?: string;
  readonly memory?: string;
}

/** What a service has been seen to be; made by the session, read by the planner. */
export interface MittwaldConfig {
  readonly service: Service;
  /** What the tag means at its registry, where that is watched and known. */
  readonly latestDigest?: string;
  /** It is on its way to something else than what is declared now, or has been on its way for too long: nothing is to be waited for. */
  readonly isOutrun?: boolean;
  /** It is stopped, and a recreate has not started it: it has to be started before. */
  readonly isUnmoved?: boolean;
  /** Its description carried our mark and does no more. */
  readonly isMarkLost?: boolean;
  /** What the image itself has in these fields, where that is known: then it is as if nothing were set. */
  readonly defaults?: { readonly entrypoint?: readonly string[]; readonly command?: readonly string[] };
}

/** What an Update does; the payload of this backend's commands. */
export type Change =
  /** A PATCH of our service alone: `body` has only what changes; `volumes` are declared if they are not there yet. */
  | { readonly change: "Patch"; readonly body: ServiceBody; readonly volumes: readonly string[] }
  /** A new container of what is declared. */
  | { readonly change: "Recreate" }
  /** The newest image of the tag, and a new container. */
  | { readonly change: "Pull" }
  /** The process anew; with `image` the tag is looked up before, and pulled if there is something new. */
  | { readonly change: "Restart"; readonly image?: string }
  /** Destroys a volume that nothing mounts. */
  | { readonly change: "DropVolume"; readonly volume: string };

export function configOf(observed: ObservedContainer): MittwaldConfig {
  return observed.config as MittwaldConfig;
}

const POLICIES = { Always: "always", UnlessStopped: "always", OnFailure: "on-failure", No: "no" } as const;
/** Without a policy the vendor restarts always, as it did before it had any. */
const DEFAULT_POLICY = "always";

/** The whole configuration that a spec asks for. */
export function wantedSettings({ image, env, spec }: DesiredContainer): Settings {
  const { cpu, memory } = spec.resources?.limits ?? {};
  return {
    image: shortImage(image),
    entrypoint: spec.command ?? [],
    command: spec.args ?? [],
    environment: Object.fromEntries(env.map(({ name, value }) => [name, value])),
    ports: (spec.ports ?? []).map(
      ({ containerPort, protocol = "TCP" }) => `${containerPort}/${protocol.toLowerCase()}`,
    ),
    volumes: (spec.volumes ?? []).map(
      ({ volumeName, hostPath, mountPath }) => `${volumeName ?? hostPath ?? ""}:${mountPath}`,
    ),
    // Their unless-stopped behaves like on-failure (release notes of 2026-10-28).
    restartPolicy: spec.restartPolicy === undefined ? DEFAULT_POLICY : POLICIES[spec.restartPolicy.type],
    ...(cpu !== undefined && { cpus: cpuText(parseQuantity(cpu)) }),
    ...(memory !== undefined && { memory: memoryText(parseQuantity(memory)) }),
  };
}

/** What is declared of a service; what runs may lag behind (requiresRecreate). */
export function declaredSettings({ pendingState, deploy, restartPolicy }: Service): Settings {
  const limits = deploy?.resources?.limits;
  return {
    image: pendingState.image,
    entrypoint: pendingState.entrypoint ?? [],
    command: pendingState.command ?? [],
    environment: pendingState.envs ?? {},
    ports: pendingState.ports ?? [],
    volumes: pendingState.volumes ?? [],
    restartPolicy: restartPolicy ?? DEFAULT_POLICY,
    ...(limits?.cpus !== undefined && { cpus: limits.cpus }),
    ...(limits?.memory !== undefined && { memory: limits.memory }),
  };
}

/** A field in a form that is equal where the meaning is. */
export function canonical(settings: Settings, field: Field): string {
  switch (field) {
    case "image":
      return canonicalImage(settings.image);
    case "entrypoint":
    case "command":
      return JSON.stringify(settings[field]);
    case "environment":
      return JSON.stringify(Object.entries(settings.environment).sort(byText));
    case "ports":
      return JSON.stringify([...new Set(settings.ports.map(canonicalPort))].sort());
    case "volumes":
      return JSON.stringify([...new Set(settings.volumes.map(canonicalMount))].sort());
    case "restartPolicy":
      return settings.restartPolicy;
    case "cpus":
      return settings.cpus === undefined || settings.cpus === "" ? "none" : String(Number(settings.cpus));
    case "memory":
      return settings.memory === undefined || settings.memory === ""
        ? "none"
        : String(memoryBytes(settings.memory) ?? settings.memory);
    default:
      return field satisfies never;
  }
}

function byText([a]: [string, string], [b]: [string, string]): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The part of a request that sets these fields. Both limits go together: the vendor has one object for them. */
export function bodyOf(settings: Settings, fields: readonly Field[]): ServiceBody {
  const has = (field: Field): boolean => fields.includes(field);
  const { image, entrypoint, command, environment, ports, volumes, restartPolicy, cpus, memory } = settings;
  const limits = { ...(cpus !== undefined && { cpus }), ...(memory !== undefined && { memory }) };
  return {
    ...(has("image") && { image }),
    ...(has("entrypoint") && { entrypoint }),
    ...(has("command") && { command }),
    ...(has("environment") && { environment }),
    ...(has("ports") && { ports }),
    ...(has("volumes") && { volumes }),
    ...(has("restartPolicy") && { restartPolicy }),
    ...((has("cpus") || has("memory")) && {
      deploy: { resources: Object.keys(limits).length === 0 ? {} : { limits } },
    }),
  };
}

/** Names of volumes in mounts; the rest are paths of the project. */
export function namedVolumes(mounts: readonly string[]): string[] {
  const sources = mounts.map((mount) => canonicalMount(mount).split(":")[0] ?? "");
  return [...new Set(sources.filter((source) => source !== "" && !source.startsWith("/")))];
}
