/**
 * How long to wait between looks at something that is awaited: as short as is useful while looks tell something, and longer and longer while they
 * tell nothing. So a vendor that is in trouble for hours is not asked every few seconds by everybody who waits for it.
 */
export class Patience {
  readonly #firstMs: number;
  readonly #longestMs: number;
  #ms: number;

  /** @param longestMs what is shorter than `firstMs` counts as that. */
  constructor(firstMs: number, longestMs: number) {
    this.#firstMs = firstMs;
    this.#longestMs = Math.max(firstMs, longestMs);
    this.#ms = firstMs;
  }

  /** @param isTold whether the last look told anything that it was made for. @returns ms until the next. */
  nextMs(isTold: boolean): number {
    if (isTold) {
      this.#ms = this.#firstMs;
      return this.#ms;
    }
    const ms = this.#ms;
    this.#ms = Math.min(this.#longestMs, this.#ms * 2);
    return ms;
  }
}
