/**
 * One broker connection with thousands of devices: memory of the operator per device, how long it takes from its start until all are
 * connected and their inventories complete, what that costs the API server and the broker, and what a fleet at rest costs. Devices are full
 * simulators (fleet-devices.ts), each with one container of somebody else's.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { BenchmarkContext } from "./benchmark.ts";
import type { BenchmarkResult, Figure } from "./figures.ts";
import { FleetRig } from "./fleet-rig.ts";
import type { Operator } from "./operator.ts";
import { guarded } from "./waiting.ts";

/** The default observeIntervalSeconds of Kanto: each silent device is probed once in it. */
const OBSERVE_MS = 300_000;
const COLLECT_MS = 3_000;
const LOOK_MS = 500;

interface Sizes {
  readonly resident: number;
  readonly collected: number;
}

export async function benchFleet(context: BenchmarkContext): Promise<BenchmarkResult> {
  const [some, all] = context.quick ? [100, 500] : [1_000, 5_000];
  const settleMs = context.quick ? 3_000 : 30_000;
  const restMs = context.quick ? 10_000 : OBSERVE_MS;
  await using rig = await FleetRig.start({ devices: all, log: context.log, profileDir: context.profileDir });
  const run = new Run(rig, context, settleMs);

  context.log("fleet: an operator without devices");
  const empty = await run.sized(await rig.operator(), 0, true);

  await rig.addDevices(some);
  const first = await run.started(some, "first start");
  const someSize = await run.sized(first.operator, some, true);

  await rig.addDevices(all);
  const grown = await run.started(all, "first start");
  const allSize = await run.sized(grown.operator, all, false);
  const rest = await run.atRest(grown.operator, restMs);
  await grown.operator.stop();

  const again = await run.started(all, "restart");
  const restarted = await run.sized(again.operator, all, true);

  const perDevice = (size: Sizes, devices: number): string =>
    `${(((size.resident - empty.resident) * 1000) / devices).toFixed(0)} KB per device; after a forced garbage collection ${size.collected.toFixed(0)} MB, ${(((size.collected - empty.collected) * 1000) / devices).toFixed(0)} KB per device`;
  const figure = (name: string, value: number, unit: string, against: string): Figure => ({
    benchmark: "fleet",
    name,
    value,
    unit,
    against,
  });
  const cost = ({ apiRequests, messages, resident }: Started, devices: number): string =>
    `${apiRequests} requests to the API server; ${messages.operator} messages of the operator (${(messages.operator / devices).toFixed(1)} per device) and ${messages.devices} of devices; ${resident.toFixed(0)} MB at its end`;
  const figures: Figure[] = [
    figure(
      "resident with 0 devices",
      empty.resident,
      "MB",
      `after a forced garbage collection ${empty.collected.toFixed(0)} MB`,
    ),
    figure(`resident with ${some} devices`, someSize.resident, "MB", perDevice(someSize, some)),
    figure(`resident with ${all} devices`, allSize.resident, "MB", perDevice(allSize, all)),
    figure(`resident with ${all} devices, restarted`, restarted.resident, "MB", perDevice(restarted, all)),
    figure(
      `first start, ${some} new devices: all connected`,
      first.connectedSeconds,
      "s",
      `all Ready in the API after ${first.readySeconds.toFixed(1)} s; ${cost(first, some)}`,
    ),
    figure(
      `first start, ${all - some} of ${all} devices new: all connected`,
      grown.connectedSeconds,
      "s",
      `all Ready in the API after ${grown.readySeconds.toFixed(1)} s; ${cost(grown, all)}`,
    ),
    figure(`restart with ${all} devices: all connected`, again.connectedSeconds, "s", cost(again, all)),
    figure(
      `at rest with ${all} devices: messages`,
      rest.messages,
      "/min",
      `${rest.operator} of the operator, the rest are the devices' answers; over ${restMs / 1000} s, a probe per device each ${OBSERVE_MS / 1000} s makes ${(all * 60_000) / OBSERVE_MS}`,
    ),
    figure(`at rest with ${all} devices: requests to the API server`, rest.apiRequests, "/min", "the lease is 30"),
  ];
  const details = {
    settleSeconds: settleMs / 1000,
    cores: { first: first.cores, grown: grown.cores, restart: again.cores, rest: rest.cores },
    heapMb: run.heaps,
  };
  return { figures, details };
}

