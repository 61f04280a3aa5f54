// Decides whether and when a container that ended is started again: one manager per container, kept until it is reset. Not in the state of
// the container, so a new daemon begins anew. Source: containerm/mgr/mgr_restart_mgr.go.

import type { Clock, Timer } from "../clock.ts";
import { text } from "./errors.ts";
import { uptimeMs } from "./state.ts";
import type { Container, RestartPolicy } from "./types.ts";

const FIRST_DELAY_MS = 100;
const MAX_DELAY_MS = 60_000;
const HEALTHY_RUN_MS = 10_000;

/** What becomes of a scheduled restart. */
export interface RestartOutcome {
  /** The delay is over. */
  due: () => void;
  /** It was cancelled while the delay ran. */
  canceled: (error: Error) => void;
}

export class RestartManager {
  readonly #clock: Clock;
  readonly #policy: RestartPolicy;
  readonly #maxDelayMs: number;
  #performed: number;
  #delayMs = 0;
  #canceled = false;
  #pending: { timer: Timer; canceled: (error: Error) => void } | undefined;

  constructor(clock: Clock, policy: RestartPolicy, restartCount: number) {
    this.#clock = clock;
    this.#policy = policy;
    this.#performed = restartCount;
    this.#maxDelayMs = policy.retryTimeoutS === 0 ? MAX_DELAY_MS : policy.retryTimeoutS * 1000;
  }

  /** A restart waits for its delay. */
  get pending(): boolean {
    return this.#pending !== undefined;
  }

  /**
   * Judges an end by the policy: the exit code, whether a command stopped it, how long it ran. Counts the restart and lengthens the delay.
   * A cancelled manager never restarts anything again.
   */
  shouldRestart(exitCode: number, manuallyStopped: boolean, uptimeMs: number): boolean {
    if (this.#policy.type === "no" || this.#canceled || this.#pending) {
      return false;
    }
    if (uptimeMs >= HEALTHY_RUN_MS) {
      this.#delayMs = 0;
    }
    this.#delayMs = Math.min(this.#delayMs === 0 ? FIRST_DELAY_MS : this.#delayMs * 2, this.#maxDelayMs);
    if (!this.#wanted(exitCode, manuallyStopped)) {
      return false;
    }
    this.#performed++;
    return true;
  }

  /** Waits the delay that the last `shouldRestart` settled. */
  schedule(outcome: RestartOutcome): void {
    const timer = this.#clock.setTimeout(() => {
      this.#pending = undefined;
      outcome.due();
    }, this.#delayMs);
    this.#pending = { timer, canceled: outcome.canceled };
  }

  /** Cancels for good; a restart that waits is told so. */
  cancel(): void {
    this.#canceled = true;
    const pending = this.#pending;
    this.#pending = undefined;
    if (pending) {
      this.#clock.clearTimeout(pending.timer);
      pending.canceled(new Error(text.restartCanceled));
    }
  }

  /** The process that held this manager is gone: the timer with it, and nobody is told. */
  vanish(): void {
    this.#clock.clearTimeout(this.#pending?.timer);
    this.#pending = undefined;
  }

  #wanted(exitCode: number, manuallyStopped: boolean): boolean {
    switch (this.#policy.type) {
      case "always":
        return true;
      case "unless-stopped":
        return !manuallyStopped;
      case "on-failure": {
        const max = this.#policy.maxRetryCount;
        return (max === 0 || this.#performed < max) && exitCode !== 0;
      }
      default:
        return false;
    }
  }
}

/** The restart managers of all containers, by container id. One that was never asked for is made at the first question. */
export class RestartManagers {
  readonly #clock: Clock;
  readonly #managers = new Map<string, RestartManager>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  of(container: Container): RestartManager {
    const existing = this.#managers.get(container.id);
    if (existing) {
      return existing;
    }
    const policy = container.config.restartPolicy ?? { type: "no", maxRetryCount: 0, retryTimeoutS: 0 };
    const created = new RestartManager(this.#clock, policy, container.restartCount);
    this.#managers.set(container.id, created);
    return created;
  }

  /** Judges the container's last end; see RestartManager.shouldRestart. */
  shouldRestart(container: Container): boolean {
    const { state, manuallyStopped } = container;
    return this.of(container).shouldRestart(state.exitCode, manuallyStopped, uptimeMs(state));
  }

  pending(id: string): boolean {
    return this.#managers.get(id)?.pending ?? false;
  }

  /** Cancels the present manager; the next question makes a new one, with the policy of then. */
  reset(container: Container, resetCount: boolean): void {
    this.#managers.get(container.id)?.cancel();
    this.#managers.delete(container.id);
    if (resetCount) {
      container.restartCount = 0;
    }
  }

  forget(id: string): void {
    this.#managers.delete(id);
  }

  /** The daemon process is gone. */
  vanish(): void {
    for (const manager of this.#managers.values()) {
      manager.vanish();
    }
  }
}
