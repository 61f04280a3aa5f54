/**
 * Change notifications of Ditto as the twin commands that Kanto published: a stream tells an event with its topic, path and value where
 * `_context` is among the selected fields (gateway/service, ThingsSseRouteBuilder.java, addContext), and a removal only there.
 */
import { isObject, numberAt, parseJson, textAt, type JsonObject } from "../../guards.ts";
import { dittoThing } from "../topics.ts";

/** What is selected of each notification. */
export const STREAM_FIELDS = "thingId,_revision,_context/topic,_context/path,_context/value";
/** What is selected of a thing. */
export const THING_FIELDS = "thingId,_revision,features";

/** What a notification says of a thing. */
export type Notification = { thingId: string; revision: number } & (
  | { kind: "Event"; payload: string }
  /** More changed than the paths that Kanto writes: only reading the thing tells. */
  | { kind: "Whole" }
  /** The thing is new or gone: revisions may begin again. */
  | { kind: "Replaced" }
  /** Nothing of interest changed. */
  | { kind: "Other" }
);

const CONTAINER_PATH = /^\/features\/Container:[^/]+(\/properties\/status\/(state|config|name))?$/;
const FEATURE_PATH = /^\/features\/([^/]+)/;

/** Reads the data of a server-sent event; undefined if it is none of Ditto's notifications. */
export function readNotification(data: string): Notification | undefined {
  const body = parseJson(data);
  if (!isObject(body)) return undefined;
  const context = body["_context"];
  const thingId = textAt(body, "thingId");
  const revision = numberAt(body, "_revision");
  if (!isObject(context) || thingId === undefined || revision === undefined) return undefined;
  const [action, criterion, channel] = (textAt(context, "topic") ?? "").split("/").toReversed();
  const path = textAt(context, "path");
  if (path === undefined || criterion !== "events" || channel !== "twin" || action === undefined) return undefined;
  return { thingId, revision, ...meaning(thingId, action, path, context["value"]) };
}

function meaning(thingId: string, action: string, path: string, value: unknown) {
  if (path === "/") return { kind: action === "created" || action === "deleted" ? "Replaced" : "Whole" } as const;
  const [, feature] = FEATURE_PATH.exec(path) ?? [];
  if (feature === undefined) return { kind: path === "/features" ? "Whole" : "Other" } as const;
  const container = feature.startsWith("Container:");
  if (action === "merged" || (container && !CONTAINER_PATH.test(path))) return { kind: "Whole" } as const;
  const deleted = action === "deleted";
  if (container && deleted && path !== `/features/${feature}`) return { kind: "Whole" } as const;
  const topic = `${dittoThing(thingId)}/things/twin/commands/${deleted ? "delete" : "modify"}`;
  return { kind: "Event", payload: JSON.stringify({ topic, path, ...(deleted ? {} : { value }) }) } as const;
}

/** A thing as it was read. */
export interface ReadThing {
  revision: number;
  features: JsonObject;
}

/** @returns undefined if it is no thing with a revision. */
export function readThing(json: unknown): ReadThing | undefined {
  if (!isObject(json)) return undefined;
  const revision = numberAt(json, "_revision");
  const { features = {} } = json;
  return revision === undefined || !isObject(features) ? undefined : { revision, features };
}
