/** Work that many ask for at once, e.g. a look for which any number of webhooks is a reason: one at a time per key, and at most one more after it. */
export class Coalescer {
  /** By key: whether somebody has asked again since it began. */
  readonly #running = new Map<string, boolean>();

  /** @param work must not reject. */
  run(key: string, work: () => Promise<unknown>): void {
    if (this.#running.has(key)) {
      this.#running.set(key, true);
      return;
    }
    this.#running.set(key, false);
    void work().then(() => {
      const isAskedAgain = this.#running.get(key) === true;
      this.#running.delete(key);
      if (isAskedAgain) this.run(key, work);
    });
  }
}
