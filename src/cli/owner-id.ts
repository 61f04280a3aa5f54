import type { KubeClient } from "../kube/client.ts";
import { ApiError } from "../kube/errors.ts";
import type { Resource } from "../kube/resource.ts";

const NAMESPACES: Resource = { group: "", version: "v1", plural: "namespaces", kind: "Namespace", namespaced: false };

/** The default owner id cannot be found out; waiting does not help. */
export class OwnerIdError extends Error {
  override readonly name = "OwnerIdError";
}

/**
 * The default owner id: the uid of the namespace kube-system, which every cluster has and which lives as long as it does.
 *
 * @throws OwnerIdError if this process may not read it or there is none; ApiError, TransportError for what may pass.
 */
export async function readClusterUid(client: Pick<KubeClient, "get">, signal: AbortSignal): Promise<string> {
  try {
    const namespace = await client.get(NAMESPACES, { namespace: "", name: "kube-system" }, { signal });
    return namespace.metadata.uid;
  } catch (error) {
    if (error instanceof ApiError && [401, 403, 404].includes(error.status)) {
      const message = `cannot read the namespace kube-system, whose uid is the default of --owner-id; allow it or give --owner-id`;
      throw new OwnerIdError(message, { cause: error });
    }
    throw error;
  }
}
