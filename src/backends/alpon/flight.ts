/**
 * The three commands: deploy, update, delete. Each is sent once; progress comes with its stream, and what came of it is looked up in the list,
 * whatever the stream said. Where the stream was cut, only the list (or, without one, another look by the same name) decides.
 */
import type { Command, CommandOutcome, InFlight, Marker } from "../contract.ts";
import type { BackendFailure } from "../errors.ts";
import { textAt, numberAt, type JsonObject } from "../guards.ts";
import type { HttpRequest, HttpResult } from "../http/client.ts";
import { isPage, judgeWrite } from "../http/failures.ts";
import { pathOf, type AlponDialect } from "./dialect.ts";
import { errorIn, failureOfError, isMissing, isTaken, type AlponError } from "./errors-table.ts";
import { Patience } from "../http/patience.ts";
import { oneLine, redact } from "../http/text.ts";
import type { Inventory } from "./inventory.ts";
import { StreamDecoder } from "./stream-decoder.ts";
import { canonical, CONFIG_FIELDS, encode, ownName, secretsOf, wantedConfig, type AlponConfig } from "./wire.ts";

/** The session, as far as a flight needs it. */
export interface FlightHost {
  readonly assetId: string;
  readonly dialect: AlponDialect;
  readonly inventory: Inventory;
  readonly settleMs: number;
  /** Between two looks when nothing is awaited, ms. */
  readonly pollMs: number;
  readonly idleTimeoutMs: number;
  readonly createTimeoutMs: number;
  readonly signal: AbortSignal;
  send(request: HttpRequest): Promise<HttpResult>;
  /** Reads the list anew. @returns whether the vendor gave one (or is known to give none). */
  look(): Promise<boolean>;
  progress(progress: NonNullable<InFlight["progress"]>): void;
  unreachable(): void;
  malformed(kind: string): void;
  monotonic(): number;
  pause(ms: number): Promise<void>;
  /** Calls after so many ms unless cancelled. @returns how to cancel. */
  after(ms: number, run: () => void): () => void;
}

type Head = { commandId: string; kind: Command["kind"] };
type Create = Extract<Command, { kind: "Create" }>;
type Update = Extract<Command, { kind: "Update" }>;

/** Media types that streams come in, whatever framing they have. */
const STREAM_TYPES = [
  "text/event-stream",
  "application/json",
  "application/x-ndjson",
  "application/ndjson",
  "application/stream+json",
  "text/plain",
];
const LARGEST_STREAM = 8 * 1_048_576;
/** After its last word a stream may still take so long to end; then it is cut. */
const LINGER_MS = 1_000;
/** How many clear looks without an effect, over the settle time, mean that there is none. */
const ABSENT_LOOKS = 3;

const UNLISTED = "the vendor says that the container is there, but its list does not show it";

/** What a request that changes something came to. */
type Written =
  | { end: "Success" }
  | { end: "Failed"; error: AlponError | undefined; failure: BackendFailure; began: boolean }
  | { end: "NotSent"; failure: BackendFailure }
  /** Nobody knows; `failure` is to be told if it turns out to have had no effect. */
  | { end: "Unknown"; failure: BackendFailure };

