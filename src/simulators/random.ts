// Repeatable randomness for the simulators: the same seed gives the same ids, pids, orders and jitter. Not for anything secret.

export interface Random {
  /** A number in [0, 1). */
  next(): number;
  /** An integer in [0, bound). */
  integer(bound: number): number;
  /** A random (version 4) UUID. */
  uuid(): string;
  /** The items in a random order, as a new array. */
  shuffle<T>(items: readonly T[]): T[];
}

/** A generator for `seed` (any text): the seed is hashed by FNV-1a, the numbers come from mulberry32. */
export function createRandom(seed: string): Random {
  let state = 0x811c9dc5;
  for (const char of seed) {
    state = Math.imul(state ^ (char.codePointAt(0) ?? 0), 0x01000193);
  }
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const integer = (bound: number): number => Math.floor(next() * bound);
  const hex = (digits: number): string => Array.from({ length: digits }, () => integer(16).toString(16)).join("");
  return {
    next,
    integer,
    uuid: () => `${hex(8)}-${hex(4)}-4${hex(3)}-${(8 + integer(4)).toString(16)}${hex(3)}-${hex(12)}`,
    shuffle: (items) => {
      const shuffled = [...items];
      for (let index = shuffled.length - 1; index > 0; index--) {
        const other = integer(index + 1);
        const item = shuffled[index] as (typeof items)[number];
        shuffled[index] = shuffled[other] as (typeof items)[number];
        shuffled[other] = item;
      }
      return shuffled;
    },
  };
}
