// What a real device consists of, and whether this machine can run one: the daemon and its command line from an installation of Eclipse
// Kanto, containerd and runc, the namespaces of Linux, and our own program for the images, which Go builds here.

import { createHash } from "node:crypto";
import { accessSync, constants, readdirSync, readFileSync, rmSync } from "node:fs";
import { delimiter, join } from "node:path";
import process from "node:process";
import { cacheDir } from "../controlplane/cache.ts";
import { findGo, goBuild, type GoModule } from "../controlplane/go-build.ts";
import { withLock } from "../controlplane/lock.ts";
import { Store } from "../controlplane/store.ts";

/** The variable that names the folder with Kanto's programs; without it they are looked for in PATH. */
export const KANTO_FOLDER = "DRAYAGE_KANTO";

const KANTO = ["container-management", "kanto-cm"] as const;
/** Debian packages containerd, runc, iptables and util-linux. containerd starts the shim and runc by itself, the daemon iptables. */
const SYSTEM = ["containerd", "containerd-shim-runc-v2", "ctr", "runc", "iptables", "unshare", "nsenter"] as const;

/** Paths of the programs. */
export type DevicePrograms = Record<(typeof KANTO)[number] | (typeof SYSTEM)[number], string>;

const WORKLOAD: GoModule = {
  folder: join(import.meta.dirname, "workload"),
  version: "1",
  packages: { workload: "drayage.invalid/workload" },
  ldflags: "-s -w",
};

/**
 * The programs, or why no real device can run here.
 * @returns a reason without brackets: it stands in the titles of the tests that are not run
 */
export function findPrograms(env: NodeJS.ProcessEnv = process.env): { programs: DevicePrograms } | { reason: string } {
  if (process.platform !== "linux") return { reason: "a device with containers needs Linux" };
  const folders = [...(env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/sbin", "/usr/local/sbin"];
  const kanto = env[KANTO_FOLDER];
  const found = new Map<string, string>();
  for (const name of KANTO) {
    const path = [...(kanto ? [kanto] : folders)].map((folder) => join(folder, name)).find(isExecutable);
    if (path !== undefined) found.set(name, path);
  }
  if (found.size < KANTO.length) {
    return {
      reason: `Eclipse Kanto's ${KANTO.join(" and ")} are not in ${kanto ? `${KANTO_FOLDER}=${kanto}` : `PATH, nor named by ${KANTO_FOLDER}`}`,
    };
  }
  if (process.getuid?.() !== 0) return { reason: "containers need root" };
  for (const name of SYSTEM) {
    const path = folders.map((folder) => join(folder, name)).find(isExecutable);
    if (path === undefined)
      return { reason: `${name} is not installed, of Debian's containerd, runc, iptables and util-linux` };
    found.set(name, path);
  }
  const go = findGo(WORKLOAD, env);
  if ("reason" in go) return { reason: `the program of the test images cannot be built: ${go.reason}` };
  return { programs: Object.fromEntries(found) as DevicePrograms };
}

/** The program of the images, built once and kept in the cache folder. */
export async function workload(log: (line: string) => void = () => undefined): Promise<string> {
  const store = new Store(join(cacheDir(), "daemon"), log);
  const key = { program: "workload", version: WORKLOAD.version, way: `go-${hashOf(WORKLOAD.folder)}` };
  const kept = await store.get(key);
  if (kept !== undefined) return kept;
  return withLock(
    store.lockFile,
    () => undefined,
    async () => {
      const meanwhile = await store.get(key);
      if (meanwhile !== undefined) return meanwhile;
      const toolchain = findGo(WORKLOAD);
      if ("reason" in toolchain) throw new Error(toolchain.reason);
      const folder = store.temporaryFolder();
      try {
        await goBuild(toolchain.go, WORKLOAD, folder, log);
        return await store.add(key, join(folder, "workload"), "go build in test/daemon/workload");
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    },
  );
}

function hashOf(folder: string): string {
  const hash = createHash("sha256").update(WORKLOAD.ldflags);
  for (const file of readdirSync(folder).toSorted()) hash.update(file).update(readFileSync(join(folder, file)));
  return hash.digest("hex").slice(0, 12);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The programs, or why there are none, for the title of a block of tests and for its worlds. */
export function devicePrograms(): { missing: boolean; title: string; get(): DevicePrograms } {
  const found = findPrograms();
  const missing = "reason" in found;
  return {
    missing,
    title: missing ? `on a real device (not run: ${found.reason})` : "on a real device",
    get: () => {
      if (missing) throw new Error(found.reason);
      return found.programs;
    },
  };
}
