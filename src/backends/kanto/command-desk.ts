/** Where a session's commands are taken: whether one may be sent, the slot that it holds, how it ended, and which operations are over. */
import type { Command, CommandOutcome, Dispatch, SessionEvent } from "../contract.ts";
import { refusal, unreachable } from "./admission.ts";
import type { Completeness } from "./completeness.ts";
import type { InventorySync } from "./inventory-sync.ts";
import type { Inventory } from "./inventory.ts";
import type { Outbox } from "./outbox.ts";
import type { SessionDeps, SessionOptions } from "./parts.ts";
import type { Presence } from "./presence.ts";
import { Runner } from "./runner.ts";
import { operationOf, Settlement } from "./settlement.ts";
import { Slot, type Flight } from "./slot.ts";
import type { Standing } from "./standing.ts";

/** The session, as far as it is needed here. Its parts need each other, so they are asked for when they are used. */
export interface CommandDeskHost {
  presence(): Presence;
  standing(): Standing;
  sync(): InventorySync;
  readonly known: Completeness;
  readonly inventory: Inventory;
  readonly outbox: Outbox;
  closed(): boolean;
  /** Subscribed on the open connection. */
  online(): boolean;
  /** The inventory is read from what stands between, which may show a new container long after the device has answered for it. */
  readonly fetches: boolean;
  malformed(kind: string): void;
  emit(event: SessionEvent): void;
  /** A command has ended, and whoever waited for the slot knows. */
  ended(): void;
}

/** A word of the device that is younger than this counts as a sign that it is there, ms. */
const FRESH_MS = 30_000;

export class CommandDesk {
  readonly slot: Slot;
  readonly runner: Runner;
  readonly settlement = new Settlement();
  readonly #options: SessionOptions;
  readonly #deps: SessionDeps;
  readonly #host: CommandDeskHost;

  constructor(options: SessionOptions, deps: SessionDeps, host: CommandDeskHost) {
    this.#options = options;
    this.#deps = deps;
    this.#host = host;
    this.slot = new Slot(deps.clock, {
      overdue: () => this.#onOverdue(),
      finished: (flight, outcome) => this.#onFinished(flight, outcome),
    });
    this.runner = new Runner(
      {
        ...deps,
        targetKey: options.targetKey,
        timings: options,
        online: () => host.online(),
        silent: () => host.presence().silentMs >= FRESH_MS,
        probe: () => void host.presence().probe(true),
        wantInventory: (afterSeq, calm) => host.sync().request(afterSeq, calm),
        malformed: (kind) => host.malformed(kind),
        created: (externalId) => (host.fetches ? host.sync().mentioned(externalId) : undefined),
      },
      this.slot,
      host.outbox,
      host.inventory,
    );
  }

  /** As DeviceSession.execute. */
  execute(command: Command): Dispatch {
    const { known, inventory } = this.#host;
    this.#host.sync().retry();
    const refused = refusal(command, {
      closed: this.#host.closed(),
      fenced: this.#deps.fence.valid(),
      online: this.#host.online(),
      brokerMessage: this.#deps.brokerMessage(),
      flight: this.slot.flight,
      believed: this.#host.presence().believed,
      synced: known.complete,
      problem: known.problem,
      has: (externalId) => inventory.get(externalId) !== undefined,
    });
    if (refused !== undefined) {
      this.#deps.metrics.command("kanto", command.kind, "Refused");
      return { sent: false, ...refused };
    }
    let outcome: Promise<CommandOutcome> | undefined;
    try {
      outcome = this.runner.start(command);
    } catch (error) {
      const message = error instanceof Error ? error.message : "cannot be encoded";
      return { sent: false, reason: "Invalid", failure: { class: "Invalid", reason: "InvalidSpec", message } };
    }
    if (outcome === undefined)
      return { sent: false, reason: "Offline", failure: unreachable(this.#deps.brokerMessage()) };
    this.settlement.opened(operationOf(command.commandId));
    this.#host.standing().watchSilence();
    return { sent: true, outcome };
  }

  /** As DeviceSession.settle. */
  settle(operationId: string): "Open" | "Closed" {
    const { outbox } = this.#host;
    const sync = this.#host.sync();
    sync.retry();
    const { flight } = this.slot;
    if (flight !== undefined && operationOf(flight.command.commandId) === operationId) return "Open";
    if (this.settlement.isClosed(operationId)) return "Closed";
    const asked = this.settlement.wait(operationId, outbox.sent);
    if (!sync.pending) sync.request(asked);
    return "Open";
  }

  /** The device has answered message `seq`. */
  proven(seq: number): void {
    this.#host.outbox.answered(seq);
    this.runner.alive();
    const { flight } = this.slot;
    // A later message was answered, so this one has ended or never arrived.
    if (flight?.sent !== undefined && !flight.confirming && seq > flight.sent.seq)
      this.#host.sync().request(flight.sent.seq);
  }

  /** A full inventory has come that was announced by message `announcedSeq`, and everybody was told. */
  inventoryCame(announcedSeq: number): void {
    const { flight } = this.slot;
    // Handled before the announcement was: its answer, had it come, would have come before the pass ended.
    if (flight?.sent !== undefined && announcedSeq > flight.sent.seq) this.runner.endUnanswered(flight);
  }

  #onOverdue(): void {
    this.#deps.log.warn(
      { target: this.#options.targetKey, command: this.slot.inFlight() },
      "no answer within the timeout: asking whether the device still takes commands",
    );
    if (this.#host.online()) this.#host.presence().probe(true);
    this.#host.standing().show();
  }

  #onFinished(flight: Flight, outcome: CommandOutcome): void {
    this.settlement.closed(operationOf(flight.command.commandId));
    this.#deps.metrics.command("kanto", outcome.kind, outcome.result);
    const { key, commandId, kind } = flight.command;
    const { result, externalId } = outcome;
    const failure = outcome.result === "Failed" ? outcome.failure : undefined;
    this.#deps.log.info(
      { target: this.#options.targetKey, kind, commandId, key, result, externalId, failure },
      "command ended",
    );
    this.#host.standing().show();
    this.#host.emit({ type: "Outcome", key, outcome });
    this.#host.emit({ type: "SlotFree" });
    this.#host.ended();
  }
}
