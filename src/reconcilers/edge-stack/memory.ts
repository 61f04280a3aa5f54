/** What a process remembers of an EdgeStack between passes. Nothing here is needed to be safe. */

export interface StackMemory {
  readonly uid: string;
  /** Clock.now() when a name conflict was first seen. */
  conflictSinceMs?: number;
  /** Clock.monotonic() when this process last heard, or gave up hearing, what became of a creation at the vendor. */
  creationEndedAtMs?: number | undefined;
  /** Ids of stacks at the vendor that carry its mark beside its own, and were told of. */
  doubles?: ReadonlySet<string>;
  /** Names of services of other installations in its stack at the vendor that were told of. */
  foreign?: ReadonlySet<string>;
  /** For the deletion the stack at the vendor was listed; if it is no longer, it is gone. */
  wasSeen?: boolean;
  /** The stack at the vendor was emptied for the deletion. */
  emptied?: boolean;
}

export class StackMemories {
  readonly #byKey = new Map<string, StackMemory>();

  /** The memory of an object; a new object of the same name starts anew. */
  of(key: string, uid: string): StackMemory {
    const known = this.#byKey.get(key);
    if (known?.uid === uid) return known;
    const fresh: StackMemory = { uid };
    this.#byKey.set(key, fresh);
    return fresh;
  }

  forget(key: string): void {
    this.#byKey.delete(key);
  }
}
