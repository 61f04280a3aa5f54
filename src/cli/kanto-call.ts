/** `drayage kanto call`: one operation of the vendor's API on one device, by hand. */
import type { Marker } from "../backends/contract.ts";
import { KantoClient, type CallResult } from "../backends/kanto/client/client.ts";
import { meaningOf } from "../backends/kanto/client/meaning.ts";
import { OPERATIONS, patienceMs, type Call, type OperationName } from "../backends/kanto/client/operations.ts";
import { BACKEND_DEFAULTS } from "../crds/default-values.ts";
import { readLogin } from "./broker-options.ts";
import { ExitError } from "./exit-error.ts";
import { asOptions, credentialsOf, handDeps, inventoryOf, specOf, type DeviceAccess } from "./kanto-device.ts";
import { callOf, targetOf, type CALL_OPTIONS } from "./kanto-options.ts";
import { type OptionValues, UsageError } from "./option-table.ts";
import type { CliContext } from "./program.ts";

/** Nothing was done: the device refused, or nothing was sent. */
const EXIT_NOT_DONE = 1;
/** Sent, and no answer came. */
const EXIT_UNKNOWN = 3;

/** How long the look before a call may take, ms. */
const LOOK_MS = 30_000;

type Values = OptionValues<typeof CALL_OPTIONS>;

/**
 * Makes the call and prints how it ended.
 *
 * @throws UsageError if nothing can be sent as the command line stands; ExitError if it was not, or not surely, done.
 */
export async function kantoCall(operation: OperationName, values: Values, context: CliContext): Promise<void> {
  const target = targetOf(values);
  const call = await callOf(operation, values);
  const { brokerUrl, mqttVersion, serverName } = values;
  const access: DeviceAccess = { target, brokerUrl, mqttVersion, serverName, login: await readLogin(values) };
  if (OPERATIONS[operation].disturbs && !values.forceOwned)
    await mustBeFree(call, access, values.tenant, context.signal);
  const result = await make(call, access, values.timeout, context.signal);
  if (values.output === "json")
    context.stdout(`${JSON.stringify(report(call, target.thingId, result), undefined, 2)}\n`);
  conclude(call, result, values, context);
}

/** @throws UsageError if the container carries a marker of Drayage's. */
async function mustBeFree(
  call: Call,
  access: DeviceAccess,
  tenant: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  if (tenant === undefined) {
    throw new UsageError(
      `${call.operation} was not sent: give --tenant to find out whether an EdgeContainer stands behind the container, or --force-owned to do without`,
    );
  }
  const containers = await inventoryOf(access, tenant, LOOK_MS, signal);
  const found = containers.find(({ externalId }) => externalId === call.container);
  if (found === undefined) {
    throw new ExitError(
      EXIT_NOT_DONE,
      `${call.operation} was not sent: the device has no container ${call.container ?? ""}`,
    );
  }
  const { marker } = found;
  if (marker === undefined) return;
  throw new UsageError(
    `${call.operation} was not sent: the container belongs to ${ownerOf(marker)}, whose operator would undo it: change that object, or give --force-owned`,
  );
}

/** For people. */
export function ownerOf({ namespace, name, owner }: Marker): string {
  return `EdgeContainer ${namespace}/${name} of installation ${owner}`;
}

async function make(
  call: Call,
  access: DeviceAccess,
  timeoutMs: number | undefined,
  signal: AbortSignal,
): Promise<CallResult> {
  const { target, login } = access;
  const client = new KantoClient({ spec: specOf(access), credentials: credentialsOf(login), target }, handDeps());
  try {
    const failure = await client.open(signal);
    if (failure !== undefined) return { result: "NotSent", failure };
    const { commandTimeoutSeconds, createTimeoutSeconds } = BACKEND_DEFAULTS;
    const usualMs = patienceMs(call, commandTimeoutSeconds * 1000, createTimeoutSeconds * 1000);
    return await client.call(call, timeoutMs ?? usualMs, signal);
  } finally {
    await client.close();
  }
}

/** What `--output json` prints. */
function report(call: Call, thing: string, result: CallResult): Record<string, unknown> {
  const { operation, container } = call;
  const head = { operation, thing, ...(container !== undefined && { container }) };
  switch (result.result) {
    case "Done":
      return { ...head, ...result };
    case "Refused":
      return { ...head, ...result, meaning: meaningOf(call, result.status, result.message) };
    case "Unanswered":
      return { ...head, result: result.result, requestId: result.requestId, message: result.failure.message };
    case "NotSent":
      return { ...head, result: result.result, message: asOptions(result.failure.message) };
    default:
      return result satisfies never;
  }
}

function conclude(call: Call, result: CallResult, { output }: Values, context: CliContext): void {
  const { operation } = call;
  switch (result.result) {
    case "Done":
      if (output === "human") {
        const made = typeof result.value === "string" ? `: container ${result.value}` : "";
        context.stdout(`${operation} done (${result.status})${made}\n`);
      }
      return;
    case "Refused":
      throw new ExitError(
        EXIT_NOT_DONE,
        `the device refuses ${operation} (${result.status}): ${result.message.trim() || "no text"}; that means: ${meaningOf(call, result.status, result.message)}`,
      );
    case "Unanswered":
      throw new ExitError(EXIT_UNKNOWN, `${operation}: ${result.failure.message}; ${advice(call)}`);
    case "NotSent":
      throw new ExitError(EXIT_NOT_DONE, `${operation} was not sent: ${asOptions(result.failure.message)}`);
    default:
      result satisfies never;
  }
}

/** What to do when nobody knows whether it happened. */
function advice({ operation }: Call): string {
  const look = "whether it was carried out, or still will be, is unknown: look with drayage kanto list";
  return OPERATIONS[operation].of === "factory"
    ? `${look} before you repeat it, since a second ${operation} makes a second container`
    : look;
}
