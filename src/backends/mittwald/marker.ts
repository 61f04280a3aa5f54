/**
 * Our mark on a service: at the end of its description, which is the only free text that the vendor keeps and gives back with every list
 * (an environment variable would force a new container with each change, and leak into the process). How long a description may be is
 * documented nowhere, so it is short: `web [drayage:<owner>/<namespace>/<name>/<service>/<operation>]`, parts URI-encoded, and the service's
 * name left out where it is the object's. The name binds the mark to its service: a service that somebody made with a copy of the
 * description is not ours by it. Whatever stands before the mark is people's own.
 */
import type { Marker } from "../contract.ts";

type Mark = Pick<Marker, "owner" | "namespace" | "name" | "operation">;

const MARK = /\[drayage:([^\s\]/]+)\/([^\s\]/]+)\/([^\s\]/]+)\/([^\s\]/]*)\/([^\s\]/]*)\]$/;
const ANY_MARK = /\s*\[drayage:[^\]]*\]/g;

/** @param text what stood in the description before; its words are kept. Default: the service's name. */
export function describe(mark: Mark, serviceName: string, text = serviceName): string {
  const { owner, namespace, name, operation } = mark;
  const service = serviceName === name ? "" : serviceName;
  const parts = [owner, namespace, name, service, operation].map(encode).join("/");
  const words = text.replaceAll(ANY_MARK, "").trim();
  return `${words === "" ? serviceName : words} [drayage:${parts}]`;
}

/** The mark in a description, if it is one of ours, whole, and made for a service of this name. */
export function readMarker(description: string, serviceName: string): Marker | undefined {
  const parts = MARK.exec(description.trim())?.slice(1).map(decode);
  if (parts === undefined || parts.includes(undefined)) return undefined;
  const [owner = "", namespace = "", name = "", service = "", operation = ""] = parts;
  if ((service === "" ? name : service) !== serviceName) return undefined;
  return { owner, namespace, name, uid: "", operation, hash: "" };
}

/** Whether both are of the same object, whatever operation made each. */
export function isSameMark(one: Marker | undefined, other: Marker): boolean {
  return one !== undefined && one.owner === other.owner && one.namespace === other.namespace && one.name === other.name;
}

/** Brackets would end the mark too early. */
function encode(part: string): string {
  return encodeURIComponent(part.toWellFormed());
}

function decode(part: string): string | undefined {
  try {
    return decodeURIComponent(part);
  } catch {
    return undefined;
  }
}
