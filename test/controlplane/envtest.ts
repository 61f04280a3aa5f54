// Fetches the archives that the Kubernetes project publishes for controller tests (controller-tools, "envtest"): etcd, kube-apiserver and
// kubectl of one version; kube-controller-manager is not in them. The index envtest-releases.yaml names for every archive its address and SHA-512.

import { createWriteStream, existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { spawnSync } from "node:child_process";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import process from "node:process";
import { EnvHttpProxyAgent, fetch } from "undici";
import { parse } from "yaml";
import { z } from "zod";
import { announce } from "./announce.ts";
import { sha } from "./store.ts";

/** The index of all archives. */
export const INDEX_URL =
  "https://raw.githubusercontent.com/kubernetes-sigs/controller-tools/HEAD/envtest-releases.yaml";

/** Programs of an archive. */
export const ARCHIVE_PROGRAMS = ["etcd", "kube-apiserver", "kubectl"] as const;

const Index = z.object({
  releases: z.record(z.string(), z.record(z.string(), z.object({ hash: z.string(), selfLink: z.url() }))),
});

export interface Archive {
  /** "1.36.2" */
  version: string;
  url: string;
  /** SHA-512, hexadecimal. */
  hash: string;
}

/** How long to wait for a connection, and for the next byte: a machine without a way out should know within seconds. */
const CONNECT_MS = 5000;
const SILENCE_MS = 20_000;

/** Honours HTTP_PROXY, HTTPS_PROXY and NO_PROXY; NODE_EXTRA_CA_CERTS is read by Node itself. */
function agent(): EnvHttpProxyAgent {
  return new EnvHttpProxyAgent({ connectTimeout: CONNECT_MS, headersTimeout: SILENCE_MS, bodyTimeout: SILENCE_MS });
}

/**
 * The archive of the newest patch version of a minor for this platform.
 * @throws when the index cannot be had, or names none
 */
export async function findArchive(minor: string, indexUrl = INDEX_URL): Promise<Archive> {
  await using dispatcher = disposable(agent());
  const answer = await fetch(indexUrl, { dispatcher: dispatcher.agent, signal: AbortSignal.timeout(SILENCE_MS) });
  if (!answer.ok) {
    throw new Error(`${indexUrl} answers ${answer.status}`);
  }
  // failsafe: every scalar is text, also a checksum that happens to look like a number.
  const { releases } = Index.parse(parse(await answer.text(), { schema: "failsafe" }));
  const platform = `${process.platform}-${process.arch === "x64" ? "amd64" : process.arch}`;
  const patch = (version: string): number => Number(version.split(".")[2]);
  const versions = Object.keys(releases)
    .filter((version) => new RegExp(`^v${minor.replaceAll(".", "\\.")}\\.\\d+$`).test(version))
    .toSorted((a, b) => patch(b) - patch(a));
  for (const version of versions) {
    const file = releases[version]?.[`envtest-${version}-${platform}.tar.gz`];
    if (file) {
      return { version: version.slice(1), url: file.selfLink, hash: file.hash.toLowerCase() };
    }
  }
  throw new Error(`${indexUrl} lists no archive of Kubernetes ${minor} for ${platform}`);
}

/**
 * Downloads, verifies and unpacks an archive.
 * @param folder empty; gets the programs
 * @throws when the download fails, the checksum differs, or a program is missing in it
 */
export async function fetchArchive(archive: Archive, folder: string, log: (line: string) => void): Promise<void> {
  const file = join(folder, "envtest.tar.gz");
  let received = 0;
  log(`downloading the Kubernetes ${archive.version} test programs (about 60 MB) from ${new URL(archive.url).host}`);
  await using dispatcher = disposable(agent());
  await using _progress = announce(log, () => `downloaded ${Math.round(received / 1e6)} MB`);
  const answer = await fetch(archive.url, { dispatcher: dispatcher.agent });
  if (!answer.ok || !answer.body) {
    throw new Error(`${archive.url} answers ${answer.status}`);
  }
  const body = Readable.fromWeb(answer.body);
  body.on("data", (chunk: Uint8Array) => (received += chunk.byteLength));
  await pipeline(body, createWriteStream(file));
  const hash = await sha(file, "sha512");
  if (hash !== archive.hash) {
    throw new Error(`${archive.url} has SHA-512 ${hash}, the index says ${archive.hash}: refused`);
  }
  // All programs stand in controller-tools/envtest/.
  const unpacked = spawnSync("tar", ["-xzf", file, "-C", folder, "--strip-components=2"], { encoding: "utf8" });
  if (unpacked.status !== 0) {
    throw new Error(`tar cannot unpack ${archive.url}: ${unpacked.error?.message ?? unpacked.stderr.trim()}`);
  }
  rmSync(file);
  const missing = ARCHIVE_PROGRAMS.filter((program) => !existsSync(join(folder, program)));
  if (missing.length > 0) {
    throw new Error(`${archive.url} holds no ${missing.join(", ")}`);
  }
}

function disposable(dispatcher: EnvHttpProxyAgent): AsyncDisposable & { agent: EnvHttpProxyAgent } {
  return { agent: dispatcher, [Symbol.asyncDispose]: async () => dispatcher.destroy() };
}
