/** The one command that may be in flight to a device: its deadline, which frees nothing, how it ended, and who is told. */
import type { BackendType, Command, CommandOutcome, InFlight, SessionEvent } from "../contract.ts";
import type { HttpSessionDeps } from "./sessions.ts";
import { Settlements } from "./settlements.ts";

/** What every outcome of a command begins with. */
export type Head = { commandId: string; kind: Command["kind"] };

export interface CommandSlotHost {
  readonly type: BackendType;
  readonly targetKey: string;
  /** Aborts when the session is closed: then nobody is told any more. */
  readonly signal: AbortSignal;
  emit(event: SessionEvent): void;
}

export class CommandSlot {
  readonly settlements = new Settlements();
  readonly #host: CommandSlotHost;
  readonly #deps: Pick<HttpSessionDeps, "clock" | "log" | "metrics">;
  #flight: InFlight | undefined;
  #operation: string | undefined;

  constructor(host: CommandSlotHost, deps: Pick<HttpSessionDeps, "clock" | "log" | "metrics">) {
    this.#host = host;
    this.#deps = deps;
  }

  /** The command in flight, for a snapshot. */
  get inFlight(): InFlight | undefined {
    return this.#flight === undefined ? undefined : { ...this.#flight };
  }

  get isBusy(): boolean {
    return this.#flight !== undefined;
  }

  /** The operation of the create in flight. */
  get operation(): string | undefined {
    return this.#operation;
  }

  /** Notes how far the device is. @returns whether that is news. */
  progress(progress: NonNullable<InFlight["progress"]>): boolean {
    const flight = this.#flight;
    if (flight === undefined || JSON.stringify(flight.progress) === JSON.stringify(progress)) return false;
    flight.progress = progress;
    return true;
  }

  /**
   * Takes the slot until the command has ended, whenever that is. Whoever calls has made sure that it is free.
   *
   * @param timeoutMs after which it is overdue.
   */
  async run(
    command: Command,
    timeoutMs: number,
    carryOut: (head: Head) => Promise<CommandOutcome>,
  ): Promise<CommandOutcome> {
    const { clock, log, metrics } = this.#deps;
    const { type, targetKey, signal } = this.#host;
    const { commandId, kind, key } = command;
    const flight: InFlight = { commandId, kind, sentAtMs: clock.now(), overdue: false };
    const operation = command.kind === "Create" ? command.marker.operation : undefined;
    this.#flight = flight;
    this.#operation = operation;
    if (operation !== undefined) this.settlements.opened(operation);
    const deadline = clock.setTimeout(() => {
      flight.overdue = true;
      log.warn({ target: targetKey, command: { ...flight } }, "not done within its timeout: still waiting for its end");
    }, timeoutMs);
    try {
      const outcome = await carryOut({ commandId, kind });
      if (signal.aborted) return outcome;
      if (operation !== undefined) this.settlements.closed(operation);
      this.#flight = undefined;
      this.#operation = undefined;
      metrics.command(type, outcome.kind, outcome.result);
      const { result, externalId } = outcome;
      const failure = outcome.result === "Failed" ? outcome.failure : undefined;
      log.info({ target: targetKey, kind, commandId, key, result, externalId, failure }, "command ended");
      this.#host.emit({ type: "Outcome", key, outcome });
      this.#host.emit({ type: "SlotFree" });
      return outcome;
    } finally {
      clock.clearTimeout(deadline);
    }
  }
}
