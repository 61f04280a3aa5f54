/**
 * The two commands: beginning a rental and ending one. Each is sent once; what came of it is looked up until it is known, however long that
 * takes, and meanwhile the slot stays taken.
 */
import type { Command, CommandOutcome } from "../contract.ts";
import type { BackendFailure } from "../errors.ts";
import { judgeWrite } from "../http/failures.ts";
import { isObject, textAt } from "../guards.ts";
import type { Ledger, Rental } from "./ledger.ts";
import type { Look } from "./lookup.ts";
import { Patience } from "../http/patience.ts";
import { pause } from "../pause.ts";
import type { SessionDeps, SessionOptions } from "./parts.ts";
import { ABSENT_READS, type Missing, type Verdict } from "./witness.ts";
import { secretsOf, startBody, START_PATH, STOP_BODY, stopPath, type DeploymentStatus } from "./wire.ts";

/** The session, as far as a flight needs it. */
export interface FlightHost {
  readonly options: SessionOptions;
  readonly deps: SessionDeps;
  /** Aborts when the session is closed. */
  readonly signal: AbortSignal;
  readonly hurriedMs: number;
  /** For how long that is worth it, ms. */
  readonly hurryForMs: number;
  look(id: { deploymentId: string } | { externalId: string }): Promise<Look>;
  /** The vendor has shown a rental. */
  note(account: Ledger, attempt: number, status: DeploymentStatus): void;
  /** How a rental stands is known by other means than the vendor's word about it. */
  record(account: Ledger, attempt: number, status: DeploymentStatus): void;
  /** A rental was found by the vendor's id and not by ours: makes sure that ours works, or nothing more may be begun. */
  verifyLookup(externalId: string, deploymentId: string): void;
  /** The vendor says once more that it does not know a rental. */
  missing(account: Ledger, rental: Absentee): Verdict;
  noteGone(account: Ledger, rental: Rental): void;
  /** It cannot be known whether a rental costs: nothing more is begun for its object, and somebody is told. */
  hold(account: Ledger, why: string): void;
}

/** A rental that the vendor says it does not know. */
export type Absentee = Pick<Missing, "deploymentId" | "isExpected" | "hasRun"> & { attempt: number };

/** @param isTaken the vendor has accepted a stop. */
export function absentee({ claim }: Ledger, { attempt, startedAt, status }: Rental, isTaken = false): Absentee {
  const { recorded } = claim;
  const hasEnded = recorded?.attempt === attempt && recorded.ended === true;
  return {
    attempt,
    deploymentId: status.deploymentId,
    hasRun: startedAt !== undefined,
    isExpected: isTaken || hasEnded || status.state === "Stopping",
  };
}

type Head = { commandId: string; kind: Command["kind"]; externalId?: string };
type Create = Extract<Command, { kind: "Create" }> & { attempt: number };

/** Looks first, begins the rental once, and looks until it is there, or is proven not to be. */
export async function runCreate(
  host: FlightHost,
  account: Ledger,
  command: Create,
  head: Head,
): Promise<CommandOutcome> {
  const { attempt, desired, marker } = command;
  const externalId = account.externalId(attempt);
  const succeeded = (status: DeploymentStatus): CommandOutcome => {
    host.note(account, attempt, status);
    return { ...head, externalId: status.deploymentId, result: "Succeeded" };
  };
  const failed = (failure: BackendFailure): CommandOutcome => ({ ...head, result: "Failed", failure });
  /** Proven to have had no effect, unless the session has ended before. What failed has a pause before it is tried again. */
  const inVain = (failure: BackendFailure): CommandOutcome =>
    host.signal.aborted ? { ...head, result: "Lost" } : failed(failure);

  const before = await host.look({ externalId });
  if (before.seen === "Found") return succeeded(before.status);
  if (before.seen === "Unclear") return failed(before.failure);

  const { machineId, machinePriceId } = host.options;
  const verdict = judgeWrite(
    await host.deps.send({
      method: "POST",
      path: START_PATH,
      json: startBody(desired, marker, { machineId, machinePriceId, externalId }),
      write: true,
      secrets: secretsOf(desired),
      signal: host.signal,
    }),
  );
  switch (verdict.verdict) {
    case "NotSent":
      return failed(verdict.failure);
    case "Refused": {
      // An id that is taken is taken by us.
      const look = verdict.answer.status === 409 ? await host.look({ externalId }) : undefined;
      return look?.seen === "Found"
        ? succeeded(look.status)
        : failed(refusalOf(verdict.answer.status, verdict.failure));
    }
    case "Done": {
      const deploymentId = isObject(verdict.answer.json) ? textAt(verdict.answer.json, "deployment_id") : undefined;
      const status = await appear(host, externalId, deploymentId);
      if (status !== undefined) return succeeded(status);
      if (deploymentId === undefined || host.signal.aborted)
        return inVain({ class: "Transient", message: "the vendor's answer names no deployment, and none has begun" });
      // Accepted is begun, whatever is shown: it must be neither forgotten nor begun again.
      host.record(account, attempt, unseen(externalId, deploymentId));
      host.deps.lookup.tell(
        `the vendor accepted the start of rental ${deploymentId} and does not show it, so it may cost: ask the vendor; nothing else is begun for its object`,
      );
      return { ...head, externalId: deploymentId, result: "Succeeded" };
    }
    case "Ambiguous": {
      host.deps.log.warn(
        { target: host.options.targetKey, commandId: head.commandId, status: verdict.status, failure: verdict.failure },
        "nobody knows whether the rental began: looking it up before anything else",
      );
      const status = await appear(host, externalId, undefined);
      return status === undefined ? inVain(verdict.failure) : succeeded(status);
    }
    default:
      return verdict satisfies never;
  }
}

