import { LOG_FORMATS, LOG_LEVELS } from "../controller/logging.ts";
import { type OptionTable, type OptionValues, readOptions, sourceOf, UsageError } from "./option-table.ts";
import {
  duration,
  formatDuration,
  kubernetesName,
  listenAddress,
  oneOf,
  ownerId,
  text,
  truth,
  wholeNumber,
} from "./values.ts";

const CLUSTER = "Cluster:";
const OWNERSHIP = "Ownership and safety:";
const ELECTION = "Leader election:";
const WORK = "Work:";
const DEVICES = "Devices:";
const OBSERVABILITY = "Logs, probes and metrics:";

const HOUR_MS = 3_600_000;

/** The options of `drayage run`. Names are API: they appear in charts and manifests. docs/operations.md explains them. */
export const RUN_OPTIONS = {
  kubeconfig: {
    value: "file",
    group: CLUSTER,
    help: "kubeconfig file",
    parse: text(),
    default: undefined,
    defaultHelp: "KUBECONFIG, else the pod's service account, else ~/.kube/config",
  },
  context: {
    value: "name",
    group: CLUSTER,
    help: "context of the kubeconfig to use",
    parse: text(),
    default: undefined,
    defaultHelp: "its current-context",
  },
  namespace: {
    value: "name",
    short: "n",
    group: CLUSTER,
    help: "watch the objects of this namespace only",
    parse: kubernetesName({ dots: false }),
    default: undefined,
    defaultHelp: "all namespaces",
  },
  ownerId: {
    value: "id",
    group: OWNERSHIP,
    help: "id of this installation, part of the marker on every container; keep it when a cluster is rebuilt",
    parse: ownerId(),
    default: undefined,
    defaultHelp: "the uid of the namespace kube-system",
  },
  readOnly: {
    value: "true|false",
    alone: "true",
    group: OWNERSHIP,
    help: "observe and report, but send no command that changes anything at a vendor",
    parse: truth(),
    default: "false",
  },
  leaderElect: {
    value: "true|false",
    alone: "true",
    group: ELECTION,
    help: "act only while holding a Lease, so that several replicas may run",
    parse: truth(),
    default: "true",
  },
  leaseName: {
    value: "name",
    group: ELECTION,
    help: "name of the Lease",
    parse: kubernetesName({ dots: true }),
    default: "drayage",
  },
  leaseNamespace: {
    value: "name",
    group: ELECTION,
    help: "namespace of the Lease",
    parse: kubernetesName({ dots: false }),
    default: undefined,
    defaultHelp: "the pod's own, or that of the kubeconfig's context",
  },
  leaseDuration: {
    value: "duration",
    group: ELECTION,
    help: "how long others wait before they take over a Lease that is not renewed",
    parse: duration({ minMs: 1000, maxMs: HOUR_MS }),
    default: "15s",
  },
  renewDeadline: {
    value: "duration",
    group: ELECTION,
    help: "how long the leader tries to renew before it gives up; shorter than --lease-duration",
    parse: duration({ minMs: 100, maxMs: HOUR_MS }),
    default: "10s",
  },
  retryPeriod: {
    value: "duration",
    group: ELECTION,
    help: "time between renewals, and between tries to take the Lease",
    parse: duration({ minMs: 50, maxMs: HOUR_MS }),
    default: "2s",
  },
  concurrency: {
    value: "count",
    group: WORK,
    help: "objects of one kind worked on at a time",
    parse: wholeNumber({ min: 1, max: 1000 }),
    default: "16",
  },
  statusInterval: {
    value: "duration",
    group: WORK,
    help: "shortest time between two writes of one object's status, where nothing urgent changed",
    parse: duration({ minMs: 0, maxMs: HOUR_MS }),
    default: "5s",
  },
  shutdownGrace: {
    value: "duration",
    group: WORK,
    help: "how long work under way may take to end after SIGTERM",
    parse: duration({ minMs: 0, maxMs: HOUR_MS }),
    default: "30s",
  },
  observeInterval: {
    value: "duration",
    group: DEVICES,
    help: "time between observations of a device, for backends that do not say",
    parse: duration({ minMs: 100, maxMs: 24 * HOUR_MS }),
    default: undefined,
    defaultHelp: "30s; 5m for Kanto, which pushes its state",
  },
  probeTimeout: {
    value: "duration",
    group: DEVICES,
    help: "how long a device may take to answer a presence probe",
    parse: duration({ minMs: 50, maxMs: HOUR_MS }),
    default: "10s",
  },
  reconnectInitial: {
    value: "duration",
    group: DEVICES,
    help: "pause before the first try to connect to a backend again; doubles from there",
    parse: duration({ minMs: 10, maxMs: HOUR_MS }),
    default: "1s",
  },
  reconnectMax: {
    value: "duration",
    group: DEVICES,
    help: "longest pause between tries to connect to a backend",
    parse: duration({ minMs: 10, maxMs: 24 * HOUR_MS }),
    default: "1m",
  },
  settleTime: {
    value: "duration",
    group: DEVICES,
    help: "how long a new leader waits before it resolves an operation that another process began",
    parse: duration({ minMs: 0, maxMs: HOUR_MS }),
    default: undefined,
    defaultHelp: "the backend's own",
  },
  webhookAddress: {
    value: "address",
    group: DEVICES,
    help: "where to listen for vendors' webhooks, POST /<namespace>/<EdgeBackend>; put TLS before it; off for nowhere",
    parse: listenAddress(),
    default: "off",
  },
  logLevel: {
    value: "level",
    group: OBSERVABILITY,
    help: LOG_LEVELS.join(", "),
    parse: oneOf(LOG_LEVELS),
    default: "info",
  },
  logFormat: {
    value: "format",
    group: OBSERVABILITY,
    help: "json, pretty, or auto: pretty on a terminal, else json",
    parse: oneOf(LOG_FORMATS),
    default: "auto",
  },
  healthAddress: {
    value: "address",
    group: OBSERVABILITY,
    help: "where to serve /healthz and /readyz; off for nowhere",
    parse: listenAddress(),
    default: ":8081",
  },
  metricsAddress: {
    value: "address",
    group: OBSERVABILITY,
    help: "where to serve /metrics; may be the same; off for nowhere",
    parse: listenAddress(),
    default: ":8080",
  },
} as const satisfies OptionTable;

