/** Recordings of a real daemon (test/fixtures/kanto-traces), fed into an inventory. */
import { readFileSync } from "node:fs";
import type { Change, Inventory } from "../../../../src/backends/kanto/inventory.ts";
import { readEvent } from "../../../../src/backends/kanto/envelope.ts";

/** An event by itself, of ordinary length. */
export const SAMPLE = { characters: 1_000, authoritative: false };

export interface TraceLine {
  ms: number;
  topic: string;
  payload: unknown;
}

export function readTrace(name: string): TraceLine[] {
  const text = readFileSync(new URL(`../../../fixtures/kanto-traces/${name}.jsonl`, import.meta.url), "utf8");
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as TraceLine);
}

/** Feeds the events of a trace; the answers say what each changed. */
export function replay(inventory: Inventory, lines: readonly TraceLine[]): Change[] {
  return lines
    .filter((line) => line.topic.startsWith("e/"))
    .flatMap((line) => {
      const event = readEvent(line.topic.split("/").at(-1) ?? "", JSON.stringify(line.payload));
      switch (event?.kind) {
        case "Container":
          return inventory.putFeature(event.externalId, event.feature, SAMPLE);
        case "State":
          return inventory.putState(event.externalId, event.state);
        case "Config":
          return inventory.putConfig(event.externalId, event.config, SAMPLE.characters);
        case "Name":
          return inventory.putName(event.externalId, event.name);
        case "Removed":
          inventory.remove(event.externalId);
          return [];
        default:
          return [];
      }
    });
}
