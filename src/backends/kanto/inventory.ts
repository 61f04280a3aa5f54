/**
 * What is known of the containers of one device. Fed with twin events as level samples; a full re-publication is collected in a Sweep
 * and applied at its end, so that readers never see half of one.
 */
import type { HostPort, ObservedContainer, RunState } from "../contract.ts";
import { flagAt, isObject, numberAt, objectAt, textAt, textsAt, type JsonObject } from "../guards.ts";
import { readConfig, type KantoConfig } from "./config.ts";
import { readMarker } from "./marker.ts";
import { addSample } from "./runs.ts";

/** Published when a pending automatic restart is called off; says nothing about the container (mgr_restart_mgr.go). */
const RESTART_CANCELLED = "restart manager is canceled";

const STATES: Readonly<Record<string, RunState>> = {
  CREATED: "Created",
  RUNNING: "Running",
  STOPPED: "Stopped",
  PAUSED: "Paused",
  EXITED: "Exited",
  DEAD: "Dead",
};

/** What a sample changed. */
export type Change =
  | "Added"
  | "Changed"
  | "Unchanged"
  | "UnknownContainer"
  | "Malformed"
  /** A sample that may be out of date, and was not taken; a full re-publication decides. */
  | "Doubtful"
  /** More containers than are kept of one device: it was not taken. */
  | "TooMuch";

/** What is kept of one device at most: far more than runs on any, and little enough for a process that serves many. */
export const MOST_CONTAINERS = 1_000;
/** As above, in characters of the messages that told of them. */
export const MOST_CHARACTERS = 32 * 2 ** 20;

/** Ids of removed containers that are remembered. */
const REMEMBERED = 64;

/** Longest text of an error, name or image that is kept; longer ones are cut. */
const LONGEST_TEXT = 4_096;

/** Where a whole feature comes from. */
export interface FeatureSample {
  /** Length of its message. */
  characters: number;
  /** Part of a full re-publication that was asked for: it counts whatever was known before. */
  authoritative: boolean;
}

export class Inventory {
  readonly #now: () => number;
  readonly #containers = new Map<string, ObservedContainer>();
  /** Characters of the message that told of each. */
  readonly #sizes = new Map<string, number>();
  #size = 0;
  /** Removed lately: a late or repeated word does not bring them back. */
  readonly #removed = new Set<string>();
  #list: readonly ObservedContainer[] | undefined;

  /** @param now wall clock in ms. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** All containers; the same array until something changes. */
  list(): readonly ObservedContainer[] {
    this.#list ??= [...this.#containers.values()];
    return this.#list;
  }

  get(externalId: string): ObservedContainer | undefined {
    return this.#containers.get(externalId);
  }

  ids(): Iterable<string> {
    return this.#containers.keys();
  }

