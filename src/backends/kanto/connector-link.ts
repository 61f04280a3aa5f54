/**
 * Transport Connector: a plain MQTT broker in the cloud, to which Kanto's suite-connector in generic mode carries the messages of a device's
 * own broker. One connection carries all devices of an EdgeBackend; each has its own two or three subscriptions.
 *
 * Sources: eclipse-kanto/suite-connector at 938ae15, routing/commands.go (requests and replies), routing/events.go, routing/utils.go
 * (fixCommand, stripGatewayID: the gateway's id is a topic level of its own and is cut off from the id of the containers thing). Its prefixes
 * come from its environment: COMMAND_RESPONSE_TOPIC_PREFIX and EVENTS_TOPIC_PREFIX.
 *
 * The connector subscribes to requests with QoS 0, and not while it is away: what is sent then is lost. It forwards a reply only while it
 * remembers the request, for as long as the request's `timeout` header says and five seconds more.
 */
import { BACKEND_DEFAULTS } from "../../crds/default-values.ts";
import type { TopicDialect } from "./mqtt-transport.ts";
import type { KantoTarget, Route } from "./topics.ts";
import type { KantoSpec } from "./transport.ts";

/**
 * How long our subscriptions outlive our connection, s. What is missed can be had again only from the device's next registration, so a short
 * outage should lose nothing; a long one would overflow the broker's queue for us, silently (mosquitto keeps 1000 messages by default).
 */
const SESSION_EXPIRY_S = 120;
/** The containers thing's id without its gateway's. */
const THING = "edge:containers";
const STATUS = /^[0-9]{3}$/;

/** `{tenant}` and `{deviceId}` in EdgeBackend.spec.kanto.connector.statusTopic. */
function filled(template: string, tenant: string, deviceId: string): string {
  return template.replaceAll("{tenant}", tenant).replaceAll("{deviceId}", deviceId);
}

/** Reads the same template backwards. */
function statusPattern(template: string): RegExp {
  const text = template
    .split(/(\{tenant\}|\{deviceId\})/)
    .map((part) =>
      part === "{tenant}" ? "(?<tenant>[^/]+)" : part === "{deviceId}" ? "(?<device>[^/]+)" : escaped(part),
    );
  return new RegExp(`^${text.join("")}$`);
}

function escaped(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`);
}

/** Prefixes are written without or with their last slash. */
function levels(prefix: string | undefined): string {
  return prefix === undefined || prefix === "" || prefix.endsWith("/") ? (prefix ?? "") : `${prefix}/`;
}

/** A topic as its parts; `kind` is where it came from. */
interface Parts {
  kind: "command" | "event" | "status";
  address: string;
  rest: readonly string[];
}

export function connectorDialect(kanto: KantoSpec): TopicDialect {
  const { responsePrefix, eventPrefix, statusTopic } = kanto.connector ?? {};
  const answers = levels(responsePrefix);
  const events = levels(eventPrefix);
  const status = statusTopic === undefined ? undefined : { template: statusTopic, pattern: statusPattern(statusTopic) };
  const tenantOf = (target: KantoTarget): string => target.tenant ?? kanto.tenant;
  const address = (target: KantoTarget): string => `${tenantOf(target)}/${target.gatewayId}`;

  const parse = (topic: string): Parts | undefined => {
    for (const [prefix, kind] of [
      [answers, "command"],
      [events, "event"],
    ] as const) {
      if (!topic.startsWith(`${prefix}${kind}/`)) continue;
      const [tenant = "", device = "", thing, ...rest] = topic.slice(prefix.length + kind.length + 1).split("/");
      if (thing === THING) return { kind, address: `${tenant}/${device}`, rest };
    }
    const said = status?.pattern.exec(topic)?.groups;
    if (said === undefined) return undefined;
    return { kind: "status", address: `${said["tenant"] ?? kanto.tenant}/${said["device"] ?? ""}`, rest: [] };
  };

  return {
    // AWS IoT Core, for which generic mode was made, takes 128 KiB; others take more, and no sensible command comes near it.
    traits: { inventory: "Watch", replyFilter: true, maxBytes: 128 * 1024 },
    // Only 5 lets a broker keep what comes while our connection is away, and forget it again when nobody returns.
    mqttVersion: BACKEND_DEFAULTS.kantoConnectorMqttVersion,
    sessionExpirySeconds: SESSION_EXPIRY_S,
    address,
    clash: ({ gatewayId }) => `gateway ${gatewayId} is already attached on this broker`,
    filters: (target) => [
      `${answers}command/${address(target)}/${THING}/res/#`,
      `${events}event/${address(target)}/${THING}`,
      ...(status === undefined ? [] : [filled(status.template, tenantOf(target), target.gatewayId)]),
    ],
    request: (target, { requestId, operation }) =>
      `command/${address(target)}/${THING}/req/${requestId}/${operation.operation}`,
    find: (topic, attached) => {
      const parts = parse(topic);
      return parts === undefined ? undefined : attached.get(parts.address);
    },
    route: (target, topic) => route(parse(topic), tenantOf(target)),
  };
}

function route(parts: Parts | undefined, tenant: string): Route | undefined {
  if (parts === undefined) return undefined;
  const { kind, rest } = parts;
  switch (kind) {
    case "event":
      return rest.length === 0 ? { kind: "Event", tenant } : undefined;
    case "status":
      return { kind: "ConnectorStatus" };
    case "command": {
      const [direction, requestId, code, ...more] = rest;
      if (direction !== "res" || requestId === undefined || code === undefined || more.length > 0) return undefined;
      return STATUS.test(code) ? { kind: "Response", requestId, status: Number(code) } : undefined;
    }
    default:
      return kind satisfies never;
  }
}
