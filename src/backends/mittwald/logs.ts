/**
 * A service's log: plain text without times of its own, only ever fetched from its end. Following is asking again and finding the place where
 * the last answer ended. Logs rotate and are not kept; where that place is gone, what was missed is said.
 */
import type { LogOptions } from "../contract.ts";
import type { BackendFailure } from "../errors.ts";
import type { Call, LogText } from "./client.ts";

/** So many lines are fetched at least, so that the place where the last answer ended is found again. */
const WINDOW = 1_000;
/** The most lines of one answer. */
const MOST_LINES = 10_000;
const FOLLOW_MS = 2_000;
/** After so many failures in a row following ends. */
const MOST_FAILURES = 5;

export interface LogHost {
  fetch(lines: number): Promise<Call<LogText>>;
  pause(ms: number): Promise<void>;
  isOver(): boolean;
}

/** The log could not be had; `failure` says why. */
export class LogError extends Error {
  override readonly name = "LogError";
  readonly failure: BackendFailure;

  constructor(failure: BackendFailure) {
    super(failure.message);
    this.failure = failure;
  }
}

/** Lines of a text; what follows the last line end is a line, too. */
export function linesOf(text: string): string[] {
  const lines = text.split(/\r?\n/);
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

/**
 * What of `now` comes after `before`, both the end of one log; undefined where they have nothing in common. The longest beginning of `now` that
 * ends `before` is found in linear time (Knuth, Morris and Pratt): a log may repeat one line ten thousand times. Pure.
 */
export function linesAfter(before: readonly string[], now: readonly string[]): readonly string[] | undefined {
  if (before.length === 0) return now;
  // borders[n]: length of the longest beginning of now's first n lines that also ends them, and is shorter.
  const borders: number[] = [0, 0];
  const grow = (length: number, line: string | undefined): number => {
    let known = length;
    while (known > 0 && (known === now.length || now[known] !== line)) known = borders[known] ?? 0;
    return now[known] === line && now.length > 0 ? known + 1 : 0;
  };
  for (let length = 1; length < now.length; length++) borders[length + 1] = grow(borders[length] ?? 0, now[length]);
  let common = 0;
  for (const line of before) common = grow(common, line);
  return common === 0 ? undefined : now.slice(common);
}

/** Lines from a moment on, where lines begin with a time (RFC 3339); a line without one belongs to the line before. Pure. */
export function linesSince(lines: readonly string[], sinceMs: number): readonly string[] {
  let isIn = true;
  return lines.filter((line) => {
    const stamp = /^\[?(\d{4}-\d{2}-\d{2}[T ][\d:.]+(Z|[+-]\d{2}:?\d{2}))/.exec(line)?.[1];
    const at = stamp === undefined ? Number.NaN : Date.parse(stamp);
    if (!Number.isNaN(at)) isIn = at >= sinceMs;
    return isIn;
  });
}

/** @throws LogError if the log cannot be had, or is lost for good while it is followed. */
export async function* readLog(host: LogHost, options: LogOptions): AsyncGenerator<string, void, void> {
  const { tailLines = WINDOW, sinceMs, follow = false } = options;
  const wanted = Math.min(Math.max(tailLines, WINDOW), MOST_LINES);
  let before: readonly string[] | undefined;
  let failures = 0;
  while (!host.isOver()) {
    const call = await host.fetch(wanted);
    if (call.kind === "Done") {
      failures = 0;
      const all = linesOf(call.value.text);
      // An answer that was cut may end within a line: who follows reads that one again.
      const lines = call.value.isTruncated && follow ? all.slice(0, -1) : all;
      if (before === undefined) {
        const kept = sinceMs === undefined ? lines : linesSince(lines, sinceMs);
        yield* tailLines === 0 ? [] : kept.slice(-tailLines);
      } else {
        const more = linesAfter(before, lines);
        if (more === undefined) yield "[drayage: lines are missing here: the log has moved on]";
        yield* more ?? lines;
      }
      before = lines;
      if (call.value.isTruncated && !follow) yield "[drayage: the vendor's answer ended early]";
    } else {
      // 503 is what the vendor answers while it has no log to give; a log that was there comes back.
      failures += 1;
      const passes = call.kind === "Unknown" && follow && failures < MOST_FAILURES;
      if (!passes) throw new LogError(call.failure);
    }
    if (!follow) return;
    await host.pause(FOLLOW_MS);
  }
}
