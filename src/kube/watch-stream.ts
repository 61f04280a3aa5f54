/** Splits a watch's body into events: one JSON document per line (apimachinery, streaming/json framer). */

import { TransportError, type Status } from "./errors.ts";
import type { KubeObject } from "./types.ts";

/** One event of a watch. A BOOKMARK's object has little more than metadata.resourceVersion. */
export type WatchEvent<T extends KubeObject = KubeObject> =
  | { type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK"; object: T }
  | { type: "ERROR"; status: Status };

/** Longest line accepted. etcd refuses requests above 1.5 MiB; no stored object comes near this. */
const MAX_LINE_BYTES = 16 * 1024 * 1024;
const NEWLINE = 0x0a;

/**
 * Collects bytes and hands out whole events. Holds at most one unfinished line; nothing of a line is kept once its event
 * was handed out.
 */
export class WatchDecoder<T extends KubeObject> {
  readonly #where: string;
  readonly #onEvent: (event: WatchEvent<T>) => void;
  #pending: Buffer[] = [];
  #pendingBytes = 0;

  constructor(where: string, onEvent: (event: WatchEvent<T>) => void) {
    this.#where = where;
    this.#onEvent = onEvent;
  }

  /** @throws TransportError `Garbled` for a line that is no event, `TooLarge` for one without end. */
  push(chunk: Buffer): void {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      const piece = chunk.subarray(start, end);
      start = end + 1;
      if (this.#pendingBytes === 0) {
        this.#line(piece);
      } else {
        this.#pending.push(piece);
        const line = Buffer.concat(this.#pending);
        this.#pending = [];
        this.#pendingBytes = 0;
        this.#line(line);
      }
    }
    if (start < chunk.length) {
      this.#pending.push(chunk.subarray(start));
      this.#pendingBytes += chunk.length - start;
      if (this.#pendingBytes > MAX_LINE_BYTES) {
        throw new TransportError(this.#where, "TooLarge", "unknown", `an event is longer than ${MAX_LINE_BYTES} bytes`);
      }
    }
  }

  /** To be called at the end of the body. @throws TransportError `Garbled` when it ended inside an event. */
  end(): void {
    if (this.#pendingBytes > 0) {
      throw new TransportError(this.#where, "Garbled", "unknown", "the stream ended inside an event");
    }
  }

  #line(bytes: Buffer): void {
    if (bytes.length === 0) {
      return;
    }
    let parsed: unknown;
    try {
      parsed = JSON.parse(bytes.toString("utf8"));
    } catch {
      // JSON.parse's own message quotes the text, which may be a Secret's.
      throw new TransportError(this.#where, "Garbled", "unknown", `a line of ${bytes.length} bytes is not JSON`);
    }
    const event = parsed as {
      type?: unknown;
      object?: { metadata?: { resourceVersion?: unknown } | null } | null;
    } | null;
    const object = event?.object;
    if (typeof object !== "object" || object === null) {
      throw new TransportError(this.#where, "Garbled", "unknown", "a line is not a watch event");
    }
    const version = object.metadata?.resourceVersion;
    if (event?.type !== "ERROR" && (typeof version !== "string" || version === "")) {
      throw new TransportError(this.#where, "Garbled", "unknown", "an event's object has no resourceVersion");
    }
    switch (event?.type) {
      case "ADDED":
      case "MODIFIED":
      case "DELETED":
      case "BOOKMARK":
        this.#onEvent({ type: event.type, object: object as unknown as T });
        return;
      case "ERROR":
        this.#onEvent({ type: "ERROR", status: object as Status });
        return;
      default:
        throw new TransportError(this.#where, "Garbled", "unknown", "an event has an unknown type");
    }
  }
}
