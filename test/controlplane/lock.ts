// A lock between processes: two test runs on one machine must not build or download the same programs at the same time.

import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { randomUUID } from "node:crypto";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { identify, isAlive, type ProcessIdentity } from "./processes.ts";

/**
 * Runs `work` while holding the lock file. The lock of a process that is gone counts for nothing.
 * @param onWait called once, with the pid of the holder, when the lock is held by another process
 */
export async function withLock<T>(path: string, onWait: (pid: number) => void, work: () => Promise<T>): Promise<T> {
  let told = false;
  while (!take(path)) {
    const holder = read(path);
    if (holder && !isAlive(holder)) {
      discard(path, holder);
      continue;
    }
    if (holder && !told) {
      told = true;
      onWait(holder.pid);
    }
    await delay(500);
  }
  try {
    return await work();
  } finally {
    rmSync(path, { force: true });
  }
}

/** A hard link appears with its content, or not at all. */
function take(path: string): boolean {
  const temporary = `${path}.${randomUUID()}`;
  writeFileSync(temporary, JSON.stringify(identify(process.pid)));
  try {
    linkSync(temporary, path);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") {
      return false;
    }
    throw error;
  } finally {
    rmSync(temporary, { force: true });
  }
}

/** Renaming is atomic: of two processes that find the same dead lock one moves it away, and puts back what turns out to be a new one. */
function discard(path: string, dead: ProcessIdentity): void {
  const aside = `${path}.${randomUUID()}`;
  try {
    renameSync(path, aside);
    const moved = read(aside);
    if (moved && (moved.pid !== dead.pid || moved.startTime !== dead.startTime)) {
      linkSync(aside, path);
    }
  } catch {
    // Somebody else was quicker.
  } finally {
    rmSync(aside, { force: true });
  }
}

function read(path: string): ProcessIdentity | undefined {
  try {
    const parsed: unknown = JSON.parse(readFileSync(path, "utf8"));
    return isIdentity(parsed) ? parsed : undefined;
  } catch {
    return undefined;
  }
}

function isIdentity(value: unknown): value is ProcessIdentity {
  return typeof value === "object" && value !== null && "pid" in value && "startTime" in value;
}
