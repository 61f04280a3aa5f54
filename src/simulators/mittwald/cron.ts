// Times of an update schedule: five fields with numbers, `*`, lists, ranges and steps, in a time zone. Names of days and months are not known.

import type { UpdateSchedule } from "./types.ts";

const FIELDS = [
  [0, 59],
  [0, 23],
  [1, 31],
  [1, 12],
  [0, 7],
] as const;

/** What is wrong with a schedule; undefined when nothing is. */
export function cronProblem({ cron, timezone }: UpdateSchedule): string | undefined {
  const fields = cron.trim().split(/\s+/);
  if (fields.length !== FIELDS.length) return `'${cron}' does not have five fields`;
  for (const [index, [least, most]] of FIELDS.entries()) {
    const field = fields[index] ?? "";
    if (valuesOf(field, least, most) === undefined) return `'${field}' is not a field of a cron expression`;
  }
  return timezone === undefined || zoneOf(timezone) !== undefined ? undefined : `'${timezone}' is not a time zone`;
}

/** Whether a minute is one of the schedule's. @param atMs in that minute, ms since 1970 */
export function isDue({ cron, timezone }: UpdateSchedule, atMs: number): boolean {
  const parts = new Map(
    (zoneOf(timezone ?? "UTC") ?? zoneOf("UTC"))?.formatToParts(atMs).map(({ type, value }) => [type, value]),
  );
  const number = (type: Intl.DateTimeFormatPartTypes): number => Number(parts.get(type));
  const weekday = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"].indexOf(parts.get("weekday") ?? "");
  const now = [number("minute"), number("hour") % 24, number("day"), number("month"), weekday];
  const fits = cron
    .trim()
    .split(/\s+/)
    .map((field, index) => {
      const [least, most] = FIELDS[index] ?? [0, 0];
      const values = valuesOf(field, least, most);
      const value = now[index] ?? -1;
      return values?.has(value) === true || (index === 4 && value === 0 && values?.has(7) === true);
    });
  const [minute, hour, day, month, dayOfWeek] = fits;
  const restricted = [2, 4].map((index) => cron.trim().split(/\s+/)[index] !== "*");
  // As in cron(8): where both days are restricted, either will do.
  const isDay =
    restricted[0] === true && restricted[1] === true ? day === true || dayOfWeek === true : day && dayOfWeek;
  return minute === true && hour === true && month === true && isDay === true;
}

function zoneOf(timeZone: string): Intl.DateTimeFormat | undefined {
  try {
    return new Intl.DateTimeFormat("en-US", {
      timeZone,
      hourCycle: "h23",
      weekday: "short",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric",
    });
  } catch {
    return undefined;
  }
}

function valuesOf(field: string, least: number, most: number): ReadonlySet<number> | undefined {
  const values = new Set<number>();
  for (const part of field.split(",")) {
    const match = /^(?:\*|(\d{1,2})(?:-(\d{1,2}))?)(?:\/(\d{1,2}))?$/.exec(part);
    if (match === null) return undefined;
    const [, from, to, step] = match;
    const first = from === undefined ? least : Number(from);
    const last = to === undefined ? (from === undefined || step !== undefined ? most : first) : Number(to);
    const by = step === undefined ? 1 : Number(step);
    if (first < least || last > most || first > last || by < 1) return undefined;
    for (let value = first; value <= last; value += by) values.add(value);
  }
  return values;
}
