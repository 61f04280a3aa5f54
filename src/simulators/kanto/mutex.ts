// One at a time, in order of arrival: the lock that the daemon holds on a container during each operation on it.

export class Mutex {
  #tail: Promise<void> = Promise.resolve();

  /** Runs `work` after all earlier work has ended, well or badly. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    const before = this.#tail;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#tail = promise;
    await before;
    try {
      return await work();
    } finally {
      resolve();
    }
  }
}
