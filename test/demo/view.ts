// How the demo shows itself: view-lines.ts for a file or a pipe, view-live.ts for a terminal.

import type { Board } from "./board.ts";

export interface View {
  /** One line of the set-up, or a remark. */
  progress: (line: string) => void;
  /** A command that is being run for the user. */
  command: (line: string) => void;
  /** A step begins. */
  begin: (number: number, total: number, title: string) => void;
  /** The step that began has been seen. */
  seen: (number: number, total: number, title: string, outcome: string, tookMs: number) => void;
  /** The board is there from now on. */
  attach: (board: Board) => void;
  /** Something on the board has changed. */
  changed: () => void;
  /** Lines that stay, as they are. */
  print: (text: string) => void;
  /** Takes the table away; what is printed stays. */
  close: () => void;
}

/** As kubectl writes ages: 42s, 3m12s, 2h5m. */
export function age(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  if (minutes < 2) {
    return `${seconds}s`;
  }
  return hours < 1 ? `${minutes}m${seconds % 60 === 0 ? "" : `${seconds % 60}s`}` : `${hours}h${minutes % 60}m`;
}

/** 3.2 s */
export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
