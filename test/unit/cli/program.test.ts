import { describe, expect, test } from "vitest";
import { runCli } from "../../../src/cli/program.ts";
import { RUN_OPTIONS } from "../../../src/cli/run-options.ts";
import { flagOf, variableOf } from "../../../src/cli/option-table.ts";

async function cli(args: string[], env: Record<string, string> = {}) {
  let stdout = "";
  let stderr = "";
  const code = await runCli({
    args,
    env,
    signal: new AbortController().signal,
    stdout: (text) => (stdout += text),
    stderr: (text) => (stderr += text),
  });
  return { code, stdout, stderr };
}

describe("help and version", () => {
  test.each([{ args: [] }, { args: ["--help"] }, { args: ["-h"] }])(
    "drayage $args lists the commands, exit 0",
    async ({ args }) => {
      const { code, stdout, stderr } = await cli(args);
      expect(code).toBe(0);
      expect(stderr).toBe("");
      for (const command of ["run", "simulate", "kanto", "version"])
        expect(stdout).toMatch(new RegExp(`^  ${command}\\b`, "m"));
    },
  );

  test("drayage run --help tells each option, its group, default and variable, and gives examples", async () => {
    const { code, stdout } = await cli(["run", "--help"]);
    expect(code).toBe(0);
    const text = stdout.replaceAll(/\s+/g, " ");
    for (const [name, spec] of Object.entries(RUN_OPTIONS)) {
      expect(text).toContain(flagOf(name));
      expect(text).toContain(spec.group);
      expect(text).toContain(`env: ${variableOf(name)}`);
      expect(text).toContain(spec.default === undefined ? spec.defaultHelp : `default: ${spec.default}`);
    }
    expect(text).toContain("Examples:");
    expect(stdout.split("\n").every((line) => line.length <= 110)).toBe(true);
  });

  test.each([{ args: ["--version"] }, { args: ["-V"] }, { args: ["version"] }])(
    "$args prints one line, exit 0",
    async ({ args }) => {
      const { code, stdout } = await cli(args);
      expect(code).toBe(0);
      expect(stdout).toMatch(/^drayage \d+\.\d+\.\d+\S* \(node \d+\.\S+, \S+\/\S+\)\n$/);
    },
  );
});

describe("a command line that cannot be used: exit 2 and exactly one line on standard error", () => {
  test.each([
    { args: ["nonsense"], says: "unknown command 'nonsense'" },
    { args: ["runn"], says: "Did you mean run?" },
    { args: ["run", "extra"], says: "too many arguments" },
    { args: ["run", "--lese-name", "x"], says: "Did you mean --lease-name?" },
    { args: ["run", "--lease-name"], says: "--lease-name" },
    { args: ["run", "--lease-name", ""], says: "option --lease-name" },
    { args: ["run", "--lease-duration", "15"], says: 'option --lease-duration: "15" is not accepted' },
    { args: ["run", "--read-only=maybe"], says: "it must be true or false" },
    { args: ["run", "--concurrency", "0"], says: "a whole number from 1 to 1000" },
    { args: ["run", "--metrics-address", "8080"], says: "an address such as :8081" },
    { args: ["--nonsense"], says: "unknown option '--nonsense'" },
    { args: ["version", "extra"], says: "too many arguments" },
    { args: ["simulate", "nonsense"], says: "unknown command 'nonsense'" },
    { args: ["run", "--bogus"], says: "unknown option '--bogus'; see drayage run --help" },
    { args: ["--bogus"], says: "unknown option '--bogus'; see drayage --help" },
    { args: ["simulate", "kanto", "--bogus"], says: "see drayage simulate kanto --help" },
    { args: ["kanto", "call", "restart"], says: "Allowed choices are create, createWithConfig, start" },
  ])("$args", async ({ args, says }) => {
    const { code, stdout, stderr } = await cli(args);
    expect(code).toBe(2);
    expect(stdout).toBe("");
    expect(stderr).toMatch(/^drayage: [^\n]+\n$/);
    expect(stderr).toContain(says);
  });

  test("a variable is named as such", async () => {
    const { code, stderr } = await cli(["run"], { DRAYAGE_LEASE_DURATION: "soon" });
    expect(code).toBe(2);
    expect(stderr).toMatch(/^drayage: variable DRAYAGE_LEASE_DURATION: "soon" is not accepted; [^\n]+\n$/);
  });
});
