/** Environment variables, as in a Pod. */
import type { z } from "zod";
import { configMapKeyRef, exactlyOne, objectName, secretKeyRef } from "./references.ts";
import { flag, keyedList, list, object, ruled, text } from "./schema.ts";

/** Names that begin so carry our owner marker on backends that have no better place for it. */
export const RESERVED_ENV_PREFIX = "DRAYAGE_";

/** As in a Pod since Kubernetes 1.30; backends that take less say so before anything is sent. */
const ENV_NAME = /^[-._a-zA-Z][-._a-zA-Z0-9]*$/;
const NAME_FIX = "begin the name with a letter, _, - or ., and go on with these and digits";

const valueFrom = ruled(
  object("Where to take the value from.", {
    secretKeyRef: secretKeyRef("Key of a Secret.").exactOptional(),
    configMapKeyRef: configMapKeyRef("Key of a ConfigMap.").exactOptional(),
  }),
  [
    exactlyOne<{ secretKeyRef?: object; configMapKeyRef?: object }>(
      ["secretKeyRef", "configMapKeyRef"],
      "set exactly one of secretKeyRef and configMapKeyRef",
    ),
  ],
);

const envName = ruled(text("Name of the variable.", { max: 256, pattern: ENV_NAME, fix: NAME_FIX }), [
  {
    rule: `!self.startsWith("${RESERVED_ENV_PREFIX}")`,
    message: `names that begin with ${RESERVED_ENV_PREFIX} are reserved for Drayage's owner marker: choose another name`,
    holds: (name) => !name.startsWith(RESERVED_ENV_PREFIX),
  },
]);

const envVar = ruled(
  object("One variable.", {
    name: envName,
    value: text("Its value; may be empty. Not for secrets: use valueFrom.", { min: 0, max: 32_768 }).exactOptional(),
    valueFrom: valueFrom.exactOptional(),
  }),
  [
    exactlyOne<{ name: string; value?: string; valueFrom?: object }>(
      ["value", "valueFrom"],
      'set exactly one of value and valueFrom; for an empty variable write value: ""',
    ),
  ],
);

export const env = keyedList("Environment variables; they win over envFrom.", envVar, "name", 500);

const envSource = ruled(
  object("All keys of a Secret or ConfigMap as variables.", {
    prefix: text("Put before each key.", { max: 128, pattern: ENV_NAME, fix: NAME_FIX }).exactOptional(),
    secretRef: object("The Secret.", {
      name: objectName("Name of the Secret."),
      optional: flag("Whether the Secret may be missing.", { default: false }).exactOptional(),
    }).exactOptional(),
    configMapRef: object("The ConfigMap.", {
      name: objectName("Name of the ConfigMap."),
      optional: flag("Whether the ConfigMap may be missing.", { default: false }).exactOptional(),
    }).exactOptional(),
  }),
  [
    exactlyOne<{ prefix?: string; secretRef?: object; configMapRef?: object }>(
      ["secretRef", "configMapRef"],
      "set exactly one of secretRef and configMapRef",
    ),
  ],
);

export const envFrom = list(
  "Sources of many variables at once; a later source wins over an earlier one.",
  envSource,
  32,
);

export type EnvVar = z.infer<typeof envVar>;
export type EnvFromSource = z.infer<typeof envSource>;
