/**
 * What the daemon's error texts mean. It knows three codes only (400 parameter.invalid, 404 subject.notfound, 500 execution.failed), and
 * everything that matters is a 500 told apart by its text. This table is the one place where those texts are known; it is read from the
 * top, and the first row that fits counts.
 *
 * Sources: container-management, things/client/thing_errors.go (codes), containerm/mgr/mgr.go and mgr_internal.go (states),
 * containerm/util/containers_validation.go (values), containerd and runc (pull and start texts), libnetwork (ports).
 */
import type { Command } from "../contract.ts";
import type { BackendFailure, WorkloadReason } from "../errors.ts";

/** What an error answer comes to. */
export type Verdict =
  /** What was asked for is already so. */
  | { kind: "GoalMet" }
  /** The daemon does not know the container yet or any more; nothing was executed. */
  | { kind: "UnknownFeature" }
  | { kind: "Failed"; failure: BackendFailure };

type Meaning =
  | { goalMet: true }
  | { workload: WorkloadReason }
  | { conflict: "PortConflict" | "NameConflict" | "StateConflict" | "NotFound" }
  | { invalid: string; field?: string }
  | { transient: true };

interface Row {
  status: 400 | 404 | 500;
  text: RegExp;
  /** Kinds of commands to which the row applies; all if unset. */
  kinds?: readonly Command["kind"][];
  means: Meaning;
  /** Told instead of the daemon's text, which would repeat a value that may be secret. */
  say?: string;
}

/** Somebody else has removed it since the feature was looked up (mgr.go, noSuchContainerErrorMsg). */
const NO_CONTAINER = /no such container with id = \S+ exists|container with id = \S+ does not exist/;

const ROWS: readonly Row[] = [
  // The goal is met. Both sides of each pair: what was wanted, and what the daemon says of it.
  { status: 500, text: /is already running/, kinds: ["Start"], means: { goalMet: true } },
  { status: 500, text: /cannot perform stop operation for container/, kinds: ["Stop"], means: { goalMet: true } },
  { status: 500, text: /is not running - current status is Paused/, kinds: ["Pause"], means: { goalMet: true } },
  { status: 500, text: /is not paused - cannot unpause/, kinds: ["Resume"], means: { goalMet: true } },
  { status: 500, text: NO_CONTAINER, kinds: ["Remove"], means: { goalMet: true } },

  // The container is in another state than was thought.
  { status: 500, text: /is paused - cannot start it/, means: { conflict: "StateConflict" } },
  { status: 500, text: /is not running - current status is/, means: { conflict: "StateConflict" } },
  { status: 500, text: /is not stopped - must set the force flag/, means: { conflict: "StateConflict" } },
  { status: 500, text: /is (dead|being removed)/, means: { conflict: "StateConflict" } },
  { status: 500, text: NO_CONTAINER, means: { conflict: "NotFound" } },
  { status: 500, text: /could not stop container with ID/, means: { transient: true } },

  // Ports. libnetwork's words.
  {
    status: 500,
    text: /port is already allocated|address already in use|failed to bind port/,
    means: { conflict: "PortConflict" },
  },

  // Images: containerd's resolver and puller.
  {
    status: 500,
    text: /object required|invalid reference format|parse reference|imageRef must be set/,
    means: { workload: "InvalidImageName" },
  },
  {
    status: 500,
    text: /pull access denied|authorization failed|401 Unauthorized|403 Forbidden|no basic auth credentials|insufficient_scope/,
    means: { workload: "ImageUnauthorized" },
  },
  {
    status: 500,
    text: /failed to resolve reference|failed to pull|failed to copy|failed to fetch|no match for platform|failed to unpack|failed size validation|failed to extract layer|unexpected status code/,
    means: { workload: "ErrImagePull" },
  },

  // Values that validation on our side should have caught.
  {
    status: 500,
    text: /invalid environmental variable declaration/,
    means: { invalid: "InvalidSpec", field: "env" },
    say: "the device refuses the declaration of an environment variable",
  },
  {
    status: 500,
    text: /minimum memory allowed|memory|swap/,
    kinds: ["Create", "Update"],
    means: { invalid: "InvalidSpec", field: "resources" },
  },
  { status: 500, text: /network mode|host_ip/, kinds: ["Create"], means: { invalid: "InvalidSpec", field: "network" } },
  {
    status: 500,
    text: /restart policy|max retry count/,
    kinds: ["Create", "Update"],
    means: { invalid: "InvalidSpec", field: "restartPolicy" },
  },
  { status: 500, text: /container name format/, means: { invalid: "InvalidSpec", field: "name" } },
  { status: 500, text: /source and destination must be set/, means: { invalid: "InvalidSpec", field: "volumes" } },
  {
    status: 500,
    text: /cannot use port mappings when in host network mode/,
    means: { invalid: "InvalidSpec", field: "ports" },
  },
  { status: 500, text: /privileged and with specified devices/, means: { invalid: "InvalidSpec", field: "devices" } },
  {
    status: 500,
    text: /unsupported log driver|log (driver|mode|config)/,
    kinds: ["Create"],
    means: { invalid: "InvalidSpec", field: "logging" },
  },
  {
    status: 500,
    text: /invalid signal|shouldn't be negative/,
    kinds: ["Stop"],
    means: { invalid: "InvalidSpec", field: "stop" },
  },
  { status: 400, text: /json: cannot unmarshal/, means: { invalid: "InvalidSpec" } },

  // Start of the process: runc's words.
  {
    status: 500,
    text: /OCI runtime|shim task|runc|error gathering device information|error mounting|executable file not found|no such file or directory/,
    kinds: ["Start"],
    means: { workload: "RunContainerError" },
  },

  // Anything else, by what was asked for.
  { status: 500, text: /./, kinds: ["Create"], means: { workload: "CreateContainerError" } },
  { status: 500, text: /./, kinds: ["Start"], means: { workload: "RunContainerError" } },
];

