/** Updates: what is declared of a service (patch), what runs of it (recreate, pull, restart), and volumes that nothing mounts any more. */
import type { Command, CommandOutcome, Marker } from "../contract.ts";
import type { BackendFailure } from "../errors.ts";
import type { Head } from "../http/command-slot.ts";
import type { ServiceRef } from "./client.ts";
import {
  conflict,
  endOf,
  find,
  followed,
  look,
  lookUntil,
  lookUp,
  serviceIn,
  settles,
  transient,
  undeclared,
  type Expected,
  type FlightHost,
} from "./look.ts";
import { describe, isSameMark, readMarker } from "./marker.ts";
import type { Service, ServiceBody, Stack } from "./types.ts";
import { isMounted } from "./volumes.ts";
import { canonical, declaredSettings, FIELDS, type Change, type Settings } from "./wire.ts";

/** statusSetAt has whole seconds (recorded): what is interrupted sooner would look as if it had not been. */
const STATUS_STEP_MS = 1_000;

type Update = Extract<Command, { kind: "Update" }>;

export async function runUpdate(
  host: FlightHost,
  command: Update,
  expected: Expected | undefined,
  head: Head,
): Promise<CommandOutcome> {
  const change = command.payload as Change;
  switch (change.change) {
    case "Patch":
      return endOf(head, command.externalId, await patch(host, command.externalId, expected, change));
    case "Recreate":
    case "Pull":
    case "Restart":
      return endOf(head, command.externalId, await renew(host, command.externalId, expected, change));
    case "DropVolume":
      return endOf(head, command.externalId, await dropVolume(host, change.volume));
    default:
      return change satisfies never;
  }
}

async function patch(
  host: FlightHost,
  id: string,
  expected: Expected | undefined,
  change: Extract<Change, { change: "Patch" }>,
): Promise<BackendFailure | undefined> {
  const { image } = change.body;
  // It may take long: between the look and the write nothing is waited for.
  const verdict = image === undefined ? undefined : await lookUp(host, image);
  const found = await find(host, id, expected);
  if ("failure" in found) return found.failure;
  const { service, stack } = found;
  // What runs is not given up for what cannot be had.
  if (verdict?.known === false) return verdict.failure;
  const mark = markToBe(found.expected);
  const isMarked = mark === undefined || isSameMark(readMarker(service.description, service.serviceName), mark);
  const description = isMarked ? {} : { description: describe(mark, service.serviceName, service.description) };
  const body: ServiceBody = { ...change.body, ...description };
  const cleared = (["entrypoint", "command"] as const).filter((field) => change.body[field]?.length === 0);
  const call = await host.write(() =>
    host.client.patchStack(host.ref, {
      services: { [service.serviceName]: body },
      ...undeclared(stack, change.volumes),
    }),
  );
  switch (call.kind) {
    case "Done": {
      const after = serviceIn(call.value, id);
      if (after !== undefined && cleared.length > 0) host.noteDefaults(after, cleared);
      host.noteDeclared(id);
      host.take(call.value);
      return after === undefined ? conflict("NotFound", "the service is not there any more") : undefined;
    }
    case "NotSent":
    case "Refused":
      return call.failure;
    case "Unknown":
      // To send it again does no harm: the next pass does, if it was not done.
      return (await settles(host, (now) => isDone(serviceIn(now, id), body))) ? undefined : call.failure;
    default:
      return call satisfies never;
  }
}

/** Whoever has adopted it marks it with the first change: a mark of another installation would go on telling that one that it is theirs. */
function markToBe({ marker, adopter }: Expected): Marker | undefined {
  return adopter === undefined || isSameMark(marker, adopter) ? marker : adopter;
}

/** Whether a service is declared as a request wanted it. */
function isDone(service: Service | undefined, body: ServiceBody): boolean {
  if (service === undefined) return false;
  const declared = declaredSettings(service);
  const limits = body.deploy?.resources?.limits;
  const wanted: Settings = {
    ...declared,
    ...(body.image !== undefined && { image: body.image }),
    ...(body.entrypoint !== undefined && body.entrypoint.length > 0 && { entrypoint: body.entrypoint }),
    ...(body.command !== undefined && body.command.length > 0 && { command: body.command }),
    ...(body.environment !== undefined && { environment: body.environment }),
    ...(body.ports !== undefined && { ports: body.ports }),
    ...(body.volumes !== undefined && { volumes: body.volumes }),
    ...(body.restartPolicy !== undefined && { restartPolicy: body.restartPolicy }),
    ...(body.deploy !== undefined && { cpus: limits?.cpus ?? "", memory: limits?.memory ?? "" }),
  };
  return FIELDS.every((field) => canonical(wanted, field) === canonical(declared, field));
}

