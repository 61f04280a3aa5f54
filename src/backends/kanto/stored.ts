/** Takes a whole twin, as it was read, into the inventory. */
import { isObject, objectAt, parseJson, textAt } from "../guards.ts";
import { CONTAINER_PREFIX, FACTORY_FEATURE, readDependencies, SOFTWARE_FEATURE } from "./envelope.ts";
import type { FeedHost } from "./feed.ts";
import type { Inventory } from "./inventory.ts";

/** What a twin shows, beside the containers themselves. */
export interface StoredTwin {
  ids: readonly string[];
  /** Ids that SoftwareUpdatable lists; undefined if the device has no such feature. */
  listed: readonly string[] | undefined;
  /** Correlation id of the last operation of SoftwareUpdatable. */
  lastOperation: string | undefined;
  /** The ContainerFactory is there: the device has registered since the twin was made. */
  registered: boolean;
}

/**
 * Containers that the twin does not show stay: whether they are gone, the sync decides.
 *
 * @param payload the features of the thing, as JSON.
 * @returns undefined if it is no object; nothing was taken then.
 */
export function takeStored(payload: string, inventory: Inventory, host: FeedHost): StoredTwin | undefined {
  const features = parseJson(payload);
  if (!isObject(features)) return undefined;
  const ids: string[] = [];
  for (const [id, feature] of Object.entries(features)) {
    if (!id.startsWith(CONTAINER_PREFIX)) continue;
    const externalId = id.slice(CONTAINER_PREFIX.length);
    // A damaged feature is still proof that the container is there.
    ids.push(externalId);
    const change = isObject(feature)
      ? inventory.putFeature(externalId, feature, { characters: JSON.stringify(feature).length, authoritative: true })
      : "Malformed";
    if (change === "Added" || change === "Changed") host.changed(externalId, inventory.get(externalId));
    else if (change === "TooMuch") host.tooMuch(externalId);
    else if (change !== "Unchanged") host.malformed("Container");
  }
  const software = features[SOFTWARE_FEATURE];
  const listed = software === undefined ? undefined : readDependencies(undefined, software);
  if (software !== undefined && listed === undefined) host.malformed("Listed");
  return {
    ids,
    listed: listed?.kind === "Listed" ? listed.externalIds : undefined,
    lastOperation: lastOperation(software),
    registered: isObject(features[FACTORY_FEATURE]),
  };
}

function lastOperation(software: unknown): string | undefined {
  if (!isObject(software)) return undefined;
  return textAt(objectAt(objectAt(objectAt(software, "properties"), "status"), "lastOperation"), "correlationId");
}
