/**
 * From apply to the command on the vendor's wire, for in-place changes at a steady rate. Each change sets a memory limit that occurs only
 * once, so that its watch event and its command can be told from all others. All times are of this process: when the PATCH left, when it
 * was answered, when a bare watcher (undici, a line reader and a pattern) saw the event, when the broker had the command. The difference
 * between the last two is what the operator adds.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { BenchmarkContext } from "./benchmark.ts";
import { percentile, type BenchmarkResult, type Figure } from "./figures.ts";
import { containerName, Rig } from "./rig.ts";
import { until } from "./waiting.ts";
import { ContainerWatch, isReady } from "./watch.ts";

const DEVICES = 20;
const CONTAINERS = 200;
/** The first seconds of a rate warm up code paths and connections and are not counted. */
const WARM_UP_SECONDS = 3;

interface Change {
  sentMs: number;
  answeredMs?: number;
  seenMs?: number;
  commandMs?: number;
}

export async function benchLatency(context: BenchmarkContext): Promise<BenchmarkResult> {
  const seconds = context.quick ? 5 : 30;
  await using rig = await Rig.start({ devices: DEVICES, log: context.log, profileDir: context.profileDir });
  const operator = await rig.operator();
  await using watch = await ContainerWatch.open(rig);
  context.log(`latency: creating ${CONTAINERS} containers on ${DEVICES} simulated devices`);
  await rig.createContainers(0, CONTAINERS);
  const names = Array.from({ length: CONTAINERS }, (_, number) => containerName(number));
  await watch.all(names, isReady, "containers to be Ready");

  const changes = new Map<number, Change>();
  watch.onEvent = (object) => {
    const change = changes.get(kibibytes(String(object.spec.resources?.limits?.memory)));
    if (change !== undefined) change.seenMs ??= performance.now();
  };
  const figures: Figure[] = [];
  const details: Record<string, unknown> = {};
  let limit = 65_536;
  for (const rate of [20, 100]) {
    context.log(`latency: ${rate} changes per second for ${WARM_UP_SECONDS} + ${seconds} s`);
    rig.clearMessages();
    const measured: Change[] = [];
    const meter = rig.processorMeter({ operator: operator.pid });
    const total = rate * (WARM_UP_SECONDS + seconds);
    const underWay: Promise<void>[] = [];
    const startedMs = performance.now();
    for (let number = 0; number < total; number++) {
      const aheadMs = startedMs + (number * 1000) / rate - performance.now();
      if (aheadMs > 0) await delay(aheadMs);
      if (number === rate * WARM_UP_SECONDS) meter.start();
      const change: Change = { sentMs: performance.now() };
      changes.set(++limit, change);
      if (number >= rate * WARM_UP_SECONDS) measured.push(change);
      underWay.push(send(rig, containerName(number % CONTAINERS), limit, change));
    }
    const achieved = (total - 1) / ((performance.now() - startedMs) / 1000);
    const cores = meter.stop();
    await Promise.all(underWay);
    const from = limit - total;
    await until(
      () => {
        readCommands(rig, changes);
        return Promise.resolve(measured.every((change) => change.commandMs !== undefined || isOvertaken(change)));
      },
      () => `${measured.filter((change) => change.commandMs === undefined).length} commands`,
    ).catch((error: unknown) => context.log(`latency: ${String(error)}`));
    await watch.all(names, isReady, "containers to be Ready again");
    const { rows, result } = summary(rate, measured);
    figures.push(...rows);
    details[`at ${rate}/s`] = { ...result, achievedPerSecond: achieved, cores };
    for (let value = from; value <= limit; value++) changes.delete(value);
  }
  return { figures, details: { ...details, watchInterruptions: watch.interruptions } };
}

async function send(rig: Rig, name: string, limit: number, change: Change): Promise<void> {
  const body = { spec: { resources: { limits: { memory: `${limit}Ki` } } } };
  try {
    const { status } = await rig.load.patch(rig.path("edgecontainers", name), body);
    if (status === 200) change.answeredMs = performance.now();
  } catch {
    // As any other answer: the API server is overloaded at this rate. The figure says how many changes it stands on.
  }
}

/** A change whose object changed again before its command was sent never becomes a command; the newest one does. */
const OVERTAKEN_AFTER_MS = 30_000;

function isOvertaken(change: Change): boolean {
  return performance.now() - change.sentMs > OVERTAKEN_AFTER_MS;
}

function summary(rate: number, measured: readonly Change[]): { rows: Figure[]; result: Record<string, unknown> } {
  const complete = measured.filter((change): change is Required<Change> => {
    const { answeredMs, seenMs, commandMs } = change;
    return answeredMs !== undefined && seenMs !== undefined && commandMs !== undefined;
  });
  const refused = measured.filter(({ answeredMs }) => answeredMs === undefined).length;
  const spread = (of: (change: Required<Change>) => number) => {
    const values = complete.map(of);
    return { p50: percentile(values, 0.5), p99: percentile(values, 0.99), max: Math.max(...values) };
  };
  const patch = spread((change) => change.answeredMs - change.sentMs);
  const watcher = spread((change) => change.seenMs - change.sentMs);
  const command = spread((change) => change.commandMs - change.sentMs);
  const added = spread((change) => change.commandMs - change.seenMs);
  const text = (value: number) => value.toFixed(1);
  const row = (share: "p50" | "p99", max: number): Figure => ({
    benchmark: "latency",
    name: `apply to command at ${rate}/s, ${share}, minus the bare watcher's`,
    value: command[share] - watcher[share],
    unit: "ms",
    // The budget is for 100 per second.
    ...(rate === 100 && { budget: { max } }),
    against: `command ${text(command[share])} ms, bare watcher ${text(watcher[share])} ms, PATCH itself ${text(patch[share])} ms; ${complete.length} of ${measured.length} changes`,
  });
  return {
    rows: [row("p50", 5), row("p99", 25)],
    result: {
      patch,
      watcher,
      command,
      addedPerChange: added,
      counted: complete.length,
      sent: measured.length,
      refused,
    },
  };
}

/** Notes when the command of each change arrived. */
function readCommands(rig: Rig, changes: ReadonlyMap<number, Change>): void {
  for (const { messages } of rig.brokers) {
    for (const { topic, payload } of messages) {
      if (!topic.endsWith("/update")) continue;
      const { value } = JSON.parse(payload.toString("utf8")) as { value?: { resources?: { memory?: string } } };
      const change = changes.get(kibibytes(value?.resources?.memory ?? ""));
      const arrivedMs = rig.commandArrivals.get(topic);
      if (change !== undefined && arrivedMs !== undefined) change.commandMs ??= arrivedMs;
    }
  }
}

/** "65537Ki" of a spec and "65537K", "64M" of the wire, in KiB; NaN for anything else. */
function kibibytes(size: string): number {
  const [, digits = "", unit = ""] = /^(\d+)([KMG])i?$/.exec(size) ?? [];
  return Number(digits === "" ? Number.NaN : digits) * ({ K: 1, M: 1024, G: 1024 ** 2 }[unit] ?? Number.NaN);
}
