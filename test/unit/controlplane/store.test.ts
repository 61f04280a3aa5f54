import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Store } from "../../controlplane/store.ts";

const KEY = { program: "etcd", version: "3.6.16", way: "go-abc" };
let root: string;
let lines: string[];
let store: Store;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "store-"));
  lines = [];
  store = new Store(root, (line) => lines.push(line));
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

async function add(key = KEY, text = "#!/bin/sh\n"): Promise<string> {
  const folder = store.temporaryFolder();
  writeFileSync(join(folder, "made"), text);
  const path = await store.add(key, join(folder, "made"), "a test");
  rmSync(folder, { recursive: true });
  return path;
}

test("what was added is found again, executable, and nothing else lies about", async () => {
  const path = await add();
  expect(await store.get(KEY)).toBe(path);
  expect(statSync(path).mode & 0o777).toBe(0o755);
  expect(readdirSync(root)).toEqual([expect.stringMatching(/^etcd-3\.6\.16-.*-go-abc$/)]);
});

test("another version or another way of making is another program", async () => {
  await add();
  expect(await store.get({ ...KEY, version: "3.6.17" })).toBeUndefined();
  expect(await store.get({ ...KEY, way: "go-def" })).toBeUndefined();
});

test("a damaged program is thrown away with a word, and can be added again", async () => {
  const path = await add();
  appendFileSync(path, "x");
  expect(await store.get(KEY)).toBeUndefined();
  expect(lines).toEqual([expect.stringContaining("does not match its checksum")]);
  expect(existsSync(dirname(path))).toBe(false);
  expect(await add()).toBe(path);
  expect(await store.get(KEY)).toBe(path);
});

test("an entry without its program or with a broken manifest is thrown away", async () => {
  const path = await add();
  rmSync(path);
  expect(await store.get(KEY)).toBeUndefined();
  await add();
  writeFileSync(join(dirname(path), "manifest.json"), "{");
  expect(await store.get(KEY)).toBeUndefined();
  expect(lines).toHaveLength(2);
});

test("of several patch versions of a minor the newest is taken, compared as numbers", async () => {
  for (const version of ["1.36.2", "1.36.10", "1.3.99", "1.37.0"]) {
    await add({ program: "kubectl", version, way: "envtest" }, version);
  }
  const found = await store.getMinor("kubectl", "1.36", "envtest");
  expect(found && readFileSync(found, "utf8")).toBe("1.36.10");
});
