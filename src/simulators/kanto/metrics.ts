// The Metrics feature: a request starts, changes or ends a periodic report on the containers that have a process. The figures are made up but
// plausible: counters grow from the start of the process on, its memory limit is the container's own where that is below the machine's, and a
// paused one uses no processor. One request replaces the former, whoever sent it, and none survives a new registration. Source:
// containerm/things/features_metrics.go, datatypes_container_metrics.go, containerm/util/util_metrics.go.

import type { Clock, Timer } from "../clock.ts";
import { parameterInvalid, subjectNotFound, text } from "./errors.ts";
import { sizeToBytes } from "./defaults.ts";
import { decode, goString, goStrings, isObject, type GoType } from "./go-json.ts";
import { containerFeature, features, outboxMessage, type Envelope } from "./twin.ts";
import { isActive, type Container } from "./types.ts";

interface Filter {
  id?: string[];
  originator?: string;
}

export interface MetricsOptions {
  clock: Clock;
  thing: string;
  list: () => Container[];
  publish: (envelope: Envelope) => Promise<void>;
}

const filterType: GoType = {
  kind: "list",
  name: "[]things.Filter",
  of: { kind: "struct", name: "Filter", fields: { id: goStrings, originator: goString } },
};
/** Without its frequency, which the daemon decodes by a function of its own. */
const requestType: GoType = { kind: "struct", name: "Request", fields: { filter: filterType } };

/** Of the machine. */
const MEMORY_TOTAL = 8 * 1024 ** 3;
const MEMORY_USED = 24 * 1024 ** 2;

/** Measurements of a container, in the daemon's order. */
function figuresOf({ config, state }: Container, nowMs: number): Record<string, number> {
  const limit = sizeToBytes(config.resources?.memory ?? "") ?? MEMORY_TOTAL;
  const total = Math.min(limit, MEMORY_TOTAL);
  const used = Math.min(MEMORY_USED, total);
  const startedMs = Date.parse(state.startedAt);
  const seconds = Number.isNaN(startedMs) ? 0 : Math.max(Math.floor((nowMs - startedMs) / 1000), 0);
  return {
    "cpu.utilization": state.status === "Paused" ? 0 : 1.25,
    "memory.total": total,
    "memory.used": used,
    "memory.utilization": (100 * used) / total,
    "io.readBytes": 4096 + 16 * seconds,
    "io.writeBytes": 8192 + 32 * seconds,
    "net.readBytes": 1024 * seconds,
    "net.writeBytes": 2048 * seconds,
    pids: 1,
  };
}

export class Metrics {
  readonly #options: MetricsOptions;
  #filters: Filter[] = [];
  #timer: Timer | undefined;

  constructor(options: MetricsOptions) {
    this.#options = options;
  }

  stop(): void {
    this.#options.clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  async handle(operation: string, value: unknown): Promise<undefined> {
    if (operation !== "request") {
      throw subjectNotFound(text.unsupportedOperation(operation));
    }
    // Keys are decoded in order, and the first error counts: `filter` comes before `frequency`.
    const { filter: filters = [] } = decode<{ filter?: Filter[] }>(requestType, value) ?? {};
    const frequencyMs = parseFrequency(fieldOf(value, "frequency"));
    this.stop();
    if (frequencyMs > 0) {
      this.#filters = filters;
      this.#schedule(Math.max(1000, frequencyMs));
    }
  }

  #schedule(frequencyMs: number): void {
    this.#timer = this.#options.clock.setTimeout(() => {
      this.#schedule(frequencyMs);
      void this.#report();
    }, frequencyMs);
  }

  async #report(): Promise<void> {
    const { list, publish, thing, clock } = this.#options;
    const snapshot = list()
      .filter(isActive)
      .map((container) => {
        const originator = containerFeature(container.id);
        const measurements = Object.entries(figuresOf(container, clock.now()))
          .filter(([figure]) => this.#wanted(figure, originator))
          .map(([figure, amount]) => ({ id: figure, value: amount }));
        return { originator, measurements };
      })
      .filter(({ measurements }) => measurements.length > 0);
    if (snapshot.length > 0) {
      // Seconds, although the documentation of the daemon speaks of milliseconds.
      await publish(
        outboxMessage(thing, features.metrics, "data", { snapshot, timestamp: Math.floor(clock.now() / 1000) }),
      );
    }
  }

  #wanted(figure: string, from: string): boolean {
    const relevant = this.#filters.filter(({ originator = "" }) => originator === "" || originator === from);
    const matches = ({ id = [] }: Filter): boolean =>
      id.length === 0 || id.some((pattern) => figure.startsWith(pattern.replace(/^\*+|\*+$/g, "")));
    return this.#filters.length === 0 || relevant.some(matches);
  }
}

const UNIT_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** The value of a key, in whatever case it is written. */
function fieldOf(value: unknown, name: string): unknown {
  const entries = isObject(value) ? Object.entries(value) : [];
  return entries.find(([key]) => key.toLowerCase() === name)?.[1];
}

/** Go's time.ParseDuration for texts; a bare number is whole seconds, so 0.5 is none; absent is 0, but null is an error. */
function parseFrequency(value: unknown): number {
  if (value === undefined) {
    return 0;
  }
  if (typeof value === "number") {
    return Math.trunc(value) * 1000;
  }
  if (typeof value !== "string") {
    throw parameterInvalid(`invalid duration: ${value === null ? "<nil>" : goText(value)}`);
  }
  const sign = value.startsWith("-") ? -1 : 1;
  const unsigned = value.replace(/^[+-]/, "");
  if (unsigned === "0") {
    return 0;
  }
  if (!/^(\d+(\.\d*)?(ns|us|µs|ms|s|m|h))+$/.test(unsigned)) {
    throw parameterInvalid(`time: invalid duration "${value}"`);
  }
  let total = 0;
  for (const [, number = "0", unit = "s"] of unsigned.matchAll(/(\d+(?:\.\d*)?)(ns|us|µs|ms|s|m|h)/g)) {
    total += Number(number) * (UNIT_MS[unit] ?? 0);
  }
  return sign * total;
}

/** A value as Go's %v prints it. */
function goText(value: unknown): string {
  if (Array.isArray(value)) {
    return `[${value.map(goText).join(" ")}]`;
  }
  if (isObject(value)) {
    const keys = Object.keys(value).toSorted();
    return `map[${keys.map((key) => `${key}:${goText(value[key])}`).join(" ")}]`;
  }
  return value === null ? "<nil>" : JSON.stringify(value).replace(/^"(.*)"$/, "$1");
}
