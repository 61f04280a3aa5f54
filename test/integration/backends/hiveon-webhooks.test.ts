import { createHmac } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";
import { setTimeout } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { createHiveonBackend } from "../../../src/backends/hiveon/index.ts";
import { WebhookServer } from "../../../src/cli/webhook-server.ts";
import { systemClock } from "../../../src/kube/clock.ts";
import { startHiveon } from "../../../src/simulators/hiveon/index.ts";

/** A port that nobody has at the moment. */
async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" && address !== null ? address.port : 0;
}

async function setUp() {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}/tenant/hiveon`;
  const vendor = await startHiveon({
    machines: [{ id: "rig-1" }],
    startMs: 20,
    webhook: { url, secret: "s3cret" },
  });
  onTestFinished(() => vendor.stop());
  const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
  const backend = createHiveonBackend({
    clock: systemClock,
    log: quiet,
    metrics: { command: () => undefined, malformed: () => undefined, reconnect: () => undefined },
    fence: { valid: () => true },
    random: Math.random,
    // Nothing is polled while a test lasts.
    timings: { observeIntervalMs: 3_600_000, settleMs: 50 },
    processId: "p",
  });
  const account = backend.connect(
    {
      hiveon: { url: vendor.url },
      credentialsSecretRef: { name: "key" },
      rateLimit: { requestsPerSecond: 1000, burst: 1000 },
    },
    { apiKey: "hiveon-key", webhookSecret: "s3cret" },
  );
  onTestFinished(() => account.close());
  const server = new WebhookServer({
    address: { host: "127.0.0.1", port },
    take: ({ namespace, name }, raw, headers) =>
      namespace === "tenant" && name === "hiveon" ? account.webhook?.(raw, headers) : undefined,
  });
  await server.start();
  onTestFinished(() => server.stop());
  const session = account.openDevice({
    backendRef: { name: "b" },
    hiveon: { machineId: "rig-1", machinePriceId: "rig-1-price" },
  });
  const claim = { owner: "o", namespace: "n", name: "web" };
  await expect.poll(() => session.snapshot(claim).synced).toBe(true);
  const dispatch = session.execute({
    kind: "Create",
    desired: { name: "web", image: "i", state: "Running", env: [], spec: { deviceRef: { name: "d" } } },
    marker: { ...claim, uid: "u", operation: "op", hash: "k:1" },
    attempt: 1,
    commandId: "op.1",
    key: "n/web",
  });
  if (!dispatch.sent) throw new Error("refused");
  expect(await dispatch.outcome).toMatchObject({ result: "Succeeded" });
  const post = (path: string, body: string, signature = "sha256=00") =>
    fetch(`http://127.0.0.1:${port}${path}`, { method: "POST", body, headers: { "x-webhook-signature": signature } });
  return { vendor, session, claim, post };
}

test("an event of the vendor makes Drayage look long before the next poll, also twice and out of order", async () => {
  const { vendor, session, claim } = await setUp();
  const webhooks = vendor.webhooks;
  if (webhooks === undefined) throw new Error("none");
  const state = () => session.snapshot(claim).containers[0]?.state;
  await expect.poll(state).toBe("Running");
  webhooks.faults.duplicate = true;
  const [rental] = vendor.rentals();
  vendor.platform.fail(rental?.deploymentId ?? "");
  await expect.poll(state).toBe("Exited");
  webhooks.faults.duplicate = false;
  webhooks.faults.reorder = true;
  vendor.platform.fail(rental?.deploymentId ?? "");
  vendor.platform.end(rental?.deploymentId ?? "");
  await expect.poll(state).toBe("Stopped");
});

test("what is not signed by the vendor causes no request, and nobody learns what exists", async () => {
  const { vendor, session, claim, post } = await setUp();
  const webhooks = vendor.webhooks;
  if (webhooks === undefined) throw new Error("none");
  await expect.poll(() => session.snapshot(claim).containers[0]?.state).toBe("Running");
  const { deploymentId = "" } = vendor.rentals()[0] ?? {};
  const body = JSON.stringify({
    event_id: "x",
    timestamp: new Date().toISOString(),
    data: { deployment_id: deploymentId },
  });
  const [first] = webhooks.sent;
  await webhooks.close();
  const looks = () => vendor.requests().filter(({ kind }) => kind === "status").length;
  // What earlier events have set off may still be on its way.
  let before;
  do {
    before = looks();
    await setTimeout(200);
  } while (looks() !== before);
  expect((await post("/tenant/hiveon", body)).status).toBe(404);
  expect((await post("/tenant/other", body)).status).toBe(404);
  expect((await post("/", body)).status).toBe(404);
  // A recording of what the vendor once sent.
  expect(await webhooks.deliver(first?.body ?? "", first?.signature ?? "")).toBe(204);
  expect((await post("/tenant/hiveon", "x".repeat(100_000))).status).toBe(413);
  expect(looks()).toBe(before);
});

test("any number of events about one rental is no more than a few looks", async () => {
  const { vendor, session, claim, post } = await setUp();
  await expect.poll(() => session.snapshot(claim).containers[0]?.state).toBe("Running");
  const { deploymentId = "" } = vendor.rentals()[0] ?? {};
  const looks = () => vendor.requests().filter(({ kind }) => kind === "status").length;
  vendor.fault({ match: "status", effect: { kind: "delay", ms: 300 }, times: 2 });
  const before = looks();
  const events = Array.from({ length: 100 }, (_, i) => {
    const body = JSON.stringify({
      event_id: `flood-${i}`,
      timestamp: new Date().toISOString(),
      data: { deployment_id: deploymentId },
    });
    const signature = `sha256=${createHmac("sha256", "s3cret").update(body).digest("hex")}`;
    return post("/tenant/hiveon", body, signature);
  });
  const statuses = await Promise.all(events.map(async (each) => (await each).status));
  expect(new Set(statuses)).toEqual(new Set([204]));
  vendor.platform.end(deploymentId);
  await expect.poll(() => session.snapshot(claim).containers[0]?.state).toBe("Stopped");
  // One that was under way while they came, one after them, and those of the vendor's own events.
  expect(looks() - before).toBeLessThanOrEqual(10);
});
