/** How a device's connection is shown in conditions. Pure. */
import type { ConnectionState, DeviceSnapshot } from "../backends/contract.ts";

/** A command shorter than this is not worth a condition: Busy would come and go with each. */
const BUSY_SHOWS_AFTER_MS = 10_000;

/** The state to show; Unknown without a session. */
export function shownConnection(snapshot: DeviceSnapshot | undefined, nowMs: number): ConnectionState {
  if (snapshot === undefined) return "Unknown";
  const brief = snapshot.connection === "Busy" && busyShowsInMs(snapshot, nowMs) !== 0;
  return brief ? "Connected" : snapshot.connection;
}

/** How long Busy is still held back, in ms; no event comes at its end, so a pass has to. Undefined where nothing is held back for a time. */
export function busyShowsInMs(snapshot: DeviceSnapshot | undefined, nowMs: number): number | undefined {
  const since = snapshot?.inFlight?.sentAtMs;
  if (snapshot?.connection !== "Busy" || since === undefined) return undefined;
  return Math.max(since + BUSY_SHOWS_AFTER_MS - nowMs, 0);
}
