/** Who listens to an account: every listener hears of its states, and of what operators are to be told. Shared by all backends. */
import type { AccountNotice, AccountStatus } from "./contract.ts";

export class AccountListeners {
  readonly #listeners = new Set<(status: AccountStatus) => void>();
  readonly #noticeListeners = new Set<(notice: AccountNotice) => void>();
  /** What was said before anybody listened. */
  readonly #early: AccountNotice[] = [];

  /** As Account.subscribe has it. @returns how to leave. */
  subscribe(listener: (status: AccountStatus) => void, notice?: (notice: AccountNotice) => void): () => void {
    this.#listeners.add(listener);
    if (notice !== undefined) {
      this.#noticeListeners.add(notice);
      for (const earlier of this.#early.splice(0)) notice(earlier);
    }
    return () => {
      this.#listeners.delete(listener);
      if (notice !== undefined) this.#noticeListeners.delete(notice);
    };
  }

  changed(status: AccountStatus): void {
    for (const listener of this.#listeners) listener(status);
  }

  /** Told to everybody who listens, or to the first who will. */
  notice(notice: AccountNotice): void {
    if (this.#noticeListeners.size === 0) this.#early.push(notice);
    for (const listener of this.#noticeListeners) listener(notice);
  }

  clear(): void {
    this.#listeners.clear();
    this.#noticeListeners.clear();
  }
}
