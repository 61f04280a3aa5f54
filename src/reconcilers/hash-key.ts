/** The operator's own Secret with the key of its hashes: read, or made once. */
import { randomBytes } from "node:crypto";
import type { KubeClient } from "../kube/client.ts";
import { isAlreadyExists, isNotFound } from "../kube/errors.ts";
import type { ObjectKey } from "../kube/types.ts";
import { HashKey } from "./hash.ts";
import { SECRETS } from "./resources.ts";

/** Name of the Secret, beside the Lease. */
export const HASH_KEY_SECRET = "drayage-hash-key";
const DATA_KEY = "key";

/** The Secret is there and holds no usable key: a person has to look. */
export class HashKeyError extends Error {
  override readonly name = "HashKeyError";
}

/**
 * Reads the key, creating the Secret if there is none. Two processes that do so at once end up with the same key.
 * Throws HashKeyError, ApiError or TransportError.
 */
export async function loadHashKey(client: KubeClient, namespace: string, signal?: AbortSignal): Promise<HashKey> {
  const key: ObjectKey = { namespace, name: HASH_KEY_SECRET };
  const options = signal === undefined ? {} : { signal };
  try {
    return decode(await client.get(SECRETS, key, options), key);
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
  try {
    const created = await client.create(
      SECRETS,
      {
        metadata: { namespace, name: HASH_KEY_SECRET, labels: { "app.kubernetes.io/managed-by": "drayage" } },
        data: { [DATA_KEY]: randomBytes(32).toString("base64") },
      },
      options,
    );
    return decode(created, key);
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
    return decode(await client.get(SECRETS, key, options), key);
  }
}

function decode(secret: { data?: Record<string, string> }, key: ObjectKey): HashKey {
  const bytes = Buffer.from(secret.data?.[DATA_KEY] ?? "", "base64");
  if (bytes.length < 32)
    throw new HashKeyError(
      `Secret ${key.namespace}/${key.name} has no key "${DATA_KEY}" of at least 32 bytes; delete it to have a new one made (containers are then compared by their visible fields)`,
    );
  return new HashKey(bytes);
}
