/** Declares the cells of a vendor's matrix: every row against every fault that concerns it. */
import { describe, test } from "vitest";
import { runCell, runUndisturbed, type Ending, type Fault, type Row, type Subject } from "./cell.ts";
import type { Vendor } from "./stage.ts";

/** A guard against a hang: a cell takes some tens of milliseconds, one of a day some hundreds. */
const TIMEOUT_MS = 120_000;

export function describeMatrix<V extends Vendor>(
  subject: Subject<V>,
  rows: readonly Row<V>[],
  faults: readonly Fault<V>[],
): void {
  const endings = new Map<string, Promise<Ending>>();
  const undisturbed = (row: Row<V>): Promise<Ending> => {
    const known = endings.get(row.name) ?? runUndisturbed(subject, row);
    endings.set(row.name, known);
    return known;
  };
  describe.each(rows.map((row) => [row.name, row] as const))("%s", (_name, row) => {
    test("undisturbed", async () => void (await undisturbed(row)), TIMEOUT_MS);
    const concerned = faults.filter(
      (fault) => (fault.when === "before" || row.isUnderWay !== undefined) && fault.concerns?.(row) !== false,
    );
    test.each(concerned.map((fault) => [fault.name, fault] as const))(
      "%s",
      async (_fault, fault) => runCell(subject, row, fault, await undisturbed(row)),
      TIMEOUT_MS,
    );
  });
}
