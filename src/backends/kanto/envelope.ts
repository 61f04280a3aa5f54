/**
 * The Ditto protocol envelopes that travel in Kanto's MQTT payloads: requests as the daemon accepts them, and its answers and twin
 * events as read from untrusted bytes.
 *
 * The daemon is fragile: on a topic with a request id a payload that is no object, lacks a topic or path, or carries
 * `response-required` or `correlation-id` of a wrong type ends the process (things/client/client_handler_utils.go, headers.go). So a
 * request is built in one place only, and checked again before it is sent.
 */
import { isObject, objectAt, parseJson, textAt, type JsonObject } from "../guards.ts";
import { dittoThing } from "./topics.ts";

/** The feature that creates containers; there is one on each containers thing. */
export const FACTORY_FEATURE = "ContainerFactory";
/** Begins the feature id of a container; its external id follows. */
export const CONTAINER_PREFIX = "Container:";
/** The feature that reports what containers use. */
export const METRICS_FEATURE = "Metrics";
/** The feature that lists the ids of all containers. */
export const SOFTWARE_FEATURE = "SoftwareUpdatable";
/** Operation that no daemon knows: answered 404 within milliseconds, in the order of commands, and changing nothing. */
export const PROBE_OPERATION = "drayageProbe";

/** An operation on a feature of the containers thing. */
export interface Operation {
  feature: string;
  operation: string;
  value: unknown;
}

/** Feature id of a container. */
export function containerFeature(externalId: string): string {
  return `${CONTAINER_PREFIX}${externalId}`;
}

/**
 * The payload of a request that is to be answered.
 *
 * @param requestId also the correlation id: fresh for each send.
 * @param headers further ones; the daemon wants their values to be strings.
 * @throws RangeError if the result could not be sent safely; a fault in this program, not in a spec.
 */
