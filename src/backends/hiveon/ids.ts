/**
 * The id by which we find a rental again: external_deployment_id, a version 5 UUID (RFC 9562, 5.5) of owner, namespace, name and number. It can
 * be computed from an object's name alone, so that a cluster that has lost its records finds what it rents.
 */
import { createHash } from "node:crypto";

/** Of our own making, and never to be changed: with another one nothing would be found again. */
const NAMESPACE = Buffer.from("8b0fd1b45c3a4f0e9d5e2f6a7c41d903", "hex");

/** Whose rentals. */
export interface Names {
  owner: string;
  namespace: string;
  name: string;
}

/** @param attempt number of the rental, from 1. */
export function externalDeploymentId({ owner, namespace, name }: Names, attempt: number): string {
  return uuid5(`${owner}/${namespace}/${name}/${attempt}`);
}

/** An id that nothing ever has: asking for it tells whether the API takes our key, and nothing else. */
export const PROBE_ID = uuid5("drayage probe");

function uuid5(text: string): string {
  const hash = createHash("sha1").update(NAMESPACE).update(text, "utf8").digest().subarray(0, 16);
  hash[6] = ((hash[6] ?? 0) & 0x0f) | 0x50;
  hash[8] = ((hash[8] ?? 0) & 0x3f) | 0x80;
  const hex = hash.toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
