/** The sessions of an account, and what each of them is made with. */
import type { BackendClock, BackendLog, BackendMetrics, WriteFence } from "../contract.ts";
import type { BackendFailure } from "../errors.ts";
import type { HttpRequest, HttpResult } from "./client.ts";

/** Whether an account can be used now, and if not, why. */
export type AccountStanding = { open: true } | { open: false; failure: BackendFailure };

/** What every session needs of its account. */
export interface HttpSessionDeps {
  readonly clock: BackendClock;
  readonly log: BackendLog;
  readonly metrics: BackendMetrics;
  readonly fence: WriteFence;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Refused while the account cannot be used. Never rejects. */
  readonly send: (request: HttpRequest) => Promise<HttpResult>;
  readonly account: () => AccountStanding;
}

/** EdgeBackend.spec's times, with defaults, in ms. */
export interface HttpSessionTimes {
  /** Between two looks. */
  readonly pollMs: number;
  /** How long the effect of a request of unknown outcome may stay unseen. */
  readonly settleMs: number;
  readonly commandTimeoutMs: number;
  readonly createTimeoutMs: number;
}

/** A session, as far as its account needs it. */
export interface HttpSession {
  /** The account was connected, or is no longer. */
  accountChanged(): void;
  close(): Promise<void>;
}

/** The first opened first. */
export class SessionBook<S extends HttpSession> implements Iterable<S> {
  readonly #byTarget = new Map<string, S>();
  /** Also those that another one has taken the place of, until they are closed. */
  readonly #open = new Set<S>();

  get(target: string): S | undefined {
    return this.#byTarget.get(target);
  }

  add(target: string, session: S): S {
    this.#byTarget.set(target, session);
    this.#open.add(session);
    return session;
  }

  closed(target: string, session: S): void {
    this.#open.delete(session);
    if (this.#byTarget.get(target) === session) this.#byTarget.delete(target);
  }

  [Symbol.iterator](): Iterator<S> {
    return this.#open.values();
  }
}
