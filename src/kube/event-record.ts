/** The events.k8s.io/v1 Event, and how one is made within the server's limits. */

import { randomBytes } from "node:crypto";
import { microTime } from "./lease-record.ts";
import { apiVersionOf, type Resource } from "./resource.ts";
import type { KubeObject } from "./types.ts";

/** The part of core/v1 ObjectReference that events use. */
export interface ObjectReference {
  apiVersion: string;
  kind: string;
  name: string;
  namespace?: string;
  uid?: string;
  resourceVersion?: string;
}

export interface KubeEvent extends KubeObject {
  eventTime: string;
  type: "Normal" | "Warning";
  /** Why; CamelCase. */
  reason: string;
  /** What was done or tried; CamelCase. */
  action: string;
  note?: string;
  regarding: ObjectReference;
  related?: ObjectReference;
  reportingController: string;
  reportingInstance: string;
  series?: { count: number; lastObservedTime: string };
}

export const EVENTS: Resource<KubeEvent> = {
  group: "events.k8s.io",
  version: "v1",
  plural: "events",
  kind: "Event",
  namespaced: true,
};

/** What happened, as the caller says it. */
export interface EventInput {
  type: "Normal" | "Warning";
  /** CamelCase, part of the API, at most 128 characters. */
  reason: string;
  /** CamelCase, at most 128 characters. */
  action: string;
  /** For people. Cut to 1024 bytes. Must not hold secrets. */
  note: string;
  /** A second object that the event is about. */
  related?: KubeObject;
}

/** Limit of the API server, in bytes (pkg/apis/core/validation/events.go, NoteLengthLimit). */
const NOTE_BYTES = 1024;
const LABEL_CHARS = 128;
/** An object name may have 253 characters; the suffix has 21. */
const NAME_CHARS = 230;

export function referenceTo(object: KubeObject): ObjectReference {
  const { name, namespace, uid, resourceVersion } = object.metadata;
  return {
    apiVersion: object.apiVersion,
    kind: object.kind,
    name,
    ...(namespace === undefined ? {} : { namespace }),
    uid,
    resourceVersion,
  };
}

/** Cuts a text to so many bytes of UTF-8 without splitting a character, and marks the cut. */
export function cutToBytes(text: string, maxBytes: number): string {
  const bytes = Buffer.from(text, "utf8");
  if (bytes.length <= maxBytes) {
    return text;
  }
  let end = maxBytes - 3;
  // 10xxxxxx continues a character.
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) {
    end -= 1;
  }
  return `${bytes.toString("utf8", 0, end)}...`;
}

/**
 * The object to create. Its name is unique, so that a create whose answer was lost can be sent again without a second
 * event. Events about cluster-scoped objects live in "default", as the server demands.
 */
export function newEvent(
  regarding: KubeObject,
  input: EventInput,
  reporter: { controller: string; instance: string },
  wallMs: number,
): KubeEvent {
  const suffix = `${wallMs.toString(16).padStart(12, "0")}${randomBytes(4).toString("hex")}`;
  const object = {
    apiVersion: apiVersionOf(EVENTS),
    kind: EVENTS.kind,
    metadata: {
      name: `${regarding.metadata.name.slice(0, NAME_CHARS)}.${suffix}`,
      namespace: regarding.metadata.namespace ?? "default",
    },
    eventTime: microTime(wallMs),
    type: input.type,
    reason: input.reason.slice(0, LABEL_CHARS),
    action: input.action.slice(0, LABEL_CHARS),
    note: cutToBytes(input.note, NOTE_BYTES),
    regarding: referenceTo(regarding),
    ...(input.related === undefined ? {} : { related: referenceTo(input.related) }),
    reportingController: reporter.controller,
    reportingInstance: reporter.instance.slice(0, LABEL_CHARS),
  };
  // uid and resourceVersion come from the server.
  return object as KubeEvent;
}
