/** Whether a device's inventory can be believed, also for what is absent from it, and if not, what is in the way. Bookkeeping only. */
import { MOST_CHARACTERS, MOST_CONTAINERS } from "./inventory.ts";

const TOO_MUCH = `the device publishes more than ${MOST_CONTAINERS} containers, or configurations of more than ${MOST_CHARACTERS} characters in all: nothing is done on it until some are removed`;

export class Completeness {
  #synced = false;
  #syncCount = 0;
  /** Something was left out of the inventory, in the last pass or since: what is absent from it may be there all the same. */
  #incomplete = false;
  /** What it was, since the present pass began. Where no pass can be asked for, until it was published again and kept, or removed. */
  readonly #leftOut = new Set<string>();
  #problem: string | undefined;
  /** The last obstacle to the inventory that was told. It says nothing of whether the device is there. */
  #stuck: string | undefined;

  /** A full inventory has come since the device's words began to reach us. */
  get synced(): boolean {
    return this.#synced;
  }

  /** It can be believed also for what is absent from it. */
  get complete(): boolean {
    return this.#synced && !this.#incomplete;
  }

  /** How many full inventories have come. */
  get syncCount(): number {
    return this.#syncCount;
  }

  /** What is wrong beyond silence; for people. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** The problem is about the inventory alone. */
  get isStuck(): boolean {
    return this.#stuck !== undefined && this.#problem === this.#stuck;
  }

  /** The device's words reach us. @param resumed none of them was lost meanwhile. */
  opened(resumed: boolean): void {
    this.#problem = undefined;
    if (!resumed) this.#leftOut.clear();
  }

  /** The device is there. */
  present(): void {
    this.#problem = undefined;
  }

  /** A pass begins: it tells everything anew. */
  begun(): void {
    this.#leftOut.clear();
  }

  /** What is known may be out of date. */
  lost(): void {
    this.#synced = false;
  }

  /** The device's words may not reach us. */
  refused(message: string): void {
    this.#problem = message;
  }

  /** The inventory is not to be had. */
  stuck(message: string): void {
    this.#problem = message;
    this.#stuck = message;
  }

  /** A container was left out. @returns whether that is news. */
  leaveOut(externalId: string): boolean {
    const isNews = !this.#incomplete;
    this.#incomplete = true;
    if (this.#leftOut.size < MOST_CONTAINERS) this.#leftOut.add(externalId);
    this.#problem = TOO_MUCH;
    return isNews;
  }

  /** What was left out before is kept now, or gone. @returns whether it was the last of them. */
  settled(externalId: string): boolean {
    return this.#leftOut.delete(externalId) && this.#leftOut.size === 0;
  }

  /** A full inventory has come. */
  completed(): void {
    this.#synced = true;
    this.#syncCount += 1;
    this.#incomplete = this.#leftOut.size > 0;
    this.#problem = this.#incomplete ? TOO_MUCH : undefined;
  }
}
