/** Status of an EdgeContainer. Every field is optional on read: an older or newer operator may have written it. */
import type { z } from "zod";
import { conditions, EXTERNAL_ID, observedGeneration } from "./conditions.ts";
import { choice, flag, int, list, object, seconds, text, time } from "./schema.ts";

/** More paths than a spec can have: 500 variables and some hundred other fields. */
const PATHS = 1024;
/** As of a condition: vendors' error texts can be long, and a status that is refused for one would never be written. */
const MESSAGE = 32_768;
/** Texts that the vendor or other people chose. */
const FOREIGN = 4096;
/** Longest value of an annotation: all of them together may have 256 KiB. */
const ANNOTATION = 262_144;

/** A time by the device's clock, as the vendor wrote it; not checked, since a device may write anything. */
const deviceTime = (description: string) => text(description, { min: 0, max: 128 });

/** Windows codes need 32 bits; vendors may write anything. */
const exitCode = (description: string) => int(description, Number.MIN_SAFE_INTEGER);

const path = (description: string) => text(description, { max: 512 });

const external = object("The container at the vendor.", {
  id: text("The vendor's id.", { max: EXTERNAL_ID }),
  name: text("Its name on the device.", { min: 0, max: FOREIGN }).exactOptional(),
  attempt: int("How many containers were made for this object before it, plus one.", 1).exactOptional(),
  createdAt: deviceTime("When it was made.").exactOptional(),
  marked: flag("It was seen with Drayage's mark for this object (mittwald, ALPON).").exactOptional(),
  account: text("Where containers cost money: keyed hash of the credentials that it was made or last seen with.", {
    max: 128,
  }).exactOptional(),
});

const resolved = object("What the image reference meant when it was last pulled.", {
  image: text("The reference.", { min: 0, max: FOREIGN }).exactOptional(),
  digest: text("Its digest, where the backend tells.", { max: 256 }).exactOptional(),
});

const applied = object("What the last completed rollout consisted of.", {
  generation: int("Generation of the spec."),
  hash: text("Keyed hash of everything that needs a new container; begins with its key's id."),
  state: choice("The desiredState that was reached at that generation; absent before.", [
    "Running",
    "Stopped",
    "Paused",
  ]).exactOptional(),
  paths: list("Paths of the spec that were set and honoured.", path("Path in the spec."), PATHS),
});

const terminated = object("It has ended.", {
  exitCode: exitCode("Exit code; absent where the vendor tells none.").exactOptional(),
  reason: text("Completed, Error, OOMKilled, Ended (with an exit code that nobody tells), or the vendor's word.", {
    max: 128,
  }).exactOptional(),
  message: text("The vendor's text.", { min: 0, max: MESSAGE }).exactOptional(),
  startedAt: deviceTime("When it had started.").exactOptional(),
  finishedAt: deviceTime("When it ended.").exactOptional(),
});

const containerState = (description: string) =>
  object(description, {
    waiting: object("It does not run yet, or not any more but will.", {
      reason: text("Why, in one word, e.g. CrashLoopBackOff.", { max: 128 }).exactOptional(),
      message: text("Why, for people.", { min: 0, max: MESSAGE }).exactOptional(),
    }).exactOptional(),
    running: object("It runs.", { startedAt: deviceTime("Since when.").exactOptional() }).exactOptional(),
    terminated: terminated.exactOptional(),
  });

const progress = object("How far the device is with a creation.", {
  stage: choice("What it does.", ["Downloading", "Unpacking", "Starting"]),
  percent: int("How much of it is done, in steps of 10.", 0, 100).exactOptional(),
});

const retry = object("Repeated failures.", {
  kind: choice("What failed: the process, the image pull, or an operation at the vendor.", [
    "Crash",
    "Pull",
    "Operation",
  ]),
  count: int("How often in a row."),
  nextRetryTime: time("When Drayage tries again; absent where the device does by itself.").exactOptional(),
});

const operation = object("The journal: the operation under way. Written before its first effect.", {
  id: text("Id; also in the marker of the container it makes."),
  type: choice("What it does.", ["Create", "Recreate", "Swap", "Restart"]),
  step: text("RollingBack once a Swap has failed and the old container comes back.", { max: 64 }).exactOptional(),
  generation: int("Generation of the spec that it carries out."),
  attempt: int("Which try of the same operation it is.", 1),
  oldExternalId: text("The container that it replaces.", { max: EXTERNAL_ID }).exactOptional(),
  oldRunStartedAt: deviceTime("Start of the run that a Restart ends.").exactOptional(),
  newExternalId: text("The container that it made.", { max: EXTERNAL_ID }).exactOptional(),
  savedRestartPolicy: text("Restart policy of the old container before it was held still.", {
    max: 256,
  }).exactOptional(),
  account: text("Where containers cost money: keyed hash of the credentials that it was made or last seen with.", {
    max: 128,
  }).exactOptional(),
  startedAt: time("When it was written down."),
  deadline: time("After this it counts as late; it stays open all the same.").exactOptional(),
});

