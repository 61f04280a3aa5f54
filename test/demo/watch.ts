// Watches objects of the demo's API server: a list, then a watch from there, again and again until told to end. Plain node:https, so that what
// the demo shows does not come through the client of the operator that it shows.

import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { request } from "node:https";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import type { ApiAccess } from "../controlplane/index.ts";
import { messageOf } from "../controlplane/admin.ts";
import { readCredentials } from "../controlplane/kubeconfig.ts";

/** As much of an object as everybody needs. */
export interface Watched {
  metadata: { name: string; uid: string; generation?: number; creationTimestamp: string; deletionTimestamp?: string };
}

/** Pause before another list after a watch has ended or failed, ms. */
const AGAIN_MS = 250;

/**
 * Keeps a map of the objects up to date until the signal aborts.
 * @param path of the list, from the root
 * @param objects by name; changed in place
 * @param onChange called after each change
 */
export async function watch<T extends Watched>(
  access: ApiAccess,
  path: string,
  objects: Map<string, T>,
  onChange: () => void,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      const { status, body } = await access.request("GET", path);
      if (status === 200 && isList<T>(body)) {
        objects.clear();
        for (const object of body.items) {
          objects.set(object.metadata.name, object);
        }
        onChange();
        await follow(access, `${path}?watch=true&resourceVersion=${body.metadata.resourceVersion}`, signal, (event) => {
          if (event.type === "DELETED") {
            objects.delete(event.object.metadata.name);
          } else if (event.type === "ADDED" || event.type === "MODIFIED") {
            objects.set(event.object.metadata.name, event.object as T);
          }
          onChange();
        });
      } else if (status !== 404) {
        throw new Error(`GET ${path}: ${status} ${messageOf(body)}`);
      }
    } catch {
      // An API server that is away for a moment: the steps' deadlines tell when it stays away.
    }
    await delay(AGAIN_MS, undefined, { signal }).catch(() => undefined);
  }
}

interface WatchEvent {
  type: string;
  object: Watched;
}

/** Reads one watch to its end. */
async function follow(
  access: ApiAccess,
  path: string,
  signal: AbortSignal,
  onEvent: (event: WatchEvent) => void,
): Promise<void> {
  const outgoing = request(new URL(path, access.server), {
    agent: false,
    ca: access.ca,
    ...readCredentials(access.kubeconfig),
    signal,
  });
  outgoing.end();
  const [incoming] = (await once(outgoing, "response")) as [IncomingMessage];
  for await (const line of createInterface({ input: incoming })) {
    const event = JSON.parse(line) as WatchEvent;
    if (event.type === "ERROR") {
      return; // Too old a version, for instance: listed again.
    }
    onEvent(event);
  }
}

function isList<T>(body: unknown): body is { items: T[]; metadata: { resourceVersion: string } } {
  return typeof body === "object" && body !== null && "items" in body && "metadata" in body;
}