/** A new container, or a new process: interrupts the service each time, so it is sent once, and followed by statusSetAt. */
async function renew(
  host: FlightHost,
  id: string,
  expected: Expected | undefined,
  change: Extract<Change, { change: "Recreate" | "Pull" | "Restart" }>,
): Promise<BackendFailure | undefined> {
  const youngMs = STATUS_STEP_MS - host.stateAgeMs(id);
  if (youngMs > 0) await host.pause(youngMs);
  if (change.change === "Restart" && change.image !== undefined) await lookUp(host, change.image);
  const found = await find(host, id, expected);
  if ("failure" in found) return found.failure;
  const { service } = found;
  const before = service.deployedState?.imageDigest;
  const action = actionFor(host, service, change);
  if (action === undefined) return undefined;
  if (action === "restart" && service.status === "stopped")
    return conflict("StateConflict", "the service is stopped: there is nothing to restart");
  const ref: ServiceRef = { ...host.ref, serviceId: id };
  host.ordered(id, false);
  if (action !== "restart") host.noteRolled(service);
  const call = await host.write(() => host.client.act(ref, action));
  const shows = (now: Stack): boolean => {
    const after = serviceIn(now, id);
    if (after === undefined) return true;
    return (
      after.statusSetAt !== service.statusSetAt ||
      after.status !== service.status ||
      (action === "recreate" && !after.requiresRecreate) ||
      (action === "pull" && after.deployedState?.imageDigest !== before)
    );
  };
  const isStopped = service.status === "stopped";
  const failure = await followed(host, call, shows, isStopped ? host.settleMs : host.commandTimeoutMs);
  if (isStopped && call.kind === "Done" && failure !== undefined) {
    // Whether it starts a stopped service is documented nowhere.
    host.noteUnmoved(id);
    return undefined;
  }
  if (action === "pull" && failure === undefined) await notePull(host, service);
  return failure;
}

/** Undefined: somebody has done it before us. */
function actionFor(
  host: FlightHost,
  service: Service,
  change: Extract<Change, { change: "Recreate" | "Pull" | "Restart" }>,
): "recreate" | "pull" | "restart" | undefined {
  const deployed = service.deployedState?.imageDigest;
  switch (change.change) {
    case "Recreate":
      return service.requiresRecreate ? "recreate" : undefined;
    case "Pull": {
      const latest = host.latestDigest(service);
      return latest === undefined || latest === deployed ? undefined : "pull";
    }
    case "Restart": {
      if (change.image === undefined) return "restart";
      const latest = host.latestDigest(service);
      return latest === undefined || deployed === undefined || latest === deployed ? "restart" : "pull";
    }
    default:
      return change satisfies never;
  }
}

/** What runs after a pull is what the tag meant then, whatever kind of digest each of them is. */
async function notePull(host: FlightHost, service: Service): Promise<void> {
  const latest = host.latestDigest(service);
  const settled = await lookUntil(
    host,
    (stack) => serviceIn(stack, service.id)?.status === "running",
    host.commandTimeoutMs,
  );
  const after = settled === undefined ? undefined : serviceIn(settled, service.id);
  if (latest !== undefined && after !== undefined)
    host.notePulled(service.id, latest, after.deployedState?.imageDigest);
}

/** Destroys data: only what nothing mounts, and only once that is seen. */
async function dropVolume(host: FlightHost, volumeId: string): Promise<BackendFailure | undefined> {
  const seen = await look(host);
  if (!seen.ok) return seen.failure;
  const volume = seen.stack.volumes.find(({ id }) => id === volumeId);
  if (volume === undefined) return undefined;
  if (isMounted(seen.stack, volume))
    return conflict("StateConflict", `volume "${volume.name}" is mounted by another service`);
  const call = await host.write(() => host.client.deleteVolume(host.ref, volumeId));
  if (call.kind === "NotSent" || call.kind === "Refused") return call.failure;
  const isGone = await settles(host, (stack) => !stack.volumes.some(({ id }) => id === volumeId));
  if (isGone) return undefined;
  return call.kind === "Done" ? transient("the vendor still lists the volume after its removal") : call.failure;
}