interface Started {
  readonly operator: Operator;
  readonly connectedSeconds: number;
  /** Until all EdgeDevices are Ready in the API, and show the container on them. */
  readonly readySeconds: number;
  readonly apiRequests: number;
  readonly messages: { operator: number; devices: number };
  readonly cores: Record<string, number>;
  readonly resident: number;
}

class Run {
  readonly heaps: Record<string, unknown> = {};
  readonly #rig: FleetRig;
  readonly #context: BenchmarkContext;
  readonly #settleMs: number;

  constructor(rig: FleetRig, context: BenchmarkContext, settleMs: number) {
    this.#rig = rig;
    this.#context = context;
    this.#settleMs = settleMs;
  }

  /** Starts an operator and waits until it is connected to all devices, has their inventories, and all are Ready in the API. */
  async started(devices: number, what: string): Promise<Started> {
    this.#context.log(`fleet: ${what} with ${devices} devices`);
    const before = this.#rig.messages();
    const startedMs = performance.now();
    const operator = await this.#rig.operator();
    const meter = this.#rig.processorMeter({ operator: operator.pid });
    meter.start();
    await this.#reached(
      devices,
      `${devices} devices with a complete inventory`,
      async () => (await standing(operator)).synced,
    );
    const connectedSeconds = (performance.now() - startedMs) / 1000;
    const messages = difference(this.#rig.messages(), before);
    const { apiRequests } = await standing(operator);
    await this.#reached(devices, `${devices} EdgeDevices to be Ready`, () => this.#rig.readyDevices());
    const readySeconds = (performance.now() - startedMs) / 1000;
    const { residentMb: resident } = operator;
    return { operator, connectedSeconds, readySeconds, apiRequests, messages, cores: meter.stop(), resident };
  }

  /** Resident memory after a settled time. */
  async sized(operator: Operator, devices: number, last: boolean): Promise<Sizes> {
    await delay(this.#settleMs);
    const resident = operator.residentMb;
    operator.collectGarbage();
    await delay(COLLECT_MS);
    const collected = operator.residentMb;
    this.heaps[`${devices} devices`] = await operator.heapMb();
    if (last) await operator.stop();
    return { resident, collected };
  }

  /** What goes on while nothing changes, per minute. */
  async atRest(operator: Operator, restMs: number) {
    this.#context.log(`fleet: at rest for ${restMs / 1000} s`);
    const before = { messages: this.#rig.messages(), ...(await standing(operator)) };
    const meter = this.#rig.processorMeter({ operator: operator.pid });
    meter.start();
    await delay(restMs);
    const messages = difference(this.#rig.messages(), before.messages);
    const { apiRequests } = await standing(operator);
    const minutes = restMs / 60_000;
    return {
      messages: (messages.operator + messages.devices) / minutes,
      operator: Math.round(messages.operator / minutes),
      apiRequests: (apiRequests - before.apiRequests) / minutes,
      cores: meter.stop(),
    };
  }

  async #reached(count: number, what: string, present: () => Promise<number>): Promise<void> {
    let seen = 0;
    const done = new AbortController();
    const look = async (): Promise<void> => {
      for (; !done.signal.aborted; await delay(LOOK_MS)) if ((seen = await present()) >= count) return;
    };
    try {
      await guarded(
        look(),
        () => count - seen,
        () => `${what}: ${seen} are`,
      );
    } finally {
      done.abort();
    }
  }
}

/** What the operator says in /metrics: devices whose inventory is complete and that are connected, and requests so far. */
async function standing(operator: Operator): Promise<{ synced: number; apiRequests: number }> {
  const text = await operator.metrics();
  const count = (pattern: RegExp): number => text.match(pattern)?.length ?? 0;
  const requests = Array.from(text.matchAll(/^rest_client_requests_total\{.*\} (\d+)$/gm), ([, value]) =>
    Number(value),
  );
  return {
    // A device has this series once its inventory was complete in a pass.
    synced: Math.min(count(/^drayage_unmanaged_ours\{/gm), count(/^drayage_device_connected\{.*\} 1$/gm)),
    apiRequests: requests.reduce((sum, value) => sum + value, 0),
  };
}

function difference(after: { operator: number; devices: number }, before: { operator: number; devices: number }) {
  return { operator: after.operator - before.operator, devices: after.devices - before.devices };
}
