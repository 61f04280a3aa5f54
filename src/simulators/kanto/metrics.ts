// The Metrics feature: a request starts, changes or ends a periodic report on the containers that have a process. The figures are made up but
// plausible; one request replaces the former and none survives a new registration. Source: containerm/things/features_metrics.go,
// datatypes_container_metrics.go.

import type { Clock, Timer } from "../clock.ts";
import { parameterInvalid, subjectNotFound, text } from "./errors.ts";
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

const MEMORY_TOTAL = 8 * 1024 ** 3;
const MEMORY_USED = 24 * 1024 ** 2;
const FIGURES: Readonly<Record<string, number>> = {
  "cpu.utilization": 1.25,
  "memory.total": MEMORY_TOTAL,
  "memory.used": MEMORY_USED,
  "memory.utilization": (100 * MEMORY_USED) / MEMORY_TOTAL,
  "io.readBytes": 4096,
  "io.writeBytes": 8192,
  "net.readBytes": 1024,
  "net.writeBytes": 2048,
  pids: 1,
};

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
    const request = isObject(value) ? value : {};
    const frequencyMs = parseFrequency(request["frequency"]);
    const filters = decode<Filter[]>(filterType, request["filter"]) ?? [];
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
      .map(({ id }) => {
        const originator = containerFeature(id);
        const measurements = Object.entries(FIGURES)
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

/** Go's time.ParseDuration for texts; a bare number is whole seconds; absent is 0. */
function parseFrequency(value: unknown): number {
  if (value === undefined || value === null) {
    return 0;
  }
  if (typeof value === "number") {
    return Math.trunc(value) * 1000;
  }
  if (typeof value !== "string") {
    throw parameterInvalid(`invalid duration: ${JSON.stringify(value)}`);
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
