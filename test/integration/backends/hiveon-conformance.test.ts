import { createHiveonBackend } from "../../../src/backends/hiveon/index.ts";
import type { SessionEvent } from "../../../src/backends/contract.ts";
import { systemClock } from "../../../src/kube/clock.ts";
import { startHiveon, type HiveonSimulator, type Quirks } from "../../../src/simulators/hiveon/index.ts";
import type { ConformanceProcess } from "../../conformance/harness.ts";
import { describeRentalConformance, type RentalWorld } from "../../conformance/rental-conformance.ts";

const SETTLE_MS = 400;

const worldOf = (quirks: Partial<Quirks>) => ({
  world: async () => {
    const vendor = await startHiveon({ machines: [{ id: "rig-1", slots: 9 }], startMs: 20, stopMs: 20, quirks });
    const processes = new Set<ConformanceProcess>();
    const world: RentalWorld = {
      settleMs: SETTLE_MS,
      start: async (fence = { held: true }) => {
        const started = startProcess(vendor, fence, processes.size);
        processes.add(started);
        return started;
      },
      rentals: () =>
        vendor.rentals().map(({ deploymentId, rented, stops }) => ({ externalId: deploymentId, rented, stops })),
      writes: () => vendor.requests().flatMap(({ kind }) => (kind === "start" || kind === "stop" ? [kind] : [])),
      faults: {
        loseStart: (when) => void vendor.fault({ match: "start", effect: { kind: "reset", when } }),
        answerStart: (status, when) => void vendor.fault({ match: "start", effect: { kind: "answer", when, status } }),
        loseStop: (when) => void vendor.fault({ match: "stop", effect: { kind: "reset", when } }),
        failStops: (count) => vendor.platform.failStops(count),
        visibleAfter: (ms) => {
          vendor.quirks.visibleAfterMs = ms;
        },
        fail: () => {
          for (const { deploymentId, rented } of vendor.rentals()) if (rented) vendor.platform.fail(deploymentId);
        },
        end: () => {
          for (const { deploymentId, rented } of vendor.rentals()) if (rented) vendor.platform.end(deploymentId);
        },
        unauthorized: (refused) => vendor.authorize(refused ? 401 : "ok"),
        outage: () => vendor.outage(),
        malformed: () => {
          for (const effect of [
            { kind: "answer", when: "before", status: 200, html: true },
            { kind: "endless" },
            { kind: "redirect", to: "http://192.0.2.1/" },
            { kind: "answer", when: "before", status: 200 },
          ] as const)
            // The account's own probes, which a broken answer sets off, take their share.
            vendor.fault({ match: "status", effect, times: effect.kind === "answer" ? 3 : 1 });
        },
        hideFromOurIds: () => {
          vendor.quirks.externalIdPath = "/elsewhere/{id}";
        },
        echoNothing: () => {
          vendor.quirks.echoMetadata = false;
        },
      },
      close: async () => {
        await Promise.all([...processes].map((each) => each.kill()));
        await vendor.stop();
      },
    };
    return world;
  },
});

describeRentalConformance("Hiveon", worldOf({}));

describeRentalConformance(
  "Hiveon in every other dialect",
  worldOf({
    omitZero: true,
    failReason: "string",
    errorBody: "grpc",
    extraFields: true,
    stopTwice: 404,
    duplicates: "refuse",
    unavailableStatus: 409,
    externalIdPath: "/vendors/v1/machines/deployments/external/{id}",
  }),
);

function startProcess(vendor: HiveonSimulator, fence: { held: boolean }, number: number): ConformanceProcess {
  const logged: string[] = [];
  const malformed: string[] = [];
  const log = (fields: object, text: string): void => void logged.push(JSON.stringify({ ...fields, text }));
  const backend = createHiveonBackend({
    clock: systemClock,
    log: { debug: log, info: log, warn: log, error: log },
    metrics: {
      command: () => undefined,
      malformed: (_backend, kind) => void malformed.push(kind),
      reconnect: () => undefined,
    },
    fence: { valid: () => fence.held },
    random: Math.random,
    timings: { observeIntervalMs: 120, reconnectInitialMs: 20, reconnectMaxMs: 100, settleMs: SETTLE_MS },
    processId: `process-${number}`,
  });
  const account = backend.connect(
    {
      hiveon: {
        url: vendor.url,
        ...(vendor.quirks.externalIdPath !== undefined && { externalIdPath: vendor.quirks.externalIdPath }),
      },
      credentialsSecretRef: { name: "key" },
      rateLimit: { requestsPerSecond: 1000, burst: 1000, concurrency: 4 },
      commandTimeoutSeconds: 1,
      createTimeoutSeconds: 2,
    },
    { apiKey: "hiveon-key" },
  );
  const notices: ConformanceProcess["notices"] = [];
  account.subscribe(
    () => undefined,
    (notice) => void notices.push(notice),
  );
  const session = account.openDevice({
    backendRef: { name: "backend" },
    hiveon: { machineId: "rig-1", machinePriceId: "rig-1-price" },
  });
  const events: SessionEvent[] = [];
  session.subscribe((event) => void events.push(event));
  return { backend, account, session, fence, events, notices, logged, malformed, kill: () => account.close() };
}
