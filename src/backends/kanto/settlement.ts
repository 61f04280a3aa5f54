/**
 * Which operations are over: everything that was ever sent for them, by this or a former process, has ended or never arrived. What this
 * process sent is over with its slot. For anything else a full inventory has to come whose announcement was sent after the question was
 * asked: the daemon handles messages in order, so nothing older can still be waiting in it.
 */

/** Operations that are remembered as closed; a forgotten one is only settled again. */
const MAX_CLOSED = 2_000;

export class Settlement {
  /** Number of the last message that was sent before the question. */
  readonly #waiting = new Map<string, number>();
  readonly #closed = new Set<string>();

  /** Somebody waits for an inventory to tell how an operation ended. */
  get waiting(): boolean {
    return this.#waiting.size > 0;
  }

  isClosed(operationId: string): boolean {
    return this.#closed.has(operationId);
  }

  /** @returns the number that an announcement must exceed to close the operation. */
  wait(operationId: string, lastSent: number): number {
    const asked = this.#waiting.get(operationId) ?? lastSent;
    this.#waiting.set(operationId, asked);
    return asked;
  }

  /** Something is sent for it now. */
  opened(operationId: string): void {
    this.#closed.delete(operationId);
    this.#waiting.delete(operationId);
  }

  closed(operationId: string): void {
    this.#waiting.delete(operationId);
    this.#closed.add(operationId);
    const [oldest] = this.#closed;
    if (this.#closed.size > MAX_CLOSED && oldest !== undefined) this.#closed.delete(oldest);
  }

  /**
   * A full inventory has come.
   *
   * @param announcedSeq number of its announcement; 0 if it was not ours and so proves nothing.
   * @returns the number that the next one must exceed for those still waiting; undefined if none is.
   */
  inventoryCame(announcedSeq: number): number | undefined {
    for (const [operationId, asked] of this.#waiting) {
      if (announcedSeq > asked) this.closed(operationId);
    }
    return this.#waiting.size === 0 ? undefined : Math.max(...this.#waiting.values());
  }
}

/** Creates are numbered `<operation id>.<attempt>`; the operation is what is settled. */
export function operationOf(commandId: string): string {
  return commandId.replace(/\.[0-9]+$/, "");
}
