/** Whose word an answer to a message is: the device's, Ditto's refusal, or nobody's. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { judgeAnswer } from "../../../../../src/backends/kanto/ditto/answers.ts";

const body = (value: unknown): string => JSON.stringify(value);

describe("the device's own word", () => {
  test.each([
    ["success without a value", 204, "", ""],
    ["a created container's id", 200, '"c1"', '"c1"'],
    ["a refused parameter", 400, body({ error: "messages:parameter.invalid", status: 400, message: "m" }), undefined],
    ["an unknown operation", 404, body({ error: "messages:subject.notfound", status: 404, message: "m" }), undefined],
    ["a failed execution", 500, body({ error: "messages:execution.failed", status: 500, message: "m" }), undefined],
  ])("%s", (_what, status, text, value) => {
    expect(judgeAnswer(status, text)).toEqual({ kind: "Answered", status, value: value ?? text });
  });
});

describe("Ditto's refusal before anything was passed on", () => {
  test.each([
    ["a thing that is not there", 404, "things:thing.notfound", false],
    ["a missing right", 403, "messages:send.notallowed", true],
    ["wrong credentials", 401, "gateway:authentication.failed", true],
    ["a payload that is too large", 413, "messages:payload.toolarge", false],
    ["too many requests", 429, "too.many.requests", false],
    ["a subject that is none", 400, "messages:subject.invalid", false],
  ])("%s", (_what, status, error, denied) => {
    expect(judgeAnswer(status, body({ status, error, message: "why" }))).toEqual({
      kind: "Refused",
      denied,
      reason: `Ditto answers ${status}: why`,
    });
  });

  test.each([
    ["The timeout <60s> is not inside its allowed bounds <0s - 30s>", 30],
    ["The timeout <60000ms> is not inside its allowed bounds <0ms - 10000ms>", 10],
    ["The timeout <60s> is not inside its allowed bounds <0ms - 500ms>", undefined],
    ["nothing of the kind", undefined],
  ])("a timeout that is too long tells the longest: %s", (message, maxTimeoutS) => {
    const verdict = judgeAnswer(400, body({ status: 400, error: "timeout.invalid", message }));
    expect(verdict.kind === "Refused" ? verdict.maxTimeoutS : "no refusal").toBe(maxTimeoutS);
  });

  test("a page of a proxy", () => {
    expect(judgeAnswer(404, "<html>not here</html>")).toMatchObject({ kind: "Refused", reason: "Ditto answers 404" });
  });
});

describe("what leaves open whether it was carried out", () => {
  test.each<[number, string]>([
    [408, body({ status: 408, error: "command.timeout", message: "m" })],
    [424, body({ status: 424, error: "acknowledgement:failed", message: "m" })],
    [429, "<html>slow down</html>"],
    [500, body({ status: 500, error: "internalerror", message: "m" })],
    [500, "messages:execution.failed"],
    [502, ""],
    [503, body({ status: 503, error: "things:thing.unavailable", message: "m" })],
    [202, ""],
    [200, "<html>log in here</html>"],
  ])("%i %s", (status, text) => {
    expect(judgeAnswer(status, text).kind).toBe("Unknown");
  });

  test("a status of the server is never taken for a refusal, whatever comes with it", () => {
    fc.assert(
      fc.property(fc.integer({ min: 500, max: 599 }), fc.json(), (status, text) => {
        expect(judgeAnswer(status, text).kind).not.toBe("Refused");
      }),
    );
  });

  test("total: any status and any text", () => {
    fc.assert(
      fc.property(fc.integer({ min: 100, max: 999 }), fc.string(), (status, text) => {
        expect(["Answered", "Refused", "Unknown"]).toContain(judgeAnswer(status, text).kind);
      }),
    );
  });
});
