/**
 * Carries out one command: sends it, reads its answer, waits until the inventory shows its effect, and finds out how it ended when no
 * answer comes. The slot (slot.ts) holds the command meanwhile.
 */
import type { BackendClock, BackendLog, Command, CommandOutcome, ObservedContainer, WriteFence } from "../contract.ts";
import { commandOperation, commandTarget, commandTimeoutMs, redact, type CommandTimings } from "./commands.ts";
import { readAnswer, type Operation } from "./envelope.ts";
import { readError, unknownFeature } from "./errors-table.ts";
import type { Inventory } from "./inventory.ts";
import type { Outbox } from "./outbox.ts";
import type { Flight, Slot } from "./slot.ts";
import type { PublishResult } from "./transport.ts";

export interface RunnerHost {
  readonly targetKey: string;
  readonly clock: BackendClock;
  readonly log: BackendLog;
  readonly fence: WriteFence;
  readonly timings: CommandTimings;
  /** Subscribed on an open connection. */
  online(): boolean;
  /** Whether the device has been silent for so long that it should show that it is there before it is sent a create. */
  silent(): boolean;
  /** Asks for a sign of life. */
  probe(): void;
  /** Wants a full inventory that was announced after message `afterSeq`; calm: soon is enough. */
  wantInventory(afterSeq: number, calm: boolean): void;
  malformed(kind: string): void;
  /** The device has answered for this container, and the inventory does not show it yet. */
  created(externalId: string): void;
}

/** How long an effect may take to show after its command was answered before a full inventory is asked for, ms. */
const CONFIRM_MS = 1_000;
/** How long an answer may take once the effect has appeared, ms. */
const ANSWER_GRACE_MS = 1_000;
/** Pauses before a command is sent again that the daemon refused because it had not registered the container yet, ms. */
const UNREGISTERED_RETRIES_MS = [100, 200, 400, 800, 1_600] as const;

export class Runner {
  readonly #host: RunnerHost;
  readonly #slot: Slot;
  readonly #outbox: Outbox;
  readonly #inventory: Inventory;

  constructor(host: RunnerHost, slot: Slot, outbox: Outbox, inventory: Inventory) {
    this.#host = host;
    this.#slot = slot;
    this.#outbox = outbox;
    this.#inventory = inventory;
  }

  /**
   * Sends a command and takes the slot, which must be free. A create to a device that has long been silent waits for a sign of life first:
   * sent to a device that is switched off, it would hold the slot for as long as a pull may take.
   *
   * @returns how it will end; undefined if nothing left this process.
   * @throws RangeError if the command cannot be encoded safely.
   */
  start(command: Command): Promise<CommandOutcome> | undefined {
    const operation = commandOperation(command);
    const waits = command.kind === "Create" && this.#host.silent();
    const sent = waits ? undefined : this.#send(command, operation);
    if (!waits && sent === undefined) return undefined;
    const outcome = this.#slot.take(command, sent, commandTimeoutMs(command, this.#host.timings));
    if (waits) this.#host.probe();
    return outcome;
  }

  /** The device has answered: a command that waited for that is sent now. */
  alive(): void {
    const { flight } = this.#slot;
    if (flight === undefined || flight.sent !== undefined) return;
    flight.sent = this.#host.online() ? this.#send(flight.command, commandOperation(flight.command)) : undefined;
    if (flight.sent === undefined) this.away("it could not be sent");
  }

  /** A moment has passed: a command that the broker has not taken by now was probably lost on the way to it. */
  doubt(): void {
    const { flight } = this.#slot;
    if (flight?.sent !== undefined && !flight.acknowledged) this.#host.wantInventory(flight.sent.seq, false);
  }

  /** No reply to a request will come any more: if it was the command, only proof tells how it ended. */
  unanswered(requestId: string): void {
    const { flight } = this.#slot;
    if (flight?.sent?.requestId !== requestId || flight.confirming) return;
    this.#host.log.warn(
      { target: this.#host.targetKey, commandId: flight.command.commandId },
      "no reply to a command will come: a full inventory will tell how it ended",
    );
    this.#host.wantInventory(flight.sent.seq, false);
  }

