/**
 * In-place changes, all at once: the memory limit of every EdgeContainer is changed by PATCHes with the operator's concurrency, each change
 * becomes one command on the wire, and each object is Ready at its new generation in the end. Enough devices that one command at a time on
 * each does not limit it. The yardstick does the same two PATCHes per object (spec, then the status that came out) and nothing else.
 */
import type { EdgeContainer } from "../../src/crds/edge-container.ts";
import { statusPatch } from "../../src/controller/status-writer.ts";
import { barePatches, jsonPatchOf, mergePatch } from "./bare.ts";
import type { BarePatch } from "./bare-patches.ts";
import type { BenchmarkContext } from "./benchmark.ts";
import { median, type BenchmarkResult } from "./figures.ts";
import { containerName, Rig } from "./rig.ts";
import { inParallel } from "./waiting.ts";
import { ContainerWatch, isReady } from "./watch.ts";

const CONCURRENCY = 16;
const DEVICES = 20;

export async function benchUpdates(context: BenchmarkContext): Promise<BenchmarkResult> {
  const containers = context.quick ? 100 : 400;
  const rounds = context.quick ? 2 : 6;
  await using rig = await Rig.start({ devices: DEVICES, log: context.log, profileDir: context.profileDir });
  const operator = await rig.operator();
  await using watch = await ContainerWatch.open(rig);
  const names = Array.from({ length: containers }, (_, number) => containerName(number));
  context.log(`updates: creating ${containers} containers on ${DEVICES} simulated devices`);
  await rig.createContainers(0, containers);
  await watch.all(names, isReady, "containers to be Ready");

  const limits = ["96Mi", "128Mi"] as const;
  const change = async (memory: string): Promise<number> => {
    const startedMs = performance.now();
    await inParallel(names, CONCURRENCY, (name) =>
      rig.patch("edgecontainers", name, { spec: { resources: { limits: { memory } } } }),
    );
    const applied = (object: EdgeContainer) =>
      object.spec.resources?.limits?.memory === memory &&
      object.status?.applied?.generation === object.metadata.generation &&
      isReady(object);
    await watch.all(names, applied, `memory limit ${memory} to be applied`);
    return containers / ((performance.now() - startedMs) / 1000);
  };

  context.log(`updates: ${rounds} rounds of the operator, then of bare PATCHes`);
  await change(limits[0]);
  const low = new Map(watch.objects);
  await change(limits[1]);
  const high = new Map(watch.objects);
  await change(limits[0]);
  const pair = (name: string, memory: string, before?: EdgeContainer, after?: EdgeContainer): BarePatch[] => {
    const steps = statusPatch(before?.status, after?.status ?? {});
    if (before === undefined || steps === undefined) throw new Error("no change to replay");
    const path = rig.path("edgecontainers", name);
    return [
      mergePatch(path, { spec: { resources: { limits: { memory } } } }),
      jsonPatchOf(`${path}/status`, [{ op: "test", path: "/metadata/uid", value: before.metadata.uid }, ...steps]),
    ];
  };
  const replay = [
    names.map((name) => pair(name, limits[1], low.get(name), high.get(name))),
    names.map((name) => pair(name, limits[0], high.get(name), watch.objects.get(name))),
  ];

  rig.clearMessages();
  const meter = rig.processorMeter({ operator: operator.pid });
  meter.start();
  const rates: number[] = [];
  for (let round = 0; round < rounds; round++) rates.push(await change(limits[(round + 1) % 2] ?? limits[0]));
  const cores = meter.stop();
  const commands = [...rig.commandArrivals.keys()].filter((topic) => topic.endsWith("/update")).length;
  await operator.stop();
  const plan = Array.from({ length: rounds }, (_, round) => replay[round % 2] ?? []);
  const bareRates = (await barePatches(rig, CONCURRENCY, plan)).map(({ jobs, seconds }) => jobs / seconds);

  const [rate, limit] = [median(rates), median(bareRates)];
  const against = `bare spec PATCH + status PATCH ${Math.round(limit)}/s (concurrency ${CONCURRENCY}; medians of ${rounds} rounds of ${containers} on ${DEVICES} devices)`;
  return {
    figures: [
      {
        benchmark: "updates",
        name: "in-place changes carried out, share of the bare loop",
        value: (rate / limit) * 100,
        unit: "%",
        against,
      },
      { benchmark: "updates", name: "in-place changes carried out", value: rate, unit: "/s", against },
    ],
    details: { rates, bareRates, cores, updateCommandsPerChange: commands / (containers * rounds) },
  };
}
