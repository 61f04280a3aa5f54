/** The matrix, part 5: the wire between us and the broker, the broker itself, and our own process. */
import type { MqttFaultProxy, PacketFault, PacketRuleHandle } from "../../faults/mqtt-proxy.ts";
import type { TestBroker } from "../../mqtt/broker.ts";
import type { Cell, Fault } from "./kanto-matrix/fault.ts";
import { describeFaults, ends, type FaultTable } from "./kanto-matrix/suite.ts";

const THING = "edge:device:edge:containers";
/** What a broken or blocked wire may come to. */
const anyhow = ends("Succeeded", "Lost", "NotSent:Offline", "NotSent:NotSynced", "Failed:Unreachable");

/** Rules to be lifted when the fault ends. */
const rules = new WeakMap<Cell, PacketRuleHandle>();

function onPacket(what: "request" | "answer", fault: PacketFault, rest: Partial<Fault> = {}): Fault {
  return {
    name: `${fault} of the ${what}`,
    when: "before",
    strike: (cell) => {
      const topic = what === "request" ? new RegExp(`/req/[^/]+/${cell.operation}$`) : /\/res\/(?!probe)/;
      const direction = what === "request" ? "toBroker" : "toClient";
      const rule = cell.world.proxy.on({ match: { direction, type: "PUBLISH", topic }, fault });
      rules.set(cell, rule);
    },
    heal: (cell) => rules.get(cell)?.release(),
    struck: (cell) => (rules.get(cell)?.hits ?? 0) > 0,
    allows: anyhow,
    ...rest,
  };
}

const PACKETS = {
  drop: [onPacket("request", "drop"), onPacket("answer", "drop")],
  duplicate: [
    // Nothing of ours doubles a request; a bridge between two brokers may. Both containers then carry our mark, and one of them is removed
    // by the next pass (plan/ownership.ts).
    onPacket("request", "duplicate", { effects: 2, makes: 2 }),
    onPacket("answer", "duplicate", { allows: ends("Succeeded") }),
  ],
  hold: [onPacket("request", "hold"), onPacket("answer", "hold")],
  "cut-before": [onPacket("request", "cut-before"), onPacket("answer", "cut-before")],
  "cut-after": [onPacket("request", "cut-after"), onPacket("answer", "cut-after")],
  "drop-ack": [onPacket("request", "drop-ack")],
  "cut-before-ack": [onPacket("request", "cut-before-ack")],
} as const satisfies FaultTable<PacketFault>;

const CONNECTIONS = {
  cutAll: [
    { name: "our connections are cut", when: "during", strike: ({ world }) => world.proxy.cutAll(), allows: anyhow },
  ],
  freezeAll: [
    {
      name: "our connections are half-open until they end",
      when: "during",
      strike: ({ world }) => world.proxy.freezeAll(),
      heal: ({ world }) => world.proxy.cutAll(),
      allows: anyhow,
    },
  ],
  accept: [
    {
      name: "our connections are cut, and new ones refused for a while",
      when: "during",
      strike: ({ world }) => {
        world.proxy.accept(false);
        world.proxy.cutAll();
      },
      heal: ({ world }) => world.proxy.accept(true),
      allows: anyhow,
    },
  ],
} as const satisfies FaultTable<Extract<keyof MqttFaultProxy, "cutAll" | "freezeAll" | "accept">>;

const BROKER = {
  pause: [
    {
      name: "the broker restarts",
      when: "during",
      strike: ({ broker }) => broker.pause(),
      heal: ({ broker }) => broker.resume(),
      allows: anyhow,
    },
  ],
  resume: "ends pause",
  dropClients: [
    {
      name: "the broker drops everybody",
      when: "during",
      strike: ({ broker }) => broker.dropClients(),
      allows: anyhow,
    },
  ],
  // A leftover of somebody: retained messages on all topics that we read, found when we subscribe again.
  publish: [
    {
      name: "stale retained messages",
      when: "during",
      strike: async ({ broker, world, container }) => {
        const modify = "edge/device:edge:containers/things/twin/commands/modify";
        const feature = `/features/Container:${container ?? "stale"}`;
        const state = { status: "DEAD" };
        const stale: [string, object][] = [
          [`e/t1/${THING}`, { topic: modify, path: `${feature}/properties/status/state`, value: state }],
          [`command//${THING}/res/stale/500`, { path: `${feature}/outbox/messages/start`, status: 500 }],
        ];
        const retain = true;
        for (const [topic, body] of stale) await broker.publish(topic, JSON.stringify(body), retain);
        world.proxy.cutAll();
      },
      allows: anyhow,
    },
  ],
} as const satisfies FaultTable<Extract<keyof TestBroker, "pause" | "resume" | "dropClients" | "publish">>;

const RIGHTS = {
  login: [
    {
      name: "the credentials are refused for a while",
      when: "during",
      strike: ({ rights, world }) => {
        rights.login = false;
        world.proxy.cutAll();
      },
      heal: ({ rights }) => void (rights.login = true),
      allows: anyhow,
    },
  ],
  publish: [
    {
      name: "the broker hangs up on every command for a while",
      when: "before",
      strike: ({ rights }) => void (rights.publish = false),
      heal: ({ rights }) => void (rights.publish = true),
      allows: anyhow,
    },
  ],
} as const satisfies FaultTable<keyof Cell["rights"]>;

const OURS = {
  process: [
    {
      name: "our process dies, and another one takes over",
      when: "during",
      strike: async (cell) => {
        await cell.ours.kill();
        cell.ours = await cell.world.start();
      },
      allows: ends("Succeeded"),
    },
  ],
  fence: [
    {
      name: "the lease is lost in the middle, and had again",
      when: "during",
      strike: ({ ours }) => void (ours.fence.held = false),
      heal: ({ ours }) => void (ours.fence.held = true),
      allows: ends("Succeeded"),
    },
    {
      name: "the lease is not held",
      when: "before",
      strike: ({ ours }) => void (ours.fence.held = false),
      heal: ({ ours }) => void (ours.fence.held = true),
      allows: ends("NotSent:Fenced", "Succeeded"),
    },
  ],
  malformed: [
    {
      name: "somebody sends garbage",
      when: "during",
      strike: ({ world }) => world.faults.malformed(),
      allows: ends("Succeeded"),
    },
  ],
} as const satisfies FaultTable<"process" | "fence" | "malformed">;

describeFaults(PACKETS);
describeFaults(CONNECTIONS);
describeFaults(BROKER);
describeFaults(RIGHTS);
describeFaults(OURS);
