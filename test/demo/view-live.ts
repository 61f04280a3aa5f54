// The view on a terminal: what has happened stays above as lines, and below them a table of what is, drawn again in place.

import type { WriteStream } from "node:tty";
import { styleText } from "node:util";
import type { Board, Row } from "./board.ts";
import { age, seconds, type View } from "./view.ts";

type Style = Parameters<typeof styleText>[0];

const COLUMNS = ["DEVICE", "NAME", "IMAGE", "STATE", "READY", "RESTARTS", "REASON", "AGE"] as const;
const READY_STYLES: Readonly<Record<string, Style>> = { True: "green", False: "red", Unknown: "yellow" };
const STATE_STYLES: Readonly<Record<string, Style>> = { Connected: "green", Busy: "cyan", Offline: "red" };
const REFRESH_MS = 1000;
/** Changes that come together are drawn together. */
const TOGETHER_MS = 50;

export function liveView(out: WriteStream): View {
  const styled = (style: Style, text: string): string => styleText(style, text, { stream: out });
  let board: Board | undefined;
  let drawn = 0;
  let now: { text: string; since: number } | undefined;
  let lastCommand = "";
  let soon: NodeJS.Timeout | undefined;

  const erase = (): string => (drawn === 0 ? "" : `\u001b[${drawn}A\r\u001b[J`);
  const draw = (above = ""): void => {
    const lines = block();
    out.write(`${erase()}${above}${lines.map((text) => `${text}\n`).join("")}`);
    drawn = lines.length;
  };

  /** No line may wrap and the block may not scroll, or it could not be erased. */
  const block = (): string[] => {
    const width = (out.columns || 80) - 1;
    const lines: string[] = [];
    if (board !== undefined && board.devices.size > 0) {
      lines.push("", deviceLine(board, width));
    }
    if (board !== undefined && board.containers.size > 0) {
      lines.push("", ...table(board.rows(), width));
    }
    if (now !== undefined) {
      const elapsed = Math.floor((performance.now() - now.since) / 1000);
      lines.push("", styled("bold", cut(`› ${now.text} … ${elapsed} s`, width)));
      if (lastCommand !== "") {
        lines.push(styled("dim", cut(`  $ ${lastCommand}`, width)));
      }
    }
    return lines.slice(-Math.max(1, (out.rows || 24) - 1));
  };

  const deviceLine = (shown: Board, width: number): string => {
    const connections = shown.connections();
    const plain = `devices: ${connections.map(({ name, state }) => `${name} ${state}`).join(", ")}`;
    return plain.length > width
      ? cut(plain, width)
      : `devices: ${connections.map(({ name, state }) => `${name} ${styled(STATE_STYLES[state] ?? "yellow", state)}`).join(", ")}`;
  };

  const table = (rows: readonly Row[], width: number): string[] => {
    const cells = rows.map((row) => cellsOf(row));
    const widths = COLUMNS.map((title, column) =>
      Math.max(title.length, ...cells.map((texts) => texts[column]?.length ?? 0)),
    );
    const line = (texts: readonly string[]): string =>
      texts.map((text, column) => text.padEnd(widths[column] ?? 0)).join("  ");
    return [
      styled("dim", cut(line(COLUMNS), width)),
      ...cells.map((texts) => {
        const text = cut(line(texts), width);
        const ready = texts[4] ?? "";
        const style = READY_STYLES[ready];
        const start = widths.slice(0, 4).reduce((sum, columnWidth) => sum + columnWidth + 2, 0);
        return style === undefined || start + ready.length > text.length
          ? text
          : text.slice(0, start) + styled(style, ready) + text.slice(start + ready.length);
      }),
    ];
  };

  const timer = setInterval(() => draw(), REFRESH_MS);
  const onResize = (): void => draw();
  out.on("resize", onResize);

  return {
    progress: (text) => draw(`${styled("dim", `  ${text}`)}\n`),
    command: (text) => {
      lastCommand = text;
      draw();
    },
    begin: (number, total, title) => {
      now = { text: `step ${number}/${total}: ${title}`, since: performance.now() };
      lastCommand = "";
      draw();
    },
    seen: (number, total, title, outcome, tookMs) => {
      now = undefined;
      const heading = styled("green", `✓ step ${number}/${total}: ${title}`);
      const commands = lastCommand === "" ? "" : `${styled("dim", `    $ ${lastCommand}`)}\n`;
      draw(`${heading} ${styled("dim", `(${seconds(tookMs)})`)}\n${commands}    ${outcome}\n`);
    },
    attach: (newBoard) => (board = newBoard),
    changed: () => {
      soon ??= setTimeout(() => {
        soon = undefined;
        draw();
      }, TOGETHER_MS);
    },
    print: (text) => {
      now = undefined;
      draw(`${text}\n`);
    },
    close: () => {
      clearInterval(timer);
      clearTimeout(soon);
      out.off("resize", onResize);
      board = undefined;
      now = undefined;
      draw();
    },
  };
}

function cellsOf(row: Row): string[] {
  const { device, name, image, state, ready, restarts, reason, createdAtMs } = row;
  return [
    device,
    name,
    image,
    state || "-",
    ready || "-",
    String(restarts),
    reason || "-",
    age(Date.now() - createdAtMs),
  ];
}

function cut(text: string, width: number): string {
  return text.length > width ? `${text.slice(0, Math.max(0, width - 1))}…` : text;
}
