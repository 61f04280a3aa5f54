// How suite-connector in generic mode names things in the cloud. Sources: its routing/utils.go (fixCommand, stripGatewayID), routing/commands.go
// (HandleResponse), routing/events.go (HandleEvent), util/utils.go (ParseCmdTopic).

export interface Naming {
  tenantId: string;
  deviceId: string;
  /** COMMAND_RESPONSE_TOPIC_PREFIX. */
  responsePrefix?: string;
  /** EVENTS_TOPIC_PREFIX. */
  eventsPrefix?: string;
  /** TELEMETRY_TOPIC_PREFIX. */
  telemetryPrefix?: string;
}

/** The filter of requests in the cloud. */
export const requestFilter = ({ tenantId, deviceId }: Naming): string => `command/${tenantId}/${deviceId}/+/req/#`;

/** What it listens to on the device's broker. */
export const LOCAL_FILTERS = ["command//+/res/#", "c//+/s/#", "event/#", "e/#", "telemetry/#", "t/#"] as const;

/** A request's topics on the device, the long one and Hono's short one. @throws Error for a topic with too few levels */
export function localRequestTopics(topic: string): [string, string] {
  const [, , gateway = "", thing, ...rest] = topic.split("/");
  if (thing === undefined || rest.length === 0) {
    throw new Error(`Invalid command topic ${topic}`);
  }
  const device = thing === "" ? "" : `${gateway}:${thing}`;
  const long = ["command/", device, ...rest].join("/");
  return [long, `c//${device}/q/${rest.slice(1).join("/")}`];
}

/**
 * A response's topic in the cloud.
 * @throws Error for a response of another gateway
 */
export function cloudResponseTopic({ tenantId, deviceId, responsePrefix }: Naming, topic: string): string {
  const [, , device = "", , ...suffix] = topic.split("/");
  const thing = stripGateway(deviceId, device);
  return [...level(responsePrefix), "command", tenantId, deviceId, thing, "res", ...suffix].join("/");
}

/**
 * The topic in the cloud of an event or of telemetry.
 * @throws Error for one of another gateway
 */
export function cloudEventTopic(naming: Naming, topic: string): string {
  const [kind = "", tenant = "", device = "", ...more] = topic.split("/");
  const telemetry = kind === "telemetry" || kind === "t";
  const prefix = telemetry ? naming.telemetryPrefix : naming.eventsPrefix;
  const thing = stripGateway(naming.deviceId, device === "" ? naming.deviceId : device);
  return [
    ...level(prefix),
    telemetry ? "telemetry" : "event",
    tenant === "" ? naming.tenantId : tenant,
    naming.deviceId,
    thing,
    ...more,
  ].join("/");
}

export const isResponse = (topic: string): boolean => topic.startsWith("command//") || topic.startsWith("c//");

export const isEvent = (topic: string): boolean => topic.startsWith("e/") || topic.startsWith("event/");

const level = (prefix: string | undefined): string[] => (prefix === undefined || prefix === "" ? [] : [prefix]);

/** By the beginning of the text alone: the gateway `edge:device-1` takes the things of `edge:device-10` for its own, as the real one does. */
function stripGateway(gatewayId: string, deviceId: string): string {
  if (!deviceId.startsWith(gatewayId)) {
    throw new Error(`Invalid deviceID ${deviceId} for gateway ${gatewayId}`);
  }
  return deviceId.slice(gatewayId.length + 1);
}
