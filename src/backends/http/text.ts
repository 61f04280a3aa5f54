/** Vendors' error texts, fit to be shown: short, one line, no markup, and free of what we sent. */
import { isObject, parseJson } from "../guards.ts";

/** Longest text that is passed on, characters. */
const LONGEST = 300;
/** So much of a body that is no JSON is looked at: looking for markup takes time by the square of it. */
const LONGEST_PAGE = 4_096;
/** A shorter "secret" would cut harmless words to pieces; it gives nothing away either. */
const SHORTEST_SECRET = 4;

/** Keys under which JSON error bodies carry their sentence, in this order. */
const MESSAGE_KEYS = ["message", "error_description", "detail", "error", "title", "reason", "msg"];

/** Replaces every secret, also where it is URL-encoded, JSON-escaped or in base64. */
export function redact(text: string, secrets: readonly string[]): string {
  let clean = text;
  const forms = secrets
    .filter((secret) => secret.length >= SHORTEST_SECRET)
    .flatMap((secret) => [
      secret,
      encodeURIComponent(secret.toWellFormed()),
      JSON.stringify(secret).slice(1, -1),
      Buffer.from(secret).toString("base64"),
    ])
    .sort((a, b) => b.length - a.length);
  for (const form of new Set(forms)) clean = clean.replaceAll(form, "***");
  return clean;
}

/** One line of at most 300 characters, without control characters and without half a character at its end. */
export function oneLine(text: string): string {
  const line = text
    .toWellFormed()
    .replaceAll(/[\p{Cc}\p{Zl}\p{Zp}\s]+/gu, " ")
    .trim();
  return line.length <= LONGEST ? line : `${line.slice(0, LONGEST - 1).replace(/[\uD800-\uDBFF]$/, "")}…`;
}

/** The sentence in an error body: of JSON its message, of HTML its title or words, else the text itself. Secrets are taken out first. */
export function errorText(body: string, secrets: readonly string[]): string {
  // Cutting before redacting could leave half a secret.
  const clean = redact(body, secrets);
  const json = parseJson(clean);
  const found = json === undefined ? undefined : messageIn(json, 0);
  if (found !== undefined) return oneLine(redact(found, secrets));
  if (json !== undefined) return "";
  const page = clean.slice(0, LONGEST_PAGE);
  if (!/<[a-z!][^>]*>/i.test(page)) return oneLine(page);
  const title = /<title[^>]*>([^<]*)<\/title>/i.exec(page)?.[1];
  const words = page.replaceAll(/<(script|style)\b[\s\S]*?(<\/\1>|$)/gi, " ").replaceAll(/<[^>]*>?/g, " ");
  return oneLine(title !== undefined && title.trim() !== "" ? title : words);
}

function messageIn(value: unknown, depth: number): string | undefined {
  if (typeof value === "string") return value === "" ? undefined : value;
  if (depth > 3) return undefined;
  if (Array.isArray(value)) return messageIn(value[0], depth + 1);
  if (!isObject(value)) return undefined;
  for (const key of MESSAGE_KEYS) {
    const found = messageIn(value[key], depth + 1);
    if (found !== undefined) return found;
  }
  return undefined;
}
