/**
 * Who waits for a device's command slot. A freed slot wakes one waiter, not all of them: with a thousand containers on one
 * device, waking all would cost a million passes.
 */

/** Waiters per device, first come first served, and who is about to use the slot. */
export class SlotWaiters {
  readonly #waiting = new Map<string, Set<string>>();
  readonly #reserved = new Map<string, string>();
  readonly #turns = new Map<string, string>();

  /**
   * Claims the slot for one pass, so that no other pass journals an operation for it meanwhile. False if another key has
   * it. Whoever got it calls `release`.
   */
  reserve(device: string, key: string): boolean {
    const holder = this.#reserved.get(device);
    if (holder !== undefined && holder !== key) return false;
    this.#reserved.set(device, key);
    return true;
  }

  release(device: string, key: string): void {
    if (this.#reserved.get(device) === key) this.#reserved.delete(device);
  }

  /** Queues a key; a key that waits already keeps its place. */
  wait(device: string, key: string): void {
    let keys = this.#waiting.get(device);
    if (keys === undefined) this.#waiting.set(device, (keys = new Set()));
    keys.add(key);
  }

  /**
   * Takes the next waiter out; undefined if nobody waits, or while somebody has the slot reserved: that one calls again when
   * it is done. Else the waiters would wake each other round and round for as long as a reservation lasts.
   */
  next(device: string): string | undefined {
    if (this.#reserved.has(device)) return undefined;
    const keys = this.#waiting.get(device);
    if (keys === undefined) return undefined;
    for (const key of keys) {
      keys.delete(key);
      this.#turns.set(key, device);
      if (keys.size === 0) this.#waiting.delete(device);
      return key;
    }
    return undefined;
  }

  /** The device whose slot the key was last woken for, once; whoever takes it up passes the slot on if it does not use it. */
  endTurn(key: string): string | undefined {
    const device = this.#turns.get(key);
    this.#turns.delete(key);
    return device;
  }

  /** Removes a key wherever it waits: it has been looked at. */
  leave(device: string, key: string): void {
    const keys = this.#waiting.get(device);
    if (keys?.delete(key) === true && keys.size === 0) this.#waiting.delete(device);
  }
}
