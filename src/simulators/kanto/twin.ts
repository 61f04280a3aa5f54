// How the twin shows a container: upper-case enumerations, zero values left out, and the Ditto envelopes around it. Every shape here is as
// recorded from a real daemon. Source of the field lists: containerm/things/datatypes_*.go (Go's `omitempty`), things/client/generator.go.

import type { Container, ContainerConfig, ContainerState, LogConfig, Resources, RestartPolicy } from "./types.ts";

export const definitions = {
  container: "com.bosch.iot.suite.edge.containers:Container:1.5.0",
  factory: "com.bosch.iot.suite.edge.containers:ContainerFactory:1.3.0",
  softwareUpdatable: "org.eclipse.hawkbit.swupdatable:SoftwareUpdatable:2.0.0",
  metrics: "com.bosch.iot.suite.edge.metric:Metrics:1.0.0",
} as const;

/** Feature ids of the containers thing. */
export const features = {
  factory: "ContainerFactory",
  softwareUpdatable: "SoftwareUpdatable",
  metrics: "Metrics",
} as const;
export const containerFeature = (id: string): string => `Container:${id}`;

export interface Envelope {
  topic: string;
  headers: Record<string, unknown>;
  path: string;
  value?: unknown;
  status?: number;
}

/** The containers thing of a device: `edge:device` -> `edge:device:edge:containers`. An id without a colon is all namespace: `plain::edge:containers`. */
export const thingId = (deviceId: string): string => `${deviceId}${deviceId.includes(":") ? "" : ":"}:edge:containers`;
/** A thing id as a Ditto topic writes it: `edge:device:edge:containers` -> `edge/device:edge:containers`. */
export function thingTopic(thing: string): string {
  const colon = thing.indexOf(":");
  return `${thing.slice(0, colon)}/${thing.slice(colon + 1)}`;
}

/** A twin command that sets (`modify`) or removes (`delete`) a path of the containers thing. */
export function twinCommand(thing: string, action: "modify" | "delete", path: string, value?: unknown): Envelope {
  return {
    topic: `${thingTopic(thing)}/things/twin/commands/${action}`,
    headers: { "response-required": false },
    path,
    ...(value === undefined ? {} : { value }),
  };
}

/** A message that a feature sends on its own (`Metrics` data). */
export function outboxMessage(thing: string, feature: string, subject: string, value: unknown): Envelope {
  return {
    topic: `${thingTopic(thing)}/things/live/messages/${subject}`,
    headers: { "content-type": "application/json", "response-required": false },
    path: `/features/${feature}/outbox/messages/${subject}`,
    value,
  };
}

/** A response; with status 204 there is neither value nor content type. */
export function response(
  topic: string,
  path: string,
  correlationId: string,
  status: number,
  value?: unknown,
): Envelope {
  const headers = {
    ...(status === 204 ? {} : { "content-type": "application/json" }),
    "correlation-id": correlationId,
  };
  return { topic, headers, path, ...(status === 204 ? {} : { value }), status };
}

/** The whole feature of a container. */
export function containerFeatureValue(container: Container): Record<string, unknown> {
  return {
    definition: [definitions.container],
    properties: {
      status: {
        ...compact({ name: container.name }),
        imageRef: container.imageRef,
        config: twinConfig(container.config),
        createdAt: container.createdAt,
        state: twinState(container.state),
      },
    },
  };
}

export function twinState(state: ContainerState): Record<string, unknown> {
  const { pid, exitCode, error, startedAt, finishedAt, oomKilled } = state;
  return { status: upper(state.status), ...compact({ pid, exitCode, error, startedAt, finishedAt, oomKilled }) };
}

export function twinConfig(config: ContainerConfig): Record<string, unknown> {
  return compact({
    domainName: config.domainName,
    mountPoints: config.mountPoints.map((mount) => ({ ...mount, propagationMode: upper(mount.propagationMode) })),
    hostName: config.hostName,
    env: config.env,
    cmd: config.cmd,
    decryption: config.decryption && compact(config.decryption),
    devices: config.devices.map(({ pathOnHost, pathInContainer, cgroupPermissions }) => ({
      pathOnHost,
      pathInContainer,
      ...compact({ cgroupPermissions }),
    })),
    privileged: config.privileged,
    restartPolicy: config.restartPolicy && twinPolicy(config.restartPolicy),
    extraHosts: config.extraHosts,
    extraCapabilities: config.extraCapabilities,
    portMappings: config.portMappings.map(({ proto, hostPort, hostPortEnd, containerPort, hostIP }) => ({
      hostPort,
      containerPort,
      ...compact({ proto, hostPortEnd, hostIP }),
    })),
    networkMode: upper(config.networkMode),
    openStdin: config.openStdin,
    tty: config.tty,
    log: config.log && twinLog(config.log),
    resources: config.resources && twinResources(config.resources),
  });
}

const twinPolicy = ({ type, maxRetryCount, retryTimeoutS }: RestartPolicy): Record<string, unknown> =>
  compact({ maxRetryCount, retryTimeout: retryTimeoutS, type: upper(type) });

const twinLog = (log: LogConfig): Record<string, unknown> =>
  compact({ ...log, type: upper(log.type), mode: upper(log.mode) });

const twinResources = (resources: Resources): Record<string, unknown> => compact({ ...resources });

/** `unless-stopped` -> `UNLESS_STOPPED`, `Exited` -> `EXITED`. */
const upper = (internal: string): string => internal.toUpperCase().replaceAll("-", "_");

/** Drops zero values (0, "", false, empty list, undefined), as Go's omitempty does; an empty object stays. */
function compact(fields: object): Record<string, unknown> {
  const kept = Object.entries(fields).filter(
    ([, value]) =>
      value !== undefined &&
      value !== 0 &&
      value !== "" &&
      value !== false &&
      !(Array.isArray(value) && value.length === 0),
  );
  return Object.fromEntries(kept);
}
