// Preloaded (node --import) into the shipped bundle, so that it runs as in a pod: the service account's folder is fixed in Kubernetes, and here
// its files lie in the folder that DRAYAGE_BENCH_SERVICE_ACCOUNT names. Where Node exposes it, SIGUSR2 collects garbage. Plain JavaScript, since
// stripping types would load Node's type stripper and count as the program's memory.

import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import process from "node:process";

const MOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";
const folder = process.env.DRAYAGE_BENCH_SERVICE_ACCOUNT;

if (folder !== undefined) {
  const redirect = (path) =>
    typeof path === "string" && path.startsWith(MOUNT) ? folder + path.slice(MOUNT.length) : path;
  const { existsSync } = fs;
  const { readFile } = fs.promises;
  fs.existsSync = (path) => existsSync(redirect(path));
  fs.promises.readFile = (path, ...rest) => readFile(redirect(path), ...rest);
  syncBuiltinESMExports();
}

if (typeof globalThis.gc === "function") {
  process.on("SIGUSR2", () => globalThis.gc());
}
