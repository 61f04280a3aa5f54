import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { errorText, redact } from "../../../../src/backends/http/text.ts";

describe("an error text", () => {
  test.each([
    ['{"error":"Task not found"}', "Task not found"],
    ['{"code":5,"message":"no such machine","details":[]}', "no such machine"],
    ['{"error":{"message":"deep"}}', "deep"],
    ['{"errors":1}', ""],
    ["", ""],
    ["<!doctype html><title>502 Bad Gateway</title><p>x", "502 Bad Gateway"],
    ["<html><script>var a='<b>'</script><h1>Not  here</h1></html>", "Not here"],
    ["plain\nwords\u0007", "plain words"],
  ])("of %s is %s", (body, text) => {
    expect(errorText(body, [])).toBe(text);
  });

  test("is short, one line and well-formed, whatever comes", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 2000 }), (body) => {
        const text = errorText(body, []);
        expect(text.length).toBeLessThanOrEqual(300);
        expect(text).not.toMatch(/[\r\n]/);
        expect(text.isWellFormed()).toBe(true);
      }),
    );
  });

  test("is found in bounded time in whatever a server makes of a page", () => {
    // By the square of the length it would take minutes: far beyond the limit of a test.
    for (const piece of ["<a", "<title", "<script", "<title>"])
      expect(errorText(piece.repeat(150_000), []).length).toBeLessThanOrEqual(300);
  });

  test("never holds a secret, however the vendor wraps it", () => {
    const secret = fc
      .string({ minLength: 8, maxLength: 40 })
      .filter((text) => /^\S+$/.test(text) && !text.includes("*"));
    const wrap = fc.constantFrom(
      (text: string) => text,
      (text: string) => JSON.stringify({ error: `bad value ${text}` }),
      (text: string) => JSON.stringify({ message: [text] }),
      (text: string) => `<p>${text}</p>`,
      (text: string) => encodeURIComponent(text),
      (text: string) => Buffer.from(text).toString("base64"),
    );
    fc.assert(
      fc.property(secret, wrap, fc.string({ maxLength: 400 }), (value, wrapped, before) => {
        const text = errorText(`${before} ${wrapped(value)}`, [value]);
        expect(text).not.toContain(value);
        expect(text).not.toContain(Buffer.from(value).toString("base64"));
      }),
    );
  });

  test("leaves words alone that only look like a very short secret", () => {
    expect(redact("port 80 is taken", ["80"])).toBe("port 80 is taken");
  });
});
