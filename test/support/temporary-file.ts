/** Files that are gone when the test ends. */

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";

/** A file in a folder of its own, gone when the test ends. @returns its path. */
export async function temporaryFile(name: string, content: string): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "drayage-test-"));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  const path = join(dir, name);
  await writeFile(path, content);
  return path;
}
