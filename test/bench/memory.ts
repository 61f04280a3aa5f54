/**
 * Resident memory of the shipped bundle with in-cluster credentials: empty, and with 1 000 and 10 000 EdgeContainers that are in its caches
 * and through its loop. They are suspended, on connected devices, so that each is resolved, planned and has its full status, and none needs
 * a device's time. Measured after a settled time without any change; beside it bare Node, and the same bundle with a kubeconfig, which
 * loads @kubernetes/client-node.
 */
import { setTimeout as delay } from "node:timers/promises";
import process from "node:process";
import type { BenchmarkContext } from "./benchmark.ts";
import type { BenchmarkResult, Figure } from "./figures.ts";
import { residentMb } from "./machine.ts";
import type { Operator } from "./operator.ts";
import { containerName, Rig } from "./rig.ts";
import { ContainerWatch } from "./watch.ts";
import type { EdgeContainer } from "../../src/crds/edge-container.ts";

const DEVICES = 2;
/** What a collection of garbage, and giving pages back, may take. */
const COLLECT_MS = 3000;

export async function benchMemory(context: BenchmarkContext): Promise<BenchmarkResult> {
  const settleMs = context.quick ? 5000 : 60_000;
  const counts = context.quick ? [0, 200, 1000] : [0, 1000, 10_000];
  const budgets = context.quick ? [] : [95, undefined, 150];
  await using rig = await Rig.start({ devices: DEVICES, log: context.log, profileDir: context.profileDir });
  await using watch = await ContainerWatch.open(rig);
  const node = rig.controlPlane.program({
    name: "node",
    binary: process.execPath,
    args: ["-e", "setInterval(() => undefined, 1000)"],
    ready: () => Promise.resolve(true),
  });
  await node.start();
  const withKubeconfig = await rig.operator({ name: "with-kubeconfig", kubeconfig: rig.controlPlane.kubeconfig });
  const operator = await rig.operator();

  const figures: Figure[] = [];
  const heaps: Record<string, unknown> = {};
  const rest = async (what: string): Promise<void> => {
    context.log(`memory: ${what}, settling for ${settleMs / 1000} s`);
    await delay(settleMs);
  };
  let present = 0;
  let bareNode = 0;
  for (const [index, count] of counts.entries()) {
    if (count > present) {
      context.log(`memory: creating EdgeContainers ${present} to ${count}`);
      await rig.createContainers(present, count, { suspend: true });
      const names = Array.from({ length: count - present }, (_, offset) => containerName(present + offset));
      await watch.all(names, hasStatus, "EdgeContainers to have their status");
      present = count;
    }
    await rest(`${count} EdgeContainers`);
    if (index === 0) {
      bareNode = residentMb(node.pid ?? 0);
      await node.stop();
    }
    const size = await measure(operator);
    heaps[`${count} EdgeContainers`] = size.heap;
    const max = budgets[index];
    figures.push({
      benchmark: "memory",
      name: `resident with ${count} EdgeContainers`,
      value: size.resident,
      unit: "MB",
      ...(max !== undefined && { budget: { max } }),
      against: `bare Node ${bareNode.toFixed(0)} MB; after a forced garbage collection ${size.collected.toFixed(0)} MB`,
    });
    if (index === 0) {
      const loaded = await measure(withKubeconfig);
      await withKubeconfig.stop();
      figures.push({
        benchmark: "memory",
        name: `resident with 0 EdgeContainers and a kubeconfig`,
        value: loaded.resident,
        unit: "MB",
        against: `in-cluster credentials ${size.resident.toFixed(0)} MB; the rest is what the kubeconfig loader costs`,
      });
    }
  }
  await operator.stop();
  const restarted = await rig.operator();
  await rest(`${present} EdgeContainers after a restart`);
  const size = await measure(restarted);
  heaps[`${present} EdgeContainers, restarted`] = size.heap;
  figures.push({
    benchmark: "memory",
    name: `resident with ${present} EdgeContainers, restarted`,
    value: size.resident,
    unit: "MB",
    against: `bare Node ${bareNode.toFixed(0)} MB; after a forced garbage collection ${size.collected.toFixed(0)} MB`,
  });
  const objectBytes = JSON.stringify(watch.objects.get(containerName(0)) ?? {}).length;
  return { figures, details: { objectBytes, heapMbAfterCollection: heaps, settleSeconds: settleMs / 1000 } };
}

function hasStatus(object: EdgeContainer): boolean {
  return object.status?.observedGeneration === object.metadata.generation;
}

/** As it is, and after a forced collection of garbage. */
async function measure(operator: Operator): Promise<{ resident: number; collected: number; heap: object }> {
  const resident = operator.residentMb;
  operator.collectGarbage();
  await delay(COLLECT_MS);
  return { resident, collected: operator.residentMb, heap: await operator.heapMb() };
}
