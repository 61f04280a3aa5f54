// Where downloaded and built programs and the folders of running control planes are kept between runs.

import { accessSync, constants, mkdirSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";

let cached: string | undefined;

/**
 * The cache folder, made if need be: DRAYAGE_CACHE, else XDG_CACHE_HOME/drayage, else ~/.cache/drayage; where the chosen one cannot be
 * written, a folder of this user in the system's temporary folder.
 * @param env environment to read instead of the process's own (then nothing is remembered between calls)
 */
export function cacheDir(env?: NodeJS.ProcessEnv): string {
  if (env) {
    return choose(env);
  }
  cached ??= choose(process.env);
  return cached;
}

function choose(env: NodeJS.ProcessEnv): string {
  const home = env["HOME"] || homedir();
  const wanted = env["DRAYAGE_CACHE"]
    ? resolve(env["DRAYAGE_CACHE"])
    : // The XDG base directory specification: a relative XDG_CACHE_HOME is to be ignored.
      join(env["XDG_CACHE_HOME"]?.startsWith("/") ? env["XDG_CACHE_HOME"] : join(home, ".cache"), "drayage");
  const fallback = join(env["TMPDIR"] || tmpdir(), `drayage-cache-${process.getuid?.() ?? "user"}`);
  const found = [wanted, fallback].find(writable);
  if (!found) {
    throw new Error(
      `no cache folder: neither ${wanted} nor ${fallback} can be written; set DRAYAGE_CACHE to a folder that can`,
    );
  }
  return found;
}

function writable(folder: string): boolean {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    accessSync(folder, constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
