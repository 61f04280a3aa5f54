/**
 * What every command does before and after its request: a fresh look at the stack (fresh: with our own last write in it), whether what it is
 * about is still what was decided upon, and whether the effect shows.
 */
import type { CommandOutcome, Marker } from "../contract.ts";
import type { BackendFailure } from "../errors.ts";
import type { Head } from "../http/command-slot.ts";
import type { Call, MittwaldClient, StackRef } from "./client.ts";
import { Patience } from "../http/patience.ts";
import { judgeImage, type ImageVerdict } from "./images.ts";
import { isSameMark, readMarker } from "./marker.ts";
import type { Service, Stack } from "./types.ts";

/** What a service was when its command was decided upon. */
export interface Expected {
  readonly name: string;
  /** Its mark, also one that somebody has taken out of the description since. */
  readonly marker: Marker | undefined;
  /** Whose it is by adoption, to be marked with the next write. */
  readonly adopter: Marker | undefined;
}

/** The session, as far as a flight needs it. */
export interface FlightHost {
  readonly client: MittwaldClient;
  readonly ref: StackRef;
  readonly settleMs: number;
  readonly commandTimeoutMs: number;
  readonly signal: AbortSignal;
  /** Takes over a fresh view of the stack. */
  take(stack: Stack): void;
  /** Begins and ends a write: views that were asked for before are old. */
  write<T>(send: () => Promise<T>): Promise<T>;
  /** Since when the present status of a service has been seen, monotonic ms ago. */
  stateAgeMs(serviceId: string): number;
  /** A command of ours explains what its runs do next. */
  ordered(serviceId: string, isStop: boolean): void;
  /** What was ordered last has not been taken. */
  notOrdered(): void;
  /** What is declared of it is on its way: we have had it made. */
  noteRolled(service: Service): void;
  /** It is stopped, and a recreate has not started it. */
  noteUnmoved(serviceId: string): void;
  /** What is declared of it has changed. */
  noteDeclared(serviceId: string): void;
  noteImage(image: string, verdict: ImageVerdict): void;
  notePulled(serviceId: string, latest: string, deployed: string | undefined): void;
  noteDefaults(service: Service, fields: readonly ("entrypoint" | "command")[]): void;
  /** What the tag of the service means, as far as it is known. */
  latestDigest(service: Service): string | undefined;
  monotonic(): number;
  pause(ms: number): Promise<void>;
}

/** Into so many parts the settle time is cut: an effect that no look at the end of each shows is none. */
const ABSENT_LOOKS = 3;
/** First and longest pause between two looks for an effect, ms. */
const LOOK_MS = 250;
const LONGEST_LOOK_MS = 5_000;
/** Longest pause between two looks where the vendor shows nothing, ms. */
const LONGEST_SILENCE_MS = 300_000;

type Look = { ok: true; stack: Stack } | { ok: false; failure: BackendFailure };

export const transient = (message: string): BackendFailure => ({ class: "Transient", message });
export const conflict = (reason: "NameConflict" | "StateConflict" | "NotFound", message: string): BackendFailure => ({
  class: "Conflict",
  reason,
  message,
});

/** The stack as it is now, with all that we have written. */
export async function look(host: FlightHost): Promise<Look> {
  const call = await host.client.stack(host.ref);
  if (call.kind === "Done") {
    if (call.stale) return { ok: false, failure: transient("the vendor does not show our last write yet") };
    host.take(call.value);
    return { ok: true, stack: call.value };
  }
  // 403 may mean that it is not there, or not visible yet: the list tells.
  if (call.kind !== "Refused" || call.status === 401) return { ok: false, failure: call.failure };
  const list = await host.client.stacks(host.ref.projectId, { urgent: true });
  if (list.kind !== "Done" || list.stale) return { ok: false, failure: call.failure };
  const stack = list.value.find(({ id }) => id === host.ref.stackId);
  if (stack === undefined)
    return { ok: false, failure: conflict("NotFound", "the project has no such stack (any more)") };
  host.take(stack);
  return { ok: true, stack };
}

