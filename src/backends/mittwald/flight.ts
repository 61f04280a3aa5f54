/**
 * The commands, but updates (change.ts). Each begins with a fresh look, without which nothing is sent, and sends one request. There is no
 * condition on writes (no If-Match), so nothing is awaited between the look and the write, and a write that does not get its turn at once is
 * given up (client.ts): in the moment that is left somebody could still change the very service by hand; all else in the stack is out of a
 * PATCH's reach.
 */
import type { Command, CommandOutcome } from "../contract.ts";
import type { BackendFailure } from "../errors.ts";
import type { Head } from "../http/command-slot.ts";
import {
  changed,
  conflict,
  endOf,
  find,
  followed,
  look,
  lookUp,
  lookUntil,
  serviceIn,
  settles,
  transient,
  undeclared,
  type Expected,
  type FlightHost,
} from "./look.ts";
import { describe, readMarker } from "./marker.ts";
import type { Service, ServiceBody, Stack } from "./types.ts";
import { bodyOf, FIELDS, namedVolumes, wantedSettings, type Field, type Settings } from "./wire.ts";

type Create = Extract<Command, { kind: "Create" }>;

/** Declares a service that is not there. It starts by itself. */
export async function runCreate(host: FlightHost, command: Create, head: Head): Promise<CommandOutcome> {
  const { desired, marker } = command;
  const { name } = desired;
  const failed = (failure: BackendFailure): CommandOutcome => ({ ...head, result: "Failed", failure });
  const isMade = (service: Service): boolean =>
    service.serviceName === name && readMarker(service.description, name)?.operation === marker.operation;
  const succeeded = (stack: Stack): CommandOutcome => {
    const made = stack.services.find(isMade);
    return { ...head, ...(made !== undefined && { externalId: made.id }), result: "Succeeded" };
  };

  const settings = wantedSettings(desired);
  // It may take long: between the look and the write nothing is waited for.
  const verdict = await lookUp(host, settings.image);
  const before = await look(host);
  if (!before.ok) return failed(before.failure);
  const holder = before.stack.services.find(({ serviceName }) => serviceName === name);
  if (holder !== undefined)
    return isMade(holder)
      ? succeeded(before.stack)
      : failed(conflict("NameConflict", `service ${holder.id} has the name "${name}" in the stack already`));
  if (verdict?.known === false) return failed(verdict.failure);

  const body: ServiceBody = { ...bodyOf(settings, fieldsOf(desired, settings)), description: describe(marker, name) };
  const volumes = undeclared(before.stack, namedVolumes(settings.volumes));
  const call = await host.write(() => host.client.patchStack(host.ref, { services: { [name]: body }, ...volumes }));
  switch (call.kind) {
    case "Done":
      for (const made of call.value.services.filter(isMade)) host.noteRolled(made);
      host.take(call.value);
      // A token without the right is said to be answered so, too.
      return call.value.services.some(isMade)
        ? succeeded(call.value)
        : failed(transient("the vendor's answer does not have the service: does the token have the right to make it?"));
    case "NotSent":
    case "Refused":
      return failed(call.failure);
    case "Unknown": {
      let found: Stack | undefined;
      const isThere = await settles(host, (stack) => {
        if (!stack.services.some(isMade)) return false;
        found = stack;
        return true;
      });
      return isThere && found !== undefined ? succeeded(found) : failed(call.failure);
    }
    default:
      return call satisfies never;
  }
}

/** What a new service is told: what the spec says, and no defaults. */
function fieldsOf(desired: Create["desired"], settings: Settings): Field[] {
  const { spec } = desired;
  return FIELDS.filter((field) => {
    switch (field) {
      case "image":
      case "environment":
        return true;
      case "restartPolicy":
        return spec.restartPolicy !== undefined;
      case "entrypoint":
      case "command":
      case "ports":
      case "volumes":
        return settings[field].length > 0;
      case "cpus":
      case "memory":
        return settings[field] !== undefined;
      default:
        return field satisfies never;
    }
  });
}

export async function runStart(
  host: FlightHost,
  id: string,
  expected: Expected | undefined,
  head: Head,
): Promise<CommandOutcome> {
  const found = await find(host, id, expected);
  if ("failure" in found) return endOf(head, id, found.failure);
  const isUp = (stack: Stack): boolean => serviceIn(stack, id)?.status !== "stopped";
  if (isUp(found.stack)) return endOf(head, id, undefined);
  host.ordered(id, false);
  const call = await host.write(() => host.client.act({ ...host.ref, serviceId: id }, "start"));
  return endOf(head, id, await followed(host, call, isUp));
}

/** @param timeoutMs that the process has to end. */
export async function runStop(
  host: FlightHost,
  id: string,
  expected: Expected | undefined,
  timeoutMs: number,
  head: Head,
): Promise<CommandOutcome> {
  let found = await find(host, id, expected);
  if ("failure" in found) return endOf(head, id, found.failure);
  const isDown = (stack: Stack): boolean => {
    const service = serviceIn(stack, id);
    return service === undefined || service.status === "stopped";
  };
  if (isDown(found.stack)) return endOf(head, id, undefined);
  host.ordered(id, true);
  const forMs = host.commandTimeoutMs + timeoutMs;
  // It was told to already, by a former process or by people.
  const isStopping = found.service.status === "stopping";
  if (isStopping) {
    if ((await lookUntil(host, isDown, forMs)) !== undefined) return endOf(head, id, undefined);
    found = await find(host, id, expected);
    if ("failure" in found) return endOf(head, id, found.failure);
  }
  const call = await host.write(() => host.client.act({ ...host.ref, serviceId: id }, "stop"));
  return endOf(head, id, await followed(host, call, isDown, forMs));
}

/** Something that is not there has been removed. Its volumes stay. */
export async function runRemove(
  host: FlightHost,
  id: string,
  expected: Expected | undefined,
  head: Head,
): Promise<CommandOutcome> {
  const seen = await look(host);
  if (!seen.ok) return endOf(head, id, seen.failure);
  const service = serviceIn(seen.stack, id);
  if (service === undefined) return endOf(head, id, undefined);
  const failure = expected === undefined ? conflict("NotFound", "no such service") : changed(service, expected);
  if (failure !== undefined) return endOf(head, id, failure);
  const isGone = (stack: Stack): boolean => serviceIn(stack, id) === undefined;
  // {} deletes it; nothing else in the stack is named.
  const call = await host.write(() => host.client.patchStack(host.ref, { services: { [service.serviceName]: {} } }));
  switch (call.kind) {
    case "Done":
      host.take(call.value);
      return endOf(
        head,
        id,
        isGone(call.value) ? undefined : transient("the vendor still shows the service after its removal"),
      );
    case "NotSent":
    case "Refused":
      return endOf(head, id, call.failure);
    case "Unknown":
      return endOf(head, id, (await settles(host, isGone)) ? undefined : call.failure);
    default:
      return call satisfies never;
  }
}
