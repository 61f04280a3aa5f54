/**
 * Tells when nothing moves any more between two ends of TCP connections that are both in this process: no byte is under way, no connection is
 * being made or ended, and nobody has written anything for some turns of the event loop. With it a clock of the test's own can stand still for as
 * long as work goes on, and be moved on only when everybody waits for it; how fast the machine is then makes no difference.
 */
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { Server } from "node:http";
import type { Socket } from "node:net";

/** So many turns in a row without anything new: what is read in one turn may be answered a few turns later, after promises and streams. */
const QUIET_TURNS = 4;
/** Guards against a hang only. */
const DEADLINE_MS = 60_000;

export class QuietWires implements Disposable {
  readonly #clients = new Set<Socket>();
  readonly #servers = new Set<Socket>();

  constructor() {
    subscribe("net.client.socket", this.#onClient);
    subscribe("net.server.socket", this.#onServer);
    subscribe("http.server.request.start", onRequest);
  }

  /** Every connection of this process that is made from now on is followed until it ends. */
  readonly #onClient = (message: unknown): void => follow(this.#clients, message);
  readonly #onServer = (message: unknown): void => follow(this.#servers, message);

  [Symbol.dispose](): void {
    unsubscribe("net.client.socket", this.#onClient);
    unsubscribe("net.server.socket", this.#onServer);
    unsubscribe("http.server.request.start", onRequest);
  }

  /** Waits until nothing moves. @throws Error if that never comes. */
  async settle(): Promise<void> {
    const deadline = performance.now() + DEADLINE_MS;
    let before = "";
    for (let quiet = 0; quiet < QUIET_TURNS;) {
      await new Promise((resolve) => setImmediate(resolve));
      const now = this.#state();
      quiet = now !== undefined && now === before ? quiet + 1 : 0;
      before = now ?? "";
      if (quiet === 0 && performance.now() > deadline) throw new Error("the connections never came to rest");
    }
  }

  /** All counters; undefined while something is under way. */
  #state(): string | undefined {
    const counters: (number | undefined)[] = [];
    for (const client of this.#clients) {
      if (client.connecting || client.destroyed) return undefined;
      const server = this.#peerOf(client);
      if (server === undefined || server.destroyed) return undefined;
      if (client.bytesWritten !== server.bytesRead || server.bytesWritten !== client.bytesRead) return undefined;
      counters.push(client.localPort, client.bytesRead, client.bytesWritten);
    }
    return this.#servers.size === this.#clients.size ? counters.join() : undefined;
  }

  #peerOf(client: Socket): Socket | undefined {
    for (const server of this.#servers)
      if (server.remotePort === client.localPort && server.localPort === client.remotePort) return server;
    return undefined;
  }
}

function follow(sockets: Set<Socket>, message: unknown): void {
  const { socket } = message as { socket: Socket };
  sockets.add(socket);
  socket.once("close", () => sockets.delete(socket));
}

/** A server that ends idle connections by the machine's clock would do so in the middle of a test on a busy machine. */
function onRequest(message: unknown): void {
  (message as { server: Server }).server.keepAliveTimeout = 0;
}
