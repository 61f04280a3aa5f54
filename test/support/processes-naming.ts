// Finds running processes by a text in their command line, without any tool where /proc is there.

import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import process from "node:process";

export interface NamedProcess {
  pid: number;
  command: string;
}

/** The processes, but for this one, whose command line contains the text; best a path that nobody else has. */
export function processesNaming(text: string): NamedProcess[] {
  const all = process.platform === "linux" ? fromProc() : fromPs();
  return all.filter(({ pid, command }) => pid !== process.pid && command.includes(text));
}

function fromProc(): NamedProcess[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        return [
          { pid: Number(name), command: readFileSync(`/proc/${name}/cmdline`, "utf8").replaceAll("\0", " ").trim() },
        ];
      } catch {
        return []; // It has ended meanwhile.
      }
    });
}

function fromPs(): NamedProcess[] {
  const lines = execFileSync("ps", ["-axww", "-o", "pid=,command="], { encoding: "utf8" }).split("\n");
  return lines.flatMap((line) => {
    const [, pid, command] = /^\s*(\d+)\s+(.*)$/.exec(line) ?? [];
    return pid === undefined || command === undefined ? [] : [{ pid: Number(pid), command }];
  });
}
