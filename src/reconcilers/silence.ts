/**
 * How long nothing new is said of what is not known yet. Nothing is known for a moment after a start or a reconnect: a word would be overtaken
 * at once, and with thousands of devices the API server is what takes the time. So what status says stays until there is something to say,
 * unless it speaks of a connection that has come since.
 */
import type { EdgeBackend } from "../crds/edge-backend.ts";
import type { Accounts } from "./accounts.ts";

/** How long a device may take to answer before that is said, ms. */
const FIRST_WORD_MS = 5_000;

/** What status says of an object so far: nothing, something of the device, or of the way to it. */
export type FormerWord = "None" | "OfDevice" | "OfBackend";

/** @returns in ms; undefined: until something happens. */
export function silenceMs(
  word: FormerWord,
  deviceUid: string,
  backend: EdgeBackend | undefined,
  accounts: Pick<Accounts, "openForMs" | "connectedForMs">,
): number | undefined {
  if (word === "OfDevice") return undefined;
  const openMs = accounts.openForMs(deviceUid) ?? FIRST_WORD_MS;
  if (word === "None") return Math.max(0, FIRST_WORD_MS - openMs);
  const connectedMs = backend === undefined ? undefined : accounts.connectedForMs(backend.metadata.uid);
  return connectedMs === undefined ? undefined : Math.max(0, FIRST_WORD_MS - Math.min(openMs, connectedMs));
}