async function write(
  host: FlightHost,
  method: "POST" | "PATCH" | "DELETE",
  path: string,
  json: JsonObject | undefined,
  secrets: readonly string[],
): Promise<Written> {
  const stop = new AbortController();
  const heard: { last?: { ok: true } | { ok: false; event: JsonObject; message: string } } = {};
  let events = 0;
  let cancel = (): void => undefined;
  const decoder = new StreamDecoder({
    malformed: () => host.malformed("Stream"),
    object: (event) => {
      if (heard.last !== undefined) return;
      events += 1;
      const message = textAt(event, "message") ?? textAt(event, "detail") ?? "";
      switch (textAt(event, "status")?.toLowerCase()) {
        case "downloading":
          return host.progress({ stage: "Downloading", ...percentOf(numberAt(event, "percentage")) });
        case "unpacking":
          return host.progress({ stage: "Unpacking" });
        // It means that the deployment is running, not the container.
        case "running":
          return host.progress({ stage: "Starting" });
        case "success":
          heard.last = { ok: true };
          break;
        case "fail":
          heard.last = { ok: false, event, message };
          break;
        default:
          host.malformed("Event");
          return undefined;
      }
      cancel = host.after(LINGER_MS, () => stop.abort());
      return undefined;
    },
  });
  const result = await host.send({
    method,
    path,
    ...(json !== undefined && { json }),
    write: true,
    secrets,
    accept: STREAM_TYPES,
    isLong: true,
    headersTimeoutMs: host.idleTimeoutMs,
    idleTimeoutMs: host.idleTimeoutMs,
    totalTimeoutMs: host.createTimeoutMs,
    maxBytes: LARGEST_STREAM,
    onData: (chunk) => decoder.push(chunk),
    signal: AbortSignal.any([host.signal, stop.signal]),
  });
  cancel();
  decoder.end();
  const word = heard.last;
  if (word?.ok === true) return { end: "Success" };
  if (word?.ok === false) {
    const error = errorIn(word.event, host.dialect.codeKeys, word.message);
    const message = oneLine(redact(word.message, secrets));
    return { end: "Failed", error, failure: failureOfError(error, message), began: events > 1 };
  }
  const verdict = judgeWrite(result);
  switch (verdict.verdict) {
    case "NotSent":
      return { end: "NotSent", failure: verdict.failure };
    case "Refused": {
      const error = errorIn(verdict.answer.json, host.dialect.codeKeys, verdict.answer.message);
      // Not the vendor's word: neither a name nor a container is known to be absent by it.
      if (error === undefined && isPage(verdict.answer))
        return { end: "Unknown", failure: { class: "Transient", message: verdict.failure.message } };
      const failure =
        error === undefined ? refusalOf(verdict.answer.status, verdict.failure) : failureOfError(error, "");
      return { end: "Failed", error, failure, began: false };
    }
    case "Ambiguous": {
      // Also a gateway's 503 may carry the vendor's sentence, which is clear.
      const error = result.kind === "Answer" ? errorIn(result.json, host.dialect.codeKeys, result.message) : undefined;
      return error === undefined
        ? { end: "Unknown", failure: verdict.failure }
        : { end: "Failed", error, failure: failureOfError(error, ""), began: false };
    }
    case "Done":
      // A deletion's answer is documented nowhere, so its status is its word; a stream must end with one.
      return method === "DELETE"
        ? { end: "Success" }
        : { end: "Unknown", failure: { class: "Transient", message: "the stream ended without Success or Fail" } };
    default:
      return verdict satisfies never;
  }
}

/** Statuses without a sentence that we know. 402 and 409 may pass. */
function refusalOf(status: number, failure: BackendFailure): BackendFailure {
  return status === 402 ? { class: "Transient", message: failure.message } : failure;
}

function percentOf(value: number | undefined): { percent?: number } {
  return value === undefined ? {} : { percent: Math.min(100, Math.max(0, Math.floor(value / 10) * 10)) };
}

/** Deploys once, and looks until the list has it, or is clear that it has not. */
export async function runCreate(host: FlightHost, command: Create, head: Head): Promise<CommandOutcome> {
  const { desired, marker } = command;
  const { name } = desired;
  const wanted = wantedConfig(desired);
  const isOwn = name === ownName(marker);
  const succeeded: CommandOutcome = { ...head, externalId: name, result: "Succeeded" };
  const failed = (failure: BackendFailure): CommandOutcome => ({ ...head, result: "Failed", failure });
  const body = { name, ...encode(wanted, marker, host.dialect, true) };
  const path = pathOf(host.dialect.paths.containers, host.assetId);
  for (let again = false; ; again = true) {
    const written = await write(host, "POST", path, body, secretsOf(wanted));
    if (written.end === "NotSent") return failed(written.failure);
    if (written.end === "Success") {
      host.inventory.noteSent(name, wanted, marker);
      return confirm(host, { name, config: wanted, operation: marker.operation }, succeeded, head);
    }
    if (written.end === "Unknown") {
      if (host.inventory.isBlind) return { ...head, result: "Lost" };
      const seen = await appears(host, name, marker.operation);
      if (!seen) return told(head, written.failure);
      host.inventory.noteSent(name, wanted, marker);
      return succeeded;
    }
    await noteFailure(host, written);
    if (!isTaken(written.error)) {
      // After a reason of the kubelet's, and on a full disk, it may be there all the same.
      await host.look();
      return failed(written.failure);
    }
    const outcome = await takenBy(host, { name, marker, wanted, isOwn }, head);
    if (outcome === "Ours") return succeeded;
    if (outcome !== "Orphan" || again) return typeof outcome === "string" ? failed(written.failure) : outcome;
    // The device has what the cloud does not list, under a name that only we choose: away with it, once.
    const removed = await write(
      host,
      "DELETE",
      pathOf(host.dialect.paths.container, host.assetId, name),
      undefined,
      [],
    );
    if (removed.end !== "Success") return failed(written.failure);
  }
}

