/**
 * The fault proxy for MQTT over plain TCP: it stands before a broker, cuts the stream into packets, numbers them per
 * direction, and drops, holds, repeats or cuts by rule. (TLS connections cannot be read and are not for it.)
 */

import { EventEmitter, once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { MqttPacketReader, type MqttPacket, type MqttPacketType } from "./mqtt-packet-reader.ts";

export type { MqttPacket, MqttPacketType } from "./mqtt-packet-reader.ts";

export type Direction = "toBroker" | "toClient";

/** A packet that came by. */
export interface SeenPacket extends MqttPacket {
  /** Position among all packets of this direction, from 1. */
  n: number;
  /** Number of the connection, from 1. */
  connection: number;
  direction: Direction;
  /** Client id of the connection. */
  client: string;
}

export interface PacketMatch {
  direction?: Direction;
  type?: MqttPacketType;
  /** Part of the topic, or a pattern for it. */
  topic?: string | RegExp;
  client?: string;
}

export type PacketFault =
  /** It does not arrive. */
  | "drop"
  /** It arrives twice. */
  | "duplicate"
  /** It and all after it in its direction wait until the rule is released. */
  | "hold"
  /** The connection is reset before it arrives. */
  | "cut-before"
  /** It arrives, then the connection is reset; the receiver gets it surely, the sender hears nothing more. */
  | "cut-after"
  /** It arrives; its acknowledgement (PUBACK) does not. */
  | "drop-ack"
  /** It arrives; the connection is reset instead of its acknowledgement (PUBACK). */
  | "cut-before-ack";

export interface PacketRule {
  match: PacketMatch;
  /** Leave so many matching packets alone first. Default 0. */
  skip?: number;
  /** How many packets it is for. Default 1. */
  times?: number;
  fault: PacketFault;
}

export interface PacketRuleHandle {
  readonly hits: number;
  release(): void;
  remove(): void;
}

export interface MqttFaultProxy {
  readonly port: number;
  /** All packets so far, oldest first. */
  packets(match?: PacketMatch): SeenPacket[];
  /** The next packet that matches and is not among `packets` yet. */
  next(match: PacketMatch): Promise<SeenPacket>;
  on(rule: PacketRule): PacketRuleHandle;
  /** Connections open now. */
  readonly connections: number;
  /** Resets all connections; the broker sees them end. */
  cutAll(): void;
  /** From now on no byte passes on the connections that are open, and they stay open: half-open. */
  freezeAll(): void;
  /** Whether new connections are accepted. Refused ones are reset at once. */
  accept(yes: boolean): void;
  close(): Promise<void>;
}

interface ActiveRule {
  rule: PacketRule;
  skipped: number;
  hits: number;
  released: boolean;
  onRelease: Set<() => void>;
}

/** Starts a proxy on a free port of the loopback before the broker at `upstreamPort`. */
export async function startMqttFaultProxy(options: { upstreamPort: number; port?: number }): Promise<MqttFaultProxy> {
  const rules = new Set<ActiveRule>();
  const seen: SeenPacket[] = [];
  const arrivals = new EventEmitter();
  arrivals.setMaxListeners(0);
  const open = new Set<Connection>();
  const counts: Record<Direction, number> = { toBroker: 0, toClient: 0 };
  let connectionCount = 0;
  let accepting = true;

  const note = (packet: MqttPacket, connection: Connection, direction: Direction): ActiveRule | undefined => {
    counts[direction] += 1;
    const entry = { ...packet, n: counts[direction], connection: connection.n, direction, client: connection.client };
    seen.push(entry);
    const rule = [...rules].find((each) => takes(each, entry));
    arrivals.emit("packet", entry);
    return rule;
  };

  const server = createServer((client) => {
    client.on("error", () => undefined);
    if (!accepting) {
      client.resetAndDestroy();
      return;
    }
    connectionCount += 1;
    const connection = new Connection(connectionCount, client, connect(options.upstreamPort, "127.0.0.1"), note);
    open.add(connection);
    client.on("close", () => open.delete(connection));
  });
  server.listen(options.port ?? 0, "127.0.0.1");
  await once(server, "listening");

  return {
    port: (server.address() as AddressInfo).port,
    packets: (match) => (match === undefined ? [...seen] : seen.filter((each) => packetMatches(match, each))),
    next: (match) =>
      new Promise((resolve) => {
        const onPacket = (packet: SeenPacket): void => {
          if (packetMatches(match, packet)) {
            arrivals.off("packet", onPacket);
            resolve(packet);
          }
        };
        arrivals.on("packet", onPacket);
      }),
    on(rule) {
      const active: ActiveRule = { rule, skipped: 0, hits: 0, released: false, onRelease: new Set() };
      rules.add(active);
      const release = (): void => {
        active.released = true;
        for (const each of active.onRelease) {
          each();
        }
        active.onRelease.clear();
      };
      return {
        get hits() {
          return active.hits;
        },
        release,
        remove() {
          rules.delete(active);
          release();
        },
      };
    },
    get connections() {
      return open.size;
    },
    cutAll() {
      for (const connection of open) {
        connection.cut();
      }
    },
    freezeAll() {
      for (const connection of open) {
        connection.freeze();
      }
    },
    accept(yes) {
      accepting = yes;
    },
    async close() {
      const closed = once(server, "close");
      server.close();
      for (const connection of open) {
        connection.cut();
      }
      await closed;
    },
  };
}

/** One client's connection and the one to the broker that goes with it. */
class Connection {
  readonly n: number;
  client = "";
  readonly #clientSocket: Socket;
  readonly #brokerSocket: Socket;
  readonly #note: (packet: MqttPacket, connection: Connection, direction: Direction) => ActiveRule | undefined;
  readonly #readers: Record<Direction, MqttPacketReader> = {
    toBroker: new MqttPacketReader(),
    toClient: new MqttPacketReader(),
  };
  /** Packets that wait behind a held one. */
  readonly #waiting: Record<Direction, MqttPacket[] | undefined> = { toBroker: undefined, toClient: undefined };
  /** Acknowledgements to stop, by packet id. */
  readonly #acks = new Map<number, "drop" | "cut">();
  #frozen = false;

  constructor(
    n: number,
    clientSocket: Socket,
    brokerSocket: Socket,
    note: (packet: MqttPacket, connection: Connection, direction: Direction) => ActiveRule | undefined,
  ) {
    this.n = n;
    this.#clientSocket = clientSocket;
    this.#brokerSocket = brokerSocket;
    this.#note = note;
    clientSocket.setNoDelay(true);
    brokerSocket.setNoDelay(true);
    this.#pipe(clientSocket, "toBroker");
    this.#pipe(brokerSocket, "toClient");
    brokerSocket.on("error", () => clientSocket.resetAndDestroy());
    clientSocket.on("close", () => brokerSocket.end());
    brokerSocket.on("close", () => {
      if (!this.#frozen) {
        clientSocket.end();
      }
    });
  }

  /** Resets the client's side; the broker's ends after what was already sent to it. */
  cut(): void {
    this.#frozen = true;
    this.#brokerSocket.end();
    this.#clientSocket.resetAndDestroy();
  }

  freeze(): void {
    this.#frozen = true;
  }

  #pipe(socket: Socket, direction: Direction): void {
    socket.on("data", (chunk: Buffer) => {
      for (const packet of this.#readers[direction].push(chunk)) {
        this.#packet(packet, direction);
      }
    });
  }

  #packet(packet: MqttPacket, direction: Direction): void {
    if (packet.type === "CONNECT") {
      this.client = packet.clientId ?? "";
      this.#readers.toClient.protocolLevel = packet.protocolLevel ?? 4;
    }
    if (this.#frozen) {
      return;
    }
    const rule = this.#note(packet, this, direction);
    if (direction === "toClient" && packet.type === "PUBACK" && this.#stopsAck(packet)) {
      return;
    }
    const waiting = this.#waiting[direction];
    if (waiting !== undefined) {
      waiting.push(packet);
      return;
    }
    this.#apply(packet, direction, rule);
  }

  #apply(packet: MqttPacket, direction: Direction, active: ActiveRule | undefined): void {
    const fault = active?.rule.fault;
    switch (fault) {
      case undefined:
        this.#write(packet, direction);
        return;
      case "drop":
        return;
      case "duplicate":
        this.#write(packet, direction);
        this.#write(packet, direction);
        return;
      case "hold":
        if (active === undefined || active.released) {
          this.#write(packet, direction);
          return;
        }
        this.#waiting[direction] = [packet];
        active.onRelease.add(() => this.#flush(direction));
        return;
      case "cut-before":
        this.cut();
        return;
      case "cut-after":
        this.#write(packet, direction, () => this.cut());
        return;
      case "drop-ack":
      case "cut-before-ack":
        if (packet.packetId !== undefined) {
          this.#acks.set(packet.packetId, fault === "drop-ack" ? "drop" : "cut");
        }
        this.#write(packet, direction);
        return;
      default:
        fault satisfies never;
    }
  }

  #stopsAck(packet: MqttPacket): boolean {
    const order = this.#acks.get(packet.packetId ?? -1);
    if (order === undefined) {
      return false;
    }
    this.#acks.delete(packet.packetId ?? -1);
    if (order === "cut") {
      this.cut();
    }
    return true;
  }

  #flush(direction: Direction): void {
    const waiting = this.#waiting[direction] ?? [];
    this.#waiting[direction] = undefined;
    for (const packet of waiting) {
      this.#write(packet, direction);
    }
  }

  #write(packet: MqttPacket, direction: Direction, written?: () => void): void {
    const socket = direction === "toBroker" ? this.#brokerSocket : this.#clientSocket;
    if (!this.#frozen && socket.writable) {
      socket.write(packet.bytes, written);
    }
  }
}

function takes(active: ActiveRule, packet: SeenPacket): boolean {
  const { rule } = active;
  if (!packetMatches(rule.match, packet) || active.hits >= (rule.times ?? 1)) {
    return false;
  }
  if (active.skipped < (rule.skip ?? 0)) {
    active.skipped += 1;
    return false;
  }
  active.hits += 1;
  return true;
}

function packetMatches(match: PacketMatch, packet: SeenPacket): boolean {
  const { direction, type, topic, client } = match;
  if (direction !== undefined && direction !== packet.direction) {
    return false;
  }
  if (type !== undefined && type !== packet.type) {
    return false;
  }
  if (client !== undefined && client !== packet.client) {
    return false;
  }
  if (topic === undefined) {
    return true;
  }
  const have = packet.topic ?? "";
  return typeof topic === "string" ? have.includes(topic) : topic.test(have);
}
