/** Whatever the network does, in whatever order, while objects change: a reflector ends up with what the server has. */

import { getEventListeners } from "node:events";
import fc from "fast-check";
import { describe, expect, inject, onTestFinished, test, vi } from "vitest";
import { KubeClient } from "../../../src/kube/client.ts";
import { loadClusterAccess } from "../../../src/kube/config.ts";
import { Reflector } from "../../../src/kube/reflector.ts";
import type { Fault, FaultRule } from "../../faults/http-proxy.ts";
import { CONFIG_MAPS, setting, SHORT, type ConfigMap, type Setting } from "./support.ts";

const controlPlane = inject("controlPlane");
const soon = { timeout: 60_000, interval: 10 };

const fault: fc.Arbitrary<Fault> = fc.oneof(
  fc.record({
    do: fc.constant("cut" as const),
    afterLines: fc.nat({ max: 4 }),
    partialBytes: fc.nat({ max: 60 }),
    how: fc.constantFrom("fin" as const, "reset" as const, "end" as const),
  }),
  fc.record({ do: fc.constant("reset" as const), when: fc.constantFrom("before" as const, "after" as const) }),
  fc.record({ do: fc.constant("stall" as const), afterLines: fc.nat({ max: 3 }) }),
  fc.constantFrom<Fault>(
    { do: "answer", status: 410, reason: "Expired" },
    { do: "answer", status: 429, reason: "TooManyRequests" },
    { do: "answer", status: 500, reason: "InternalError" },
    { do: "answer", status: 503, body: "upstream connect error" },
    { do: "answer", status: 422, reason: "Invalid" },
    { do: "answer", status: 200, body: "" },
    { do: "answer", status: 200, body: "<html>a login page</html>\n" },
    { do: "insert", afterLines: 1, line: { type: "ERROR", object: { kind: "Status", code: 410, reason: "Expired" } } },
    {
      do: "insert",
      afterLines: 2,
      line: { type: "ERROR", object: { kind: "Status", code: 500, reason: "InternalError" } },
    },
    { do: "answer", status: 200, body: "{}" },
    { do: "answer", status: 200, body: '{"items":[]}' },
    { do: "delay", ms: 50 },
  ),
);
const rule: fc.Arbitrary<FaultRule> = fc.record({
  match: fc.constantFrom({ path: "/configmaps" }, { path: "/configmaps", watch: true }),
  skip: fc.nat({ max: 2 }),
  fault,
});
const write = fc.record({
  name: fc.constantFrom("a", "b", "c", "d"),
  value: fc.option(fc.nat({ max: 9 }), { nil: undefined }),
});

async function perform(given: Setting, each: { name: string; value: number | undefined }): Promise<void> {
  const { direct, namespace, put } = given;
  if (each.value === undefined) {
    await direct.delete(CONFIG_MAPS, { namespace, name: each.name }).catch(() => undefined);
  } else {
    await put(each.name, String(each.value));
  }
}

const identity = (object: ConfigMap): string =>
  `${object.metadata.name} ${object.metadata.uid} ${object.metadata.resourceVersion} ${JSON.stringify(object.data)}`;

describe("a reflector", () => {
  test(
    "ends up with what the server has, its events tell the whole story, and its requests are few",
    { timeout: 240_000 },
    async () => {
      const given = await setting(controlPlane);
      const { namespace, direct, proxy } = given;
      const client = await given.through({ listTimeoutMs: 1_000 });
      const plan = fc.record({
        rules: fc.array(rule, { maxLength: 6 }),
        writes: fc.array(write, { minLength: 1, maxLength: 12 }),
        watchList: fc.boolean(),
      });
      await fc.assert(
        fc.asyncProperty(plan, async ({ rules, writes, watchList }) => {
          const handles = rules.map((each) => proxy.on(each));
          const before = proxy.requests().length;
          const failures: unknown[] = [];
          const reflector = new Reflector<ConfigMap>({
            client,
            resource: CONFIG_MAPS,
            namespace,
            watchList,
            pageSize: 2,
            times: { ...SHORT, silenceMs: 300 },
            onFailure: (error) => failures.push(error),
          });
          const told = new Map<string, ConfigMap>();
          const lies: string[] = [];
          reflector.store.onEvent((event) => {
            const key = event.object.metadata.uid;
            if ((event.type === "added") === told.has(key)) {
              lies.push(`${event.type} ${key}`);
            }
            if (event.type === "deleted") {
              told.delete(key);
            } else {
              told.set(key, event.object);
            }
          });
          const stop = new AbortController();
          const running = reflector.run(stop.signal);
          try {
            for (const each of writes) {
              await perform(given, each);
            }
            const { items } = await direct.list(CONFIG_MAPS, { namespace });
            const wanted = items.map(identity).sort();
            await vi.waitFor(() => expect(reflector.store.list().map(identity).sort()).toEqual(wanted), soon);
            expect([...told.values()].map(identity).sort()).toEqual(wanted);
            expect(lies).toEqual([]);
            // Each failure leads to one wait, and each wait to a bounded number of requests.
            const requests = proxy.requests().length - before;
            expect(requests).toBeLessThanOrEqual(8 + 6 * (failures.length + rules.length));
          } finally {
            stop.abort();
            await running;
            for (const handle of handles) {
              handle.remove();
            }
          }
        }),
        { numRuns: 25, endOnFailure: true },
      );
    },
  );

  test("leaves nothing behind after a hundred broken watches: no connection, no timer, no listener", async () => {
    const { namespace, proxy } = await setting(controlPlane);
    const access = await loadClusterAccess({ kubeconfig: controlPlane.kubeconfig, env: {} });
    const client = new KubeClient({ access: { ...access, server: proxy.url, tls: access.tls } });
    onTestFinished(() => client.close());
    const stop = new AbortController();
    const times = { ...SHORT, backoffMinMs: 1, backoffMaxMs: 2 };
    const reflector = new Reflector<ConfigMap>({ client, resource: CONFIG_MAPS, namespace, times });
    const running = reflector.run(stop.signal);
    await reflector.whenSynced(stop.signal);
    const resources = (): number =>
      process.getActiveResourcesInfo().filter((each) => /TCPSocketWrap|Timeout/.test(each)).length;
    const waitOpen = async (watches: number): Promise<void> => {
      await vi.waitFor(() => {
        const seen = proxy.requests({ watch: true });
        expect(seen).toHaveLength(watches);
        expect(seen.at(-1)?.status).toBe(200);
      }, soon);
    };
    let atTen = 0;
    for (let broken = 1; broken <= 100; broken += 1) {
      await waitOpen(broken);
      proxy.requests({ watch: true }).at(-1)?.reset();
      if (broken === 10) {
        await waitOpen(11);
        atTen = resources();
      }
    }
    await waitOpen(101);
    expect(getEventListeners(stop.signal, "abort")).toHaveLength(1);
    await vi.waitFor(() => expect(resources()).toBeLessThanOrEqual(atTen + 3), soon);
    stop.abort();
    await running;
    expect(getEventListeners(stop.signal, "abort")).toHaveLength(0);
    await vi.waitFor(() => expect(proxy.requests().every((each) => each.closed)).toBe(true), soon);
  });
});
