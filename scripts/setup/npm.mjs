// Runs `npm ci`.

import { existsSync, realpathSync } from "node:fs";
import { basename, delimiter, dirname, join } from "node:path";
import { run } from "./run.mjs";

/**
 * Runs `npm ci` in a folder with the given Node. npm passes over optional packages whose `engines` the running Node does not meet, and with
 * them the binaries of the linter and the test runner: so it is not left to an old Node.
 * @param {string} node path of the Node binary that runs npm
 * @param {string} cwd folder of package.json and package-lock.json
 * @returns {Promise<number>} npm's exit code
 */
export async function npmCi(node, cwd) {
  const npm = findNpm();
  if (!npm) {
    throw new Error("npm is not in PATH; it comes with Node (https://nodejs.org), on Debian as the package npm");
  }
  const env = { npm_config_loglevel: "error", NODE_NO_WARNINGS: "1" };
  // Debian's npm keeps its dependencies where only Debian's own Node looks.
  if (npm.startsWith("/usr/share/nodejs/")) {
    env.NODE_PATH = [process.env.NODE_PATH, "/usr/share/nodejs", "/usr/lib/nodejs"].filter(Boolean).join(delimiter);
  }
  const args = ["ci", "--no-audit", "--no-fund"];
  return run(node, npm.endsWith(".js") ? [npm, ...args] : args, {
    cwd,
    env,
    ...(npm.endsWith(".js") ? {} : { command: npm }),
  });
}

/** npm's main file, or an npm in PATH that is a script of another kind; undefined where there is none. */
function findNpm() {
  const running = process.env.npm_execpath;
  if (running && basename(running) === "npm-cli.js") {
    return running;
  }
  const folders = [...(process.env.PATH ?? "").split(delimiter), dirname(process.execPath)];
  const found = folders.map((folder) => join(folder, "npm")).find((path) => existsSync(path));
  return found && realpathSync(found);
}
