/**
 * Takes JSON objects out of a stream of bytes whose framing nobody has documented: server-sent events (data lines, comments, other fields,
 * any line end), newline-delimited, concatenated, one object alone, or an array; cut anywhere, also within a character. A library for
 * server-sent events alone would leave the other four to be told apart from it, so this does all of them: outside an object it reads lines'
 * heads, inside it counts braces beside strings.
 *
 * An object that is no JSON, or does not fit, is dropped and counted, never thrown.
 */
import { isObject, parseJson, type JsonObject } from "../guards.ts";

/** Longest object, characters; events are some hundred. */
const LONGEST_OBJECT = 65_536;
/** Longest begin of a line that is kept to see what it is. */
const LONGEST_HEAD = 64;

export interface DecoderEvents {
  object(value: JsonObject): void;
  malformed(): void;
}

export class StreamDecoder {
  readonly #events: DecoderEvents;
  readonly #text = new TextDecoder("utf-8");
  /** Outside objects: the line so far. */
  #head = "";
  #skipsLine = false;
  #afterCarriageReturn = false;
  /** Inside an object: its text, how deep, and whether in a string. */
  #object = "";
  #depth = 0;
  #inString = false;
  #isEscaped = false;
  /** The object began on a data line: its further lines are data lines, too. */
  #isEvent = false;
  /** Within an event's object, at the begin of a line: what came of it so far. */
  #lineHead: string | undefined;
  #isTooLong = false;

  constructor(events: DecoderEvents) {
    this.#events = events;
  }

  push(chunk: Uint8Array): void {
    this.#take(this.#text.decode(chunk, { stream: true }));
  }

  /** No more will come: what is open is incomplete. */
  end(): void {
    this.#take(this.#text.decode());
    if (this.#depth > 0) this.#drop();
    this.#head = "";
  }

  #take(text: string): void {
    for (const character of text) {
      const isFeedOfPair = character === "\n" && this.#afterCarriageReturn;
      this.#afterCarriageReturn = character === "\r";
      if (isFeedOfPair) continue;
      if (this.#depth === 0) this.#outside(character);
      else this.#inside(character);
    }
  }

  #outside(character: string): void {
    if (character === "\n" || character === "\r") {
      this.#head = "";
      this.#skipsLine = false;
      return;
    }
    if (this.#skipsLine) return;
    if (character === "{") {
      const head = this.#head.trimStart();
      const isData = head.startsWith("data:");
      // Brackets and commas of an array are framing, too. Anything else before a brace is no JSON: a comment, another field, garbage.
      if (isFraming(isData ? head.slice("data:".length) : head)) {
        this.#begin(isData);
        return;
      }
      this.#skipsLine = true;
      if (!isField(head)) this.#events.malformed();
      return;
    }
    if (this.#head.length < LONGEST_HEAD) this.#head += character;
    else this.#skipsLine = true;
  }

  #begin(isEvent: boolean): void {
    this.#object = "{";
    this.#depth = 1;
    this.#inString = false;
    this.#isEscaped = false;
    this.#isEvent = isEvent;
    this.#lineHead = undefined;
    this.#isTooLong = false;
    // What follows the object on its line is judged as what follows this.
    this.#head = isEvent ? "data:" : "";
  }

  #inside(character: string): void {
    if (this.#isEvent && (character === "\n" || character === "\r")) {
      // An empty line ends the event, whether its object is complete or not.
      if (this.#lineHead === "") this.#drop();
      else this.#lineHead = "";
      this.#skipsLine = false;
      return;
    }
    if (this.#lineHead !== undefined) {
      if (this.#skipsLine) return;
      this.#lineHead += character;
      if (this.#lineHead === "data:") this.#lineHead = undefined;
      else if (!"data:".startsWith(this.#lineHead)) this.#skipsLine = true;
      return;
    }
    if (this.#object.length < LONGEST_OBJECT) this.#object += character;
    else this.#isTooLong = true;
    if (this.#inString) {
      if (this.#isEscaped) this.#isEscaped = false;
      else if (character === "\\") this.#isEscaped = true;
      else if (character === '"') this.#inString = false;
      return;
    }
    if (character === '"') this.#inString = true;
    else if (character === "{") this.#depth += 1;
    else if (character === "}") {
      this.#depth -= 1;
      if (this.#depth === 0) this.#complete();
    }
  }

  #complete(): void {
    const value = this.#isTooLong ? undefined : parseJson(this.#object);
    this.#object = "";
    if (isObject(value)) this.#events.object(value);
    else this.#events.malformed();
  }

  #drop(): void {
    this.#depth = 0;
    this.#object = "";
    this.#head = "";
    this.#skipsLine = false;
    this.#lineHead = undefined;
    this.#events.malformed();
  }
}

/** Only what may stand before an object: space, an array's brackets and commas, the separator of RFC 7464, a byte order mark. */
function isFraming(head: string): boolean {
  return /^[\s[\],\uFEFF]*$/.test(head.replaceAll("\u001E", ""));
}

/** A comment or a field of server-sent events that is no data. */
function isField(head: string): boolean {
  return /^(:|(event|id|retry)\s*:)/.test(head);
}