/** The name is taken: by this object, by somebody else, or by something that no list shows. */
async function takenBy(
  host: FlightHost,
  what: { name: string; marker: Marker; wanted: AlponConfig; isOwn: boolean },
  head: Head,
): Promise<"Ours" | "Orphan" | "Theirs" | CommandOutcome> {
  const { name, marker, wanted, isOwn } = what;
  if (host.inventory.isBlind) {
    if (!isOwn) return "Theirs";
    // Ours by its name. Whatever it has, from now on it has what is wanted.
    const path = pathOf(host.dialect.paths.container, host.assetId, name);
    const written = await write(host, "PATCH", path, encode(wanted, marker, host.dialect, false), secretsOf(wanted));
    if (written.end !== "Success")
      return written.end === "Unknown"
        ? { ...head, result: "Lost" }
        : { ...head, result: "Failed", failure: written.failure };
    host.inventory.noteSent(name, wanted, marker);
    return "Ours";
  }
  if (!(await host.look())) return "Theirs";
  const listed = host.inventory.listed(name);
  // What was deployed a moment ago is not away because an old list lacks it.
  if (listed === undefined && host.inventory.isAwaited(name))
    return told(head, { class: "Transient", message: UNLISTED });
  if (listed === undefined) return isOwn ? "Orphan" : "Theirs";
  if (listed.config.environments === undefined) return isOwn ? "Ours" : "Theirs";
  const isOurs =
    listed.marker?.owner === marker.owner &&
    listed.marker.namespace === marker.namespace &&
    listed.marker.name === marker.name;
  return isOurs ? "Ours" : "Theirs";
}

/** Changes once, and looks until the list shows it. */
export async function runUpdate(
  host: FlightHost,
  command: Update,
  marker: Marker | undefined,
  head: Head,
): Promise<CommandOutcome> {
  const name = command.externalId;
  const changes = command.payload as AlponConfig;
  const failed = (failure: BackendFailure): CommandOutcome => ({
    ...head,
    externalId: name,
    result: "Failed",
    failure,
  });
  const succeeded: CommandOutcome = { ...head, externalId: name, result: "Succeeded" };
  const path = pathOf(host.dialect.paths.container, host.assetId, name);
  const written = await write(host, "PATCH", path, encode(changes, marker, host.dialect, false), secretsOf(changes));
  switch (written.end) {
    case "NotSent":
      return failed(written.failure);
    case "Success":
      host.inventory.noteSent(name, changes, marker);
      return confirm(host, { name, config: changes }, succeeded, head);
    case "Unknown": {
      if (host.inventory.isBlind) return told(head, written.failure);
      const seen = await settles(host, () => {
        const listed = host.inventory.listed(name);
        return listed !== undefined && CONFIG_FIELDS.every((field) => isSame(changes, listed.config, field));
      });
      return seen ? succeeded : told(head, written.failure);
    }
    case "Failed":
      await noteFailure(host, written);
      if (isMissing(written.error) && host.inventory.isBlind) host.inventory.noteGone(name);
      await host.look();
      return failed(written.failure);
    default:
      return written satisfies never;
  }
}

