/** Runs bare-patches.ts and gives its rounds. */
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import type { BarePatch, BarePlan, BareRound } from "./bare-patches.ts";
import type { Rig } from "./rig.ts";

/** Guards a hang. */
const HANG_MS = 300_000;

/**
 * Does PATCHes and nothing else, in a process of its own.
 * @param rounds see BarePlan
 * @throws Error when a PATCH was refused: a yardstick that does less than it should would flatter
 */
export async function barePatches(
  rig: Rig,
  concurrency: number,
  rounds: BarePlan["rounds"],
): Promise<readonly BareRound[]> {
  const { server, ca, dir } = rig.controlPlane;
  const plan: BarePlan = { server, ca, tokenFile: rig.tokenFile, concurrency, rounds };
  const file = join(dir, "bare-patches.json");
  writeFileSync(file, JSON.stringify(plan), { mode: 0o600 });
  const program = join(import.meta.dirname, "bare-patches.ts");
  const { stdout } = await promisify(execFile)(process.execPath, [program, file], {
    timeout: HANG_MS,
    maxBuffer: 2 ** 26,
  });
  const results = JSON.parse(stdout) as BareRound[];
  for (const { refused } of results) {
    if (Object.keys(refused).length > 0) throw new Error(`bare PATCHes were refused: ${JSON.stringify(refused)}`);
  }
  return results;
}

/** A PATCH of the object at `path`. */
export function mergePatch(path: string, body: object): BarePatch {
  return { path, contentType: "application/merge-patch+json", body: JSON.stringify(body) };
}

/** A JSON patch, as the operator's status writer sends it. */
export function jsonPatchOf(path: string, steps: readonly object[]): BarePatch {
  return { path, contentType: "application/json-patch+json", body: JSON.stringify(steps) };
}
