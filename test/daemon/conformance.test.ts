import { describe } from "vitest";
import { describeBackendConformance } from "../conformance/backend-conformance.ts";
import { startBroker } from "../mqtt/broker.ts";
import { startRealWorld } from "./conformance-world.ts";
import { devicePrograms } from "./programs.ts";

const programs = devicePrograms();

describe.skipIf(programs.missing)(programs.title, () => {
  describeBackendConformance("Kanto", {
    world: async () => startRealWorld(programs.get(), await startBroker()),
  });
});
