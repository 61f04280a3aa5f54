import { describe, expect, test } from "vitest";
import { cronProblem, isDue } from "../../../src/simulators/mittwald/cron.ts";

describe("an update schedule", () => {
  test.each<[string, string, string | undefined, boolean]>([
    ["0 3 * * *", "2026-01-05T03:00:30Z", undefined, true],
    ["0 3 * * *", "2026-01-05T03:01:00Z", undefined, false],
    ["0 3 * * *", "2026-01-05T02:00:00Z", "Europe/Berlin", true],
    ["0 3 * * *", "2026-07-06T01:00:00Z", "Europe/Berlin", true],
    ["0 0 * * *", "2026-01-05T00:00:00Z", undefined, true],
    ["*/15 * * * *", "2026-01-05T11:45:00Z", undefined, true],
    ["*/15 * * * *", "2026-01-05T11:46:00Z", undefined, false],
    ["5-10/5,30 * * * *", "2026-01-05T11:10:00Z", undefined, true],
    ["5-10/5,30 * * * *", "2026-01-05T11:30:00Z", undefined, true],
    ["5-10/5,30 * * * *", "2026-01-05T11:06:00Z", undefined, false],
    ["0 0 * * 1", "2026-01-05T00:00:00Z", undefined, true],
    ["0 0 * * 7", "2026-01-04T00:00:00Z", undefined, true],
    ["0 0 * * 0", "2026-01-05T00:00:00Z", undefined, false],
    ["0 0 5 * 0", "2026-01-05T00:00:00Z", undefined, true],
    ["0 0 6 * 0", "2026-01-05T00:00:00Z", undefined, false],
    ["0 0 6 * *", "2026-01-05T00:00:00Z", undefined, false],
    ["0 0 * 2 *", "2026-01-05T00:00:00Z", undefined, false],
  ])("%s at %s in %s: %s", (cron, at, timezone, due) => {
    const schedule = { cron, ...(timezone !== undefined && { timezone }) };
    expect(cronProblem(schedule)).toBeUndefined();
    expect(isDue(schedule, Date.parse(at))).toBe(due);
  });
});
