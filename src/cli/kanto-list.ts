/** `drayage kanto list`: what a device runs. */
import type { ObservedContainer } from "../backends/contract.ts";
import { readLogin } from "./broker-options.ts";
import { ownerOf } from "./kanto-call.ts";
import { inventoryOf } from "./kanto-device.ts";
import { targetOf, type LIST_OPTIONS } from "./kanto-options.ts";
import { type OptionValues, UsageError } from "./option-table.ts";
import type { CliContext } from "./program.ts";

/**
 * Prints the containers of a device, without their configuration, which may hold secrets.
 *
 * @throws UsageError; ExitError (1) if the broker or the device does not answer.
 */
export async function kantoList(values: OptionValues<typeof LIST_OPTIONS>, context: CliContext): Promise<void> {
  const target = targetOf(values);
  const { tenant, brokerUrl, mqttVersion, serverName, timeout } = values;
  if (tenant === undefined) throw new UsageError("option --tenant is missing: which tenant does the device belong to?");
  const access = { target, brokerUrl, mqttVersion, serverName, login: await readLogin(values) };
  const containers = await inventoryOf(access, tenant, timeout, context.signal);
  if (values.output === "json") context.stdout(`${JSON.stringify(containers.map(entry), undefined, 2)}\n`);
  else context.stdout(table(containers));
}

function entry({
  externalId,
  name,
  state,
  image,
  marker,
  exitCode,
  error,
}: ObservedContainer): Record<string, unknown> {
  return {
    id: externalId,
    name,
    state,
    image,
    ...(exitCode !== undefined && { exitCode }),
    ...(error !== undefined && { error }),
    ...(marker !== undefined && { marker }),
  };
}

function table(containers: readonly ObservedContainer[]): string {
  const rows = containers.map(({ externalId, name, state, image, marker }) => [
    externalId,
    name,
    state,
    image,
    marker === undefined ? "-" : ownerOf(marker),
  ]);
  const all = [["ID", "NAME", "STATE", "IMAGE", "BELONGS TO"], ...rows];
  const widths = all[0]?.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0))) ?? [];
  return all
    .map(
      (row) =>
        `${row
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join("  ")
          .trimEnd()}\n`,
    )
    .join("");
}
