// What the daemon does with a message on its command topic: which inputs kill it, which it refuses, to whom it gives the rest, and when it
// answers. Source: things/client/client_handler_commands.go and client_handler_utils.go, headers.go, client_handler_events.go.

import { errorValue, Panic, parameterInvalid, subjectNotFound, text, type ThingError } from "./errors.ts";
import { isObject } from "./go-json.ts";
import type { Thing } from "./thing.ts";
import { response, thingTopic, type Envelope } from "./twin.ts";

const COMMAND = /^command\/\/([^/]+)\/req\/([^/]*)\/([^/]+)$/;
const FEATURE_OPERATION = /^\/features\/([^/]+)\/inbox\/messages\/([^/]+)$/;
const THING_OPERATION = /^\/inbox\/messages\/([^/]+)$/;
const FEATURE_PATH = /^\/features\/([^/]+)$/;
/** Last segments of one-way topics that are not commands but echoes of twin events, or errors of the twin service. */
const ROUTED = new Set(["created", "modified", "deleted", "errors-response"]);

/** What there is to do with a command: which operation it is, and what to answer. */
export interface Answer {
  topic: string;
  envelope: Envelope;
}

export interface CommandOutcome {
  /** Undefined for one-way commands and messages that are no commands. */
  answer?: Answer;
}

/** The parts of a request that can be told from its bytes, for logs and fault rules; empty where there is none. */
export interface RequestSummary {
  requestId: string;
  operation: string;
  feature: string;
  correlationId: string;
  value: unknown;
}

export function summarize(topic: string, payload: Buffer): RequestSummary {
  const requestId = COMMAND.exec(topic)?.[2] ?? "";
  const request = parseObject(payload) ?? {};
  const [, feature = "", operation = ""] = FEATURE_OPERATION.exec(asText(request["path"])) ?? [];
  const headers = isObject(request["headers"]) ? request["headers"] : {};
  return { requestId, operation, feature, correlationId: asText(headers["correlation-id"]), value: request["value"] };
}

/**
 * Executes one message of `command//<thing>/req/#`.
 * @throws Panic when the daemon's process would die of it
 */
export async function handleCommand(thing: Thing, topic: string, payload: Buffer): Promise<CommandOutcome> {
  const match = COMMAND.exec(topic);
  if (!match) {
    return {};
  }
  const [, device = "", requestId = "", subject = ""] = match;
  const request = parseObject(payload);
  if (requestId === "" && ROUTED.has(subject)) {
    applyEcho(thing, subject, request);
    return {};
  }
  const oneWayTopic = requestId === "";
  if (
    !request ||
    !isOptionalObject(request["headers"]) ||
    !isTextOrAbsent(request["topic"]) ||
    !isTextOrAbsent(request["path"])
  ) {
    return unparsed(oneWayTopic);
  }
  const path = asText(request["path"]);
  const target = asText(request["topic"]).split("/");
  if (path === "" || target.length < 3) {
    return unparsed(oneWayTopic);
  }
  const headers = isObject(request["headers"]) ? request["headers"] : {};
  const correlationId = headerText(headers, "correlation-id");
  const value = request["value"] ?? undefined;
  const answer = (status: number, answerPath: string, body?: unknown): CommandOutcome =>
    oneWayTopic || !responseRequired(headers)
      ? {}
      : {
          answer: {
            topic: `command//${device}/res/${requestId}/${status}`,
            envelope: response(asText(request["topic"]), answerPath, correlationId, status, body),
          },
        };
  const refuse = (error: ThingError): CommandOutcome => answer(error.status, path, errorValue(error));

  const badHeader = checkHeaders(correlationId, headerText(headers, "content-type"), value);
  if (badHeader !== undefined) {
    return refuse(parameterInvalid(text.invalidMessage(device, badHeader)));
  }
  if (`${target[0]}/${target[1]}` !== thingTopic(thing.id)) {
    return refuse(subjectNotFound(text.thingNotFound(device)));
  }
  const [, feature, operation] = FEATURE_OPERATION.exec(path) ?? [];
  if (feature === undefined || operation === undefined) {
    return refuse(
      THING_OPERATION.test(path)
        ? subjectNotFound(text.noThingHandler(thing.id))
        : parameterInvalid(text.noThingOperation(thing.id)),
    );
  }
  if (!thing.registry.has(feature)) {
    return refuse(parameterInvalid(text.featureNotFound(feature)));
  }
  const handler = thing.registry.get(feature);
  if (!handler) {
    return refuse(subjectNotFound(text.noFeatureHandler(feature)));
  }
  const outbox = `/features/${feature}/outbox/messages/${operation}`;
  try {
    const result = await handler(operation, value);
    return result === undefined ? answer(204, outbox) : answer(200, outbox, result);
  } catch (error) {
    if (error instanceof Panic || (error instanceof Error && error.name === "ProcessEnded")) {
      throw error;
    }
    const body = errorValue(error);
    return answer(body.status, outbox, body);
  }
}

/** The daemon tries to answer a request that it could not read, and stumbles over the envelope that is not there; one-way it only logs. */
function unparsed(oneWay: boolean): CommandOutcome {
  if (oneWay) {
    return {};
  }
  throw new Panic("nil pointer dereference: answering a request that could not be parsed");
}

function checkHeaders(correlationId: string, contentType: string, value: unknown): string | undefined {
  if (correlationId === "") {
    return "correlation id header is missing";
  }
  if (value === undefined) {
    return contentType === "" ? undefined : `unexpected content type header ${contentType}`;
  }
  if (contentType === "") {
    return "missing content type header";
  }
  return contentType === "application/json" ? undefined : `unsupported content type header ${contentType}`;
}

/** An unchecked type assertion in the daemon. */
function headerText(headers: Record<string, unknown>, name: string): string {
  const value = headers[name];
  if (value !== undefined && value !== null && typeof value !== "string") {
    throw new Panic(`interface conversion: header ${name} is not a string`);
  }
  return value ?? "";
}

function responseRequired(headers: Record<string, unknown>): boolean {
  const value = headers["response-required"];
  if (value !== undefined && value !== null && typeof value !== "boolean") {
    throw new Panic("interface conversion: header response-required is not a bool");
  }
  return value ?? false;
}

/** A twin event that comes back to the device replaces the whole feature by a copy that handles nothing; a deletion removes it. */
function applyEcho(thing: Thing, subject: string, request: Record<string, unknown> | undefined): void {
  const [, feature] = FEATURE_PATH.exec(asText(request?.["path"])) ?? [];
  const [namespace, name] = asText(request?.["topic"]).split("/");
  if (feature === undefined || `${namespace}/${name}` !== thingTopic(thing.id)) {
    return;
  }
  if (subject === "deleted") {
    thing.registry.delete(feature);
  } else if (subject === "created" || subject === "modified") {
    thing.registry.set(feature, undefined);
  }
}

function parseObject(payload: Buffer): Record<string, unknown> | undefined {
  try {
    const parsed: unknown = JSON.parse(payload.toString("utf8"));
    return isObject(parsed) ? parsed : undefined;
  } catch {
    return undefined;
  }
}

const asText = (value: unknown): string => (typeof value === "string" ? value : "");
const isTextOrAbsent = (value: unknown): boolean => value === undefined || value === null || typeof value === "string";
const isOptionalObject = (value: unknown): boolean => value === undefined || value === null || isObject(value);
