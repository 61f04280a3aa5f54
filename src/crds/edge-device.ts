/** EdgeDevice: one addressable target on a backend. */
import type { z } from "zod";
import type { KubeObject } from "../kube/types.ts";
import { conditions, EXTERNAL_ID, observedGeneration } from "./conditions.ts";
import { DEVICE_DEFAULTS } from "./default-values.ts";
import { graceSeconds } from "./lifecycle.ts";
import { exactlyOne, namespaceName, objectName } from "./references.ts";
import { choice, flag, immutable, int, list, object, ruled, seconds, text, time } from "./schema.ts";

/** Vendor blocks, here and in EdgeBackend. */
export const VENDORS = ["kanto", "alpon", "hiveon", "mittwald"] as const;

/** The vendor block of an object stays the one it was created with. */
export const VENDOR_IMMUTABLE = {
  rule: VENDORS.map((vendor) => `has(self.${vendor}) == has(oldSelf.${vendor})`).join(" && "),
  message: `the vendor block (${VENDORS.join(", ")}) cannot be changed: delete this object and create another one`,
};

/** An object has one vendor block. */
export const ONE_VENDOR = exactlyOne<{ [vendor in (typeof VENDORS)[number]]?: unknown }>(
  VENDORS,
  `set exactly one of ${VENDORS.join(", ")}`,
);

const fixedTarget = (field: string) =>
  immutable(`${field} cannot be changed: delete this EdgeDevice and create one for the other target`);

/** `namespace:name`, as Ditto spells ids. */
const THING_ID = /^[a-zA-Z0-9_.-]+:[a-zA-Z0-9_.:-]+$/;

const metrics = object("Whether the device reports what its containers use, for /metrics.", {
  enabled: flag("True: the device is asked to report through Kanto's Metrics feature.", {
    default: DEVICE_DEFAULTS.kanto.metrics.enabled,
  }).exactOptional(),
  frequencySeconds: seconds("Time between two reports.", 5, 3600, {
    default: DEVICE_DEFAULTS.kanto.metrics.frequencySeconds,
  }).exactOptional(),
});

/** The same target; other settings of the block may change. */
const SAME_KANTO_TARGET = {
  rule: [
    "self.thingId == oldSelf.thingId",
    ...["topicPrefix", "tenant"].map(
      (field) =>
        `has(self.${field}) == has(oldSelf.${field}) && (!has(self.${field}) || self.${field} == oldSelf.${field})`,
    ),
  ].join(" && "),
  message: fixedTarget("thingId, topicPrefix and tenant").message,
};

