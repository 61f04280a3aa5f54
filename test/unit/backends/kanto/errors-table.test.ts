import { describe, expect, test } from "vitest";
import type { Command } from "../../../../src/backends/contract.ts";
import { redact } from "../../../../src/backends/kanto/commands.ts";
import { readError } from "../../../../src/backends/kanto/errors-table.ts";
import { isObject } from "../../../../src/backends/guards.ts";
import { readTrace } from "./traces.ts";
import { wanted } from "./wanted.ts";

function meaning(kind: Command["kind"], status: number, message: string): string {
  const verdict = readError(kind, status, message);
  if (verdict.kind !== "Failed") return verdict.kind;
  const { failure } = verdict;
  return "reason" in failure ? `${failure.class} ${failure.reason}` : failure.class;
}

describe("error texts of the daemon", () => {
  test.each<[Command["kind"], number, string, string]>([
    ["Start", 500, "the container with id = 1 is already running", "GoalMet"],
    [
      "Start",
      500,
      "the container with id = 1 is paused - cannot start it - try unpausing it instead",
      "Conflict StateConflict",
    ],
    ["Start", 400, "feature [Container:1] not found ", "UnknownFeature"],
    ["Stop", 500, "cannot perform stop operation for container: 1, with state: Exited", "GoalMet"],
    ["Stop", 500, "could not stop container with ID = 1 with SIGTERM", "Transient"],
    ["Stop", 500, "invalid signal = SIGFOO", "Invalid InvalidSpec"],
    ["Pause", 500, "container with id = 1 is not running - current status is Paused", "GoalMet"],
    ["Pause", 500, "container with id = 1 is not running - current status is Created", "Conflict StateConflict"],
    ["Resume", 500, "container id = 1 is not paused - cannot unpause it ", "GoalMet"],
    ["Remove", 400, "feature [Container:1] not found ", "GoalMet"],
    ["Remove", 500, "no such container with id = 1 exists", "GoalMet"],
    ["Stop", 500, "no such container with id = 1 exists", "Conflict NotFound"],
    ["Start", 500, "no such container with id = 1 exists", "Conflict NotFound"],
    ["Update", 500, "no such container with id = 1 exists", "Conflict NotFound"],
    [
      "Remove",
      500,
      "container with id = 1 is not stopped - must set the force flag to true to remove it",
      "Conflict StateConflict",
    ],
    [
      "Start",
      500,
      "driver failed programming external connectivity on endpoint x: Bind for 0.0.0.0:8081 failed: port is already allocated",
      "Conflict PortConflict",
    ],
    [
      "Start",
      500,
      'failed to create shim task: OCI runtime create failed: exec: "nope": executable file not found in $PATH: unknown',
      "WorkloadFailed RunContainerError",
    ],
    [
      "Start",
      500,
      'error gathering device information while adding custom device "/dev/nope": no such file or directory',
      "WorkloadFailed RunContainerError",
    ],
    ["Create", 500, 'failed to resolve reference "bb": object required', "WorkloadFailed InvalidImageName"],
    [
      "Create",
      500,
      'failed to resolve reference "r/x:1": pull access denied, repository does not exist or may require authorization',
      "WorkloadFailed ImageUnauthorized",
    ],
    ["Create", 500, 'failed to resolve reference "r/x:1": r/x:1: not found', "WorkloadFailed ErrImagePull"],
    [
      "Create",
      500,
      'failed to resolve reference "r/x:1": failed to do request: Head "https://r": dial tcp: lookup r: no such host',
      "WorkloadFailed ErrImagePull",
    ],
    ["Create", 500, "minimum memory allowed is 3M", "Invalid InvalidSpec"],
    ["Create", 500, "something that nobody has seen before", "WorkloadFailed CreateContainerError"],
    ["Create", 400, "json: cannot unmarshal number 70000 into Go struct field", "Invalid InvalidSpec"],
    ["Update", 500, "something that nobody has seen before", "Transient"],
    ["Update", 404, "the target feature Container:1 does not have e registered operations handler", "Transient"],
    ["Rename", 500, "invalid container name format : -x", "Invalid InvalidSpec"],
    ["Start", 500, "", "Transient"],
  ])("%s %i %j is %s", (kind, status, message, expected) => expect(meaning(kind, status, message)).toBe(expected));

  test("every error in the recordings of a real daemon has a meaning of its own", () => {
    const told = readTrace("errors").flatMap((line) => {
      const { payload } = line;
      if (!isObject(payload) || !isObject(payload["value"])) return [];
      const { error, status, message } = payload["value"];
      if (typeof error !== "string" || typeof status !== "number" || typeof message !== "string") return [];
      const path = String(payload["path"]);
      if (status === 404) return [];
      return meaning(path.endsWith("/start") ? "Start" : "Create", status, message);
    });
    expect(told).toHaveLength(16);
    expect(told).not.toContain("Transient");
    expect(told).not.toContain("WorkloadFailed CreateContainerError");
  });
});

describe("redact", () => {
  const desired = wanted({
    env: [
      { name: "A", value: "s3cret" },
      { name: "B", value: "s3cret-longer" },
      { name: "C", value: "1" },
    ],
  });

  test("takes values of the environment out of a text, longest first, and leaves what occurs by chance", () => {
    expect(redact("A=s3cret B=s3cret-longer C=1 port 1", desired)).toBe("A=*** B=*** C=1 port 1");
  });

  test("leaves a text alone that belongs to no create", () => expect(redact("s3cret", undefined)).toBe("s3cret"));

  test("an invalid declaration is told without repeating it", () => {
    const verdict = readError("Create", 500, "invalid environmental variable declaration provided : 1A=x");
    expect(JSON.stringify(verdict)).not.toContain("1A=x");
  });
});
