import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { StreamDecoder } from "../../../../src/backends/alpon/stream-decoder.ts";

/** Everything that a decoder says about bytes that come in these pieces. */
function decode(chunks: readonly Uint8Array[]): { objects: unknown[]; malformed: number } {
  const objects: unknown[] = [];
  let malformed = 0;
  const decoder = new StreamDecoder({
    object: (value) => void objects.push(value),
    malformed: () => {
      malformed += 1;
    },
  });
  for (const chunk of chunks) decoder.push(chunk);
  decoder.end();
  return { objects, malformed };
}
const decodeText = (text: string) => decode([Buffer.from(text)]);

/** Cuts anywhere, also within a character. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...at].map((start, index) => bytes.subarray(start, at[index] ?? bytes.length));
}

const FRAMINGS: Record<string, (events: readonly object[]) => string> = {
  "server-sent events": (events) => events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join(""),
  "server-sent events without a last empty line": (events) =>
    events.map((event) => `data:${JSON.stringify(event)}`).join("\n\n"),
  "server-sent events with CRLF, comments and fields": (events) =>
    events
      .map(
        (event) =>
          `: ping {"status":"Fail"}\r\n\r\nevent: message\r\nid: 7\r\nretry: 10\r\ndata: ${JSON.stringify(event)}\r\n\r\n`,
      )
      .join(""),
  "server-sent events with CR": (events) => events.map((event) => `data: ${JSON.stringify(event)}\r\r`).join(""),
  "server-sent events over several data lines": (events) =>
    events
      .map(
        (event) =>
          `${JSON.stringify(event, undefined, 1)
            .split("\n")
            .map((line) => `data: ${line}`)
            .join("\n")}\n\n`,
      )
      .join(""),
  "newline-delimited": (events) => events.map((event) => `${JSON.stringify(event)}\n`).join("\n"),
  concatenated: (events) => events.map((event) => JSON.stringify(event)).join(""),
  indented: (events) => events.map((event) => JSON.stringify(event, undefined, 2)).join("\n"),
  "an array": (events) => JSON.stringify(events),
  "a JSON text sequence": (events) => events.map((event) => `\u001E${JSON.stringify(event)}\n`).join(""),
};

const event = fc.record(
  {
    status: fc.constantFrom("Downloading", "Unpacking", "Running", "Success", "Fail"),
    message: fc.string({ unit: "grapheme" }),
    percentage: fc.integer(),
    "deep: {er}": fc.array(fc.dictionary(fc.string(), fc.string({ unit: "binary" }), { noNullPrototype: true }), {
      maxLength: 2,
    }),
  },
  { requiredKeys: ["status", "message"], noNullPrototype: true },
);

describe.each(Object.entries(FRAMINGS))("%s", (_name, frame) => {
  test("gives every object, however the bytes are cut", () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 5 }), fc.array(fc.nat(), { maxLength: 12 }), (events, places) => {
        const plain = JSON.parse(JSON.stringify(events)) as unknown[];
        const bytes = Buffer.from(frame(events));
        expect(decode(cut(bytes, places))).toEqual({ objects: plain, malformed: 0 });
      }),
      { numRuns: 60 },
    );
  });

  test("gives the same byte by byte", () => {
    const events = [
      { status: "Running", message: 'brace } quote " backslash \\ über 🚀' },
      { status: "Success", message: "" },
    ];
    const bytes = [...Buffer.from(frame(events))].map((byte) => Buffer.from([byte]));
    expect(decode(bytes)).toEqual({ objects: events, malformed: 0 });
  });
});

test("never throws, and ends as often as it begins, whatever comes", () => {
  const piece = fc.oneof(
    fc.constantFrom(
      "{",
      "}",
      '"',
      "\\",
      "\n",
      "\r",
      "\r\n\r\n",
      "data: ",
      "data:",
      ": ",
      "event: x",
      "[",
      ",",
      '{"a":1}',
    ),
    fc.string({ unit: "binary" }),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }), fc.array(fc.nat(), { maxLength: 8 }), (pieces, places) => {
      const bytes = Buffer.from(pieces.join(""));
      expect(decode(cut(bytes, places))).toEqual(decode([bytes]));
    }),
  );
});

test("after garbage it finds the next event", () => {
  const good = { status: "Success", message: "" };
  expect(decodeText(`data: {"status": oops}\n\ndata: ${JSON.stringify(good)}\n\n`)).toEqual({
    objects: [good],
    malformed: 1,
  });
  expect(decodeText(`data: {"status": "cut\n\ndata: ${JSON.stringify(good)}\n\n`)).toEqual({
    objects: [good],
    malformed: 1,
  });
  expect(decodeText(`<html>{}</html>\n${JSON.stringify(good)}`)).toEqual({ objects: [good], malformed: 1 });
});

test("an object that was cut off is counted, and one that has no end is bounded", () => {
  expect(decodeText('data: {"status":"Succ')).toEqual({ objects: [], malformed: 1 });
  expect(decodeText(`{"a":"${"x".repeat(200_000)}"}{"b":1}`)).toEqual({ objects: [{ b: 1 }], malformed: 1 });
});
