/** What may befall any request to a vendor with an HTTP API, once and for an hour. The simulators share the words for it. */
import type { GatewayEffect, HttpEffect as PlainEffect } from "../../../../src/simulators/http-server.ts";
import type { Fault, Row } from "./cell.ts";
import { HOUR_MS, type Vendor } from "./stage.ts";

export type HttpEffect = PlainEffect | GatewayEffect;

/** Longer than any page lets a request take, shorter than what counts as settled. */
const LATE_MS = 20_000;
const ELSEWHERE = "http://192.0.2.1/";

/** Whatever is asked. `when` of what changes nothing makes no difference. */
const EITHER: readonly (readonly [string, HttpEffect])[] = [
  ["the connection is reset before", { kind: "reset", when: "before" }],
  ["no answer comes, nothing was done", { kind: "hang", when: "before" }],
  ["the request is late", { kind: "delay", ms: LATE_MS }],
  ["the answer has no end", { kind: "endless" }],
  ["the answer comes a byte at a time", { kind: "trickle", everyMs: 10_000 }],
  ["the answer is cut", { kind: "torn" }],
  ["redirected elsewhere", { kind: "redirect", to: ELSEWHERE }],
  ["401", { kind: "answer", when: "before", status: 401, echo: true }],
  ["403", { kind: "answer", when: "before", status: 403, echo: true }],
  ["404 of a gateway, in HTML", { kind: "answer", when: "before", status: 404, html: true }],
  ["408", { kind: "answer", when: "before", status: 408 }],
  ["429 without a time", { kind: "answer", when: "before", status: 429 }],
  ["429 with a time", { kind: "answer", when: "before", status: 429, retryAfterS: 120 }],
  ["500 that repeats the request", { kind: "answer", when: "before", status: 500, echo: true }],
  ["502 in HTML", { kind: "answer", when: "before", status: 502, html: true }],
  ["503 with a time", { kind: "answer", when: "before", status: 503, retryAfterS: 60 }],
  ["200 in HTML", { kind: "answer", when: "before", status: 200, html: true }],
  ["200 that says nothing", { kind: "answer", when: "before", status: 200 }],
];

const WRITTEN: readonly (readonly [string, HttpEffect])[] = [
  ["the connection is reset after it was done", { kind: "reset", when: "after" }],
  ["no answer comes after it was done", { kind: "hang", when: "after" }],
  ["401 after it was done", { kind: "answer", when: "after", status: 401 }],
  ["429 with a time after it was done", { kind: "answer", when: "after", status: 429, retryAfterS: 120 }],
  ["500 after it was done", { kind: "answer", when: "after", status: 500 }],
  ["502 in HTML after it was done", { kind: "answer", when: "after", status: 502, html: true }],
  ["404 of a gateway, in HTML, after it was done", { kind: "answer", when: "after", status: 404, html: true }],
  ["200 in HTML after it was done", { kind: "answer", when: "after", status: 200, html: true }],
  ["200 that says nothing after it was done", { kind: "answer", when: "after", status: 200 }],
  ["a gateway repeats it", { kind: "twice" }],
];

const READ: readonly (readonly [string, HttpEffect])[] = [["the answer is an old one", { kind: "stale" }]];

/** A vendor whose simulator takes these effects. */
export interface HttpVendor<K extends string, E = HttpEffect> extends Vendor {
  readonly simulator: {
    fault(rule: { match: K; times?: number | "all"; effect: E }): { hits(): number; remove(): void };
    clearFaults(): void;
  };
}

/** The faults of the requests of some kinds; each concerns the rows that send such a request. */
export function httpFaults<K extends string, V extends HttpVendor<K>>(
  kinds: Readonly<Record<K, "read" | "written">>,
  more?: More<K, V>,
): Fault<V>[] {
  return faultsInWordsOf<K, HttpEffect, V>(kinds, (effect) => effect, more);
}

/** Effects more than in the undisturbed run, as Fault has it. */
type More<K, V extends Vendor> = (kind: K, effect: HttpEffect, isLong: boolean, row: Row<V>) => number;

/** As httpFaults, for a simulator with words of its own. @param wordOf its word for an effect; undefined: it has none. */
export function faultsInWordsOf<K extends string, E, V extends HttpVendor<K, E>>(
  kinds: Readonly<Partial<Record<K, "read" | "written">>>,
  wordOf: (effect: HttpEffect) => E | undefined,
  more: More<K, V> = () => 0,
): Fault<V>[] {
  const allOf = (kind: K): [string, HttpEffect, E][] =>
    [...EITHER, ...(kinds[kind] === "written" ? WRITTEN : READ)].flatMap(([what, effect]) => {
      const word = wordOf(effect);
      return word === undefined ? [] : [[what, effect, word]];
    });
  return (Object.keys(kinds) as K[]).flatMap((kind) =>
    allOf(kind).flatMap(([what, effect, word]) =>
      // Reading as much as is read of an answer without end takes time.
      (effect.kind === "endless" ? [1] : [1, "all" as const]).map((times): Fault<V> => ({
        name: `${kind}: ${what}${times === 1 ? "" : ", for an hour"}`,
        when: "before",
        strike: ({ vendor }) => {
          const rule = vendor.simulator.fault({ match: kind, times, effect: word });
          return () => rule.hits() > 0;
        },
        lastsMs: HOUR_MS,
        heal: ({ vendor }) => vendor.simulator.clearFaults(),
        concerns: ({ requests }: Row<V>) => requests.includes(kind),
        more: (row) => more(kind, effect, times === "all", row),
      })),
    ),
  );
}
