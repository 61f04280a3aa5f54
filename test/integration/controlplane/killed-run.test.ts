import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { startControlPlane } from "../../controlplane/index.ts";
import { isAlive, type ProcessIdentity } from "../../controlplane/processes.ts";

const MODULE = join(import.meta.dirname, "../../controlplane/index.ts");
let runs: string;

beforeEach(() => (runs = mkdtempSync(join(tmpdir(), "killed-run-"))));
afterEach(() => rmSync(runs, { recursive: true, force: true }));

/** A process that starts a control plane and then does this; resolves when the control plane is up. */
async function startElsewhere(
  then: string,
): Promise<{ pid: number; exited: Promise<unknown>; children: ProcessIdentity[] }> {
  const program = `const { startControlPlane } = await import(${JSON.stringify(MODULE)});
    await startControlPlane({ dir: ${JSON.stringify(runs)}, controllerManager: false });
    console.log("up");
    ${then}`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  await Promise.race([once(child.stdout, "data"), exited]);
  const [folder] = readdirSync(runs);
  const record = JSON.parse(readFileSync(join(runs, folder ?? "", "run.json"), "utf8")) as {
    children: Record<string, ProcessIdentity>;
  };
  return { pid: child.pid ?? 0, exited, children: Object.values(record.children) };
}

test("the next run ends what a killed one left behind, and only that", async () => {
  const { pid, exited, children } = await startElsewhere("setInterval(() => {}, 1000);");
  expect(children.filter(isAlive)).toHaveLength(2);
  process.kill(pid, "SIGKILL");
  await exited;
  expect(children.filter(isAlive)).toHaveLength(2);

  const lines: string[] = [];
  await using next = await startControlPlane({ dir: runs, controllerManager: false, log: (line) => lines.push(line) });
  await expect.poll(() => children.filter(isAlive), { timeout: 10_000 }).toEqual([]);
  expect(lines.filter((line) => line.includes("left behind by a killed run"))).toHaveLength(2);
  expect(readdirSync(runs).map((name) => join(runs, name))).toEqual([next.dir]);

  // A third one beside it leaves the living alone.
  await using third = await startControlPlane({ dir: runs, controllerManager: false });
  expect(await next.request("GET", "/readyz")).toMatchObject({ status: 200 });
  expect(existsSync(third.dir)).toBe(true);
});

test("a process that ends without stopping its control plane takes it along", async () => {
  const { exited, children } = await startElsewhere("process.exit(3);");
  expect(await exited).toEqual([3, null]);
  await expect.poll(() => children.filter(isAlive), { timeout: 10_000 }).toEqual([]);
});
