import { Writable } from "node:stream";
import { describe, expect, test } from "vitest";
import { createLogger, describeError, type LoggerOptions, serializeError } from "../../../src/controller/logging.ts";
import { ApiError, TransportError } from "../../../src/kube/errors.ts";

async function capture(options: LoggerOptions = {}) {
  let text = "";
  const destination = new Writable({
    write(chunk: Buffer, _encoding, done) {
      text += chunk.toString();
      done();
    },
  });
  const log = await createLogger({ format: "json", ...options, destination });
  return { log, text: () => text, line: () => JSON.parse(text) as Record<string, unknown> };
}

describe("a line", () => {
  test("is one JSON object with a word for the level and an RFC 3339 time", async () => {
    const { log, line } = await capture();
    log.info({ controller: "edgecontainer" }, "hello");
    expect(line()).toEqual({
      level: "info",
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/) as string,
      controller: "edgecontainer",
      msg: "hello",
    });
  });

  test("below the level is not written", async () => {
    const { log, text } = await capture({ level: "warn" });
    log.info("quiet");
    expect(text()).toBe("");
  });

  test("pretty is for people, and tells the fields too", async () => {
    const { log, text } = await capture({ format: "pretty" });
    log.warn({ lease: "drayage" }, "lost");
    expect(text()).toMatch(/WARN.*lost/);
    expect(text()).toContain('lease: "drayage"');
    expect(text()).not.toContain("{");
  });
});

describe("secrets", () => {
  const SECRET = "hunter2-unique";
  test.each([
    "password",
    "passphrase",
    "token",
    "accessToken",
    "refreshToken",
    "apiKey",
    "secret",
    "credentials",
    "authorization",
    "stringData",
    "privateKey",
  ])("under %s never reach a line, at any of three depths, in fields or in a child's bindings", async (name) => {
    for (const format of ["json", "pretty"] as const) {
      const { log, text } = await capture({ format });
      log.info({ [name]: SECRET }, "top");
      log.info({ options: { [name]: SECRET } }, "one down");
      log.info({ request: { headers: { [name]: SECRET } } }, "two down");
      log.child({ [name]: SECRET }).info("child");
      expect(text()).not.toContain(SECRET);
      expect(text()).toContain("[redacted]");
    }
  });

  test("that a library hangs on its errors stay out", async () => {
    const { log, text } = await capture();
    const error = Object.assign(new Error("failed"), { request: { body: SECRET }, config: { headers: { x: SECRET } } });
    log.error({ err: error }, "request failed");
    log.error({ error }, "the same");
    expect(text()).not.toContain(SECRET);
  });
});

describe("errors", () => {
  test("of the API server are told by status, reason and message, without a stack", () => {
    const error = new ApiError("patch edgecontainers ns/a", 409, {
      reason: "Conflict",
      message: "object was modified",
    });
    expect(serializeError(error)).toEqual({
      type: "ApiError",
      message: "patch edgecontainers ns/a: 409 Conflict: object was modified",
      status: 409,
      reason: "Conflict",
    });
  });

  test("of the way there are told by their code and cause", () => {
    const error = new TransportError("get x", "ECONNREFUSED", "no", "no connection", new Error("connect ECONNREFUSED"));
    expect(serializeError(error)).toEqual({
      type: "TransportError",
      message: "get x: no connection",
      code: "ECONNREFUSED",
      cause: "connect ECONNREFUSED",
    });
  });

  test("of our own making keep their stack", () => {
    expect(serializeError(new TypeError("oops"))).toMatchObject({
      type: "TypeError",
      message: "oops",
      stack: expect.stringContaining("logging.test.ts") as string,
    });
  });

  test("that are no errors are told by their text, and huge messages are cut", () => {
    expect(serializeError("text")).toEqual({ type: "string", message: "text" });
    const message = (serializeError(new ApiError("x", 422, { message: "y".repeat(100_000) })) as { message: string })
      .message;
    expect(message.length).toBeLessThan(2100);
  });
});

describe("describeError", () => {
  test.each([
    { why: "plain", error: new Error("broken"), text: "broken" },
    { why: "with cause", error: new Error("a", { cause: new Error("b") }), text: "a: b" },
    { why: "a cause that is repeated", error: new Error("a: b", { cause: new Error("b") }), text: "a: b" },
    { why: "several lines", error: new Error("a\n  b\n"), text: "a b" },
    { why: "no message", error: new TypeError(), text: "TypeError" },
    {
      why: "several addresses refused",
      error: new AggregateError([new Error("refused ::1"), new Error("refused 127.0.0.1"), new Error("refused ::1")]),
      text: "refused ::1; refused 127.0.0.1",
    },
    { why: "not an error", error: 42, text: "42" },
  ])("$why: one line", ({ error, text }) => {
    expect(describeError(error).trim()).toBe(text);
  });

  test("ends for a cause that leads back to itself", () => {
    const error = new Error("loop");
    error.cause = error;
    expect(describeError(error)).toBe("loop");
  });
});
