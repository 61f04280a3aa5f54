/** A simulated mStudio with one project, and processes of ours on its default stack that come and go. */
import { onTestFinished } from "vitest";
import type { CommandAction, SessionEvent } from "../../../src/backends/contract.ts";
import { createMittwaldBackend } from "../../../src/backends/mittwald/index.ts";
import { systemClock } from "../../../src/kube/clock.ts";
import { startMittwald, type MittwaldOptions, type MittwaldSimulator } from "../../../src/simulators/mittwald/index.ts";
import { desired, MARKER, synced, type ConformanceProcess } from "../../conformance/harness.ts";

export const SETTLE_MS = 300;
export const IMAGE = "registry.example/app:1";
export const TOKEN = "mittwald-token";

export interface MittwaldWorld {
  vendor: MittwaldSimulator;
  projectId: string;
  /** The default stack's id is the project's. */
  stackId: string;
  start(options?: StartOptions): ConformanceProcess;
  ours: ConformanceProcess;
}

export interface StartOptions {
  fence?: { held: boolean };
  token?: string;
  projectId?: string;
  stackId?: string;
  observeIntervalMs?: number;
}

/** With a process that knows the stack. Everything ends with the test. */
export async function mittwaldWorld(options: MittwaldOptions = {}): Promise<MittwaldWorld> {
  const vendor = await startMittwald({ pullMs: 5, startMs: 5, stopMs: 5, pullRetryMs: 50, ...options });
  const processes = new Set<ConformanceProcess>();
  onTestFinished(async () => {
    await Promise.all([...processes].map((each) => each.kill()));
    await vendor.stop();
  });
  const [project] = vendor.platform.projects();
  if (project === undefined) throw new Error("no project");
  const start = (of: StartOptions = {}): ConformanceProcess => {
    const started = startProcess(vendor, project.id, of, processes.size);
    processes.add(started);
    return started;
  };
  const ours = start();
  await synced(ours);
  return { vendor, projectId: project.id, stackId: project.id, start, ours };
}

function startProcess(
  vendor: MittwaldSimulator,
  projectId: string,
  options: StartOptions,
  number: number,
): ConformanceProcess {
  const fence = options.fence ?? { held: true };
  const logged: string[] = [];
  const malformed: string[] = [];
  const events: SessionEvent[] = [];
  const log = (fields: object, text: string): void => void logged.push(JSON.stringify({ ...fields, text }));
  const backend = createMittwaldBackend({
    clock: systemClock,
    log: { debug: log, info: log, warn: log, error: log },
    metrics: {
      command: () => undefined,
      malformed: (_backend, kind) => void malformed.push(kind),
      reconnect: () => undefined,
    },
    fence: { valid: () => fence.held },
    random: Math.random,
    timings: {
      observeIntervalMs: options.observeIntervalMs ?? 100,
      reconnectInitialMs: 20,
      reconnectMaxMs: 100,
      settleMs: SETTLE_MS,
    },
    processId: `process-${number}`,
  });
  const account = backend.connect(
    {
      mittwald: { url: vendor.url },
      credentialsSecretRef: { name: "mittwald" },
      rateLimit: { requestsPerSecond: 1000, burst: 1000, concurrency: 8 },
      commandTimeoutSeconds: 1,
      createTimeoutSeconds: 5,
    },
    { apiKey: options.token ?? TOKEN },
  );
  const session = account.openDevice({
    backendRef: { name: "mittwald" },
    mittwald: {
      projectId: options.projectId ?? projectId,
      ...(options.stackId !== undefined && { stackId: options.stackId }),
    },
  });
  session.subscribe((event) => void events.push(event));
  return {
    backend,
    account,
    session,
    fence,
    events,
    notices: [],
    logged,
    malformed,
    kill: () => account.close(),
  };
}

export function create(image = IMAGE, spec: Parameters<typeof desired>[1] = {}, name = "web"): CommandAction {
  return {
    kind: "Create",
    desired: desired(image, spec, name),
    marker: { ...MARKER, name, operation: name === "web" ? "op-1" : `op-${name}` },
  };
}

/** Writes of ours that reached the vendor, as operation and what of the stack they name. */
export function writes(vendor: MittwaldSimulator): string[] {
  return vendor
    .requests()
    .filter(({ method }) => method !== "GET")
    .map(({ operation }) => operation);
}
