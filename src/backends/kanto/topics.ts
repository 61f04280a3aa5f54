/**
 * Where a Kanto device is spoken to: its ids and its topics on the device's own MQTT broker (transport Local).
 *
 * Sources: eclipse-kanto/container-management, things/client/client_handler_utils.go (command topics), device_connection.go (event
 * topic) and client_internal.go (identity topics). `command//<thing>` with its empty segment is Hono's short form for a gateway.
 */

/** End of the id of the thing that container-management registers below its gateway. */
const CONTAINERS_SUFFIX = ":edge:containers";

/** `namespace:name`, neither empty; a thing id without a colon makes the daemon register `plain::edge:containers`. */
const GATEWAY_ID = /^[^:/+#\s]+:[^/+#\s]+$/;

/**
 * Whether a text can be one level of a topic everywhere: printable ASCII without the characters that mean something. Brokers hang up on
 * control characters and on what is no Unicode (MQTT 3.1.1, 1.5.3), and so would the device's on the daemon.
 */
export function isTopicLevel(text: string): boolean {
  return /^[!"$-*,-.0-~]{1,256}$/.test(text);
}

/** A device as addressed on a broker. */
export interface KantoTarget {
  /** Put before every topic; empty where the broker carries a single device. */
  topicPrefix: string;
  /** Id that a connector would announce: `namespace:name`. */
  gatewayId: string;
  /** Id of the containers thing: the gateway's with `:edge:containers`. */
  thingId: string;
  /** Tenant of this device, where it is not the backend's. */
  tenant?: string;
}

/** Topics of one device. */
export interface KantoTopics {
  /** What to subscribe to: this thing only, never a broad wildcard. The tenant is open: a connector may have announced another. */
  readonly filters: readonly string[];
  readonly identityRequest: string;
  readonly identityResponse: string;
  /** @param requestId one topic segment; the daemon echoes it in the topic of its answer. */
  command(requestId: string, operation: string): string;
}

/** What a received topic means for a device. */
export type Route =
  | { kind: "Response"; requestId: string; status: number }
  | { kind: "Event"; tenant: string }
  | { kind: "IdentityRequest" }
  | { kind: "IdentityResponse" }
  | { kind: "ConnectorStatus" };

/**
 * Resolves the target of an EdgeDevice.
 *
 * @param thingId id of the containers thing, or of the gateway: a missing `:edge:containers` is added.
 * @param topicPrefix put before every topic, e.g. `site-7/`; empty for none.
 * @param tenant the device's own, if any.
 * @returns undefined if the id has no namespace or holds characters that a topic cannot carry.
 */
export function kantoTarget(thingId: string, topicPrefix = "", tenant?: string): KantoTarget | undefined {
  const gatewayId = thingId.endsWith(CONTAINERS_SUFFIX) ? thingId.slice(0, -CONTAINERS_SUFFIX.length) : thingId;
  if (!GATEWAY_ID.test(gatewayId)) return undefined;
  const thing = `${gatewayId}${CONTAINERS_SUFFIX}`;
  return { topicPrefix, gatewayId, thingId: thing, ...(tenant !== undefined && { tenant }) };
}

/** Ditto's spelling of a thing id in a protocol topic: only the first colon, after the namespace, becomes a slash. */
export function dittoThing(thingId: string): string {
  const colon = thingId.indexOf(":");
  return `${thingId.slice(0, colon)}/${thingId.slice(colon + 1)}`;
}

/** The topics of a target. */
export function kantoTopics(target: KantoTarget): KantoTopics {
  const { topicPrefix, thingId } = target;
  const base = `${topicPrefix}command//${thingId}`;
  const identityRequest = `${topicPrefix}edge/thing/request`;
  const identityResponse = `${topicPrefix}edge/thing/response`;
  return {
    filters: [`${base}/res/#`, `${topicPrefix}e/+/${thingId}`, identityRequest, identityResponse],
    identityRequest,
    identityResponse,
    command: (requestId, operation) => `${base}/req/${requestId}/${operation}`,
  };
}

/** Reads a received topic; undefined if it is none of this target's. */
export function routeTopic(target: KantoTarget, topic: string): Route | undefined {
  const { topicPrefix, thingId } = target;
  if (!topic.startsWith(topicPrefix)) return undefined;
  const rest = topic.slice(topicPrefix.length);
  if (rest === "edge/thing/request") return { kind: "IdentityRequest" };
  if (rest === "edge/thing/response") return { kind: "IdentityResponse" };
  const answers = `command//${thingId}/res/`;
  if (rest.startsWith(answers)) {
    const [requestId, status, ...more] = rest.slice(answers.length).split("/");
    if (requestId === undefined || status === undefined || more.length > 0 || !/^[0-9]{3}$/.test(status))
      return undefined;
    return { kind: "Response", requestId, status: Number(status) };
  }
  const [event, tenant, thing, ...more] = rest.split("/");
  if (event !== "e" || tenant === undefined || thing !== thingId || more.length > 0) return undefined;
  return { kind: "Event", tenant };
}
