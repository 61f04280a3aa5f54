/** What a refusal means, for people: the daemon's own texts say little to somebody who does not know its source. */
import { readError } from "../errors-table.ts";
import { OPERATIONS, type Call } from "./operations.ts";

/** One sentence without a full stop; what to do is in it where that can be said. */
export function meaningOf(call: Call, status: number, message: string): string {
  if (call.operation === "stop" && /could not stop container/.test(message)) {
    return "the process ignores SIGTERM, as the first process of a container does unless it asked for it: use stopWithOptions with force";
  }
  const verdict = readError(OPERATIONS[call.operation].kind, status, message);
  switch (verdict.kind) {
    case "GoalMet":
      return "it is already so, nothing was changed";
    case "UnknownFeature":
      return "the device has no such container, or has not registered it yet; nothing was done";
    case "Failed": {
      const { failure } = verdict;
      switch (failure.class) {
        case "Invalid":
          return `the device does not take this value${failure.field === undefined ? "" : ` (${failure.field})`}`;
        case "Conflict":
          return CONFLICTS[failure.reason];
        case "WorkloadFailed":
          return `the container could not be made or run (${failure.reason})`;
        case "Transient":
        case "Unsupported":
        case "RateLimited":
        case "Unreachable":
        case "Unauthorized":
        case "Ambiguous":
          return "nothing that is known for good: it may work later";
        default:
          return failure satisfies never;
      }
    }
    default:
      return verdict satisfies never;
  }
}

const CONFLICTS = {
  PortConflict: "another process holds a host port of the container",
  NameConflict: "the name is taken",
  StateConflict: "the container is in another state than this operation needs",
  NotFound: "the device has no such container",
} as const;
