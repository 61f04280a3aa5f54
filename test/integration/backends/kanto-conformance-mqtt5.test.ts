import { describe } from "vitest";
import { describeBackendConformance } from "../../conformance/backend-conformance.ts";
import { findMosquitto, startMosquitto } from "../../mqtt/mosquitto.ts";
import { startKantoWorld } from "./kanto-harness.ts";

const mosquitto = findMosquitto();

describe.skipIf(mosquitto === undefined)(
  `mosquitto (${mosquitto ?? "not run: the mosquitto binary is not installed"})`,
  () => {
    describeBackendConformance("Kanto over MQTT 5", {
      world: async () => startKantoWorld(await startMosquitto(), { mqttVersion: "5" }),
    });
  },
);
