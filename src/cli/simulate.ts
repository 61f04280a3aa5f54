import type { Command } from "commander";
import { addOptions, readOptions, UsageError } from "./option-table.ts";
import type { CliContext } from "./program.ts";
import { SIMULATE_ALPON_OPTIONS, simulateAlponOptions } from "./simulate-alpon-options.ts";
import { SIMULATE_HIVEON_OPTIONS, simulateHiveonOptions } from "./simulate-hiveon-options.ts";
import { SIMULATE_MITTWALD_OPTIONS, simulateMittwaldOptions } from "./simulate-mittwald-options.ts";
import { SIMULATE_KANTO_OPTIONS, simulateKantoOptions } from "./simulate-options.ts";

const EXAMPLES = `
Examples:
  Three devices on a broker on this machine:
    drayage simulate kanto --devices 3
  The same behind an Eclipse Ditto, for transport Ditto:
    drayage simulate kanto --devices 3 --ditto-port 8080
  One device that can be taken offline, rebooted or made to fail while it runs:
    drayage simulate kanto --control-port 8090
  One device with a connector to a broker in the cloud:
    drayage simulate kanto --cloud-broker-url mqtt://127.0.0.1:1884
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
      const onReady: NonNullable<Parameters<typeof simulateKanto>[0]["onReady"]> = ({
        devices,
        controlUrl,
        dittoUrl,
      }) => {
        print(`${devices.length} simulated Kanto device${devices.length === 1 ? "" : "s"} on ${options.brokerUrl}`);
        if (dittoUrl !== undefined) print(`Ditto: ${dittoUrl}, user ${options.ditto?.username ?? ""}`);
        if (controlUrl !== undefined) print(`control endpoint: ${controlUrl}`);
      };
      await simulateKanto({ ...options, log: print, onReady }, context.signal);
    })
    .addHelpText("after", EXAMPLES);
  addOptions(kanto, SIMULATE_KANTO_OPTIONS);
  addHiveon(simulate, context);
  addAlpon(simulate, context);
  addMittwald(simulate, context);
}

const HIVEON_EXAMPLES = `
Examples:
  Three machines for rent, an hour of rent each minute, and the books on the control endpoint:
    drayage simulate hiveon --speed 60 --control-port 8096
`;

function addHiveon(simulate: Command, context: CliContext): void {
  const hiveon = simulate
    .command("hiveon")
    .summary("the Hiveon vendors API, with machines for rent")
    .description(
      "Runs an API on 127.0.0.1 that answers as Hiveon's vendors API does, rents machines out and meters them, until SIGTERM or " +
        "SIGINT. Nothing costs anything. Durations are written with their unit: 500ms, 2s.",
    )
    .action(async (given: Record<string, unknown>) => {
      const options = await simulateHiveonOptions(readOptions(SIMULATE_HIVEON_OPTIONS, given, context.env));
      const { simulateHiveon } = await import("../simulators/hiveon/cli.ts");
      const print = (line: string): void => context.stdout(`${line}\n`);
      const onReady: NonNullable<Parameters<typeof simulateHiveon>[0]["onReady"]> = ({ vendor, controlUrl }) => {
        print(`simulated Hiveon API on ${vendor.url}: ${vendor.platform.machines().length} machines for rent`);
        if (controlUrl !== undefined) print(`control endpoint: ${controlUrl}`);
      };
      await simulateHiveon({ ...options, log: print, onReady }, context.signal);
    })
    .addHelpText("after", HIVEON_EXAMPLES);
  addOptions(hiveon, SIMULATE_HIVEON_OPTIONS);
}

const ALPON_EXAMPLES = `
Examples:
  Two devices whose streams come as newline-delimited JSON, with switches on the control endpoint:
    drayage simulate alpon --devices 2 --framing ndjson --control-port 8098
`;

function addAlpon(simulate: Command, context: CliContext): void {
  const alpon = simulate
    .command("alpon")
    .summary("Sixfab's Connect API, with ALPON devices")
    .description(
      "Runs an API on 127.0.0.1 that answers as Sixfab's Connect API does for containers on ALPON devices, until SIGTERM or SIGINT. " +
        "Durations are written with their unit: 500ms, 2s.",
    )
    .action(async (given: Record<string, unknown>) => {
      const options = await simulateAlponOptions(readOptions(SIMULATE_ALPON_OPTIONS, given, context.env));
      const { simulateAlpon } = await import("../simulators/alpon/cli.ts");
      const print = (line: string): void => context.stdout(`${line}\n`);
      const onReady: NonNullable<Parameters<typeof simulateAlpon>[0]["onReady"]> = ({ vendor, controlUrl }) => {
        print(`simulated Sixfab Connect API on ${vendor.url}: ${vendor.devices().length} ALPON devices`);
        if (controlUrl !== undefined) print(`control endpoint: ${controlUrl}`);
      };
      await simulateAlpon({ ...options, log: print, onReady }, context.signal);
    })
    .addHelpText("after", ALPON_EXAMPLES);
  addOptions(alpon, SIMULATE_ALPON_OPTIONS);
}

const MITTWALD_EXAMPLES = `
Examples:
  One project whose reads are half a second behind, with switches on the control endpoint:
    drayage simulate mittwald --lag 500ms --control-port 8100
`;

function addMittwald(simulate: Command, context: CliContext): void {
  const mittwald = simulate
    .command("mittwald")
    .summary("mittwald's mStudio API for containers, with projects")
    .description(
      "Runs an API on 127.0.0.1 that answers as mittwald's mStudio v2 API does for containers, stacks, volumes and registries, until " +
        "SIGTERM or SIGINT. Durations are written with their unit: 500ms, 2s.",
    )
    .action(async (given: Record<string, unknown>) => {
      const options = await simulateMittwaldOptions(readOptions(SIMULATE_MITTWALD_OPTIONS, given, context.env));
      const { simulateMittwald } = await import("../simulators/mittwald/cli.ts");
      const print = (line: string): void => context.stdout(`${line}\n`);
      const onReady: NonNullable<Parameters<typeof simulateMittwald>[0]["onReady"]> = ({ vendor, controlUrl }) => {
        print(`simulated mittwald API on ${vendor.url}`);
        for (const { id, shortId } of vendor.platform.projects()) print(`project ${id} (${shortId})`);
        if (controlUrl !== undefined) print(`control endpoint: ${controlUrl}`);
      };
      await simulateMittwald({ ...options, log: print, onReady }, context.signal);
    })
    .addHelpText("after", MITTWALD_EXAMPLES);
  addOptions(mittwald, SIMULATE_MITTWALD_OPTIONS);
}
