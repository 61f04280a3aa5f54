/** How a session gets the whole inventory of its device. sync.ts asks the device for it, twin-sync.ts reads what is kept beside the device, watch.ts can do neither. */
import type { StoredTwin } from "./stored.ts";

export interface InventorySync {
  /** Whether a pass is under way or wanted. */
  readonly pending: boolean;
  /** Number of the message by which the pass under way was asked for; 0 if there is none, or it was not ours. */
  readonly announcedSeq: number;
  /** Whether what is published in full now is what there is, whatever was known before: it answers our asking, or nothing can be asked. */
  readonly collecting: boolean;
  /**
   * Wants a complete inventory that tells the outcome of every message up to number `afterSeq`.
   *
   * @param calm nobody waits: coalesce with others.
   */
  request(afterSeq: number, calm?: boolean): void;
  /** Tries again what could not be begun, e.g. since the fence holds again. */
  retry(): void;
  /** The device's words reach us again. @param resumed none of them was lost meanwhile. */
  opened(resumed: boolean): void;
  /** Any twin event, before what it says is told below. */
  heard(): void;
  /** A container was published in full. */
  featurePublished(externalId: string): void;
  featureRemoved(externalId: string): void;
  /** The factory was published: the end of a list. @returns true if the publication was not asked for by us. */
  factoryPublished(): boolean;
  /** The device listed the ids of all its containers, and nothing else of them. */
  listed(externalIds: readonly string[]): void;
  /** The device spoke of a container that it has not published. */
  mentioned(externalId: string): void;
  /** What is kept beside the device was read, or has changed. Absent where nothing is. @param asked it answers our asking. */
  stored?(twin: StoredTwin, asked: boolean): void;
  /** Something was answered. */
  provenChanged(): void;
  /** The connection or the device is gone. */
  abandon(): void;
  close(): void;
}
