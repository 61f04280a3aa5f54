/**
 * Status-changing reconciles per second. Suspending the EdgeDevices changes the condition Suspended of every EdgeContainer on them: N
 * passes with one status PATCH each, caused by a handful of requests, and no command to any device. The yardstick replays the very same
 * PATCHes from a process that does nothing else, with the same client, credentials and concurrency, on the same API server, while no
 * operator runs; the watch of this process is open in both.
 */
import type { EdgeContainer } from "../../src/crds/edge-container.ts";
import { statusPatch } from "../../src/controller/status-writer.ts";
import { conditionOf } from "../support/world.ts";
import { barePatches, jsonPatchOf } from "./bare.ts";
import type { BarePatch } from "./bare-patches.ts";
import type { BenchmarkContext } from "./benchmark.ts";
import { median, type BenchmarkResult } from "./figures.ts";
import type { Operator } from "./operator.ts";
import { containerName, Rig } from "./rig.ts";
import { isReady, ContainerWatch } from "./watch.ts";

/** The operator's default --concurrency. */
const CONCURRENCY = 16;
const DEVICES = 10;

export async function benchReconciles(context: BenchmarkContext): Promise<BenchmarkResult> {
  const containers = context.quick ? 200 : 1000;
  const rounds = context.quick ? 4 : 6;
  await using rig = await Rig.start({ devices: DEVICES, log: context.log, profileDir: context.profileDir });
  const operator = await rig.operator();
  await using watch = await ContainerWatch.open(rig);
  const names = Array.from({ length: containers }, (_, number) => containerName(number));

  context.log(`reconciles: creating ${containers} containers on ${DEVICES} simulated devices`);
  const createdMs = performance.now();
  await rig.createContainers(0, containers);
  await watch.all(names, isReady, "containers to be Ready");
  const createSeconds = (performance.now() - createdMs) / 1000;

  const toggle = async (suspend: boolean): Promise<number> => {
    const startedMs = performance.now();
    const done = watch.all(names, (object) => isSuspended(object) === suspend, `Suspended to be ${suspend}`);
    const devices = Array.from({ length: DEVICES }, (_, index) => `device-${index + 1}`);
    await Promise.all([
      done,
      ...devices.map((name) => rig.patch("edgedevices", name, { spec: { suspend: suspend ? true : null } })),
    ]);
    return containers / ((performance.now() - startedMs) / 1000);
  };
  const measure = async (measured: Operator): Promise<{ rates: number[]; cores: Record<string, number> }> => {
    const meter = rig.processorMeter({ operator: measured.pid });
    meter.start();
    const rates: number[] = [];
    for (let round = 0; round < rounds; round++) rates.push(await toggle(round % 2 === 0));
    return { rates, cores: meter.stop() };
  };

  context.log("reconciles: recording one change of every status and its reverse");
  const resumed = new Map(watch.objects);
  await toggle(true);
  const suspended = new Map(watch.objects);
  await toggle(false);
  const replay = [
    names.map((name) => [replayOf(rig, resumed.get(name), suspended.get(name))]),
    names.map((name) => [replayOf(rig, suspended.get(name), watch.objects.get(name))]),
  ];
  const bare = async () => {
    const plan = Array.from({ length: rounds }, (_, round) => replay[round % 2] ?? []);
    return (await barePatches(rig, CONCURRENCY, plan)).map(({ patches, seconds }) => patches / seconds);
  };

  context.log(`reconciles: ${rounds} rounds of the operator, then of bare PATCHes, then both again`);
  const first = await measure(operator);
  const resident = operator.residentMb;
  await operator.stop();
  const bareRates = await bare();
  const again = await rig.operator();
  // It has found all as it was once a change goes through; this round is not counted.
  await toggle(true);
  await toggle(false);
  const second = await measure(again);
  await again.stop();
  bareRates.push(...(await bare()));

  const rates = [...first.rates, ...second.rates];
  const [rate, limit] = [median(rates), median(bareRates)];
  const against = `bare PATCH loop ${Math.round(limit)}/s (concurrency ${CONCURRENCY}; medians of ${rates.length} rounds of ${containers})`;
  return {
    figures: [
      {
        benchmark: "reconciles",
        name: "status-changing reconciles, share of the bare loop",
        value: (rate / limit) * 100,
        unit: "%",
        budget: { min: 80 },
        against,
      },
      { benchmark: "reconciles", name: "status-changing reconciles", value: rate, unit: "/s", against },
      {
        benchmark: "reconciles",
        name: "containers from created to Ready",
        value: containers / createSeconds,
        unit: "/s",
        against: `nothing: ${containers} objects over ${DEVICES} devices, one command at a time on each`,
      },
    ],
    details: {
      rates,
      bareRates,
      watchInterruptions: watch.interruptions,
      cores: [first.cores, second.cores],
      residentMbWithRunningContainers: resident,
    },
  };
}

function isSuspended(object: EdgeContainer): boolean {
  return conditionOf(object, "Suspended") !== undefined;
}

/** The PATCH by which the operator's status writer makes this change. */
function replayOf(rig: Rig, before: EdgeContainer | undefined, after: EdgeContainer | undefined): BarePatch {
  const steps = statusPatch(before?.status, after?.status ?? {});
  if (before === undefined || steps === undefined) throw new Error("no change to replay");
  const { name, uid } = before.metadata;
  return jsonPatchOf(`${rig.path("edgecontainers", name)}/status`, [
    { op: "test", path: "/metadata/uid", value: uid },
    ...steps,
  ]);
}
