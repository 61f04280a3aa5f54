/** What `drayage kanto` needs of a device: what it runs, seen by somebody who may look and not touch. */
import { randomUUID } from "node:crypto";
import type { AccountCredentials, BackendDeps, ObservedContainer } from "../backends/contract.ts";
import { createKantoBackend } from "../backends/kanto/index.ts";
import type { KantoTarget } from "../backends/kanto/topics.ts";
import type { EdgeBackendSpec } from "../crds/edge-backend.ts";
import { systemClock } from "../kube/clock.ts";
import type { BrokerLogin } from "./broker-options.ts";
import { ExitError } from "./exit-error.ts";

/** How to get to a device. */
export interface DeviceAccess {
  target: KantoTarget;
  brokerUrl: string;
  mqttVersion: "3.1.1" | "5";
  serverName: string | undefined;
  login: BrokerLogin;
}

/** The endpoint in the words of an EdgeBackend. Whoever answers the device's identity requests now goes on doing so. */
export function specOf({ brokerUrl, mqttVersion, serverName }: DeviceAccess, tenant = ""): EdgeBackendSpec {
  return {
    kanto: { url: brokerUrl, tenant, mqttVersion, answerIdentity: false, clientIdPrefix: "dr-hand" },
    ...(serverName !== undefined && { tls: { serverName } }),
  };
}

/** For one person at a terminal, who is told how things end, not how they go: a backend that may look, and never acts by itself. */
export function handDeps(timings: BackendDeps["timings"] = {}): BackendDeps {
  const nothing = (): void => undefined;
  return {
    clock: systemClock,
    log: { debug: nothing, info: nothing, warn: nothing, error: nothing },
    metrics: { command: nothing, malformed: nothing, reconnect: nothing },
    fence: { valid: () => false },
    observeFence: { valid: () => true },
    random: Math.random,
    timings,
    processId: randomUUID(),
  };
}

/** As the backend takes them. */
export function credentialsOf({ credentials, tls }: BrokerLogin): AccountCredentials {
  return {
    ...credentials,
    ...(tls?.ca !== undefined && { ca: tls.ca }),
    ...(tls?.cert !== undefined && { clientCert: tls.cert }),
    ...(tls?.key !== undefined && { clientKey: tls.key }),
  };
}

/** A message of the backend in the words of the command line. */
export function asOptions(message: string): string {
  return message.replaceAll("spec.tls.caRef", "--ca-file").replaceAll("spec.tls.serverName", "--server-name");
}

/**
 * Everything that the device runs: its identity is announced afresh, which makes it publish all of it. Nothing on the device changes.
 *
 * @throws ExitError (1) if the broker or the device does not answer in time.
 */
export async function inventoryOf(
  access: DeviceAccess,
  tenant: string,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<readonly ObservedContainer[]> {
  const { target, login } = access;
  const backend = createKantoBackend(handDeps({ probeTimeoutMs: Math.min(10_000, timeoutMs) }));
  const { promise: ended, resolve: end, reject: fail } = Promise.withResolvers<void>();
  const stop = (message: string): void => fail(new ExitError(1, message));
  const account = backend.connect(specOf(access, tenant), credentialsOf(login));
  const session = account.openDevice({
    backendRef: { name: "" },
    kanto: { thingId: target.thingId, ...(target.topicPrefix !== "" && { topicPrefix: target.topicPrefix }) },
  });
  account.subscribe((status) => {
    const final = status.state === "Failed" && (status.nextTryMs ?? Number.POSITIVE_INFINITY) > systemClock.now();
    if (final) stop(asOptions(status.message));
  });
  session.subscribe(() => {
    const { synced, message } = session.snapshot();
    if (synced) end();
    else if (message?.startsWith("the broker refuses") === true) stop(message);
  });
  const timer = setTimeout(
    () =>
      stop(
        session.snapshot().lastSeenMs === undefined
          ? `nothing was heard of ${target.thingId} within ${timeoutMs / 1000} s: is it on and connected to this broker, and is --thing right (and --topic-prefix, where a bridge adds one)?`
          : `the device did not list its containers within ${timeoutMs / 1000} s: ${session.snapshot().message ?? "no answer"}`,
      ),
    timeoutMs,
  );
  const onAbort = (): void => stop("stopped before the device listed its containers");
  signal.addEventListener("abort", onAbort);
  if (signal.aborted) onAbort();
  try {
    await ended;
    return session.snapshot().containers;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
    await account.close();
  }
}
