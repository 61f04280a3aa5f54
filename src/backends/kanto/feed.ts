/** Takes a device's twin events into its inventory. */
import type { ObservedContainer } from "../contract.ts";
import { objectAt, textAt, type JsonObject } from "../guards.ts";
import { readEvent, type TwinEvent } from "./envelope.ts";
import type { Change, Inventory } from "./inventory.ts";
import type { InventorySync } from "./inventory-sync.ts";

export interface FeedHost {
  /** Whether a full inventory can be asked of the device: what may be out of date is then left to it, else it is all there is. */
  askable(): boolean;
  /** A container appeared, changed or went. @param container as it is now, or was last. */
  changed(externalId: string, container: ObservedContainer | undefined): void;
  /** The factory was published: the end of a list. */
  registered(): void;
  /** Something does not fit: a full inventory is wanted. */
  doubtful(reason: string): void;
  malformed(kind: string): void;
  /** A report on what containers use; untrusted. */
  usage(value: unknown): void;
  /** A container was left out, since the device shows more than is kept of one. */
  tooMuch(externalId: string): void;
  /** A container was taken as it is now, or is gone. */
  settled(externalId: string): void;
}

/** @param payload of a message on the device's event topic. */
export function takeEvent(
  thingId: string,
  payload: string,
  inventory: Inventory,
  sync: InventorySync,
  host: FeedHost,
): void {
  const event = readEvent(thingId, payload);
  if (event === undefined) {
    host.malformed("Event");
    return;
  }
  sync.heard();
  switch (event.kind) {
    case "Factory":
      host.registered();
      return;
    case "Listed":
      sync.listed(event.externalIds);
      return;
    case "Removed":
      forget(event.externalId, inventory, sync, host);
      return;
    case "Other":
      return;
    case "Usage":
      host.usage(event.value);
      return;
    case "Foreign":
      host.malformed("ForeignThing");
      return;
    case "Container": {
      const { externalId } = event;
      // A registration that crosses a removal publishes the container once more, DEAD, after the deletion; nothing ever takes that back.
      if (isDead(event.feature)) {
        forget(externalId, inventory, sync, host);
        return;
      }
      const change = inventory.putFeature(externalId, event.feature, {
        characters: payload.length,
        authoritative: sync.collecting,
      });
      // A damaged feature is still proof that the container is there; what is not kept is not missed either.
      if (inventory.get(externalId) !== undefined || !host.askable()) sync.featurePublished(externalId);
      report(event, change, inventory, sync, host);
      if (change === "Added" || change === "Changed" || change === "Unchanged") host.settled(externalId);
      return;
    }
    case "State":
      report(event, inventory.putState(event.externalId, event.state, !host.askable()), inventory, sync, host);
      return;
    case "Config":
      report(event, inventory.putConfig(event.externalId, event.config, payload.length), inventory, sync, host);
      return;
    case "Name":
      report(event, inventory.putName(event.externalId, event.name), inventory, sync, host);
      return;
    default:
      event satisfies never;
  }
}

function forget(externalId: string, inventory: Inventory, sync: InventorySync, host: FeedHost): void {
  sync.featureRemoved(externalId);
  const removed = inventory.remove(externalId);
  if (removed !== undefined) host.changed(externalId, removed);
  host.settled(externalId);
}

/** DEAD is what the daemon calls a container that it has destroyed and is about to forget (containerm/mgr/mgr.go, Remove). */
function isDead(feature: JsonObject): boolean {
  const status = objectAt(objectAt(feature, "properties"), "status");
  return textAt(objectAt(status, "state"), "status") === "DEAD";
}

function report(
  event: TwinEvent & { externalId: string },
  change: Change,
  inventory: Inventory,
  sync: InventorySync,
  host: FeedHost,
): void {
  const { externalId } = event;
  switch (change) {
    case "Added":
    case "Changed":
      host.changed(externalId, inventory.get(externalId));
      return;
    case "Unchanged":
      return;
    case "Malformed":
      host.malformed(event.kind);
      return;
    case "UnknownContainer":
      // A late word on a container that was removed is expected; anything else means that a registration was missed.
      if (event.kind === "State" && isLastWord(event.state)) return;
      sync.mentioned(externalId);
      host.doubtful("an event for an unknown container");
      return;
    case "Doubtful":
      host.doubtful("a word that may be out of date");
      return;
    case "TooMuch":
      host.tooMuch(externalId);
      return;
    default:
      change satisfies never;
  }
}

/** States that come after a removal, in any order with the removal itself. */
function isLastWord(state: Readonly<Record<string, unknown>>): boolean {
  const { error } = state;
  return state["status"] === "DEAD" || (typeof error === "string" && error.includes("restart manager is canceled"));
}
