import { describe } from "vitest";
import { describeBackendConformance } from "../../conformance/backend-conformance.ts";
import { startBroker } from "../../mqtt/broker.ts";
import { findMosquitto, startMosquitto } from "../../mqtt/mosquitto.ts";
import { startKantoWorld } from "./kanto-harness.ts";

const mosquitto = findMosquitto();

// The cloud's broker has to speak MQTT 5: what comes while our connection is away would be lost otherwise, and with it the inventory.
describe.skipIf(mosquitto === undefined)(
  `mosquitto (${mosquitto ?? "not run: the mosquitto binary is not installed"})`,
  () => {
    describeBackendConformance("Kanto behind a connector", {
      world: async () => startKantoWorld(await startMosquitto(), { deviceBroker: await startBroker() }),
    });
  },
);
