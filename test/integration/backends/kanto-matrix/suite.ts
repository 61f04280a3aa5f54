/** Declares the cells of some faults: every operation against each of them, several cells at a time. */
import { describe, test, vi } from "vitest";
import { runCell } from "./cell.ts";
import type { Ending, Fault } from "./fault.ts";
import { ROW_NAMES } from "./rows.ts";

/** Cells mostly wait, each for its own device. */
vi.setConfig({ maxConcurrency: 12, testTimeout: 120_000 });

/** Faults by the switch that causes them; a text says where a switch is covered that causes none by itself. */
export type FaultTable<K extends string> = Readonly<Record<K, readonly Fault[] | string>>;

export function describeFaults<K extends string>(table: FaultTable<K>): void {
  const faults = Object.values<readonly Fault[] | string>(table).flatMap((each) =>
    typeof each === "string" ? [] : each,
  );
  describe.concurrent.each(faults)("$name", (fault) => {
    test.concurrent.each(ROW_NAMES)("%s", (operation) => runCell(operation, fault));
  });
}

/** For faults under which any operation may end alike. */
export const ends =
  (...endings: readonly Ending[]) =>
  (): readonly Ending[] =>
    endings;