  /** The device does not answer, or nobody can be reached: a command that waited was never sent. */
  away(message: string): void {
    const { flight } = this.#slot;
    if (flight !== undefined && flight.sent === undefined) this.#slot.fail(flight, { class: "Unreachable", message });
  }

  /** An answer with this request id; others than that of the command in flight are none of ours, or late, or duplicates. */
  answered(requestId: string, status: number, payload: string): void {
    const { flight } = this.#slot;
    if (flight?.sent?.requestId !== requestId || flight.confirming) return;
    this.#outbox.answered(flight.sent.seq);
    const answer = readAnswer(status, payload);
    // The topic alone says that the command has ended, and how.
    if (answer === undefined) this.#host.malformed("Response");
    if (status >= 200 && status < 300) {
      this.#succeeded(flight, typeof answer?.value === "string" ? answer.value : undefined);
      return;
    }
    const desired = flight.command.kind === "Create" ? flight.command.desired : undefined;
    this.#failed(flight, status, redact(answer?.message ?? "", desired));
  }

  /** A container changed, appeared or went: perhaps by the command in flight. */
  noteChange(externalId: string): void {
    const { flight } = this.#slot;
    if (flight === undefined) return;
    const { command } = flight;
    const concerned =
      command.kind === "Create" ? this.#isEffect(command, externalId) : command.externalId === externalId;
    if (!concerned) return;
    flight.touched = true;
    if (flight.confirming) {
      if (this.#shows(flight, externalId)) this.#slot.succeed(flight, externalId);
      return;
    }
    // The marker names the operation, so the container itself is an answer. Any other effect may be somebody else's doing, so it is no
    // proof; but with the work seen to be done the answer is due, and without it there is no point in waiting for the deadline.
    if (command.kind === "Create") {
      this.#slot.later(flight, ANSWER_GRACE_MS, () => this.#slot.succeed(flight, externalId));
    } else if (flight.sent !== undefined && this.#shows(flight, externalId)) {
      const { seq } = flight.sent;
      this.#slot.later(flight, ANSWER_GRACE_MS, () => this.#host.wantInventory(seq, false));
    }
  }

  /**
   * A full inventory has come whose announcement was handled after the command was: the answer, had there been one, would have come
   * before it. So the command has ended, or never arrived.
   */
  endUnanswered(flight: Flight): void {
    const { command } = flight;
    const made = command.kind === "Create" ? this.#effectOf(command)?.externalId : undefined;
    if (made !== undefined) this.#slot.succeed(flight, made);
    else if (flight.confirming && command.kind !== "Create") this.#slot.succeed(flight);
    else this.#slot.lose(flight);
  }

  /** Publishes in this very turn, if the fence holds now and the connection is open. */
  #send(command: Command, operation: Operation): { requestId: string; seq: number } | undefined {
    const { fence, log, targetKey } = this.#host;
    if (!fence.valid()) return undefined;
    const replyWithinMs = commandTimeoutMs(command, this.#host.timings);
    const sent = this.#outbox.request(command.commandId, operation, replyWithinMs, (result) => {
      if (sent !== undefined) this.#published(sent.requestId, result);
    });
    if (sent === undefined) return undefined;
    const { kind, commandId, key } = command;
    const { requestId } = sent;
    log.info(
      { target: targetKey, kind, commandId, key, requestId, externalId: commandTarget(command) },
      "command sent",
    );
    return sent;
  }

  #published(requestId: string, result: PublishResult): void {
    const { flight } = this.#slot;
    if (flight?.sent?.requestId !== requestId) return;
    switch (result.kind) {
      case "Acknowledged":
        flight.acknowledged = true;
        // 0x10 is a hint only: some broker versions always say that nobody listens.
        if (result.noSubscriber) {
          const { commandId } = flight.command;
          this.#host.log.debug(
            { target: this.#host.targetKey, commandId },
            "the broker says that nobody took the command",
          );
        }
        return;
      case "Refused": {
        const message = result.reason;
        this.#slot.fail(flight, result.denied ? { class: "Unauthorized", message } : { class: "Transient", message });
        return;
      }
      case "Unconfirmed":
        this.#host.log.warn(
          { target: this.#host.targetKey, commandId: flight.command.commandId },
          "the connection ended before the broker acknowledged a command: a full inventory will tell whether it arrived",
        );
        return;
      default:
        result satisfies never;
    }
  }

  #succeeded(flight: Flight, createdId: string | undefined): void {
    const { command } = flight;
    const externalId = command.kind === "Create" ? createdId : command.externalId;
    if (externalId !== undefined && this.#shows(flight, externalId)) {
      this.#slot.succeed(flight, externalId);
      return;
    }
    if (command.kind === "Create" && externalId !== undefined) this.#host.created(externalId);
    // Events travel apart from answers: give the effect a moment to show, then ask for everything.
    flight.confirming = true;
    this.#slot.later(flight, CONFIRM_MS, () => {
      if (command.kind === "Create") {
        this.#host.wantInventory(this.#outbox.sent, false);
        return;
      }
      this.#slot.succeed(flight, externalId);
      this.#host.wantInventory(this.#outbox.sent, true);
    });
  }

  #failed(flight: Flight, status: number, message: string): void {
    const verdict = readError(flight.command.kind, status, message);
    switch (verdict.kind) {
      case "GoalMet":
        // What was seen differs from what is.
        this.#slot.succeed(flight);
        this.#host.wantInventory(this.#outbox.sent, true);
        return;
      case "Failed":
        this.#slot.fail(flight, verdict.failure);
        return;
      case "UnknownFeature":
        this.#retryUnregistered(flight, message);
        return;
      default:
        verdict satisfies never;
    }
  }

  /**
   * The daemon publishes a new container before it registers its operations, so a command right after a create may come too early. It was
   * provably not executed: sending it again, as a new request, cannot double it.
   */
  #retryUnregistered(flight: Flight, message: string): void {
    const { command } = flight;
    const target = commandTarget(command);
    const delayMs = UNREGISTERED_RETRIES_MS[flight.retries];
    const known = target !== undefined && this.#inventory.get(target) !== undefined;
    if (!known || delayMs === undefined) {
      this.#slot.fail(flight, unknownFeature(message));
      this.#host.wantInventory(this.#outbox.sent, true);
      return;
    }
    flight.retries += 1;
    this.#slot.later(flight, delayMs, () => {
      const sent = this.#host.online() ? this.#send(command, commandOperation(command)) : undefined;
      if (sent === undefined) {
        this.#slot.fail(flight, { class: "Transient", message });
        return;
      }
      flight.sent = sent;
    });
  }

  /** Whether the inventory shows the effect of a command that was answered with success. */
  #shows({ command, touched }: Flight, externalId: string): boolean {
    const container = this.#inventory.get(externalId);
    switch (command.kind) {
      case "Create":
        return container !== undefined;
      case "Remove":
        return container === undefined;
      case "Start":
        return touched && (container?.state === "Running" || container?.state === "Exited");
      case "Stop":
        return container?.state === "Stopped" || container?.state === "Exited";
      case "Pause":
        return container?.state === "Paused";
      case "Resume":
        return container?.state === "Running";
      case "Rename":
        return container?.name === command.name;
      case "Update":
        return touched;
      default:
        return command satisfies never;
    }
  }

  #effectOf(command: Command & { kind: "Create" }): ObservedContainer | undefined {
    return this.#inventory.list().find(({ externalId }) => this.#isEffect(command, externalId));
  }

  /** Whether a container carries the marker of this create. */
  #isEffect(command: Command & { kind: "Create" }, externalId: string): boolean {
    const marker = this.#inventory.get(externalId)?.marker;
    const { operation, uid, owner } = command.marker;
    return marker !== undefined && marker.operation === operation && marker.uid === uid && marker.owner === owner;
  }
}
