/**
 * The simulated Kanto devices of a run, as one process of their own, so that their work does not delay the clock of the load generator.
 * A broker carries one device, so there is one address per device:
 *
 *     node test/bench/devices.ts <broker url>...
 */
import process from "node:process";
import { startKantoDevice } from "../../src/simulators/kanto/index.ts";

const brokerUrls = process.argv.slice(2);
const devices = await Promise.all(
  brokerUrls.map((brokerUrl, index) =>
    startKantoDevice({ brokerUrl, deviceId: `edge:device-${index + 1}`, answerIdentity: true, reconnectMs: 100 }),
  ),
);
process.on("SIGTERM", () => {
  void Promise.allSettled(devices.map((device) => device.stop())).then(() => process.exit(0));
});
process.stdout.write(`${devices.length} simulated devices\n`);
