import { describeBackendConformance } from "../../conformance/backend-conformance.ts";
import { startDittoWorld } from "./ditto-harness.ts";

describeBackendConformance("Kanto through Ditto", { world: () => startDittoWorld() });
