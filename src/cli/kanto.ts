import { Argument, type Command } from "commander";
import { OPERATION_NAMES } from "../backends/kanto/client/operations.ts";
import { CALL_OPTIONS, LIST_OPTIONS } from "./kanto-options.ts";
import { addOptions, readOptions, UsageError } from "./option-table.ts";
import type { CliContext } from "./program.ts";

const CALL_NOTES = `
Operations: ${OPERATION_NAMES.join(", ")}.
Those that change a container that stands for an EdgeContainer ask for --force-owned.

Exit codes:
  0  done
  1  not done: the device refused, or nothing was sent
  2  the command line cannot be used; nothing was sent
  3  sent, and no answer came: whether it was done is unknown; do not repeat a create blindly

Examples:
  A container from an image, started at once:
    drayage kanto call create --thing edge:device --image docker.io/library/influxdb:1.8.4 --start
  A stop that does not depend on the process:
    drayage kanto call stopWithOptions --thing edge:device --tenant t1 --container 49834e57-... --grace 10s --force
  A change in place, as JSON:
    drayage kanto call update --thing edge:device --tenant t1 --container 49834e57-... \\
      --value '{"resources":{"memory":"64M","memorySwap":"128M"}}'
`;

const LIST_NOTES = `
Example:
    drayage kanto list --broker-url mqtts://broker:8883 --ca-file ca.pem --username me --password-file pw \\
      --thing edge:device --tenant t1
`;

/** Adds `drayage kanto`: a device of Eclipse Kanto spoken to by hand. */
export function addKanto(program: Command, context: CliContext): void {
  const kanto = program
    .command("kanto")
    .summary("speak to an Eclipse Kanto device by hand")
    .description("Speaks to one Eclipse Kanto device over its MQTT broker, without a cluster.");
  kanto.helpCommand(false);
  const call = kanto
    .command("call")
    .summary("carry out one operation")
    .description(
      "Sends one operation of Kanto's Container or Container Factory API to a device, once, and prints its answer. What is malformed is " +
        "not sent: the device's daemon can die of it.",
    )
    .addArgument(new Argument("<operation>", "which one; see below").choices(OPERATION_NAMES))
    .action(async (name: string, given: Record<string, unknown>) => {
      const operation = OPERATION_NAMES.find((each) => each === name);
      if (operation === undefined) throw new UsageError(`there is no operation ${name}`);
      const values = readOptions(CALL_OPTIONS, given, context.env);
      const { kantoCall } = await import("./kanto-call.ts");
      await kantoCall(operation, values, context);
    })
    .addHelpText("after", CALL_NOTES);
  addOptions(call, CALL_OPTIONS);
  const list = kanto
    .command("list")
    .summary("list a device's containers")
    .description(
      "Lists the containers of a device. It makes the device publish all of them again by announcing --thing and --tenant as its identity, and changes no container. A device takes whatever is announced on its broker: with a wrong one its operator or connector loses it until the right one is announced.",
    )
    .action(async (given: Record<string, unknown>) => {
      const values = readOptions(LIST_OPTIONS, given, context.env);
      const { kantoList } = await import("./kanto-list.ts");
      await kantoList(values, context);
    })
    .addHelpText("after", LIST_NOTES);
  addOptions(list, LIST_OPTIONS);
}
