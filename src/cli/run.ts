/**
 * The daemon, `drayage run`: puts the parts together and runs them until a signal. Which controllers it runs is decided in
 * register-controllers.ts.
 */
import { Checks, healthServers } from "../controller/health.ts";
import { Expectations } from "../controller/expectations.ts";
import { createLogger, describeError, type Logger } from "../controller/logging.ts";
import { Manager } from "../controller/manager.ts";
import { METRICS } from "../controller/metric-names.ts";
import { Metrics } from "../controller/metrics.ts";
import { OutageDetector } from "../controller/outage.ts";
import { DEFAULT_INTERVALS, StatusWriter } from "../controller/status-writer.ts";
import { KubeClient } from "../kube/client.ts";
import { type Clock, systemClock } from "../kube/clock.ts";
import { loadClusterAccess } from "../kube/config.ts";
import { type Election, LeaderElector, NoLease } from "../kube/lease.ts";
import { resourceName } from "../kube/resource.ts";
import { HashKeyError } from "../reconcilers/hash-key.ts";
import { RESOURCES } from "../reconcilers/resources.ts";
import { OwnerIdError, readClusterUid } from "./owner-id.ts";
import { registerControllers } from "./register-controllers.ts";
import type { RunOptions } from "./run-options.ts";
import type { Runtime } from "./runtime.ts";
import { VERSION, versionLine } from "./version.ts";

/** Where {@link run} gets what is not an option. */
export interface RunContext {
  /** Aborts to stop in order. */
  readonly signal: AbortSignal;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/**
 * Runs the daemon until `signal` aborts.
 *
 * @throws ClusterAccessError, ListenError, LeaseLostError, OwnerIdError: what ends the process; everything is stopped before.
 */
export async function run(options: RunOptions, context: RunContext): Promise<void> {
  const clock = systemClock;
  const log = await createLogger({ level: options.logLevel, format: options.logFormat });
  const metrics = new Metrics({ processMetrics: true });
  metrics.gauge(METRICS.buildInfo).set({ version: VERSION, node: process.versions.node }, 1);

  const { kubeconfig, context: kubeContext } = options;
  const access = await loadClusterAccess({ kubeconfig, context: kubeContext, env: context.env, clock });
  log.info({ server: access.server, access: access.source, readOnly: options.readOnly }, versionLine());

  const ready = new Checks();
  const manager = new Manager({ clock, log, ready, shutdownGraceMs: options.shutdownGrace });
  const outage = new OutageDetector({ clock, onBack: manager.apiServerIsBack });
  const countRequest = metrics.forClient(new URL(access.server).host);
  const client = new KubeClient({
    access,
    clock,
    userAgent: `drayage/${VERSION}`,
    onRequest: (observation) => {
      countRequest(observation);
      outage.observe(observation.code);
    },
    onWarning: (text) => log.warn({ warning: text }, "the API server warns"),
  });
  try {
    for (const server of servers(options, { ready, metrics, log })) manager.addServer(server);
    const election = createElection(options, { client, clock, log, metrics, manager, ready });
    manager.setElection(election);
    const expectations = new Expectations({ clock });
    const statusWriter = new StatusWriter({
      client,
      expectations,
      clock,
      metrics: metrics.forStatus([RESOURCES.backends, RESOURCES.devices, RESOURCES.containers].map(resourceName)),
      intervals: { ...DEFAULT_INTERVALS, soonMs: options.statusInterval },
    });
    let told: string | undefined;
    manager.addPreparation({
      name: "the API server",
      isFatal: (error) => error instanceof OwnerIdError || error instanceof HashKeyError,
      run: async (signal) => {
        const ownerId = options.ownerId ?? (await readClusterUid(client, signal));
        const ownerIdIsExplicit = options.ownerId !== undefined;
        // The preparation is repeated until the API server lets it pass.
        if (ownerId !== told) log.info({ ownerId, ownerIdIsExplicit }, "owner id");
        told = ownerId;
        const runtime: Runtime = {
          options,
          clock,
          log,
          metrics,
          client,
          manager,
          expectations,
          statusWriter,
          election,
          ownerId,
          ownerIdIsExplicit,
        };
        await registerControllers(runtime, signal);
      },
    });
    await manager.run(context.signal);
  } finally {
    await client.close();
  }
}

function servers(options: RunOptions, parts: { ready: Checks; metrics: Metrics; log: Logger }) {
  const { healthAddress, metricsAddress } = options;
  const live = new Checks();
  // A process whose event loop answers is alive; whatever is wrong outside would not get better by a restart.
  live.add("ping", () => undefined);
  return healthServers({
    healthAddress,
    metricsAddress,
    live,
    ready: parts.ready,
    metrics: parts.metrics,
    onListening: (name, address) => parts.log.info({ address }, `serving ${name}`),
    onError: (error) => parts.log.error({ err: error }, "a request to the probes or metrics failed"),
  });
}

interface ElectionParts {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly manager: Manager;
  readonly ready: Checks;
}

function createElection(options: RunOptions, parts: ElectionParts): Election {
  const { client, clock, log, metrics, manager, ready } = parts;
  const { leaseName: name } = options;
  const status = metrics.gauge(METRICS.leaderStatus).labels({ name });
  status.set(0);
  metrics.counter(METRICS.leaderSlowpath).inc({ name }, 0);
  const { onStartedLeading, onStoppedLeading } = manager.leadershipCallbacks;
  const callbacks = {
    onStartedLeading: () => {
      status.set(1);
      onStartedLeading();
    },
    onStoppedLeading: (end: "stopped" | "lost") => {
      status.set(0);
      onStoppedLeading(end);
    },
  };
  if (!options.leaderElect) return new NoLease(callbacks);

  let failure: { readonly text: string; readonly atMs: number } | undefined;
  const election = new LeaderElector({
    ...callbacks,
    client,
    namespace: options.leaseNamespace ?? client.namespace,
    name,
    leaseDurationMs: options.leaseDuration,
    renewDeadlineMs: options.renewDeadline,
    retryPeriodMs: options.retryPeriod,
    onNewLeader: (holder) =>
      log.info({ holder, lease: name }, holder === "" ? "the lease is free" : "the lease is held"),
    onError: (error) => {
      failure = { text: describeError(error), atMs: clock.monotonic() };
      metrics.counter(METRICS.leaderSlowpath).inc({ name });
      log.warn({ err: error, lease: name }, "a try to take or renew the lease failed");
    },
  });
  // A failure is news for as long as the next tries have not had the time to succeed.
  const freshMs = 3 * options.retryPeriod;
  ready.add("lease", () =>
    failure !== undefined && clock.monotonic() - failure.atMs < freshMs ? failure.text : undefined,
  );
  return election;
}
