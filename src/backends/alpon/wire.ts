/** The API's JSON in both directions. Undocumented names come from the dialect; what cannot be read counts as not told. */
import { createHash } from "node:crypto";
import type { DesiredContainer, Marker, RunState } from "../contract.ts";
import { isObject, objectAt, textAt, type JsonObject } from "../guards.ts";
import type { AlponDialect } from "./dialect.ts";
import { oneLine, redact } from "../http/text.ts";
import { errorOfText } from "./errors-table.ts";

/** Name of the variable that holds our mark: the vendor keeps no other text of ours. Nothing in it is secret (the hash is keyed). */
export const MARKER_VARIABLE = "DRAYAGE_MARKER";

/** A container's configuration in one form. Of what was observed: an absent field was not told. Of an update: it stays as it is. */
export interface AlponConfig {
  readonly image?: string;
  /** Without our mark. */
  readonly environments?: Readonly<Record<string, string>>;
  readonly ports?: readonly { readonly host: number; readonly container: number }[];
  readonly volumes?: readonly { readonly host: string; readonly container: string }[];
  readonly hostNetwork?: boolean;
  readonly privileged?: boolean;
}

export const CONFIG_FIELDS = ["image", "environments", "ports", "volumes", "hostNetwork", "privileged"] as const;
export type ConfigField = (typeof CONFIG_FIELDS)[number];

/** The whole configuration that a spec asks for. */
export function wantedConfig({ image, env, spec }: DesiredContainer): Required<AlponConfig> {
  return {
    image,
    environments: Object.fromEntries(env.map(({ name, value }) => [name, value])),
    ports: (spec.ports ?? []).flatMap(({ hostPort, containerPort }) =>
      hostPort === undefined ? [] : [{ host: hostPort, container: containerPort }],
    ),
    volumes: (spec.volumes ?? []).flatMap(({ hostPath, mountPath }) =>
      hostPath === undefined ? [] : [{ host: hostPath, container: mountPath }],
    ),
    hostNetwork: spec.network?.mode === "Host",
    privileged: spec.securityContext?.privileged === true,
  };
}

/** A field in a form that is equal where the meaning is. */
export function canonical(config: AlponConfig, field: ConfigField): string {
  const sorted = (items: readonly object[]): string => JSON.stringify(items.map((item) => JSON.stringify(item)).sort());
  switch (field) {
    case "image":
      return shortImage(config.image ?? "");
    case "environments":
      return sorted(Object.entries(config.environments ?? {}));
    case "ports":
      return sorted((config.ports ?? []).map(({ host, container }) => [host, container]));
    case "volumes":
      return sorted((config.volumes ?? []).map(({ host, container }) => [host, container]));
    case "hostNetwork":
    case "privileged":
      return String(config[field] ?? false);
    default:
      return field satisfies never;
  }
}

/** Docker Hub's images may be told without its name, and the tag latest without itself. */
function shortImage(image: string): string {
  const short = image.replace(/^docker\.io\//, "").replace(/^library\//, "");
  const last = short.slice(short.lastIndexOf("/") + 1);
  return last.includes(":") || last.includes("@") ? short : `${short}:latest`;
}

/** The body of a deploy or of an update. What no page names is sent only where it is asked for, or has to be taken back. */
export function encode(
  config: AlponConfig,
  marker: Marker | undefined,
  dialect: AlponDialect,
  all: boolean,
): JsonObject {
  const { image, environments, ports, volumes, hostNetwork, privileged } = config;
  return {
    ...(image !== undefined && { image }),
    ...(environments !== undefined && {
      environments: { ...environments, ...(marker !== undefined && { [MARKER_VARIABLE]: markerText(marker) }) },
    }),
    ...(ports !== undefined && {
      ports: ports.map(({ host, container }) => ({ [dialect.portHost]: host, [dialect.portContainer]: container })),
    }),
    ...(volumes !== undefined && {
      volumes: volumes.map(({ host, container }) => ({
        [dialect.volumeHost]: host,
        [dialect.volumeContainer]: container,
      })),
    }),
    ...(hostNetwork !== undefined && (hostNetwork || !all) && { [dialect.hostNetwork]: hostNetwork }),
    ...(privileged !== undefined && (privileged || !all) && { [dialect.privileged]: privileged }),
  };
}

function markerText({ owner, namespace, name, uid, operation, hash }: Marker): string {
  return JSON.stringify({ owner, namespace, name, uid, operation, hash });
}

function readMarker(text: string): Marker | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isObject(value)) return undefined;
  const [owner, namespace, name] = [textAt(value, "owner"), textAt(value, "namespace"), textAt(value, "name")];
  if (owner === undefined || namespace === undefined || name === undefined) return undefined;
  const at = (key: string): string => textAt(value, key) ?? "";
  return { owner, namespace, name, uid: at("uid"), operation: at("operation"), hash: at("hash") };
}

/** A container of a list. */
export interface Listed {
  name: string;
  config: AlponConfig;
  marker: Marker | undefined;
  state: RunState;
  /** Why it does not run: the vendor's word and sentence. */
  waiting: { reason: string; message: string } | undefined;
  createdAt: string | undefined;
}

/** @returns undefined if it is no list of containers. Items without a name are left out and counted by `malformed`. */
export function readList(json: unknown, dialect: AlponDialect, malformed: () => void): Listed[] | undefined {
  const items = listIn(json, dialect);
  if (items === undefined) return undefined;
  const seen = new Set<string>();
  return items.flatMap((item) => {
    const listed = isObject(item) ? readItem(item, dialect) : undefined;
    if (listed === undefined || seen.has(listed.name)) {
      malformed();
      return [];
    }
    seen.add(listed.name);
    return [listed];
  });
}

