/** Limits and reservations, in Kubernetes quantities; each backend converts them. */
import type { z } from "zod";
import { isQuantity, parseQuantity, positiveQuantity, quantity, type Quantity, type QuantityForm } from "./quantity.ts";
import { object, ruled } from "./schema.ts";

/** memorySwap that sets no limit. */
export const UNLIMITED = "Unlimited";

/** CEL: both are there and are quantities; what else is wrong with them is said by their own rules. */
const comparable = (...fields: readonly string[]) =>
  fields.map((field) => `has(self.${field}) && isQuantity(string(self.${field}))`).join(" && ");

/** Both are there and are quantities. */
function compare(a: Quantity | undefined, b: Quantity | undefined, holds: (a: number, b: number) => boolean): boolean {
  if (a === undefined || b === undefined || !isQuantity(a) || !isQuantity(b)) return true;
  return holds(parseQuantity(a), parseQuantity(b));
}

const LIMIT = comparable("limits.memory");

/** Limits and reservations with quantities of one form; how they compare is checked in the Full one only. */
function schemaOf(form: QuantityForm) {
  const quantities = object("Limits and reservations.", {
    limits: object("The most that the container gets.", {
      cpu: positiveQuantity("CPU time in cores.", "500m", form).exactOptional(),
      memory: positiveQuantity("Memory.", "64Mi", form).exactOptional(),
    }).exactOptional(),
    reservations: object("What the container is promised.", {
      memory: positiveQuantity("Memory that is kept for it when the device runs short.", "32Mi", form).exactOptional(),
    }).exactOptional(),
    memorySwap: quantity(
      `Memory and swap together; ${UNLIMITED} for no limit. Unset: the backend's own.`,
      "128Mi",
      [UNLIMITED],
      form,
    ).exactOptional(),
  });
  const base = ruled(quantities, [
    {
      rule: "!has(self.memorySwap) || (has(self.limits) && has(self.limits.memory))",
      message: "memorySwap counts memory and swap together: set limits.memory too",
      holds: (value) => value.memorySwap === undefined || value.limits?.memory !== undefined,
    },
  ]);
  if (form === "Plain") return base;
  return ruled(base, [
    {
      rule: `!(${comparable("memorySwap")} && has(self.limits) && ${LIMIT}) || !quantity(string(self.memorySwap)).isLessThan(quantity(string(self.limits.memory)))`,
      message: "memorySwap counts memory and swap together: it must not be below limits.memory",
      holds: (value) => compare(value.memorySwap, value.limits?.memory, (swap, limit) => swap >= limit),
    },
    {
      rule: `!(has(self.reservations) && ${comparable("reservations.memory")} && has(self.limits) && ${LIMIT}) || !quantity(string(self.reservations.memory)).isGreaterThan(quantity(string(self.limits.memory)))`,
      message: "reservations.memory must not be above limits.memory",
      holds: (value) => compare(value.reservations?.memory, value.limits?.memory, (kept, limit) => kept <= limit),
    },
  ]);
}

export const resources = schemaOf("Full");

/** For templates in lists. */
export const plainResources = schemaOf("Plain");

export type Resources = z.infer<typeof resources>;
