/**
 * Keyed hashes of desired state. They may cover secret values, so a plain digest would let anyone who can read a status
 * guess them: HMAC-SHA256 under a key that only the operator's own Secret holds. A hash begins with its key's id; under an
 * unknown key it says nothing.
 */
import { createHash, createHmac } from "node:crypto";

/** The operator's hash key. */
export class HashKey {
  readonly #key: Buffer;
  /** First 8 hex digits of the key's own SHA-256: tells keys apart and gives nothing away. */
  readonly id: string;

  /** @param key at least 32 bytes; throws RangeError if shorter. */
  constructor(key: Buffer) {
    if (key.length < 32) throw new RangeError("the hash key must have at least 32 bytes");
    this.#key = key;
    this.id = createHash("sha256").update(key).digest("hex").slice(0, 8);
  }

  /** `<key id>:<32 hex digits>` of a canonical form of `value`. */
  hash(value: unknown): string {
    return `${this.id}:${createHmac("sha256", this.#key).update(canonical(value)).digest("hex").slice(0, 32)}`;
  }

  /** True if `hash` was made with this key, so that comparing it means something. */
  knows(hash: string): boolean {
    return hash.startsWith(`${this.id}:`);
  }
}

/** JSON with sorted keys and without undefined members: equal values, equal text. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map((item) => canonical(item ?? null)).join(",")}]`;
  if (typeof value === "object" && value !== null) {
    const members = Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
      .map(([name, member]) => `${JSON.stringify(name)}:${canonical(member)}`);
    return `{${members.join(",")}}`;
  }
  return JSON.stringify(value) ?? "null";
}
