/** Specs of EdgeDevice that are accepted and refused, on every backend alike. */
import type { BadSpecs, GoodSpecs } from "../objects.ts";

/** Changes of the small good spec that stay good. */
export const GOOD: GoodSpecs = {
  "the least": {},
  "backend elsewhere": { backendRef: { name: "broker", namespace: "platform" } },
  everything: {
    kanto: { thingId: "a:b", topicPrefix: "site-7/", tenant: "t2", metrics: { enabled: true, frequencySeconds: 60 } },
    architecture: "arm64",
    offlineReadiness: "LastKnown",
    suspend: true,
    deletion: { graceSeconds: 0 },
  },
  alpon: { kanto: undefined, alpon: { assetId: "89014103211118510720" } },
  hiveon: { kanto: undefined, hiveon: { machineId: "m", machinePriceId: "p" } },
  mittwald: {
    kanto: undefined,
    mittwald: { projectId: "p-abc123", stackId: "00000000-0000-4000-8000-000000000000" },
  },
};

/** Changes that are refused, with texts that the answer must hold: the field and what to do. The server lists allowed words in any order. */
export const BAD: BadSpecs = {
  "no vendor": [{ kanto: undefined }, "exactly one of kanto, alpon, hiveon, mittwald"],
  "two vendors": [{ alpon: { assetId: "1" } }, "exactly one of kanto, alpon, hiveon, mittwald"],
  "no backendRef": [{ backendRef: undefined }, "spec.backendRef: Required value"],
  "thing id without namespace": [{ kanto: { thingId: "device" } }, "spec.kanto.thingId", "namespace:name"],
  "thing id with a wildcard": [{ kanto: { thingId: "a:b/#" } }, "spec.kanto.thingId", "namespace:name"],
  "topic prefix without slash": [
    { kanto: { thingId: "a:b", topicPrefix: "site" } },
    "spec.kanto.topicPrefix",
    "ends with /",
  ],
  "metrics more often than the daemon bears": [
    { kanto: { thingId: "a:b", metrics: { enabled: true, frequencySeconds: 1 } } },
    "spec.kanto.metrics.frequencySeconds",
    "5",
  ],
  "tenant with a slash": [{ kanto: { thingId: "a:b", tenant: "a/b" } }, "spec.kanto.tenant", "one topic level"],
  "asset id with a path": [{ kanto: undefined, alpon: { assetId: "../1" } }, "spec.alpon.assetId"],
  "rental without price": [
    { kanto: undefined, hiveon: { machineId: "m" } },
    "spec.hiveon.machinePriceId: Required value",
  ],
  "unknown architecture": [{ architecture: "x86_64" }, "spec.architecture", '"amd64"'],
  "endless grace": [{ deletion: { graceSeconds: 1e9 } }, "spec.deletion.graceSeconds"],
};
