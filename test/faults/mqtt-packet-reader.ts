/**
 * Cuts an MQTT byte stream into packets and reads what a fault plan needs to name one: type, topic, quality of service,
 * packet id. MQTT 3.1.1 (OASIS, chapter 2 and 3) and 5; the two differ only after the packet id, in the properties.
 */

export type MqttPacketType =
  | "CONNECT"
  | "CONNACK"
  | "PUBLISH"
  | "PUBACK"
  | "PUBREC"
  | "PUBREL"
  | "PUBCOMP"
  | "SUBSCRIBE"
  | "SUBACK"
  | "UNSUBSCRIBE"
  | "UNSUBACK"
  | "PINGREQ"
  | "PINGRESP"
  | "DISCONNECT"
  | "AUTH";

const TYPES: readonly (MqttPacketType | undefined)[] = [
  undefined,
  "CONNECT",
  "CONNACK",
  "PUBLISH",
  "PUBACK",
  "PUBREC",
  "PUBREL",
  "PUBCOMP",
  "SUBSCRIBE",
  "SUBACK",
  "UNSUBSCRIBE",
  "UNSUBACK",
  "PINGREQ",
  "PINGRESP",
  "DISCONNECT",
  "AUTH",
];

export interface MqttPacket {
  type: MqttPacketType;
  /** The packet as it was on the wire. */
  bytes: Buffer;
  /** PUBLISH only. */
  topic?: string;
  qos?: number;
  dup?: boolean;
  retain?: boolean;
  payload?: Buffer;
  /** Of acknowledgements, (un)subscriptions, and PUBLISH with a qos above 0. */
  packetId?: number;
  /** CONNECT only: 4 is MQTT 3.1.1, 5 is MQTT 5. */
  protocolLevel?: number;
  clientId?: string;
}

/** Collects bytes; hands out whole packets. */
export class MqttPacketReader {
  #rest = Buffer.alloc(0);
  /** Set by whoever sees the CONNECT; tells whether a PUBLISH has properties. */
  protocolLevel = 4;

  /** @throws Error when the bytes are not MQTT. */
  push(chunk: Buffer): MqttPacket[] {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    const packets: MqttPacket[] = [];
    for (let packet = this.#take(); packet !== undefined; packet = this.#take()) {
      packets.push(packet);
    }
    return packets;
  }

  #take(): MqttPacket | undefined {
    const head = this.#rest;
    if (head.length < 2) {
      return undefined;
    }
    const length = readVariableInt(head, 1);
    if (length === undefined || head.length < length.next + length.value) {
      return undefined;
    }
    const end = length.next + length.value;
    const bytes = Buffer.from(head.subarray(0, end));
    this.#rest = head.subarray(end);
    return this.#parse(bytes, length.next);
  }

  #parse(bytes: Buffer, start: number): MqttPacket {
    const first = bytes[0] ?? 0;
    const type = TYPES[first >> 4];
    if (type === undefined) {
      throw new Error(`not an MQTT packet: first byte ${first}`);
    }
    const packet: MqttPacket = { type, bytes };
    switch (type) {
      case "CONNECT": {
        const name = readText(bytes, start);
        packet.protocolLevel = bytes[name.next] ?? 0;
        this.protocolLevel = packet.protocolLevel;
        // Level, flags, keep-alive; MQTT 5 has properties before the client id.
        let at = name.next + 4;
        if (packet.protocolLevel >= 5) {
          const properties = readVariableInt(bytes, at);
          at = (properties?.next ?? at) + (properties?.value ?? 0);
        }
        packet.clientId = readText(bytes, at).text;
        return packet;
      }
      case "PUBLISH": {
        packet.qos = (first >> 1) & 3;
        packet.dup = (first & 8) !== 0;
        packet.retain = (first & 1) !== 0;
        const topic = readText(bytes, start);
        packet.topic = topic.text;
        let at = topic.next;
        if (packet.qos > 0) {
          packet.packetId = bytes.readUInt16BE(at);
          at += 2;
        }
        if (this.protocolLevel >= 5) {
          const properties = readVariableInt(bytes, at);
          at = (properties?.next ?? at) + (properties?.value ?? 0);
        }
        packet.payload = bytes.subarray(at);
        return packet;
      }
      case "PUBACK":
      case "PUBREC":
      case "PUBREL":
      case "PUBCOMP":
      case "SUBSCRIBE":
      case "SUBACK":
      case "UNSUBSCRIBE":
      case "UNSUBACK":
        packet.packetId = bytes.readUInt16BE(start);
        return packet;
      case "CONNACK":
      case "PINGREQ":
      case "PINGRESP":
      case "DISCONNECT":
      case "AUTH":
        return packet;
      default:
        return type satisfies never;
    }
  }
}

/** Reads MQTT's variable byte integer (section 2.2.3); undefined while it is not complete. */
function readVariableInt(bytes: Buffer, at: number): { value: number; next: number } | undefined {
  let value = 0;
  for (let index = 0; index < 4; index += 1) {
    const byte = bytes[at + index];
    if (byte === undefined) {
      return undefined;
    }
    value += (byte & 127) * 128 ** index;
    if ((byte & 128) === 0) {
      return { value, next: at + index + 1 };
    }
  }
  throw new Error("not MQTT: a length of more than four bytes");
}

function readText(bytes: Buffer, at: number): { text: string; next: number } {
  const length = bytes.readUInt16BE(at);
  return { text: bytes.toString("utf8", at + 2, at + 2 + length), next: at + 2 + length };
}
