// Where things are.

import { accessSync, constants, mkdirSync, readFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** The checkout. */
export const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** Parsed package-lock.json. */
export function readLock() {
  return JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8"));
}

/** The cache folder by the same rules as test/controlplane/cache.ts, which cannot be imported before the dependencies are there. */
export function cacheDir() {
  const { DRAYAGE_CACHE, XDG_CACHE_HOME, HOME, TMPDIR } = process.env;
  const base = XDG_CACHE_HOME?.startsWith("/") ? XDG_CACHE_HOME : join(HOME || homedir(), ".cache");
  const wanted = DRAYAGE_CACHE ? resolve(DRAYAGE_CACHE) : join(base, "drayage");
  const fallback = join(TMPDIR || tmpdir(), `drayage-cache-${process.getuid?.() ?? "user"}`);
  for (const folder of [wanted, fallback]) {
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      accessSync(folder, constants.W_OK | constants.X_OK);
      return folder;
    } catch {
      // The next one.
    }
  }
  throw new Error(
    `no cache folder: neither ${wanted} nor ${fallback} can be written; set DRAYAGE_CACHE to one that can`,
  );
}
