/**
 * What the vendor's "there is no such deployment" is worth. A key of another account gets the same answer about every rental, and each would look
 * as if it had ended while it goes on costing. So an account's word that a rental is gone counts only where the account has shown that rentals of
 * ours are its own: it has shown this very one, or one that was recorded with the same credentials, and it still shows another one: not everything that
 * is known is missing at once. What does not count is held: nothing is begun, nothing is said to have ended, and somebody is told. One per account.
 */

/** A vendor's "no" counts after so many of them. */
export const ABSENT_READS = 3;

/** What is known of a rental that is said not to exist. */
export interface Missing {
  readonly externalId: string;
  /** The vendor's id. */
  readonly deploymentId: string;
  /** It was recorded with other credentials than the account's: which. */
  readonly under?: string | undefined;
  /** It was seen to run, by this process or a former one. */
  readonly hasRun: boolean;
  /** It is known to have ended, or to be ending, so that a vendor may well forget it; or a person has said so. */
  readonly isExpected: boolean;
}

/** Wait: not said often and long enough, or others are still to be asked for. */
export type Verdict = { gone: "Yes" | "Wait" } | { gone: "Held"; why: string };

interface Absence {
  sinceMs: number;
  reads: number;
  /** The others have been asked for because of it. */
  asked: boolean;
  /** It says something about the others: there was reason to believe that the vendor knows it. */
  counts: boolean;
}

export class Witness {
  /** Former credentials, of whose rentals the present ones have shown one. */
  readonly #proven = new Set<string>();
  /** Rentals that have not ended, and when they were shown last, monotonic ms; by our ids. */
  readonly #shown = new Map<string, number>();
  readonly #absent = new Map<string, Absence>();
  readonly #askOthers: () => void;

  /** @param askOthers looks at every rental of the account that is known, soon. */
  constructor(askOthers: () => void) {
    this.#askOthers = askOthers;
  }

  /** How many rentals are remembered. */
  get size(): number {
    return new Set([...this.#shown.keys(), ...this.#absent.keys()]).size;
  }

  /** @param under the credentials with which it was recorded, where they are others than the account's. */
  shown(externalId: string, rental: { isLive: boolean; under?: string | undefined }, nowMs: number): void {
    this.#absent.delete(externalId);
    if (rental.isLive) this.#shown.set(externalId, nowMs);
    else this.#shown.delete(externalId);
    if (rental.under !== undefined) this.#proven.add(rental.under);
  }

  /** Whether the vendor has said last that it does not know it. @param afterMs for the first time after this, monotonic ms. */
  isMissing(externalId: string, afterMs = -Infinity): boolean {
    const entry = this.#absent.get(externalId);
    return entry !== undefined && entry.sinceMs > afterMs;
  }

  /** Whether what was recorded with these credentials is the account's own. */
  trusts(under: string | undefined): boolean {
    return under === undefined || this.#proven.has(under);
  }

  /** Nobody asks for it any more. */
  forget(externalId: string): void {
    this.#shown.delete(externalId);
    this.#absent.delete(externalId);
  }

  /** The vendor has said once more that there is none. */
  missing(rental: Missing, settleMs: number, nowMs: number): Verdict {
    const { externalId, deploymentId, isExpected } = rental;
    const wasThere = rental.hasRun || this.#shown.has(externalId);
    const counts = !isExpected && wasThere && this.trusts(rental.under);
    const entry = this.#absent.get(externalId) ?? { sinceMs: nowMs, reads: 0, asked: false, counts };
    entry.reads += 1;
    entry.counts = counts;
    this.#absent.set(externalId, entry);
    if (entry.reads < ABSENT_READS || nowMs - entry.sinceMs < settleMs) return { gone: "Wait" };
    if (isExpected) return this.#gone(externalId);
    const held = (why: string): Verdict => ({
      gone: "Held",
      why: `the vendor does not know rental ${deploymentId}: ${why} ${wayOut(deploymentId)}`,
    });
    if (!this.trusts(rental.under))
      return held(
        "it was recorded with other credentials, and the present ones have shown none of that account's rentals, so it may go on costing; " +
          "is the key in the Secret of the same account?",
      );
    if (!wasThere) return held("it accepted the start and has never shown it, so it may cost; ask the vendor.");
    const others = [...this.#shown].filter(([id]) => id !== externalId && this.#absent.get(id)?.counts !== false);
    if (others.some(([, shownMs]) => shownMs > entry.sinceMs)) return this.#gone(externalId);
    if (others.some(([id]) => !this.#absent.has(id))) {
      if (!entry.asked) this.#askOthers();
      entry.asked = true;
      return { gone: "Wait" };
    }
    // An API that has moved, or has lost its records, answers the same of everything.
    return held(
      [...this.#absent].some(([id, other]) => id !== externalId && other.counts)
        ? "nor any other that is known, so they may go on costing; is the key in the Secret of the same account?"
        : "and there is no other that it still shows, so that its word cannot be trusted and the rental may go on costing; is spec.hiveon.url right?",
    );
  }

  #gone(externalId: string): Verdict {
    this.forget(externalId);
    return { gone: "Yes" };
  }
}

/** What ends a doubt that the vendor's answers never end. */
function wayOut(deploymentId: string): string {
  return `If the vendor confirms that it has ended, say so: annotation edge.drayage.dev/confirm-ended: "${deploymentId}"`;
}
