/**
 * resourceVersions are decimal numbers of any length and may be compared as such (KEP-5504, "Comparable Resource
 * Version"). They outgrow 2^53, so they are never turned into a Number.
 */

const DECIMAL = /^[0-9]+$/;

/** A resourceVersion that can be compared: decimal digits, leading zeros dropped. Undefined for anything else. */
function normalise(version: string): string | undefined {
  if (!DECIMAL.test(version)) {
    return undefined;
  }
  let start = 0;
  while (start < version.length - 1 && version.charCodeAt(start) === 48) {
    start += 1;
  }
  return start === 0 ? version : version.slice(start);
}

/**
 * Compares two resourceVersions as numbers.
 * @returns negative, zero or positive; undefined when either is not a decimal number (an aggregated API server may do so).
 */
export function compareResourceVersions(a: string, b: string): number | undefined {
  const left = normalise(a);
  const right = normalise(b);
  if (left === undefined || right === undefined) {
    return undefined;
  }
  if (left.length !== right.length) {
    return left.length - right.length;
  }
  return left < right ? -1 : left > right ? 1 : 0;
}

/**
 * Whether a cache at version `seen` includes the write that produced `wanted`. Fails open: versions that cannot be
 * compared count as included, since waiting for what can never be recognised would stop the key for good.
 */
export function isAtLeast(seen: string, wanted: string): boolean {
  const order = compareResourceVersions(seen, wanted);
  return order === undefined || order >= 0;
}

/** Whether `version` is surely older than `reference`; false when they cannot be compared. */
export function isOlder(version: string, reference: string): boolean {
  const order = compareResourceVersions(version, reference);
  return order !== undefined && order < 0;
}
