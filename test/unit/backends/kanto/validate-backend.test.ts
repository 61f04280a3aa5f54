import { describe, expect, test } from "vitest";
import { createKantoBackend } from "../../../../src/backends/kanto/index.ts";
import { FakeClock } from "../../../support/fake-clock.ts";

const log = (): void => undefined;
const backend = createKantoBackend({
  clock: new FakeClock(),
  log: { debug: log, info: log, warn: log, error: log },
  metrics: { command: log, malformed: log, reconnect: log },
  fence: { valid: () => true },
  random: () => 0.5,
  timings: {},
  processId: "p",
});

describe("the url of a Ditto", () => {
  test.each(["https://ditto.example/api/2", "https://ditto.example/path/api/2/"])(
    "%s is refused: it ends too late",
    (url) => {
      expect(backend.validateBackend({ kanto: { url, transport: "Ditto", tenant: "t1" } })).toMatchObject([
        { path: "kanto.url", reason: "InvalidSpec", message: expect.stringContaining("leave /api/2 out") },
      ]);
    },
  );

  test.each(["https://ditto.example", "https://ditto.example/path"])("%s is taken", (url) => {
    expect(backend.validateBackend({ kanto: { url, transport: "Ditto", tenant: "t1" } })).toEqual([]);
  });
});