const failed = object(
  "A spec that failed and was rolled back; not tried again until the spec or the retry annotation changes.",
  {
    hash: text("Its hash."),
    generation: int("Its generation.").exactOptional(),
    reason: text("Why it failed, in one word; lastFailure has the words of the device.", { max: 128 }),
    time: time("When."),
  },
);

const drift = object("Differences between spec and device.", {
  fields: list(
    "The fields; values that may be secret are left out.",
    object("One field.", {
      path: path("Path in the spec."),
      desired: text("Value wanted.", { min: 0, max: MESSAGE }).exactOptional(),
      observed: text("Value observed.", { min: 0, max: MESSAGE }).exactOptional(),
    }),
    50,
  ),
});

const unsupported = object("A field that this backend does not honour.", {
  path: path("Path in the spec."),
  action: choice("What was done about it.", ["Ignored", "Refused"]),
});

const lastFailure = object("The last failure of an operation at the vendor.", {
  class: choice("Kind of failure.", [
    "Invalid",
    "Unsupported",
    "Conflict",
    "Transient",
    "RateLimited",
    "Unreachable",
    "Unauthorized",
    "Ambiguous",
    "WorkloadFailed",
  ]),
  reason: text("Why, in one word.", { max: 128 }).exactOptional(),
  message: text("Why, for people.", { min: 0, max: MESSAGE }),
  field: text("Path in the spec that it is about.", { min: 0, max: 512 }).exactOptional(),
  generation: int("Generation of the spec that it happened to.").exactOptional(),
  operationId: text("Operation that it happened to.").exactOptional(),
  exitCode: exitCode("Exit code, where a process failed.").exactOptional(),
  retryAfterSeconds: seconds("Pause that the vendor asked for.", 0, 31_536_000).exactOptional(),
  time: time("When."),
});

const lastHandled = object("Values of annotations that were acted on, or taken note of at first sight.", {
  restart: text("Of restartedAt.", { min: 0, max: ANNOTATION }).exactOptional(),
  reconcile: text("Of reconcile-requested-at.", { min: 0, max: ANNOTATION }).exactOptional(),
  retry: text("Of retry.", { min: 0, max: ANNOTATION }).exactOptional(),
});

export const edgeContainerStatus = object("What was observed; written by the operator only.", {
  observedGeneration: observedGeneration.exactOptional(),
  phase: choice("Summary for the column STATE; programs read conditions.", [
    "Pending",
    "Pulling",
    "Creating",
    "Running",
    "Paused",
    "Stopped",
    "Succeeded",
    "CrashLoopBackOff",
    "ImagePullBackOff",
    "Failed",
    "Unknown",
    "Removing",
  ]).exactOptional(),
  external: external.exactOptional(),
  resolved: resolved.exactOptional(),
  applied: applied.exactOptional(),
  state: containerState("Present state; one of its fields is set.").exactOptional(),
  lastState: containerState("How the last run ended.").exactOptional(),
  restartCount: int("How often the process was started again.").exactOptional(),
  restartCountSource: choice("Who counted: the vendor, or Drayage from what it saw.", [
    "Backend",
    "Derived",
  ]).exactOptional(),
  progress: progress.exactOptional(),
  backoff: retry.exactOptional(),
  operation: operation.exactOptional(),
  failed: failed.exactOptional(),
  drift: drift.exactOptional(),
  unsupported: list("Fields that this backend does not honour.", unsupported, PATHS).exactOptional(),
  lastFailure: lastFailure.exactOptional(),
  rentedSince: time("Since when something is rented for this object.").exactOptional(),
  observedAt: time("When the device's state was last looked at; moves only with another change.").exactOptional(),
  lastHandled: lastHandled.exactOptional(),
  conditions: conditions.exactOptional(),
});

export type EdgeContainerStatus = z.infer<typeof edgeContainerStatus>;
export type ContainerPhase = NonNullable<EdgeContainerStatus["phase"]>;
export type Operation = z.infer<typeof operation>;
export type ContainerState = NonNullable<EdgeContainerStatus["state"]>;
export type LastFailure = z.infer<typeof lastFailure>;
