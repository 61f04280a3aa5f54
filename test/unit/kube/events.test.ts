import http from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test, vi } from "vitest";
import { KubeClient } from "../../../src/kube/client.ts";
import { EventRecorder } from "../../../src/kube/events.ts";
import type { KubeObject } from "../../../src/kube/types.ts";
import { FakeClock } from "../../support/fake-clock.ts";

/** A server that takes every event and counts requests by verb and object. */
async function counting(): Promise<{ client: KubeClient; clock: FakeClock; seen: string[] }> {
  const seen: string[] = [];
  const server = http.createServer((request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => {
      body += chunk.toString();
    });
    request.on("end", () => {
      const parsed = JSON.parse(body) as { regarding?: { name: string } };
      seen.push(
        parsed.regarding === undefined
          ? `PATCH ${request.url?.match(/events\/(.*?)\./)?.[1]}`
          : `POST ${parsed.regarding.name}`,
      );
      response.end("{}");
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const clock = new FakeClock();
  const tls = { rejectUnauthorized: true };
  const client = new KubeClient({
    clock,
    access: {
      server: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      namespace: "default",
      source: "test",
      tls,
      authHeader: () => Promise.resolve(undefined),
      refresh: () => Promise.resolve(false),
    },
  });
  onTestFinished(async () => {
    await client.close();
    server.closeAllConnections();
    await new Promise((resolve) => {
      server.close(resolve);
    });
  });
  return { client, clock, seen };
}

test(
  "the recorder remembers a bounded number of series: the oldest begins anew, the newest goes on",
  { timeout: 120_000 },
  async () => {
    const { client, clock, seen } = await counting();
    const recorder = new EventRecorder({
      client,
      controller: "drayage.dev/operator",
      instance: "one",
      burst: 100_000,
      maxQueue: 100_000,
    });
    const say = (n: number): void => {
      const metadata = { name: `o${n}`, namespace: "ns", uid: `u${n}`, resourceVersion: "1" };
      const object: KubeObject = { apiVersion: "v1", kind: "Thing", metadata };
      recorder.record(object, { type: "Normal", reason: "Created", action: "Create", note: "made" });
    };
    for (let n = 0; n < 5_000; n += 1) {
      say(n);
    }
    await vi.waitFor(() => expect(seen).toHaveLength(5_000), { timeout: 100_000, interval: 20 });
    clock.advance(1_000);
    say(0);
    say(4_999);
    await vi.waitFor(() => expect(seen).toHaveLength(5_002), { timeout: 100_000, interval: 20 });
    expect(seen.slice(5_000)).toEqual(["POST o0", "PATCH o4999"]);
    expect(recorder.dropped).toBe(0);
    expect(await recorder.close(1_000)).toBe(true);
  },
);
