/**
 * The `drayage` command. Exit codes: 0 done, or stopped in order by a signal; 1 a failure at run time; 2 a command line
 * or variable that cannot be used; a command may have more (its help lists them). Each failure is told by exactly one line on standard error.
 */
import { Command, CommanderError } from "commander";
import { describeError } from "../controller/logging.ts";
import { ExitError } from "./exit-error.ts";
import { addKanto } from "./kanto.ts";
import { addOptions, UsageError } from "./option-table.ts";
import { readRunOptions, RUN_OPTIONS } from "./run-options.ts";
import { addSimulate } from "./simulate.ts";
import { VERSION, versionLine } from "./version.ts";

/** The process around the command; a test may stand in for it. */
export interface CliContext {
  /** Without the program and the script. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Aborts to stop in order. */
  readonly signal: AbortSignal;
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
}

/** Runs the command and returns its exit code. Never rejects. */
export async function runCli(context: CliContext): Promise<number> {
  const program = buildProgram(context);
  try {
    if (context.args.length === 0) program.outputHelp();
    else await program.parseAsync([...context.args], { from: "user" });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    context.stderr(`drayage: ${describeError(error)}\n`);
    if (error instanceof ExitError) return error.exitCode;
    return error instanceof UsageError ? 2 : 1;
  }
}

function buildProgram(context: CliContext): Command {
  const program = new Command("drayage")
    .description("Runs containers on edge devices that have no Kubernetes, through each vendor's own remote API.")
    .version(versionLine(), "-V, --version", "print the version and exit")
    .helpOption("-h, --help", "print this help and exit")
    .helpCommand(false);
  quiet(program, context);

  const run = program
    .command("run")
    .summary("run the operator")
    .description(
      "Runs the operator until SIGTERM or SIGINT: it then finishes what it is doing, releases its Lease and exits with 0. " +
        "A second signal ends it at once.\n\nDurations are written with their unit: 500ms, 15s, 2m. " +
        "Each option can be given as an environment variable; the command line wins.",
    )
    .action(async (given: Record<string, unknown>) => {
      const options = readRunOptions(given, context.env);
      const { run } = await import("./run.ts");
      await run(options, context);
    })
    .addHelpText("after", RUN_EXAMPLES);
  addOptions(run, RUN_OPTIONS);

  addSimulate(program, context);
  addKanto(program, context);

  program
    .command("version")
    .summary("print the version")
    .description("Prints the version of this program, of Node.js, and the platform.")
    .action(() => context.stdout(`${versionLine()}\n`));

  for (const command of [program, ...allCommands(program)]) quiet(command, context);
  return program;
}

const RUN_EXAMPLES = `
Examples:
  On a cluster, with the pod's service account:
    drayage run --owner-id plant-7
  On a laptop, first contact with a real fleet, changing nothing:
    drayage run --kubeconfig ~/.kube/config --read-only --leader-elect=false --owner-id plant-7
  The same by environment:
    DRAYAGE_READ_ONLY=true DRAYAGE_LEADER_ELECT=false DRAYAGE_OWNER_ID=plant-7 drayage run

Version ${VERSION}. All options: docs/operations.md
`;

/** Makes a command throw instead of ending the process, and its complaints one line each. */
function quiet(command: Command, context: CliContext): void {
  command
    .exitOverride()
    .allowExcessArguments(false)
    .configureOutput({
      writeOut: context.stdout,
      writeErr: context.stderr,
      outputError: (text, write) => {
        const line = text
          .trim()
          .replace(/^error: /, "")
          .replaceAll(/\s*\n\s*/g, " ")
          .replace(/\.$/, "");
        write(`drayage: ${line}; see ${pathOf(command)} --help\n`);
      },
    });
}

/** The words that lead to a command: `drayage simulate kanto`. */
function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;
}

function allCommands(command: Command): Command[] {
  return command.commands.flatMap((child) => [child, ...allCommands(child)]);
}
