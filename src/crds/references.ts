/** References to other objects, always in the referring object's own namespace unless the field says otherwise. */
import type { z } from "zod";
import { flag, object, ruled, text, type Rule } from "./schema.ts";

/** DNS-1123 subdomain, the syntax of object names. */
const OBJECT_NAME = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
/** Keys of Secrets and ConfigMaps (k8s.io/apimachinery, IsConfigMapKey). */
const DATA_KEY = /^[-._a-zA-Z0-9]+$/;

const NAME_FIX = "a name is made of lower-case letters, digits, - and ., and begins and ends with a letter or digit";

/** Name of an object. */
export function objectName(description: string) {
  return text(description, { pattern: OBJECT_NAME, fix: NAME_FIX });
}

/** Name of a namespace. */
export function namespaceName(description: string) {
  return text(description, { max: 63, pattern: /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/, fix: NAME_FIX });
}

/** Key in a Secret or ConfigMap. */
export function dataKey(description: string) {
  return text(description, { pattern: DATA_KEY, fix: "a key is made of letters, digits, -, _ and ." });
}

/** Names an object of a kind that the field tells. */
export function localRef(description: string) {
  return object(description, { name: objectName("Name of the object, in the same namespace.") });
}

/** One key of a Secret in the same namespace. */
export function secretKeyRef(description: string) {
  return object(description, {
    name: objectName("Name of the Secret."),
    key: dataKey("Key in the Secret's data."),
    optional: flag("Whether the Secret or its key may be missing; the field then counts as unset.", {
      default: false,
    }).exactOptional(),
  });
}

/** One key of a ConfigMap in the same namespace. */
export function configMapKeyRef(description: string) {
  return object(description, {
    name: objectName("Name of the ConfigMap."),
    key: dataKey("Key in the ConfigMap's data."),
    optional: flag("Whether the ConfigMap or its key may be missing; the field then counts as unset.", {
      default: false,
    }).exactOptional(),
  });
}

/** The rule that exactly one of some fields is set. */
export function exactlyOne<T extends object>(fields: readonly (keyof T & string)[], message: string): Rule<T> {
  return {
    rule: `[${fields.map((field) => `has(self.${field})`).join(", ")}].filter(set, set).size() == 1`,
    message,
    holds: (value) => fields.filter((field) => value[field] !== undefined).length === 1,
  };
}

/** A text given directly, or from a Secret or ConfigMap. */
export function textSource(description: string, maxLength: number) {
  return ruled(
    object(description, {
      value: text("The text itself. Not for secrets: anyone who may read the object reads it.", {
        min: 0,
        max: maxLength,
      }).exactOptional(),
      secretKeyRef: secretKeyRef("Key of a Secret that holds the text.").exactOptional(),
      configMapKeyRef: configMapKeyRef("Key of a ConfigMap that holds the text.").exactOptional(),
    }),
    [
      exactlyOne<{ value?: string; secretKeyRef?: object; configMapKeyRef?: object }>(
        ["value", "secretKeyRef", "configMapKeyRef"],
        "set exactly one of value, secretKeyRef and configMapKeyRef",
      ),
    ],
  );
}

export type SecretKeyRef = z.infer<ReturnType<typeof secretKeyRef>>;
export type ConfigMapKeyRef = z.infer<ReturnType<typeof configMapKeyRef>>;
export type TextSource = z.infer<ReturnType<typeof textSource>>;
