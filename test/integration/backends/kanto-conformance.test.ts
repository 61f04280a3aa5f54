import { describeBackendConformance } from "../../conformance/backend-conformance.ts";
import { startBroker } from "../../mqtt/broker.ts";
import { startKantoWorld } from "./kanto-harness.ts";

describeBackendConformance("Kanto over MQTT 3.1.1", {
  world: async () => startKantoWorld(await startBroker()),
});
