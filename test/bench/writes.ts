/**
 * What one change costs the API server: writes of the operator, counted at a proxy before the API server, one change at a time with quiet
 * around it. Counted are writes to the EdgeContainer itself; events and the writes to its EdgeDevice and EdgeBackend stand in the
 * details, and the lease is left out.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { startHttpFaultProxy, type HttpFaultProxy, type SeenRequest } from "../faults/http-proxy.ts";
import type { EdgeContainer } from "../../src/crds/edge-container.ts";
import type { BenchmarkContext } from "./benchmark.ts";
import type { BenchmarkResult, Figure } from "./figures.ts";
import { Rig } from "./rig.ts";
import { until } from "./waiting.ts";
import { ContainerWatch, isReady } from "./watch.ts";

/** Longer than the operator's --status-interval: what was coalesced has been written when nothing came for so long. */
const QUIET_MS = 7000;

interface Change {
  readonly name: string;
  readonly maxWrites: number;
  readonly make: () => Promise<unknown>;
  readonly done: (object: EdgeContainer | undefined) => boolean;
}

export async function benchWrites(context: BenchmarkContext): Promise<BenchmarkResult> {
  await using rig = await Rig.start({ devices: 1, log: context.log, profileDir: context.profileDir });
  const proxy = await openProxy(rig);
  try {
    const kubeconfig = join(rig.controlPlane.dir, "through-proxy.kubeconfig");
    const token = readFileSync(rig.tokenFile, "utf8").trim();
    writeFileSync(kubeconfig, proxy.kubeconfig({ token }), { mode: 0o600 });
    const operator = await rig.operator({ kubeconfig });
    await using watch = await ContainerWatch.open(rig);
    const figures: Figure[] = [];
    const details: Record<string, unknown> = {};
    await quiet(proxy);
    for (const change of changesOf(rig)) {
      const before = writes(proxy).length;
      rig.clearMessages();
      await change.make();
      await until(
        () => Promise.resolve(change.done(watch.objects.get("c"))),
        () => `${change.name}; last seen ${JSON.stringify(watch.objects.get("c")?.status)}`,
      );
      await quiet(proxy);
      const made = writes(proxy).slice(before);
      const own = made.filter(({ path }) => path.includes("/edgecontainers/c"));
      const commands = [...rig.commandArrivals.keys()].map((topic) => topic.slice(topic.lastIndexOf("/") + 1));
      figures.push({
        benchmark: "writes",
        name: change.name,
        value: own.length,
        unit: "writes",
        budget: { max: change.maxWrites },
        against: `commands to the device: ${commands.join(", ")}`,
      });
      details[change.name] = made.map(describe);
      context.log(`writes: ${change.name}: ${own.length}`);
    }
    await operator.stop();
    return { figures, details };
  } finally {
    await proxy.close();
  }
}

/**
 * The budgets: first create 3 (finalizer, journal, result), other journalled changes 2 (journal, result), in place 1 (the result), delete 2,
 * and one more for each further change that the device shows on the way: a replacing container that exists but does not run yet, a process
 * that was stopped before its container is removed.
 */
function changesOf(rig: Rig): Change[] {
  const patch = (spec: object) => () => rig.patch("edgecontainers", "c", { spec });
  const ready = (object: EdgeContainer | undefined) => object !== undefined && isReady(object) && isApplied(object);
  const gone = (object: EdgeContainer | undefined) => object === undefined;
  const create = (spec: object) => () => rig.createContainer("c", rig.containerSpec(0, spec));
  const remove = () => rig.admin.delete(rig.path("edgecontainers", "c"));
  return [
    { name: "create of a device's first container", maxWrites: 3, make: create({}), done: ready },
    { name: "in-place change (memory limit)", maxWrites: 1, make: patch(memory("96Mi")), done: ready },
    { name: "stop (desiredState Stopped)", maxWrites: 1, make: patch({ desiredState: "Stopped" }), done: ready },
    { name: "start (desiredState Running)", maxWrites: 1, make: patch({ desiredState: "Running" }), done: ready },
    { name: "recreate (image)", maxWrites: 3, make: patch({ image: "registry.example/team/sleeper:2" }), done: ready },
    { name: "delete of a running container", maxWrites: 3, make: remove, done: gone },
    { name: "create", maxWrites: 3, make: create({}), done: ready },
    { name: "delete of a running container, again", maxWrites: 3, make: remove, done: gone },
    {
      name: "create, minReadySeconds 10 (the default)",
      maxWrites: 3,
      make: create({ updateStrategy: {} }),
      done: ready,
    },
  ];
}

function memory(limit: string): object {
  return { resources: { limits: { memory: limit } } };
}

function isApplied({ metadata, status }: EdgeContainer): boolean {
  return status?.applied?.generation === metadata.generation && status?.operation === undefined;
}

async function openProxy(rig: Rig): Promise<HttpFaultProxy> {
  const { server, ca } = rig.controlPlane;
  return startHttpFaultProxy({ upstream: server, ca });
}

/** Everything that writes, but the lease. */
function writes(proxy: HttpFaultProxy): SeenRequest[] {
  return proxy.requests().filter(({ method, path }) => method !== "GET" && !path.includes("/leases"));
}

async function quiet(proxy: HttpFaultProxy): Promise<void> {
  for (let count = -1; count !== writes(proxy).length; await delay(QUIET_MS)) count = writes(proxy).length;
}

/** "PATCH edgecontainers/c/status: /status/phase, ..." */
function describe({ method, path, body, status }: SeenRequest): string {
  const short = (path.split("?")[0] ?? "").replace(/^.*\/namespaces\/[^/]+\//, "");
  return `${method} ${short} ${status ?? "-"}${fieldsOf(body)}`;
}

function fieldsOf(body: string): string {
  const content: unknown = body === "" ? undefined : JSON.parse(body);
  if (!Array.isArray(content)) {
    const reason = (content as { reason?: string } | undefined)?.reason;
    return reason === undefined ? "" : ` ${reason}`;
  }
  const paths = (content as { op: string; path: string }[]).filter(({ op }) => op !== "test").map(({ path }) => path);
  return `: ${paths.join(" ")}`;
}
