/**
 * One twin, read and followed.
 *
 * The twin counts its changes (`_revision`), and everything here goes by that count: what is not newer than what was taken already is dropped,
 * whether it comes by notification or by reading; a jump in the count means that a notification was lost, and the twin is read. What was told
 * while it was read is put on top of what was read, so that both arrive in the order in which the twin changed.
 */
import type { HttpResult } from "../../http/client.ts";
import type { Inbound } from "../transport.ts";
import { readNotification, readThing, THING_FIELDS, type Notification } from "./notifications.ts";

export interface TwinHost {
  readonly thingId: string;
  /** Reads some fields of the thing; never rejects. */
  read(fields: string): Promise<HttpResult>;
  /** Whether what arrives is wanted now. */
  live(): boolean;
  receive(inbound: Inbound): void;
  malformed(kind: "Notification" | "Thing"): void;
  /** A read was answered with another status than 200, or not at all. */
  failed(status: number | undefined, message: string): void;
}

export class TwinFollower {
  readonly #host: TwinHost;
  /** Count of the twin as far as it was taken; 0 before it was read. */
  #revision = 0;
  #reading = false;
  #readAgain = false;
  /** Somebody waits for a read that has not begun. */
  #asked = false;
  /** What was told while a read was under way. */
  #meanwhile: Notification[] = [];

  constructor(host: TwinHost) {
    this.#host = host;
  }

  /** What is known is worth nothing any more. */
  reset(): void {
    this.#revision = 0;
  }

  /** Reads the twin for somebody who needs it as it is from now on. */
  fetch(): void {
    this.#asked = true;
    void this.read();
  }

  /** Reads the twin; a read under way began too early to serve, so another one follows. */
  async read(): Promise<void> {
    if (this.#reading) {
      this.#readAgain = true;
      return;
    }
    const asked = this.#asked;
    this.#asked = false;
    this.#reading = true;
    this.#meanwhile = [];
    const result = await this.#host.read(THING_FIELDS);
    this.#reading = false;
    const again = this.#readAgain;
    this.#readAgain = false;
    if (!this.#host.live()) return;
    if (this.#isAnswer(result)) this.#take(result.json, asked);
    if (again && this.#host.live()) void this.read();
  }

  /** Looks whether the twin has changed without a word of it, and reads it then. */
  async compare(): Promise<void> {
    if (this.#reading || !this.#host.live()) return;
    const result = await this.#host.read("thingId,_revision");
    if (!this.#host.live() || !this.#isAnswer(result)) return;
    if (readThing(result.json)?.revision !== this.#revision) void this.read();
  }

  /** @param text data of a server-sent event. */
  notified(text: string): void {
    const notification = readNotification(text);
    if (notification === undefined) this.#host.malformed("Notification");
    else if (notification.thingId === this.#host.thingId) this.#notified(notification);
  }

  #notified(notification: Notification): void {
    if (this.#reading) this.#meanwhile.push(notification);
    const { revision, kind } = notification;
    // Before the first read nothing is known that an event could change.
    if (kind === "Replaced" || this.#revision === 0) {
      this.#revision = 0;
      if (this.#host.live()) void this.read();
      return;
    }
    // Told twice, or behind what was read.
    if (revision <= this.#revision) return;
    const gap = revision > this.#revision + 1;
    this.#revision = revision;
    if (kind === "Event") this.#host.receive({ kind: "Event", payload: notification.payload });
    if (gap || kind === "Whole") void this.read();
  }

  #take(json: unknown, asked: boolean): void {
    const thing = readThing(json);
    if (thing === undefined) {
      this.#host.malformed("Thing");
      return;
    }
    const overtaken = this.#meanwhile.filter(({ revision }) => revision > thing.revision);
    this.#meanwhile = [];
    this.#revision = thing.revision;
    this.#host.receive({ kind: "Stored", payload: JSON.stringify(thing.features), asked });
    for (const notification of overtaken) this.#notified(notification);
  }

  #isAnswer(result: HttpResult): result is HttpResult & { kind: "Answer" } {
    if (result.kind === "Answer" && result.status === 200) return true;
    this.#host.failed(result.kind === "Answer" ? result.status : undefined, result.message);
    return false;
  }
}
