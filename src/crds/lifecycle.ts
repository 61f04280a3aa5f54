/** How a container is started again, stopped, replaced, retried and deleted. */
import type { z } from "zod";
import { CONTAINER_DEFAULTS } from "./default-values.ts";
import { choice, flag, int, object, ruled, seconds, text } from "./schema.ts";

const DAY = 86_400;
const { stop: STOP, updateStrategy: UPDATE, backoff: BACKOFF, deletion: DELETION } = CONTAINER_DEFAULTS;

export const restartPolicy = ruled(
  object("What the device does when the process ends. Unset: the backend's own.", {
    type: choice("Always; UnlessStopped: not after a stop by command; OnFailure: only after a non-zero exit; No.", [
      "Always",
      "UnlessStopped",
      "OnFailure",
      "No",
    ]),
    maxRetries: int("How often OnFailure tries again; 0 for without end.", 0, 10_000, { default: 0 }).exactOptional(),
    retryTimeoutSeconds: seconds(
      "Longest pause between two restarts by the device. Unset: the backend's own.",
      1,
      DAY,
    ).exactOptional(),
  }),
  [
    {
      rule: `!has(self.maxRetries) || self.maxRetries == 0 || self.type == "OnFailure"`,
      message: "maxRetries counts only with type OnFailure: leave it out or change the type",
      holds: (value) => value.maxRetries === undefined || value.maxRetries === 0 || value.type === "OnFailure",
    },
  ],
);

export const stop = object("How the container is stopped.", {
  signal: text("Signal sent first, by name or number.", {
    max: 16,
    pattern: /^(SIG[A-Z0-9+-]+|[1-9][0-9]?)$/,
    fix: "write a signal by name or number, e.g. SIGTERM or 15",
    default: STOP.signal,
  }).exactOptional(),
  timeoutSeconds: seconds("Time that the process has to end.", 1, DAY, {
    default: STOP.timeoutSeconds,
  }).exactOptional(),
  force: flag("Whether it is killed when the time is over; else the stop fails.", {
    default: STOP.force,
  }).exactOptional(),
});

export const updateStrategy = ruled(
  object("How a change that needs a new container is carried out.", {
    type: choice(
      "Recreate: the old container is replaced, the new one made first where two can exist. Swap: as Recreate, but the old one is kept, stopped, until the new one has run for minReadySeconds; only where two can exist. InPlaceOnly: such a change is refused. OnDelete: it waits for the next creation or restart.",
      ["Recreate", "Swap", "InPlaceOnly", "OnDelete"],
      { default: UPDATE.type },
    ).exactOptional(),
    minReadySeconds: seconds("How long a container must run before it counts as ready.", 0, DAY, {
      default: UPDATE.minReadySeconds,
    }).exactOptional(),
    progressDeadlineSeconds: seconds(
      "After this long without success a rollout is Stalled, and a Swap whose old container is down goes back. It never ends a command: a pull may take longer.",
      1,
      7 * DAY,
      {
        default: UPDATE.progressDeadlineSeconds,
      },
    ).exactOptional(),
    rollbackOnFailure: flag(
      "Whether a Swap goes back to the old container when the new one fails; the other types keep none.",
      {
        default: UPDATE.rollbackOnFailure,
      },
    ).exactOptional(),
  }),
  [
    {
      rule: `(has(self.progressDeadlineSeconds) ? self.progressDeadlineSeconds : ${UPDATE.progressDeadlineSeconds}) > (has(self.minReadySeconds) ? self.minReadySeconds : ${UPDATE.minReadySeconds})`,
      message: `progressDeadlineSeconds (default ${UPDATE.progressDeadlineSeconds}) must be above minReadySeconds (default ${UPDATE.minReadySeconds}): set both`,
      holds: (value) =>
        (value.progressDeadlineSeconds ?? UPDATE.progressDeadlineSeconds) >
        (value.minReadySeconds ?? UPDATE.minReadySeconds),
    },
  ],
);

export const backoff = ruled(
  object("How failures are retried: the pause doubles from the first to the longest.", {
    initialSeconds: seconds("First pause.", 1, DAY, { default: BACKOFF.initialSeconds }).exactOptional(),
    maxSeconds: seconds("Longest pause.", 1, DAY, { default: BACKOFF.maxSeconds }).exactOptional(),
    resetAfterSeconds: seconds("Health for this long forgets all failures.", 1, 7 * DAY, {
      default: BACKOFF.resetAfterSeconds,
    }).exactOptional(),
  }),
  [
    {
      rule: `(has(self.maxSeconds) ? self.maxSeconds : ${BACKOFF.maxSeconds}) >= (has(self.initialSeconds) ? self.initialSeconds : ${BACKOFF.initialSeconds})`,
      message: `maxSeconds (default ${BACKOFF.maxSeconds}) must not be below initialSeconds (default ${BACKOFF.initialSeconds}): set both`,
      holds: (value) => (value.maxSeconds ?? BACKOFF.maxSeconds) >= (value.initialSeconds ?? BACKOFF.initialSeconds),
    },
  ],
);

export const adoption = ruled(
  object("Whether a container that Drayage did not make may be taken over.", {
    policy: choice(
      "Never; ByName: the one with this object's name on the device; ById: the one with externalId.",
      ["Never", "ByName", "ById"],
      { default: CONTAINER_DEFAULTS.adoption.policy },
    ).exactOptional(),
    externalId: text("The vendor's id of the container, for ById.").exactOptional(),
  }),
  [
    {
      rule: `(has(self.policy) && self.policy == "ById") == has(self.externalId)`,
      message: "policy ById and externalId belong together: set both or neither",
      holds: (value) => (value.policy === "ById") === (value.externalId !== undefined),
    },
  ],
);

/** Grace of a deletion, on every kind. */
export function graceSeconds(value: number) {
  return seconds(
    "How long a deletion waits for what is out of reach before it lets go; what is left is then named in an event.",
    0,
    7 * DAY,
    { default: value },
  );
}

export const deletion = ruled(
  object("What deleting the object does to its container.", {
    policy: choice("Remove it, Stop it, or Orphan it: leave it as it is.", ["Remove", "Stop", "Orphan"], {
      default: DELETION.policy,
    }).exactOptional(),
    deleteVolumes: flag("Whether Remove also destroys named volumes and their data.", {
      default: DELETION.deleteVolumes,
    }).exactOptional(),
    graceSeconds: graceSeconds(DELETION.graceSeconds).exactOptional(),
  }),
  [
    {
      rule: `!has(self.deleteVolumes) || !self.deleteVolumes || !has(self.policy) || self.policy == "Remove"`,
      message: "deleteVolumes counts only with policy Remove: leave it out or change the policy",
      holds: (value) => value.deleteVolumes !== true || (value.policy ?? "Remove") === "Remove",
    },
  ],
);

export type RestartPolicy = z.infer<typeof restartPolicy>;
export type Stop = z.infer<typeof stop>;
export type UpdateStrategy = z.infer<typeof updateStrategy>;
export type Backoff = z.infer<typeof backoff>;
export type Adoption = z.infer<typeof adoption>;
export type Deletion = z.infer<typeof deletion>;
