/** Sorts a device's containers into those that objects account for and those that they do not. Pure. */
import type { DeviceSnapshot, ObservedContainer } from "../../backends/contract.ts";
import { truncateMessage } from "../../controller/conditions.ts";
import type { EdgeContainer } from "../../crds/edge-container.ts";
import type { PendingRemoval, UnmanagedContainer } from "../../crds/edge-device.ts";

/** status.unmanaged lists at most this many. */
const MOST_UNMANAGED = 50;

export interface Inventory {
  managed: number;
  unmanaged: UnmanagedContainer[];
  /** Of the unmanaged, those with our marker, counted before the list is cut. */
  ours: number;
}

/**
 * @param objects the EdgeContainers of the device.
 * @param others what it has beside containers.
 */
export function takeInventory(
  containers: readonly ObservedContainer[],
  objects: readonly EdgeContainer[],
  pending: readonly PendingRemoval[],
  ownerId: string,
  others: NonNullable<DeviceSnapshot["others"]> = [],
): Inventory {
  const ids = new Set(objects.map((object) => object.status?.external?.id));
  const names = new Set(objects.map((object) => `${object.metadata.namespace ?? ""}/${object.metadata.name}`));
  const leaving = new Set(pending.flatMap((removal) => [removal.externalId, `${removal.namespace}/${removal.name}`]));
  let managed = 0;
  let ours = 0;
  const unmanaged: UnmanagedContainer[] = [];
  for (const container of containers) {
    if (container.state === "Dead") continue;
    const { marker } = container;
    const mine = marker?.owner === ownerId;
    const name = marker === undefined ? undefined : `${marker.namespace}/${marker.name}`;
    if (ids.has(container.externalId) || (mine && name !== undefined && names.has(name))) {
      managed++;
      continue;
    }
    if (mine && (leaving.has(container.externalId) || leaving.has(name))) continue;
    if (mine) ours++;
    unmanaged.push({
      externalId: container.externalId,
      name: truncateMessage(container.name, 253),
      image: truncateMessage(container.image, 512),
      ours: mine,
    });
  }
  for (const { externalId, name, kind } of others)
    unmanaged.push({ kind, externalId, name: truncateMessage(name, 253), ours: false });
  // Ours first: those are the ones to look into. Then by id, so that the list does not change by itself.
  unmanaged.sort((a, b) => Number(b.ours) - Number(a.ours) || (a.externalId < b.externalId ? -1 : 1));
  return { managed, unmanaged: unmanaged.slice(0, MOST_UNMANAGED), ours };
}
