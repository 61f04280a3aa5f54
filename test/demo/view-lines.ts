// The view without a terminal: one line per change, with the time since the start.

import type { Board, Row } from "./board.ts";
import { seconds, type View } from "./view.ts";

/** @param write takes text with its line ends */
export function linesView(write: (text: string) => void): View {
  const began = performance.now();
  const shown = new Map<string, string>();
  let board: Board | undefined;
  const line = (text: string): void => write(`${`+${seconds(performance.now() - began)}`.padStart(8)}  ${text}\n`);

  /** Prints what differs from what was printed last; a thing that is gone is said once. */
  const differences = (current: ReadonlyMap<string, string>): void => {
    for (const [key, text] of current) {
      if (shown.get(key) !== text) {
        shown.set(key, text);
        line(`  ${key.padEnd(20)} ${text}`);
      }
    }
    for (const key of shown.keys()) {
      if (!current.has(key)) {
        shown.delete(key);
        line(`  ${key.padEnd(20)} gone`);
      }
    }
  };

  return {
    progress: line,
    command: (text) => line(`$ ${text}`),
    begin: (number, total, title) => line(`step ${number}/${total}: ${title}`),
    seen: (number, total, title, outcome, tookMs) =>
      line(`step ${number}/${total} seen after ${seconds(tookMs)}: ${title}: ${outcome}`),
    attach: (newBoard) => (board = newBoard),
    changed: () => {
      if (board !== undefined) {
        differences(
          new Map([
            ...board.connections().map(({ name, state }): [string, string] => [`device ${name}`, state]),
            ...board.rows().map((row): [string, string] => [`container ${row.name}`, describe(row)]),
          ]),
        );
      }
    },
    print: (text) => write(`${text}\n`),
    close: () => undefined,
  };
}

function describe({ device, image, state, ready, restarts, reason }: Row): string {
  const verdict = ready === "" ? "" : `Ready=${ready} ${reason}`;
  return `${device.padEnd(7)} ${image.padEnd(12)} ${(state || "-").padEnd(16)} ${verdict}${restarts > 0 ? `, ${restarts} restarts` : ""}`;
}
