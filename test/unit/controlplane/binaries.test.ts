import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { findBinaries, MissingBinaries } from "../../controlplane/binaries.ts";
import { compareVersions } from "../../controlplane/go-build.ts";

/** Nothing listens there. */
const NOWHERE = "http://127.0.0.1:9/index.yaml";
let root: string;
let assets: string;
let env: NodeJS.ProcessEnv;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "binaries-"));
  assets = join(root, "assets");
  mkdirSync(assets);
  env = { PATH: join(root, "empty"), DRAYAGE_CACHE: join(root, "cache") };
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

/** A program that reports this version. */
function program(name: string, version = "1.36.1", folder = assets): string {
  const path = join(folder, name);
  writeFileSync(path, `#!/bin/sh\necho "Kubernetes v${version}"\n`, { mode: 0o755 });
  return path;
}

function allPrograms(): void {
  for (const name of ["etcd", "kube-apiserver", "kubectl", "kube-controller-manager"]) {
    program(name);
  }
}

test("KUBEBUILDER_ASSETS names a folder with the programs; the version is what the API server says", async () => {
  allPrograms();
  expect(await findBinaries({ env: { ...env, KUBEBUILDER_ASSETS: assets } })).toEqual({
    version: "1.36.1",
    etcd: join(assets, "etcd"),
    kubeApiserver: join(assets, "kube-apiserver"),
    kubectl: join(assets, "kubectl"),
    kubeControllerManager: join(assets, "kube-controller-manager"),
  });
});

test("TEST_ASSET_KUBE_APISERVER wins over KUBEBUILDER_ASSETS", async () => {
  allPrograms();
  const own = program("my-apiserver", "1.33.0", root);
  const found = await findBinaries({ env: { ...env, KUBEBUILDER_ASSETS: assets, TEST_ASSET_KUBE_APISERVER: own } });
  expect(found).toMatchObject({ kubeApiserver: own, version: "1.33.0", etcd: join(assets, "etcd") });
});

test("a variable that names no program is an error with its name, not passed over", async () => {
  allPrograms();
  const wrong = { ...env, KUBEBUILDER_ASSETS: assets, TEST_ASSET_ETCD: join(root, "nothing") };
  await expect(findBinaries({ env: wrong })).rejects.toThrow(/^TEST_ASSET_ETCD is .*nothing/);
});

test("programs of another version than the one asked for are not taken", async () => {
  allPrograms();
  const search = findBinaries({ env: { ...env, KUBEBUILDER_ASSETS: assets }, version: "1.32", make: false });
  await expect(search).rejects.toThrow("the environment names Kubernetes 1.36.1, wanted is 1.32");
});

test("a version that is not pinned is an error that lists those that are", async () => {
  await expect(findBinaries({ env, version: "1.20" })).rejects.toThrow(/1\.20 is not in versions\.json \(.*1\.36/);
});

test("without kube-controller-manager the others are enough", async () => {
  for (const name of ["etcd", "kube-apiserver", "kubectl"]) {
    program(name);
  }
  const found = await findBinaries({ env: { ...env, KUBEBUILDER_ASSETS: assets }, make: false });
  expect(found.kubeControllerManager).toBeUndefined();
});

test("where nothing can be had, the error says what was tried and what to install", async () => {
  const error = await findBinaries({ env, make: false }).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(MissingBinaries);
  expect(String(error)).toMatch(/etcd, kube-apiserver, kubectl cannot be had/);
  expect(String(error)).toMatch(/KUBEBUILDER_ASSETS/);
  expect(String(error)).toMatch(/https:\/\/go\.dev\/dl/);
});

test("a Go toolchain that is too old and may not fetch another is told with its version, and nothing is left in the cache", async () => {
  mkdirSync(join(root, "bin"));
  writeFileSync(join(root, "bin/go"), '#!/bin/sh\nprintf "go1.19\\nlocal\\n"\n', { mode: 0o755 });
  const lines: string[] = [];
  const own = { ...env, PATH: `${join(root, "bin")}:/usr/bin:/bin` };
  const search = findBinaries({ env: own, indexUrl: NOWHERE, log: (line) => lines.push(line), usualGo: false });
  await expect(search).rejects.toThrow(/go is Go 1\.19, needed is Go 1\.\d+/);
  expect(lines).toContainEqual(expect.stringContaining("the official envtest archive: fetch failed"));
  expect(readdirSync(join(root, "cache/controlplane"))).toEqual([]);
});

test("versions are compared as numbers, part by part", () => {
  expect(compareVersions("1.9", "1.26.0")).toBeLessThan(0);
  expect(compareVersions("1.26.8", "1.26")).toBeGreaterThan(0);
  expect(compareVersions("1.26rc1", "1.26.0")).toBe(0);
});
