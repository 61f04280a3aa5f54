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
  | "Doubtful";

export class Inventory {
  readonly #now: () => number;
  readonly #containers = new Map<string, ObservedContainer>();
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
  putFeature(externalId: string, feature: JsonObject): Change {
    const status = objectAt(objectAt(feature, "properties"), "status");
    const name = textAt(status, "name");
    const image = textAt(status, "imageRef");
    const { state } = status;
    if (name === undefined || image === undefined || !isObject(state)) return "Malformed";
    const createdAt = timeAt(status, "createdAt");
    const previous = this.#containers.get(externalId);
    const base: ObservedContainer = {
      externalId,
      state: previous?.state ?? "Unknown",
      runs: previous?.runs ?? [],
      stateSinceMs: previous?.stateSinceMs ?? this.#now(),
      ...(previous?.startedAt !== undefined && { startedAt: previous.startedAt }),
      name,
      image,
      ...(createdAt !== undefined && { createdAt }),
      ...configParts(objectAt(status, "config")),
    };
    const next = withState(base, state, this.#now());
    if (next === undefined) return "Malformed";
    if (previous === undefined) {
      this.#store(next);
      return "Added";
    }
    return this.#replace(previous, next);
  }

  /** `properties/status/state` of a known container. */
  putState(externalId: string, state: JsonObject): Change {
    const previous = this.#containers.get(externalId);
    if (previous === undefined) return "UnknownContainer";
    // Seen after the RUNNING of the very start that called the restart off: the two are published without a lock.
    const lives = previous.state === "Running" || previous.state === "Paused";
    if (lives && textAt(state, "error")?.includes(RESTART_CANCELLED) === true) return "Doubtful";
    const next = withState(previous, state, this.#now());
    return next === undefined ? "Malformed" : this.#replace(previous, next);
  }

  /** `properties/status/config`: always the whole of it. */
  putConfig(externalId: string, config: JsonObject): Change {
    const previous = this.#containers.get(externalId);
    if (previous === undefined) return "UnknownContainer";
    const { marker: _former, ...rest } = previous;
    return this.#replace(previous, { ...rest, ...configParts(config) });
  }

  putName(externalId: string, name: string): Change {
    const previous = this.#containers.get(externalId);
    if (previous === undefined) return "UnknownContainer";
    return this.#replace(previous, { ...previous, name });
  }

  /** @returns what was removed, if it was known. */
  remove(externalId: string): ObservedContainer | undefined {
    const removed = this.#containers.get(externalId);
    if (removed === undefined) return undefined;
    this.#containers.delete(externalId);
    this.#list = undefined;
    return removed;
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

/** Go's zero time is a time that never was. */
function timeAt(parent: JsonObject, key: string): string | undefined {
  const text = textAt(parent, key);
  return text === undefined || text.startsWith("0001-") || Number.isNaN(Date.parse(text)) ? undefined : text;
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
  const exitCode = numberAt(sample, "exitCode") ?? 0;
  const oomKilled = flagAt(sample, "oomKilled");
  const errorText = textAt(sample, "error");
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