const kanto = ruled(
  object("A device with Eclipse Kanto.", {
    thingId: text(
      "Id of the device's containers thing, <gateway id>:edge:containers, e.g. edge:device:edge:containers. The gateway id alone means the same.",
      { max: 256, pattern: THING_ID, fix: "write namespace:name, e.g. edge:device:edge:containers" },
    ),
    topicPrefix: text(
      'Put before every topic of the device, e.g. site-7/, with transport Local where a broker carries several devices\' local brokers (a mosquitto bridge with `topic # both 1 "" site-7/`). Unset: none.',
      {
        max: 128,
        pattern: /^[!"$-*,-~]*\/$/,
        fix: "write printable ASCII without +, # or space that ends with /, e.g. site-7/",
      },
    ).exactOptional(),
    tenant: text("Tenant of this device, where it is not the EdgeBackend's.", {
      max: 256,
      pattern: /^[^\t\n\f\r /+#]+$/,
      fix: "write one topic level: no /, +, # or space",
    }).exactOptional(),
    metrics: metrics.exactOptional(),
  }),
  [SAME_KANTO_TARGET],
);

const alpon = object("A Sixfab ALPON.", {
  assetId: ruled(
    text("Serial number, UUID, SIM SID or SIM ICCID of the asset.", {
      max: 128,
      pattern: /^[A-Za-z0-9_.-]+$/,
      fix: "write letters, digits, _, . and -",
    }),
    [fixedTarget("assetId")],
  ),
});

const hiveon = object("A machine on Hiveon.", {
  machineId: ruled(text("Id of the machine.", { max: 128 }), [fixedTarget("machineId")]),
  machinePriceId: text("Id of the price at which it is rented. May be changed; counts at the next rental.", {
    max: 128,
  }),
});

const mittwald = ruled(
  object("A stack of a mittwald project.", {
    projectId: text("Id of the project.", { max: 128, pattern: /^[A-Za-z0-9-]+$/, fix: "write letters, digits and -" }),
    stackId: text("Id of the stack. Unset: the project's default stack.", {
      max: 128,
      pattern: /^[A-Za-z0-9-]+$/,
      fix: "write letters, digits and -",
    }).exactOptional(),
  }),
  [fixedTarget("projectId and stackId")],
);

const spec = object("Which device, and how to treat it.", {
  backendRef: ruled(
    object("The EdgeBackend that reaches the device.", {
      name: objectName("Name of the EdgeBackend."),
      namespace: namespaceName(
        "Its namespace, if another one; the EdgeBackend's allowedNamespaces must let this one in.",
      ).exactOptional(),
    }),
    [immutable("backendRef cannot be changed: delete this EdgeDevice and create one for the other backend")],
  ),
  kanto: kanto.exactOptional(),
  alpon: alpon.exactOptional(),
  hiveon: hiveon.exactOptional(),
  mittwald: mittwald.exactOptional(),
  architecture: choice(
    "Processor architecture, as in image manifests; images for another one are refused where that is known.",
    ["amd64", "arm64", "arm", "386", "riscv64"],
  ).exactOptional(),
  offlineReadiness: choice(
    "Ready of containers while the device is offline: Unknown, or LastKnown for those that were Ready.",
    ["Unknown", "LastKnown"],
    { default: DEVICE_DEFAULTS.offlineReadiness },
  ).exactOptional(),
  suspend: flag("While true nothing is changed on the device; its state is still observed.", {
    default: DEVICE_DEFAULTS.suspend,
  }).exactOptional(),
  deletion: object("What deleting the object waits for.", {
    graceSeconds: graceSeconds(DEVICE_DEFAULTS.deletion.graceSeconds).exactOptional(),
  }).exactOptional(),
});

export const edgeDeviceSpec = ruled(spec, [ONE_VENDOR, VENDOR_IMMUTABLE]);

const unmanaged = object("Something on the device that no object accounts for.", {
  kind: choice("What it is. Unset: a container.", ["Container", "Stack", "Volume"]).exactOptional(),
  externalId: text("The vendor's id.", { max: EXTERNAL_ID }),
  name: text("Its name on the device.", { min: 0 }).exactOptional(),
  image: text("Its image.", { min: 0, max: 512 }).exactOptional(),
  ours: flag("Whether it carries this installation's marker."),
});

const pendingRemoval = object("A removal that is still to be done on the device; the object it was for is gone.", {
  uid: text("metadata.uid of the EdgeContainer.", { max: 128 }),
  namespace: text("Its namespace."),
  name: text("Its name."),
  externalId: text("The vendor's id of the container; absent while an operation is open.", {
    max: EXTERNAL_ID,
  }).exactOptional(),
  operationId: text("Operation that was open; the removal is done only after that one is closed.").exactOptional(),
  policy: choice("What is to be done.", ["Remove", "Stop"]),
  deleteVolumes: flag("Whether named volumes go too.").exactOptional(),
});

export const edgeDeviceStatus = object("What was observed; written by the operator only.", {
  observedGeneration: observedGeneration.exactOptional(),
  connection: object("Whether the device can be reached.", {
    state: choice("Connected; Busy: silent while a command of ours runs; Offline; Unknown.", [
      "Connected",
      "Busy",
      "Offline",
      "Unknown",
    ]),
    lastSeenTime: time("Last sign of life; moves only when the device goes offline.").exactOptional(),
  }).exactOptional(),
  managed: int("How many containers on the device belong to EdgeContainers.").exactOptional(),
  unmanaged: list(
    "Containers on the device (mittwald: also stacks and volumes) that no object accounts for; never touched.",
    unmanaged,
    50,
  ).exactOptional(),
  pendingRemovals: list("Removals that wait for the device.", pendingRemoval, 500).exactOptional(),
  conditions: conditions.exactOptional(),
});

export type EdgeDeviceSpec = z.infer<typeof spec>;
export type EdgeDeviceStatus = z.infer<typeof edgeDeviceStatus>;
export type UnmanagedContainer = z.infer<typeof unmanaged>;
export type PendingRemoval = z.infer<typeof pendingRemoval>;

/** An EdgeDevice as read from the API server. */
export interface EdgeDevice extends KubeObject {
  spec: EdgeDeviceSpec;
  status?: EdgeDeviceStatus;
}
