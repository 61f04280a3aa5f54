import { expect, test } from "vitest";
import { ALPON_DIALECT } from "../../../../src/backends/alpon/dialect.ts";
import { Looker } from "../../../../src/backends/alpon/look.ts";
import type { HttpResult } from "../../../../src/backends/http/client.ts";

/** A device whose vendor answers `status` to whether it is online, and lists nothing. */
function bench(status: { code: number; json?: unknown }) {
  let nowMs = 0;
  let asked = 0;
  const looker = new Looker({
    assetId: "asset-1",
    dialect: ALPON_DIALECT,
    mutedMs: 1_000,
    get: (path): Promise<HttpResult> => {
      const answer = (code: number, json: unknown): HttpResult => ({
        kind: "Answer",
        status: code,
        headers: {},
        json,
        message: "",
      });
      if (path.endsWith("/containers")) return Promise.resolve(answer(200, []));
      if (!path.endsWith("/alpon")) return Promise.resolve(answer(200, {}));
      asked += 1;
      return Promise.resolve(answer(status.code, status.json));
    },
    firstOf: () => undefined,
    malformed: () => undefined,
    monotonic: () => nowMs,
  });
  return { looker, asked: () => asked, pass: (ms: number) => void (nowMs += ms) };
}

test.each([
  { code: 403, again: 1, why: "may not be asked" },
  { code: 404, again: 1, why: "is not told" },
  { code: 401, again: 2, why: "is refused to everything with this key" },
  { code: 503, again: 2, why: "cannot be told now" },
  { code: 200, again: 2, why: "is told" },
])("whether a device is online, which $why ($code), is asked $again times in two looks", async ({ code, again }) => {
  const { looker, asked, pass } = bench({ code });
  await looker.look();
  await looker.look();
  expect(asked()).toBe(again);
  pass(1_000);
  await looker.look();
  expect(asked()).toBe(again + 1);
});

test("a vendor that begins to tell it is believed again", async () => {
  const status: { code: number; json?: unknown } = { code: 404 };
  const { looker, pass } = bench(status);
  await looker.look();
  Object.assign(status, { code: 200, json: { online: false } });
  pass(1_000);
  await looker.look();
  expect(looker.isOffline).toBe(true);
  status.code = 404;
  await looker.look();
  expect(looker.isOffline).toBe(false);
});
