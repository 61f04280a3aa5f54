import { describe, expect, test } from "vitest";
import { imageBehaviour, pullError, withCommand } from "../../../src/simulators/kanto/images.ts";

describe("what an image does", () => {
  test.each([
    ["r.test/app/crasher:1", { runMs: 1000, exitCode: 3, onSignal: 143 }],
    ["r.test/crasher-blue@sha256:0a", { runMs: 1000, exitCode: 3, onSignal: 143 }],
    ["docker.io/library/nginx:1.27", { onSignal: 0 }],
    ["r.test/crashers:1", { onSignal: 0 }],
  ])("%s", (reference, behaviour) => {
    expect(imageBehaviour(reference, {})).toEqual(behaviour);
  });

  test("a configured behaviour goes before the name's, one of the whole reference before one of the repository", () => {
    const table = { "r.test/crasher": { exitCode: 9 }, "r.test/crasher:2": { exitCode: 10 } };
    expect(imageBehaviour("r.test/crasher:1", table)).toMatchObject({ runMs: 1000, exitCode: 9 });
    expect(imageBehaviour("r.test/crasher:2", table)).toMatchObject({ exitCode: 10 });
  });
});

describe("what a command does in its place", () => {
  const image = { onSignal: 0, runMs: 7 };
  test.each<[string[], object]>([
    [[], image],
    [["nginx", "-g", "daemon off;"], image],
    [["true"], { onSignal: "ignore", runMs: 0 }],
    [["/bin/false"], { onSignal: "ignore", runMs: 0, exitCode: 1 }],
    [["sleep", "1.5"], { onSignal: "ignore", runMs: 1500 }],
    [["sleep", "infinity"], { onSignal: "ignore" }],
    [["sh"], { onSignal: "ignore" }],
    [["sh", "-c", "echo hello"], { onSignal: "ignore", runMs: 0, exitCode: 0 }],
    [["/bin/sh", "-c", "sleep 2; sleep 1 && exit 4"], { onSignal: "ignore", runMs: 3000, exitCode: 4 }],
    [["sh", "-c", "while true; do sleep 1; done"], { onSignal: "ignore" }],
    [["sh", "-c", "trap 'exit 3' TERM\nsleep infinity"], { onSignal: 3 }],
    [["/nope"], { missingCommand: "/nope" }],
    [["missing-tool", "x"], { missingCommand: "missing-tool" }],
  ])("%j", (cmd, behaviour) => {
    expect(withCommand(image, cmd)).toEqual(behaviour);
  });
});

describe("what cannot be pulled", () => {
  test.each<[string, object, string | undefined]>([
    ["r.test/a:1", {}, undefined],
    ["localhost:5000/a@sha256:ab", {}, undefined],
    ["localhost/a", {}, "object required"],
    [
      "r.test/a:1",
      { pullFailure: "denied" },
      "pull access denied, repository does not exist or may require authorization",
    ],
    [
      "r.test:5000/a:1",
      { pullFailure: "refused" },
      'Head "https://r.test:5000/v2/a/manifests/1": dial tcp r.test:5000: connect: connection refused',
    ],
    [
      "r.test/a@sha256:ab",
      { pullFailure: "plain-http" },
      'Head "https://r.test/v2/a/manifests/sha256:ab": http: server gave HTTP response',
    ],
    ["registry.invalid/a:1", {}, "dial tcp: lookup registry.invalid on"],
    ["r.test/a:1", { pullFailure: { error: "boom" } }, 'failed to resolve reference "r.test/a:1": boom'],
  ])("%s %j", (reference, behaviour, message) => {
    const error = pullError(reference, behaviour);
    if (message === undefined) {
      expect(error).toBeUndefined();
    } else {
      expect(error).toContain(message);
    }
  });
});
