import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { expect, test } from "vitest";

/** Only guards against a hang. */
const PATIENCE = { timeout: 60_000 };
const SCRIPTS = join(import.meta.dirname, "../../../scripts");

test("an unknown target is one line that lists the targets, and exit code 2", () => {
  for (const args of [["nonsense"], [], ["toString"]]) {
    const ended = spawnSync(process.execPath, [join(SCRIPTS, "setup.mjs"), ...args], { encoding: "utf8" });
    expect(ended.status).toBe(2);
    expect(ended.stderr).toMatch(/^unknown target "\w*"; there are: demo, test, ci, build, check, generate, bench\n$/);
  }
});

/** Starts run.mjs around a program, as setup.mjs does; the program's output lines and the end of it all. */
function wrapped(
  program: string,
  options: object = {},
): { lines: string[]; child: ReturnType<typeof spawn>; exited: Promise<unknown> } {
  const wrapper = `import { run } from ${JSON.stringify(join(SCRIPTS, "setup/run.mjs"))};
    process.exitCode = await run(process.execPath, ["--input-type=module", "-e", ${JSON.stringify(program)}], ${JSON.stringify(options)});`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", wrapper], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const lines: string[] = [];
  child.stdout.setEncoding("utf8").on("data", (text: string) => lines.push(...text.trim().split("\n")));
  return { lines, child, exited: once(child, "exit") };
}

const COUNTS_SIGNALS = `let count = 0;
  process.on("SIGINT", () => { console.log("SIGINT " + ++count); });
  process.on("SIGTERM", () => { console.log("SIGTERM"); process.exit(7); });
  setInterval(() => {}, 1000);
  console.log("ready");`;

test("the exit code of the program becomes that of the command", async () => {
  expect(await wrapped("process.exit(5)").exited).toEqual([5, null]);
});

test("a program that ends by a signal gives 128 and its number", async () => {
  expect(await wrapped('process.kill(process.pid, "SIGKILL"); setInterval(() => {}, 1000)').exited).toEqual([
    137,
    null,
  ]);
});

test("one Ctrl-C that arrives twice, from the terminal and from npm, reaches the program once", async () => {
  const { lines, child, exited } = wrapped(COUNTS_SIGNALS, { sameSignalMs: 3_600_000 });
  await expect.poll(() => lines, PATIENCE).toContain("ready");
  child.kill("SIGINT");
  await expect.poll(() => lines, PATIENCE).toContain("SIGINT 1");
  child.kill("SIGINT");
  child.kill("SIGTERM");
  expect(await exited).toEqual([7, null]);
  expect(lines).toEqual(["ready", "SIGINT 1", "SIGTERM"]);
});

test("a second Ctrl-C, later, reaches it too", async () => {
  const { lines, child, exited } = wrapped(COUNTS_SIGNALS, { sameSignalMs: 0 });
  await expect.poll(() => lines, PATIENCE).toContain("ready");
  child.kill("SIGINT");
  await expect.poll(() => lines, PATIENCE).toContain("SIGINT 1");
  child.kill("SIGINT");
  await expect.poll(() => lines, PATIENCE).toContain("SIGINT 2");
  child.kill("SIGTERM");
  expect(await exited).toEqual([7, null]);
});
