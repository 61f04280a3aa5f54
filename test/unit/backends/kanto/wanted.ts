/** Desired containers and observed ones for tests of the planner. */
import type { DesiredContainer, ObservedContainer } from "../../../../src/backends/contract.ts";
import { Inventory } from "../../../../src/backends/kanto/inventory.ts";
import { markerEntry } from "../../../../src/backends/kanto/marker.ts";

export const MARKER = { owner: "o", namespace: "n", name: "web", uid: "u", operation: "op", hash: "k:h" };

type Spec = DesiredContainer["spec"];

/** A container that is wanted, with this spec. */
export function wanted(spec: Partial<Spec> = {}, rest: Partial<DesiredContainer> = {}): DesiredContainer {
  const env = (spec.env ?? []).flatMap(({ name, value }) => (value === undefined ? [] : [{ name, value }]));
  return {
    name: "web",
    image: "registry.example/app/web:1",
    state: "Running",
    env,
    spec: { deviceRef: { name: "device" }, ...spec },
    ...rest,
  };
}

/** A container as the inventory holds it, from the daemon's words. */
export function observed(
  config: Record<string, unknown> = {},
  state: Record<string, unknown> = { status: "RUNNING", startedAt: "2026-01-01T00:00:00Z" },
  names: { name?: string; imageRef?: string } = {},
): ObservedContainer {
  const inventory = new Inventory(() => 0);
  const { env = [], ...rest } = config;
  inventory.putFeature(
    "id",
    {
      properties: {
        status: {
          name: "web",
          imageRef: "registry.example/app/web:1",
          ...names,
          config: {
            domainName: "web-domain",
            hostName: "web-host",
            restartPolicy: { type: "UNLESS_STOPPED" },
            networkMode: "BRIDGE",
            log: { type: "JSON_FILE", maxFiles: 2, maxSize: "100M", mode: "BLOCKING" },
            ...rest,
            env: [...(env as string[]), markerEntry(MARKER)],
          },
          state,
        },
      },
    },
    { characters: 100, authoritative: false },
  );
  const container = inventory.get("id");
  if (container === undefined) throw new Error("the feature was not taken");
  return container;
}
