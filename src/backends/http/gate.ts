/**
 * Whether an account may be used. Refused credentials close it for everybody, and one probe after another, with growing pauses, finds out
 * when they are good again: one request, not one per object. A server out of reach closes it likewise, but only after a probe has confirmed
 * what one request suggested.
 */
import type { AccountStatus, BackendClock } from "../contract.ts";

export interface GateOptions {
  /** First and longest pause between probes, ms. */
  initialMs: number;
  maxMs: number;
}

/** What a probe found out. */
export type ProbeResult =
  | { ok: true }
  | { ok: false; reason: "ConnectionFailed" | "Unauthorized" | "TLSFailed"; message: string };

export interface GateHost {
  /** One harmless request past the gate. Never rejects. */
  probe(): Promise<ProbeResult>;
  changed(status: AccountStatus): void;
  /** Uniform in [0, 1). */
  random(): number;
}

export class AccountGate {
  readonly #clock: BackendClock;
  readonly #options: GateOptions;
  readonly #host: GateHost;
  #status: AccountStatus = { state: "Connecting" };
  /** In a row: what is open for less than the longest pause has hardly been open. */
  #failures = 0;
  #openedAtMs = -Infinity;
  #probing = false;
  #timer: unknown;
  #closed = false;

  constructor(clock: BackendClock, options: GateOptions, host: GateHost) {
    this.#clock = clock;
    this.#options = options;
    this.#host = host;
  }

  get status(): AccountStatus {
    return this.#status;
  }

  get isOpen(): boolean {
    return this.#status.state === "Connected";
  }

  /** Probes now, unless a probe is under way: at the start, and to confirm a doubt. */
  check(): void {
    if (this.#closed || this.#probing) return;
    this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#probing = true;
    void this.#probe();
  }

  /** A request was refused with 401 or 403. */
  refused(message: string): void {
    if (!this.#closed && this.#status.state === "Connected") this.#fail("Unauthorized", message);
  }

  /** A request got no answer: maybe the server, maybe only that connection. */
  doubt(): void {
    if (this.#status.state === "Connected") this.check();
  }

  close(): void {
    this.#closed = true;
    this.#clock.clearTimeout(this.#timer);
  }

  async #probe(): Promise<void> {
    const result = await this.#host.probe();
    this.#probing = false;
    if (this.#closed) return;
    if (result.ok) this.#open();
    else this.#fail(result.reason, result.message);
  }

  #open(): void {
    if (this.#status.state === "Connected") return;
    this.#openedAtMs = this.#clock.monotonic();
    this.#set({ state: "Connected" });
  }

  #fail(reason: "ConnectionFailed" | "Unauthorized" | "TLSFailed", message: string): void {
    const { initialMs, maxMs } = this.#options;
    // A key that the probe may use and nothing else would open and close the account once a second for ever.
    const wasOpen = this.#status.state === "Connected" && this.#clock.monotonic() - this.#openedAtMs >= maxMs;
    this.#failures = wasOpen ? 1 : this.#failures + 1;
    const curveMs = Math.min(maxMs, initialMs * 2 ** Math.min(this.#failures - 1, 30));
    const delayMs = curveMs * (0.8 + 0.4 * this.#host.random());
    this.#clock.clearTimeout(this.#timer);
    this.#timer = this.#clock.setTimeout(() => this.check(), delayMs);
    this.#set({ state: "Failed", reason, message, nextTryMs: this.#clock.now() + delayMs });
  }

  #set(status: AccountStatus): void {
    this.#status = status;
    this.#host.changed(status);
  }
}
