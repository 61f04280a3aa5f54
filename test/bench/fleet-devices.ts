/**
 * Thousands of simulated Kanto devices on one broker, as a process of their own: each is a full simulator with a daemon, a connection of its
 * own and one container that somebody made on it by hand, below a topic prefix of its own, as a bridge from its broker would make it.
 *
 *     node test/bench/fleet-devices.ts <broker url> <count>
 */
import process from "node:process";
import { startKantoDevice, type KantoDevice } from "../../src/simulators/kanto/index.ts";
import { devicePrefix, gatewayId } from "./fleet-rig.ts";

const [brokerUrl = "", count = "0"] = process.argv.slice(2);
const devices: KantoDevice[] = [];
for (let number = 1; number <= Number(count); number++) {
  const device = await startKantoDevice({
    brokerUrl,
    deviceId: gatewayId(number),
    topicPrefix: devicePrefix(number),
    startMs: 0,
  });
  await device.human.create({ name: "made-by-hand", image: "registry.example/team/sleeper:1.4.2" });
  devices.push(device);
}
process.on("SIGTERM", () => {
  void Promise.allSettled(devices.map((device) => device.stop())).then(() => process.exit(0));
});
process.stdout.write(`${devices.length} simulated devices\n`);
