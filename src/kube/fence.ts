/**
 * What stands between a process that was the leader and the effects it must no longer have. A lease alone does not do
 * that: "does not guarantee that only one client is acting as a leader" (client-go, tools/leaderelection). Every outside
 * effect asks the fence in the same turn of the event loop, on a connection that is already open.
 */

import type { Clock } from "./clock.ts";

/** Thrown instead of an effect that came too late. */
export class FencedError extends Error {
  override readonly name = "FencedError";

  constructor() {
    super("not the leader any more: the effect was dropped unsent");
  }
}

export interface Fence {
  /** Whether an effect may leave now. */
  valid(): boolean;
  /** Until when the lease surely is ours, in the clock's monotonic milliseconds; -Infinity when it is not. */
  readonly deadlineMonotonic: number;
  /** @throws FencedError unless `valid()`. */
  check(): void;
}

/**
 * A fence that is open until a deadline, counted from the start of the last successful renewal's request: the server
 * cannot have recorded it earlier, so nobody who waits a whole lease duration can hold the lease before our deadline.
 *
 * Two clocks, both must agree: the monotonic one, which no time step can move, and the wall clock, because the monotonic
 * one stands still while a virtual machine is suspended. A wall clock that jumps ahead closes the fence until the next
 * renewal: a needless pause of two seconds, never a doubled effect.
 */
export class LeaseFence implements Fence {
  readonly #clock: Clock;
  #deadline = Number.NEGATIVE_INFINITY;
  #wallDeadline = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get deadlineMonotonic(): number {
    return this.#deadline;
  }

  valid(): boolean {
    return this.#clock.monotonic() < this.#deadline && this.#clock.now() < this.#wallDeadline;
  }

  check(): void {
    if (!this.valid()) {
      throw new FencedError();
    }
  }

  /** For the elector: a renewal succeeded whose request started at these times. */
  extend(startedMonotonic: number, startedWall: number, validMs: number): void {
    this.#deadline = startedMonotonic + validMs;
    this.#wallDeadline = startedWall + validMs;
  }

  /** For the elector: the lease was lost or given up. */
  close(): void {
    this.#deadline = Number.NEGATIVE_INFINITY;
    this.#wallDeadline = Number.NEGATIVE_INFINITY;
  }
}

/** The fence of a process that is alone by decision (--leader-elect=false). */
export const OPEN_FENCE: Fence = {
  deadlineMonotonic: Number.POSITIVE_INFINITY,
  valid: () => true,
  check: () => undefined,
};
