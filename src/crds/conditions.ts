/** Status parts that every kind has. */
import type { z } from "zod";
import { choice, int, keyedList, object, text, time } from "./schema.ts";

/** metav1.Condition, with observedGeneration required: kstatus needs it on each. */
const condition = object("One aspect of the object's state.", {
  type: text("What the condition is about.", { max: 316, pattern: /^[A-Z][A-Za-z0-9]*$/ }),
  status: choice("Whether it holds.", ["True", "False", "Unknown"]),
  observedGeneration: int("Generation of the spec that the condition was computed from."),
  lastTransitionTime: time("When the status last changed."),
  reason: text("Why, in one word; part of the API.", {
    max: 1024,
    pattern: /^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$/,
  }),
  message: text("Why, for people.", { min: 0, max: 32_768 }),
});

/** The list of conditions. */
export const conditions = keyedList("Conditions, one per type.", condition, "type", 16);

/** metadata.generation that the status is about; -1 until the operator has seen the object (the status default). */
export const observedGeneration = int(
  "Generation of the spec that this status is about; -1 before the first look.",
  -1,
);

/** Longest id of a vendor that is kept. */
export const EXTERNAL_ID = 1024;

/** The default of status as a whole, so that a fresh object reads as in progress. */
export const STATUS_DEFAULT = { observedGeneration: -1 } as const;

export type StatusCondition = z.infer<typeof condition>;
