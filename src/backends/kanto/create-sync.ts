/** Which way a session gets the whole inventory of its device, by what its link can do. */
import type { BackendClock } from "../contract.ts";
import type { InventorySync } from "./inventory-sync.ts";
import { Sync, type SyncHost } from "./sync.ts";
import type { Link } from "./transport.ts";
import { TwinSync, type TwinSyncHost } from "./twin-sync.ts";
import { Watch, type WatchHost } from "./watch.ts";

/** All that one of them needs. */
export interface AnySyncHost extends Omit<SyncHost & TwinSyncHost & WatchHost, "fetch" | "probe"> {
  /** @param fresh whether the factory has to be seen before another one is sent. */
  probe(again: boolean, fresh?: boolean): number | undefined;
}

export function createSync(
  link: Pick<Link, "traits" | "fetch">,
  clock: BackendClock,
  probeTimeoutMs: number,
  host: AnySyncHost,
): InventorySync {
  switch (link.traits.inventory) {
    case "Fetch":
      return new TwinSync(clock, probeTimeoutMs, { ...host, fetch: () => link.fetch?.() ?? false });
    case "Watch":
      return new Watch(clock, probeTimeoutMs, host);
    case "Announce":
      return new Sync(clock, probeTimeoutMs, { ...host, probe: (again) => host.probe(again, again) });
    default:
      return link.traits.inventory satisfies never;
  }
}