/** A 400 for a container that the daemon has no feature of; sent before anything is executed. */
const UNKNOWN_FEATURE = /feature \[[^\]]*\] not found/;
/** The feature is there, but lost its operations: a twin event was echoed to the device. A new registration heals it. */
const NO_HANDLER = /does not have e registered operations handler/;

/**
 * The meaning of an error answer.
 *
 * @param message the daemon's text; must already be free of secret values.
 */
export function readError(kind: Command["kind"], status: number, message: string): Verdict {
  if (status === 400 && UNKNOWN_FEATURE.test(message)) {
    return kind === "Remove" ? { kind: "GoalMet" } : { kind: "UnknownFeature" };
  }
  if (status === 404 && NO_HANDLER.test(message)) return failed({ class: "Transient", message });
  const row = ROWS.find(
    (candidate) =>
      candidate.status === status && (candidate.kinds?.includes(kind) ?? true) && candidate.text.test(message),
  );
  if (row === undefined) return failed(otherwise(status, message));
  const { means } = row;
  const text = row.say ?? message;
  if ("goalMet" in means) return { kind: "GoalMet" };
  if ("workload" in means) return failed({ class: "WorkloadFailed", reason: means.workload, message: text });
  if ("conflict" in means) return failed({ class: "Conflict", reason: means.conflict, message: text });
  if ("transient" in means) return failed({ class: "Transient", message: text });
  return failed({
    class: "Invalid",
    reason: means.invalid,
    message: text,
    ...(means.field !== undefined && { field: means.field }),
  });
}

/** A failure for a container that is unknown to the daemon after all retries. */
export function unknownFeature(message: string): BackendFailure {
  return { class: "Conflict", reason: "NotFound", message };
}

function otherwise(status: number, message: string): BackendFailure {
  const text = message === "" ? `the device answered with status ${status} and no text` : message;
  if (status === 400) return { class: "Invalid", reason: "InvalidSpec", message: text };
  return { class: "Transient", message: text };
}

function failed(failure: BackendFailure): Verdict {
  return { kind: "Failed", failure };
}
