/** status.pendingRemovals of an EdgeDevice: removals that outlive the objects they were for. */
import { isConflict, isNotFound } from "../../kube/errors.ts";
import { resourceName } from "../../kube/resource.ts";
import type { ObjectKey } from "../../kube/types.ts";
import type { EdgeDevice, PendingRemoval } from "../../crds/edge-device.ts";
import type { Environment } from "../environment.ts";

/** Tries of a write that collides with somebody else's. */
const ATTEMPTS = 10;

/** The status schema keeps at most this many. */
export const MOST_PENDING_REMOVALS = 500;

/**
 * Adds an entry, acknowledged by the API server before it resolves. One entry per uid; a repeated call replaces it.
 * Throws when the device object is gone, when the list is full, or when the API server cannot be reached.
 */
export async function appendPendingRemoval(
  env: Environment,
  device: ObjectKey,
  removal: PendingRemoval,
): Promise<void> {
  await change(env, device, (list) => {
    const others = list.filter((entry) => entry.uid !== removal.uid);
    if (others.length >= MOST_PENDING_REMOVALS)
      throw new Error(`EdgeDevice ${device.namespace}/${device.name} has ${others.length} pending removals already`);
    return [...others, removal];
  });
}

/** Takes entries off by uid. A device object that is gone has none. */
export async function dropPendingRemovals(
  env: Environment,
  device: ObjectKey,
  uids: ReadonlySet<string>,
): Promise<void> {
  try {
    await change(env, device, (list) => list.filter((entry) => !uids.has(entry.uid)));
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}

async function change(
  env: Environment,
  key: ObjectKey,
  edit: (list: readonly PendingRemoval[]) => PendingRemoval[],
): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    // Read from the API server, not from the cache: the list is a whole, and other passes change it too.
    const device: EdgeDevice = await env.client.get(env.resources.devices, key);
    const { uid, resourceVersion } = device.metadata;
    const edited = edit(device.status?.pendingRemovals ?? []);
    // Null takes the field away: an empty list would stay in status for ever.
    const pendingRemovals = edited.length === 0 ? null : edited;
    try {
      const written = await env.client.patch(
        env.resources.devices,
        key,
        { type: "merge", body: { metadata: { uid, resourceVersion }, status: { pendingRemovals } } },
        { subresource: "status" },
      );
      env.expectations.wrote(resourceName(env.resources.devices), key, written.metadata.resourceVersion);
      return;
    } catch (error) {
      if (!isConflict(error) || attempt >= ATTEMPTS) throw error;
    }
  }
}
