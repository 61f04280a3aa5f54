/**
 * The owner marker of a container on Kanto: one environment entry, since env and name are all that the twin echoes and that a caller
 * chooses. Names cannot carry it: they are not unique, people read them, and they become host names.
 */
import type { Marker } from "../contract.ts";
import { isObject, parseJson, textAt } from "../guards.ts";

/** Name of the variable. Its value is compact JSON of the marker; nothing in it is secret (the hash is keyed). */
export const MARKER_VARIABLE = "DRAYAGE_MARKER";

/** The entry for `config.env`. */
export function markerEntry(marker: Marker): string {
  const { owner, namespace, name, uid, operation, hash } = marker;
  return `${MARKER_VARIABLE}=${JSON.stringify({ owner, namespace, name, uid, operation, hash })}`;
}

/** Whether an entry of `config.env` is (meant as) a marker. */
export function isMarkerEntry(entry: string): boolean {
  return entry.startsWith(`${MARKER_VARIABLE}=`) || entry === MARKER_VARIABLE;
}

/** The marker among a container's env; undefined without exactly one that is complete. */
export function readMarker(env: readonly string[]): Marker | undefined {
  const entries = env.filter(isMarkerEntry);
  const [entry] = entries;
  if (entry === undefined || entries.length > 1) return undefined;
  const value = parseJson(entry.slice(MARKER_VARIABLE.length + 1));
  if (!isObject(value)) return undefined;
  const owner = textAt(value, "owner");
  const namespace = textAt(value, "namespace");
  const name = textAt(value, "name");
  const uid = textAt(value, "uid");
  const operation = textAt(value, "operation");
  const hash = textAt(value, "hash");
  if (!owner || !namespace || !name || !uid || !operation || !hash) return undefined;
  return { owner, namespace, name, uid, operation, hash };
}