  /** A whole container feature: created, or re-published. */
  putFeature(externalId: string, feature: JsonObject, sample: FeatureSample): Change {
    const status = objectAt(objectAt(feature, "properties"), "status");
    const name = textAt(status, "name");
    const image = textAt(status, "imageRef");
    const { state } = status;
    if (name === undefined || image === undefined || !isObject(state)) return "Malformed";
    const createdAt = timeAt(status, "createdAt");
    const previous = this.#containers.get(externalId);
    if (!sample.authoritative && (this.#removed.has(externalId) || (previous && isOlder(state, previous))))
      return "Doubtful";
    if (!this.#fits(externalId, sample.characters)) return "TooMuch";
    const base: ObservedContainer = {
      externalId,
      state: previous?.state ?? "Unknown",
      runs: previous?.runs ?? [],
      stateSinceMs: previous?.stateSinceMs ?? this.#now(),
      ...(previous?.startedAt !== undefined && { startedAt: previous.startedAt }),
      name: name.slice(0, LONGEST_TEXT),
      image: image.slice(0, LONGEST_TEXT),
      ...(createdAt !== undefined && { createdAt }),
      ...configParts(objectAt(status, "config")),
    };
    const next = withState(base, state, this.#now());
    if (next === undefined) return "Malformed";
    this.#removed.delete(externalId);
    this.#resize(externalId, sample.characters);
    if (previous === undefined) {
      this.#store(next);
      return "Added";
    }
    return this.#replace(previous, next);
  }

  /**
   * `properties/status/state` of a known container.
   *
   * @param authoritative it counts whatever was known before.
   */
  putState(externalId: string, state: JsonObject, authoritative = false): Change {
    const previous = this.#containers.get(externalId);
    if (previous === undefined) return "UnknownContainer";
    // Seen after the RUNNING of the very start that called the restart off: the two are published without a lock.
    const lives = previous.state === "Running" || previous.state === "Paused";
    if (lives && textAt(state, "error")?.includes(RESTART_CANCELLED) === true) return "Doubtful";
    if (!authoritative && isOlder(state, previous)) return "Doubtful";
    const next = withState(previous, state, this.#now());
    return next === undefined ? "Malformed" : this.#replace(previous, next);
  }

  /** `properties/status/config`: always the whole of it. @param characters length of its message */
  putConfig(externalId: string, config: JsonObject, characters: number): Change {
    const previous = this.#containers.get(externalId);
    if (previous === undefined) return "UnknownContainer";
    if (!this.#fits(externalId, characters)) return "TooMuch";
    this.#resize(externalId, characters);
    const { marker: _former, ...rest } = previous;
    return this.#replace(previous, { ...rest, ...configParts(config) });
  }

  putName(externalId: string, name: string): Change {
    const previous = this.#containers.get(externalId);
    if (previous === undefined) return "UnknownContainer";
    return this.#replace(previous, { ...previous, name: name.slice(0, LONGEST_TEXT) });
  }

  /** @returns what was removed, if it was known. */
  remove(externalId: string): ObservedContainer | undefined {
    const removed = this.#containers.get(externalId);
    if (removed === undefined) return undefined;
    this.#containers.delete(externalId);
    this.#resize(externalId, 0);
    this.#sizes.delete(externalId);
    this.#list = undefined;
    this.#removed.add(externalId);
    const [oldest] = this.#removed;
    if (this.#removed.size > REMEMBERED && oldest !== undefined) this.#removed.delete(oldest);
    return removed;
  }

  #fits(externalId: string, characters: number): boolean {
    const others = this.#containers.has(externalId) ? this.#containers.size - 1 : this.#containers.size;
    const size = this.#size - (this.#sizes.get(externalId) ?? 0) + characters;
    return others < MOST_CONTAINERS && size <= MOST_CHARACTERS;
  }

  #resize(externalId: string, characters: number): void {
    this.#size += characters - (this.#sizes.get(externalId) ?? 0);
    this.#sizes.set(externalId, characters);
  }

  #store(container: ObservedContainer): void {
    this.#containers.set(container.externalId, container);
    this.#list = undefined;
  }

  #replace(previous: ObservedContainer, next: ObservedContainer): Change {
    // Values come from JSON and this file only, with keys in a fixed order per kind of sample; a false "changed" does no harm.
    if (JSON.stringify(sorted(previous)) === JSON.stringify(sorted(next))) return "Unchanged";
    this.#store(next);
    return "Changed";
  }
}

function sorted(container: ObservedContainer): unknown {
  return Object.entries(container).sort(([left], [right]) => (left < right ? -1 : 1));
}

/** RFC 3339, as Go writes it. */
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/;

/** Go's zero time is a time that never was. */
function timeAt(parent: JsonObject, key: string): string | undefined {
  const text = textAt(parent, key);
  if (text === undefined || !TIME.test(text) || text.startsWith("0001-")) return undefined;
  return Number.isNaN(Date.parse(text)) ? undefined : text;
}

/** An exit code as the kernel has them; anything else is none. */
function exitCodeAt(state: JsonObject): number {
  const code = numberAt(state, "exitCode") ?? 0;
  return (code | 0) === code ? code : 0;
}

/** Ms since the epoch of the last thing that happened to a container, by its device's clock; -Infinity if nothing did. */
function lastMoment(startedAt: string | undefined, finishedAt: string | undefined): number {
  const moments = [startedAt, finishedAt].map((time) => (time === undefined ? -Infinity : Date.parse(time)));
  return Math.max(...moments);
}

/**
 * Whether a sample is from before what is known: repeated, or overtaken by a later one. A device's clock can also go back, so such a sample
 * proves nothing either way.
 */
function isOlder(state: JsonObject, known: ObservedContainer): boolean {
  const moment = lastMoment(timeAt(state, "startedAt"), timeAt(state, "finishedAt"));
  return moment < lastMoment(known.startedAt, known.finishedAt);
}

/**
 * A container with a new state; undefined if the state is none. Fields absent from the sample are zero, not unchanged: the daemon leaves
 * zero values out.
 */
function withState(previous: ObservedContainer, sample: JsonObject, nowMs: number): ObservedContainer | undefined {
  const status = textAt(sample, "status");
  if (status === undefined) return undefined;
  const state = STATES[status.toUpperCase()] ?? "Unknown";
  const { error: _error, exitCode: _code, oomKilled: _oom, startedAt: _start, finishedAt: _end, ...rest } = previous;
  const startedAt = timeAt(sample, "startedAt");
  const finishedAt = timeAt(sample, "finishedAt");
  const exitCode = exitCodeAt(sample);
  const oomKilled = flagAt(sample, "oomKilled");
  const errorText = textAt(sample, "error")?.slice(0, LONGEST_TEXT);
  const error = errorText?.includes(RESTART_CANCELLED) === true ? undefined : errorText;
  const ended = state === "Stopped" || state === "Exited" || state === "Dead";
  const times = { ...(startedAt !== undefined && { startedAt }), ...(finishedAt !== undefined && { finishedAt }) };
  const same = previous.state === state && previous.startedAt === startedAt;
  return {
    ...rest,
    state,
    ...times,
    ...(error !== undefined && { error }),
    ...(ended && startedAt !== undefined && { exitCode }),
    ...(oomKilled && { oomKilled }),
    runs: addSample(previous.runs, { state, ...times, exitCode, oomKilled }),
    stateSinceMs: same ? previous.stateSinceMs : nowMs,
  };
}

function configParts(raw: JsonObject): Pick<ObservedContainer, "marker" | "hostPorts" | "config"> {
  const config = readConfig(raw);
  const marker = readMarker(textsAt(raw, "env"));
  return { ...(marker !== undefined && { marker }), hostPorts: hostPorts(config), config };
}

function hostPorts(config: KantoConfig): HostPort[] {
  return config.portMappings.map(({ hostIP, hostPort, hostPortEnd, proto }) => ({
    hostIP,
    hostPort,
    hostPortEnd,
    protocol: proto.toUpperCase(),
  }));
}
