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
import { pause } from "../pause.ts";
import type { SessionDeps, SessionOptions } from "./session.ts";
import { secretsOf, startBody, START_PATH, STOP_BODY, stopPath, type DeploymentStatus } from "./wire.ts";

/** The session, as far as a flight needs it. */
export interface FlightHost {
  readonly options: SessionOptions;
  readonly deps: SessionDeps;
  /** Aborts when the session is closed. */
  readonly signal: AbortSignal;
  readonly hurriedMs: number;
  look(id: { deploymentId: string } | { externalId: string }): Promise<Look>;
  note(account: Ledger, attempt: number, status: DeploymentStatus): void;
  /** A rental was found by the vendor's id and not by ours: makes sure that ours works, or nothing more may be begun. */
  verifyLookup(externalId: string, deploymentId: string): void;
  isGone(externalId: string): boolean;
  noteGone(account: Ledger, rental: Rental): void;
}

type Head = { commandId: string; kind: Command["kind"]; externalId?: string };
type Create = Extract<Command, { kind: "Create" }> & { attempt: number };

/** So many clear "no" over the settle time prove that a start never took effect. */
const ABSENT_READS = 3;

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
      return { ...head, result: "Lost" };
    }
    case "Ambiguous": {
      host.deps.log.warn(
        { target: host.options.targetKey, commandId: head.commandId, status: verdict.status, failure: verdict.failure },
        "nobody knows whether the rental began: looking it up before anything else",
      );
      const status = await appear(host, externalId, undefined);
      if (status !== undefined) return succeeded(status);
      return verdict.status === undefined ? { ...head, result: "Lost" } : failed(verdict.failure);
    }
    default:
      return verdict satisfies never;
  }
}

/**
 * Looks until the rental is there. With the vendor's own id there is no doubt that it is, and this goes on until it shows; without, clear
 * "no"s over the settle time after the start mean that there is none: undefined.
 */
async function appear(
  host: FlightHost,
  externalId: string,
  deploymentId: string | undefined,
): Promise<DeploymentStatus | undefined> {
  const { clock } = host.deps;
  const since = clock.monotonic();
  const stepMs = Math.min(host.hurriedMs, Math.max(1, host.options.settleMs / ABSENT_READS));
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
    // The last "no" was asked for after the settle time.
    const late = asked - since >= host.options.settleMs;
    if (look.seen === "Absent" && late && reads >= ABSENT_READS && deploymentId === undefined) return undefined;
    await pause(clock, stepMs, host.signal);
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
  }
  let why = "the stop had no effect";
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
    } else if (look.seen === "Absent" && host.isGone(rental.externalId)) {
      host.noteGone(account, rental);
      return { ...head, result: "Succeeded" };
    } else if (look.seen === "Absent") ending = true;
    if (look.seen !== "Unclear" && !ending && asked - since >= patienceMs)
      return failed({ class: "Transient", message: why });
    await pause(clock, host.hurriedMs, host.signal);
  }
  return { ...head, result: "Lost" };
}