/** Looks until `holds`, at most for so long. @returns the last stack that was seen with it, or undefined. */
export async function lookUntil(
  host: FlightHost,
  holds: (stack: Stack) => boolean,
  forMs: number,
): Promise<Stack | undefined> {
  const until = host.monotonic() + forMs;
  for (let pauseMs = LOOK_MS; !host.signal.aborted; pauseMs = Math.min(pauseMs * 2, LONGEST_LOOK_MS)) {
    const seen = await look(host);
    if (seen.ok && holds(seen.stack)) return seen.stack;
    if (host.monotonic() >= until) return undefined;
    await host.pause(Math.min(pauseMs, Math.max(1, until - host.monotonic())));
  }
  return undefined;
}

/** A write of unknown outcome: whether its effect shows within the settle time. */
export async function settles(host: FlightHost, holds: (stack: Stack) => boolean): Promise<boolean> {
  // The first look comes at once, and covers nothing.
  let clear = -1;
  const patience = new Patience(Math.max(1, host.settleMs / ABSENT_LOOKS), LONGEST_SILENCE_MS);
  while (!host.signal.aborted) {
    const seen = await look(host);
    if (seen.ok && holds(seen.stack)) return true;
    if (seen.ok) clear += 1;
    if (clear >= ABSENT_LOOKS) return false;
    await host.pause(patience.nextMs(seen.ok));
  }
  return false;
}

export function serviceIn(stack: Stack, id: string): Service | undefined {
  return stack.services.find((service) => service.id === id);
}

/** Why this service is not the one that the command was decided upon; undefined if it is. */
export function changed(service: Service | undefined, expected: Expected): BackendFailure | undefined {
  if (service === undefined) return conflict("NotFound", "the service is not there any more");
  if (service.serviceName !== expected.name)
    return conflict("StateConflict", "the service has another name than it had");
  const mark = readMarker(service.description, service.serviceName);
  if (mark === undefined) return undefined;
  return isSameMark(expected.marker, mark)
    ? undefined
    : conflict("StateConflict", "the service carries somebody else's mark now");
}

/** @param failure undefined for a success. */
export function endOf(head: Head, externalId: string, failure: BackendFailure | undefined): CommandOutcome {
  return failure === undefined
    ? { ...head, externalId, result: "Succeeded" }
    : { ...head, externalId, result: "Failed", failure };
}

/** The service of a command in a fresh view, if it is still what it was. */
export async function find(
  host: FlightHost,
  id: string,
  expected: Expected | undefined,
): Promise<{ stack: Stack; service: Service; expected: Expected } | { failure: BackendFailure }> {
  const seen = await look(host);
  if (!seen.ok) return { failure: seen.failure };
  const service = serviceIn(seen.stack, id);
  const failure = expected === undefined ? conflict("NotFound", "no such service") : changed(service, expected);
  return service === undefined || expected === undefined || failure !== undefined
    ? { failure: failure ?? conflict("NotFound", "no such service") }
    : { stack: seen.stack, service, expected };
}

/** What came of an action: its effect decides, whatever the answer was. */
export async function followed(
  host: FlightHost,
  call: Call<undefined>,
  shows: (stack: Stack) => boolean,
  forMs = host.commandTimeoutMs,
): Promise<BackendFailure | undefined> {
  switch (call.kind) {
    case "NotSent":
      host.notOrdered();
      return call.failure;
    case "Done":
      return (await lookUntil(host, shows, forMs)) === undefined
        ? transient("the vendor has taken the command, but shows no effect of it")
        : undefined;
    case "Refused": {
      // Refused for the state that it is in: somebody may have been there before us.
      const seen = await look(host);
      if (seen.ok && shows(seen.stack)) return undefined;
      host.notOrdered();
      return call.failure;
    }
    case "Unknown":
      return (await settles(host, shows)) ? undefined : call.failure;
    default:
      return call satisfies never;
  }
}

/** A mounted volume must be declared; one that is there already is left alone. */
export function undeclared(
  stack: Stack,
  names: readonly string[],
): { volumes?: Readonly<Record<string, { name: string }>> } {
  const missing = names.filter((name) => !stack.volumes.some((volume) => volume.name === name));
  return missing.length === 0 ? {} : { volumes: Object.fromEntries(missing.map((name) => [name, { name }])) };
}

export async function lookUp(host: FlightHost, image: string): Promise<ImageVerdict> {
  const verdict = judgeImage(await host.client.imageConfig(image, host.ref.projectId), image);
  host.noteImage(image, verdict);
  return verdict;
}