/** The validated options of `drayage run`. Durations are milliseconds. */
export type RunOptions = OptionValues<typeof RUN_OPTIONS>;

/**
 * Reads and validates the options of `drayage run`.
 *
 * @param given what the command line says, by option name.
 * @throws UsageError
 */
export function readRunOptions(
  given: Readonly<Record<string, unknown>>,
  env: Readonly<Record<string, string | undefined>>,
): RunOptions {
  const options = readOptions(RUN_OPTIONS, given, env);
  const refuse = (name: keyof RunOptions, why: string): never => {
    throw new UsageError(`${sourceOf(name, given, env)}: ${why}`);
  };
  const { leaseDuration, renewDeadline, retryPeriod, reconnectInitial, reconnectMax } = options;
  if (renewDeadline >= leaseDuration) {
    refuse(
      "renewDeadline",
      `${formatDuration(renewDeadline)} must be shorter than the lease duration (${formatDuration(leaseDuration)})`,
    );
  }
  // client-go's rule (tools/leaderelection): a try, late by its jitter, must fit into the deadline.
  if (retryPeriod * 1.2 >= renewDeadline) {
    refuse(
      "retryPeriod",
      `${formatDuration(retryPeriod)} times 1.2 must be shorter than the renew deadline (${formatDuration(renewDeadline)})`,
    );
  }
  if (reconnectInitial > reconnectMax) {
    refuse(
      "reconnectInitial",
      `${formatDuration(reconnectInitial)} must not be longer than the longest pause (${formatDuration(reconnectMax)})`,
    );
  }
  return options;
}
