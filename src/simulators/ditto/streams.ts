// Change notifications as server-sent events: GET /api/2/things with `Accept: text/event-stream`. A stream tells what changes from the time its
// subscription takes effect, which is a little after its head was sent; nothing is told again after a reconnection, and there are no ids. An empty
// event once a second is the heart-beat. Source: gateway/service's ThingsSseRouteBuilder.java.

import type { ServerResponse } from "node:http";
import type { Clock } from "../clock.ts";
import type { DittoFaults } from "./faults.ts";
import { eventJson, parseFields, select } from "./json-fields.ts";
import type { ThingEvent } from "./types.ts";

export interface StreamOptions {
  clock: Clock;
  /** Length of a second, ms. */
  secondMs: number;
  faults: DittoFaults;
}

interface Stream {
  response: ServerResponse;
  ids: readonly string[];
  fields: string[][] | undefined;
  mayRead: boolean;
  active: boolean;
}

export class Streams {
  readonly #options: StreamOptions;
  readonly #streams = new Set<Stream>();
  #opened = 0;

  constructor(options: StreamOptions) {
    this.#options = options;
  }

  /** Streams open now. */
  get open(): number {
    return this.#streams.size;
  }

  /** Streams ever opened. */
  get opened(): number {
    return this.#opened;
  }

  /** Serves a stream on this response until either side ends it. Things that may not be read are simply never told of. */
  serve(response: ServerResponse, query: URLSearchParams, mayRead: boolean): void {
    const { clock, secondMs, faults } = this.#options;
    const ids = (query.get("ids") ?? "").split(",").filter((id) => id !== "");
    const stream: Stream = {
      response,
      ids,
      fields: parseFields(query.get("fields") ?? undefined),
      mayRead,
      active: false,
    };
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache" });
    response.flushHeaders();
    this.#streams.add(stream);
    this.#opened++;
    stream.active = faults.subscribeMs === 0;
    const subscription = clock.setTimeout(() => (stream.active = true), faults.subscribeMs);
    let beat = clock.setTimeout(function next() {
      if (!faults.streamsStalled) {
        response.write("data:\n\n");
      }
      beat = clock.setTimeout(next, secondMs);
    }, secondMs);
    response.once("close", () => {
      this.#streams.delete(stream);
      clock.clearTimeout(beat);
      clock.clearTimeout(subscription);
    });
  }

  /** Tells an event on all streams that are for it. */
  tell(event: ThingEvent): void {
    const { clock, faults } = this.#options;
    const times = faults.takeStreamEvent();
    const run = (): void => {
      for (const stream of this.#streams) {
        if (!stream.active || !stream.mayRead || faults.streamsStalled) {
          continue;
        }
        if (stream.ids.length > 0 && !stream.ids.includes(event.thingId)) {
          continue;
        }
        const data = select(eventJson(event), stream.fields);
        for (let time = 0; time < times && Object.keys(data).length > 0; time++) {
          stream.response.write(`data:${JSON.stringify(data)}\n\n`);
        }
      }
    };
    if (faults.streamLagMs > 0) {
      clock.setTimeout(run, faults.streamLagMs);
    } else {
      run();
    }
  }

  /** Breaks all streams: `fin` ends them in order, `reset` breaks their connections. */
  cut(how: "fin" | "reset" = "reset"): void {
    for (const { response } of this.#streams) {
      if (how === "fin") {
        response.end();
      } else {
        response.socket?.resetAndDestroy();
      }
    }
  }

  /** Writes this text on all streams as it is. */
  inject(text: string): void {
    for (const { response } of this.#streams) {
      response.write(text);
    }
  }
}
