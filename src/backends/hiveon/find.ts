/**
 * Finding rentals without a list: every number of an object that is recorded or may exist is asked for, and what is not there counts as not there
 * only when that is proven.
 */
import type { Claim } from "../contract.ts";
import type { FlightHost } from "./flight.ts";
import type { Ledger, Rental } from "./ledger.ts";
import type { Look } from "./lookup.ts";
import { Patience } from "../http/patience.ts";
import { pause } from "../pause.ts";
import { ABSENT_READS } from "./witness.ts";
import type { DeploymentStatus } from "./wire.ts";

/** The session, as far as it is needed here. */
export interface FindHost extends FlightHost {
  readonly openedAt: number;
  poll(account: Ledger, rental: Rental): Promise<boolean>;
  doubt(look: Extract<Look, { seen: "Unclear" }>): false;
}

/** @returns whether everything that is recorded or may exist of this object is known now. */
export async function lookUp(host: FindHost, account: Ledger): Promise<boolean> {
  const { claim } = account;
  let clear = true;
  const known = new Set(account.rentals.keys());
  if (claim.recorded !== undefined) clear = await lookAtRecorded(host, account, claim.recorded);
  for (const rental of account.live()) {
    if (rental.attempt === claim.recorded?.attempt || !known.has(rental.attempt)) continue;
    clear = (await host.poll(account, rental)) && clear;
  }
  // Numbers follow each other: the first that the vendor does not know is the end.
  let attempt = Math.max(claim.recorded?.attempt ?? 0, ...account.rentals.keys(), 0) + 1;
  if (claim.recorded === undefined && account.rentals.size === 0) attempt = 1;
  for (; clear; attempt++) {
    const look = await host.look({ externalId: account.externalId(attempt) });
    if (look.seen === "Absent") break;
    if (look.seen === "Unclear") clear = host.doubt(look);
    else host.note(account, attempt, look.status);
  }
  const open = claim.operation?.attempt;
  if (clear && open !== undefined && open > attempt && !account.rentals.has(open)) {
    const look = await host.look({ externalId: account.externalId(open) });
    if (look.seen === "Unclear") clear = host.doubt(look);
    if (look.seen === "Found") host.note(account, open, look.status);
  }
  if (clear && !isOwnOperation(host, account)) return false;
  // A process whose records are lost may have begun a rental a moment ago, which is not visible yet.
  const unrecorded = claim.recorded === undefined && claim.operation === undefined && account.rentals.size === 0;
  return clear && (!unrecorded || host.deps.clock.monotonic() - host.openedAt >= host.options.settleMs);
}

/**
 * Whether it can be found out what came of the open operation. It was journalled with other credentials than the present ones: where those have shown
 * nothing of that account, their word that there is no such rental proves nothing.
 */
function isOwnOperation(host: FindHost, account: Ledger): boolean {
  const { operation } = account.claim;
  if (operation === undefined || operation.madeNothing === true || account.rentals.has(operation.attempt)) return true;
  const { clock, witness } = host.deps;
  if (witness.trusts(operation.under)) return true;
  // Until then it, or another one that proves whose account this is, may still be shown.
  if (clock.monotonic() - host.openedAt < host.options.settleMs) return false;
  host.hold(
    account,
    `operation ${operation.id} was begun with other credentials, and the present ones have shown none of that account's rentals, so it is not known ` +
      "whether it began a rental; is the key in the Secret of the same account? If the vendor confirms that it did not, say so: annotation " +
      `edge.drayage.dev/confirm-not-created: "${operation.id}"`,
  );
  return false;
}

async function lookAtRecorded(
  host: FindHost,
  account: Ledger,
  recorded: NonNullable<Claim["recorded"]>,
): Promise<boolean> {
  const { attempt, externalId: deploymentId } = recorded;
  let look = await host.look({ deploymentId });
  if (look.seen === "Absent") look = await host.look({ externalId: account.externalId(attempt) });
  if (look.seen === "Unclear") return host.doubt(look);
  if (look.seen === "Found") {
    host.note(account, attempt, look.status);
    return true;
  }
  const { ended = false, unseen = false } = recorded;
  const verdict = host.missing(account, { attempt, deploymentId, hasRun: !unseen, isExpected: ended });
  if (verdict.gone === "Held") host.hold(account, verdict.why);
  if (verdict.gone !== "Yes") return false;
  const status: DeploymentStatus = {
    deploymentId,
    externalId: account.externalId(attempt),
    machineId: undefined,
    state: "Stopped",
    status: "(unknown to the vendor)",
    failCode: undefined,
    failMessage: "the vendor no longer knows it",
    metadata: {},
  };
  host.record(account, attempt, { ...status, metadata: account.rentals.get(attempt)?.status.metadata ?? {} });
  return true;
}

/** Looks until a rental is found, or clear answers over the settle time say that a former process began none: undefined. */
export async function settled(host: FindHost, externalId: string): Promise<DeploymentStatus | undefined> {
  const { clock } = host.deps;
  const { settleMs } = host.options;
  const stepMs = Math.min(host.hurriedMs, Math.max(1, settleMs / ABSENT_READS));
  const patience = new Patience(stepMs, host.options.pollMs);
  let reads = 0;
  while (!host.signal.aborted) {
    const look = await host.look({ externalId });
    if (look.seen === "Found") return look.status;
    if (look.seen === "Absent") reads += 1;
    if (reads >= ABSENT_READS && clock.monotonic() - host.openedAt >= settleMs) return undefined;
    await pause(clock, patience.nextMs(look.seen === "Absent"), host.signal);
  }
  return undefined;
}

/** Looks by our id, of a rental that is there, over the settle time; tells the account if it is not found. */
export async function verifyLookup(host: FindHost, externalId: string, deploymentId: string): Promise<void> {
  const { clock } = host.deps;
  const since = clock.monotonic();
  const patience = new Patience(host.hurriedMs, host.options.pollMs);
  for (let reads = 0; !host.signal.aborted;) {
    const asked = clock.monotonic();
    const look = await host.look({ externalId });
    if (look.seen === "Found") return;
    if (look.seen === "Absent") reads += 1;
    if (reads >= ABSENT_READS && asked - since >= host.options.settleMs) {
      host.deps.lookup.report(
        `deployment ${deploymentId} is not found by its external_deployment_id: nothing more is rented, since a lost answer could not be resolved; ` +
          "find the right path and set spec.hiveon.externalIdPath of the EdgeBackend",
      );
      return;
    }
    await pause(clock, patience.nextMs(look.seen === "Absent"), host.signal);
  }
}
