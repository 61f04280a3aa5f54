/**
 * Kubernetes quantities ("64Mi", "1.5", "500m", 2). The syntax is that of k8s.io/apimachinery, pkg/api/resource; only values that are
 * zero or greater are of use here, so no sign is taken.
 */
import { z } from "zod";
import { ruled } from "./schema.ts";

/** Digits with an optional fraction, then a binary or decimal suffix or an exponent. */
const QUANTITY = "([0-9]+(\\.[0-9]*)?|\\.[0-9]+)(([KMGTPE]i)|[numkMGTPE]|([eE][+-]?[0-9]{1,2}))?";
const pattern = new RegExp(`^${QUANTITY}$`);

const FACTORS: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/** A quantity as users write it: a whole number or a text. */
export type Quantity = number | string;

/**
 * Full: with rules, whose refusals say what to write. Plain: with a pattern only, since Kubernetes before 1.33 takes a quantity for as long
 * as a whole object when it estimates what rules cost, which a list of containers cannot afford.
 */
export type QuantityForm = "Full" | "Plain";

/** Longest text of a quantity that anybody needs. */
const LONGEST = 32;

/**
 * Schema of a quantity: int-or-string for the API server.
 *
 * @param example shown when something else was written.
 * @param words texts that are allowed beside quantities.
 */
export function quantity(
  description: string,
  example: string,
  words: readonly string[] = [],
  form: QuantityForm = "Full",
) {
  const source = `^(${[QUANTITY, ...words].join("|")})$`;
  const allowed = new RegExp(source);
  const meta = { description, "x-kubernetes-int-or-string": true, maxLength: LONGEST };
  if (form === "Plain")
    return z
      .union([z.int().min(0), z.string().max(LONGEST).regex(allowed)])
      .meta({ ...meta, pattern: source, minimum: 0 });
  const schema = z.union([z.int().min(0), z.string().max(LONGEST)]).meta(meta);
  return ruled(schema, [
    {
      // A number is a quantity unless it is negative.
      rule: `string(self).matches(r'${source}')`,
      message: `write a quantity, e.g. ${[example, ...words].join(", or ")}`,
      holds: (value) => typeof value === "number" || allowed.test(value),
    },
  ]);
}

/** A quantity that is more than 0; in the Plain form that is not checked. Its rules are attached here. */
export function positiveQuantity(description: string, example: string, form: QuantityForm = "Full") {
  if (form === "Plain") return quantity(description, example, [], form);
  return ruled(quantity(description, example), [
    {
      rule: `!isQuantity(string(self)) || quantity(string(self)).isGreaterThan(quantity("0"))`,
      message: `must be more than 0, e.g. ${example}; leave it out for none`,
      holds: (value) => !isQuantity(value) || parseQuantity(value) > 0,
    },
  ]);
}

/** Whether a value is a quantity. */
export function isQuantity(value: Quantity): boolean {
  return typeof value === "number" || pattern.test(value);
}

/**
 * The value of a quantity in its base unit (bytes, cores), as a number.
 *
 * @throws RangeError if it is not a quantity.
 */
export function parseQuantity(value: Quantity): number {
  if (typeof value === "number") return value;
  if (!pattern.test(value)) throw new RangeError(`not a quantity: ${JSON.stringify(value)}`);
  const [, digits, suffix] = /^([0-9.]+)(.*)$/.exec(value) ?? [];
  if (suffix === undefined || suffix === "") return Number(digits);
  const factor = FACTORS[suffix];
  return factor === undefined ? Number(value) : Number(digits) * factor;
}
