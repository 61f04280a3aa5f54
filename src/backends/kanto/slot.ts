/**
 * The one command that may be in flight to a device. It is freed by its answer, by its effect where the effect names the operation (a
 * created container carries it in its marker), or by proof that it ended or never arrived; never by a deadline.
 */
import type { BackendClock, Command, CommandOutcome, InFlight } from "../contract.ts";
import type { BackendFailure } from "../errors.ts";
import { commandTarget } from "./commands.ts";

/** A command in flight. */
export interface Flight {
  readonly command: Command;
  readonly sentAtMs: number;
  /** Request id and number of the send that counts; undefined while it waits for a sign of life, before anything was sent. */
  sent: { readonly requestId: string; readonly seq: number } | undefined;
  overdue: boolean;
  /** The broker has taken it. */
  acknowledged: boolean;
  /** Answered with success; waiting for the inventory to show it. */
  confirming: boolean;
  /** The inventory of its container has changed since it was sent. */
  touched: boolean;
  /** Sends that the daemon refused because it had not registered the container yet. */
  retries: number;
}

export interface SlotHost {
  /** The deadline has passed. */
  overdue(flight: Flight): void;
  /** Told before the promise of `execute` resolves. */
  finished(flight: Flight, outcome: CommandOutcome): void;
}

export class Slot {
  readonly #clock: BackendClock;
  readonly #host: SlotHost;
  #flight: Flight | undefined;
  #resolve: ((outcome: CommandOutcome) => void) | undefined;
  #deadline: unknown;
  #pause: unknown;

  constructor(clock: BackendClock, host: SlotHost) {
    this.#clock = clock;
    this.#host = host;
  }

  get flight(): Flight | undefined {
    return this.#flight;
  }

  /** Sent, and within its timeout: the daemon may well be silent. */
  get busy(): boolean {
    return this.#flight?.sent !== undefined && !this.#flight.overdue;
  }

  get overdue(): boolean {
    return this.#flight?.overdue === true;
  }

  /** The contract's view of it. */
  inFlight(): InFlight | undefined {
    const flight = this.#flight;
    if (flight === undefined) return undefined;
    const { command, sentAtMs, overdue } = flight;
    return { commandId: command.commandId, kind: command.kind, sentAtMs, overdue };
  }

  /** Takes the slot, which must be free, for a command that was just sent, or that waits for a sign of life. */
  take(command: Command, sent: Flight["sent"], timeoutMs: number): Promise<CommandOutcome> {
    const flight: Flight = {
      command,
      sentAtMs: this.#clock.now(),
      sent,
      overdue: false,
      acknowledged: false,
      confirming: false,
      touched: false,
      retries: 0,
    };
    this.#flight = flight;
    this.#deadline = this.#clock.setTimeout(() => {
      flight.overdue = true;
      this.#host.overdue(flight);
    }, timeoutMs);
    const { promise, resolve } = Promise.withResolvers<CommandOutcome>();
    this.#resolve = resolve;
    return promise;
  }

  /** Runs something for this flight later, unless it has ended by then. One at a time. */
  later(flight: Flight, delayMs: number, run: () => void): void {
    this.#clock.clearTimeout(this.#pause);
    this.#pause = this.#clock.setTimeout(() => {
      if (this.#flight === flight) run();
    }, delayMs);
  }

  succeed(flight: Flight, externalId = commandTarget(flight.command)): void {
    this.#finish(flight, { ...head(flight, externalId), result: "Succeeded" });
  }

  fail(flight: Flight, failure: BackendFailure): void {
    this.#finish(flight, { ...head(flight, commandTarget(flight.command)), result: "Failed", failure });
  }

  lose(flight: Flight, externalId = commandTarget(flight.command)): void {
    this.#finish(flight, { ...head(flight, externalId), result: "Lost" });
  }

  /** The session ends; the command goes on without us, and nobody is told. */
  abandon(): void {
    this.#clock.clearTimeout(this.#deadline);
    this.#clock.clearTimeout(this.#pause);
    this.#flight = undefined;
    this.#resolve = undefined;
  }

  #finish(flight: Flight, outcome: CommandOutcome): void {
    if (this.#flight !== flight) return;
    const resolve = this.#resolve;
    this.abandon();
    this.#host.finished(flight, outcome);
    resolve?.(outcome);
  }
}

function head(flight: Flight, externalId: string | undefined) {
  const { commandId, kind } = flight.command;
  return { commandId, kind, ...(externalId !== undefined && { externalId }) };
}
