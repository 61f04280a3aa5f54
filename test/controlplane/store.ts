// The cache of programs: one folder per program, version, platform and way of making, with a manifest that holds its checksum. A folder
// appears whole, by a rename; what does not match its manifest is thrown away and made again.

import { createHash, randomUUID } from "node:crypto";
import {
  chmodSync,
  createReadStream,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import process from "node:process";
import { pipeline } from "node:stream/promises";
import { z } from "zod";

const Manifest = z.object({
  /** Of the program's file. */
  sha256: z.string(),
  /** Where it came from, for people. */
  origin: z.string(),
});

/** The platform in folder names: "linux-x64". */
export const PLATFORM = `${process.platform}-${process.arch}`;

/** What identifies a cached program. */
export interface StoreKey {
  /** File name: "kube-apiserver". */
  program: string;
  /** "1.36.3" */
  version: string;
  /** How it was made: "envtest", or "go-" and a hash of sources and flags. */
  way: string;
}

export class Store {
  readonly #folder: string;
  readonly #log: (line: string) => void;

  /** @param folder made if need be */
  constructor(folder: string, log: (line: string) => void) {
    this.#folder = folder;
    this.#log = log;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  }

  /** Path of the lock file for makers of programs. */
  get lockFile(): string {
    return join(this.#folder, "lock");
  }

  /** Path of the program; undefined when it is not there or damaged. */
  async get(key: StoreKey): Promise<string | undefined> {
    return this.#check(folderName(key), key.program);
  }

  /** The newest cached patch version of a Kubernetes minor ("1.36") made in this way. */
  async getMinor(program: string, minor: string, way: string): Promise<string | undefined> {
    const pattern = new RegExp(`^${program}-${minor.replaceAll(".", "\\.")}\\.(\\d+)-${PLATFORM}-${way}$`);
    const patch = (name: string): number => Number(pattern.exec(name)?.[1] ?? -1);
    const folders = readdirSync(this.#folder).filter((name) => pattern.test(name));
    for (const name of folders.toSorted((a, b) => patch(b) - patch(a))) {
      const path = await this.#check(name, program);
      if (path !== undefined) {
        return path;
      }
    }
    return undefined;
  }

  /**
   * Takes a program into the cache by moving it there.
   * @param file on the same file system: make it in `temporaryFolder()`
   * @returns its path
   */
  async add(key: StoreKey, file: string, origin: string): Promise<string> {
    const manifest = { sha256: await sha(file, "sha256"), origin };
    chmodSync(file, 0o755);
    const staging = this.temporaryFolder();
    renameSync(file, join(staging, key.program));
    writeFileSync(join(staging, "manifest.json"), `${JSON.stringify(manifest)}\n`);
    const final = join(this.#folder, folderName(key));
    rmSync(final, { recursive: true, force: true });
    renameSync(staging, final);
    return join(final, key.program);
  }

  /** An empty folder beside the entries; whoever asks for it removes it. */
  temporaryFolder(): string {
    const folder = join(this.#folder, `tmp-${process.pid}-${randomUUID()}`);
    mkdirSync(folder, { mode: 0o700 });
    return folder;
  }

  /** Removes what makers that were killed left behind. Only for the holder of the lock. */
  removeTemporary(): void {
    for (const name of readdirSync(this.#folder).filter((entry) => entry.startsWith("tmp-"))) {
      rmSync(join(this.#folder, name), { recursive: true, force: true });
    }
  }

  async #check(name: string, program: string): Promise<string | undefined> {
    const folder = join(this.#folder, name);
    let expected: string;
    try {
      expected = Manifest.parse(JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8"))).sha256;
    } catch (error) {
      if (!isMissing(error)) {
        this.#discard(folder, `its manifest cannot be read (${String(error)})`);
      }
      return undefined;
    }
    const path = join(folder, program);
    try {
      if ((await sha(path, "sha256")) === expected) {
        return path;
      }
      this.#discard(folder, "it does not match its checksum");
    } catch (error) {
      this.#discard(folder, String(error));
    }
    return undefined;
  }

  #discard(folder: string, reason: string): void {
    this.#log(`throwing away ${basename(folder)} from the cache: ${reason}`);
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Hexadecimal digest of a file. */
export async function sha(file: string, algorithm: "sha256" | "sha512"): Promise<string> {
  const hash = createHash(algorithm);
  await pipeline(createReadStream(file, { highWaterMark: 1 << 20 }), hash);
  return hash.digest("hex");
}

function folderName({ program, version, way }: StoreKey): string {
  return `${program}-${version}-${PLATFORM}-${way}`;
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}
