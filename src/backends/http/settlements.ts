/** Which operations are over: everything that was ever sent for them, by this or a former process, has ended or never arrived. */

/** Operations that are remembered as over; a forgotten one is only settled again. */
const MAX_CLOSED = 2_000;

export class Settlements {
  readonly #closed = new Set<string>();
  readonly #proving = new Set<string>();

  /** How many operations are remembered, over or not. */
  get size(): number {
    return this.#closed.size + this.#proving.size;
  }

  /** Whether a proof is under way. */
  get isProving(): boolean {
    return this.#proving.size > 0;
  }

  isClosed(operationId: string): boolean {
    return this.#closed.has(operationId);
  }

  /** Something is sent for it now. */
  opened(operationId: string): void {
    this.#closed.delete(operationId);
  }

  closed(operationId: string): void {
    this.#closed.add(operationId);
    const [oldest] = this.#closed;
    if (this.#closed.size > MAX_CLOSED && oldest !== undefined) this.#closed.delete(oldest);
  }

  /**
   * Has it proven that an operation is over, once at a time.
   *
   * @param prove resolves to whether it is; must not reject.
   * @param then is told once it is.
   */
  prove(operationId: string, prove: () => Promise<boolean>, then: () => void): void {
    if (this.#proving.has(operationId)) return;
    this.#proving.add(operationId);
    void prove().then((isOver) => {
      this.#proving.delete(operationId);
      if (!isOver) return;
      this.closed(operationId);
      then();
    });
  }
}
