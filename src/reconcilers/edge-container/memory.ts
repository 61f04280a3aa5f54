/**
 * What this process remembers of an EdgeContainer between passes: the command it has sent and what came of it. None of it
 * is needed for correctness after a restart; the journal and the inventory are.
 */
import type {
  Command,
  CommandOutcome,
  DeviceSession,
  DeviceSnapshot,
  ObservedContainer,
} from "../../backends/contract.ts";
import type { BackendFailure } from "../../backends/errors.ts";
import type { Backoff } from "./failures.ts";
import type { StandingFailure } from "./scope.ts";

/** After a command succeeded, its effect should show in the inventory within this; else a full inventory is asked for. */
export const OBSERVE_EFFECT_MS = 5_000;
/** After this the inventory is believed as it is. */
export const GIVE_UP_EFFECT_MS = 30_000;

/** A command that was sent. */
export interface SentCommand {
  commandId: string;
  kind: Command["kind"];
  /** The session it was sent on; on another session its outcome will never be heard. */
  session: DeviceSession;
  operationId?: string;
  externalId?: string;
  /** The container as it was when the command was sent. */
  before: string;
  outcome?: CommandOutcome;
  /** Monotonic ms of the outcome. */
  outcomeAtMs?: number;
  /** syncCount at the time a full inventory was asked for. */
  resyncAt?: number;
}

/** One object's memory. */
export interface ContainerMemory {
  readonly uid: string;
  sent?: SentCommand;
  /** The newest create that is proven to have ended, and how; `madeNothing`: that it had no effect is proven, too. */
  closed?: { operationId: string; failure?: BackendFailure; madeNothing?: true };
  /** A failure and its backoff that status does not have yet; cleared once they are written. */
  unsaved?: { failure: StandingFailure; backoff?: Backoff };
  /** Monotonic ms since when a status write waits for the outcome of a command. */
  heldSinceMs?: number;
  /** The rental whose failure was counted. */
  failedExternalId?: string;
  conflictSinceMs?: number;
  rollout?: { generation: number; sinceMs: number };
  /** Secrets and ConfigMaps that the last pass read, so that their changes wake it. */
  announced?: string;
}

/** All objects' memories, by key. */
export class Memories {
  readonly #byKey = new Map<string, ContainerMemory>();

  /** The memory for a key; a new uid starts from nothing. */
  of(key: string, uid: string): ContainerMemory {
    const known = this.#byKey.get(key);
    if (known?.uid === uid) return known;
    const fresh: ContainerMemory = { uid };
    this.#byKey.set(key, fresh);
    return fresh;
  }

  /** Records how a command ended. Unknown commands (of a former incarnation) are ignored. */
  outcome(key: string, outcome: CommandOutcome, monotonicMs: number): void {
    const sent = this.#byKey.get(key)?.sent;
    if (sent?.commandId !== outcome.commandId) return;
    sent.outcome = outcome;
    sent.outcomeAtMs = monotonicMs;
  }

  forget(key: string): void {
    this.#byKey.delete(key);
  }
}

/** What of a container a command changes: when this differs, the effect (or something newer) was observed. */
export function fingerprint(container: ObservedContainer | undefined): string {
  if (container === undefined) return "";
  const { state, startedAt, finishedAt, name, config } = container;
  return JSON.stringify([state, startedAt, finishedAt, name, config]);
}

/** How the last command stands. */
export type SentState =
  | { state: "None" }
  | { state: "Sent" }
  | { state: "AwaitingObservation"; wakeInMs: number; resync: boolean }
  | { state: "Failed"; failure: BackendFailure; kind: Command["kind"] };

/**
 * Looks at the last command and forgets it once it has nothing more to say. A create's end is kept in `closed`, where the
 * journal looks for it.
 */
export function reviewSent(
  memory: ContainerMemory,
  session: DeviceSession,
  snapshot: DeviceSnapshot,
  monotonicMs: number,
): SentState {
  const { sent } = memory;
  if (sent === undefined) return { state: "None" };
  if (sent.outcome === undefined) {
    if (sent.session === session) return { state: "Sent" };
    delete memory.sent;
    return { state: "None" };
  }
  const { outcome } = sent;
  switch (outcome.result) {
    case "Failed":
      delete memory.sent;
      if (sent.operationId !== undefined) memory.closed = closedInVain(sent.operationId, outcome.failure);
      return { state: "Failed", failure: outcome.failure, kind: sent.kind };
    case "Lost":
      delete memory.sent;
      if (sent.operationId !== undefined) memory.closed = { operationId: sent.operationId };
      return { state: "None" };
    case "Succeeded":
      return awaitEffect(memory, sent, snapshot, monotonicMs);
    default:
      return outcome satisfies never;
  }
}

/** What is remembered of a create that had no effect. */
export function closedInVain(operationId: string, failure?: BackendFailure): NonNullable<ContainerMemory["closed"]> {
  return { operationId, madeNothing: true, ...(failure !== undefined && { failure }) };
}

/** Whether this process knows that an operation made nothing, be it written down already or not. */
export function isInVain({ closed, sent }: ContainerMemory, operationId: string): boolean {
  if (closed?.operationId === operationId) return closed.madeNothing === true;
  return sent?.operationId === operationId && sent.outcome?.result === "Failed";
}

function awaitEffect(
  memory: ContainerMemory,
  sent: SentCommand,
  snapshot: DeviceSnapshot,
  monotonicMs: number,
): SentState {
  const seen =
    sent.kind === "Create"
      ? snapshot.containers.some((container) => container.marker?.operation === sent.operationId)
      : fingerprint(snapshot.containers.find((container) => container.externalId === sent.externalId)) !== sent.before;
  const waitedMs = monotonicMs - (sent.outcomeAtMs ?? monotonicMs);
  const resynced = sent.resyncAt !== undefined && snapshot.syncCount > sent.resyncAt;
  if (seen || resynced || waitedMs >= GIVE_UP_EFFECT_MS) {
    delete memory.sent;
    if (sent.operationId !== undefined) memory.closed = { operationId: sent.operationId };
    return { state: "None" };
  }
  const due = waitedMs >= OBSERVE_EFFECT_MS;
  const resync = due && sent.resyncAt === undefined;
  if (resync) sent.resyncAt = snapshot.syncCount;
  return { state: "AwaitingObservation", resync, wakeInMs: (due ? GIVE_UP_EFFECT_MS : OBSERVE_EFFECT_MS) - waitedMs };
}
