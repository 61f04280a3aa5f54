/**
 * Defaults that are applied in code (defaults.ts) and documented from here. The schemas carry none in spec: the API server
 * would write them into objects, and every GitOps tool would then see a difference from its source.
 */
export const CONTAINER_DEFAULTS = {
  desiredState: "Running",
  stop: { signal: "SIGTERM", timeoutSeconds: 30, force: true },
  updateStrategy: {
    type: "Recreate",
    minReadySeconds: 10,
    progressDeadlineSeconds: 600,
    rollbackOnFailure: true,
  },
  backoff: { initialSeconds: 10, maxSeconds: 300, resetAfterSeconds: 600 },
  managementPolicy: "Manage",
  adoption: { policy: "Never" },
  driftPolicy: "Correct",
  suspend: false,
  deletion: { policy: "Remove", deleteVolumes: false, graceSeconds: 300 },
  reRent: "Never",
} as const;

export const DEVICE_DEFAULTS = {
  offlineReadiness: "Unknown",
  suspend: false,
  deletion: { graceSeconds: 300 },
  kanto: { metrics: { enabled: false, frequencySeconds: 30 } },
} as const;

export const STACK_DEFAULTS = {
  mode: "Own",
  dependsOn: { condition: "Running" },
  suspend: false,
  deletion: { policy: "Remove", deleteVolumes: false, graceSeconds: 300 },
} as const;

export const REGISTRY_DEFAULTS = { deletion: { graceSeconds: 300 } } as const;

export const BACKEND_DEFAULTS = {
  observeIntervalSeconds: 30,
  /** Kanto pushes its state: its interval is only that of the presence probe. */
  kantoObserveIntervalSeconds: 300,
  commandTimeoutSeconds: 60,
  createTimeoutSeconds: 1800,
  rateLimit: { requestsPerSecond: 10, burst: 20, concurrency: 4 },
  allowedNamespaces: { from: "Same" },
  suspend: false,
  deletion: { graceSeconds: 300 },
  /** Of kanto.mqttVersion with transport Connector. */
  kantoConnectorMqttVersion: "5",
  kanto: { transport: "Local", mqttVersion: "3.1.1", answerIdentity: true, clientIdPrefix: "drayage" },
  alpon: { url: "https://api.sixfab.com/v1" },
  hiveon: { url: "https://api.hiveon.ai" },
  mittwald: { url: "https://api.mittwald.de" },
} as const;
