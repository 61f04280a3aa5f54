// Installs the dependencies when node_modules is not what package-lock.json says.

import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { npmCi } from "./npm.mjs";
import { unlinkCarried } from "./node.mjs";
import { readLock, ROOT } from "./paths.mjs";

/** npm writes this file at the end of every install: what is in node_modules. */
const INSTALLED = join(ROOT, "node_modules/.package-lock.json");

/**
 * @param {string} node Node binary that runs npm
 * @throws when npm fails
 */
export async function ensureDependencies(node) {
  const reason = whyInstall();
  if (reason) {
    process.stderr.write(`${reason}: installing the dependencies with npm ci (about a minute, into node_modules)\n`);
    const began = Date.now();
    const timer = setInterval(() => {
      process.stderr.write(`npm ci: still at work after ${Math.round((Date.now() - began) / 1000)} s\n`);
    }, 15_000);
    try {
      const code = await npmCi(node, ROOT);
      if (code !== 0) {
        // Half an install must not pass for a whole one next time.
        rmSync(INSTALLED, { force: true });
        throw new Error(`npm ci ended with ${code}; its message stands above`);
      }
    } finally {
      clearInterval(timer);
    }
  }
  if (unlinkCarried()) {
    process.stderr.write("the Node that came along does not start here and was unlinked; your own is used\n");
  }
}

/** Why an install is needed; undefined when it is not. */
function whyInstall() {
  if (!existsSync(INSTALLED)) {
    return "node_modules is not there";
  }
  const installed = JSON.parse(readFileSync(INSTALLED, "utf8")).packages ?? {};
  const wanted = readLock().packages;
  for (const [path, entry] of Object.entries(wanted)) {
    const there = installed[path];
    // Optional packages of other platforms are rightly absent.
    if (path !== "" && (there ? !same(there, entry) : !entry.optional)) {
      return `node_modules does not match package-lock.json (${path.replace(/^node_modules\//, "")})`;
    }
  }
  const extra = Object.keys(installed).find((path) => !(path in wanted));
  return extra && `node_modules does not match package-lock.json (${extra.replace(/^node_modules\//, "")})`;
}

function same(there, wanted) {
  return there.version === wanted.version && (!wanted.integrity || there.integrity === wanted.integrity);
}
