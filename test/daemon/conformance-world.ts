/** The conformance suite's world for Kanto with a real device: a broker, a fault proxy on either side of it, the daemon with containerd. */
import { connectAsync } from "mqtt";
import type { ConformanceProcess, ConformanceWorld, VendorContainer } from "../conformance/harness.ts";
import { startMqttFaultProxy, type PacketFault, type PacketRuleHandle } from "../faults/mqtt-proxy.ts";
import { CREATE, garbage, MUTATING, startProcess, type Broker } from "../integration/backends/kanto-harness.ts";
import { Device } from "./device.ts";
import type { BookedContainer } from "./books.ts";
import type { DevicePrograms } from "./programs.ts";

const SLOW_MS = 600;
/** With too much behind what it is doing the daemon stands still for 15 s, its limit for an acknowledgement, and this one's time is real. */
const OBSERVE_MS = 5_000;

/** Starts a world; the broker is closed with it. */
export async function startRealWorld(
  programs: DevicePrograms,
  broker: Broker,
  mqttVersion: "3.1.1" | "5" = "3.1.1",
): Promise<ConformanceWorld> {
  const proxy = await startMqttFaultProxy({ upstreamPort: broker.port });
  const device = await Device.start({ programs, brokerPort: broker.port, slowMs: SLOW_MS });
  const processes = new Set<ConformanceProcess>();
  const theirs = new Set<string>();
  const rules: PacketRuleHandle[] = [];
  let count = 0;

  const onCreate = (fault: PacketFault, where = proxy, direction: "toBroker" | "toClient" = "toBroker"): void =>
    void rules.push(where.on({ match: { direction, type: "PUBLISH", topic: CREATE }, fault }));
  /** Does something to the answer of the next create, on its way to us. */
  const onAnswer = (fault: PacketFault): void =>
    void (async () => {
      const { topic = "" } = await proxy.next({ direction: "toBroker", type: "PUBLISH", topic: CREATE });
      const [, request = ""] = /\/req\/([^/]+)\//.exec(topic) ?? [];
      rules.push(proxy.on({ match: { direction: "toClient", type: "PUBLISH", topic: `/res/${request}/` }, fault }));
    })();

  return {
    slowMs: SLOW_MS,
    image: (behaviour) => device.image(behaviour === "broken" ? "nocommand" : behaviour),
    containers: async () => (await device.books.containers()).map(toVendor),
    everCreated: async () => (await device.books.everMade()).filter(({ id }) => !theirs.has(id)).map(toVendor),
    received: () =>
      device.proxy
        .packets({ direction: "toClient", type: "PUBLISH", topic: /\/req\// })
        .map(({ topic = "" }) => topic.slice(topic.lastIndexOf("/") + 1))
        .filter((operation) => MUTATING.has(operation)),
    start: async (fence = { held: true }) => {
      count += 1;
      const started = startProcess(`mqtt://127.0.0.1:${proxy.port}`, count, fence, {
        mqttVersion,
        timings: { observeIntervalMs: OBSERVE_MS, probeTimeoutMs: 250, reconnectInitialMs: 20, reconnectMaxMs: 200 },
      });
      processes.add(started);
      return started;
    },
    human: {
      create: async (name) => {
        const id = await device.cli("create", "--name", name, device.image("sleeper"));
        theirs.add(id);
        return id;
      },
      remove: async (id) => void (await device.cli("remove", "--force", id)),
    },
    faults: {
      loseReply: () => onAnswer("drop"),
      duplicateReply: () => onAnswer("duplicate"),
      loseCommand: () => onCreate("drop", device.proxy, "toClient"),
      cutBeforeAcknowledgement: () => onCreate("cut-before-ack"),
      cutBeforeArrival: () => onCreate("cut-before"),
      cut: () => proxy.cutAll(),
      reboot: async () => {
        await device.endDaemon("SIGKILL");
        await device.startDaemon();
      },
      disconnectDevice: () => device.proxy.cutAll(),
      offline: () => {
        device.proxy.accept(false);
        device.proxy.cutAll();
      },
      online: () => device.proxy.accept(true),
      holdPort: async (port) => void (await device.holdPort(port)),
      malformed: async () => {
        const stranger = await connectAsync(`mqtt://127.0.0.1:${broker.port}`);
        for (const [topic, payload] of garbage()) await stranger.publishAsync(topic, payload, { qos: 1 });
        await stranger.endAsync();
      },
    },
    struck: () => rules.reduce((sum, rule) => sum + rule.hits, 0),
    inventoriesForced: () =>
      proxy.packets({ direction: "toBroker", type: "PUBLISH", topic: /^edge\/thing\/response$/ }).length,
    close: async () => {
      const topics = proxy
        .packets({ direction: "toBroker", type: "PUBLISH", topic: /\/req\// })
        .map(({ topic }) => topic);
      const died = !device.daemonRunning;
      const log = device.log();
      await Promise.all([...processes].map((each) => each.kill()));
      await device[Symbol.asyncDispose]();
      await proxy.close();
      await broker.close();
      if (new Set(topics).size !== topics.length) throw new Error("a command was written to the wire twice");
      if (died) throw new Error(`the daemon died: ${log.slice(-3_000)}`);
    },
  };
}

function toVendor({ id, name, running, paused, exists, starts }: BookedContainer): VendorContainer {
  return { externalId: id, name, running: running && !paused, exists, starts };
}
