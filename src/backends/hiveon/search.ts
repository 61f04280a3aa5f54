/** Looks up every object of a machine of which not everything is known, one after another, and again with growing pauses until it is. */
import { pause } from "../pause.ts";
import type { FindHost } from "./find.ts";
import { lookUp } from "./find.ts";
import type { Ledger } from "./ledger.ts";

export interface SearchHost extends FindHost {
  readonly books: Iterable<Ledger>;
  /** Some object has become completely known. */
  completed(): void;
  /** The search rests. */
  rests(): void;
}

export class Search {
  readonly #host: SearchHost;
  #running = false;
  #again = false;

  constructor(host: SearchHost) {
    this.#host = host;
  }

  /** Looks; once at a time. */
  start(): void {
    if (this.#running) {
      this.#again = true;
      return;
    }
    this.#running = true;
    void this.#run();
  }

  async #run(): Promise<void> {
    const { deps, signal, options, openedAt } = this.#host;
    let waitMs = this.#host.hurriedMs;
    do {
      this.#again = false;
      if (await this.#round()) waitMs = this.#host.hurriedMs;
      const isLeft = [...this.#host.books].some(({ complete }) => !complete);
      if (isLeft && deps.account().open && !signal.aborted) {
        const settlesInMs = openedAt + options.settleMs - deps.clock.monotonic();
        await pause(deps.clock, settlesInMs > 0 ? Math.min(waitMs, settlesInMs) : waitMs, signal);
        waitMs = Math.min(waitMs * 2, options.pollMs);
        this.#again = true;
      }
    } while (this.#again && !signal.aborted);
    this.#running = false;
    this.#host.rests();
  }

  /** @returns whether an object has become completely known. */
  async #round(): Promise<boolean> {
    const { deps, signal } = this.#host;
    let came = false;
    for (const ledger of this.#host.books) {
      if (ledger.complete || !deps.account().open || signal.aborted) continue;
      if (!(await lookUp(this.#host, ledger)) || signal.aborted) continue;
      ledger.complete = true;
      ledger.held = undefined;
      came = true;
    }
    if (came) this.#host.completed();
    return came;
  }
}
