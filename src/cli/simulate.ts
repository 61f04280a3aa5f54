import type { Command } from "commander";
import { addOptions, readOptions, UsageError } from "./option-table.ts";
import type { CliContext } from "./program.ts";
import { SIMULATE_KANTO_OPTIONS, simulateKantoOptions } from "./simulate-options.ts";

const EXAMPLES = `
Examples:
  Three devices on a broker on this machine:
    drayage simulate kanto --devices 3
  One device that can be taken offline, rebooted or made to fail while it runs:
    drayage simulate kanto --control-port 8090
`;

/** Adds `drayage simulate <vendor>`: devices that behave as the vendor's do, without containers behind them. */
export function addSimulate(program: Command, context: CliContext): void {
  const simulate = program
    .command("simulate")
    .summary("run simulated devices")
    .description(
      "Runs devices that answer as a vendor's do, quirks and faults included, without running any container.",
    );
  simulate.helpCommand(false);
  const kanto = simulate
    .command("kanto")
    .summary("Eclipse Kanto devices on an MQTT broker")
    .description(
      "Runs Eclipse Kanto devices on an MQTT broker until SIGTERM or SIGINT. A broker that is away is waited for, as a real " +
        "device does. Durations are written with their unit: 500ms, 2s.",
    )
    .action(async (given: Record<string, unknown>) => {
      const options = await simulateKantoOptions(readOptions(SIMULATE_KANTO_OPTIONS, given, context.env));
      const { checkSimulateOptions, simulateKanto } = await import("../simulators/kanto/cli.ts");
      const wrong = checkSimulateOptions(options);
      if (wrong !== undefined) throw new UsageError(wrong);
      const print = (line: string): void => context.stdout(`${line}\n`);
      const onReady: NonNullable<Parameters<typeof simulateKanto>[0]["onReady"]> = ({ devices, controlUrl }) => {
        print(`${devices.length} simulated Kanto device${devices.length === 1 ? "" : "s"} on ${options.brokerUrl}`);
        if (controlUrl !== undefined) print(`control endpoint: ${controlUrl}`);
      };
      await simulateKanto({ ...options, log: print, onReady }, context.signal);
    })
    .addHelpText("after", EXAMPLES);
  addOptions(kanto, SIMULATE_KANTO_OPTIONS);
}
