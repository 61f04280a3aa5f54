/** The ledgers of a machine's objects. */
import type { Claim } from "../contract.ts";
import type { Names } from "./ids.ts";
import { Ledger, type Rental } from "./ledger.ts";

export class Books implements Iterable<Ledger> {
  readonly #ledgers = new Map<string, Ledger>();

  get(names: Names): Ledger | undefined {
    return this.#ledgers.get(keyOf(names));
  }

  /** The ledger of an object, with what is claimed now. @returns `isNews` if there is something to be looked up. */
  follow(claim: Claim): { ledger: Ledger; isNews: boolean } {
    const known = this.get(claim);
    if (known === undefined) {
      const ledger = new Ledger(claim);
      this.#ledgers.set(keyOf(claim), ledger);
      return { ledger, isNews: true };
    }
    const before = known.claim.recorded?.attempt;
    known.claim = claim;
    const attempt = claim.recorded?.attempt;
    const isNews = attempt !== undefined && attempt !== before && !known.rentals.has(attempt);
    if (isNews) known.complete = false;
    return { ledger: known, isNews };
  }

  delete(ledger: Ledger): void {
    this.#ledgers.delete(keyOf(ledger.claim));
  }

  /** By the vendor's id. */
  find(deploymentId: string): { account: Ledger; rental: Rental } | undefined {
    for (const account of this) {
      const rental = account.find(deploymentId);
      if (rental !== undefined) return { account, rental };
    }
    return undefined;
  }

  /** By either kind of id. */
  findAny(ids: readonly string[]): { account: Ledger; rental: Rental } | undefined {
    for (const account of this)
      for (const rental of account.rentals.values())
        if (ids.includes(rental.externalId) || ids.includes(rental.status.deploymentId)) return { account, rental };
    return undefined;
  }

  /** Of all that have not ended. */
  live(): { account: Ledger; rental: Rental }[] {
    return [...this].flatMap((account) => account.live().map((rental) => ({ account, rental })));
  }

  [Symbol.iterator](): Iterator<Ledger> {
    return this.#ledgers.values();
  }
}

function keyOf({ owner, namespace, name }: Names): string {
  return `${owner}/${namespace}/${name}`;
}
