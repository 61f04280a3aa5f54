import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { cacheDir } from "../../controlplane/cache.ts";
import { cacheDir as cacheDirOfSetup } from "../../../scripts/setup/paths.mjs";

let root: string;
let env: Record<"HOME" | "XDG_CACHE_HOME" | "DRAYAGE_CACHE" | "TMPDIR", string>;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "cache-dir-"));
  mkdirSync(join(root, "tmp"));
  env = {
    HOME: join(root, "home"),
    XDG_CACHE_HOME: join(root, "xdg"),
    DRAYAGE_CACHE: join(root, "own"),
    TMPDIR: join(root, "tmp"),
  };
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

test("DRAYAGE_CACHE wins over XDG_CACHE_HOME, and that over ~/.cache", () => {
  expect(cacheDir(env)).toBe(join(root, "own"));
  expect(cacheDir({ ...env, DRAYAGE_CACHE: "" })).toBe(join(root, "xdg/drayage"));
  expect(cacheDir({ HOME: env.HOME })).toBe(join(root, "home/.cache/drayage"));
});

test("a relative XDG_CACHE_HOME counts for nothing, as its specification says", () => {
  expect(cacheDir({ HOME: env.HOME, XDG_CACHE_HOME: "somewhere" })).toBe(join(root, "home/.cache/drayage"));
});

test("where the chosen folder cannot be made, the temporary folder of this user is taken", () => {
  writeFileSync(env.DRAYAGE_CACHE, "a file is no folder");
  const found = cacheDir(env);
  expect(found.startsWith(join(root, "tmp/drayage-cache-"))).toBe(true);
  expect(statSync(found).mode & 0o777).toBe(0o700);
});

test("where nothing can be written the message names the folders and the variable to set", () => {
  writeFileSync(env.DRAYAGE_CACHE, "");
  rmSync(env.TMPDIR, { recursive: true });
  writeFileSync(env.TMPDIR, "");
  expect(() => cacheDir(env)).toThrow(/neither .*own nor .*drayage-cache-.* set DRAYAGE_CACHE/);
});

test("a folder without write permission is passed over", ({ skip }) => {
  skip(process.getuid?.() === 0, "root may write everywhere");
  mkdirSync(env.DRAYAGE_CACHE);
  chmodSync(env.DRAYAGE_CACHE, 0o500);
  expect(cacheDir(env)).not.toBe(env.DRAYAGE_CACHE);
});

test("the set-up script, which cannot import this one, chooses the same folders", () => {
  const before = { ...process.env };
  try {
    for (const vars of [env, { ...env, DRAYAGE_CACHE: "" }, { ...env, DRAYAGE_CACHE: "", XDG_CACHE_HOME: "" }]) {
      Object.assign(process.env, vars);
      expect(cacheDirOfSetup()).toBe(cacheDir(vars));
    }
  } finally {
    for (const name of Object.keys(env)) {
      if (before[name] === undefined) {
        delete process.env[name];
      } else {
        process.env[name] = before[name];
      }
    }
  }
});
