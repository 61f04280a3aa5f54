/**
 * What containers use, as a device reports it through the Metrics feature: read from untrusted bytes, within strict bounds.
 *
 * A report is a message `data` of the feature with one entry per container that runs or is paused; container-management sends none while
 * there is no such container (containerm/things/features_metrics.go). Units as in containerm/util/util_metrics.go and
 * containerm/ctr/ctrd_metrics_util.go: utilizations in percent of the whole machine, sizes in bytes, io and net counted since the
 * container's start. The used memory is a difference of two unsigned numbers there and wraps round now and then: such a value is beyond
 * what a number holds exactly, and is dropped like any other that cannot be.
 */
import type { ContainerUsage } from "../contract.ts";
import { isObject, numberAt, textAt, type JsonObject } from "../guards.ts";
import { CONTAINER_PREFIX } from "./envelope.ts";

/** Containers of one report that are read; more than any device has. */
const MOST_CONTAINERS = 500;
/** Figures of one container that are read; the daemon knows nine. */
const MOST_FIGURES = 32;
const PERCENT = 100;

/** Why something of a report was not taken; label values of drayage_backend_malformed_total. */
export type UsageProblem = "Usage" | "UsageFigure" | "UsageUnknownFigure" | "UsageUnknownContainer" | "UsageTooLarge";

export interface UsageHost {
  /** Whether the device is known to have this container. */
  knows(externalId: string): boolean;
  /** Counts something that was dropped. */
  dropped(problem: UsageProblem): void;
}

/** A figure of the daemon: where it goes, what it is divided by and how large it may be before that. */
interface Figure {
  readonly field: keyof ContainerUsage;
  readonly per: number;
  readonly most: number;
}

const bytes = (field: keyof ContainerUsage): Figure => ({ field, per: 1, most: Number.MAX_SAFE_INTEGER });

const FIGURES: ReadonlyMap<string, Figure> = new Map([
  // Some versions do not cap it: of one core of many it may then be more than a hundred.
  ["cpu.utilization", { field: "cpuRatio", per: PERCENT, most: 1024 * PERCENT }],
  ["memory.used", bytes("memoryUsedBytes")],
  ["memory.total", bytes("memoryLimitBytes")],
  ["io.readBytes", bytes("ioReadBytes")],
  ["io.writeBytes", bytes("ioWrittenBytes")],
  ["net.readBytes", bytes("networkReceivedBytes")],
  ["net.writeBytes", bytes("networkTransmittedBytes")],
  ["pids", { field: "pids", per: 1, most: 2 ** 22 }],
]);

/** Follows from used and total. */
const REDUNDANT = "memory.utilization";

/**
 * Reads the value of a report.
 *
 * @returns by external id; undefined if it is no report at all.
 */
export function readUsage(value: unknown, host: UsageHost): Map<string, ContainerUsage> | undefined {
  const entries = isObject(value) ? value["snapshot"] : undefined;
  if (!Array.isArray(entries)) {
    host.dropped("Usage");
    return undefined;
  }
  if (entries.length > MOST_CONTAINERS) host.dropped("UsageTooLarge");
  const report = new Map<string, ContainerUsage>();
  for (const entry of entries.slice(0, MOST_CONTAINERS)) {
    const originator = isObject(entry) ? textAt(entry, "originator") : undefined;
    const figures: unknown = isObject(entry) ? entry["measurements"] : undefined;
    if (originator?.startsWith(CONTAINER_PREFIX) !== true || !Array.isArray(figures)) {
      host.dropped("Usage");
      continue;
    }
    const externalId = originator.slice(CONTAINER_PREFIX.length);
    // Also one that has just been removed, or that is about to be announced.
    if (!host.knows(externalId)) host.dropped("UsageUnknownContainer");
    else report.set(externalId, readFigures(figures, host));
  }
  return report;
}

function readFigures(figures: readonly unknown[], host: UsageHost): ContainerUsage {
  const usage: { -readonly [field in keyof ContainerUsage]: number } = {};
  if (figures.length > MOST_FIGURES) host.dropped("UsageTooLarge");
  for (const each of figures.slice(0, MOST_FIGURES)) {
    if (!isObject(each)) {
      host.dropped("UsageFigure");
      continue;
    }
    const id = textAt(each, "id") ?? "";
    if (id === REDUNDANT) continue;
    const figure = FIGURES.get(id);
    if (figure === undefined) {
      host.dropped("UsageUnknownFigure");
      continue;
    }
    const amount = within(each, figure.most);
    if (amount === undefined) host.dropped("UsageFigure");
    else usage[figure.field] = amount / figure.per;
  }
  return usage;
}

/** The value, if it is a finite number from 0 to `most`. */
function within(figure: JsonObject, most: number): number | undefined {
  const amount = numberAt(figure, "value");
  return amount === undefined || amount < 0 || amount > most ? undefined : amount;
}