/** Deletes once. Something that is not there has been deleted. */
export async function runRemove(host: FlightHost, name: string, head: Head): Promise<CommandOutcome> {
  const failed = (failure: BackendFailure): CommandOutcome => ({
    ...head,
    externalId: name,
    result: "Failed",
    failure,
  });
  const succeeded: CommandOutcome = { ...head, externalId: name, result: "Succeeded" };
  const written = await write(host, "DELETE", pathOf(host.dialect.paths.container, host.assetId, name), undefined, []);
  const isAbsent =
    written.end === "Failed" &&
    (isMissing(written.error) ||
      (written.error === undefined && written.failure.class === "Conflict" && written.failure.reason === "NotFound"));
  if (written.end === "NotSent") return failed(written.failure);
  if (written.end === "Failed" && !isAbsent) {
    await noteFailure(host, written);
    return failed(written.failure);
  }
  if (written.end !== "Unknown") {
    host.inventory.noteGone(name);
    if (host.inventory.isBlind) return succeeded;
  }
  if (host.inventory.isBlind)
    return failed(written.end === "Unknown" ? written.failure : { class: "Transient", message: "" });
  const isGone = await settles(host, () => host.inventory.listed(name) === undefined);
  if (isGone) {
    host.inventory.noteGone(name);
    return succeeded;
  }
  const message = "the vendor still lists the container after its deletion";
  return failed(written.end === "Unknown" ? written.failure : { class: "Transient", message });
}

/** Success is the vendor's word; what counts is its list, where it has one. */
async function confirm(
  host: FlightHost,
  what: { name: string; config: AlponConfig; operation?: string },
  succeeded: CommandOutcome,
  head: Head,
): Promise<CommandOutcome> {
  const { name, config } = what;
  if (host.inventory.isBlind) return succeeded;
  const wrong = (): string[] => {
    const listed = host.inventory.listed(name);
    return listed === undefined ? [] : CONFIG_FIELDS.filter((field) => !isSame(config, listed.config, field));
  };
  const isThere = (): boolean => host.inventory.listed(name) !== undefined;
  if (await settles(host, () => isThere() && wrong().length === 0)) return succeeded;
  if (host.signal.aborted) return { ...head, result: "Lost" };
  if (!isThere()) return told(head, { class: "Transient", message: UNLISTED });
  // Fields of another name are ignored without a word: then the list shows what was dropped.
  return {
    ...head,
    externalId: name,
    result: "Failed",
    failure: {
      class: "WorkloadFailed",
      reason: "CreateContainerConfigError",
      message: `the vendor says Success, but its list shows other ${wrong().join(", ")} than were sent; are the names in EdgeBackend.spec.alpon.dialect right?`,
    },
  };
}

/** True where nothing was meant, nothing is told, or both are the same. */
function isSame(meant: AlponConfig, listed: AlponConfig, field: (typeof CONFIG_FIELDS)[number]): boolean {
  return (
    meant[field] === undefined || listed[field] === undefined || canonical(meant, field) === canonical(listed, field)
  );
}

function appears(host: FlightHost, name: string, operation: string): Promise<boolean> {
  return settles(host, () => {
    const listed = host.inventory.listed(name);
    // A mark of another operation is another container under the same name.
    return (
      listed !== undefined &&
      (listed.marker === undefined ? listed.config.environments === undefined : listed.marker.operation === operation)
    );
  });
}

/** Looks until it is so; false once it clearly was not, several times, over the settle time. */
async function settles(host: FlightHost, isSo: () => boolean): Promise<boolean> {
  const since = host.monotonic();
  const patience = new Patience(Math.max(1, host.settleMs / (ABSENT_LOOKS * 2)), host.pollMs);
  for (let looks = 0; !host.signal.aborted;) {
    const asked = host.monotonic();
    const isTold = await host.look();
    if (isTold) {
      if (isSo()) return true;
      looks += 1;
      if (looks >= ABSENT_LOOKS && asked - since >= host.settleMs) return false;
    }
    await host.pause(patience.nextMs(isTold));
  }
  return false;
}

/** It had no effect. A failure that asks for a pause gets one; where only the connection was lost there is nothing to tell. */
function told(head: Head, failure: BackendFailure): CommandOutcome {
  return { ...head, result: "Failed", failure };
}

async function noteFailure(host: FlightHost, { error, began }: Extract<Written, { end: "Failed" }>): Promise<void> {
  if (error !== "DeviceNotReachable") return;
  // Reached and lost half way: what it did is to be seen once it is back.
  if (began) await host.look();
  host.unreachable();
}