export function requestPayload(
  thingId: string,
  requestId: string,
  operation: Operation,
  headers: Readonly<Record<string, string>> = {},
): string {
  // `value` and the content type go together in the daemon's header check; an absent value would forbid the content type.
  const text = JSON.stringify({
    topic: `${dittoThing(thingId)}/things/live/messages/${operation.operation}`,
    headers: { "response-required": true, "content-type": "application/json", "correlation-id": requestId, ...headers },
    path: `/features/${operation.feature}/inbox/messages/${operation.operation}`,
    value: operation.value,
  });
  const safe =
    requestId !== "" &&
    /^[^/+#\s]+$/.test(requestId) &&
    /^[A-Za-z]+$/.test(operation.operation) &&
    /^[^/+#\s]+$/.test(operation.feature) &&
    operation.value !== undefined &&
    operation.value !== null;
  if (!safe) throw new RangeError(`request for ${operation.operation} cannot be encoded safely`);
  return text;
}

/**
 * An operation that changes nothing and is told in the device's twin, with this id: the removal of a container that cannot exist
 * (containerm/things/features_rollouts_software_updatable_internal.go, processRemoveAction).
 */
export function markOperation(correlationId: string): Operation {
  const nothing = { group: "drayage", name: "drayage-mark", version: "0" };
  return { feature: SOFTWARE_FEATURE, operation: "remove", value: { correlationId, software: [nothing] } };
}

/** How a daemon answered. */
export interface Answer {
  status: number;
  /** Text of the error; empty on success. */
  message: string;
  /** The value on success, e.g. the id of a created container. */
  value: unknown;
  /** True if the operation was refused before it was tried (inbox path). */
  refused: boolean;
}

/**
 * Reads the payload of an answer. The status of the topic counts: it is there even if the body is damaged.
 *
 * @returns undefined if the body is no envelope.
 */
export function readAnswer(status: number, payload: string): Answer | undefined {
  const body = parseJson(payload);
  if (!isObject(body)) return undefined;
  const { value } = body;
  const message = isObject(value) ? (textAt(value, "message") ?? "") : "";
  return { status, message, value, refused: (textAt(body, "path") ?? "").includes("/inbox/") };
}

/** What a twin event says; one per kind that matters to us. */
export type TwinEvent =
  | { kind: "Container"; externalId: string; feature: JsonObject }
  | { kind: "Removed"; externalId: string }
  | { kind: "State"; externalId: string; state: JsonObject }
  | { kind: "Name"; externalId: string; name: string }
  | { kind: "Config"; externalId: string; config: JsonObject }
  /** The factory itself: the last message of the container list in a full re-publication. */
  | { kind: "Factory" }
  /** The ids of all containers, as SoftwareUpdatable lists them with each registration and after each creation and removal. */
  | { kind: "Listed"; externalIds: readonly string[] }
  /** A report on what containers use; `value` is untrusted, see usage.ts. */
  | { kind: "Usage"; value: unknown }
  /** Well-formed and of no interest, e.g. the progress of SoftwareUpdatable. */
  | { kind: "Other" }
  /** Of another thing than the topic it came on belongs to. */
  | { kind: "Foreign" };

const FEATURE_PATH = /^\/features\/([^/]+)(\/.*)?$/;

/** Longest id of a container; the daemon's own are UUIDs, and others choose theirs with SoftwareUpdatable. */
const LONGEST_ID = 256;

/**
 * Reads a twin event; undefined if it is malformed.
 *
 * @param thingId of the thing that the event must be about.
 */
export function readEvent(thingId: string, payload: string): TwinEvent | undefined {
  const body = parseJson(payload);
  if (!isObject(body)) return undefined;
  const topic = textAt(body, "topic");
  const [, feature, property] = FEATURE_PATH.exec(textAt(body, "path") ?? "") ?? [];
  if (topic === undefined || feature === undefined) return undefined;
  if (!topic.startsWith(`${dittoThing(thingId)}/`)) return { kind: "Foreign" };
  const criterion = topic.split("/").slice(2).join("/");
  if (feature === FACTORY_FEATURE && property === undefined && criterion === "things/twin/commands/modify") {
    return { kind: "Factory" };
  }
  if (feature === SOFTWARE_FEATURE && criterion === "things/twin/commands/modify") {
    return readDependencies(property, body["value"]);
  }
  if (
    feature === METRICS_FEATURE &&
    property === "/outbox/messages/data" &&
    criterion === "things/live/messages/data"
  ) {
    return { kind: "Usage", value: body["value"] };
  }
  if (!feature.startsWith(CONTAINER_PREFIX)) return { kind: "Other" };
  const externalId = feature.slice(CONTAINER_PREFIX.length);
  if (externalId === "" || externalId.length > LONGEST_ID || !externalId.isWellFormed()) return undefined;
  if (criterion === "things/twin/commands/delete") {
    return property === undefined ? { kind: "Removed", externalId } : { kind: "Other" };
  }
  if (criterion !== "things/twin/commands/modify") return { kind: "Other" };
  return readModify(externalId, property, body["value"]);
}

/** The map's keys are made from image references; the container ids are in its entries. No map at all is an empty one. */
export function readDependencies(property: string | undefined, value: unknown): TwinEvent | undefined {
  if (property !== undefined && property !== "/properties/status/installedDependencies") return { kind: "Other" };
  const status = isObject(value) ? objectAt(objectAt(value, "properties"), "status") : {};
  const map = property === undefined ? status["installedDependencies"] : value;
  if (map === undefined || map === null) return { kind: "Listed", externalIds: [] };
  if (!isObject(map)) return undefined;
  const externalIds = Object.values(map).map((entry) => (isObject(entry) ? textAt(entry, "name") : undefined) ?? "");
  return externalIds.includes("") ? undefined : { kind: "Listed", externalIds };
}

function readModify(externalId: string, property: string | undefined, value: unknown): TwinEvent | undefined {
  switch (property) {
    case undefined:
      return isObject(value) ? { kind: "Container", externalId, feature: value } : undefined;
    case "/properties/status/state":
      return isObject(value) ? { kind: "State", externalId, state: value } : undefined;
    case "/properties/status/config":
      return isObject(value) ? { kind: "Config", externalId, config: value } : undefined;
    case "/properties/status/name":
      return typeof value === "string" && value !== "" ? { kind: "Name", externalId, name: value } : undefined;
    default:
      return { kind: "Other" };
  }
}

/** An identity announcement on edge/thing/response. */
export interface Identity {
  deviceId: string;
  tenantId: string;
  policyId: string;
}

/** Reads an announcement; undefined if it names no device. */
export function readIdentity(payload: string): Identity | undefined {
  const body = parseJson(payload);
  if (!isObject(body)) return undefined;
  const deviceId = textAt(body, "deviceId");
  if (deviceId === undefined) return undefined;
  return { deviceId, tenantId: textAt(body, "tenantId") ?? "", policyId: textAt(body, "policyId") ?? "" };
}

/** Payload of an announcement. */
export function identityPayload(identity: Identity): string {
  return JSON.stringify(identity);
}

/**
 * Reads what a connector says of its cloud link (edge/connection/remote/status; suite-connector, routing/service.go, ConnectionStatus). Its
 * last will says `connected: false` with cause CONNECTION_UNKNOWN.
 *
 * @returns whether the link is up; undefined if it is malformed.
 */
export function readConnectorStatus(payload: string): boolean | undefined {
  const body = parseJson(payload);
  const connected = isObject(body) ? body["connected"] : undefined;
  return typeof connected === "boolean" ? connected : undefined;
}
