/**
 * A fleet at rest costs nothing: no write to the API server but the lease, and nothing on a device but the presence probe. The
 * window is counted in probes, not in time; DRAYAGE_TEST_REST_SECONDS adds a stretch of real time for the full claim.
 */
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, expect, inject, test } from "vitest";
import type { EdgeContainer } from "../../src/crds/edge-container.ts";
import { startApiProxy, type ApiProxy } from "../support/api-proxy.ts";
import { conditionOf, existing, World, type Site } from "../support/world.ts";

const CONTAINERS = Number(process.env["DRAYAGE_TEST_FLEET"] ?? "1000");
const SITES = 4;
const PROBES = 5;
const REST_MS = Number(process.env["DRAYAGE_TEST_REST_SECONDS"] ?? "0") * 1_000;

let world: World;
let api: ApiProxy;

// Of each try its own.
beforeEach(async () => {
  const { kubeconfig } = inject("controlPlane");
  api = await startApiProxy(kubeconfig);
  world = await World.create({ kubeconfig, operatorKubeconfig: api.kubeconfig });
});

afterEach(async () => {
  await world?.[Symbol.asyncDispose]();
  await api?.[Symbol.asyncDispose]();
});

test("1 000 EdgeContainers that run cause no write but the lease's", { timeout: 1_800_000 }, async () => {
  const sites: Site[] = [];
  for (let index = 0; index < SITES; index++)
    sites.push(await world.site(`line-${index}`, { observeIntervalSeconds: 2 }));
  // The default lease: a thousand containers at once keep a small machine busy for longer than a short one lasts.
  world.operator("--log-level=info", "--lease-duration=15s", "--renew-deadline=10s", "--retry-period=2s");
  for (let index = 0; index < CONTAINERS; index++) {
    const site = sites[index % SITES];
    if (site !== undefined) await world.container(`c-${index}`, site);
  }
  const list = `/apis/edge.drayage.dev/v1alpha1/namespaces/${world.namespace}/edgecontainers`;
  let ready = 0;
  let progressAt = performance.now();
  let left: EdgeContainer[] = [];
  await world.until(
    async () => {
      const { body } = await world.admin.get<{ items: EdgeContainer[] }>(list);
      left = body.items.filter((item) => conditionOf(item, "Ready")?.status !== "True");
      const now = body.items.length - left.length;
      if (now > ready) progressAt = performance.now();
      ready = now;
      await delay(500);
      return now === CONTAINERS;
    },
    () => `${CONTAINERS} Ready; ${ready} are, another is ${JSON.stringify(left[0], null, 1)}`,
    // As long as there is progress, however slow the machine.
    () => performance.now() - progressAt < 120_000,
  );
  expect(sites.flatMap((site) => existing(site))).toHaveLength(CONTAINERS);

  // What was coalesced on the way is written within the status interval; rest begins when nothing was written for two probes.
  const writes = () =>
    api.proxy
      .requests()
      .filter(({ method, path }) => method !== "GET" && !path.includes("/leases/") && !path.includes("/leases"))
      .map(({ method, path }) => `${method} ${path}`);
  const commands = () => sites.map(({ device }) => device.commands().length);
  const afterProbes = async (count: number) => {
    const from = commands();
    await world.until(
      () => commands().every((now, index) => now >= (from[index] ?? 0) + count),
      `${count} probes of each device`,
    );
  };
  let settled = -1;
  while (settled !== writes().length) {
    settled = writes().length;
    await afterProbes(2);
  }
  const before = commands();
  await afterProbes(PROBES);
  await delay(REST_MS);
  expect(writes().slice(settled)).toEqual([]);
  const sent = sites.flatMap(({ device }, index) => [...device.commands()].slice(before[index]));
  expect(new Set(sent.filter(({ status }) => status !== 404).map(({ operation }) => operation))).toEqual(new Set());
});
