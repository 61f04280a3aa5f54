/** EdgeStack: containers and volumes that belong together on one device. */
import type { z } from "zod";
import type { KubeObject } from "../kube/types.ts";
import { conditions, EXTERNAL_ID, observedGeneration } from "./conditions.ts";
import { STACK_DEFAULTS } from "./default-values.ts";
import { edgeContainerTemplate } from "./edge-container.ts";
import { graceSeconds } from "./lifecycle.ts";
import { localRef } from "./references.ts";
import { choice, flag, immutable, int, list, object, ruled, text, time } from "./schema.ts";

/** More would exceed what the API server lets the rules of the templates cost, and what people keep in their heads. */
const MOST_CONTAINERS = 32;
const MOST_VOLUMES = 64;

const dependency = object("Another container of the stack.", {
  name: text("Its name in this stack.", { max: 63 }),
  condition: choice(
    "What it must have reached before this container is made: Running, or Ready. One that has ended as it should counts as both.",
    ["Running", "Ready"],
    { default: STACK_DEFAULTS.dependsOn.condition },
  ).exactOptional(),
});

const container = ruled(
  object("One container; it becomes an EdgeContainer named <stack>-<container>.", {
    name: text("Name in this stack.", {
      max: 63,
      pattern: /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/,
      fix: "a name is made of lower-case letters, digits and -, and begins and ends with a letter or digit",
    }),
    dependsOn: list(
      "Containers that come first. They order how containers are made, and in reverse how they are removed with the stack; a change of one that exists waits for nobody.",
      dependency,
      MOST_CONTAINERS,
    ).exactOptional(),
    template: edgeContainerTemplate,
  }),
  [
    {
      rule: "!has(self.dependsOn) || self.dependsOn.all(each, each.name != self.name)",
      message: "a container cannot depend on itself: remove it from its own dependsOn",
      holds: (value) => value.dependsOn?.every((each) => each.name !== value.name) !== false,
    },
  ],
);

const containers = ruled(list("The containers.", container, MOST_CONTAINERS, 1), [
  {
    rule: "self.all(one, self.exists_one(other, other.name == one.name))",
    message: "two containers have the same name: give each its own",
    holds: (all) => new Set(all.map(({ name }) => name)).size === all.length,
  },
  {
    rule: "self.all(one, !has(one.dependsOn) || one.dependsOn.all(each, self.exists(other, other.name == each.name)))",
    message: "dependsOn names a container that is not in this stack: correct the name, or add that container",
    holds: (all) => {
      const names = new Set(all.map(({ name }) => name));
      return all.every((one) => one.dependsOn?.every((each) => names.has(each.name)) !== false);
    },
  },
]);

const volume = object("A named volume.", {
  name: text("Its name, as volumes[].volumeName of a template says it.", {
    max: 63,
    pattern: /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/,
    fix: "begin with a letter or digit and go on with these, _, . and -",
  }),
});

const volumes = ruled(list("Named volumes, where the vendor keeps any.", volume, MOST_VOLUMES), [
  {
    rule: "self.all(one, self.exists_one(other, other.name == one.name))",
    message: "two volumes have the same name: remove one",
    holds: (all) => new Set(all.map(({ name }) => name)).size === all.length,
  },
]);

const { mode: MODE, suspend: SUSPEND, deletion: DELETION } = STACK_DEFAULTS;

const deletion = ruled(
  object("What deleting the stack, or a container's entry in it, does. A template's own deletion comes first.", {
    policy: choice(
      "Remove the containers, Stop them, or Orphan them: leave them as they are on the device.",
      ["Remove", "Stop", "Orphan"],
      { default: DELETION.policy },
    ).exactOptional(),
    deleteVolumes: flag("Whether Remove also destroys named volumes and their data.", {
      default: DELETION.deleteVolumes,
    }).exactOptional(),
    graceSeconds: graceSeconds(DELETION.graceSeconds).exactOptional(),
  }),
  [
    {
      rule: `!has(self.deleteVolumes) || !self.deleteVolumes || !has(self.policy) || self.policy == "Remove"`,
      message: "deleteVolumes counts only with policy Remove: leave it out or change the policy",
      holds: (value) => value.deleteVolumes !== true || (value.policy ?? DELETION.policy) === "Remove",
    },
  ],
);

const spec = object("What is wanted.", {
  deviceRef: ruled(localRef("The EdgeDevice that the containers run on."), [
    immutable("deviceRef cannot be changed: delete this EdgeStack and create one for the other device"),
  ]),
  mode: choice(
    "Counts where the vendor has stacks (mittwald): Own makes one for this object alone, Shared puts the containers into the device's own stack, beside others. Elsewhere both mean the same: the containers run on the device.",
    ["Own", "Shared"],
    { default: MODE },
  ).exactOptional(),
  containers,
  volumes: volumes.exactOptional(),
  suspend: flag(
    "While true nothing is made, changed or removed, on the device neither; state is still observed, deletion still works.",
    { default: SUSPEND },
  ).exactOptional(),
  deletion: deletion.exactOptional(),
});

export const edgeStackSpec = ruled(spec, [
  {
    rule: `(has(self.mode) ? self.mode : "${MODE}") == (has(oldSelf.mode) ? oldSelf.mode : "${MODE}")`,
    message: "mode cannot be changed: delete this EdgeStack and create it again with the other mode",
  },
]);

const child = object("One container of the stack.", {
  name: text("Its name in the stack."),
  object: text("Name of its EdgeContainer."),
  phase: text("status.phase of that one; absent while it does not exist.", { max: 64 }).exactOptional(),
  ready: choice("Whether it is ready, at the present spec.", ["True", "False", "Unknown"]),
  reason: text("Why, in one word: of its Ready condition, or Waiting, Missing, Removing, NameConflict.", {
    max: 1024,
  }),
  message: text("Why, for people.", { min: 0, max: 1024 }),
});

const operation = object("The journal: what is under way at the vendor. Written before its first effect.", {
  id: text("Id; also in the description of the stack that it makes."),
  type: choice("What it does.", ["CreateStack"]),
  startedAt: time("When it was written down."),
});

export const edgeStackStatus = object("What was observed; written by the operator only.", {
  observedGeneration: observedGeneration.exactOptional(),
  phase: choice("Summary for the column STATUS; programs read conditions.", [
    "Ready",
    "Progressing",
    "Stalled",
    "Suspended",
    "Unknown",
    "Removing",
  ]).exactOptional(),
  ready: text("Ready containers of wanted ones, e.g. 2/3.", { max: 16 }).exactOptional(),
  children: list(
    "The containers: those of the spec in its order, then those that are still to be removed.",
    child,
    4 * MOST_CONTAINERS,
  ).exactOptional(),
  external: object("The stack at the vendor, in mode Own where the vendor has stacks.", {
    id: text("The vendor's id.", { max: EXTERNAL_ID }),
  }).exactOptional(),
  operation: operation.exactOptional(),
  backoff: object("Repeated failures of the vendor about the stack itself.", {
    count: int("How often in a row."),
    nextRetryTime: time("When it is tried again."),
  }).exactOptional(),
  conditions: conditions.exactOptional(),
});

export type EdgeStackSpec = z.infer<typeof spec>;
export type EdgeStackStatus = z.infer<typeof edgeStackStatus>;
export type StackContainer = z.infer<typeof container>;
export type StackChild = z.infer<typeof child>;
export type StackOperation = z.infer<typeof operation>;

/** An EdgeStack as read from the API server. */
export interface EdgeStack extends KubeObject {
  spec: EdgeStackSpec;
  status?: EdgeStackStatus;
}