function listIn(json: unknown, dialect: AlponDialect): readonly unknown[] | undefined {
  if (Array.isArray(json)) return json;
  if (!isObject(json)) return undefined;
  for (const key of dialect.listKeys) {
    const value = json[key];
    if (Array.isArray(value)) return value;
    if (isObject(value)) return listIn(value, dialect);
  }
  return undefined;
}

function readItem(item: JsonObject, dialect: AlponDialect): Listed | undefined {
  const name = textAt(item, "name");
  if (name === undefined) return undefined;
  const first = (keys: readonly string[]): string | undefined =>
    keys.map((key) => textAt(item, key)).find((value) => value !== undefined);
  const image = textAt(item, "image");
  const all = readEnvironments(item["environments"]);
  const { [MARKER_VARIABLE]: mark, ...environments } = all ?? {};
  const ports = readPairs(item["ports"], dialect.portHost, dialect.portContainer, asPort);
  const volumes = readPairs(item["volumes"], dialect.volumeHost, dialect.volumeContainer, asPath);
  const hostNetwork = item[dialect.hostNetwork];
  const privileged = item[dialect.privileged];
  const word = first(dialect.stateKeys);
  const runs = word === undefined || dialect.runningWords.includes(word.toLowerCase());
  return {
    name,
    config: {
      ...(image !== undefined && { image }),
      ...(all !== undefined && { environments }),
      ...(ports !== undefined && { ports }),
      ...(volumes !== undefined && { volumes }),
      ...(typeof hostNetwork === "boolean" && { hostNetwork }),
      ...(typeof privileged === "boolean" && { privileged }),
    },
    marker: mark === undefined ? undefined : readMarker(mark),
    // Nobody says which words there are; a list that tells no state tells at least that it is there.
    state: runs ? "Running" : "Unknown",
    waiting: runs ? undefined : waitingOf(word, first(dialect.reasonKeys), Object.values(environments)),
    createdAt: first(dialect.createdKeys),
  };
}

/** @param secrets values of variables, which a program's own words may repeat. */
function waitingOf(
  word: string,
  message: string | undefined,
  secrets: readonly string[],
): { reason: string; message: string } {
  const error = errorOfText(message ?? "") ?? errorOfText(word);
  return { reason: (error ?? word).slice(0, 64), message: oneLine(redact(message ?? word, secrets)) };
}

function readEnvironments(value: unknown): Record<string, string> | undefined {
  if (!isObject(value)) return undefined;
  return Object.fromEntries(
    Object.entries(value).map(([name, each]) => [name, typeof each === "string" ? each : JSON.stringify(each)]),
  );
}

/** Items without the keys that the dialect names are not understood: then nothing is known of the whole list. */
function readPairs<T>(
  value: unknown,
  hostKey: string,
  containerKey: string,
  read: (value: unknown) => T | undefined,
): { host: T; container: T }[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const pairs: { host: T; container: T }[] = [];
  for (const item of value as unknown[]) {
    if (!isObject(item)) return undefined;
    const [host, container] = [read(item[hostKey]), read(item[containerKey])];
    if (host === undefined || container === undefined) return undefined;
    pairs.push({ host, container });
  }
  return pairs;
}

const asPort = (value: unknown): number | undefined => {
  const number = typeof value === "string" ? Number(value) : value;
  return typeof number === "number" && Number.isInteger(number) ? number : undefined;
};
const asPath = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);

/** Whether the answer says that the device is online; undefined if it does not say. */
export function readOnline(json: unknown, dialect: AlponDialect): boolean | undefined {
  if (!isObject(json)) return undefined;
  const inner = objectAt(json, "data");
  for (const place of [inner, json])
    for (const key of dialect.onlineKeys) {
      const value = place[key];
      if (typeof value === "boolean") return value;
      if (typeof value !== "string") continue;
      if (dialect.offlineWords.includes(value.toLowerCase())) return false;
      if (value.toLowerCase() === "online" || value.toLowerCase() === "connected") return true;
    }
  return undefined;
}

/** The ids that name the asset; empty if none can be read. */
export function readIds(json: unknown, dialect: AlponDialect): string[] {
  if (!isObject(json)) return [];
  const inner = objectAt(json, "data");
  const place = Object.keys(inner).length > 0 ? inner : json;
  return dialect.idPaths.flatMap((path) => {
    let value: unknown = place;
    for (const key of path) value = isObject(value) ? value[key] : undefined;
    return typeof value === "string" && value !== "" ? [value] : [];
  });
}

/** What of a request must never be seen in a text: whatever may have come from a Secret. */
export function secretsOf(config: AlponConfig): string[] {
  return Object.values(config.environments ?? {});
}

/**
 * The name on the device of an object without a spec.name. Nobody else chooses it, so where a list shows names only it is proof enough of whose the
 * container is. At most 50 characters of an RFC 1123 label: the vendor documents no rule, and its runtime adds to it.
 */
export function ownName({ owner, namespace, name }: Pick<Marker, "owner" | "namespace" | "name">): string {
  const hash = createHash("sha256")
    .update(JSON.stringify([owner, namespace, name]))
    .digest("hex")
    .slice(0, 8);
  const label = name
    .toLowerCase()
    .replaceAll(/[^a-z0-9-]+/g, "-")
    .slice(0, 41)
    .replaceAll(/^-+|-+$/g, "");
  return label === "" ? `c-${hash}` : `${label}-${hash}`;
}
