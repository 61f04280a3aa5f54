// Ending a container's process by the rules of a stop, and telling an end that was ordered from one that came by itself.
// Source: containerm/ctr/ctrd_client.go (DestroyContainer) and ctrd_client_internal.go (killTask, killTaskForced).

import type { Clock } from "../clock.ts";
import type { StopOptions } from "./arguments.ts";
import { ProcessEnded, text } from "./errors.ts";
import type { Exit, Runtime } from "./runtime.ts";
import { signalName, signalNumber } from "./validation.ts";

const SIGKILL = 9;

export class Stopper {
  readonly #clock: Clock;
  readonly #runtime: Runtime;
  readonly #signal: AbortSignal;
  /** Whoever waits for a process to end takes its end away from the ordinary exit handling. */
  readonly #waiters = new Map<string, (exit: Exit) => void>();
  /** Ends that nobody waited for and that are not handled yet. */
  readonly #unhandled = new Map<string, Exit>();

  /** @param signal ends with the daemon process */
  constructor(clock: Clock, runtime: Runtime, signal: AbortSignal) {
    this.#clock = clock;
    this.#runtime = runtime;
    this.#signal = signal;
  }

  /** Notes the end of a process. Returns whether it came by itself; then `takeExit` has to be called, under the container's lock. */
  ended(id: string, exit: Exit): boolean {
    const waiter = this.#waiters.get(id);
    if (waiter) {
      waiter(exit);
      return false;
    }
    this.#unhandled.set(id, exit);
    return true;
  }

  /** The end that nobody has handled yet; undefined when a stop was faster. */
  takeExit(id: string): Exit | undefined {
    const exit = this.#unhandled.get(id);
    this.#unhandled.delete(id);
    return exit;
  }

  /**
   * Sends the signal and waits for the end; forced, SIGKILL follows after the grace. Returns undefined when there is no process.
   * @throws Error when the grace passes and force is not set; ProcessEnded when the daemon dies meanwhile
   */
  async destroy(id: string, { timeoutS, force, signal }: StopOptions): Promise<Exit | undefined> {
    const ended = this.takeExit(id);
    if (ended || this.#runtime.pid(id) === undefined) {
      return ended;
    }
    const number = signalNumber(signal);
    if (number !== SIGKILL) {
      const exit = await this.#exitWithin(id, timeoutS * 1000, number);
      if (exit) {
        return exit;
      }
      if (!force) {
        throw new Error(text.stopTimedOut(id, signalName(number)));
      }
    }
    return this.#exitWithin(id, timeoutS * 1000, SIGKILL);
  }

  async #exitWithin(id: string, timeoutMs: number, number: number): Promise<Exit | undefined> {
    const { promise, resolve, reject } = Promise.withResolvers<Exit | undefined>();
    const onAbort = (): void => reject(new ProcessEnded("daemon ended during a stop"));
    this.#waiters.set(id, resolve);
    this.#signal.addEventListener("abort", onAbort, { once: true });
    const timer = this.#clock.setTimeout(() => resolve(undefined), timeoutMs);
    try {
      this.#runtime.kill(id, number);
      return await promise;
    } finally {
      this.#clock.clearTimeout(timer);
      this.#signal.removeEventListener("abort", onAbort);
      this.#waiters.delete(id);
    }
  }
}
