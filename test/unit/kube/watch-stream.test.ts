import { inspect } from "node:util";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { TransportError } from "../../../src/kube/errors.ts";
import { WatchDecoder, type WatchEvent } from "../../../src/kube/watch-stream.ts";

function decode(chunks: readonly Buffer[]): WatchEvent[] {
  const events: WatchEvent[] = [];
  const decoder = new WatchDecoder("watch things", (event) => events.push(event));
  for (const chunk of chunks) {
    decoder.push(chunk);
  }
  decoder.end();
  return events;
}

function failure(run: () => unknown): TransportError {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(TransportError);
    return error as TransportError;
  }
  throw new Error("nothing was thrown");
}

const event = fc.record({
  type: fc.constantFrom("ADDED", "MODIFIED", "DELETED", "BOOKMARK"),
  object: fc.record({
    metadata: fc.record({ name: fc.string({ unit: "grapheme" }), resourceVersion: fc.nat().map(String) }),
  }),
});

describe("the events of a watch", () => {
  test("do not depend on how the bytes were cut on their way", () => {
    fc.assert(
      fc.property(
        fc.array(event, { maxLength: 8 }),
        fc.array(fc.nat({ max: 2000 }), { maxLength: 20 }),
        (sent, cuts) => {
          const bytes = Buffer.from(sent.map((each) => `${JSON.stringify(each)}\n`).join(""));
          const at = [0, ...cuts.filter((cut) => cut < bytes.length).sort((a, b) => a - b), bytes.length];
          const chunks = at.slice(1).map((end, index) => bytes.subarray(at[index], end));
          expect(decode(chunks)).toEqual(JSON.parse(JSON.stringify(sent)));
        },
      ),
    );
  });

  test("end with an error when the stream ends inside one", () => {
    const error = failure(() => decode([Buffer.from('{"type":"ADDED","object":{"metadata":{"na')]));
    expect(error.code).toBe("Garbled");
  });

  test("that are not JSON, or no events, are an error that does not quote them", () => {
    for (const line of [
      '{"type":"ADDED","object":{"data":"hunter2"',
      "null",
      "[]",
      '{"type":"ADDED","object":{}}',
      '{"type":"ADDED","object":{"metadata":null}}',
      '{"type":"ADDED","object":{"metadata":{"name":"a","resourceVersion":""}}}',
      '{"type":"NEW","object":{}}',
      '{"object":7}',
    ]) {
      const error = failure(() => decode([Buffer.from(`${line}\n`)]));
      expect(error.code).toBe("Garbled");
      expect(inspect(error, { depth: 9 })).not.toContain("hunter2");
    }
  });

  test("without end are refused instead of filling the memory", () => {
    const decoder = new WatchDecoder("watch things", () => undefined);
    const megabyte = Buffer.alloc(1024 * 1024, 0x61);
    const error = failure(() => {
      for (let index = 0; index < 64; index += 1) {
        decoder.push(megabyte);
      }
    });
    expect(error.code).toBe("TooLarge");
  });

  test("of type ERROR carry the server's status", () => {
    const line = '{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired"}}\n';
    expect(decode([Buffer.from(line)])).toEqual([
      { type: "ERROR", status: { kind: "Status", code: 410, reason: "Expired" } },
    ]);
  });
});