/** A rental that was accepted and never shown. */
function unseen(externalId: string, deploymentId: string): DeploymentStatus {
  const failMessage = "the vendor accepted the start and does not show the rental";
  const status = "(never shown)";
  return {
    deploymentId,
    externalId,
    machineId: undefined,
    state: "Unknown",
    status,
    failCode: undefined,
    failMessage,
    metadata: {},
  };
}

/**
 * Looks until the rental is there, or clear "no"s, the last one after a time, say that it is not: undefined. That is the settle time; with the vendor's
 * own id, which leaves no doubt that the rental began, the time that a creation may take.
 */
async function appear(
  host: FlightHost,
  externalId: string,
  deploymentId: string | undefined,
): Promise<DeploymentStatus | undefined> {
  const { clock } = host.deps;
  const since = clock.monotonic();
  const stepMs = Math.min(host.hurriedMs, Math.max(1, host.options.settleMs / ABSENT_READS));
  const { settleMs, createTimeoutMs, pollMs } = host.options;
  const patienceMs = deploymentId === undefined ? settleMs : Math.max(settleMs, createTimeoutMs);
  const patience = new Patience(stepMs, pollMs);
  let reads = 0;
  while (!host.signal.aborted) {
    const asked = clock.monotonic();
    let look = await host.look({ externalId });
    if (look.seen === "Absent" && deploymentId !== undefined) {
      look = await host.look({ deploymentId });
      if (look.seen === "Found") host.verifyLookup(externalId, deploymentId);
    }
    if (look.seen === "Found") return look.status;
    if (look.seen === "Absent") reads += 1;
    if (look.seen === "Absent" && asked - since >= patienceMs && reads >= ABSENT_READS) return undefined;
    // What does not show for so long will not show within seconds.
    await pause(clock, patience.nextMs(look.seen === "Absent" && asked - since < settleMs), host.signal);
  }
  return undefined;
}

/**
 * Why a start is refused is said in words that no page lists: a machine that others have, a price that is no longer offered, and a field that is
 * wrong may all be 400. None of it is settled by the object's own spec alone, so it is tried again.
 */
function refusalOf(status: number, failure: BackendFailure): BackendFailure {
  if (status === 401 || status === 403) return failure;
  const hint =
    status === 404
      ? "; is spec.hiveon.machineId of the EdgeDevice right?"
      : "; the machine may be rented by others, or spec.hiveon.machinePriceId of the EdgeDevice no longer offered";
  return { class: "WorkloadFailed", reason: "CreateContainerError", message: `${failure.message}${hint}` };
}

/** Asks for the end once, unless it is coming already, and looks until the vendor says that it has come. */
export async function runStop(host: FlightHost, account: Ledger, rental: Rental, head: Head): Promise<CommandOutcome> {
  const { clock, send } = host.deps;
  const { deploymentId } = rental.status;
  const failed = (failure: BackendFailure): CommandOutcome => ({ ...head, result: "Failed", failure });
  if (rental.status.state === "Stopped") return { ...head, result: "Succeeded" };
  const since = clock.monotonic();
  /** Without a word from the vendor that it is ending, this long is waited for one. */
  let patienceMs = host.options.commandTimeoutMs;
  let ending = rental.status.state === "Stopping";
  /** The vendor has said that it stops it. */
  let wasTaken = false;
  if (!ending) {
    const verdict = judgeWrite(
      await send({ method: "POST", path: stopPath(deploymentId), json: STOP_BODY, write: true, signal: host.signal }),
    );
    if (verdict.verdict === "NotSent") return failed(verdict.failure);
    if (verdict.verdict === "Refused") {
      if (verdict.failure.class === "Unauthorized") return failed(verdict.failure);
      // It may have ended already, or be unknown by now; else it is tried again.
      patienceMs = 0;
    }
    if (verdict.verdict === "Ambiguous") patienceMs = Math.min(patienceMs, host.options.settleMs);
    wasTaken = verdict.verdict === "Done";
  }
  let why = "the stop had no effect";
  const patience = new Patience(host.hurriedMs, host.options.pollMs);
  while (!host.signal.aborted) {
    const asked = clock.monotonic();
    const look = await host.look({ deploymentId });
    if (look.seen === "Found") {
      host.note(account, rental.attempt, look.status);
      if (look.status.state === "Stopped") return { ...head, result: "Succeeded" };
      if (look.status.state === "Stopping") ending = true;
      else if (ending)
        return failed({
          class: "Transient",
          message: `the rental could not be stopped and goes on costing: ${account.clean(look.status.failMessage ?? look.status.status)}`,
        });
      why = `the stop had no effect: the rental is ${look.status.status}`;
    } else if (look.seen === "Absent") {
      const verdict = host.missing(account, absentee(account, rental, wasTaken));
      if (verdict.gone === "Yes") {
        host.noteGone(account, rental);
        return { ...head, result: "Succeeded" };
      }
      if (verdict.gone === "Held") {
        host.hold(account, verdict.why);
        return failed({ class: "Transient", message: verdict.why });
      }
      ending = true;
    }
    if (look.seen !== "Unclear" && !ending && asked - since >= patienceMs)
      return failed({ class: "Transient", message: why });
    // A vendor that takes this long will not be done within seconds.
    const isSoon = asked - since < host.hurryForMs;
    await pause(clock, patience.nextMs(look.seen !== "Unclear" && isSoon), host.signal);
  }
  return { ...head, result: "Lost" };
}
