/**
 * kill -9 of the operator at every write of one change, to the API server and to a vendor with an HTTP API: before each request arrives, and
 * after it took effect but before the operator hears of it. A reference run counts the writes. The faults come from proxies; the operator
 * has no hooks.
 */
import type { HttpFaultProxy } from "../faults/http-proxy.ts";
import type { RequestMatch } from "../faults/http-rules.ts";
import type { ApiProxy } from "../support/api-proxy.ts";
import { conditionOf, type World } from "../support/world.ts";

export interface KillScenario {
  name: string;
  /** The vendor's requests that count as writes of this change. */
  vendorWrites: RequestMatch;
  /** Writes that no run of this change can do without, to both sides together; others come only where something takes long. */
  leastWrites: number;
  /** The API server's requests that count. Default: PATCHes of the EdgeContainer of that name. */
  apiWrites?(name: string): RequestMatch;
  /** Brings the object into the state before; undisturbed. */
  before(name: string): Promise<void>;
  /** What the user does. */
  change(name: string): Promise<void>;
  /** Whether the end is reached. */
  done(name: string): Promise<boolean>;
  /** Throws if the end is not what the undisturbed run ends with. */
  judge(name: string): void;
  /** Makes room for the next run; with an operator at work. */
  release?(name: string): Promise<void>;
}

export interface KillRig {
  world: World;
  api: ApiProxy;
  vendor: HttpFaultProxy;
}

export interface KillCounts {
  /** Writes of the undisturbed run. */
  api: number;
  vendor: number;
  /** Runs in which the operator was killed: twice the writes, but for those that come only sometimes. */
  kills: number;
}

/** Whether the object is Ready as it is wanted now. */
export async function isReady(world: World, name: string): Promise<boolean> {
  const object = await world.getContainer(name);
  const ready = conditionOf(object, "Ready");
  return ready?.status === "True" && ready.observedGeneration === object?.metadata.generation;
}

/** So that a test that is tried again finds no object of the first try. */
let tries = 0;

/** @throws Error that names the write, with what was judged wrong as its cause; and if fewer writes were met than there must be. */
export async function killAtEveryWrite(rig: KillRig, scenario: KillScenario): Promise<KillCounts> {
  const prefix = `${scenario.name}-${++tries}`;
  const counts = await countWrites(rig, scenario, `${prefix}-0`);
  let point = 0;
  let kills = 0;
  for (const kind of ["api", "vendor"] as const)
    for (let k = 0; k < counts[kind]; k++)
      for (const when of ["before", "after"] as const)
        if (await killAt(rig, scenario, `${prefix}-${++point}`, kind, k, when)) kills += 1;
  if (kills < 2 * scenario.leastWrites)
    throw new Error(`killed only ${kills} times, with writes counted as ${JSON.stringify(counts)}`);
  return { ...counts, kills };
}

async function countWrites(
  rig: KillRig,
  scenario: KillScenario,
  name: string,
): Promise<{ api: number; vendor: number }> {
  const count = () => ({
    api: rig.api.proxy.requests(apiWrites(scenario, name)).length,
    vendor: rig.vendor.requests(scenario.vendorWrites).length,
  });
  // It ends by itself and so leaves its compiled modules to those that come after it.
  return withOperator(rig, "SIGTERM", async () => {
    await scenario.before(name);
    const before = count();
    await scenario.change(name);
    await judge(rig, scenario, name);
    const after = count();
    await scenario.release?.(name);
    return { api: after.api - before.api, vendor: after.vendor - before.vendor };
  });
}

/** @returns false if the run had no such write. */
async function killAt(
  rig: KillRig,
  scenario: KillScenario,
  name: string,
  kind: "api" | "vendor",
  k: number,
  when: "before" | "after",
): Promise<boolean> {
  const { world } = rig;
  const proxy = kind === "api" ? rig.api.proxy : rig.vendor;
  const match = kind === "api" ? apiWrites(scenario, name) : scenario.vendorWrites;
  const killed = await withOperator(rig, "SIGKILL", async () => {
    await scenario.before(name);
    const rule = proxy.on({ match, skip: k, fault: when === "before" ? { do: "hold" } : { do: "swallow" } });
    await scenario.change(name);
    await world.until(async () => rule.hits > 0 || (await scenario.done(name)), `kill point ${kind} ${k} of ${name}`);
    if (rule.hits > 0 && when === "after")
      await world.until(() => proxy.requests(match).at(-1)?.forwarded === true, "the write to be carried out");
    return { hit: rule.hits > 0, rule };
  });
  killed.rule.remove();
  await withOperator(rig, "SIGKILL", async () => {
    try {
      await judge(rig, scenario, name);
    } catch (error) {
      throw new Error(`killed ${when} ${kind} write ${k} (${name})`, { cause: error });
    }
    await scenario.release?.(name);
  });
  return killed.hit;
}

function apiWrites(scenario: KillScenario, name: string): RequestMatch {
  if (scenario.apiWrites !== undefined) return scenario.apiWrites(name);
  return { method: "PATCH", path: new RegExp(`/edgecontainers/${name}(/|\\?|$)`) };
}

async function judge({ world }: KillRig, scenario: KillScenario, name: string): Promise<void> {
  await world.until(() => scenario.done(name), `the end of ${name}`);
  scenario.judge(name);
}

/** An operator of its own, which gets the signal at the end. */
async function withOperator<T>({ world }: KillRig, end: "SIGKILL" | "SIGTERM", work: () => Promise<T>): Promise<T> {
  await using operator = world.operator();
  const result = await work();
  operator.kill(end);
  await operator.exit;
  return result;
}
