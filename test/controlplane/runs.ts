// The folder of one running control plane, and what is left of runs that were killed. Each run has a folder <cache>/runs/<name> whose
// run.json names the process that owns it and the children it started, each by pid and start time: a pid alone may long belong to somebody
// else. The next run ends the children of owners that are gone, and nothing else.

import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { identify, isAlive, type ProcessIdentity } from "./processes.ts";

interface RunFile {
  /** Where the pids mean something: host, boot and pid namespace. */
  place: Place;
  owner: ProcessIdentity;
  children: Record<string, ProcessIdentity>;
}

interface Place {
  host: string;
  boot: string;
  pidNamespace: string;
}

/** A half-made or unreadable run folder younger than this is left alone: its owner may be about to write into it. */
const FRESH_MS = 60_000;

/** The folder of one run. Its record is on disk before a child can outlive us for more than an instant. */
export class RunDirectory {
  readonly path: string;
  readonly #file: RunFile;

  /** @param runs folder that holds all run folders */
  constructor(runs: string) {
    mkdirSync(runs, { recursive: true, mode: 0o700 });
    const owner = identify(process.pid);
    if (!owner) {
      throw new Error("this process cannot see itself in the process table");
    }
    this.#file = { place: place(), owner, children: {} };
    this.path = mkdtempSync(join(runs, `${process.pid}-`));
    this.#write();
  }

  /** Records a started child, to be ended by a later run if this one dies. */
  addChild(name: string, pid: number): void {
    const child = identify(pid);
    if (child) {
      this.#file.children[name] = child;
      this.#write();
    }
  }

  removeChild(name: string): void {
    delete this.#file.children[name];
    this.#write();
  }

  /** Deletes the folder with all in it. */
  remove(): void {
    rmSync(this.path, { recursive: true, force: true, maxRetries: 5 });
  }

  #write(): void {
    const temporary = join(this.path, "run.json.new");
    writeFileSync(temporary, JSON.stringify(this.#file));
    renameSync(temporary, join(this.path, "run.json"));
  }
}

/**
 * Ends what killed runs left behind: their children (SIGKILL to each process group) and their folders.
 * @returns the ended processes, as "name pid"
 */
export function endLeftovers(runs: string): string[] {
  const ended: string[] = [];
  for (const name of listFolders(runs)) {
    const folder = join(runs, name);
    const run = readRun(folder);
    if (!run) {
      if (ageMs(folder) > FRESH_MS) {
        rmSync(folder, { recursive: true, force: true });
      }
      continue;
    }
    const here = place();
    if (
      run.place.host !== here.host ||
      (run.place.boot === here.boot && run.place.pidNamespace !== here.pidNamespace)
    ) {
      continue; // Another machine or container on a shared disk: its pids mean nothing here.
    }
    if (run.place.boot === here.boot) {
      if (isAlive(run.owner)) {
        continue;
      }
      for (const [child, identity] of Object.entries(run.children)) {
        if (isAlive(identity) && kill(identity.pid)) {
          ended.push(`${child} ${identity.pid}`);
        }
      }
    }
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
  return ended;
}

function place(): Place {
  return { host: hostname(), boot: readOr("/proc/sys/kernel/random/boot_id"), pidNamespace: namespaceOr() };
}

function readOr(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return "";
  }
}

function namespaceOr(): string {
  try {
    return readlinkSync("/proc/self/ns/pid");
  } catch {
    return "";
  }
}

function kill(pid: number): boolean {
  for (const target of [-pid, pid]) {
    try {
      process.kill(target, "SIGKILL");
      return true;
    } catch {
      // No such group (the child had not become a leader yet): try the process alone.
    }
  }
  return false;
}

function readRun(folder: string): RunFile | undefined {
  try {
    return JSON.parse(readFileSync(join(folder, "run.json"), "utf8")) as RunFile;
  } catch {
    return undefined;
  }
}

function listFolders(runs: string): string[] {
  try {
    return readdirSync(runs);
  } catch {
    return [];
  }
}

function ageMs(folder: string): number {
  try {
    return Date.now() - statSync(folder).mtimeMs;
  } catch {
    return 0;
  }
}
